//! The main job through the real binary on the real engine: open, list, kill, close, and the work is in the store.

mod lab;

use lab::{Lab, docker, file_in, until};

#[test]
fn thirty_seats_open_one_is_killed_all_are_archived() {
    let lab = Lab::new();
    let opened = lab.run(&["room", "open", "demo2", "--seats", "30"]).expect(0);
    assert!(opened.stdout.contains("30 seats ready"), "{}", opened.stdout);

    let seats = lab.ls();
    assert_eq!(seats.len(), 30);
    for seat in &seats {
        assert_eq!(seat["phase"], "ready", "{seat}");
        assert_eq!(seat["room"], "demo2");
        assert!(
            seat["container_id"].is_string() && seat["lease_seconds_left"].as_u64() > Some(10_000),
            "{seat}"
        );
    }
    assert_eq!(lab.seat("demo2", "s07")["route"], "/api/r/demo2~s07");

    lab.run(&["seat", "kill", "demo2/s07", "--yes"]).expect(0);
    assert_eq!(lab.seat("demo2", "s07")["phase"], "stopped");

    let closed = lab.run(&["room", "close", "demo2", "--yes"]).expect(0);
    assert!(closed.stdout.contains("closed"), "{}", closed.stdout);
    assert_eq!(lab.left_on_engine(), Vec::<String>::new());
    let archives = lab.archived("demo2");
    assert_eq!(archives.len(), 30);
    for (student, path) in archives {
        assert_eq!(file_in(&path, "id.txt"), format!("work of {student}\n"));
    }
    lab.run(&["room", "close", "demo2"]).expect(0);
    lab.run(&["room", "close", "never-was"]).expect(1);
}

#[test]
fn a_killed_seat_stays_stopped_until_it_is_restarted() {
    let lab = Lab::new();
    lab.run(&["room", "open", "r", "--students", "an,binh"]).expect(0);
    lab.run(&["seat", "kill", "r/an"]).expect(0);
    // A new agent, and a list of everything, must not start it again.
    lab.kill_agent();
    lab.run(&["doctor"]);
    until("the new agent has listed", || {
        (lab.seat("r", "binh")["phase"] == "ready").then_some(())
    });
    assert_eq!(lab.seat("r", "an")["phase"], "stopped");
    lab.run(&["seat", "restart", "r/an"]).expect(0);
    assert_eq!(lab.seat("r", "an")["phase"], "ready");
    lab.run(&["seat", "kill", "r/nobody"]).expect(1);
}

#[test]
fn frozen_seats_stand_still_and_go_on() {
    let lab = Lab::new();
    lab.run(&["room", "open", "r", "--students", "an,binh"]).expect(0);
    lab.run(&["room", "freeze", "r", "--student", "an"]).expect(0);
    assert_eq!(lab.seat("r", "an")["phase"], "frozen");
    assert_eq!(lab.seat("r", "binh")["phase"], "ready");
    lab.run(&["room", "thaw", "r"]).expect(0);
    assert_eq!(lab.seat("r", "an")["phase"], "ready");
}

#[test]
fn extending_moves_the_end_of_the_lease() {
    let lab = Lab::new();
    lab.run(&["room", "open", "r", "--students", "an,binh", "--minutes", "30"])
        .expect(0);
    lab.run(&["room", "extend", "r", "--student", "an", "--minutes", "15"])
        .expect(0);
    let left = |student| lab.seat("r", student)["lease_seconds_left"].as_u64().unwrap();
    assert!((44 * 60..=45 * 60).contains(&left("an")), "{}", left("an"));
    assert!((29 * 60..=30 * 60).contains(&left("binh")), "{}", left("binh"));
}

#[test]
fn opening_twice_is_opening_once_and_adds_who_is_new() {
    let lab = Lab::new();
    lab.run(&["room", "open", "r", "--students", "an"]).expect(0);
    let first = lab.seat("r", "an")["container_id"].clone();
    lab.run(&["room", "open", "r", "--students", "an,binh"]).expect(0);
    assert_eq!(lab.seat("r", "an")["container_id"], first);
    assert_eq!(lab.ls().len(), 2);
}

#[test]
fn discard_insists_on_yes_and_archives_nothing() {
    let lab = Lab::new();
    lab.run(&["room", "open", "r", "--students", "an"]).expect(0);
    lab.run(&["room", "close", "r", "--discard"]).expect(2);
    assert_eq!(lab.ls().len(), 1);
    lab.run(&["room", "close", "r", "--discard", "--yes"]).expect(0);
    assert_eq!(lab.left_on_engine(), Vec::<String>::new());
    assert!(lab.archived("r").is_empty());
}

#[test]
fn closing_one_room_touches_nothing_outside_it() {
    let lab = Lab::new();
    let other = Lab::new();
    other.run(&["room", "open", "a", "--students", "an"]).expect(0);
    lab.run(&["room", "open", "a", "--students", "an"]).expect(0);
    lab.run(&["room", "open", "a-b", "--students", "an"]).expect(0);
    lab.run(&["room", "close", "a"]).expect(0);
    assert_eq!(lab.seat("a-b", "an")["phase"], "ready");
    assert_eq!(other.seat("a", "an")["phase"], "ready");
}

#[test]
fn a_foreign_container_of_the_same_name_is_refused_and_left_alone() {
    let lab = Lab::new();
    lab.run(&["room", "open", "warm", "--students", "x"]).expect(0);
    let mark = lab.instance().unwrap()[..8].to_owned();
    let name = format!("lab-{mark}_r_an");
    docker(&["create", "--name", &name, "labtop-demo:latest", "true"]);
    let opened = lab.run(&["room", "open", "r", "--students", "an,binh"]);
    let kept = docker(&["ps", "-aq", "--filter", &format!("name=^{name}$")]);
    docker(&["rm", "-f", &name]);
    opened.expect(5);
    assert!(!kept.is_empty(), "the foreign container was removed");
}
