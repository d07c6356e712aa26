//! What is in an archive, by the real binary: the work, what was written elsewhere, the log; and whether it is still so.

mod lab;

use std::os::unix::fs::MetadataExt;

use lab::Lab;

/// Seats that work in their workspace, write outside of it, and leave a pipe and a socket's worth of nothing.
const CONFIG: &str = r#"
default_template = "lab"
[templates.lab]
image = "labtop-demo:latest"
command = ["/bin/sh", "-c", "echo work of $LABTOP_STUDENT > id.txt; mkdir -p node_modules; echo big > node_modules/x; mkfifo pipe; mkdir -p /tmp/home/.config; echo setting > /tmp/home/.config/editor; echo odd > \"$(printf '/tmp/b\\377')\"; echo printed by $LABTOP_STUDENT; exec /bin/busybox httpd -f -p 8080 -h /workspace"]
port = 8080
memory = "32MiB"
cpus = 0.5
pids = 32
network = "closed"
archive.exclude = ["node_modules"]
"#;

/// Whose work was taken out, by the audit trail.
fn taken_out(lab: &Lab) -> Vec<String> {
    let ledger = rusqlite::Connection::open(lab.state().join("ledger.db")).unwrap();
    let mut rows = ledger
        .prepare("SELECT target FROM audit WHERE verb = 'archive restore' ORDER BY seq")
        .unwrap();
    rows.query_map([], |row| row.get(0))
        .unwrap()
        .map(Result::unwrap)
        .collect()
}

#[test]
fn an_archive_holds_all_that_was_written_and_tells_what_it_left_out() {
    let lab = Lab::with_config(CONFIG);
    lab.run(&["room", "open", "a", "--students", "an,binh"]).expect(0);
    lab.run(&["room", "close", "a"]).expect(0);
    let rows = lab.run(&["archive", "ls", "--json"]).expect(0).json();
    let row = rows
        .as_array()
        .unwrap()
        .iter()
        .find(|row| row["student"] == "an")
        .unwrap()
        .clone();
    let id = row["id"].as_str().unwrap();
    assert_eq!(row["left_out"], 2, "{row}");

    let list = lab.run(&["archive", "show", id]).expect(0).stdout;
    for shown in [
        "workspace/id.txt",
        "elsewhere/tmp/home/.config/editor",
        "workspace/node_modules  (not stored: excluded by the template)",
        "elsewhere/tmp/b\\xff",
        "workspace/pipe  (not stored: a named pipe",
    ] {
        assert!(list.contains(shown), "{shown} in {list}");
    }
    assert!(!list.contains("node_modules/x"), "{list}");
    let print = |path: &str| lab.run(&["archive", "show", id, path]).expect(0).stdout;
    assert_eq!(print("workspace/id.txt"), "work of an\n");
    assert_eq!(print("elsewhere/tmp/home/.config/editor"), "setting\n");
    assert_eq!(
        lab.run(&["archive", "show", id, "--log"]).expect(0).stdout,
        "printed by an\n"
    );
    let missing = lab.run(&["archive", "show", id, "workspace/none"]).expect(1);
    assert!(
        missing.stderr.contains("workspace/none is not in it"),
        "{}",
        missing.stderr
    );

    let to = lab.path().join("an");
    let restore = ["archive", "restore", id, "--to-dir", to.to_str().unwrap()];
    lab.run(&restore).expect(0);
    let text = |path: &str| std::fs::read_to_string(to.join(path)).unwrap();
    assert_eq!(text("workspace/id.txt"), "work of an\n");
    assert_eq!(text("elsewhere/tmp/home/.config/editor"), "setting\n");
    let about = |path: &str| std::fs::metadata(to.join(path)).unwrap();
    assert_eq!(about("").mode() & 0o777, 0o700, "only who restored it may enter");
    assert_eq!(
        (about("workspace").uid(), about("workspace/id.txt").mode() & 0o777),
        (1000, 0o644)
    );
    let again = lab.run(&restore).expect(1);
    assert!(again.stderr.contains("is there already"), "{}", again.stderr);
    assert_eq!(taken_out(&lab), ["a/an", "a/an"]);

    lab.run(&["archive", "verify", "--all"]).expect(0);
    let stored = lab.archives().join(row["key"].as_str().unwrap());
    let mut bytes = std::fs::read(&stored).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&stored, bytes).unwrap();
    let told = lab.run(&["archive", "verify", "--all"]).expect(5);
    assert!(told.stderr.contains("DAMAGED: a/an"), "{}", told.stderr);
    lab.run(&["archive", "verify", id]).expect(1);
    // Another student's work in its place unpacks without a fault, and is not what was sent.
    let others = rows
        .as_array()
        .unwrap()
        .iter()
        .find(|row| row["student"] == "binh")
        .unwrap();
    std::fs::copy(lab.archives().join(others["key"].as_str().unwrap()), &stored).unwrap();
    let nowhere = lab.path().join("forged");
    lab.run(&["archive", "restore", id, "--to-dir", nowhere.to_str().unwrap()])
        .expect(1);
    let left: Vec<_> = std::fs::read_dir(lab.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert!(
        !left.iter().any(|name| name.to_string_lossy().contains("forged")),
        "{left:?}"
    );
    assert!(
        !left.iter().any(|name| name.to_string_lossy().contains("restore")),
        "{left:?}"
    );
    let rows = lab.run(&["archive", "ls", "--json"]).expect(0).json();
    let bad: Vec<_> = rows
        .as_array()
        .unwrap()
        .iter()
        .filter(|row| row["verified"] == false)
        .collect();
    assert_eq!((bad.len(), bad[0]["student"].as_str()), (1, Some("an")));
    lab.run(&["archive", "verify", "20200101T000000Z-0"]).expect(1);
}
