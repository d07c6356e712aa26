//! Snapshots: the workspace of a seat that goes on, stored and proven when it is not as it was.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::perform::{cancelled, permit};
use super::world::World;
use crate::domain::effect::{ArchiveOrder, SnapshotOrder, Yield};
use crate::domain::fault::{Fault, FaultCode};
use crate::domain::ids::SeatId;
use crate::domain::proof::{ArchiveClaim, SNAPSHOT_EPOCH};
use crate::domain::record::Change;
use crate::world::archive::digest;
use crate::world::docker::Parts;

/// What was stored of each seat last, within this life of the agent.
#[derive(Debug, Clone, Default)]
pub(super) struct LastSaved(Arc<Mutex<HashMap<SeatId, Saved>>>);

/// How a workspace was when it was stored.
#[derive(Debug, Clone)]
struct Saved {
    session: u64,
    print: Option<[u8; 32]>,
    content_digest: String,
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

impl World {
    pub(super) async fn snapshot(&self, order: SnapshotOrder, cancel: &CancellationToken) -> Result<Yield, Fault> {
        let _permit = permit(&self.snapshots, cancel).await?;
        tokio::select! {
            () = cancel.cancelled() => Err(cancelled()),
            done = Box::pin(self.save(&order)) => done.map(|()| Yield::Nothing),
        }
    }

    async fn save(&self, order: &SnapshotOrder) -> Result<(), Fault> {
        let last = self.last_saved.of(order);
        // Taken before the work is read: what changes meanwhile shows next time.
        let print = self
            .docker
            .fingerprint(&order.seat, order.session, &order.container, &order.selection)
            .await;
        if let Some(last) = &last
            && self.is_as_it_was(order, print, last).await?
        {
            return Ok(());
        }
        let claim = self.store_snapshot(order).await?;
        self.last_saved.note(
            order.seat.clone(),
            Saved {
                session: order.session,
                print,
                content_digest: claim.content_digest,
            },
        );
        self.forget_old(order).await
    }

    /// Where no fingerprint can be taken the work is read, but not sent.
    async fn is_as_it_was(&self, order: &SnapshotOrder, print: Option<[u8; 32]>, last: &Saved) -> Result<bool, Fault> {
        if print.is_some() {
            return Ok(print == last.print);
        }
        let work = self.docker.work(&order.seat, order.session, Parts::Workspace).await?;
        let (to, supply) = mpsc::channel(1);
        let (digests, supplied) = tokio::join!(
            digest(&order.seat, &order.selection, true, supply),
            work.supply(&order.selection, to)
        );
        supplied?;
        Ok(digests?.0 == last.content_digest)
    }

    /// Stored, read back, recorded: in this order.
    async fn store_snapshot(&self, order: &SnapshotOrder) -> Result<ArchiveClaim, Fault> {
        let whole = ArchiveOrder {
            seat: order.seat.clone(),
            session: order.session,
            epoch: SNAPSHOT_EPOCH,
            selection: order.selection.clone(),
        };
        let claim = Box::pin(self.read_and_store(whole, Parts::Workspace, &(Arc::new(|_| {}) as _))).await?;
        let mode = match self.archives.scrub(&claim).await {
            Ok(mode) => mode,
            Err(fault) => {
                if fault.code == FaultCode::Mismatch {
                    self.archives.abandon(&claim.seat, &claim.id).await;
                }
                return Err(fault);
            }
        };
        self.ledger.write(vec![Change::AddArchive(claim.clone(), mode)]).await?;
        self.archives.settled(&claim.id);
        Ok(claim)
    }

    /// The objects go before the row: what is listed can be restored, or is found missing and forgotten next time.
    async fn forget_old(&self, order: &SnapshotOrder) -> Result<(), Fault> {
        let all = self.ledger.snapshots(order.seat.clone(), order.session).await?;
        for old in all.into_iter().skip(self.snapshots_kept) {
            self.archives.remove(&order.seat, &old).await?;
            self.ledger.write(vec![Change::DropSnapshot(old)]).await?;
        }
        Ok(())
    }
}
