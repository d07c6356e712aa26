//! The agent's leases in a real Redis: mirrored, rebuilt, and of no consequence when the server is away.

mod lab;
mod pty;
mod redis;

use std::process::Stdio;

use lab::{Lab, TEMPLATE, docker, until};
use redis::Server;

fn lab_on(server: &Server, more: &str) -> Lab {
    let leases = format!("[leases]\nstore = \"redis\"\nurl = \"{}\"\n", server.url());
    Lab::with_config(&format!("{TEMPLATE}\n{leases}{more}"))
}

/// The names that the laboratory's agent holds.
fn names(lab: &Lab, server: &Server) -> Vec<String> {
    let index = format!("labtop:leases:{}", lab.instance().unwrap());
    let mut names: Vec<String> = server.cli(&["SMEMBERS", &index]).lines().map(str::to_owned).collect();
    names.retain(|name| !name.is_empty());
    names.sort();
    names
}

/// For how long a seat's name is still held, seconds.
fn seconds_left(lab: &Lab, server: &Server, seat: &str) -> i64 {
    let key = format!("labtop:lease:{}:{seat}", lab.instance().unwrap());
    server.cli(&["TTL", &key]).parse().unwrap_or(-3)
}

fn doctor_says(lab: &Lab, words: &str) -> bool {
    let told = lab.run(&["doctor"]);
    told.stdout
        .lines()
        .any(|line| line.contains("leases") && line.contains(words))
}

#[test]
fn leases_are_mirrored_and_a_server_that_is_away_changes_nothing() {
    let mut server = Server::start();
    let lab = lab_on(&server, "");
    lab.run(&["room", "open", "r", "--seats", "3", "--minutes", "100"])
        .expect(0);
    until("three leases", || (names(&lab, &server).len() == 3).then_some(()));
    assert_eq!(names(&lab, &server), ["r/s01", "r/s02", "r/s03"]);
    let left = seconds_left(&lab, &server, "r/s01");
    assert!((99 * 60 - 30..=100 * 60).contains(&left), "{left}");

    lab.run(&["room", "extend", "r", "--student", "s02", "--minutes", "50"])
        .expect(0);
    until("the extension", || {
        (seconds_left(&lab, &server, "r/s02") > 149 * 60).then_some(())
    });
    lab.run(&["room", "hold", "r", "--student", "s03"]).expect(0);
    until("the hold", || {
        (seconds_left(&lab, &server, "r/s03") > 20 * 60 * 60).then_some(())
    });

    server.stop();
    until("the doctor says so", || {
        doctor_says(&lab, "Redis does not answer").then_some(())
    });
    assert_eq!(lab.run(&["doctor"]).code, 0, "a warning is no failure");
    assert_eq!(lab.seat("r", "s01")["phase"], "ready");
    lab.run(&["room", "extend", "r", "--student", "s01", "--minutes", "50"])
        .expect(0);
    lab.run(&["room", "open", "while-away", "--seats", "1"]).expect(0);

    server.again();
    until("all is rebuilt", || (names(&lab, &server).len() == 4).then_some(()));
    assert!(
        seconds_left(&lab, &server, "r/s01") > 149 * 60,
        "with what happened meanwhile"
    );
    server.cli(&["FLUSHALL"]);
    until("and again", || (names(&lab, &server).len() == 4).then_some(()));

    // The agent dies and another one goes on with the same leases.
    lab.kill_agent();
    lab.run(&["room", "close", "while-away"]).expect(0);
    until("its lease is given up", || {
        (names(&lab, &server).len() == 3).then_some(())
    });
    lab.run(&["room", "close", "r"]).expect(0);
    until("no key is left", || {
        server.cli(&["KEYS", "labtop:lease*"]).is_empty().then_some(())
    });
}

#[test]
fn a_name_that_somebody_else_holds_is_told_of_and_left_to_them() {
    let server = Server::start();
    let lab = lab_on(&server, "");
    lab.run(&["room", "open", "r", "--seats", "1"]).expect(0);
    until("its lease", || (names(&lab, &server).len() == 1).then_some(()));
    let key = format!("labtop:lease:{}:r/s01", lab.instance().unwrap());
    server.cli(&["SET", &key, "somebody"]);
    let board = pty::Terminal::start(&lab.command(&[]));
    board.shows("Somebody else holds the leases of r/s01");
    assert_eq!(server.cli(&["GET", &key]), "somebody");
    // Neither a new life of the agent nor the end of the room takes it away.
    lab.run(&["room", "open", "brief", "--seats", "1"]).expect(0);
    let brief = format!("labtop:lease:{}:brief/s01", lab.instance().unwrap());
    until("its lease", || (!server.cli(&["GET", &brief]).is_empty()).then_some(()));
    server.cli(&["SET", &brief, "somebody"]);
    lab.kill_agent();
    lab.run(&["room", "close", "brief"]).expect(0);
    until("it is off the index", || {
        (names(&lab, &server) == ["r/s01"]).then_some(())
    });
    assert_eq!(server.cli(&["GET", &brief]), "somebody");
    assert_eq!(server.cli(&["GET", &key]), "somebody");
    server.cli(&["DEL", &key]);
    board.until("it is its own again", |screen| !screen.contains("holds the leases of"));
    lab.run(&["room", "close", "r"]).expect(0);
}

#[test]
fn agents_that_share_an_engine_make_no_more_at_once_than_they_may_together() {
    let server = Server::start();
    let bound = "[limits]\ncreations_in_flight = 2\n";
    let labs = [lab_on(&server, bound), lab_on(&server, bound)];
    let opening = labs.each_ref().map(|lab| {
        let mut command = lab.command(&["room", "open", "r", "--seats", "8"]);
        command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
    });
    let pool = format!("labtop:permits:{}", docker(&["info", "--format", "{{.ID}}"]));
    let mut most = 0;
    let mut children = opening;
    until("both rooms are open", || {
        let held: usize = server.cli(&["ZCARD", &pool]).parse().unwrap_or(0);
        most = most.max(held);
        assert!(held <= 2, "{held} permits");
        children
            .iter_mut()
            .all(|child| child.try_wait().unwrap().is_some())
            .then_some(())
    });
    for child in children {
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    assert!(most > 0, "nobody ever asked for a permit");
    until("all are given back", || {
        (server.cli(&["ZCARD", &pool]) == "0").then_some(())
    });
    for lab in &labs {
        lab.run(&["room", "close", "r"]).expect(0);
    }
}

#[test]
fn a_creation_is_not_held_up_by_a_server_that_is_away() {
    let mut server = Server::start();
    let lab = lab_on(&server, "");
    server.stop();
    lab.run(&["room", "open", "r", "--seats", "2"]).expect(0);
    lab.run(&["room", "close", "r"]).expect(0);
}
