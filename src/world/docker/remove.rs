//! Removing containers and workspaces, only with a warrant.
//!
//! Invariant 1 ends here: a container goes only if it provably did not run since the evidence of its warrant was
//! taken; anything doubtful is [`FaultCode::Thawed`] and leaves the workspace. No call here is forced.

use std::time::Duration;

use bollard::query_parameters::{InspectContainerOptions, RemoveContainerOptions, RemoveVolumeOptions};
use tokio::sync::mpsc;

use super::errors::OrGone;
use super::evidence::{Watch, nanoseconds, started_after, thawed_before_kill};
use super::hold::foreign;
use super::spec::owner;
use super::work::Parts;
use super::{Docker, carrier};
use crate::domain::fault::{Fault, FaultCode};
use crate::domain::ids::{ContainerId, SeatId};
use crate::domain::names::Kind;
use crate::domain::proof::{Discard, Stillness, VerifiedArchive, Warrant};
use crate::domain::seen::{ContainerSeen, RunState};
use crate::world::archive::digest;

/// A carrier of a reading that was called off may be on its way out: so often, and so long in between, it is looked again.
const IN_USE_LOOKS: usize = 10;
const IN_USE_WAIT: Duration = Duration::from_millis(300);

impl Docker {
    /// Removes a seat's container, never its workspace. With a verified archive the container must still be as the
    /// archive's evidence says, up to its end by our own kill.
    ///
    /// # Errors
    /// [`FaultCode::Thawed`] when it ran meanwhile or that cannot be ruled out; [`FaultCode::Unknown`] when the
    /// engine did not answer; nothing is lost in either case.
    pub async fn remove_container(&self, warrant: &Warrant) -> Result<(), Fault> {
        match warrant {
            Warrant::Discard(order) => self.remove_discarded(order).await,
            Warrant::Verified(archive) => match archive.stillness() {
                Stillness::Absent => self.confirm_absent(archive).await,
                Stillness::Paused { container, cpu_ns, .. } => self.remove_frozen(archive, container, *cpu_ns).await,
                Stillness::Stopped { container, .. } => self.remove_stopped(archive, container).await,
            },
        }
    }

    async fn confirm_absent(&self, archive: &VerifiedArchive) -> Result<(), Fault> {
        let claim = archive.claim();
        match self.seat_container(&claim.seat, claim.session).await? {
            None => Ok(()),
            Some(_) => Err(thawed(&claim.seat, "a container was made after its work was read")),
        }
    }

    async fn remove_frozen(&self, archive: &VerifiedArchive, id: &ContainerId, cpu_ns: u64) -> Result<(), Fault> {
        let seat = &archive.claim().seat;
        let Stillness::Paused { started_at, .. } = archive.stillness() else {
            return Err(thawed(seat, "the evidence is not of a frozen seat"));
        };
        let mut watch = self.watch(id, started_at)?;
        let seen = self.agreeing(archive, id).await?;
        // The time first: what happens between the two is then told among the events that count.
        let looked = self.engine_time().await?;
        if self.cpu_ns(&seen).await? != cpu_ns {
            return Err(thawed(seat, "its CPU time moved"));
        }
        let looked_ns = nanoseconds(&looked);
        self.doom(&seen);
        self.kill_seen(&seen).await?;
        let history = watch.until("die", looked_ns).await?;
        if let Some(what) = thawed_before_kill(&history, looked_ns) {
            return Err(thawed(seat, &format!("the engine tells of a {what} before its end")));
        }
        let died_ns = history.last().map_or(looked_ns, |event| event.at_ns);
        self.unchanged_elsewhere(archive).await?;
        self.remove_down(seat, id, &mut watch, died_ns).await
    }

    /// Reads the workspace once more and compares it with what the archive holds.
    ///
    /// The engine thaws what it kills, and until the seat's first program is dead the others run, unless they were doomed
    /// before: a busy one writes in that moment (measured: two of three do). Somebody may also have copied a file into it,
    /// or mounted it elsewhere. So this is done last, when no container is left to write.
    async fn unchanged(&self, archive: &VerifiedArchive) -> Result<(), Fault> {
        let claim = archive.claim();
        let (workspace, _) = self.digest(archive, Parts::Workspace).await?;
        if workspace != claim.content_digest {
            return Err(thawed(&claim.seat, "its workspace is not as it was read"));
        }
        Ok(())
    }

    /// What changed outside the workspace, once more: the container is down, and with it this would go.
    async fn unchanged_elsewhere(&self, archive: &VerifiedArchive) -> Result<(), Fault> {
        let claim = archive.claim();
        let (_, elsewhere) = self.digest(archive, Parts::Elsewhere).await?;
        if elsewhere != claim.extent.elsewhere_digest {
            return Err(thawed(
                &claim.seat,
                "its files outside the workspace are not as they were read",
            ));
        }
        Ok(())
    }

    async fn digest(&self, archive: &VerifiedArchive, parts: Parts) -> Result<(String, Option<String>), Fault> {
        let claim = archive.claim();
        let selection = &claim.extent.selection;
        let work = self.work(&claim.seat, claim.session, parts).await?;
        let (to, supply) = mpsc::channel(1);
        let (digest, supplied) = tokio::join!(
            digest(&claim.seat, selection, false, supply),
            work.supply(selection, to)
        );
        if let Err(fault) = supplied {
            tracing::warn!(%fault, "a carrier is left for the next list");
        }
        digest
    }

    async fn remove_stopped(&self, archive: &VerifiedArchive, id: &ContainerId) -> Result<(), Fault> {
        // A start before this look shows in it; one after it is told of. (The engine may tell of the first start of a
        // short program only after its end, so the end itself is no good mark.)
        let looked = self.engine_time().await?;
        let mut watch = self.watch(id, &looked)?;
        self.agreeing(archive, id).await?;
        self.unchanged_elsewhere(archive).await?;
        self.remove_down(&archive.claim().seat, id, &mut watch, nanoseconds(&looked))
            .await
    }

    /// The container as it is, if it is as the evidence says.
    async fn agreeing(&self, archive: &VerifiedArchive, id: &ContainerId) -> Result<ContainerSeen, Fault> {
        let claim = archive.claim();
        let seen = self.look(id).await?;
        let same = seen
            .as_ref()
            .is_none_or(|seen| seen.seat == claim.seat && seen.session == claim.session);
        let agrees = same && archive.stillness().agrees_with(seen.as_ref());
        match seen {
            None => Err(thawed(&claim.seat, "its container vanished")),
            Some(seen) if agrees => Ok(seen),
            Some(seen) => Err(thawed(&claim.seat, &format!("it is {:?} now", seen.state))),
        }
    }

    /// Removes a container that is down, and sees in the engine's record that it was not started before it went.
    async fn remove_down(
        &self,
        seat: &SeatId,
        id: &ContainerId,
        watch: &mut Watch,
        down_since_ns: i128,
    ) -> Result<(), Fault> {
        let call = self
            .client()?
            .remove_container(id.as_str(), None::<RemoveContainerOptions>);
        match self.change(format!("removing the container of {seat}"), call).await {
            Err(trouble) if trouble.is_conflict() && !trouble.mentions("already in progress") => {
                return Err(thawed(seat, &trouble.fault.text));
            }
            Err(trouble) if !trouble.is_gone() && !trouble.is_conflict() => return Err(trouble.fault),
            _ => {}
        }
        let history = watch.until("destroy", i128::MIN).await?;
        match started_after(&history, down_since_ns) {
            Some(what) => Err(thawed(
                seat,
                &format!("the engine tells of a {what} before its removal"),
            )),
            None => Ok(()),
        }
    }

    async fn remove_discarded(&self, order: &Discard) -> Result<(), Fault> {
        let seat = &order.seat;
        let Some(seen) = self.seat_container(seat, order.session).await? else {
            return Ok(());
        };
        if !seen.state.is_down() {
            self.kill_seen(&seen).await?;
        }
        let call = self
            .client()?
            .remove_container(seen.id.as_str(), None::<RemoveContainerOptions>);
        let removed = self.change(format!("removing the container of {seat}"), call).await;
        removed.or_gone().map(drop)
    }

    /// Removes a seat's workspace. Its container must be gone: the engine refuses while anything uses it. With a verified
    /// archive the workspace must still be what that holds.
    ///
    /// # Errors
    /// [`FaultCode::Thawed`] when it is not what was archived: nothing is removed then.
    /// [`FaultCode::NameTaken`] when it is not this seat's, [`FaultCode::Engine`] when it is in use.
    pub async fn remove_volume(&self, warrant: &Warrant) -> Result<(), Fault> {
        let (seat, session) = (warrant.seat(), warrant.session());
        if !self.has_volume(seat, session).await? {
            return Ok(());
        }
        if let Warrant::Verified(archive) = warrant {
            self.confirm_absent(archive).await?;
            self.unchanged(archive).await?;
        }
        let name = self.inner.names.volume(seat, session);
        for _ in 0..IN_USE_LOOKS {
            let call = self.client()?.remove_volume(&name, None::<RemoveVolumeOptions>);
            match self.change(format!("removing the workspace of {seat}"), call).await {
                Err(trouble) if trouble.is_conflict() => tokio::time::sleep(IN_USE_WAIT).await,
                result => return result.or_gone().map(drop),
            }
        }
        let text = format!("removing the workspace of {seat}: something uses it");
        Err(Fault::new(FaultCode::Engine, text).hint(format!("See `docker ps -a --filter volume={name}`")))
    }

    /// Whether the seat's workspace exists.
    pub(super) async fn has_volume(&self, seat: &SeatId, session: u64) -> Result<bool, Fault> {
        let name = self.inner.names.volume(seat, session);
        let call = self.client()?.inspect_volume(&name);
        let Some(found) = self
            .read(format!("looking at the workspace of {seat}"), call)
            .await
            .or_gone()?
        else {
            return Ok(false);
        };
        match owner(&self.inner.options.instance, &found.labels, Kind::Volume) {
            Some(of) if of == (seat.clone(), session) => Ok(true),
            _ => Err(foreign(Kind::Volume, &name)),
        }
    }

    /// Removes a carrier, or a seat's container that was never started. Gone already is fine.
    ///
    /// # Errors
    /// When it is anything else: that is refused.
    pub async fn reap(&self, id: &ContainerId) -> Result<(), Fault> {
        let call = self
            .client()?
            .inspect_container(id.as_str(), None::<InspectContainerOptions>);
        let Some(found) = self.read("looking at a container to reap", call).await.or_gone()? else {
            return Ok(());
        };
        let labels = found
            .config
            .as_ref()
            .and_then(|config| config.labels.clone())
            .unwrap_or_default();
        let carrier = owner(&self.inner.options.instance, &labels, Kind::Carrier).is_some();
        let unused = self.seen(found).is_some_and(|seen| seen.state == RunState::Created);
        if !carrier && !unused {
            return Err(Fault::new(
                FaultCode::Engine,
                format!("container {id} is neither a carrier nor a seat that never ran; it was not touched"),
            ));
        }
        carrier::remove(self, id).await
    }
}

fn thawed(seat: &SeatId, why: &str) -> Fault {
    Fault::new(
        FaultCode::Thawed,
        format!("{seat} may have run after its work was read: {why}"),
    )
    .hint("Its workspace is kept and archived again")
}
