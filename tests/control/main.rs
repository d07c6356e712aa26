//! The control's answers and effects, one situation at a time. The simulation looks for what nobody thought of; here is
//! what somebody did.

mod asks;
mod door;
mod draining;
mod exams;
mod idle;
mod incidents;
mod leases;
mod named;
mod restores;
mod rig;
mod roles;
#[path = "../rows/mod.rs"]
mod rows;
mod rules;
mod sessions;
mod setbacks;
mod snapshots;
mod time_left;

use asks::{close, freeze, kill, open, restart};
use labtop::domain::command::{Command, Outcome};
use labtop::domain::effect::{Effect, Fact, Task, Yield};
use labtop::domain::fault::{Fault, FaultCode, RefusalCode};
use labtop::domain::record::{Change, LedgerState, Wanted};
use labtop::domain::seen::{Listing, RunState};
use proptest::prelude::*;
use rig::{Rig, id, refused, room, seat};

#[test]
fn a_kill_is_begun_in_the_same_breath_and_waits_for_no_ledger() {
    let mut rig = Rig::with_room("a", 2);
    let out = rig.ask(kill("a/s01"));
    assert!(
        out.iter()
            .any(|e| matches!(e, Effect::Run(_, Task::Kill(s, _)) if *s == seat("a/s01")))
    );
    // The disk is full, three times; the kill is answered all the same, and written when it can be.
    for _ in 0..3 {
        rig.done_first(
            |t| matches!(t, Task::Write(_)),
            Err(Fault::new(FaultCode::Ledger, "full")),
        );
        rig.pass(4_000);
    }
    let killed = rig.container("a/s01", RunState::Exited);
    rig.done_first(|t| matches!(t, Task::Kill(..)), Ok(Yield::Seen(killed)));
    rig.pass(4_000);
    assert!(
        rig.tasks().any(|t| writes_wanted(t, "a/s01", Wanted::Stopped)),
        "{:?}",
        rig.open
    );
    rig.settle();
    assert!(matches!(rig.outcome(), Some(Outcome::Done { .. })), "{:?}", rig.replies);
    assert!(
        rig.written
            .iter()
            .any(|c| matches!(c, Change::Audit(e) if e.verb == "seat kill"))
    );
}

#[test]
fn a_freeze_that_could_not_be_written_is_written_later() {
    let mut rig = Rig::with_room("a", 1);
    rig.ask(freeze("a"));
    rig.done_first(
        |t| matches!(t, Task::Write(_)),
        Err(Fault::new(FaultCode::Ledger, "full")),
    );
    assert!(rig.tasks().any(|t| matches!(t, Task::Freeze(..))));
    rig.settle();
    rig.pass(4_000);
    rig.settle();
    let frozen = |c: &&Change| {
        matches!(
            c,
            Change::SetWanted {
                wanted: Wanted::Frozen,
                ..
            }
        )
    };
    assert!(rig.written.iter().any(|c| frozen(&c)));
    assert!(
        rig.written
            .iter()
            .any(|c| matches!(c, Change::Audit(e) if e.verb == "room freeze"))
    );
}

#[test]
fn a_kill_overtakes_the_making_of_its_seat() {
    let mut rig = Rig::new();
    rig.ask(open("a", 1));
    rig.run_until(|t| matches!(t, Task::Provision(_)));
    let out = rig.ask(kill("a/s01"));
    assert!(out.iter().any(|e| matches!(e, Effect::Cancel(_))), "{out:?}");
    rig.done_first(
        |t| matches!(t, Task::Provision(_)),
        Err(Fault::new(FaultCode::Cancelled, "called off")),
    );
    // Whether it was made in spite of that is not known before a list has shown it.
    assert!(
        !rig.replies
            .iter()
            .any(|(_, o)| matches!(o, Outcome::Done { text } if text.starts_with("Killed")))
    );
    rig.world.containers = vec![rig.container("a/s01", RunState::Running)];
    rig.run_until(|t| matches!(t, Task::Kill(..)));
    rig.settle();
    assert_eq!(rig.world.containers[0].state, RunState::Exited);
    assert!(!rig.begun.iter().any(|t| matches!(t, Task::Start(..))));
}

#[test]
fn a_kill_stands_against_an_older_restart_whose_write_is_slow() {
    let mut rig = Rig::with_room("a", 1);
    rig.ask(restart("a/s01"));
    rig.ask(kill("a/s01"));
    rig.settle();
    rig.pass(10_000);
    rig.settle();
    assert_eq!(rig.world.containers[0].state, RunState::Exited);
    assert_eq!(rig.ledger_wanted("a/s01"), Some(Wanted::Stopped));
}

#[test]
fn a_kill_names_the_container_that_was_seen() {
    let mut rig = Rig::with_room("a", 1);
    let out = rig.ask(Command::KillSeat {
        seat: seat("a/s01"),
        container: Some("dead".parse().unwrap()),
    });
    assert_eq!(refused(&out), Some(RefusalCode::Conflict));
    assert!(
        !out.iter().any(|e| matches!(e, Effect::Run(_, Task::Kill(..)))),
        "{out:?}"
    );
}

#[test]
fn opening_twice_is_once() {
    let mut rig = Rig::new();
    rig.ask(open("a", 2));
    rig.ask(open("a", 2));
    rig.settle();
    assert_eq!(rig.begun.iter().filter(|t| matches!(t, Task::Provision(_))).count(), 2);
    assert_eq!(rig.sessions_written(), vec![1]);
    let done = rig
        .replies
        .iter()
        .filter(|(_, o)| matches!(o, Outcome::Done { .. }))
        .count();
    assert_eq!(done, 2, "{:?}", rig.replies);
    rig.ask(open("a", 2));
    rig.settle();
    assert_eq!(rig.begun.iter().filter(|t| matches!(t, Task::Provision(_))).count(), 2);
}

#[test]
fn a_room_that_is_being_closed_does_not_open() {
    let mut rig = Rig::with_room("a", 1);
    rig.ask(close("a", false));
    assert_eq!(
        refused(&rig.ask(open("a", 1))),
        Some(RefusalCode::Conflict),
        "the order is being written"
    );
    rig.run_until(|t| matches!(t, Task::Hold { .. }));
    assert_eq!(refused(&rig.ask(open("a", 1))), Some(RefusalCode::Conflict));
}

#[test]
fn closing_what_is_closed_is_done_and_what_never_was_is_not_found() {
    let mut rig = Rig::with_room("a", 1);
    rig.ask(close("a", false));
    rig.settle();
    assert!(rig.is_bare(), "{:?}", rig.world);
    let out = rig.ask(close("a", false));
    assert!(out.iter().any(|e| matches!(e, Effect::Reply(_, Outcome::Done { .. }))));
    assert_eq!(refused(&rig.ask(close("b", false))), Some(RefusalCode::NotFound));
}

#[test]
fn a_missing_image_is_one_fault_for_thirty_seats() {
    let mut rig = Rig::new();
    rig.ask(open("a", 30));
    let missing = Fault::new(FaultCode::ImageMissing, "there is no image");
    rig.done_first(|t| matches!(t, Task::Preflight { .. }), Err(missing.clone()));
    assert_eq!(rig.replies.len(), 1);
    assert!(matches!(rig.outcome(), Some(Outcome::Failed { fault }) if *fault == missing));
    // And when it goes away later: the room has it once, no seat does.
    let mut rig = Rig::new();
    rig.ask(open("a", 30));
    rig.run_until(|t| matches!(t, Task::Provision(_)));
    while rig.tasks().any(|t| matches!(t, Task::Provision(_))) {
        rig.done_first(|t| matches!(t, Task::Provision(_)), Err(missing.clone()));
    }
    let snapshot = rig.snapshot();
    assert_eq!(snapshot.rooms[0].fault.as_ref(), Some(&missing));
    assert!(snapshot.seats().all(|s| s.fault.is_none()));
    assert_eq!(rig.replies.len(), 1, "{:?}", rig.replies);
}

#[test]
fn a_seat_that_the_store_refuses_keeps_its_room_and_the_others_go() {
    let mut rig = Rig::with_room("a", 3);
    rig.refuse_archives_of = Some(seat("a/s02"));
    rig.ask(close("a", false));
    for _ in 0..20 {
        rig.settle();
        rig.pass(5_000);
    }
    let Some(Outcome::Partly { left, .. }) = rig.outcome() else {
        panic!("{:?}", rig.replies)
    };
    assert_eq!(left.iter().map(|l| l.seat.clone()).collect::<Vec<_>>(), [seat("a/s02")]);
    assert_eq!(rig.world.containers.len(), 1);
    assert_eq!(rig.world.volumes.len(), 1);
    assert_eq!(rig.world.networks, [room("a")]);
    assert!(!rig.begun.iter().any(|t| matches!(t, Task::RemoveNetwork(_))));
    // Once there is space, it goes on by itself.
    rig.refuse_archives_of = None;
    for _ in 0..10 {
        rig.settle();
        rig.pass(10_000);
    }
    assert!(rig.is_bare(), "{:?}", rig.world);
}

#[test]
fn nothing_is_begun_while_the_engine_is_down() {
    let mut rig = Rig::with_room("a", 2);
    rig.ask(close("a", false));
    rig.engine_falls();
    rig.done_first(|t| matches!(t, Task::Write(_)), Ok(Yield::Nothing));
    let before = rig.begun.len();
    rig.pass(10_000);
    assert!(rig.replies.is_empty(), "a restart of the engine is waited for");
    rig.pass(10_000);
    assert!(matches!(rig.outcome(), Some(Outcome::Failed { fault }) if fault.code == FaultCode::EngineUnreachable));
    assert!(
        rig.begun[before..].iter().all(|t| matches!(t, Task::Write(_))),
        "{:?}",
        &rig.begun[before..]
    );
    rig.engine_rises();
    rig.settle();
    assert!(rig.is_bare());
}

#[test]
fn a_late_list_does_not_undo_newer_news() {
    let mut rig = Rig::with_room("a", 1);
    let old: Listing = rig.world.clone();
    rig.pass(31_000);
    assert!(rig.tasks().any(|t| matches!(t, Task::List)));
    let exited = rig.container("a/s01", RunState::Exited);
    rig.world.containers = vec![exited.clone()];
    rig.tell(Fact::Seen(exited));
    rig.done_first(|t| matches!(t, Task::List), Ok(Yield::Listed(old)));
    assert_eq!(
        rig.control.container(&seat("a/s01")).map(|c| c.state),
        Some(RunState::Exited)
    );
}

#[test]
fn an_answer_told_twice_counts_once() {
    let mut rig = Rig::new();
    rig.ask(open("a", 1));
    let (op, _) = rig.open[0].clone();
    rig.tell(Fact::Done(op, Ok(Yield::Nothing)));
    let begun = rig.begun.len();
    rig.tell(Fact::Done(op, Ok(Yield::Nothing)));
    assert_eq!(rig.begun.len(), begun);
}

#[test]
fn a_seat_of_a_closed_room_goes_although_a_kill_was_written_last() {
    let mut rig = Rig::with_room("a", 1);
    rig.ask(close("a", false));
    rig.ask(kill("a/s01"));
    rig.done_first(|t| matches!(t, Task::Write(_)), Ok(Yield::Nothing));
    rig.done_first(|t| matches!(t, Task::Write(_)), Ok(Yield::Nothing));
    let mut rig = rig.restarted();
    rig.pass(100);
    rig.settle();
    assert!(rig.is_bare(), "{:?}", rig.world);
}

/// Epochs in which an archive was recorded.
fn recorded(rig: &Rig) -> Vec<u64> {
    let epoch = |c: &Change| match c {
        Change::AddArchive(claim, _) => Some(claim.epoch),
        _ => None,
    };
    rig.written.iter().filter_map(epoch).collect()
}

#[test]
fn a_thaw_while_the_evidence_is_written_begins_the_closing_again() {
    let mut rig = Rig::with_room("a", 1);
    rig.ask(close("a", false));
    rig.run_until(|t| matches!(t, Task::Write(c) if matches!(c[0], Change::SetClosing(..))));
    rig.tell(Fact::Disturbed(id("a/s01")));
    rig.settle();
    assert_eq!(rig.begun.iter().filter(|t| matches!(t, Task::Hold { .. })).count(), 2);
    assert_eq!(recorded(&rig), [2]);
}

#[test]
fn a_proof_that_comes_after_a_thaw_is_worthless() {
    let mut rig = Rig::with_room("a", 1);
    rig.ask(close("a", false));
    rig.run_until(|t| matches!(t, Task::Verify { .. }));
    rig.tell(Fact::Disturbed(id("a/s01")));
    rig.settle();
    assert_eq!(recorded(&rig), [2]);
}

#[test]
fn evidence_that_was_contradicted_once_is_not_believed_again() {
    let mut rig = Rig::with_room("a", 1);
    let ghost = rig.container("a/s01", RunState::Running);
    rig.ask(close("a", false));
    rig.world.containers.clear();
    rig.run_until(|t| matches!(t, Task::Archive(_)));
    // A container with the workspace came and went: what is read now may not be all.
    rig.tell(Fact::Seen(ghost));
    rig.tell(Fact::Vanished(id("a/s01")));
    rig.settle();
    assert_eq!(recorded(&rig), [2]);
    assert!(rig.is_bare());
}

#[test]
fn an_empty_ledger_is_idle() {
    let rig = Rig::restored(LedgerState::default());
    assert!(rig.control.is_idle());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    /// Lesson 27: a class code stopped every stack of the host.
    #[test]
    fn closing_a_room_touches_nothing_outside_it(
        names in proptest::collection::btree_set("[a-b][a-b1-]{0,2}", 2..5),
        seats in 1_u32..4,
        discard: bool,
    ) {
        let mut rig = Rig::new();
        for name in &names {
            rig.ask(open(name, seats));
            rig.settle();
        }
        let victim = room(names.first().unwrap());
        let before = rig.begun.len();
        rig.ask(close(victim.as_str(), discard));
        rig.settle();
        for task in &rig.begun[before..] {
            let named = named::names_of(task);
            prop_assert!(named.iter().all(|name| *name == victim), "{task:?} names {named:?}");
        }
        let left = names.len() - 1;
        prop_assert_eq!(rig.world.containers.len(), left * seats as usize);
        prop_assert!(rig.world.containers.iter().all(|c| c.seat.room != victim && c.state == RunState::Running));
        prop_assert_eq!(rig.world.networks.len(), left);
    }
}

fn writes_wanted(task: &Task, name: &str, what: Wanted) -> bool {
    let sets = |c: &Change| matches!(c, Change::SetWanted { seats, wanted, .. } if seats.contains(&seat(name)) && *wanted == what);
    matches!(task, Task::Write(changes) if changes.iter().any(sets))
}
