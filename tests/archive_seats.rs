//! Archives become seats again, and folders for whoever marks them, by the real binary.

mod door;
mod lab;

use std::os::unix::fs::MetadataExt;
use std::path::Path;

use door::Door;
use lab::{Lab, docker, file_in, until};

use serde_json::Value;

/// Seats that make a tree of all that an archive can hold when they find none, and only look at it when they do.
const CONFIG: &str = r#"
default_template = "lab"
[templates.lab]
image = "labtop-demo:latest"
command = ["/bin/sh", "-c", """
if [ ! -e id.txt ]; then
  echo "work of $LABTOP_STUDENT" > id.txt
  mkdir -p src empty closed
  echo 'int main;' > 'src/tên tệp.c'
  ln src/* src/second-name
  ln -s /etc/passwd outward; ln -s src/second-name inward
  dd if=/dev/zero of=hole bs=1 count=0 seek=300000 2>/dev/null
  : > nothing
  printf '#!/bin/sh\\n' > run.sh; chmod 4755 run.sh
  echo secret > closed/own; chmod 000 closed/own closed
  touch -d '2020-02-03 04:05:06' id.txt src
  mkdir -p /tmp/home; echo setting > /tmp/home/editor; chmod 640 /tmp/home/editor
fi
exec /bin/busybox httpd -f -p 8080 -h /workspace
"""]
port = 8080
memory = "32MiB"
cpus = 0.5
pids = 32
network = "closed"
[templates.shut]
image = "labtop-demo:latest"
command = ["/bin/sh", "-c", "exec /bin/busybox httpd -f -p 8080 -h /workspace"]
port = 8080
memory = "32MiB"
cpus = 0.5
pids = 32
network = "closed"
read_only = true
"#;

/// A closed room `a` of an and binh.
fn closed_room(lab: &Lab) {
    lab.run(&["room", "open", "a", "--students", "an,binh"]).expect(0);
    lab.run(&["room", "close", "a"]).expect(0);
}

fn archives(lab: &Lab) -> Vec<Value> {
    let rows = lab.run(&["archive", "ls", "--json"]).expect(0).json();
    rows.as_array().unwrap().clone()
}

/// The one archive of a student in a room.
fn archive(lab: &Lab, room: &str, student: &str) -> Value {
    let mine = |row: &&Value| row["room"] == room && row["student"] == student;
    archives(lab).iter().find(mine).expect("an archive").clone()
}

fn id(row: &Value) -> &str {
    row["id"].as_str().unwrap()
}

/// The lines of an archive's manifest, which tell everything of each entry.
fn entries(lab: &Lab, row: &Value, which: &str) -> Vec<String> {
    let manifest = lab.archives().join(row["key"].as_str().unwrap());
    let text = std::fs::read_to_string(manifest.with_file_name("manifest.json")).unwrap();
    let mine = text.lines().skip(1).filter(|line| line.contains(which));
    mine.map(str::to_owned).collect()
}

/// Restores an's work to a new room, closes that, and compares what was archived of it with what it came from.
fn comes_back(lab: &Lab, room: &str, template: &str, which: &str) {
    let before = archive(lab, "a", "an");
    let seat = format!("{room}/an");
    let told = lab
        .run(&["archive", "restore", id(&before), "--to", &seat, "--template", template])
        .expect(0);
    assert!(told.stdout.contains(&seat), "{}", told.stdout);
    assert_eq!(lab.seat(room, "an")["phase"], "ready");
    lab.run(&["room", "close", room]).expect(0);
    let after = archive(lab, room, "an");
    let (before, after) = (entries(lab, &before, which), entries(lab, &after, which));
    assert!(before.len() >= 3, "{before:?}");
    assert_eq!(before, after);
}

#[test]
fn an_archive_becomes_a_seat_again_with_all_that_it_was() {
    let lab = Lab::with_config(CONFIG);
    closed_room(&lab);
    // Everything: bytes, modes, owners, times, links, holes, empty things, and what was written elsewhere.
    comes_back(&lab, "b", "lab", "");
    comes_back(&lab, "c", "shut", "workspace/");
    assert_eq!(lab.left_on_engine(), Vec::<String>::new());
}

/// A laboratory whose agent reaches the engine through a door.
fn behind(door: &Door) -> Lab {
    let (head, rest) = CONFIG.split_once("[templates.lab]").unwrap();
    Lab::with_config(&format!("{head}{}[templates.lab]{rest}", door.config()))
}

#[test]
fn an_engine_on_another_host_unpacks_it_itself() {
    let door = Door::new();
    let lab = behind(&door);
    closed_room(&lab);
    comes_back(&lab, "b", "lab", "");
    comes_back(&lab, "c", "shut", "workspace/");
    assert_eq!(lab.left_on_engine(), Vec::<String>::new());
}

/// The agent dies when the workspace of a seat is filled and the seat not started; then some of the work goes, as if the
/// filling had been cut, and `meddle` is done.
fn cut_in_the_filling(door: &Door, meddle: impl Fn(&Path, &str)) {
    let lab = behind(door);
    closed_room(&lab);
    let row = archive(&lab, "a", "an");
    let restore = ["archive", "restore", id(&row), "--to", "b/an"];
    let start = door.hold(|line| line.starts_with("POST ") && line.contains("/start"));
    let mut child = lab.spawn(&restore);
    door.until_waiting(1);
    lab.kill_agent();
    let _ = child.wait();
    let found = |kind: &str| {
        let things = lab.left_on_engine();
        let mut mine = things.iter().filter_map(|thing| thing.strip_prefix(kind));
        mine.next().expect("a thing of that kind").trim().to_owned()
    };
    let volume = docker(&["volume", "inspect", "-f", "{{.Mountpoint}}", &found("volume")]);
    std::fs::remove_file(Path::new(&volume).join("id.txt")).unwrap();
    meddle(Path::new(&volume), &found("container"));
    drop(start);
    let again = lab.run(&restore);
    assert!(
        again.code == 0 || again.stderr.contains("is there already"),
        "{}",
        again.stderr
    );
    until("it is ready", || {
        (lab.seat("b", "an")["phase"] == "ready").then_some(())
    });
    lab.run(&["room", "close", "b"]).expect(0);
    assert_eq!(entries(&lab, &row, ""), entries(&lab, &archive(&lab, "b", "an"), ""));
}

#[test]
fn what_is_in_a_workspace_that_nobody_worked_in_is_not_taken_for_all_of_it() {
    cut_in_the_filling(&Door::honest(), |_, _| {});
    cut_in_the_filling(&Door::new(), |_, _| {});
}

#[test]
fn a_workspace_that_an_engine_has_half_filled_is_filled_also_without_its_container() {
    cut_in_the_filling(&Door::new(), |volume, container| {
        // The owner that the workspace's root has until all of it is there.
        std::os::unix::fs::chown(volume, Some(0x7fff_fffe), Some(0x7fff_fffe)).unwrap();
        docker(&["rm", "-f", container]);
    });
}

#[test]
fn what_cannot_be_restored_is_refused_and_nothing_is_made() {
    let lab = Lab::with_config(CONFIG);
    closed_room(&lab);
    let row = archive(&lab, "a", "an");
    let refused = |args: &[&str], words: &str| {
        let told = lab.run(args).expect(1);
        assert!(told.stderr.contains(words), "{words}: {}", told.stderr);
    };
    refused(
        &["archive", "restore", id(&row), "--to", "b/binh"],
        "is the work of an, not of binh",
    );
    refused(
        &["archive", "restore", "20200101T000000Z-0", "--to", "b/an"],
        "there is no archive",
    );
    lab.run(&["archive", "restore", id(&row)]).expect(2);
    lab.run(&["archive", "restore", id(&row), "--to", "b/an", "--to-dir", "x"])
        .expect(2);

    lab.run(&["room", "open", "b", "--students", "an"]).expect(0);
    refused(&["archive", "restore", id(&row), "--to", "b/an"], "is there already");
    lab.run(&["room", "close", "b"]).expect(0);

    let stored = lab.archives().join(row["key"].as_str().unwrap());
    let mut bytes = std::fs::read(&stored).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&stored, bytes).unwrap();
    refused(&["archive", "restore", id(&row), "--to", "c/an"], id(&row));
    assert_eq!(lab.ls(), Vec::<Value>::new());
    assert_eq!(lab.left_on_engine(), Vec::<String>::new());
}

#[test]
fn a_restore_that_was_killed_is_finished_and_whole() {
    let lab = Lab::with_config(CONFIG);
    closed_room(&lab);
    let row = archive(&lab, "a", "an");
    for (room, things) in [("b", 1), ("c", 2), ("d", 3)] {
        let seat = format!("{room}/an");
        let mut child = lab.spawn(&["archive", "restore", id(&row), "--to", &seat]);
        // The network, the volume and the container come one after the other.
        until("it is under way", || {
            (lab.left_on_engine().len() >= things).then_some(())
        });
        lab.kill_agent();
        let _ = child.wait();
        let again = lab.run(&["archive", "restore", id(&row), "--to", &seat]);
        assert!(
            again.code == 0 || again.stderr.contains("is there already"),
            "{}",
            again.stderr
        );
        until("it is ready", || {
            (lab.seat(room, "an")["phase"] == "ready").then_some(())
        });
        lab.run(&["room", "close", room]).expect(0);
        let after = archive(&lab, room, "an");
        assert_eq!(
            entries(&lab, &row, ""),
            entries(&lab, &after, ""),
            "killed at {things} things"
        );
    }
    assert_eq!(lab.left_on_engine(), Vec::<String>::new());
}

#[test]
fn a_room_is_exported_with_one_folder_a_student() {
    let lab = Lab::with_config(CONFIG);
    closed_room(&lab);
    // A second sitting: the newest work counts.
    let first = archive(&lab, "a", "an");
    lab.run(&["archive", "restore", id(&first), "--to", "a/an"]).expect(0);
    lab.run(&["room", "close", "a"]).expect(0);
    let out = lab.path().join("marking");
    let export = ["archive", "export", "a", "--out", out.to_str().unwrap()];
    let told = lab.run(&export).expect(0);
    assert!(told.stdout.contains("2 of 2 students"), "{}", told.stdout);
    assert!(
        told.stderr.contains("an: has archives of 2 openings"),
        "{}",
        told.stderr
    );
    assert!(!told.stderr.contains("binh: has"), "{}", told.stderr);
    let newest = archives(&lab).pop().unwrap();
    assert!(told.stdout.contains(id(&newest)), "{}", told.stdout);
    let about = |path: &str| std::fs::symlink_metadata(out.join(path)).unwrap();
    assert_eq!(about("").mode() & 0o777, 0o700);
    for student in ["an", "binh"] {
        let text = std::fs::read_to_string(out.join(student).join("id.txt")).unwrap();
        assert_eq!(text, format!("work of {student}\n"));
        let names: Vec<_> = names(&out.join(student));
        assert!(
            !names.iter().any(|name| name == "workspace" || name == "elsewhere"),
            "{names:?}"
        );
    }
    // Whoever marks owns all of it, may read all of it, and gets nobody's rights by it.
    assert_eq!(about("an/id.txt").uid(), 0);
    assert_eq!(about("an/run.sh").mode() & 0o7777, 0o755);
    assert_eq!(about("an/closed").mode() & 0o700, 0o700);
    assert_eq!(about("an/closed/own").mode() & 0o400, 0o400);
    // What a link of a student's leads to out there is another's work.
    assert!(!names(&out.join("an")).contains(&"outward".to_owned()));
    assert!(
        told.stderr.contains("outward is a link that leads out"),
        "{}",
        told.stderr
    );
    assert!(about("an/inward").is_symlink());
    let again = lab.run(&export).expect(1);
    assert!(again.stderr.contains("is not empty"), "{}", again.stderr);
    lab.run(&["archive", "export", "none", "--out", "x"]).expect(1);

    // One that is damaged keeps nobody else's from being taken out.
    let binh = archive(&lab, "a", "binh");
    std::fs::write(lab.archives().join(binh["key"].as_str().unwrap()), "other").unwrap();
    let second = lab.path().join("second");
    let told = lab
        .run(&["archive", "export", "a", "--out", second.to_str().unwrap()])
        .expect(5);
    assert!(told.stderr.contains("binh: "), "{}", told.stderr);
    assert_eq!(names(&second), ["an"]);
    let newest = archives(&lab).into_iter().rfind(|row| row["student"] == "an").unwrap();
    let stored = lab.archives().join(newest["key"].as_str().unwrap());
    assert_eq!(file_in(&stored, "id.txt"), "work of an\n");
}

fn names(directory: &Path) -> Vec<String> {
    let found = std::fs::read_dir(directory).unwrap();
    let mut names: Vec<_> = found
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}
