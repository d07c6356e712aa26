//! Snapshots of seats that go on.

use labtop::domain::command::{Command, Outcome};
use labtop::domain::effect::{Fact, Task, Yield};
use labtop::domain::fault::{Fault, FaultCode, RefusalCode};
use labtop::domain::seen::RunState;

use crate::asks::close;
use crate::rig::{Rig, id, refused, room};

/// Longer than a class waits between two snapshots.
const LONG_MS: u64 = 301_000;

fn saves(task: &Task) -> bool {
    matches!(task, Task::Snapshot(_))
}

fn count(rig: &Rig) -> usize {
    rig.begun.iter().filter(|task| saves(task)).count()
}

/// How often it was told that a seat could not be saved.
fn told(rig: &Rig) -> usize {
    let notices = rig.notices.iter();
    notices.filter(|text| text.contains("could not be saved")).count()
}

/// A room whose seats are being saved for the first time.
fn being_saved(seats: u32) -> Rig {
    let mut rig = Rig::with_room("a", seats);
    rig.pass(1_000);
    assert_eq!(count(&rig), 0, "nobody has worked yet");
    rig.pass(LONG_MS);
    assert_eq!(count(&rig), seats as usize);
    rig
}

#[test]
fn each_seat_is_saved_once_in_every_interval() {
    let mut rig = being_saved(3);
    rig.pass(LONG_MS);
    assert_eq!(count(&rig), 3, "one that is not done is not begun again");
    rig.settle();
    rig.pass(LONG_MS);
    assert_eq!(count(&rig), 6);
}

#[test]
fn the_first_times_of_a_room_are_spread() {
    let mut rig = Rig::with_room("a", 20);
    rig.pass(1_000);
    rig.pass(220_000);
    let soon = count(&rig);
    assert!(soon > 0 && soon < 20, "{soon}");
}

#[test]
fn a_closing_calls_it_off_and_waits_with_the_workspace_alone() {
    let mut rig = being_saved(1);
    rig.ask(close("a", false));
    // Everything but the snapshot, which does not end.
    while let Some(at) = rig.open.iter().position(|(_, task)| !saves(task)) {
        let (op, task) = rig.open.remove(at);
        let result = rig.perform(task);
        rig.tell(Fact::Done(op, result));
    }
    assert_eq!(rig.called_off, 1);
    assert!(rig.world.containers.is_empty() && !rig.world.volumes.is_empty());
    rig.done_first(saves, Err(Fault::new(FaultCode::Cancelled, "called off")));
    rig.settle();
    assert!(rig.is_bare());
}

#[test]
fn a_store_that_is_away_is_told_of_once() {
    let mut rig = being_saved(3);
    let away = || Err(Fault::new(FaultCode::Store, "the store is away"));
    for _ in 0..3 {
        rig.done_first(saves, away());
    }
    assert_eq!(told(&rig), 1, "{:?}", rig.notices);
    rig.pass(LONG_MS);
    rig.settle();
    rig.pass(LONG_MS);
    rig.done_first(saves, away());
    assert_eq!(told(&rig), 2);
}

#[test]
fn whoever_asks_is_answered_when_all_are_saved_once_more() {
    let mut rig = being_saved(2);
    rig.ask(Command::SnapshotRoom {
        room: room("a"),
        student: None,
    });
    rig.write_all();
    let answers = rig.replies.len();
    // Those that were under way began before it was asked.
    rig.done_first(saves, Ok(Yield::Nothing));
    rig.done_first(saves, Ok(Yield::Nothing));
    assert_eq!((count(&rig), rig.replies.len()), (4, answers));
    rig.done_first(saves, Ok(Yield::Nothing));
    rig.done_first(saves, Err(Fault::new(FaultCode::Store, "the store is away")));
    assert!(
        matches!(rig.outcome(), Some(Outcome::Partly { left, .. }) if left.len() == 1),
        "{:?}",
        rig.outcome()
    );
}

#[test]
fn whoever_asks_is_told_of_a_seat_that_is_being_made_anew() {
    let mut rig = Rig::with_room("a", 1);
    rig.ask(Command::SnapshotRoom {
        room: room("a"),
        student: None,
    });
    // It vanishes before the wish is written.
    rig.tell(Fact::Vanished(id("a/s01")));
    rig.write_all();
    let told = rig.outcome().map(|outcome| format!("{outcome:?}")).unwrap_or_default();
    assert!(told.contains("made anew"), "{told}");

    // One that never started has nothing to be saved.
    let mut rig = Rig::with_room("a", 1);
    rig.tell(Fact::Seen(rig.container("a/s01", RunState::Created)));
    let out = rig.ask(Command::SnapshotRoom {
        room: room("a"),
        student: None,
    });
    assert_eq!(refused(&out), Some(RefusalCode::Conflict));
}
