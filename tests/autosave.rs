//! Seats that go on are saved meanwhile, by the real binary: what a dead host costs is bounded.

mod door;
mod lab;
mod scratch;

use door::Door;
use lab::{Lab, docker, file_in, until};
use scratch::SmallDisk;
use serde_json::Value;

/// Seats that are saved every second, two snapshots of each kept, and do what their student's name says.
const CONFIG: &str = r#"
default_template = "lab"
[limits]
snapshots_kept = 2
[templates.lab]
image = "labtop-demo:latest"
command = ["/bin/sh", "-c", """
[ -e id.txt ] || echo "work of $LABTOP_STUDENT" > id.txt
case $LABTOP_STUDENT in
  idle) ;;
  busy) (i=0; while sleep 0.2; do i=$((i+1)); echo $i > count; done) & ;;
  wild) (while :; do mkdir -p a/b; : > a/b/c; rm -r a; done) & (while :; do dd if=/dev/urandom of=big bs=64k count=64 2>/dev/null; done) & ;;
esac
exec /bin/busybox httpd -f -p 8080 -h /workspace
"""]
port = 8080
memory = "64MiB"
cpus = 0.5
pids = 64
network = "closed"
autosave = 1
"#;

fn snapshots(lab: &Lab, student: &str) -> Vec<Value> {
    let rows = lab.run(&["archive", "ls", "--json"]).expect(0).json();
    let mine = |row: &&Value| row["student"] == student && row["kind"] == "snapshot";
    rows.as_array().unwrap().iter().filter(mine).cloned().collect()
}

fn newest(lab: &Lab, student: &str) -> Option<Value> {
    snapshots(lab, student).pop()
}

/// The id of a snapshot that is newer than that.
fn next(lab: &Lab, student: &str, than: &Value) -> Value {
    until("a newer snapshot", || {
        newest(lab, student).filter(|row| row["id"] != than["id"])
    })
}

#[test]
fn what_changes_is_saved_and_what_does_not_costs_nothing() {
    let lab = Lab::with_config(CONFIG);
    lab.run(&["room", "open", "a", "--students", "idle,busy"]).expect(0);
    let first = until("the first snapshot", || newest(&lab, "busy"));
    let idle = until("the first snapshot", || newest(&lab, "idle"));
    assert_eq!((&idle["verified"], &idle["torn"]), (&true.into(), &0.into()));
    let path = |row: &Value| lab.archives().join(row["key"].as_str().unwrap());
    assert_eq!(file_in(&path(&idle), "id.txt"), "work of idle\n");

    let mut last = first.clone();
    for _ in 0..4 {
        last = next(&lab, "busy", &last);
    }
    // As many moments to save the idle one have passed.
    assert_eq!(snapshots(&lab, "idle"), std::slice::from_ref(&idle));
    until("old ones make room", || {
        (snapshots(&lab, "busy").len() == 2).then_some(())
    });
    assert!(!path(&first).exists(), "its objects are gone with it");
    lab.run(&["archive", "verify", "--all"]).expect(0);

    // What they hold is no reason to remove anything: the closing makes archives of its own.
    lab.run(&["room", "close", "a"]).expect(0);
    assert_eq!(lab.left_on_engine(), Vec::<String>::new());
    let rows = lab.run(&["archive", "ls", "--json"]).expect(0).json();
    let closed: Vec<_> = rows
        .as_array()
        .unwrap()
        .iter()
        .filter(|row| row["kind"] == "archive")
        .collect();
    assert_eq!(closed.len(), 2);
    assert!(path(&idle).exists());
    lab.run(&["archive", "verify", "--all"]).expect(0);
}

#[test]
fn an_engine_on_another_host_is_read_and_nothing_is_sent_twice() {
    let door = Door::new();
    let (head, rest) = CONFIG.split_once("[templates.lab]").unwrap();
    let lab = Lab::with_config(&format!("{head}{}[templates.lab]{rest}", door.config()));
    lab.run(&["room", "open", "a", "--students", "idle,busy"]).expect(0);
    let idle = until("the first snapshot", || newest(&lab, "idle"));
    let mut last = until("the first snapshot", || newest(&lab, "busy"));
    for _ in 0..3 {
        last = next(&lab, "busy", &last);
    }
    assert_eq!(snapshots(&lab, "idle"), std::slice::from_ref(&idle));
    lab.run(&["room", "close", "a"]).expect(0);
    assert_eq!(lab.left_on_engine(), Vec::<String>::new());
}

#[test]
fn files_that_change_vanish_and_grow_meanwhile_are_marked_and_end_nothing() {
    let lab = Lab::with_config(CONFIG);
    lab.run(&["room", "open", "a", "--students", "wild"]).expect(0);
    let torn = until("one of them is torn", || {
        snapshots(&lab, "wild")
            .into_iter()
            .find(|row| row["torn"].as_u64() > Some(0))
    });
    let list = lab.run(&["archive", "show", torn["id"].as_str().unwrap()]);
    // It may have made room for a newer one by now.
    if list.code == 0 {
        assert!(
            list.stdout.contains("workspace/big  (changed while it was read)"),
            "{}",
            list.stdout
        );
    }
    lab.run(&["room", "close", "a"]).expect(0);
    assert_eq!(lab.left_on_engine(), Vec::<String>::new());
}

#[test]
fn a_host_that_lost_everything_gives_back_what_was_saved_last() {
    let lab = Lab::with_config(CONFIG);
    lab.run(&["room", "open", "a", "--students", "idle"]).expect(0);
    let saved = until("a snapshot", || newest(&lab, "idle"));
    lab.kill_agent();
    for thing in lab.left_on_engine() {
        let (kind, id) = thing.split_once(' ').unwrap();
        match kind {
            "container" => docker(&["rm", "-f", id]),
            "volume" => docker(&["volume", "rm", "-f", id]),
            _ => String::new(),
        };
    }
    let told = lab.run(&["room", "close", "a"]).expect(5);
    assert!(told.stderr.contains("earlier archives"), "{}", told.stderr);
    let id = saved["id"].as_str().unwrap();
    lab.run(&["archive", "restore", id, "--to", "b/idle"]).expect(0);
    lab.run(&["room", "close", "b"]).expect(0);
    let archived = lab
        .archived("b")
        .into_iter()
        .find(|(student, _)| student == "idle")
        .unwrap();
    assert_eq!(file_in(&archived.1, "id.txt"), "work of idle\n");
}

#[test]
fn a_snapshot_that_a_seat_starts_with_makes_no_room_for_others() {
    let lab = Lab::with_config(CONFIG);
    lab.run(&["room", "open", "a", "--students", "busy"]).expect(0);
    let first = until("a snapshot", || newest(&lab, "busy"));
    let id = first["id"].as_str().unwrap();
    lab.run(&["archive", "restore", id, "--to", "b/busy"]).expect(0);
    let mut last = first.clone();
    for _ in 0..8 {
        last = next(&lab, "busy", &last);
    }
    lab.run(&["archive", "verify", id]).expect(0);
}

#[test]
fn a_disk_that_is_nearly_full_is_left_to_closings() {
    let disk = SmallDisk::new(8 * 1024);
    let place = format!(
        "[archive.directory]\npath = \"{}\"\n",
        disk.path().join("archives").display()
    );
    let lab = Lab::with_config(&format!("{}{place}", CONFIG.replace("autosave = 1", "autosave = 0")));
    lab.run(&["room", "open", "a", "--students", "idle"]).expect(0);
    let ballast = disk.fill();
    // A twentieth is kept; this is less, and more than the work needs.
    let size = std::fs::metadata(&ballast).unwrap().len();
    std::fs::File::options()
        .write(true)
        .open(&ballast)
        .unwrap()
        .set_len(size - (300 << 10))
        .unwrap();
    let told = lab.run(&["room", "snapshot", "a"]).expect(1);
    assert!(told.stderr.contains("kept for the closing"), "{}", told.stderr);
    assert_eq!(snapshots(&lab, "idle"), Vec::<Value>::new());
    lab.run(&["room", "close", "a"]).expect(0);
    assert_eq!(lab.left_on_engine(), Vec::<String>::new());
}

#[test]
fn a_seat_may_be_saved_never() {
    let lab = Lab::with_config(&CONFIG.replace("autosave = 1", "autosave = 0"));
    lab.run(&["room", "open", "a", "--students", "busy,idle"]).expect(0);
    // Unless somebody asks for it.
    lab.run(&["room", "snapshot", "a", "--student", "idle"]).expect(0);
    assert_eq!(snapshots(&lab, "idle").len(), 1);
    lab.run(&["room", "close", "a"]).expect(0);
    lab.run(&["room", "snapshot", "a"]).expect(1);
    assert_eq!(snapshots(&lab, "busy"), Vec::<Value>::new());
    let wrong = Lab::with_config(&CONFIG.replace("autosave = 1", "autosave = 86401"));
    let told = wrong.run(&["config", "check"]).expect(2);
    assert!(
        told.stderr.contains("autosave") && told.stderr.contains("86400"),
        "{}",
        told.stderr
    );
}
