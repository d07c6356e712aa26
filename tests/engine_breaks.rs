//! The real engine stumbles, goes away or is meddled with in the middle of a closing: no work is lost. The real binary,
//! with a door before the engine that breaks when the test says so.

mod door;
mod homework;
mod lab;

use std::path::PathBuf;

use door::{Cut, Door};
use homework::{Homework, of_student, students};
use lab::{Lab, docker, file_in, files_of, until};

const WORK: Homework = Homework { seed: 7, big: 1 << 20 };

fn site(door: &Door, work: &str) -> Lab {
    let lab = Lab::with_config(&format!("{work}\n{}", door.config()));
    // The image of the demo is made by the first opening.
    lab.run(&["room", "open", "other", "--seats", "1"]).expect(0);
    lab
}

fn open(lab: &Lab, count: usize) {
    lab.run(&["room", "open", "r", "--seats", &count.to_string()]).expect(0);
}

fn reads(line: &str, path: &str) -> bool {
    line.starts_with("GET ") && line.contains("/archive?") && line.contains(path)
}

/// The room is closed, nothing of it is left, and the other room has felt nothing.
#[track_caller]
fn expect_closed(lab: &Lab) {
    lab.run(&["room", "close", "r"]).expect(0);
    assert_eq!(lab.seat("other", "s01")["phase"], "ready");
    let left = lab.left_on_engine();
    assert_eq!(
        left.len(),
        3,
        "the other room has a container, a volume and a network: {left:?}"
    );
}

#[test]
fn a_stream_that_ends_in_its_middle_is_read_again() {
    let door = Door::new();
    let lab = site(&door, &WORK.config());
    open(&lab, 3);
    let workspace = |line: &str| reads(line, "path=%2Fworkspace");
    let elsewhere = |line: &str| reads(line, "path=%2Ftmp%2Foutside");
    // A head of the answer and some of the work; at the very end of the work; nothing but the head.
    door.cut(Cut::Broken, 300_000, 1, workspace);
    door.cut(Cut::Quiet, 300_000, 1, workspace);
    door.cut(Cut::Quiet, 1000, 1, workspace);
    door.cut(Cut::Broken, 1500, 1, elsewhere);
    door.cut(Cut::Quiet, 1500, 1, elsewhere);
    expect_closed(&lab);
    assert_eq!(door.cuts(), 5);
    WORK.expect_room(&lab, "r", &students(3));
}

/// All at once, and nobody answers for a while: an engine that is restarted under the agent.
#[test]
fn an_engine_that_goes_away_in_the_middle_of_a_reading_is_waited_for() {
    let mut door = Door::new();
    let lab = site(&door, &WORK.config());
    open(&lab, 3);
    door.cut(Cut::Silent, 400_000, 2, |line| reads(line, "path=%2Fworkspace"));
    let mut closing = lab.spawn(&["room", "close", "r"]);
    door.until_cut(2);
    door.close();
    until("the agent says that the engine is away", || {
        (lab.run(&["ls"]).code == 4).then_some(())
    });
    door.open();
    assert!(closing.wait().unwrap().success(), "an absence of seconds is waited out");
    expect_closed(&lab);
    WORK.expect_room(&lab, "r", &students(3));
}

/// The id of a seat's container, by another way than labtop's.
fn container(lab: &Lab, student: &str) -> String {
    let instance = format!("label=io.labtop.instance={}", lab.instance().unwrap());
    let whose = format!("label=io.labtop.student={student}");
    let filters = ["--filter", &instance, "--filter", &whose];
    let seat = [
        "--filter",
        "label=io.labtop.kind=seat",
        "--filter",
        "label=io.labtop.room=r",
    ];
    docker(&[&["ps", "-aq", "--no-trunc"][..], &filters, &seat].concat())
}

#[test]
fn a_container_that_another_hand_removes_in_a_closing_takes_no_work_with_it() {
    let door = Door::new();
    let lab = site(&door, &WORK.config());
    open(&lab, 3);
    let ids: Vec<String> = students(3).iter().map(|student| container(&lab, student)).collect();
    // Before its work is read; when it is to be ended; when it is to be removed.
    let moments = [
        "POST /containers/create?name= _r_s01.carrier.".to_owned(),
        format!("POST /containers/{}/kill", ids[1]),
        format!("DELETE /containers/{}", ids[2]),
    ];
    let held: Vec<_> = moments
        .into_iter()
        .map(|moment| {
            door.hold(move |line| {
                let (verb, path) = moment.split_once(' ').unwrap();
                line.starts_with(verb) && path.split(' ').all(|part| line.contains(part))
            })
        })
        .collect();
    let mut closing = lab.spawn(&["room", "close", "r"]);
    door.until_waiting(3);
    for id in &ids {
        docker(&["rm", "-f", id]);
    }
    drop(held);
    closing.wait().unwrap();
    expect_closed(&lab);
    let archives = lab.archived("r");
    for student in students(3) {
        // Files outside of the workspace went with the container where nothing had been read before.
        let part = if student == "s01" { "workspace/" } else { "" };
        let mine: Vec<&PathBuf> = of_student(&archives, &student).collect();
        WORK.expect_in(mine.first().expect("an archive"), &student, part);
        for archive in mine {
            WORK.expect_in(archive, &student, "workspace/");
        }
    }
}

/// How many archives of a room the ledger has.
fn recorded(state: &std::path::Path, room: &str) -> u32 {
    let ledger = rusqlite::Connection::open(state.join("ledger.db")).unwrap();
    let count = "SELECT count(*) FROM archives WHERE room = ?1";
    ledger.query_row(count, [room], |row| row.get(0)).unwrap()
}

/// Closes the room of one seat as far as its archive is recorded and its container about to be ended; then `meddle` is done.
fn meddled_before_the_removal(door: &Door, lab: &Lab, meddle: impl FnOnce()) {
    open(lab, 1);
    let state = lab.state();
    // The engine's time is asked for then.
    let held = door.hold(move |line| line.contains("/info ") && recorded(&state, "r") == 1);
    let mut closing = lab.spawn(&["room", "close", "r"]);
    door.until_waiting(1);
    meddle();
    drop(held);
    closing.wait().unwrap();
    expect_closed(lab);
}

#[test]
fn what_is_written_in_a_thaw_between_proof_and_removal_is_archived() {
    let door = Door::new();
    let lab = site(&door, &WORK.config());
    meddled_before_the_removal(&door, &lab, || {
        let id = container(&lab, "s01");
        let write = "echo late >/workspace/late; echo later >/tmp/later";
        docker(&["unpause", &id]);
        docker(&["exec", &id, "sh", "-c", write]);
        docker(&["pause", &id]);
    });
    let archives = lab.archived("r");
    assert!(archives.len() >= 2, "{archives:?}");
    let last = archives.iter().map(|(_, path)| path).find(|path| {
        let files = files_of(path);
        files
            .iter()
            .any(|(name, content)| name == "workspace/late" && content == b"late\n")
    });
    let last = last.expect("no archive has what was written in the thaw");
    assert_eq!(file_in(last, "elsewhere/tmp/later"), "later\n");
    WORK.expect_room(&lab, "r", &students(1));
}

/// The store loses an archive when it is proven and recorded: the work is still there to be archived again.
#[test]
fn an_archive_that_vanishes_before_the_removal_is_made_again() {
    let door = Door::new();
    let lab = site(&door, &WORK.config());
    meddled_before_the_removal(&door, &lab, || {
        std::fs::remove_dir_all(lab.archives().join("submissions/r")).unwrap();
    });
    let archives = lab.archived("r");
    let left = archives.iter().map(|(_, path)| path).find(|path| path.exists());
    WORK.expect_in(left.expect("no archive is left"), "s01", "workspace/");
}

/// No program of a seat takes part, so a student may replace them.
#[test]
fn a_seat_whose_programs_lie_is_archived_whole() {
    let door = Door::new();
    let lies = "cp /bin/busybox /tmp/busybox; for p in sh ash tar cat ls cp busybox; do /tmp/busybox rm -f /bin/$p; \
                echo lie >/bin/$p; done; exec /tmp/busybox httpd -f -p 8080 -h /workspace";
    let config = WORK
        .config_then(lies)
        .replace("port = 8080", "port = 8080\nuser = \"0:0\"");
    let lab = site(&door, &config);
    open(&lab, 2);
    expect_closed(&lab);
    WORK.expect_room(&lab, "r", &students(2));
    for (_, archive) in lab.archived("r") {
        for program in ["tar", "sh", "busybox"] {
            assert_eq!(file_in(&archive, &format!("elsewhere/bin/{program}")), "lie\n");
        }
    }
}
