//! Snapshots: the workspace of a seat that goes on, stored and proven when it is not as it was.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::perform::{cancelled, permit};
use super::world::World;
use crate::domain::effect::{ArchiveOrder, SnapshotOrder, Yield};
use crate::domain::fault::{Fault, FaultCode};
use crate::domain::ids::{ArchiveId, SeatId};
use crate::domain::proof::{ArchiveClaim, SNAPSHOT_EPOCH, VerifyMode};
use crate::domain::record::Change;
use crate::domain::template::Selection;
use crate::metrics::Kind;
use crate::world::archive::digest;
use crate::world::docker::Parts;
use crate::world::meter::room;

/// Room of the disk that snapshots leave to closings, bytes; a twentieth of a small one.
const RESERVE: u64 = 1 << 30;

/// What was stored of each seat last, within this life of the agent.
#[derive(Debug, Clone, Default)]
pub(super) struct LastSaved(Arc<Mutex<HashMap<SeatId, Saved>>>);

/// How a workspace was when it was stored.
#[derive(Debug, Clone)]
struct Saved {
    session: u64,
    print: Option<[u8; 32]>,
    content_digest: String,
    selection: Selection,
}

impl LastSaved {
    fn of(&self, order: &SnapshotOrder) -> Option<Saved> {
        let saved = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        saved
            .get(&order.seat)
            .filter(|saved| saved.session == order.session)
            .cloned()
    }

    fn note(&self, seat: SeatId, saved: Saved) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(seat, saved);
    }
}

/// What was stored and proven, and is to be recorded.
struct Stored {
    claim: ArchiveClaim,
    mode: VerifyMode,
    print: Option<[u8; 32]>,
}

impl World {
    /// Only the reading and sending is called off: what is stored is recorded, and what is forgotten is removed.
    pub(super) async fn snapshot(&self, order: SnapshotOrder, cancel: &CancellationToken) -> Result<Yield, Fault> {
        let _permit = permit(&self.snapshots, cancel).await?;
        let stored = tokio::select! {
            () = cancel.cancelled() => return Err(cancelled()),
            stored = Box::pin(self.store_if_changed(&order)) => stored?,
        };
        let Some(stored) = stored else {
            return Ok(Yield::Nothing);
        };
        self.record_snapshot(&order, stored, cancel).await?;
        Ok(Yield::Saved)
    }

    async fn store_if_changed(&self, order: &SnapshotOrder) -> Result<Option<Stored>, Fault> {
        let last = self.last_saved.of(order);
        // Taken before the work is read: what changes meanwhile shows next time.
        let print = self
            .docker
            .fingerprint(&order.seat, order.session, &order.container, &order.selection)
            .await;
        if let Some(last) = &last
            && self.is_as_it_was(order, print, last).await?
        {
            return Ok(None);
        }
        self.leave_room()?;
        let (claim, mode) = self.store_snapshot(order).await?;
        Ok(Some(Stored { claim, mode, print }))
    }

    /// Where no fingerprint can be taken the work is read, but not sent.
    async fn is_as_it_was(&self, order: &SnapshotOrder, print: Option<[u8; 32]>, last: &Saved) -> Result<bool, Fault> {
        if print.is_some() {
            return Ok(print == last.print);
        }
        let work = self.docker.work(&order.seat, order.session, Parts::Workspace).await?;
        let (to, supply) = mpsc::channel(1);
        // What was chosen then: a tangled work is stored with nothing left out.
        let (digests, supplied) = tokio::join!(
            digest(&order.seat, &last.selection, true, supply),
            work.supply(&last.selection, to)
        );
        supplied?;
        Ok(digests?.0 == last.content_digest)
    }

    /// A disk that snapshots fill would keep rooms from being closed.
    fn leave_room(&self) -> Result<(), Fault> {
        let Some((free, total)) = self.disk.as_deref().and_then(room) else {
            return Ok(());
        };
        let reserve = RESERVE.min(total / 20);
        if free >= reserve {
            return Ok(());
        }
        let text = format!(
            "the archive store has only {} MiB free; the last {} MiB are kept for the closing of rooms",
            free >> 20,
            reserve >> 20
        );
        Err(Fault::new(FaultCode::Store, text).hint("Free space there, or set `autosave = 0` in the template"))
    }

    /// Stored and read back. A copy that is not proven is taken away: the seat goes on, so it is not all that there is.
    async fn store_snapshot(&self, order: &SnapshotOrder) -> Result<(ArchiveClaim, VerifyMode), Fault> {
        let whole = ArchiveOrder {
            seat: order.seat.clone(),
            session: order.session,
            epoch: SNAPSHOT_EPOCH,
            selection: order.selection.clone(),
        };
        let claim = Box::pin(self.read_and_store(whole, Parts::Workspace, &(Arc::new(|_| {}) as _))).await?;
        match self.archives.scrub(&claim).await {
            Ok(mode) => {
                self.counts.stored(Kind::Snapshot, claim.content_bytes);
                self.counts.verified(Kind::Snapshot);
                Ok((claim, mode))
            }
            Err(fault) => {
                self.archives.abandon(&claim.seat, &claim.id).await;
                Err(fault)
            }
        }
    }

    async fn record_snapshot(
        &self,
        order: &SnapshotOrder,
        stored: Stored,
        cancel: &CancellationToken,
    ) -> Result<(), Fault> {
        let Stored { claim, mode, print } = stored;
        let write = vec![Change::AddArchive(claim.clone(), mode)];
        if let Err(fault) = self.ledger.write(write).await {
            // A ledger that cannot be asked may have it all the same.
            if let Ok(None) = self.ledger.claim(claim.id.clone()).await {
                self.archives.abandon(&claim.seat, &claim.id).await;
            }
            return Err(fault);
        }
        self.archives.settled(&claim.id);
        self.last_saved.note(
            order.seat.clone(),
            Saved {
                session: order.session,
                print,
                content_digest: claim.content_digest,
                selection: claim.extent.selection,
            },
        );
        self.forget_old(order, &claim.id, cancel).await
    }

    /// The row goes before the objects: what is listed can be restored. The newest one stays whatever the clock says.
    async fn forget_old(
        &self,
        order: &SnapshotOrder,
        newest: &ArchiveId,
        cancel: &CancellationToken,
    ) -> Result<(), Fault> {
        let all = self.ledger.snapshots(order.seat.clone(), order.session).await?;
        let others = all.into_iter().filter(|id| id != newest);
        for old in others.skip(self.snapshots_kept.saturating_sub(1)) {
            if cancel.is_cancelled() {
                break;
            }
            self.archives.doom(&order.seat, order.session, &old)?;
            self.ledger.write(vec![Change::DropSnapshot(old.clone())]).await?;
            self.archives.abandon(&order.seat, &old).await;
        }
        Ok(())
    }
}
