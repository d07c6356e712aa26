//! The students' door on the board as a supervisor meets it: the real program in a pseudo-terminal, the real gateway,
//! and browsers.

mod lab;
mod pty;
mod students;

use lab::{Lab, until};
use pty::Terminal;
use students::{Browser, Gateway, class, free_port, verify};

/// A laboratory with a gateway at this port, which students know by its own address.
fn lab_at(port: u16) -> Lab {
    Lab::with_config(&format!(
        "default_template = \"lab\"\n[gateway]\nlisten = \"127.0.0.1:{port}\"\npublic_url = \"http://127.0.0.1:{port}\"\n\
         [templates.lab]\nimage = \"labtop-demo:latest\"\n\
         command = [\"/bin/busybox\", \"httpd\", \"-f\", \"-p\", \"8080\", \"-h\", \"/workspace\"]\nport = 8080\n\
         memory = \"32MiB\"\ncpus = 0.5\npids = 32\nnetwork = \"closed\"\n"
    ))
}

#[track_caller]
fn board(lab: &Lab) -> Terminal {
    let board = Terminal::start(&lab.command(&[]));
    board.shows_line(&["3 seats", "3 Ready"]);
    board
}

#[track_caller]
fn first_line(board: &Terminal, what: &str, is: impl Fn(&str) -> bool) {
    board.until(what, |screen| screen.lines().next().is_some_and(&is));
}

#[test]
fn a_student_is_seen_signed_in_and_revoked_from_the_board() {
    let (lab, codes, gateway) = class("an,anh,binh", lab_at);
    let mut board = board(&lab);
    board.press("w");
    board.shows("Nobody is signed in to r.");

    let (mut an, mut anh) = (Browser::new(gateway.port), Browser::new(gateway.port));
    an.sign_in("an", &codes["an"]);
    anh.sign_in("anh", &codes["anh"]);
    // Nobody presses a key for that: the list stays new by itself.
    board.shows_line(&["anh", "127.0.0.1"]);
    let (own, theirs) = (verify(&lab, "r_an"), verify(&lab, "r_anh"));
    assert_eq!((an.get(&own).status, anh.get(&theirs).status), (200, 200));

    board.press("/anh\r");
    board.shows("1 session ");
    board.press("R");
    board.shows("Revoke a session of r/anh?");
    board.press("\r");
    board.shows("R revoke");
    assert_eq!(anh.get(&theirs).status, 200, "Enter means Cancel");
    board.press("R");
    board.shows("y yes");
    board.press("y");
    board.shows("No session matches the filter.");
    until("the browser is signed out", || {
        (anh.get(&theirs).status == 401).then_some(())
    });
    assert_eq!(an.get(&own).status, 200, "nobody else is");
    assert!(anh.get("/login").text.contains("A supervisor ended your session"));

    board.press("\x1b");
    board.shows_line(&["an", "127.0.0.1"]);
    board.press("q");
    board.shows("Ended 1 session of r/anh");
    board.press("q");
    assert_eq!(board.exit_code(), 0, "{}", board.screen());
}

#[test]
fn incidents_are_counted_until_somebody_reads_them() {
    let (lab, codes, gateway) = class("an,anh,binh", lab_at);
    let mut board = board(&lab);
    let mut an = Browser::new(gateway.port);
    an.sign_in("an", &codes["an"]);
    assert_eq!(an.get(&verify(&lab, "r_anh")).status, 403);
    first_line(&board, "a trespass is an incident", |line| {
        line.contains("1 incident (n)")
    });

    Browser::new(gateway.port).sign_in("an", &codes["an"]);
    first_line(&board, "so is a second sign-in", |line| {
        line.contains("2 incidents (n)")
    });

    let mut guesser = Browser::new(gateway.port);
    let statuses: Vec<u16> = (0..13).map(|_| guesser.sign_in("binh", "0000-0000").status).collect();
    assert_eq!(
        statuses.iter().filter(|status| **status == 429).count(),
        3,
        "{statuses:?}"
    );
    for _ in 0..13 {
        guesser.sign_in("nobody", "0000-0000");
    }
    first_line(
        &board,
        "a lockout is told of once, and none of a name that is nobody's",
        |line| line.contains("3 incidents (n)"),
    );

    board.press("n");
    board.shows_line(&["incident", "r/an tried to get into the seat r/anh"]);
    board.shows_line(&["incident", "r/an: signed in again"]);
    board.shows_line(&["incident", "r/binh: locked out for 10 min"]);
    board.press("q");
    first_line(&board, "they were looked at", |line| !line.contains("incident"));
    let mut late = Terminal::start(&lab.command(&[]));
    first_line(&late, "who comes later is told, too", |line| {
        line.contains("3 incidents (n)")
    });
    late.press("q");
    assert_eq!(late.exit_code(), 0, "{}", late.screen());
    let trail = lab.run(&["audit", "--room", "r", "--json"]).expect(0).json();
    let lockouts: Vec<_> = trail
        .as_array()
        .unwrap()
        .iter()
        .filter(|row| row["verb"] == "lockout")
        .collect();
    assert!(
        matches!(lockouts[..], [row] if row["target"] == "r/binh" && row["origin"] == "127.0.0.1"),
        "{lockouts:?}"
    );
    board.press("q");
    assert_eq!(board.exit_code(), 0, "{}", board.screen());
}

#[test]
fn a_code_from_the_board_opens_one_look_and_is_written_nowhere() {
    let port = free_port();
    let lab = lab_at(port);
    lab.run(&["room", "open", "r", "--students", "an,anh,binh"]).expect(0);
    let gateway = Gateway::of(&lab, port);
    let mut board = board(&lab);
    board.press("P");
    board.shows("A look into r/an");
    board.shows(&format!("http://127.0.0.1:{port}/login"));
    let screen = board.screen();
    let line = screen.lines().find(|line| line.contains("Code ")).unwrap();
    let code = line.split_whitespace().find(|word| word.len() == 14).unwrap();
    let mut supervisor = Browser::new(gateway.port);
    assert_eq!(supervisor.sign_in("", code).status, 303, "{screen}");
    assert_eq!(supervisor.get(&verify(&lab, "r_an")).status, 200);
    assert_eq!(supervisor.get(&verify(&lab, "r_anh")).status, 403);
    assert_eq!(Browser::new(gateway.port).sign_in("", code).status, 401, "it was used");
    board.press("\x1b");
    board.until("the code is gone", |screen| !screen.contains(code));
    board.press("w");
    board.shows_line(&["an", "127.0.0.1"]);
    board.shows("looks in");

    let trail = lab.run(&["audit", "--json"]).expect(0).stdout;
    assert!(trail.contains("seat peek") && trail.contains("look in"));
    let secrets = [code, &code.replace('-', ""), &labtop::codes::digest(code).unwrap()];
    let logs = std::fs::read_dir(lab.state().join("log")).unwrap();
    let logs: Vec<String> = logs
        .map(|file| std::fs::read_to_string(file.unwrap().path()).unwrap())
        .collect();
    assert!(logs.iter().any(|log| log.contains("seat peek")), "{logs:?}");
    for secret in secrets {
        assert!(
            !trail.contains(secret) && logs.iter().all(|log| !log.contains(secret)),
            "{secret}"
        );
    }
    board.press("qq");
    assert_eq!(board.exit_code(), 0, "{}", board.screen());
}
