//! An agent that is told to stop: what it still does, and what not.

use labtop::domain::command::Outcome;
use labtop::domain::control::Input;
use labtop::domain::effect::{Task, Yield};
use labtop::domain::fault::{Fault, FaultCode, RefusalCode};
use labtop::domain::record::Wanted;

use crate::asks::{close, kill, open};
use crate::rig::{Rig, refused, seat};

fn is_archive(task: &Task) -> bool {
    matches!(task, Task::Archive(_))
}

fn archive_of(name: &'static str) -> impl Fn(&Task) -> bool {
    move |task| matches!(task, Task::Archive(order) if order.seat == seat(name))
}

fn cancelled() -> Result<Yield, Fault> {
    Err(Fault::new(FaultCode::Cancelled, "called off"))
}

/// A room of three whose closing has come so far that all archives are begun.
fn archiving() -> Rig {
    let mut rig = Rig::with_room("a", 3);
    rig.ask(close("a", false));
    rig.run_until(archive_of("a/s03"));
    while rig.tasks().filter(|task| is_archive(task)).count() < 3 {
        rig.next();
    }
    rig
}

#[test]
fn a_seat_whose_work_is_being_read_goes_to_its_end_and_one_that_only_waited_stays() {
    let mut rig = archiving();
    rig.feed(Input::Drain);
    assert_eq!(rig.called_off, 0, "what runs is not called off");
    assert!(!rig.control.is_drained());
    // Whoever waited for a permit is turned away.
    rig.done_first(archive_of("a/s02"), cancelled());
    rig.done_first(archive_of("a/s03"), cancelled());
    rig.settle();
    assert!(rig.control.is_drained(), "nothing is under way");
    assert_eq!(rig.ledger_wanted("a/s01"), None, "its row has ended");
    assert_eq!(rig.world.volumes.len(), 2, "the work of the others is where it was");
    rig.pass(120_000);
    assert!(rig.control.is_drained(), "nothing is begun by time either");

    let mut rig = rig.restarted();
    rig.settle();
    assert!(rig.is_bare(), "the next life finishes it: {:?}", rig.world);
}

#[test]
fn a_failure_is_not_tried_again_and_not_waited_for() {
    let mut rig = archiving();
    rig.feed(Input::Drain);
    for _ in 0..3 {
        rig.done_first(is_archive, Err(Fault::new(FaultCode::Store, "507")));
    }
    rig.settle();
    assert!(rig.control.is_drained());
    rig.pass(120_000);
    assert_eq!(rig.world.volumes.len(), 3);
}

#[test]
fn a_command_is_refused_and_told_why() {
    let mut rig = Rig::with_room("a", 1);
    rig.feed(Input::Drain);
    for command in [close("a", false), kill("a/s01"), open("b", 1)] {
        let out = rig.ask(command);
        assert_eq!(refused(&out), Some(RefusalCode::Conflict));
        let Some(Outcome::Refused { refusal }) = rig.outcome() else {
            panic!("{:?}", rig.replies);
        };
        assert!(refusal.text.contains("The agent is stopping"), "{refusal}");
    }
    // That it was refused is written down.
    rig.settle();
    assert!(rig.control.is_drained());
    assert_eq!(rig.ledger_wanted("a/s01"), Some(Wanted::Running));
}

#[test]
fn an_opening_that_is_still_looked_at_is_called_off_and_not_written() {
    let mut rig = Rig::new();
    rig.ask(open("b", 2));
    assert!(rig.tasks().any(|task| matches!(task, Task::Preflight { .. })));
    rig.feed(Input::Drain);
    assert_eq!(rig.called_off, 1);
    rig.done_first(|task| matches!(task, Task::Preflight { .. }), cancelled());
    assert!(matches!(rig.outcome(), Some(Outcome::Refused { refusal }) if refusal.text.contains("stopping")));
    rig.settle();
    assert!(rig.control.is_drained() && rig.sessions_written().is_empty());
}

#[test]
fn a_kill_that_was_accepted_is_done_and_written_before_the_end() {
    let mut rig = Rig::with_room("a", 1);
    rig.ask(kill("a/s01"));
    rig.feed(Input::Drain);
    // The ledger cannot take it at first.
    let full = || Err(Fault::new(FaultCode::Ledger, "full"));
    rig.done_first(|task| matches!(task, Task::Write(_)), full());
    while rig.tasks().any(|task| !matches!(task, Task::Write(_))) {
        rig.done_first(|task| !matches!(task, Task::Write(_)), Ok(Yield::Nothing));
    }
    assert!(!rig.control.is_drained(), "its audit is only in memory");
    rig.pass(60_000);
    rig.settle();
    assert!(rig.control.is_drained());
    assert_eq!(rig.ledger_wanted("a/s01"), Some(Wanted::Stopped));
}

#[test]
fn no_lease_ends_and_no_seat_is_made_or_saved_any_more() {
    let mut rig = Rig::with_room("a", 2);
    rig.feed(Input::Drain);
    rig.settle();
    rig.world.containers.clear();
    rig.engine_falls();
    rig.engine_rises();
    // The template's leases last three hours.
    rig.pass(4 * 3_600_000);
    assert!(rig.open.is_empty() && rig.control.is_drained(), "{:?}", rig.open);
    assert_eq!(rig.ledger_wanted("a/s01"), Some(Wanted::Running));
}
