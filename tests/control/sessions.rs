//! Sessions that end while others begin.

use labtop::domain::command::Command;
use labtop::domain::door::{DoorWish, Ended, KnockAnswer, SecondLogin};
use labtop::domain::effect::Task;
use labtop::domain::fault::{Fault, FaultCode};
use labtop::domain::role::Role;

use crate::asks::{close, open_for, revoke};
use crate::door::{answer, in_with, room_with, session, sign_in, wish};
use crate::rig::room;

#[test]
fn new_codes_end_whatever_was_begun_with_the_old_ones() {
    let new_code = || Command::SetCodes {
        room: room("a"),
        codes: vec![("an".parse().unwrap(), "$argon2id$new".parse().unwrap())],
    };
    // The code was proven before the new one is in force: its session is written before it, or after it.
    for sign_in_first in [true, false] {
        let mut rig = room_with(|_| {});
        if sign_in_first {
            sign_in(&mut rig, 1, "an", None);
            rig.ask(new_code());
        } else {
            rig.ask(new_code());
            sign_in(&mut rig, 1, "an", None);
        }
        rig.settle();
        assert!(rig.control.sessions().next().is_none(), "{sign_in_first}");
        assert!(rig.people.sessions.is_empty(), "{sign_in_first}");
        sign_in(&mut rig, 2, "an", None);
        rig.settle();
        assert_eq!(in_with(&rig, 2).id, session(2));
    }
}

#[test]
fn a_code_that_is_replaced_while_it_is_proven_lets_nobody_in() {
    let mut rig = room_with(|_| {});
    let proven_before = DoorWish::SignIn {
        student: "an".parse().unwrap(),
        room: None,
        session: session(1),
        address: "192.0.2.7".into(),
        codes_given: rig.control.codes_given(&"an".parse().unwrap()),
    };
    rig.ask(Command::SetCodes {
        room: room("a"),
        codes: vec![("an".parse().unwrap(), "$argon2id$new".parse().unwrap())],
    });
    rig.settle();
    wish(&mut rig, 1, proven_before);
    rig.settle();
    assert_eq!(*answer(&rig, 1), KnockAnswer::Wrong);
    assert!(rig.control.sessions().next().is_none());
}

#[test]
fn the_end_of_a_session_cuts_its_connections_or_tells_that_it_cannot() {
    let mut rig = room_with(|_| {});
    for round in 1..=2 {
        sign_in(&mut rig, round, "an", None);
        rig.settle();
        rig.ask_as(Role::Proctor, revoke("a/an"));
        let is_cut = |task: &Task| matches!(task, Task::Cut(seat, _) if *seat == "a/an".parse().unwrap());
        assert!(rig.tasks().any(is_cut));
        rig.done_first(is_cut, Err(Fault::new(FaultCode::Engine, "ss is not there")));
    }
    let told = rig.notices.iter().filter(|text| text.contains("ss is not there"));
    assert_eq!(told.count(), 1, "once: {:?}", rig.notices);
}

#[test]
fn a_session_that_is_being_written_is_revoked_with_the_others() {
    let mut rig = room_with(|_| {});
    sign_in(&mut rig, 1, "an", None);
    rig.ask_as(Role::Proctor, revoke("a/an"));
    rig.settle();
    assert!(
        matches!(answer(&rig, 1), KnockAnswer::Refused { .. }),
        "{:?}",
        rig.answers
    );
    assert!(rig.control.sessions().next().is_none() && rig.people.sessions.is_empty());
}

#[test]
fn whoever_is_turned_away_from_another_room_is_in_none() {
    let mut rig = room_with(|_| {});
    rig.ask(open_for("b", &["an"]));
    rig.settle();
    sign_in(&mut rig, 1, "an", Some("a"));
    rig.settle();
    rig.ask(Command::RemoveFromRoster {
        room: room("b"),
        student: "an".parse().unwrap(),
    });
    // In the ledger this one takes the place of the first, and then is nobody's.
    sign_in(&mut rig, 2, "an", Some("b"));
    rig.settle();
    assert_eq!(answer(&rig, 2), &KnockAnswer::NoRoom);
    assert_eq!(rig.control.door().ended.get(&session(1)), Some(&Ended::TakenOver));
    assert!(rig.control.sessions().next().is_none() && rig.people.sessions.is_empty());
}

#[test]
fn a_session_of_a_class_that_is_over_keeps_nobody_out() {
    let mut rig = room_with(|door| door.second_login = SecondLogin::Refuse);
    sign_in(&mut rig, 1, "an", None);
    rig.settle();
    rig.ask(open_for("b", &["an"]));
    rig.settle();
    sign_in(&mut rig, 2, "an", Some("b"));
    assert_eq!(answer(&rig, 2), &KnockAnswer::Taken, "the class goes on");
    rig.ask(close("a", false));
    rig.settle();
    assert_eq!(rig.control.sessions().count(), 1, "for the receipt");
    sign_in(&mut rig, 3, "an", None);
    rig.settle();
    let KnockAnswer::In { session: begun, over } = answer(&rig, 3) else {
        panic!("{:?}", rig.answers);
    };
    assert!(
        begun.seat.room == room("b") && over.is_empty(),
        "nobody signed in twice"
    );
    assert_eq!(rig.control.door().ended.get(&session(1)), Some(&Ended::Expired));
    assert_eq!(rig.control.sessions().count(), 1);
}
