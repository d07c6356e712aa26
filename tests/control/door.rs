//! The students' door: who is let in, and which of two who come at once.

use labtop::domain::command::{Command, Outcome, Seats};
use labtop::domain::control::{Control, Input};
use labtop::domain::door::{DoorWish, Ended, KnockAnswer, Leaving, SecondLogin, SessionRecord};
use labtop::domain::effect::{Task, TicketId, Yield};
use labtop::domain::ids::SessionId;
use labtop::domain::record::{Change, LedgerState, Wanted};
use labtop::domain::role::{Actor, Rights, Role};

use crate::asks::{close, import, open_for, peek, revoke};
use crate::rig::{Rig, room, seat};
use crate::rules::rules_with;

pub fn gateway() -> Actor {
    Actor {
        uid: 997,
        name: "labtop-gateway".into(),
        origin: None,
        rights: Rights::of(Role::Admin),
    }
}

pub fn session(n: usize) -> SessionId {
    format!("{n:032x}").parse().unwrap()
}

pub fn sign_in(rig: &mut Rig, ticket: u64, student: &str, name: Option<&str>) {
    let wish = DoorWish::SignIn {
        student: student.parse().unwrap(),
        room: name.map(room),
        session: session(usize::try_from(ticket).unwrap()),
        address: "192.0.2.7".into(),
        codes_given: rig.control.codes_given(&student.parse().unwrap()),
    };
    rig.feed(Input::Knock(TicketId(ticket), gateway(), wish));
}

pub fn wish(rig: &mut Rig, ticket: u64, wish: DoorWish) {
    rig.feed(Input::Knock(TicketId(ticket), gateway(), wish));
}

pub fn answer(rig: &Rig, ticket: u64) -> &KnockAnswer {
    let found = rig.answers.iter().find(|(at, _)| *at == TicketId(ticket));
    &found
        .unwrap_or_else(|| panic!("no answer to {ticket}: {:?}", rig.answers))
        .1
}

pub fn in_with(rig: &Rig, ticket: u64) -> SessionRecord {
    match answer(rig, ticket) {
        KnockAnswer::In { session, .. } => session.as_ref().clone(),
        other => panic!("{other:?}"),
    }
}

fn open_on_demand(name: &str) -> Command {
    Command::OpenRoom {
        room: room(name),
        template: None,
        seats: Seats::Roster,
        minutes: Some(60),
        exam: false,
        on_demand: true,
        overrides: false,
        dry_run: false,
    }
}

/// A room with the policy that a test is about.
pub fn room_with(set: impl FnOnce(&mut labtop::domain::door::DoorPolicy)) -> Rig {
    let mut rig = Rig::new();
    rig.control = Control::restore(rules_with(set), LedgerState::default());
    rig.engine_rises();
    rig.settle();
    rig.ask(open_for("a", &["an", "bo"]));
    rig.settle();
    rig
}

#[test]
fn a_seat_is_made_when_its_student_comes_and_no_sooner() {
    let mut rig = Rig::new();
    rig.ask(import("a", &["an", "bo"]));
    rig.settle();
    rig.ask(open_on_demand("a"));
    rig.settle();
    assert!(rig.world.containers.is_empty() && rig.snapshot().rooms[0].seats.is_empty());
    sign_in(&mut rig, 1, "an", None);
    rig.settle();
    assert_eq!(in_with(&rig, 1).seat, seat("a/an"));
    let seats = &rig.snapshot().rooms[0].seats;
    assert_eq!((seats.len(), seats[0].route.as_str()), (1, "/api/r/an"));
    assert_eq!(rig.world.containers.len(), 1);
    let door = rig.control.door();
    assert!(door.seats[&seat("a/an")].open && door.sessions.len() == 1);
    // Who is not on the roster has no room.
    sign_in(&mut rig, 2, "eve", None);
    sign_in(&mut rig, 3, "bo", Some("b"));
    assert_eq!(
        (answer(&rig, 2), answer(&rig, 3)),
        (&KnockAnswer::NoRoom, &KnockAnswer::NoRoom)
    );
}

#[test]
fn of_many_sign_ins_at_once_one_session_is_left() {
    for (policy, ins) in [(SecondLogin::Takeover, 1_000), (SecondLogin::Refuse, 1)] {
        let mut rig = room_with(|door| door.second_login = policy);
        for ticket in 1..=1_000 {
            sign_in(&mut rig, ticket, "an", None);
        }
        rig.settle();
        let admitted = rig
            .answers
            .iter()
            .filter(|(_, a)| matches!(a, KnockAnswer::In { .. }))
            .count();
        let taken = rig.answers.iter().filter(|(_, a)| *a == KnockAnswer::Taken).count();
        assert_eq!((admitted, admitted + taken), (ins, 1_000));
        let left: Vec<&SessionId> = rig.control.sessions().map(|one| &one.id).collect();
        assert_eq!(left.len(), 1);
        // The ledger has the same one.
        let written: Vec<&SessionId> = rig.people.sessions.iter().map(|one| &one.id).collect();
        assert_eq!(written, left);
    }
}

#[test]
fn two_at_once_never_leave_two_nor_none() {
    for order in 0..1_000 {
        let mut rig = room_with(|_| {});
        sign_in(&mut rig, 1, "an", None);
        if order % 2 == 0 {
            rig.settle();
        }
        sign_in(&mut rig, 2, "an", None);
        rig.settle();
        assert_eq!(
            rig.control.sessions().map(|one| one.id.clone()).collect::<Vec<_>>(),
            [session(2)]
        );
        assert_eq!(rig.control.door().ended.get(&session(1)), Some(&Ended::TakenOver));
    }
}

#[test]
fn a_session_counts_only_once_it_is_written() {
    let mut rig = room_with(|_| {});
    sign_in(&mut rig, 1, "an", None);
    assert!(rig.answers.is_empty() && rig.control.sessions().next().is_none());
    let full = labtop::domain::fault::Fault::new(labtop::domain::fault::FaultCode::Ledger, "full");
    rig.done_first(|task| matches!(task, Task::Write(_)), Err(full));
    assert!(matches!(answer(&rig, 1), KnockAnswer::Failed { .. }));
    assert!(rig.control.sessions().next().is_none());
}

#[test]
fn a_crash_between_two_steps_locks_nobody_out() {
    let mut rig = room_with(|_| {});
    sign_in(&mut rig, 1, "an", None);
    rig.done_first(|task| matches!(task, Task::Write(_)), Ok(Yield::Nothing));
    let mut next = rig.restarted();
    next.answers.clear();
    sign_in(&mut next, 2, "an", None);
    next.settle();
    assert_eq!(in_with(&next, 2).id, session(2));
    assert_eq!(next.control.sessions().count(), 1);
}

#[test]
fn whoever_is_on_several_rosters_chooses_and_has_one_session_all_the_same() {
    let mut rig = room_with(|_| {});
    rig.ask(open_for("b", &["an"]));
    rig.settle();
    sign_in(&mut rig, 1, "an", None);
    assert_eq!(
        answer(&rig, 1),
        &KnockAnswer::Choose {
            rooms: vec![room("a"), room("b")]
        }
    );
    sign_in(&mut rig, 2, "an", Some("a"));
    rig.settle();
    sign_in(&mut rig, 3, "an", Some("b"));
    rig.settle();
    assert_eq!(in_with(&rig, 3).seat, seat("b/an"));
    assert_eq!(rig.control.sessions().count(), 1);
}

#[test]
fn leaving_keeps_the_seat_or_collects_it_as_the_template_says() {
    for (logout, gone) in [(Leaving::Keep, false), (Leaving::Collect, true)] {
        let mut rig = room_with(|door| door.logout = logout);
        sign_in(&mut rig, 1, "an", None);
        rig.settle();
        wish(&mut rig, 2, DoorWish::SignOut(session(1)));
        assert!(rig.control.sessions().next().is_none(), "in force at once");
        rig.settle();
        assert_eq!(!rig.control.has_seat(&seat("a/an")), gone);
        assert!(rig.control.has_seat(&seat("a/bo")), "nobody else's");
        let removed = rig
            .written
            .iter()
            .any(|c| matches!(c, Change::AddArchive(claim, _) if claim.seat == seat("a/an")));
        assert_eq!(removed, gone, "archived before it went");
        // Whoever comes back after that finds the receipt, and no empty seat in place of the work.
        sign_in(&mut rig, 3, "an", None);
        rig.settle();
        assert_eq!(in_with(&rig, 3).seat, seat("a/an"));
        assert_eq!(rig.control.has_seat(&seat("a/an")), !gone);
    }
}

#[test]
fn handing_in_is_for_templates_that_have_it() {
    let mut rig = room_with(|_| {});
    sign_in(&mut rig, 1, "an", None);
    rig.settle();
    wish(&mut rig, 2, DoorWish::HandIn(session(1)));
    assert!(matches!(answer(&rig, 2), KnockAnswer::Refused { .. }));
    let mut rig = room_with(|door| door.hand_in = Some(Leaving::Collect));
    sign_in(&mut rig, 1, "an", None);
    rig.settle();
    wish(&mut rig, 2, DoorWish::HandIn(session(1)));
    assert!(
        !rig.control.door().seats[&seat("a/an")].open,
        "nobody works on what is handed in"
    );
    rig.settle();
    assert!(!rig.control.has_seat(&seat("a/an")));
    assert_eq!(rig.control.sessions().count(), 1, "the session stays, for the receipt");
    let mut rig = room_with(|door| door.hand_in = Some(Leaving::Keep));
    sign_in(&mut rig, 1, "an", None);
    rig.settle();
    wish(&mut rig, 2, DoorWish::HandIn(session(1)));
    assert!(
        rig.begun
            .iter()
            .any(|task| matches!(task, Task::Snapshot(order) if order.seat == seat("a/an")))
    );
    assert!(rig.control.door().seats[&seat("a/an")].open);
}

#[test]
fn a_supervisor_revokes_and_the_wrong_codes_are_forgotten() {
    let mut rig = room_with(|_| {});
    sign_in(&mut rig, 1, "an", None);
    rig.settle();
    rig.ask_as(Role::Proctor, revoke("a/an"));
    assert!(rig.control.sessions().next().is_none(), "in force at once");
    assert_eq!(rig.control.door().ended.get(&session(1)), Some(&Ended::Revoked));
    assert!(
        rig.begun
            .iter()
            .any(|task| matches!(task, Task::Absolve(student) if student.as_str() == "an"))
    );
    rig.settle();
    assert!(rig.people.sessions.is_empty());
}

#[test]
fn a_look_into_a_seat_is_for_once_and_soon() {
    let mut rig = room_with(|_| {});
    let look = |digest: &str, n: usize| DoorWish::LookIn {
        digest: digest.into(),
        session: session(n),
        address: "192.0.2.9".into(),
    };
    let digest = "7".repeat(64);
    wish(&mut rig, 1, look(&digest, 1));
    assert_eq!(answer(&rig, 1), &KnockAnswer::Wrong, "nobody gave that code out");
    sign_in(&mut rig, 2, "an", None);
    rig.settle();
    rig.ask_as(Role::Proctor, peek("a/an"));
    wish(&mut rig, 3, look(&digest, 3));
    rig.settle();
    assert_eq!(in_with(&rig, 3).onlooker.as_deref(), Some("kim"));
    assert_eq!(rig.control.sessions().count(), 2, "the student stays signed in");
    wish(&mut rig, 4, look(&digest, 4));
    assert_eq!(answer(&rig, 4), &KnockAnswer::Wrong, "it was used");
    rig.ask_as(Role::Proctor, peek("a/an"));
    rig.pass(2 * 60_000);
    wish(&mut rig, 5, look(&digest, 5));
    assert_eq!(answer(&rig, 5), &KnockAnswer::Wrong, "it is too old");
    let told = |verb: &str| {
        rig.written
            .iter()
            .any(|c| matches!(c, Change::Audit(e) if e.verb == verb))
    };
    assert!(told("seat peek") && told("look in"));
}

#[test]
fn a_closed_room_ends_no_session_and_lets_nobody_into_the_seat() {
    let mut rig = room_with(|_| {});
    sign_in(&mut rig, 1, "an", None);
    rig.settle();
    rig.ask(close("a", false));
    rig.done_first(|task| matches!(task, Task::Write(_)), Ok(Yield::Nothing));
    assert!(!rig.control.door().seats[&seat("a/an")].open);
    rig.settle();
    assert!(matches!(rig.outcome(), Some(Outcome::Done { .. })));
    assert!(rig.control.door().seats.is_empty() && rig.control.sessions().count() == 1);
    assert!(rig.control.opening(&room("a")).is_some());
    sign_in(&mut rig, 2, "an", None);
    assert_eq!(answer(&rig, 2), &KnockAnswer::NoRoom);
}

#[test]
fn a_sign_in_beside_a_closing_leaves_no_seat_behind() {
    let mut rig = Rig::new();
    rig.ask(import("a", &["an"]));
    rig.settle();
    rig.ask(open_on_demand("a"));
    rig.settle();
    // The seat is being written when the order to close the room comes.
    sign_in(&mut rig, 1, "an", None);
    rig.ask(close("a", false));
    rig.settle();
    assert!(matches!(rig.outcome(), Some(Outcome::Done { .. })), "{:?}", rig.replies);
    assert!(!rig.control.has_seat(&seat("a/an")) && rig.snapshot().rooms.is_empty());
    assert!(rig.world.containers.is_empty());
    let running = |c: &Change| matches!(c, Change::SetWanted { wanted, .. } if *wanted == Wanted::Running);
    assert!(!rig.written.iter().any(running));
}

#[test]
fn a_room_that_nobody_came_to_closes_when_its_time_is_over() {
    let mut rig = Rig::new();
    rig.ask(import("a", &["an"]));
    rig.settle();
    rig.ask(open_on_demand("a"));
    rig.settle();
    rig.pass(59 * 60_000);
    rig.settle();
    assert_eq!(rig.snapshot().rooms.len(), 1);
    rig.pass(2 * 60_000);
    rig.settle();
    assert!(rig.snapshot().rooms.is_empty());
}

#[test]
fn who_is_still_signed_in_from_an_earlier_opening_is_nobody_in_the_next() {
    let mut rig = room_with(|door| {
        door.logout = Leaving::Collect;
        door.hand_in = Some(Leaving::Collect);
    });
    sign_in(&mut rig, 1, "an", None);
    rig.settle();
    let before = in_with(&rig, 1);
    rig.ask(close("a", false));
    rig.settle();
    rig.ask(open_for("a", &["an"]));
    rig.settle();
    assert!(rig.control.sessions().next().is_none());
    assert_eq!(rig.control.door().ended.get(&before.id), Some(&Ended::Expired));
    assert!(rig.control.door().seats[&seat("a/an")].opening > before.opening);
    // Also one that the ledger brings back changes nothing of the new seat.
    rig.people.sessions.push(before);
    let mut next = rig.restarted();
    wish(&mut next, 2, DoorWish::HandIn(session(1)));
    wish(&mut next, 3, DoorWish::SignOut(session(1)));
    next.settle();
    assert!(next.control.has_seat(&seat("a/an")) && next.control.door().seats[&seat("a/an")].open);
}

#[test]
fn a_roster_of_an_earlier_class_lets_nobody_into_a_room_that_was_opened_for_others() {
    let mut rig = room_with(|_| {});
    rig.ask(close("a", false));
    rig.settle();
    rig.ask(open_for("a", &["bo"]));
    rig.settle();
    sign_in(&mut rig, 1, "an", None);
    assert_eq!(answer(&rig, 1), &KnockAnswer::NoRoom);
    sign_in(&mut rig, 2, "bo", None);
    rig.settle();
    assert_eq!(in_with(&rig, 2).seat, seat("a/bo"));
}

#[test]
fn a_file_is_the_roster_and_whoever_it_leaves_out_is_out() {
    let mut rig = Rig::new();
    rig.ask(import("a", &["an", "bo"]));
    rig.settle();
    rig.ask(open_on_demand("a"));
    rig.settle();
    sign_in(&mut rig, 1, "an", None);
    rig.settle();
    rig.ask(import("a", &["bo", "cy"]));
    rig.settle();
    assert_eq!(rig.control.door().ended.get(&session(1)), Some(&Ended::Revoked));
    assert!(rig.control.has_seat(&seat("a/an")), "the work stays");
    sign_in(&mut rig, 2, "an", None);
    assert_eq!(answer(&rig, 2), &KnockAnswer::NoRoom);
    let written: Vec<&str> = rig.people.rosters.keys().map(|(_, student)| student.as_str()).collect();
    assert_eq!(written, ["bo", "cy"]);
}

#[test]
fn who_is_taken_off_the_roster_while_signing_in_is_not_let_in() {
    let mut rig = room_with(|_| {});
    rig.ask(Command::RemoveFromRoster {
        room: room("a"),
        student: "an".parse().unwrap(),
    });
    // The roster is being written: the student still comes through the first look, and not through the second.
    sign_in(&mut rig, 1, "an", None);
    rig.settle();
    assert_eq!(answer(&rig, 1), &KnockAnswer::NoRoom);
    assert!(rig.control.sessions().next().is_none() && rig.people.sessions.is_empty());
}

#[test]
fn a_button_that_is_pressed_again_and_again_is_written_once() {
    let mut rig = room_with(|door| door.hand_in = Some(Leaving::Keep));
    sign_in(&mut rig, 1, "an", None);
    rig.settle();
    rig.written.clear();
    for ticket in 2..100 {
        wish(&mut rig, ticket, DoorWish::HandIn(session(1)));
    }
    rig.write_all();
    let written = rig.written.iter();
    assert_eq!(
        written
            .filter(|c| matches!(c, Change::Audit(e) if e.verb == "hand in"))
            .count(),
        1
    );
}
