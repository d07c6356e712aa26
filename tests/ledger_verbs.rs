//! The ledger copied while it is written, and made again after it was lost, by the real binary.

mod engine;
mod lab;

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use lab::{Lab, Ran, TEMPLATE, docker};
use serde_json::Value;

/// What `ls` tells of the seats that does not change by itself.
fn seats(lab: &Lab) -> Vec<String> {
    let tell = |seat: Value| {
        let word = |key: &str| seat[key].to_string();
        [
            word("room"),
            word("student"),
            word("phase"),
            word("route"),
            word("container_id"),
        ]
        .join(" ")
    };
    lab.ls().into_iter().map(tell).collect()
}

fn ids(rows: &Value) -> Vec<String> {
    let rows = rows.as_array().unwrap();
    rows.iter().map(|row| row["id"].as_str().unwrap().to_owned()).collect()
}

fn archives(lab: &Lab) -> Value {
    lab.run(&["archive", "ls", "--json"]).expect(0).json()
}

fn stop_agent(lab: &Lab) {
    let Some(pid) = lab.agent_pid() else { return };
    let process = rustix::process::Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
    rustix::process::kill_process(process, rustix::process::Signal::TERM).unwrap();
    lab::until("the agent is down", || (!lab::is_alive(pid)).then_some(()));
    until_free(lab);
}

/// A process that was killed may keep its lock until its last thread is gone.
fn until_free(lab: &Lab) {
    let free = || {
        std::fs::File::open(lab.state().join("agent.lock"))
            .ok()?
            .try_lock()
            .ok()
    };
    lab::until("nobody holds the state directory", free);
}

fn ledger(lab: &Lab) -> PathBuf {
    lab.state().join("ledger.db")
}

fn lose_ledger(lab: &Lab) {
    lab.kill_agent();
    until_free(lab);
    for name in ["ledger.db", "ledger.db-wal", "ledger.db-shm"] {
        let _ = std::fs::remove_file(lab.state().join(name));
    }
}

/// Takes what is on the engine away at the end of a test that failed while its ledger was lost.
struct Broom(String);

impl Drop for Broom {
    fn drop(&mut self) {
        let label = format!("label=io.labtop.instance={}", self.0);
        for (list, remove) in [
            (vec!["ps", "-aq"], vec!["rm", "-f"]),
            (vec!["volume", "ls", "-q"], vec!["volume", "rm"]),
            (vec!["network", "ls", "-q"], vec!["network", "rm"]),
        ] {
            for id in docker(&[list, vec!["--filter", &label]].concat()).lines() {
                docker(&[remove.clone(), vec![id]].concat());
            }
        }
    }
}

fn audited(lab: &Lab, verb: &str) -> i64 {
    let db = rusqlite::Connection::open(ledger(lab)).unwrap();
    db.query_row("SELECT count(*) FROM audit WHERE verb = ?1", [verb], |row| row.get(0))
        .unwrap()
}

fn room_row(lab: &Lab, room: &str) -> (i64, String, bool, i64, String) {
    let db = rusqlite::Connection::open(ledger(lab)).unwrap();
    let sql = "SELECT session, template, exam, opened_unix_ms, opened_by FROM rooms WHERE name = ?1";
    db.query_row(sql, [room], |row| {
        Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?))
    })
    .unwrap()
}

fn rebuild(lab: &Lab, instance: &str, more: &[&str]) -> Ran {
    lab.run(&[&["ledger", "rebuild", "--instance", instance], more].concat())
}

/// Puts something of another instance's in the place of an archive's manifest, or a damaged one.
fn change(manifest: &Path, from: &str, to: &str) {
    let text = std::fs::read_to_string(manifest).unwrap();
    assert!(text.contains(from), "{text}");
    std::fs::write(manifest, text.replace(from, to)).unwrap();
}

#[test]
fn a_backup_taken_while_a_room_opens_and_closes_serves_another_agent() {
    let lab = Lab::new();
    lab.run(&["room", "open", "a", "--seats", "2"]).expect(0);
    let mut opening = lab.spawn(&["room", "open", "b", "--seats", "3"]);
    let mut closing = lab.spawn(&["room", "close", "a"]);
    let taken = |name: &str| {
        let file = lab.path().join(name);
        lab.run(&["ledger", "backup", file.to_str().unwrap(), "--yes"])
            .expect(0);
        file
    };
    let mut busy = 0;
    while closing.try_wait().unwrap().is_none() || opening.try_wait().unwrap().is_none() {
        busy += 1;
        let file = taken(&format!("busy-{busy}"));
        let copy = rusqlite::Connection::open(&file).unwrap();
        let sound: String = copy.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
        assert_eq!(sound, "ok");
    }
    assert!(busy > 0, "no backup was taken while the rooms were busy");
    assert!(closing.wait().unwrap().success() && opening.wait().unwrap().success());

    let file = taken("backup");
    let mode = std::fs::metadata(&file).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let again = lab.run(&["ledger", "backup", file.to_str().unwrap()]).expect(1);
    assert!(again.stderr.contains("is there already"), "{}", again.stderr);
    assert_eq!(audited(&lab, "ledger backup"), i64::from(busy) + 1);
    let left = std::fs::read_dir(lab.path())
        .unwrap()
        .chain(std::fs::read_dir(lab.state().join("scratch")).unwrap());
    let left: Vec<_> = left
        .map(|file| file.unwrap().file_name().into_string().unwrap())
        .collect();
    assert!(
        !left
            .iter()
            .any(|name| name.starts_with(".labtop") || name.contains("copy")),
        "{left:?}"
    );

    let (before, stored) = (seats(&lab), archives(&lab));
    assert_eq!((before.len(), ids(&stored).len()), (3, 2));
    stop_agent(&lab);
    let state = lab.path().join("other");
    std::fs::create_dir_all(&state).unwrap();
    std::fs::rename(lab.state(), lab.path().join("old")).unwrap();
    std::fs::create_dir(lab.state()).unwrap();
    std::fs::copy(&file, ledger(&lab)).unwrap();
    lab.run(&["doctor"]);
    lab::until("the seats are as they were", || (seats(&lab) == before).then_some(()));
    assert_eq!(archives(&lab), stored);
}

#[test]
fn a_backup_in_a_pipe_is_the_whole_ledger_and_one_that_cannot_be_kept_leaves_nothing() {
    let lab = Lab::new();
    lab.run(&["doctor"]);
    let output = lab.command(&["ledger", "backup", "-"]).output().unwrap();
    assert!(output.status.success() && output.stdout.starts_with(b"SQLite format 3\0"));
    assert_eq!(output.stdout.len() % 4096, 0);
    let nowhere = lab.run(&["ledger", "backup", "/proc/backup.db"]).expect(1);
    assert!(nowhere.stderr.contains("/proc/backup.db"), "{}", nowhere.stderr);
    assert_eq!(
        audited(&lab, "ledger backup"),
        1,
        "what cannot be kept is not asked for"
    );
}

#[test]
fn copies_of_an_agent_that_was_killed_are_swept_at_the_next_start() {
    let lab = Lab::new();
    lab.run(&["doctor"]);
    stop_agent(&lab);
    let scratch = lab.state().join("scratch");
    std::fs::create_dir_all(&scratch).unwrap();
    let copy = scratch.join("ledger-copy-abc");
    std::fs::write(&copy, "half").unwrap();
    lab.run(&["doctor"]);
    assert!(!copy.exists());
}

#[test]
fn a_lost_ledger_is_made_again_with_rooms_and_archives() {
    let lab = Lab::new();
    for (room, count) in [("b", 2), ("c", 2)] {
        lab.run(&["room", "open", room, "--seats", &count.to_string()])
            .expect(0);
        lab.run(&["room", "close", room]).expect(0);
    }
    let open = ["room", "open", "a", "--students", "an,binh,chi", "--exam"];
    lab.run(&open).expect(0);
    lab.run(&["room", "freeze", "a", "--student", "binh"]).expect(0);
    lab.run(&["seat", "kill", "a/chi"]).expect(0);
    let instance = lab.instance().unwrap();
    let _broom = Broom(instance.clone());
    let (before, stored, row) = (seats(&lab), ids(&archives(&lab)), room_row(&lab, "a"));
    assert_eq!((before.len(), stored.len(), row.0), (3, 4, 3));

    lose_ledger(&lab);
    let told = rebuild(&lab, &instance, &["--yes"]).expect(0).stdout;
    for words in [
        &instance,
        "Room a: 1 seats running, 1 frozen, 1 stopped",
        "Closed rooms: 2",
        "Archives: 4, 0",
    ] {
        assert!(told.contains(words), "{words} in {told}");
    }
    assert_eq!(lab.instance().as_deref(), Some(instance.as_str()));
    assert_eq!((room_row(&lab, "a"), audited(&lab, "ledger rebuild")), (row, 1));

    lab.run(&["doctor"]);
    lab::until("the seats are as they were", || (seats(&lab) == before).then_some(()));
    let rows = archives(&lab);
    assert_eq!(ids(&rows), stored);
    assert!(
        rows.as_array().unwrap().iter().all(|row| row["verified"] == false),
        "{rows}"
    );
    lab.run(&["archive", "verify", "--all"]).expect(0);
    assert!(
        archives(&lab)
            .as_array()
            .unwrap()
            .iter()
            .all(|row| row["verified"] == true)
    );

    lab.run(&["room", "close", "a"]).expect(0);
    assert_eq!(lab.left_on_engine(), Vec::<String>::new());
    let work = lab.archived("a");
    assert_eq!(work.len(), 3);
    assert_eq!(lab::file_in(&work[0].1, "id.txt"), format!("work of {}\n", work[0].0));
    lab.run(&["room", "open", "d", "--seats", "1"]).expect(0);
    assert_eq!(room_row(&lab, "d").0, 4, "no opening is numbered twice");
}

#[test]
fn what_is_no_archive_is_named_and_skipped() {
    let lab = Lab::new();
    let students = ["an", "binh", "chi", "dung", "em"];
    lab.run(&["room", "open", "a", "--students", &students.join(",")])
        .expect(0);
    lab.run(&["room", "close", "a"]).expect(0);
    let instance = lab.instance().unwrap();
    let manifest = |student: &str| {
        let stored = lab.archived("a").into_iter().find(|(of, _)| of == student).unwrap().1;
        stored.with_file_name("manifest.json")
    };
    let places: Vec<PathBuf> = students.iter().map(|student| manifest(student)).collect();
    let text = std::fs::read(&places[0]).unwrap();
    std::fs::write(&places[0], &text[..text.len() - 4]).unwrap();
    change(&places[1], "a/binh", "a/chi");
    change(&places[2], "\"session\":1,", "\"session\":18446744073709551615,");
    std::fs::remove_file(&places[3]).unwrap();

    lose_ledger(&lab);
    let told = rebuild(&lab, &instance, &["--verify"]).expect(5);
    for (place, why) in [
        (&places[0], "has no end"),
        (&places[1], "at another place"),
        (&places[2], "out of all bounds"),
        (&places[3].with_file_name("workspace.tar.zst"), "it has no manifest"),
    ] {
        let key = place.strip_prefix(lab.archives()).unwrap().to_str().unwrap();
        let line = told.stderr.lines().find(|line| line.contains(key));
        assert!(
            line.is_some_and(|line| line.contains(why)),
            "{key}: {why} in {}",
            told.stderr
        );
    }
    assert!(told.stdout.contains("Archives: 1, 1 of them proven"), "{}", told.stdout);
    lab.run(&["doctor"]);
    let work = lab.archived("a");
    assert_eq!((work.len(), work[0].0.as_str()), (1, "em"));
}

#[test]
fn no_ledger_is_made_beside_an_agent_or_another_ledger_and_a_damaged_one_is_kept() {
    let lab = Lab::new();
    lab.run(&["room", "open", "a", "--seats", "1"]).expect(0);
    let instance = lab.instance().unwrap();
    let _broom = Broom(instance.clone());
    let told = rebuild(&lab, &instance, &[]).expect(1);
    assert!(told.stderr.contains("another agent"), "{}", told.stderr);
    stop_agent(&lab);
    let told = rebuild(&lab, &instance, &[]).expect(1);
    assert!(told.stderr.contains(ledger(&lab).to_str().unwrap()), "{}", told.stderr);

    // What is in the companion would heal the file.
    let db = rusqlite::Connection::open(ledger(&lab)).unwrap();
    db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
    drop(db);
    let mut bytes = std::fs::read(ledger(&lab)).unwrap();
    let end = bytes.len().min(8192);
    bytes[100..end].fill(0xa5);
    std::fs::write(ledger(&lab), &bytes).unwrap();
    let refused = lab.run(&["doctor"]).expect(1);
    assert!(refused.stderr.contains("labtop ledger rebuild"), "{}", refused.stderr);
    let companion = lab.state().join("ledger.db-wal");
    std::fs::write(&companion, "left over").unwrap();
    let told = rebuild(&lab, &instance, &[]).expect(0);
    assert!(!companion.exists(), "it would be replayed into the new ledger");
    let aside = lab.state().join("ledger.db.damaged-1");
    assert!(told.stdout.contains(aside.to_str().unwrap()), "{}", told.stdout);
    assert_eq!(std::fs::read(&aside).unwrap(), bytes);
    lab.run(&["room", "close", "a"]).expect(0);
    assert_eq!(lab.archived("a").len(), 1);
}

#[test]
fn whose_ledger_it_was_is_asked_only_when_it_is_not_plain() {
    let machine = engine::Machine::new(TEMPLATE);
    let lab = &machine.lab;
    let nothing = machine.run(&["ledger", "rebuild"]).expect(1);
    assert!(nothing.stderr.contains("nothing to make one of"), "{}", nothing.stderr);
    machine.run(&["doctor"]).expect(0);
    let mine = lab.instance().unwrap();
    let host = machine.engine.host();
    let volume = |instance: &str, student: &str| {
        let labels = [
            format!("io.labtop.instance={instance}"),
            "io.labtop.kind=volume".to_owned(),
            "io.labtop.room=a".to_owned(),
            "io.labtop.session=1".to_owned(),
            format!("io.labtop.student={student}"),
        ];
        let mut args = vec!["-H", host.as_str(), "volume", "create"];
        args.extend(labels.iter().flat_map(|label| ["--label", label.as_str()]));
        assert!(!docker(&args).is_empty());
    };
    volume(&mine, "an");
    lose_ledger(lab);
    let told = machine.run(&["ledger", "rebuild"]).expect(0);
    assert!(told.stdout.contains(&mine), "{}", told.stdout);
    assert!(
        told.stderr.contains("room a: its labels do not tell its template"),
        "{}",
        told.stderr
    );

    let other = "6f1b7a52-0000-4000-8000-000000000000";
    volume(other, "binh");
    lose_ledger(lab);
    let told = machine.run(&["ledger", "rebuild"]).expect(1);
    for words in [mine.as_str(), other, "--instance"] {
        assert!(told.stderr.contains(words), "{words} in {}", told.stderr);
    }
    assert!(!ledger(lab).exists(), "nothing is made when it is not plain");
    machine.run(&["ledger", "rebuild", "--instance", other]).expect(0);
    assert_eq!(lab.instance().as_deref(), Some(other));
}
