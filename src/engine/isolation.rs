//! Whether rooms are closed in: what their seats reach is tried, the host's firewall and the engine are looked at.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::sleep;

use super::world::World;
use crate::domain::command::{Answer, Check};
use crate::domain::effect::Fact;
use crate::domain::fault::{Fault, FaultCode};
use crate::domain::ids::RoomName;
use crate::domain::isolation::{Reach, fit_for_exam};
use crate::domain::snapshot::Snapshot;
use crate::domain::template::Egress;
use crate::firewall;
use crate::world::isolation::{self, Targets};

/// How often the firewall is looked at while an exam goes on.
const WALLS_EVERY: Duration = Duration::from_secs(5);
/// The way past a proof.
const OVERRIDE: &str = "An admin may open it all the same, with `room open --override`";
/// Loads the firewall.
const FIX: &str = "Load it with `labtop doctor --fix` as root; the unit labtop-agent does it at every start";

impl World {
    /// Takes a look from inside a room's network, or from one that is made alike when it has none.
    ///
    /// # Errors
    /// When it cannot be tried.
    async fn reaches(&self, room: &RoomName, egress: Egress) -> Result<Vec<Reach>, Fault> {
        let (world, room) = (self.clone(), room.clone());
        // A task of its own: whoever waits may leave, and what was made is taken away all the same.
        let look = tokio::spawn(async move {
            let _alone = world.docker.probing().await;
            world.docker.sweep_probes().await?;
            let looked = Box::pin(world.look_from(&room, egress)).await;
            if let Err(fault) = world.docker.sweep_probes().await {
                tracing::warn!(%fault, "probes are left until the next look");
            }
            looked
        });
        look.await.unwrap_or_else(|error| Err(ended_early(&error)))
    }

    async fn look_from(&self, room: &RoomName, egress: Egress) -> Result<Vec<Reach>, Fault> {
        let stand = self.docker.probe_stand(room, egress).await?;
        let services = Arc::clone(&self.services);
        let look = tokio::task::spawn_blocking(move || isolation::look(&stand, &Targets::new(services.to_vec())));
        look.await.unwrap_or_else(|error| Err(ended_early(&error)))
    }

    /// Sees that the seats of a room that becomes an exam will reach nothing.
    ///
    /// # Errors
    /// [`FaultCode::NotIsolated`], with every way that is open, or why nobody can tell.
    pub(super) async fn prove_isolation(&self, room: &RoomName) -> Result<(), Fault> {
        let proven = self.closed_in(room).await;
        proven.map_err(|fault| match fault.code {
            FaultCode::NotIsolated => {
                let hint = format!("{}. {OVERRIDE}", fault.hint);
                Fault::new(fault.code, fault.text).hint(hint.trim_start_matches(". "))
            }
            _ => fault,
        })
    }

    async fn closed_in(&self, room: &RoomName) -> Result<(), Fault> {
        // What is tried is not everything that the host may serve: the rules close all of it.
        let loaded = firewall::is_loaded().await;
        if loaded != Ok(true) {
            let why = loaded.err().unwrap_or_else(|| "it is not".to_owned());
            let text = format!("room {room} is no exam unless labtop's firewall table is loaded: {why}");
            return Err(Fault::new(FaultCode::NotIsolated, text).hint(FIX));
        }
        fit_for_exam(room, &self.reaches(room, Egress::Closed).await?)
    }
}

fn ended_early(error: &tokio::task::JoinError) -> Fault {
    Fault::new(
        FaultCode::NotIsolated,
        format!("the look from inside a room ended early: {error}"),
    )
}

/// The report on one room.
pub(super) async fn answer(world: &World, room: RoomName, egress: Egress) -> Answer {
    match world.reaches(&room, egress).await {
        Ok(reaches) => Answer::Doctor {
            checks: reaches.iter().map(|reach| reach.judge(egress)).collect(),
        },
        Err(fault) => Answer::Failed { fault },
    }
}

/// Whether the host's firewall has labtop's rules.
pub(super) async fn walls(world: &World) -> Check {
    const NAME: &str = "firewall";
    if !world.docker.is_local() {
        let text = "the engine is on another host, whose firewall is not seen from here";
        return Check::warn(NAME, text, "Load labtop.nft there");
    }
    match firewall::is_loaded().await {
        Ok(true) => Check::ok(NAME, "the table `inet labtop` is loaded"),
        Ok(false) => Check::warn(
            NAME,
            "the table `inet labtop` is not loaded: seats reach this host's services",
            FIX,
        ),
        Err(why) => Check::warn(NAME, format!("not seen: {why}"), FIX),
    }
}

/// Sees that the firewall keeps the table while an exam goes on, and loads it again where it may. Ends with the loop.
///
/// A table that was never seen is told of once and not loaded: an admin may have opened the exam without, because
/// something on the host does not go with it.
pub(super) async fn keep_walls(snapshots: watch::Receiver<Arc<Snapshot>>, facts: mpsc::Sender<Fact>) {
    // From the beginning: after a reboot the exam is there, and the table may not be.
    let (mut seen, mut told) = (matches!(firewall::is_loaded().await, Ok(true)), None);
    while !facts.is_closed() {
        sleep(WALLS_EVERY).await;
        if !snapshots.borrow().rooms.iter().any(|room| room.exam) {
            told = None;
            continue;
        }
        let loss = match firewall::is_loaded().await {
            Ok(true) => {
                (seen, told) = (true, None);
                continue;
            }
            Ok(false) if seen => firewall::load().await.err(),
            Ok(false) => Some("it was not there since the agent started".to_owned()),
            Err(why) => Some(why),
        };
        // Once for each cause: it is tried again and again.
        if told.as_ref() != Some(&loss) {
            let _ = facts.send(Fact::WallsLost(loss.clone())).await;
            told = Some(loss);
        }
    }
}

/// What is known to be wrong with engines of that version, as far as seats are concerned.
pub(super) async fn holes(world: &World) -> Check {
    const NAME: &str = "engine holes";
    match world.docker.hello().await {
        Ok(info) => match known_holes(&info.version) {
            Some(told) if told.is_empty() => Check::ok(NAME, "none is known of this version"),
            Some(told) => Check::warn(NAME, told.join("; "), "Install a newer engine when no room is open"),
            None => Check::warn(
                NAME,
                format!("version {} tells nothing", info.version),
                "See the engine's notes",
            ),
        },
        Err(fault) => Check::fail(NAME, fault.text, fault.hint),
    }
}

/// The first version of a line of releases in which a hole is closed; of the last line all later ones.
type ClosedIn = &'static [[u32; 3]];

/// Holes of Docker between seats, host and outside, and what labtop does about each.
const HOLES: [(ClosedIn, &str); 2] = [
    (
        &[[23, 0, 11], [25, 0, 5], [26, 0, 0]],
        "it passes questions for names out of closed networks (CVE-2024-29018; closed here by giving seats no resolver)",
    ),
    (
        &[[28, 0, 0]],
        "it lets neighbours of this host in its network route to open rooms' seats (closed by the firewall's table)",
    ),
];

/// The holes of a version; none when it cannot be read.
fn known_holes(version: &str) -> Option<Vec<&'static str>> {
    let version = numbers(version)?;
    let open = HOLES.iter().filter(|(closed, _)| !is_closed(version, closed));
    Some(open.map(|(_, text)| *text).collect())
}

fn is_closed(version: [u32; 3], closed: &[[u32; 3]]) -> bool {
    let same_line = closed.iter().find(|fixed| fixed[0] == version[0]);
    let later = closed.last().is_some_and(|last| version[0] > last[0]);
    later || same_line.is_some_and(|fixed| version >= *fixed)
}

fn numbers(version: &str) -> Option<[u32; 3]> {
    let mut parts = version.split(|c: char| !c.is_ascii_digit());
    let mut next = || parts.next()?.parse().ok();
    Some([next()?, next()?, next().unwrap_or(0)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_judged_by_their_own_line() {
        let count = |version| known_holes(version).map(|holes| holes.len());
        for (version, holes) in [
            ("20.10.24+dfsg1", 2),
            ("23.0.10", 2),
            ("23.0.11", 1),
            ("24.0.9", 2),
            ("25.0.4", 2),
            ("25.0.5", 1),
            ("26.0.0-rc3", 1),
            ("27.5.1", 1),
            ("28.0.0", 0),
            ("29.1", 0),
        ] {
            assert_eq!(count(version), Some(holes), "{version}");
        }
        assert_eq!(count("dev"), None);
    }
}
