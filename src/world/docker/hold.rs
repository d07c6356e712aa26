//! Stilling a seat, and the evidence of it.
//!
//! The evidence of a frozen seat is its CPU time, to the nano- or microsecond that the kernel counts in: whatever a program of it did after the
//! evidence was taken has moved it. A thaw in which no program got to run moves nothing (Linux 6.x parks sleeping
//! tasks without waking them) and has written nothing either.

use super::Docker;
use crate::domain::fault::{Fault, FaultCode};
use crate::domain::ids::SeatId;
use crate::domain::names::Kind;
use crate::domain::proof::Stillness;
use crate::domain::seen::{ContainerSeen, RunState};

impl Docker {
    /// Freezes the seat if it runs, and takes evidence that nothing runs in it. The evidence is read only after the
    /// freeze took effect: what ran before is in it, what runs later differs from it.
    ///
    /// # Errors
    /// When the engine fails, or the seat goes on running.
    pub async fn hold(&self, seat: &SeatId, session: u64) -> Result<(Option<ContainerSeen>, Stillness), Fault> {
        let mut seen = self.seat_container(seat, session).await?;
        if let Some(running) = seen.as_ref().filter(|seen| seen.state == RunState::Running) {
            seen = self.freeze(&running.id.clone()).await?;
        }
        let Some(seen) = seen else {
            return Ok((None, Stillness::Absent));
        };
        let stillness = match seen.state {
            RunState::Paused => Stillness::Paused {
                container: seen.id.clone(),
                started_at: seen.started_at.clone(),
                cpu_ns: self.cpu_ns(&seen).await?,
            },
            RunState::Running => {
                return Err(Fault::new(
                    FaultCode::Engine,
                    format!("{seat} went on running when it was frozen"),
                ));
            }
            RunState::Created | RunState::Exited | RunState::Dead => Stillness::Stopped {
                container: seen.id.clone(),
                started_at: seen.started_at.clone(),
                finished_at: seen.finished_at.clone(),
            },
        };
        Ok((Some(seen), stillness))
    }

    /// The container of a seat in one opening of its room, found by its name, or by its labels when somebody renamed it.
    /// One of another opening is none.
    pub(super) async fn seat_container(&self, seat: &SeatId, session: u64) -> Result<Option<ContainerSeen>, Fault> {
        let name = self.inner.names.seat(seat);
        let Some(found) = self.inspect(&name).await? else {
            return self.renamed(seat, session).await;
        };
        match self.seen(found) {
            Some(seen) if seen.seat == *seat => Ok((seen.session == session).then_some(seen)),
            _ => Err(foreign(Kind::Seat, &name)),
        }
    }

    async fn renamed(&self, seat: &SeatId, session: u64) -> Result<Option<ContainerSeen>, Fault> {
        for id in self.labelled(seat, session).await? {
            if let Some(seen) = self.look(&id).await? {
                return Ok(Some(seen));
            }
        }
        Ok(None)
    }
}

/// The fault of a name that something else bears.
pub(super) fn foreign(kind: Kind, name: &str) -> Fault {
    let (thing, verb) = match kind {
        Kind::Seat | Kind::Carrier => ("container", "docker rename"),
        Kind::Network => ("network", "docker network inspect"),
        Kind::Volume => ("volume", "docker volume inspect"),
        Kind::Probe => ("probe", "docker inspect"),
    };
    Fault::new(
        FaultCode::NameTaken,
        format!("the name {name} is taken by a {thing} that is not labtop's; it was not touched"),
    )
    .hint(format!(
        "See `{verb} {name}`; rename or remove it by hand, then try again"
    ))
}
