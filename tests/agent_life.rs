//! The life of an agent's process: told to stop it finishes what it has begun, and begins nothing; a second one of the same
//! state directory does not start. The real binary on the real engine.

mod door;
mod homework;
mod lab;

use std::path::{Path, PathBuf};
use std::process::{Child, ExitStatus};
use std::time::{Duration, Instant};

use door::Door;
use homework::{Homework, students};
use lab::{Lab, is_alive, until, until_within};

const WORK: Homework = Homework { seed: 29, big: 1 << 20 };
const SEATS: usize = 6;
/// Seats whose work is being read when the agent is told to stop.
const READ_AT_ONCE: usize = 2;

/// A laboratory with a door before its engine, whose agent stays until it is told to go.
fn site(door: &Door, grace_seconds: u32) -> (Lab, Child) {
    let agent = format!("[agent]\ngrace_seconds = {grace_seconds}\n");
    let limits = format!("[limits]\narchives_in_flight = {READ_AT_ONCE}\n");
    let lab = Lab::with_config(&format!("{}\n{}{agent}{limits}", WORK.config(), door.config()));
    let agent = agent_of(&lab);
    lab.run(&["room", "open", "r", "--seats", &SEATS.to_string()]).expect(0);
    (lab, agent)
}

/// An agent as a service manager starts it.
fn agent_of(lab: &Lab) -> Child {
    let agent = lab.spawn(&["agent"]);
    until("the agent listens", || lab.socket().exists().then_some(()));
    agent
}

fn signal(process: &Child) {
    let pid = i32::try_from(process.id())
        .ok()
        .and_then(rustix::process::Pid::from_raw);
    rustix::process::kill_process(pid.unwrap(), rustix::process::Signal::TERM).unwrap();
}

#[track_caller]
fn end_within(process: &mut Child, limit: Duration) -> ExitStatus {
    until_within("the agent has ended", limit, || process.try_wait().unwrap())
}

/// Signals an agent, and expects that it ends well in less than the time.
#[track_caller]
fn expect_signal_ends(agent: &mut Child, limit: Duration) {
    let begin = Instant::now();
    signal(agent);
    assert!(end_within(agent, Duration::from_secs(30)).success());
    assert!(begin.elapsed() < limit, "{:?}", begin.elapsed());
}

/// Whether a request reads a seat's work through a carrier.
fn reads(line: &str) -> bool {
    line.starts_with("GET ") && line.contains("/archive?") && line.contains("path=%2Fworkspace")
}

/// Begins to close the room, and returns when the work of as many seats as the bounds allow is being read.
fn close(lab: &Lab, door: &Door) -> (Child, door::Held) {
    let held = door.hold(reads);
    let closing = lab.spawn(&["room", "close", "r"]);
    door.until_waiting(READ_AT_ONCE);
    (closing, held)
}

/// Directories of archives that were begun, whole or not.
fn attempts(lab: &Lab) -> usize {
    let room = lab.archives().join("submissions/r");
    let below = |dir: &Path| -> Vec<PathBuf> {
        let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
        entries.map(|entry| entry.path()).collect()
    };
    below(&room).iter().map(|student| below(student).len()).sum()
}

/// The containers and volumes that the room has left.
fn left(lab: &Lab) -> (usize, usize) {
    let things = lab.left_on_engine();
    let count = |kind: &str| things.iter().filter(|thing| thing.starts_with(kind)).count();
    (count("container"), count("volume"))
}

/// An agent that is started again finishes the closing, and every byte is there.
fn expect_finished_by_the_next_life(lab: &Lab) {
    let mut agent = agent_of(lab);
    lab.run(&["room", "close", "r"]).expect(0);
    assert_eq!(lab.left_on_engine(), Vec::<String>::new());
    WORK.expect_room(lab, "r", &students(SEATS));
    signal(&agent);
    assert!(end_within(&mut agent, Duration::from_secs(10)).success());
}

#[test]
fn told_to_stop_in_a_closing_it_finishes_the_seats_it_has_begun_and_no_other() {
    let door = Door::new();
    let (lab, mut agent) = site(&door, 90);
    let (mut closing, held) = close(&lab, &door);
    signal(&agent);
    until("clients see nobody", || (!lab.socket().exists()).then_some(()));
    assert_eq!(lab.run(&["ls"]).code, 4);
    assert!(agent.try_wait().unwrap().is_none(), "it waits for what it reads");
    drop(held);
    assert!(end_within(&mut agent, Duration::from_mins(1)).success());
    assert_eq!(
        closing.wait().unwrap().code(),
        Some(1),
        "the verb says that it is not done"
    );

    let kept = SEATS - READ_AT_ONCE;
    assert_eq!(left(&lab), (kept, kept), "half of nothing: {:?}", lab.left_on_engine());
    assert_eq!(attempts(&lab), READ_AT_ONCE, "no archive is half there");
    expect_finished_by_the_next_life(&lab);
    assert_eq!(attempts(&lab), SEATS, "what was proven is not read again");
}

#[test]
fn what_does_not_come_to_its_end_within_the_grace_is_called_off() {
    let door = Door::new();
    let (lab, mut agent) = site(&door, 3);
    let (mut closing, held) = close(&lab, &door);
    expect_signal_ends(&mut agent, Duration::from_secs(8));
    assert_eq!(closing.wait().unwrap().code(), Some(1));
    drop(held);
    expect_finished_by_the_next_life(&lab);
}

#[test]
fn told_twice_it_ends_at_once() {
    let door = Door::new();
    let (lab, mut agent) = site(&door, 600);
    let (mut closing, held) = close(&lab, &door);
    signal(&agent);
    until("clients see nobody", || (!lab.socket().exists()).then_some(()));
    expect_signal_ends(&mut agent, Duration::from_secs(8));
    assert_eq!(closing.wait().unwrap().code(), Some(1));
    drop(held);
    expect_finished_by_the_next_life(&lab);
}

#[test]
fn with_nothing_under_way_it_stops_at_once() {
    let lab = Lab::new();
    let mut agent = agent_of(&lab);
    lab.run(&["room", "open", "r", "--seats", "2"]).expect(0);
    expect_signal_ends(&mut agent, Duration::from_secs(5));
    assert_eq!(left(&lab), (2, 2), "the seats go on");
}

#[test]
fn a_second_agent_says_who_holds_the_directory_and_a_client_attaches_to_the_first() {
    let lab = Lab::new();
    let mut first = agent_of(&lab);
    let second = lab.run(&["agent"]).expect(1);
    for words in [&first.id().to_string(), &lab.state().display().to_string()] {
        assert!(
            second.stderr.contains(words.as_str()),
            "no {words} in {}",
            second.stderr
        );
    }
    // A client that finds no socket starts one that finds the lock held, and leaves the field to the first.
    lab.run(&["agent", "--detached"]).expect(0);
    lab.run(&["room", "open", "r", "--seats", "1"]).expect(0);
    assert_eq!(lab.agent_pid(), Some(first.id()), "the room is the first agent's");
    assert!(is_alive(first.id()));
    lab.run(&["room", "close", "r"]).expect(0);
    signal(&first);
    assert!(end_within(&mut first, Duration::from_secs(10)).success());
}
