//! Performing one task in the world, within the bounds on what runs at once.
//!
//! Kill, freeze, thaw and the ledger take no permit: they overtake whatever waits.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::probe;
use super::world::World;
use crate::domain::effect::{SeatOrder, Task, Yield};
use crate::domain::fault::{Fault, FaultCode};
use crate::domain::ids::SeatId;
use crate::domain::proof::Warrant;
use crate::domain::seen::ContainerSeen;
use crate::world::cut::cut;

/// When connections are cut after the end of a session, each after the one before.
const CUT_AFTER: [Duration; 2] = [Duration::from_millis(250), Duration::from_millis(1_500)];

/// How a task tells how far it is.
pub(super) type Tell = Arc<dyn Fn(String) + Send + Sync>;

impl World {
    /// Performs a task. What can be called off ends soon after `cancel`, with [`FaultCode::Cancelled`]; a call that
    /// changes a seat is never abandoned half-way.
    pub(super) async fn perform(&self, task: Task, cancel: &CancellationToken, tell: Tell) -> Result<Yield, Fault> {
        match task {
            Task::Provision(order) => self.provision(&order, cancel).await,
            Task::Probe(order, seen) => {
                or_cancelled(
                    cancel,
                    probe::until_ready((self.probe, self.proxy.as_ref()), &order, &seen),
                )
                .await
            }
            Task::Archive(order) => or_cancelled(cancel, Box::pin(self.archive(order, tell))).await,
            Task::Snapshot(order) => Box::pin(self.snapshot(order, cancel)).await,
            Task::Verify { claim, stillness } => {
                let _permit = permit(&self.proofs, cancel).await?;
                let verified = or_cancelled(cancel, self.archives.verify(claim, stillness)).await?;
                Ok(Yield::Verified(verified))
            }
            Task::Preflight {
                room,
                template,
                restore,
                isolated,
            } => {
                let words = Arc::clone(&tell);
                let checked = Box::pin(self.docker.preflight(&template, move |text| words(text)));
                or_cancelled(cancel, checked).await?;
                // Last, because a pull takes long, and an older snapshot may make room meanwhile.
                if let Some(restore) = restore {
                    tell(format!("reading archive {} back", restore.archive));
                    or_cancelled(cancel, Box::pin(self.check_restore(&restore))).await?;
                }
                if isolated {
                    tell("trying what its seats would reach".to_owned());
                    or_cancelled(cancel, self.prove_isolation(&room)).await?;
                }
                Ok(Yield::Nothing)
            }
            Task::RemoveVolume(warrant) => {
                let _permit = permit(&self.removals, cancel).await?;
                self.confirm(&warrant).await?;
                Box::pin(self.docker.remove_volume(&warrant)).await?;
                self.tidy(&warrant).await;
                Ok(Yield::Nothing)
            }
            Task::Cut(seat, address) => {
                self.cut(&seat, address).await?;
                Ok(Yield::Nothing)
            }
            Task::List => self.docker.list().await.map(Yield::Listed),
            other => Box::pin(self.call(other, cancel)).await,
        }
    }

    /// Cuts what an ended session may have begun. Gateways hear of its end within a second; who comes back before is cut
    /// again.
    async fn cut(&self, seat: &SeatId, address: IpAddr) -> Result<(), Fault> {
        let may_go_on = |why: String| {
            let text = format!("a connection that was begun in an ended session may go on: {why}");
            Fault::new(FaultCode::Engine, text).hint(format!("`labtop seat restart {seat}` ends it"))
        };
        if !self.docker.is_local() {
            return Err(may_go_on("the engine is on another host".to_owned()));
        }
        for pause in CUT_AFTER {
            sleep(pause).await;
            cut(address).await.map_err(may_go_on)?;
        }
        Ok(())
    }

    /// A proof may have waited for its turn: what it proves must still be there when the work goes.
    async fn confirm(&self, warrant: &Warrant) -> Result<(), Fault> {
        match warrant {
            Warrant::Verified(archive) => self.archives.confirm(archive.claim()).await,
            Warrant::Discard(_) => Ok(()),
        }
    }

    /// Nothing is left of a seat but its archives: what else was begun of them goes.
    async fn tidy(&self, warrant: &Warrant) {
        let Warrant::Verified(archive) = warrant else { return };
        let claim = archive.claim();
        match self.ledger.claims(Some(claim.seat.clone())).await {
            Ok(recorded) => self.archives.tidy(&claim.seat, claim.session, &recorded).await,
            // Then nothing is known to be of no use; the next start sweeps.
            Err(fault) => tracing::warn!(%fault, seat = %claim.seat, "attempts at an archive stay in the store"),
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
                Box::pin(self.bounded_call(other)).await
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
            Task::RemoveContainer(warrant) => {
                self.confirm(&warrant).await?;
                docker.remove_container(&warrant).await.map(|()| Yield::Nothing)
            }
            Task::Absolve(student) => self.absolve(&student).await.map(|()| Yield::Nothing),
            Task::Reap(id) => docker.reap(&id).await.map(|()| Yield::Nothing),
            // Writes keep an order of their own and never come here; the rest was taken before.
            other => Err(Fault::new(FaultCode::Engine, format!("no adapter performs {other:?}"))),
        }
    }

    async fn provision(&self, order: &SeatOrder, cancel: &CancellationToken) -> Result<Yield, Fault> {
        let _permit = permit(&self.creations, cancel).await?;
        let _shared = self.shared_permit(cancel).await?;
        let refill = match &order.restore {
            Some(archive) => Some(self.refill(archive, &order.seat).await),
            None => None,
        };
        Box::pin(self.docker.provision_from(order, refill, cancel))
            .await
            .map(Yield::Seen)
    }
}

fn seen(container: Option<ContainerSeen>) -> Yield {
    container.map_or(Yield::Nothing, Yield::Seen)
}

pub(super) fn cancelled() -> Fault {
    Fault::new(FaultCode::Cancelled, "called off")
}

pub(super) async fn permit(of: &Arc<Semaphore>, cancel: &CancellationToken) -> Result<OwnedSemaphorePermit, Fault> {
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
