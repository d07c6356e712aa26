//! Performing one task in the world, within the bounds on what runs at once.
//!
//! Kill, freeze, thaw and the ledger take no permit: they overtake whatever waits.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use futures_util::StreamExt;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

use super::world::World;
use super::{clock, probe};
use crate::domain::effect::{SeatOrder, Task, Yield};
use crate::domain::fault::{Fault, FaultCode};
use crate::domain::ids::SeatId;
use crate::domain::seen::ContainerSeen;
use crate::world::archive::Draft;

/// How much more of a workspace is read before that is told: some ten times a second at the speed of an engine.
const PROGRESS_STEP_BYTES: u64 = 16 << 20;

/// How a task tells how far it is.
pub(super) type Tell = Arc<dyn Fn(String) + Send + Sync>;

impl World {
    /// Performs a task. What can be called off ends soon after `cancel`, with [`FaultCode::Cancelled`]; a call that
    /// changes a seat is never abandoned half-way.
    pub(super) async fn perform(&self, task: Task, cancel: &CancellationToken, tell: Tell) -> Result<Yield, Fault> {
        match task {
            Task::Provision(order) => self.provision(&order, cancel).await,
            Task::Probe(order, seen) => or_cancelled(cancel, probe::until_ready(self.probe, &order, &seen)).await,
            Task::Archive { seat, session, epoch } => {
                or_cancelled(cancel, Box::pin(self.archive(seat, session, epoch, tell))).await
            }
            Task::Verify { claim, stillness } => {
                let _permit = permit(&self.archives, cancel).await?;
                let verified = or_cancelled(cancel, self.store.verify(claim, stillness)).await?;
                Ok(Yield::Verified(verified))
            }
            Task::Preflight { template, .. } => {
                let checked = Box::pin(self.docker.preflight(&template, move |words| tell(words)));
                or_cancelled(cancel, checked).await.map(|()| Yield::Nothing)
            }
            Task::RemoveVolume(warrant) => {
                let _permit = permit(&self.removals, cancel).await?;
                let removed = Box::pin(self.docker.remove_volume(&warrant)).await;
                removed.map(|()| Yield::Nothing)
            }
            Task::List => self.docker.list().await.map(Yield::Listed),
            other => Box::pin(self.call(other, cancel)).await,
        }
    }

    async fn call(&self, task: Task, cancel: &CancellationToken) -> Result<Yield, Fault> {
        let docker = &self.docker;
        match task {
            Task::Kill(_, id) => docker.kill(&id).await.map(seen),
            Task::Freeze(_, id) => docker.freeze(&id).await.map(seen),
            Task::Thaw(_, id) => docker.thaw(&id).await.map(seen),
            other => {
                let _permit = permit(&self.calls, cancel).await?;
                self.bounded_call(other).await
            }
        }
    }

    async fn bounded_call(&self, task: Task) -> Result<Yield, Fault> {
        let docker = &self.docker;
        match task {
            Task::EnsureNetwork { room, session, egress } => docker
                .ensure_network(&room, session, egress)
                .await
                .map(|()| Yield::Nothing),
            Task::RemoveNetwork(room) => docker.remove_network(&room).await.map(|()| Yield::Nothing),
            Task::Start(_, id) => docker.start(&id).await.map(seen),
            Task::Restart(_, id) => docker.restart(&id).await.map(seen),
            Task::Hold { seat, session } => docker
                .hold(&seat, session)
                .await
                .map(|(container, stillness)| Yield::Held(container, stillness)),
            Task::RemoveContainer(warrant) => docker.remove_container(&warrant).await.map(|()| Yield::Nothing),
            Task::Reap(id) => docker.reap(&id).await.map(|()| Yield::Nothing),
            // Writes keep an order of their own and never come here; the rest was taken before.
            other => Err(Fault::new(FaultCode::Engine, format!("no adapter performs {other:?}"))),
        }
    }

    async fn provision(&self, order: &SeatOrder, cancel: &CancellationToken) -> Result<Yield, Fault> {
        let _permit = permit(&self.creations, cancel).await?;
        self.docker.provision(order, cancel).await.map(Yield::Seen)
    }

    async fn archive(&self, seat: SeatId, session: u64, epoch: u64, tell: Tell) -> Result<Yield, Fault> {
        let _permit = Arc::clone(&self.archives)
            .acquire_owned()
            .await
            .map_err(|_| cancelled())?;
        let created_unix_ms = clock::unix_ms();
        let id = clock::new_archive_id(created_unix_ms).ok_or_else(|| {
            Fault::new(
                FaultCode::Store,
                "the host's clock shows a time that no archive can have",
            )
        })?;
        let mut workspace = self.docker.workspace(&seat, session).await?;
        let draft = Draft {
            id,
            seat,
            session,
            epoch,
            created_unix_ms,
        };
        let told = AtomicU64::new(0);
        let progress = move |bytes: u64| {
            let whole = bytes / PROGRESS_STEP_BYTES;
            if told.swap(whole, Ordering::Relaxed) != whole {
                tell(format!("{} MiB read", bytes >> 20));
            }
        };
        let stored = self.store.put(draft, workspace.by_ref(), progress).await;
        if let Err(fault) = workspace.finish().await {
            tracing::warn!(%fault, "a carrier is left for the next list");
        }
        stored.map(Yield::Stored)
    }
}

fn seen(container: Option<ContainerSeen>) -> Yield {
    container.map_or(Yield::Nothing, Yield::Seen)
}

fn cancelled() -> Fault {
    Fault::new(FaultCode::Cancelled, "called off")
}

async fn permit(of: &Arc<Semaphore>, cancel: &CancellationToken) -> Result<OwnedSemaphorePermit, Fault> {
    tokio::select! {
        () = cancel.cancelled() => Err(cancelled()),
        permit = Arc::clone(of).acquire_owned() => permit.map_err(|_| cancelled()),
    }
}

async fn or_cancelled<T>(cancel: &CancellationToken, work: impl Future<Output = Result<T, Fault>>) -> Result<T, Fault> {
    tokio::select! {
        () = cancel.cancelled() => Err(cancelled()),
        result = work => result,
    }
}
