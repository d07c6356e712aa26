//! Rooms of the real binary whose bucket fails, each in another way, all at once: the faults are told, the seats stay, the
//! room whose objects are well is closed meanwhile, and when the bucket is mended the others are, with every byte.

mod bucket;
mod homework;
mod lab;

use std::collections::BTreeSet;
use std::path::Path;

use bucket::faulty::{Deed, Faulty};
use bucket::{BUCKET, Keys};
use homework::{Homework, students};
use lab::Lab;
use serde_json::Value;

const WORK: Homework = Homework { seed: 13, big: 300_000 };

/// A room, what its requests meet, and a word of the fault.
struct Case {
    room: &'static str,
    method: &'static str,
    /// The object that it happens to.
    object: &'static str,
    deed: Deed,
    words: &'static str,
}

const fn case(room: &'static str, method: &'static str, object: &'static str, deed: Deed, words: &'static str) -> Case {
    Case {
        room,
        method,
        object,
        deed,
        words,
    }
}

/// In each room; rooms are many.
const SEATS: usize = 1;
const WORKSPACE: &str = "workspace.tar.zst";
const CASES: [Case; 12] = [
    case(
        "forbidden",
        "PUT",
        WORKSPACE,
        Deed::Refuse(403, "AccessDenied"),
        "Check the keys",
    ),
    case(
        "bucketless",
        "PUT",
        WORKSPACE,
        Deed::Refuse(404, "NoSuchBucket"),
        "Make the bucket",
    ),
    case("broken", "PUT", WORKSPACE, Deed::Refuse(500, "InternalError"), "500"),
    case("busy", "PUT", WORKSPACE, Deed::Refuse(503, "SlowDown"), "SlowDown"),
    case(
        "full",
        "PUT",
        WORKSPACE,
        Deed::Refuse(507, "XMinioStorageFull"),
        "Make room",
    ),
    case("reset", "PUT", WORKSPACE, Deed::Reset, "tried again"),
    case("hung", "PUT", WORKSPACE, Deed::Hang, "no byte for 1 s"),
    case("dropped", "PUT", WORKSPACE, Deed::Drop, "does not have it"),
    case("short", "PUT", "manifest.json", Deed::Shorten, "bytes and has"),
    case("altered", "PUT", WORKSPACE, Deed::Alter, "came back different"),
    case("unreadable", "GET", WORKSPACE, Deed::Refuse(403, "AccessDenied"), "403"),
    case("silent", "GET", "manifest.json", Deed::Hang, "1 s"),
];

fn config(endpoint: &str, keys: &Keys) -> String {
    format!(
        "archive.store = \"s3\"\n{}\n[archive.s3]\nendpoint = \"{endpoint}\"\nbucket = \"{BUCKET}\"\n\
         access_key_file = \"{}\"\nsecret_key_file = \"{}\"\nidle_timeout = 1\nretries = 1\n[limits]\narchives_in_flight = 16\n",
        WORK.config(),
        keys.access().display(),
        keys.secret().display()
    )
}

/// The keys of all objects below a directory.
fn objects(root: &Path) -> BTreeSet<String> {
    let (mut found, mut left) = (BTreeSet::new(), vec![root.to_owned()]);
    while let Some(dir) = left.pop() {
        for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() {
                left.push(path);
            } else {
                found.insert(path.strip_prefix(root).unwrap().display().to_string());
            }
        }
    }
    found
}

/// A room's archives are in the bucket, byte for byte.
fn expect_archived(lab: &Lab, root: &Path, room: &str) {
    let rows = lab.run(&["archive", "ls", "--room", room, "--json"]).expect(0).json();
    let place = |row: &Value| {
        assert_eq!(row["verified"], true, "{row}");
        let student = row["student"].as_str().unwrap().to_owned();
        (student, root.join(row["key"].as_str().unwrap()))
    };
    let archives: Vec<_> = rows.as_array().unwrap().iter().map(place).collect();
    WORK.expect_all(&archives, &students(SEATS));
}

#[tokio::test(flavor = "multi_thread")]
async fn every_fault_of_a_bucket_is_told_and_outlived() {
    let (server, keys) = (Faulty::start().await, Keys::new());
    let root = server.dir.path().join(BUCKET);
    for case in &CASES {
        let room = format!("submissions/{}/", case.room);
        server.script_of(case.method, [&room, case.object], usize::MAX, case.deed);
    }
    let lab = Lab::with_config(&config(&format!("http://{}", server.address), &keys));
    let rooms = || CASES.iter().map(|case| case.room).chain(["well"]);
    let all = |verb: &[&str]| {
        let spawn = |room| lab.spawn(&[&["room", verb[0], room], &verb[1..]].concat());
        let children: Vec<_> = rooms().map(spawn).collect();
        let ends = children.into_iter().map(|child| child.wait_with_output().unwrap());
        ends.map(|end| {
            (
                end.status.code().unwrap(),
                String::from_utf8_lossy(&end.stderr).into_owned(),
            )
        })
        .collect::<Vec<_>>()
    };
    for (code, stderr) in all(&["open", "--seats", "1"]) {
        assert_eq!(code, 0, "{stderr}");
    }
    let closed = all(&["close"]);
    let left = lab.left_on_engine();
    for (case, (code, stderr)) in CASES.iter().zip(&closed) {
        assert_eq!(*code, 1, "{}: {stderr}", case.room);
        assert!(
            stderr.contains(case.words),
            "{}: no {:?} in {stderr}",
            case.room,
            case.words
        );
    }
    // Carriers come and go with each try.
    let count = |kind: &str| left.iter().filter(|thing| thing.starts_with(kind)).count();
    assert!(count("container") >= SEATS * CASES.len(), "{left:?}");
    assert_eq!(
        (count("volume"), count("network")),
        (SEATS * CASES.len(), CASES.len()),
        "{left:?}"
    );
    assert_eq!(closed.last().unwrap().0, 0, "{closed:?}");
    expect_archived(&lab, &root, "well");

    server.mend();
    for (code, stderr) in all(&["close"]) {
        assert_eq!(code, 0, "{stderr}");
    }
    assert_eq!(lab.left_on_engine(), Vec::<String>::new());
    for room in rooms() {
        expect_archived(&lab, &root, room);
    }
    let rows = lab.run(&["archive", "ls", "--json"]).expect(0).json();
    let ids: Vec<_> = rows
        .as_array()
        .unwrap()
        .iter()
        .map(|row| row["id"].as_str().unwrap())
        .collect();
    let stray: Vec<_> = objects(&root)
        .into_iter()
        .filter(|key| key.starts_with("submissions/") && !ids.iter().any(|id| key.contains(id)))
        .collect();
    assert_eq!(
        stray,
        Vec::<String>::new(),
        "in the bucket, and in no archive that is listed"
    );
}
