//! The whole table: every role asks for every command, and everything that was asked is in the audit trail.

use labtop::domain::command::{Command, Outcome, Query, Seats};
use labtop::domain::effect::{Effect, Task};
use labtop::domain::fault::RefusalCode;
use labtop::domain::record::{AuditEntry, Change};
use labtop::domain::role::{Member, Narrowed, Person, Rights, Role, RoleSettings};

use crate::asks::{close, exam, extend, freeze, import, kill, open, peek, restart, revoke, thaw};
use crate::rig::{Rig, refused, room, seat};

/// Every command, with the least role that may ask for it, as the design says.
fn table() -> Vec<(Command, Role)> {
    let snapshot = Command::SnapshotRoom {
        room: room("a"),
        student: None,
    };
    let hold = |release: bool| {
        let (room, student) = (room("a"), None);
        if release {
            Command::ReleaseRoom { room, student }
        } else {
            Command::HoldRoom { room, student }
        }
    };
    let restore = Command::RestoreSeat {
        archive: "20261124T034512Z-7f3a9c1b".parse().unwrap(),
        seat: seat("a/an"),
        template: None,
        minutes: None,
    };
    vec![
        (open("a", 1), Role::Proctor),
        (exam("a", false), Role::Proctor),
        (exam("a", true), Role::Admin),
        (close("a", false), Role::Proctor),
        (close("a", true), Role::Admin),
        (extend("a"), Role::Proctor),
        (freeze("a"), Role::Proctor),
        (thaw("a"), Role::Proctor),
        (snapshot, Role::Proctor),
        (hold(false), Role::Proctor),
        (hold(true), Role::Proctor),
        (restore, Role::Admin),
        (kill("a/s01"), Role::Proctor),
        (restart("a/s01"), Role::Proctor),
        (peek("a/s01"), Role::Proctor),
        (import("a", &["an"]), Role::Admin),
        (
            Command::RemoveFromRoster {
                room: room("a"),
                student: "an".parse().unwrap(),
            },
            Role::Admin,
        ),
        (
            Command::MoveStudent {
                room: room("a"),
                student: "an".parse().unwrap(),
                to: room("b"),
            },
            Role::Admin,
        ),
        (
            Command::SetCodes {
                room: room("a"),
                codes: Vec::new(),
            },
            Role::Admin,
        ),
        (revoke("a/s01"), Role::Proctor),
    ]
}

/// Fails to compile when a command is added, so that nobody forgets the table.
fn is_in_the_table(command: &Command) -> bool {
    match command {
        Command::OpenRoom { .. }
        | Command::CloseRoom { .. }
        | Command::ExtendRoom { .. }
        | Command::FreezeRoom { .. }
        | Command::ThawRoom { .. }
        | Command::SnapshotRoom { .. }
        | Command::HoldRoom { .. }
        | Command::ReleaseRoom { .. }
        | Command::RestoreSeat { .. }
        | Command::KillSeat { .. }
        | Command::RestartSeat { .. }
        | Command::PeekSeat { .. }
        | Command::ImportRoster { .. }
        | Command::RemoveFromRoster { .. }
        | Command::MoveStudent { .. }
        | Command::SetCodes { .. }
        | Command::RevokeSession { .. } => true,
    }
}

/// Whether anything but writing is begun.
fn acts(effects: &[Effect]) -> bool {
    let writes_audit = |task: &Task| matches!(task, Task::Write(changes) if changes.iter().all(|change| matches!(change, Change::Audit(_))));
    effects
        .iter()
        .any(|effect| matches!(effect, Effect::Run(_, task) if !writes_audit(task)))
}

fn trail(rig: &Rig) -> Vec<&AuditEntry> {
    let entries = rig.written.iter().filter_map(|change| match change {
        Change::Audit(entry) => Some(entry),
        _ => None,
    });
    entries.collect()
}

fn nobody() -> Rights {
    RoleSettings::default().rights(&Person::default())
}

#[test]
fn every_role_asks_for_every_command() {
    for (command, needs) in table() {
        assert!(is_in_the_table(&command));
        let roles = [Role::Viewer, Role::Proctor, Role::Admin];
        let asking = roles.map(|role| (Rights::of(role), role >= needs));
        for (rights, may) in asking.into_iter().chain([(nobody(), false)]) {
            let mut rig = Rig::with_room("a", 1);
            let out = rig.ask_with(rights.clone(), command.clone());
            let is_refused = refused(&out) == Some(RefusalCode::Role);
            assert_eq!(is_refused, !may, "{command:?} by {rights:?}");
            assert!(may || !acts(&out), "{command:?} by {rights:?}: {out:?}");
        }
    }
}

#[test]
fn every_question_needs_what_the_design_says() {
    let id = || "20261124T034512Z-7f3a9c1b".parse().unwrap();
    for (query, needs) in [
        (Query::Archives { room: None }, Role::Viewer),
        (Query::Top { seat: seat("a/an") }, Role::Viewer),
        (Query::VerifyArchive { id: id() }, Role::Proctor),
        (Query::Doctor, Role::Viewer),
        (Query::Audit { room: None, after: 0 }, Role::Viewer),
        (Query::VerifyAudit, Role::Viewer),
        (Query::Roster { room: room("a") }, Role::Proctor),
        (Query::Sessions { room: None }, Role::Proctor),
    ] {
        assert_eq!(query.needs(), needs, "{query:?}");
    }
}

#[test]
fn a_role_holds_in_the_rooms_that_it_is_given_for() {
    let settings = RoleSettings {
        proctor: vec![Member::User("kim".into())],
        rooms: vec![Narrowed {
            rooms: "exam-*".parse().unwrap(),
            proctor: Some(Vec::new()),
            viewer: None,
        }],
        ..RoleSettings::default()
    };
    let kim = settings.rights(&Person {
        name: "kim".into(),
        groups: Vec::new(),
    });
    let mut rig = Rig::with_room("exam-1", 1);
    for command in [kill("exam-1/s01"), close("exam-1", false), open("exam-2", 1)] {
        let out = rig.ask_with(kim.clone(), command);
        assert_eq!(refused(&out), Some(RefusalCode::Role));
        assert!(!acts(&out));
    }
    assert_eq!(refused(&rig.ask_with(kim.clone(), open("class", 1))), None);
    assert_eq!(
        rig.snapshot().seen_by(&kim).rooms.len(),
        1,
        "a proctor of all rooms still looks"
    );
}

#[test]
fn what_was_asked_and_what_came_of_it_is_written() {
    let mut rig = Rig::with_room("a", 1);
    rig.written.clear();
    rig.ask_as(Role::Proctor, extend("a"));
    rig.ask_as(Role::Viewer, kill("a/s01"));
    rig.ask_as(Role::Proctor, close("a", false));
    rig.settle();
    assert!(matches!(rig.outcome(), Some(Outcome::Done { .. })));
    let told: Vec<_> = trail(&rig)
        .into_iter()
        .map(|entry| (entry.verb.as_str(), entry.outcome.as_str()))
        .collect();
    for (verb, outcome) in [
        ("room extend", "accepted"),
        ("room extend", "done: "),
        ("seat kill", "refused: kim may not"),
        ("room close", "accepted"),
        ("seat remove", "archive "),
        ("room close", "done: "),
    ] {
        let found = told.iter().any(|(v, o)| *v == verb && o.starts_with(outcome));
        assert!(found, "{verb}: {outcome} is not in {told:?}");
    }
}

#[test]
fn nothing_is_removed_before_that_is_written() {
    let mut rig = Rig::with_room("a", 1);
    rig.ask(close("a", false));
    rig.run_until(|task| matches!(task, Task::RemoveContainer(_)));
    let removed = trail(&rig)
        .iter()
        .filter(|entry| entry.verb == "seat remove" && entry.target == "a/s01")
        .count();
    assert_eq!(removed, 1);
}

#[test]
fn somebody_who_may_nothing_cannot_fill_the_disk_with_refusals() {
    let mut rig = Rig::with_room("a", 1);
    rig.written.clear();
    for _ in 0..1_000 {
        rig.ask_as(Role::Viewer, kill("a/s01"));
    }
    rig.settle();
    let first = trail(&rig).len();
    assert!((1..100).contains(&first), "{first}");
    rig.pass(60_000);
    rig.ask_as(Role::Viewer, kill("a/s01"));
    rig.settle();
    assert_eq!(trail(&rig).len(), first + 1, "and it is told again a minute later");
}

#[test]
fn a_list_of_students_beyond_any_room_is_refused_before_anything_is_made_of_it() {
    let mut rig = Rig::new();
    let students = (0..100_000).map(|n| format!("s{n}").parse().unwrap()).collect();
    let out = rig.ask(Command::OpenRoom {
        room: room("a"),
        template: None,
        seats: Seats::Students(students),
        minutes: None,
        exam: false,
        on_demand: false,
        overrides: false,
        dry_run: true,
    });
    assert_eq!(refused(&out), Some(RefusalCode::Invalid));
}
