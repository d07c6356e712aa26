//! Two supervisors want the same at the same moment: one set of things, one result, and each is told who did it.

mod lab;
mod people;
mod pty;

use lab::{docker, until};
use people::{House, Somebody};
use pty::Terminal;
use serde_json::Value;

/// Runs a verb for each of two people at once; both are to succeed.
#[track_caller]
fn both(house: &House, people: [&Somebody; 2], line: &str) {
    let running = people.map(|who| {
        let mut command = house.of(who, line);
        let quiet = std::process::Stdio::null;
        command
            .stdin(quiet())
            .stdout(quiet())
            .stderr(std::process::Stdio::piped());
        command.spawn().unwrap()
    });
    for child in running {
        let output = child.wait_with_output().unwrap();
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{line}: {told}");
    }
}

fn containers(house: &House) -> Vec<String> {
    let label = format!("label=io.labtop.instance={}", house.lab.instance().unwrap());
    docker(&["ps", "-aq", "--filter", &label])
        .lines()
        .map(str::to_owned)
        .collect()
}

#[test]
fn two_people_who_want_the_same_get_it_once() {
    let (ann, bob) = (Somebody::new(), Somebody::new());
    let house = House::new(&format!("[roles]\nproctor = [\"{}\", \"{}\"]\n", ann.name, bob.name));
    assert_eq!(house.owner("room open other --seats 1").0, 0);
    let people = [&ann, &bob];
    both(&house, people, "room open same --seats 3");
    assert_eq!(containers(&house).len(), 1 + 3);

    let mut boards = people.map(|who| Terminal::start(&house.of(who, "")));
    for board in &mut boards {
        board.shows("same");
        board.press("/same\r");
        board.shows_line(&["▸", "s01"]);
    }
    // Ann asks first; Bob, whose dialog is open on the same seat, asks at the same moment.
    for board in &mut boards {
        board.press("K");
        board.shows("Kill same/s01?");
    }
    for board in &mut boards {
        board.press("\t\r");
    }
    for board in &mut boards {
        board.shows_line(&["s01", "Stopped"]);
        // The strip shows the latest two notices; the page has them all.
        // The question goes away by itself once it is done.
        board.until("the question is gone", |screen| !screen.contains("Kill same/s01?"));
        board.press("n");
        for who in people {
            board.shows(&format!("{}: seat kill", who.name));
        }
        board.press("\x1b");
    }
    let stopped = house.lab.instance().map(|instance| {
        let label = format!("label=io.labtop.instance={instance}");
        docker(&["ps", "-aq", "--filter", &label, "--filter", "status=exited"])
            .lines()
            .count()
    });
    assert_eq!(stopped, Some(1));

    both(&house, people, "room close same");
    assert_eq!(containers(&house).len(), 1, "the other room's");
    for board in &mut boards {
        board.until("the room is gone", |screen| !screen.contains("s02"));
    }
    let rows: Value = serde_json::from_str(&house.owner("archive ls --room same --json").1).unwrap();
    let kept = rows.as_array().unwrap().iter().filter(|row| row["kind"] == "archive");
    assert_eq!(kept.count(), 3, "{rows}");
    let trail: Value = serde_json::from_str(&house.owner("audit --room same --json").1).unwrap();
    for who in people {
        for verb in ["room open", "room close", "seat kill"] {
            let done = trail.as_array().unwrap().iter().filter(|row| {
                row["user"] == who.name.as_str()
                    && row["verb"] == verb
                    && row["outcome"].as_str().unwrap().starts_with("done")
            });
            assert_eq!(done.count(), 1, "{} {verb}: {trail}", who.name);
        }
    }
    assert_eq!(house.owner("room close other").0, 0);
}

#[test]
fn boards_find_an_agent_that_was_killed_again_and_nothing_is_made_twice() {
    let house = House::new("");
    assert_eq!(house.owner("room open r --seats 6 --minutes 100").0, 0);
    let boards = [0, 1].map(|_| Terminal::start(&house.of_owner("")));
    for board in &boards {
        board.shows_line(&["s06", "Ready"]);
    }
    let before = containers(&house);
    // It dies under load: another room is being made, and this one's leases are being moved.
    let mut opening = house.of_owner("room open load --seats 6 --detach").spawn().unwrap();
    until("the load has begun", || {
        (containers(&house).len() > before.len()).then_some(())
    });
    house.lab.kill_agent();
    let _ = opening.wait();
    for board in &boards {
        board.until("the board has an agent again", |screen| {
            screen.contains("load") && !screen.contains("not answer")
        });
    }
    assert_eq!(house.owner("room open load --seats 6").0, 0);
    let after = containers(&house);
    assert!(
        before.iter().all(|id| after.contains(id)),
        "the seats of before are the seats of now"
    );
    assert_eq!(after.len(), before.len() + 6);
    let seats: Value = serde_json::from_str(&house.owner("ls r --json").1).unwrap();
    for seat in seats.as_array().unwrap() {
        let left = seat["lease_seconds_left"].as_u64().unwrap();
        assert!((90 * 60..=100 * 60).contains(&left), "{seat}");
    }
    assert_eq!(house.owner("room close load").0, 0);
    assert_eq!(house.owner("room close r").0, 0);
}
