//! What a supervisor is told of at the students' door, and what they do about it.

use labtop::domain::command::{Command, Outcome};
use labtop::domain::door::{DoorWish, Lockout};
use labtop::domain::fault::RefusalCode;
use labtop::domain::record::Change;
use labtop::domain::role::Role;

use crate::asks::{peek, revoke};
use crate::door::{room_with, session, sign_in, wish};
use crate::rig::{Rig, room, seat};

#[test]
fn only_the_session_that_was_seen_is_revoked() {
    let mut rig = room_with(|_| {});
    for ticket in [1, 2] {
        sign_in(&mut rig, ticket, "an", None);
        rig.settle();
    }
    let of = |n| Command::RevokeSession {
        room: room("a"),
        student: "an".parse().unwrap(),
        session: Some(session(n)),
    };
    rig.ask_as(Role::Proctor, of(1));
    assert!(
        matches!(rig.outcome(), Some(Outcome::Refused { refusal }) if refusal.code == RefusalCode::Conflict),
        "the second has taken over: {:?}",
        rig.outcome()
    );
    assert_eq!(rig.control.sessions().count(), 1);
    rig.ask_as(Role::Proctor, peek("a/an"));
    let look = DoorWish::LookIn {
        digest: "7".repeat(64),
        session: session(3),
        address: "192.0.2.9".into(),
    };
    wish(&mut rig, 3, look);
    rig.settle();
    rig.ask_as(Role::Proctor, of(2));
    let left: Vec<_> = rig.control.sessions().map(|one| one.id.clone()).collect();
    assert_eq!(left, [session(3)], "whoever looks in stays");
}

#[test]
fn a_lockout_is_told_of_once_and_where_the_name_is_somebodys() {
    let mut rig = room_with(|_| {});
    let lockout = |student: Option<&str>| {
        DoorWish::LockedOut(Lockout {
            student: student.map(|student| student.parse().unwrap()),
            address: "192.0.2.7".into(),
            seconds: 600,
        })
    };
    let told = |rig: &Rig| rig.notices.iter().filter(|text| text.contains("wrong codes")).count();
    for ticket in 1..10 {
        wish(&mut rig, ticket, lockout(Some("an")));
        wish(&mut rig, 10 + ticket, lockout(Some("nobody")));
    }
    assert_eq!(told(&rig), 1, "{:?}", rig.notices);
    assert!(rig.was_told("a/an: locked out for 10 min after wrong codes, the last from 192.0.2.7"));
    wish(&mut rig, 30, lockout(None));
    wish(&mut rig, 31, lockout(None));
    assert!(rig.was_told("Too many wrong codes came from 192.0.2.7: for 10 min"));
    assert_eq!(told(&rig), 2);
    // After help, and after its time, the next one is news.
    rig.ask_as(Role::Proctor, revoke("a/an"));
    wish(&mut rig, 40, lockout(Some("an")));
    assert_eq!(told(&rig), 3);
    rig.pass(10 * 60_000);
    wish(&mut rig, 41, lockout(Some("an")));
    assert_eq!(told(&rig), 4);
}

#[test]
fn a_trespass_is_told_of_once_a_minute() {
    let mut rig = room_with(|_| {});
    sign_in(&mut rig, 1, "an", None);
    rig.settle();
    rig.written.clear();
    for ticket in 2..100 {
        wish(&mut rig, ticket, DoorWish::Trespass(session(1), seat("a/bo")));
    }
    rig.settle();
    let told = || {
        rig.written
            .iter()
            .filter(|c| matches!(c, Change::Audit(e) if e.verb == "trespass"))
            .count()
    };
    assert_eq!(told(), 1);
    assert!(
        rig.notices
            .iter()
            .any(|text| text.contains("a/an tried to get into the seat a/bo"))
    );
}
