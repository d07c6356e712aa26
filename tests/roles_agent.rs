//! People with and without roles at the real agent: real users of the system, who have no access to Docker.

mod lab;
mod people;
mod pty;
mod students;

use std::path::Path;

use lab::until;
use people::{House, Somebody};
use pty::Terminal;
use serde_json::Value;
use students::{Browser, Gateway, free_port};

#[test]
fn a_proctor_without_docker_runs_a_room_and_is_refused_what_admins_do() {
    let (proctor, viewer, stranger) = (Somebody::new(), Somebody::new(), Somebody::new());
    let house = House::new(&format!(
        "[roles]\nproctor = [\"@{}\"]\nviewer = [\"{}\"]\n",
        proctor.group, viewer.name
    ));
    // Nothing runs yet, and a person without Docker cannot start what needs it.
    assert_eq!(house.owner("room open first --seats 1").0, 0);

    house.expect(&proctor, "room open class --seats 2", 0);
    house.expect(&proctor, "room freeze class --student s01", 0);
    house.expect(&proctor, "room thaw class", 0);
    house.expect(&proctor, "room extend class --minutes 5", 0);
    house.expect(&proctor, "room hold class --student s01", 0);
    let held: Value = serde_json::from_str(&house.run_as(&viewer, "ls class --json").1).unwrap();
    assert_eq!(
        (&held[0]["held"], &held[1]["held"]),
        (&Value::Bool(true), &Value::Bool(false))
    );
    assert!(house.expect(&viewer, "ls class", 0).contains(" held "));
    house.expect(&proctor, "room release class", 0);
    house.expect(&proctor, "seat kill class/s02", 0);
    house.expect(&proctor, "room snapshot class --student s01", 0);
    house.expect(&proctor, "seat logs class/s01", 0);
    house.expect(&proctor, "seat top class/s01", 0);
    house.expect(&viewer, "seat logs class/s01", 0);
    for (who, line) in [
        (&proctor, "room close class --discard --yes"),
        (&proctor, "ledger backup -"),
        (&viewer, "room freeze class"),
        (&viewer, "room hold class"),
        (&viewer, "room close class"),
        (&viewer, "seat kill class/s01"),
        (&viewer, "room open other --seats 1"),
    ] {
        let told = house.expect(who, line, 3);
        assert!(
            told.contains(&format!("{} may not", who.name)) && told.contains("it takes"),
            "{line}: {told}"
        );
    }
    let shell = Terminal::start(&house.of(&viewer, "seat shell class/s01"));
    shell.shows("may not `seat shell`");
    for line in ["ls", "ls --json", "archive ls", "audit", "room close class", "doctor"] {
        let told = house.expect(&stranger, line, 3);
        assert!(
            told.contains("has no role here") && !told.contains("s01"),
            "{line}: {told}"
        );
    }
    assert!(house.expect(&viewer, "ls", 0).contains("s02"), "still there");

    house.expect(&proctor, "room close class", 0);
    let archives: Value = serde_json::from_str(&house.run_as(&viewer, "archive ls --room class --json").1).unwrap();
    assert!(archives.as_array().unwrap().len() >= 2, "{archives}");
    let id = archives[0]["id"].as_str().unwrap();
    house.expect(&proctor, &format!("archive show {id}"), 0);
    house.expect(&proctor, &format!("archive verify {id}"), 0);
    for (who, line) in [
        (&viewer, format!("archive show {id}")),
        (&viewer, format!("archive verify {id}")),
        (&proctor, format!("archive restore {id} --to again/s01")),
        (
            &proctor,
            format!("archive restore {id} --to-dir /tmp/labtop-is-not-made"),
        ),
        (
            &proctor,
            "archive export class --out /tmp/labtop-is-not-made".to_owned(),
        ),
    ] {
        house.expect(who, &line, 3);
    }
    assert!(!Path::new("/tmp/labtop-is-not-made").join("s01").exists());
    let _ = std::fs::remove_dir("/tmp/labtop-is-not-made");

    let trail: Value = serde_json::from_str(&house.run_as(&proctor, "audit --room class --json").1).unwrap();
    let has = |user: &str, verb: &str, outcome: &str| {
        trail.as_array().unwrap().iter().any(|row| {
            row["user"] == user && row["verb"] == verb && row["outcome"].as_str().unwrap().starts_with(outcome)
        })
    };
    assert!(
        has(&proctor.name, "room open", "accepted") && has(&proctor.name, "room close", "done"),
        "{trail}"
    );
    assert!(has(&proctor.name, "room close --discard", "refused") && has(&viewer.name, "seat kill", "refused"));
    assert!(has("labtop", "seat remove", "archive"));
    assert_eq!(house.owner("room close first").0, 0);
}

#[test]
fn rooms_are_kept_from_those_whom_they_are_not_for() {
    let (proctor, invigilator) = (Somebody::new(), Somebody::new());
    let house = House::new(&format!(
        "[roles]\nproctor = [\"{}\"]\n[rooms.\"exam-*\"]\nproctor = [\"@{}\"]\nviewer = []\n",
        proctor.name, invigilator.group
    ));
    assert_eq!(house.owner("room open class --seats 1").0, 0);
    house.expect(&invigilator, "room open exam-1 --seats 1", 0);
    house.expect(&invigilator, "room open class-2 --seats 1", 3);
    for line in [
        "room freeze exam-1",
        "seat logs exam-1/s01",
        "room open exam-2 --seats 1",
        "ls exam-1",
    ] {
        let (code, out, err) = house.run_as(&proctor, line);
        assert!(
            code == 3 || line.starts_with("ls") && code == 1,
            "{line}: {code} {out}{err}"
        );
    }
    let seen = |who: &Somebody| {
        let rows: Value = serde_json::from_str(&house.run_as(who, "ls --json").1).unwrap();
        let rooms: Vec<String> = rows
            .as_array()
            .unwrap()
            .iter()
            .map(|row| row["room"].as_str().unwrap().to_owned())
            .collect();
        rooms
    };
    assert_eq!(
        (seen(&proctor), seen(&invigilator)),
        (vec!["class".to_owned()], vec!["exam-1".to_owned()])
    );
    house.expect(&invigilator, "room close exam-1", 0);
    let archives: Value = serde_json::from_str(&house.owner("archive ls --room exam-1 --json").1).unwrap();
    let id = archives[0]["id"].as_str().unwrap();
    let told = house.expect(&proctor, &format!("archive show {id}"), 1);
    assert!(told.contains("There is no archive"), "{told}");
    assert!(!house.expect(&proctor, "archive ls", 0).contains("exam-1"));
    assert!(!house.expect(&proctor, "audit", 0).contains("exam-1"));
    assert!(house.expect(&invigilator, "audit", 0).contains("exam-1"));
    assert_eq!(house.owner("room close class").0, 0);
}

#[test]
fn incidents_of_before_are_told_to_those_alone_who_see_the_room() {
    let (proctor, invigilator, port) = (Somebody::new(), Somebody::new(), free_port());
    let house = House::new(&format!(
        "[gateway]\nlisten = \"127.0.0.1:{port}\"\n[roles]\nproctor = [\"{}\"]\n\
         [rooms.\"exam-*\"]\nproctor = [\"@{}\"]\nviewer = []\n",
        proctor.name, invigilator.group
    ));
    for room in ["class", "exam-1"] {
        assert_eq!(house.owner(&format!("room open {room} --students an-{room}")).0, 0);
    }
    let gateway = Gateway::started(house.of_owner("gateway"), port);
    for room in ["class", "exam-1"] {
        let cards: Value = serde_json::from_str(&house.owner(&format!("roster cards {room} --json")).1).unwrap();
        let code = cards[0]["code"].as_str().unwrap();
        for _ in 0..2 {
            let signed = Browser::new(gateway.port).sign_in(&format!("an-{room}"), code);
            assert_eq!(signed.status, 303, "{signed:?}");
        }
    }
    for (who, theirs, others) in [
        (&proctor, "class/an-class: signed in again", "exam-1"),
        (&invigilator, "exam-1/an-exam-1: signed in again", "class"),
    ] {
        let mut board = Terminal::start(&house.of(who, ""));
        board.shows("1 incident (n)");
        board.press("n");
        board.shows(theirs);
        assert!(!board.screen().contains(others), "{}", board.screen());
        board.press("qq");
        assert_eq!(board.exit_code(), 0, "{}", board.screen());
    }
    for room in ["class", "exam-1"] {
        assert_eq!(house.owner(&format!("room close {room}")).0, 0);
    }
}

#[test]
fn a_trail_that_was_changed_is_found_out() {
    let house = House::new("");
    assert_eq!(house.owner("room open r --seats 1").0, 0);
    assert_eq!(house.owner("room close r").0, 0);
    let (code, out, _) = house.owner("audit --verify");
    assert!(code == 0 && out.contains("records are as they were written"), "{out}");
    house.lab.kill_agent();
    let db = rusqlite::Connection::open(house.lab.state().join("ledger.db")).unwrap();
    let change = "UPDATE audit SET user = 'eve' WHERE seq = 1";
    assert!(db.execute(change, []).is_err(), "not by accident");
    db.execute_batch(&format!("DROP TRIGGER audit_stands; {change}"))
        .unwrap();
    drop(db);
    assert_eq!(house.owner("doctor").0, 0, "starts an agent");
    until("an agent", || house.lab.agent_pid());
    let (code, _, err) = house.owner("audit --verify");
    assert!(code == 1 && err.contains("record 1 of the audit trail"), "{err}");
}
