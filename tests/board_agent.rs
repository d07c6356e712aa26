//! The board and the agent as a person meets them: the real program in a pseudo-terminal, on the real engine.

mod engine;
mod lab;
mod pty;

use std::process::Child;
use std::time::Duration;

use engine::Machine;
use lab::{Lab, TEMPLATE, is_alive, until, until_within};
use pty::Terminal;
use rustix::process::{Pid, Signal, kill_process};

/// Seats that say something in their log and have a shell.
const TALKATIVE: &str = r#"
default_template = "lab"
[templates.lab]
image = "labtop-demo:latest"
command = ["/bin/sh", "-c", "echo hello from $LABTOP_STUDENT; exec /bin/busybox httpd -f -p 8080 -h /workspace"]
port = 8080
memory = "32MiB"
cpus = 0.5
pids = 32
network = "closed"
"#;

/// The board of a laboratory, as soon as it shows a line with all these texts.
#[track_caller]
fn board(lab: &Lab, texts: &[&str]) -> Terminal {
    let board = Terminal::start(&lab.command(&[]));
    board.shows_line(texts);
    board
}

/// Waits until the cursor is on a student's row.
#[track_caller]
fn cursor_on(board: &Terminal, student: &str) {
    let row = format!("▸ {student} ");
    board.until(&format!("the cursor on {student}"), |screen| {
        screen.lines().any(|line| line.starts_with(&row))
    });
}

/// Leaves the board, and looks whether the terminal is as it was.
#[track_caller]
fn quit(board: &mut Terminal) {
    board.press("q");
    assert_eq!(board.exit_code(), 0, "{}", board.screen());
    assert!(board.is_cooked() && !board.is_alternate());
}

fn phases(lab: &Lab) -> Vec<String> {
    let seats = lab.ls();
    seats
        .iter()
        .map(|seat| seat["phase"].as_str().unwrap().to_owned())
        .collect()
}

fn signal(child: &Child, signal: Signal) {
    kill_process(Pid::from_child(child), signal).unwrap();
}

#[test]
fn a_seat_is_killed_when_it_is_meant_and_only_then() {
    let lab = Lab::new();
    lab.run(&["room", "open", "r", "--seats", "3"]).expect(0);
    let mut board = board(&lab, &["3 seats", "3 Ready"]);
    assert!(board.is_raw() && board.is_alternate());
    cursor_on(&board, "s01");
    board.press("j");
    cursor_on(&board, "s02");

    board.press("K");
    board.shows("Kill r/s02?");
    board.shows("y yes");
    board.press("\r");
    // A question that was answered with yes would stay until the seat is killed.
    board.shows("q quit");
    assert_eq!(phases(&lab), ["ready"; 3], "Enter means Cancel");

    board.press("K");
    board.shows("y yes");
    board.press("y");
    board.shows_line(&["s02", "Stopped"]);
    board.shows("Killed r/s02");
    assert_eq!(phases(&lab), ["ready", "stopped", "ready"]);

    board.press("/");
    board.shows("Enter keep");
    board.press("s03\r");
    board.until("one row, and the filter kept", |screen| {
        screen.contains("filter /s03") && screen.contains("q quit") && !screen.contains("s01 ")
    });
    board.press("\x1b");
    board.shows_line(&["s01", "Ready"]);
    quit(&mut board);
}

#[test]
fn after_a_shell_the_terminal_is_the_boards_again() {
    let lab = Lab::with_config(TALKATIVE);
    lab.run(&["room", "open", "r", "--seats", "2"]).expect(0);
    let mut board = board(&lab, &["2 seats", "2 Ready"]);

    board.press("L");
    board.shows("Log of r/s01");
    board.shows("hello from s01");
    board.press("q");
    board.shows("STUDENT");

    board.press("S");
    board.shows("Ctrl-] leaves");
    board.press("echo $((40+2))\r");
    board.until("42 on a line of its own", |screen| {
        screen.lines().any(|line| line.trim() == "42")
    });
    assert!(!board.is_alternate());
    board.press("exit\r");
    board.shows("STUDENT");
    assert!(board.is_alternate());
    until("the terminal is raw again", || board.is_raw().then_some(()));
    // One key without Enter, and nothing of it on the screen.
    board.press("j");
    cursor_on(&board, "s02");
    board.press("?");
    board.shows("On the board");
    board.press("q");
    board.shows("STUDENT");
    assert!(board.is_raw(), "nothing is echoed");
    quit(&mut board);
}

#[test]
fn a_room_is_opened_and_closed_from_the_board() {
    let lab = Lab::new();
    let mut board = board(&lab, &["No rooms", "Press O"]);
    board.press("O");
    board.shows("Open a room");
    board.press("exam-1\t\t3\t90\t\t");
    board.shows("▸ Open ◂");
    board.press("\r");
    board.shows("3 Ready");
    board.shows_line(&["exam-1", "Open", "1h 29m left"]);
    assert_eq!(phases(&lab), ["ready"; 3]);

    board.press("C");
    board.shows("Close room exam-1?");
    // A wrong name closes nothing.
    board.press("exam\t\t\r");
    board.shows("type exam-1 to close it");
    board.press("-1\t\t");
    board.shows("▸ Archive and close exam-1 ◂");
    board.press("\r");
    board.shows("No rooms");
    assert_eq!(lab.archived("exam-1").len(), 3);
    assert_eq!(lab.left_on_engine(), Vec::<String>::new());
    quit(&mut board);
}

#[test]
fn a_hang_up_ends_the_board_and_not_the_agent_that_it_started() {
    let lab = Lab::new();
    let mut board = board(&lab, &["No rooms"]);
    let agent = lab.agent_pid().expect("the board has started an agent");
    lab.run(&["room", "open", "r", "--seats", "2"]).expect(0);
    board.shows("2 Ready");
    board.hang_up();
    assert_eq!(board.exit_code(), 129);
    assert_eq!(phases(&lab), ["ready"; 2]);
    assert_eq!(lab.agent_pid(), Some(agent), "it is the same agent");
}

#[test]
fn an_agent_that_nobody_needs_ends_and_one_with_a_room_stays() {
    let (busy, idle) = (Lab::new(), Lab::new());
    busy.run(&["room", "open", "r", "--seats", "1"]).expect(0);
    let stays = busy.agent_pid().unwrap();
    idle.run(&["doctor"]);
    let leaves = idle.agent_pid().expect("a verb has started an agent");
    assert!(idle.socket().exists());
    until_within("the idle agent has ended", Duration::from_secs(45), || {
        (!is_alive(leaves)).then_some(())
    });
    assert!(!idle.socket().exists(), "no socket is left");
    idle.run(&["ls"]).expect(4);
    // The other one has been alone for longer than that.
    assert!(is_alive(stays));
    assert_eq!(phases(&busy), ["ready"]);
    assert_eq!(busy.agent_pid(), Some(stays));
}

#[test]
fn a_board_keeps_an_idle_agent() {
    let lab = Lab::new();
    let other = Lab::new();
    let mut board = board(&lab, &["No rooms"]);
    let agent = lab.agent_pid().unwrap();
    other.run(&["doctor"]);
    let leaves = other.agent_pid().unwrap();
    until("an agent alone has ended meanwhile", || {
        (!is_alive(leaves)).then_some(())
    });
    assert!(is_alive(agent));
    quit(&mut board);
    until_within("it ends after its board", Duration::from_secs(45), || {
        (!is_alive(agent)).then_some(())
    });
}

#[test]
fn a_second_agent_names_the_one_that_holds_the_directory() {
    let lab = Lab::new();
    let mut first = lab.spawn(&["agent"]);
    until("the first agent listens", || lab.socket().exists().then_some(()));
    let second = lab.run(&["agent"]).expect(1);
    let names = [first.id().to_string(), lab.state().display().to_string()];
    assert!(
        names.iter().all(|name| second.stderr.contains(name)),
        "{}",
        second.stderr
    );
    lab.run(&["ls"]).expect(0);
    signal(&first, Signal::TERM);
    assert!(first.wait().unwrap().success());
    assert!(!lab.socket().exists());
}

#[test]
fn the_board_finds_a_new_agent_by_itself() {
    let lab = Lab::new();
    lab.run(&["room", "open", "r", "--seats", "3"]).expect(0);
    let mut board = board(&lab, &["3 seats", "3 Ready"]);
    let killed = lab.agent_pid().unwrap();
    lab.kill_agent();
    board.shows("reconnecting");
    board.shows("attached");
    // The new agent has no figures at first, and then its own.
    let has_figures = |screen: &str| pty::has_line(screen, &["s01", "Ready", "▁"]);
    board.until("an agent without figures", |screen| !has_figures(screen));
    board.until("new figures", has_figures);
    board.shows_line(&["3 seats", "3 Ready"]);
    assert_ne!(lab.agent_pid().unwrap(), killed);
    // The keys reach the new one.
    board.press("K");
    board.shows("Kill r/s01?");
    board.press("y");
    board.shows("Killed r/s01");
    assert_eq!(phases(&lab), ["stopped", "ready", "ready"]);
    quit(&mut board);
}

#[test]
fn the_board_outlives_docker() {
    let mut machine = Machine::new(TEMPLATE);
    machine.run(&["room", "open", "r", "--seats", "3"]).expect(0);
    let running = |machine: &Machine| machine.engine.docker(&["ps", "-q", "--no-trunc"]);
    let before = running(&machine);
    let version = machine
        .engine
        .docker(&["version", "--format", "Docker {{.Server.Version}}"]);
    let mut board = Terminal::start(&machine.command(&[]));
    board.shows_line(&["3 seats", "3 Ready"]);

    machine.engine.stop();
    board.shows("Docker DOWN");
    board.press("?");
    board.shows("On the board");
    board.press("q");
    board.shows("STUDENT");
    board.press("j");
    cursor_on(&board, "s02");

    machine.engine.again();
    board.until("Docker is back", |screen| {
        pty::has_line(screen, &["memory", &version]) && pty::has_line(screen, &["3 seats", "3 Ready"])
    });
    until("the very same seats run again", || {
        let ids = |text: &str| {
            text.lines()
                .map(str::to_owned)
                .collect::<std::collections::BTreeSet<_>>()
        };
        (ids(&running(&machine)) == ids(&before)).then_some(())
    });
    until("they are ready", || {
        (phases(&machine.lab) == ["ready"; 3]).then_some(())
    });
    quit(&mut board);
    machine.run(&["room", "close", "r"]).expect(0);
    assert_eq!(machine.lab.archived("r").len(), 3);
}

#[test]
fn a_docker_that_hangs_does_not_hang_the_board() {
    let machine = Machine::new(TEMPLATE);
    machine.run(&["room", "open", "r", "--seats", "2"]).expect(0);
    let mut board = Terminal::start(&machine.command(&[]));
    board.shows_line(&["2 seats", "2 Ready"]);
    machine.engine.pause();
    board.press("K");
    board.shows("y yes");
    board.press("y");
    board.shows("Under way");
    board.press("\x1b");
    board.shows("Docker DOWN");
    board.press("?");
    board.shows("On the board");
    board.press("q");
    board.shows("q quit");
    machine.engine.resume();
    // What was ordered meanwhile is done.
    board.shows("Killed r/s01");
    board.until("Docker is back", |screen| !screen.contains("DOWN"));
    assert_eq!(phases(&machine.lab), ["stopped", "ready"]);
    assert_eq!(machine.engine.docker(&["ps", "-q"]).lines().count(), 1);
    quit(&mut board);
}

#[test]
fn the_first_list_of_a_new_agent_knows_the_time() {
    let lab = Lab::new();
    lab.run(&["room", "open", "r", "--seats", "1", "--minutes", "60"])
        .expect(0);
    lab.kill_agent();
    std::fs::remove_file(lab.socket()).unwrap();
    let mut agent = lab.spawn(&["agent"]);
    until("the new agent listens", || lab.socket().exists().then_some(()));
    let left = lab.seat("r", "s01")["lease_seconds_left"].as_u64().unwrap();
    signal(&agent, Signal::TERM);
    assert!(agent.wait().unwrap().success());
    assert!((1..=3600).contains(&left), "{left} seconds");
}

/// Opens a room of 20 on a terminal, presses Ctrl-C when seats are being made, and gives the exit code.
fn interrupted_opening(lab: &Lab, room: &str) -> u32 {
    let mut opening = Terminal::start(&lab.command(&["room", "open", room, "--seats", "20"]));
    opening.until("seats are being made", |screen| screen.contains("/20"));
    // The terminal throws away what is printed when the key comes, so that only the exit code is sure.
    opening.press("\x03");
    opening.exit_code()
}

#[test]
fn control_c_leaves_an_opening_to_the_agent() {
    let lab = Lab::new();
    assert_eq!(interrupted_opening(&lab, "x"), 130);
    until("the agent has gone on", || {
        (phases(&lab) == ["ready"; 20]).then_some(())
    });
    lab.run(&["room", "close", "x"]).expect(0);
    assert_eq!(lab.left_on_engine(), Vec::<String>::new());

    // Closed in the middle of the opening.
    assert_eq!(interrupted_opening(&lab, "y"), 130);
    lab.run(&["room", "close", "y"]).expect(0);
    assert_eq!(lab.left_on_engine(), Vec::<String>::new());
}

#[test]
fn an_agent_that_is_told_to_stop_in_an_opening_finishes_it_the_next_time() {
    let lab = Lab::new();
    let mut agent = lab.spawn(&["agent"]);
    until("the agent listens", || lab.socket().exists().then_some(()));
    let opening = lab.spawn(&["room", "open", "x", "--seats", "12"]);
    until("a seat is there", || {
        lab.left_on_engine()
            .iter()
            .any(|thing| thing.starts_with("container"))
            .then_some(())
    });
    signal(&agent, Signal::TERM);
    assert!(agent.wait().unwrap().success(), "it ends in order");
    assert!(!lab.socket().exists());
    let cut = opening.wait_with_output().unwrap();
    assert_eq!(cut.status.code(), Some(1), "{cut:?}");

    lab.run(&["doctor"]);
    until("the next one has finished it", || {
        (phases(&lab) == ["ready"; 12]).then_some(())
    });
    let containers = lab
        .left_on_engine()
        .iter()
        .filter(|thing| thing.starts_with("container"))
        .count();
    assert_eq!(containers, 12);
    lab.run(&["room", "close", "x"]).expect(0);
    assert_eq!(lab.left_on_engine(), Vec::<String>::new());
    assert_eq!(lab.archived("x").len(), 12);
}
