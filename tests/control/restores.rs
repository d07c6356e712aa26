//! A seat that starts with the work of an archive.

use labtop::domain::command::{Command, Outcome};
use labtop::domain::effect::{Restore, Task, Yield};
use labtop::domain::fault::{Fault, FaultCode, RefusalCode};
use labtop::domain::record::Change;

use crate::asks::{close, open};
use crate::rig::{Rig, refused, seat};

const ARCHIVE: &str = "20261124T034512Z-7f3a9c1b";

fn restore(name: &str) -> Command {
    Command::RestoreSeat {
        archive: ARCHIVE.parse().unwrap(),
        seat: seat(name),
        template: None,
        minutes: None,
    }
}

fn preflight(task: &Task) -> bool {
    matches!(task, Task::Preflight { .. })
}

#[test]
fn the_archive_is_looked_at_before_the_seat_is_written_and_named_when_it_is_made() {
    let mut rig = Rig::new();
    rig.ask(restore("a/s01"));
    let wanted = Restore {
        archive: ARCHIVE.parse().unwrap(),
        seat: seat("a/s01"),
    };
    assert!(
        rig.tasks()
            .any(|t| matches!(t, Task::Preflight { restore, .. } if *restore == Some(wanted.clone())))
    );
    rig.run_until(|t| matches!(t, Task::Provision(order) if order.restore == Some(wanted.archive.clone())));
    rig.settle();
    assert!(matches!(rig.outcome(), Some(Outcome::Done { text }) if text.contains(ARCHIVE)));
}

#[test]
fn an_archive_that_cannot_be_read_makes_no_seat() {
    let mut rig = Rig::new();
    rig.ask(restore("a/s01"));
    rig.done_first(preflight, Err(Fault::new(FaultCode::Mismatch, "not what was sent")));
    rig.settle();
    assert!(matches!(rig.outcome(), Some(Outcome::Failed { .. })));
    assert!(
        !rig.written
            .iter()
            .any(|c| matches!(c, Change::PutRoom(_) | Change::AddSeats(_)))
    );
    assert!(rig.is_bare());
}

#[test]
fn a_seat_that_is_there_or_comes_meanwhile_is_left_alone() {
    let mut rig = Rig::with_room("a", 1);
    assert_eq!(refused(&rig.ask(restore("a/s01"))), Some(RefusalCode::Conflict));

    // Another person seats the student while the archive is read.
    rig.ask(restore("a/s02"));
    rig.ask(open("a", 2));
    rig.done_first(
        |t| matches!(t, Task::Preflight { restore: None, .. }),
        Ok(Yield::Nothing),
    );
    rig.done_first(preflight, Ok(Yield::Nothing));
    assert!(
        matches!(rig.outcome(), Some(Outcome::Refused { .. })),
        "{:?}",
        rig.replies
    );
    rig.settle();
    assert!(
        !rig.begun
            .iter()
            .any(|t| matches!(t, Task::Provision(order) if order.restore.is_some()))
    );
}

#[test]
fn a_room_that_is_closing_takes_nobody_in() {
    let mut rig = Rig::with_room("a", 1);
    rig.ask(close("a", false));
    assert_eq!(refused(&rig.ask(restore("a/s02"))), Some(RefusalCode::Conflict));
}
