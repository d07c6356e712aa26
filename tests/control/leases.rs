//! The ends of leases: announced in time, held, extended, and kept by whatever is done to the host's clock.

use labtop::domain::command::Outcome;
use labtop::domain::effect::Task;
use labtop::domain::fault::{Fault, FaultCode};
use labtop::domain::record::Change;

use crate::asks::{extend, hold, open, release};
use crate::rig::{Rig, refused, seat};

const MINUTE: u64 = 60_000;
/// The template's lease.
const LEASE: u64 = 180 * MINUTE;

fn has_begun_to_end(rig: &Rig) -> bool {
    rig.begun.iter().any(|task| matches!(task, Task::Hold { .. }))
}

fn seconds_left(rig: &Rig) -> u64 {
    rig.snapshot().seats().next().unwrap().lease_seconds_left.unwrap()
}

fn times_told(rig: &Rig, words: &str) -> usize {
    rig.notices.iter().filter(|text| text.contains(words)).count()
}

/// An end that was just announced begins a minute later, and not before.
#[track_caller]
fn expect_end_a_minute_after_its_notice(rig: &mut Rig) {
    assert!(rig.was_told("ends in a minute"));
    rig.pass(50_000);
    assert!(!has_begun_to_end(rig));
    rig.pass(15_000);
    assert!(has_begun_to_end(rig));
}

#[test]
fn a_lease_is_announced_at_its_marks_and_a_minute_before_its_end() {
    let mut rig = Rig::with_room("a", 2);
    rig.pass(LEASE - 16 * MINUTE);
    assert!(!rig.was_told("ends in"));
    rig.pass(2 * MINUTE);
    assert_eq!(times_told(&rig, "the lease of 2 seats ends in 15 minutes"), 1);
    rig.pass(10 * MINUTE);
    assert_eq!(
        (
            times_told(&rig, "ends in 5 minutes"),
            times_told(&rig, "ends in 15 minutes")
        ),
        (1, 1)
    );
    rig.pass(3 * MINUTE + 30_000);
    assert_eq!(times_told(&rig, "ends in a minute"), 1);
    assert!(!has_begun_to_end(&rig));
    rig.pass(70_000);
    assert!(has_begun_to_end(&rig));
    rig.settle();
    assert!(rig.is_bare(), "the last lease closes the room");
}

#[test]
fn an_extension_makes_the_marks_count_again() {
    let mut rig = Rig::with_room("a", 1);
    rig.pass(LEASE - 4 * MINUTE);
    assert_eq!(times_told(&rig, "ends in 5 minutes"), 1);
    // Nine minutes are left then: the mark of fifteen is behind it, and the one of five comes once more.
    rig.ask(extend("a"));
    rig.settle();
    rig.pass(2 * MINUTE);
    assert_eq!(times_told(&rig, "ends in"), 2, "{:?}", rig.notices);
    rig.pass(3 * MINUTE);
    assert_eq!(times_told(&rig, "ends in 5 minutes"), 2);
}

#[test]
fn an_extension_calls_the_end_off() {
    let mut rig = Rig::with_room("a", 1);
    rig.pass(LEASE - 30_000);
    assert!(rig.was_told("ends in a minute"));
    rig.ask(extend("a"));
    rig.settle();
    rig.pass(4 * MINUTE);
    assert!(!has_begun_to_end(&rig));
    rig.pass(2 * MINUTE);
    assert!(has_begun_to_end(&rig));
}

#[test]
fn a_lease_that_ended_while_the_agent_was_down_is_announced_first() {
    let mut rig = Rig::with_room("a", 1);
    rig.jump(200 * 60_000);
    let mut rig = rig.restarted();
    rig.pass(1_000);
    expect_end_a_minute_after_its_notice(&mut rig);
}

#[test]
fn a_held_seat_outlives_its_lease_and_is_announced_after_its_release() {
    let mut rig = Rig::with_room("a", 1);
    rig.ask(hold("a"));
    rig.settle();
    assert!(rig.snapshot().seats().all(|seat| seat.held));
    rig.pass(LEASE + 60 * MINUTE);
    assert!(!has_begun_to_end(&rig) && !rig.was_told("ends in"));
    let mut rig = rig.restarted();
    rig.pass(10 * MINUTE);
    assert!(!has_begun_to_end(&rig), "it is held in the next life, too");
    rig.ask(release("a"));
    rig.settle();
    rig.pass(2_000);
    expect_end_a_minute_after_its_notice(&mut rig);
}

#[test]
fn a_hold_that_is_being_written_counts() {
    let mut rig = Rig::with_room("a", 1);
    rig.pass(LEASE - 1_000);
    rig.ask(hold("a"));
    rig.pass(5 * MINUTE);
    assert!(!has_begun_to_end(&rig), "the ledger is slow");
    rig.write_all();
    rig.pass(5 * MINUTE);
    assert!(!has_begun_to_end(&rig));
}

#[test]
fn a_hold_that_could_not_be_written_is_refused_and_does_not_count() {
    let mut rig = Rig::with_room("a", 1);
    rig.ask(hold("a"));
    let full = Fault::new(FaultCode::Ledger, "full");
    rig.done_first(|task| matches!(task, Task::Write(_)), Err(full));
    assert!(matches!(rig.outcome(), Some(Outcome::Failed { .. })));
    assert!(rig.snapshot().seats().all(|seat| !seat.held));
    rig.settle();
    rig.pass(LEASE + 2 * MINUTE);
    assert!(has_begun_to_end(&rig));
}

#[test]
fn leases_keep_their_time_when_the_clock_is_set() {
    for by in [200 * 60_000_i64, -200 * 60_000, 6_000, -6_000] {
        let mut rig = Rig::with_room("a", 1);
        rig.pass(30 * MINUTE);
        let before = seconds_left(&rig);
        rig.jump(by);
        rig.pass(1_000);
        rig.settle();
        assert_eq!(seconds_left(&rig), before - 1, "{by}");
        assert!(rig.was_told("clock was set"), "{by}");
        assert!(!rig.was_told("ends in"), "{by}");
        assert!(
            rig.written
                .iter()
                .any(|c| matches!(c, Change::Audit(entry) if entry.verb == "clock set"))
        );
        // It is written, so the next life keeps it, too.
        let mut rig = rig.restarted();
        assert_eq!(seconds_left(&rig), before - 1, "{by}");
        rig.pass(LEASE - 31 * MINUTE - 20_000);
        assert!(!has_begun_to_end(&rig), "{by}");
        rig.pass(MINUTE + 30_000);
        assert!(has_begun_to_end(&rig), "{by}");
    }
}

#[test]
fn a_clock_that_is_slewed_is_left_alone() {
    let mut rig = Rig::with_room("a", 1);
    for _ in 0..600 {
        rig.jump(100);
        rig.pass(1_000);
    }
    assert!(!rig.was_told("clock was set"));
}

#[test]
fn what_is_under_way_when_the_clock_is_set_keeps_its_time_too() {
    // A room that is being written, and an extension that is.
    let mut rig = Rig::new();
    rig.ask(open("a", 1));
    rig.run_until(|task| matches!(task, Task::Write(changes) if matches!(changes[0], Change::PutRoom(_))));
    rig.jump(100 * 60_000);
    rig.pass(1_000);
    rig.settle();
    let full = LEASE / 1_000;
    assert!(
        (full - 5..=full).contains(&seconds_left(&rig)),
        "{}",
        seconds_left(&rig)
    );
    rig.ask(extend("a"));
    rig.jump(-100 * 60_000);
    rig.pass(1_000);
    rig.settle();
    let more = full + 300;
    assert!(
        (more - 10..=more).contains(&seconds_left(&rig)),
        "{}",
        seconds_left(&rig)
    );
    let rig = rig.restarted();
    assert!(
        (more - 10..=more).contains(&seconds_left(&rig)),
        "the ledger has the last word"
    );
}

#[test]
fn a_seat_that_is_closed_cannot_be_held() {
    let mut rig = Rig::with_room("a", 1);
    rig.pass(LEASE + 2 * MINUTE);
    assert!(refused(&rig.ask(hold("a"))).is_some());
    assert!(rig.control.has_seat(&seat("a/s01")));
}

#[test]
fn ends_that_an_earlier_life_wrote_are_not_moved_by_a_clock_that_is_still_settling() {
    let rig = Rig::with_room("a", 1);
    let mut rig = rig.restarted();
    let before = seconds_left(&rig);
    rig.jump(-60 * 60_000);
    rig.pass(1_000);
    rig.settle();
    assert_eq!(
        seconds_left(&rig),
        before + 3_600 - 1,
        "the host had booted with a wrong clock"
    );
    // What is given from now on goes by the clock as it is, and so does everything once it has settled.
    rig.ask(extend("a"));
    rig.settle();
    let extended = seconds_left(&rig);
    rig.jump(60 * 60_000);
    rig.pass(1_000);
    assert_eq!(seconds_left(&rig), extended - 1);
}

#[test]
fn a_jump_that_could_not_be_written_does_not_undo_an_extension() {
    let mut rig = Rig::with_room("a", 1);
    rig.jump(60 * 60_000);
    rig.pass(1_000);
    let full = Fault::new(FaultCode::Ledger, "full");
    rig.done_first(|task| matches!(task, Task::Write(_)), Err(full));
    rig.ask(extend("a"));
    rig.settle();
    let extended = seconds_left(&rig);
    rig.pass(10_000);
    rig.settle();
    let rig = rig.restarted();
    assert_eq!(seconds_left(&rig), extended - 10, "the ledger has the last word");
}
