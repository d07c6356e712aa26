//! Archiving one seat: its work is read, packed and sent, and how far that is is told.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::Instant;

use super::clock;
use super::perform::{Tell, cancelled};
use super::world::World;
use crate::domain::effect::{ArchiveOrder, Yield};
use crate::domain::fault::{Fault, FaultCode};
use crate::domain::pace;
use crate::domain::proof::ArchiveClaim;
use crate::domain::template::Selection;
use crate::world::archive::Draft;
use crate::world::docker::{Parts, Work};

/// How often it is told how far a reading is.
const TELL_EVERY: Duration = Duration::from_millis(500);
/// A reading that takes longer is worth finding out how much there is: most are over before.
const SIZE_AFTER: Duration = Duration::from_secs(2);

impl World {
    pub(super) async fn archive(&self, order: ArchiveOrder, tell: Tell) -> Result<Yield, Fault> {
        let transfers = Arc::clone(&self.transfers);
        let _permit = transfers.acquire_owned().await.map_err(|_| cancelled())?;
        Box::pin(self.read_and_store(order, Parts::All, &tell))
            .await
            .map(Yield::Stored)
    }

    pub(super) async fn read_and_store(
        &self,
        order: ArchiveOrder,
        parts: Parts,
        tell: &Tell,
    ) -> Result<ArchiveClaim, Fault> {
        let work = self.docker.work(&order.seat, order.session, parts).await?;
        let stored = Box::pin(self.store_work(&order, work, tell)).await;
        match stored {
            Err(fault) if fault.code == FaultCode::Tangled => {
                Box::pin(self.archive_untangled(order, parts, tell)).await
            }
            stored => stored,
        }
    }

    /// A file that belongs to the work is another name of one that is left out, and the engine gives its content once:
    /// then nothing is left out.
    async fn archive_untangled(
        &self,
        mut order: ArchiveOrder,
        parts: Parts,
        tell: &Tell,
    ) -> Result<ArchiveClaim, Fault> {
        order.selection = Selection {
            include: Vec::new(),
            exclude: Vec::new(),
            ..order.selection
        };
        let work = self.docker.work(&order.seat, order.session, parts).await?;
        Box::pin(self.store_work(&order, work, tell)).await
    }

    async fn store_work(&self, order: &ArchiveOrder, work: Work, tell: &Tell) -> Result<ArchiveClaim, Fault> {
        let draft = draft(order)?;
        let progress = Arc::new(AtomicU64::new(0));
        let (to, supply) = mpsc::channel(1);
        let (log, size) = (work.log().await, work.size(&order.selection));
        let put = self.archives.put(draft, log, supply, Arc::clone(&progress));
        let both = async { tokio::join!(put, work.supply(&order.selection, to)) };
        let (stored, supplied) = tokio::select! {
            both = both => both,
            () = tell_progress(&progress, size, tell) => return Err(cancelled()),
        };
        if let Err(fault) = supplied {
            tracing::warn!(%fault, "a carrier is left for the next list");
        }
        stored
    }
}

fn draft(order: &ArchiveOrder) -> Result<Draft, Fault> {
    let created_unix_ms = clock::unix_ms();
    let id = clock::new_archive_id(created_unix_ms).ok_or_else(|| {
        let text = "the host's clock shows a time that no archive can have";
        Fault::new(FaultCode::Store, text)
    })?;
    Ok(Draft {
        id,
        seat: order.seat.clone(),
        session: order.session,
        epoch: order.epoch,
        created_unix_ms,
        selection: order.selection.clone(),
    })
}

/// Tells bytes, rate and the time left, for ever.
async fn tell_progress(progress: &AtomicU64, size: impl Future<Output = Option<u64>>, tell: &Tell) {
    let began = Instant::now();
    let mut ticks = tokio::time::interval(TELL_EVERY);
    ticks.tick().await;
    let size = async {
        tokio::time::sleep(SIZE_AFTER).await;
        size.await
    };
    tokio::pin!(size);
    let (mut total, mut asked) = (None, false);
    loop {
        tokio::select! {
            found = &mut size, if !asked => (total, asked) = (found, true),
            _ = ticks.tick() => {
                let bytes = progress.load(Ordering::Relaxed);
                let elapsed_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
                tell(pace::read(bytes, total, elapsed_ms));
            }
        }
    }
}
