//! The next step of one seat: a pure comparison of what is wanted with what is seen.
//!
//! Knows nothing of operations, retries or people; [`super::control`] adds those.

use super::proof::{ArchiveClaim, VerifiedArchive};
use super::record::{SeatRecord, Wanted};
use super::seen::{ContainerSeen, RunState};

/// Everything that the decision depends on.
#[derive(Debug, Clone, Copy)]
pub struct View<'a> {
    /// What is wanted, and how far the closing has come.
    pub record: &'a SeatRecord,
    /// The seat's container, if it has one.
    pub container: Option<&'a ContainerSeen>,
    /// Whether its workspace exists.
    pub volume: bool,
    /// Whether it has answered since it was last started.
    pub ready: bool,
    /// Whether somebody asked for a restart that has not happened yet.
    pub restart: bool,
    /// What was sent to the store in this epoch and is not yet verified.
    pub claim: Option<&'a ArchiveClaim>,
    /// What was proven in this epoch, by this agent.
    pub verified: Option<&'a VerifiedArchive>,
}

/// What to do next with a seat. The steps of a closing stand last, in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Step {
    /// Nothing: it is as it should be.
    Rest,
    /// Make it, or finish making it.
    Provision,
    /// Start it again.
    Start,
    /// End and start it.
    Restart,
    /// Wait until it answers.
    Probe,
    /// Freeze it.
    Freeze,
    /// Let it run.
    Thaw,
    /// End it.
    Kill,
    /// Take evidence that it is still, freezing it if it runs.
    Hold,
    /// Read and store its work.
    Archive,
    /// Prove what is stored.
    Verify,
    /// Record the proof.
    Record,
    /// Remove its container.
    RemoveContainer,
    /// Remove its workspace.
    RemoveVolume,
    /// Nothing is left: delete its row.
    End,
}

impl Step {
    /// Whether it belongs to a closing.
    #[must_use]
    pub fn closes(self) -> bool {
        self >= Self::Hold
    }
}

/// Decides the next step of a seat.
#[must_use]
pub fn next(view: &View<'_>) -> Step {
    let state = view.container.map(|c| c.state);
    match view.record.wanted {
        Wanted::Gone => closing(view),
        Wanted::Stopped => match state {
            Some(RunState::Running | RunState::Paused) => Step::Kill,
            _ => Step::Rest,
        },
        Wanted::Frozen => match state {
            Some(RunState::Running) => Step::Freeze,
            None | Some(RunState::Created) => Step::Provision,
            _ => Step::Rest,
        },
        Wanted::Running => match state {
            None | Some(RunState::Created) => Step::Provision,
            Some(RunState::Paused) => Step::Thaw,
            // The engine refuses to start what it failed to take away, and says so.
            Some(RunState::Exited | RunState::Dead) => Step::Start,
            Some(RunState::Running) if view.restart => Step::Restart,
            Some(RunState::Running) if !view.ready => Step::Probe,
            Some(RunState::Running) => Step::Rest,
        },
    }
}

/// Freeze → Archive → Verify → Record → Remove. Each answer is bound to the freeze epoch; where the evidence of the
/// epoch no longer agrees with what is seen, the chain begins again.
fn closing(view: &View<'_>) -> Step {
    let present = view.container.is_some();
    if !present && !view.volume {
        return Step::End;
    }
    if view.record.discard_by.is_some() {
        return remove(present);
    }
    let closing = &view.record.closing;
    if !is_still(view) {
        return Step::Hold;
    }
    match (&closing.archive, view.verified) {
        (Some(_), Some(_)) => remove(present),
        (None, Some(_)) => Step::Record,
        (Some(_), None) => Step::Verify,
        (None, None) if view.claim.is_some() => Step::Verify,
        (None, None) => Step::Archive,
    }
}

fn remove(container_present: bool) -> Step {
    if container_present {
        Step::RemoveContainer
    } else {
        Step::RemoveVolume
    }
}

/// Whether the epoch's evidence still holds. After we removed the container ourselves, its absence is as it should be.
fn is_still(view: &View<'_>) -> bool {
    let closing = &view.record.closing;
    match &closing.stillness {
        None => false,
        Some(_) if closing.container_removed => view.container.is_none(),
        Some(stillness) => stillness.agrees_with(view.container),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::proof::Stillness;
    use crate::domain::record::Closing;

    fn record(wanted: Wanted) -> SeatRecord {
        SeatRecord {
            id: "a/s01".parse().unwrap(),
            session: 1,
            wanted,
            made: true,
            route: String::new(),
            deadline_unix_ms: 0,
            discard_by: None,
            held: false,
            restore: None,
            closing: Closing::default(),
        }
    }

    fn container(state: RunState) -> ContainerSeen {
        ContainerSeen {
            id: "c0".parse().unwrap(),
            seat: "a/s01".parse().unwrap(),
            session: 1,
            state,
            started_at: "1".into(),
            finished_at: "0".into(),
            exit_code: 0,
            oom_killed: false,
            address: None,
            pid: None,
            spec: String::new(),
        }
    }

    fn step(record: &SeatRecord, container: Option<&ContainerSeen>) -> Step {
        next(&View {
            record,
            container,
            volume: true,
            ready: false,
            restart: false,
            claim: None,
            verified: None,
        })
    }

    #[test]
    fn a_stopped_seat_is_never_started_by_itself() {
        for state in [RunState::Created, RunState::Exited, RunState::Dead] {
            assert_eq!(step(&record(Wanted::Stopped), Some(&container(state))), Step::Rest);
        }
        assert_eq!(step(&record(Wanted::Stopped), None), Step::Rest);
        assert_eq!(
            step(&record(Wanted::Stopped), Some(&container(RunState::Paused))),
            Step::Kill
        );
    }

    #[test]
    fn evidence_that_no_longer_agrees_is_taken_again() {
        let mut gone = record(Wanted::Gone);
        gone.closing.stillness = Some(Stillness::Paused {
            container: "c0".parse().unwrap(),
            started_at: "1".into(),
            cpu_ns: 5,
        });
        let paused = container(RunState::Paused);
        assert_eq!(step(&gone, Some(&paused)), Step::Archive);
        for state in [RunState::Running, RunState::Exited] {
            assert_eq!(step(&gone, Some(&container(state))), Step::Hold);
        }
        let restarted = ContainerSeen {
            started_at: "2".into(),
            ..paused.clone()
        };
        assert_eq!(step(&gone, Some(&restarted)), Step::Hold);
        assert_eq!(step(&gone, None), Step::Hold);
        gone.closing.container_removed = true;
        assert_eq!(step(&gone, None), Step::Archive);
        assert_eq!(step(&gone, Some(&paused)), Step::Hold);
    }
}
