//! Rooms of the real binary on the real engine, whose archives go to a bucket.

mod bucket;
mod lab;

use std::net::{Ipv4Addr, TcpListener};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use bucket::{BUCKET, Keys, Rclone, SECRET};
use lab::{Lab, TEMPLATE, file_in, until};

fn config(endpoint: &str, keys: &Keys) -> String {
    format!(
        "archive.store = \"s3\"\narchive.prefix = \"labs/\"\n{TEMPLATE}\n[archive.s3]\nendpoint = \"{endpoint}\"\n\
         bucket = \"{BUCKET}\"\naccess_key_file = \"{}\"\nsecret_key_file = \"{}\"\nidle_timeout = 1\nretries = 2\n",
        keys.access().display(),
        keys.secret().display()
    )
}

/// Files below a directory.
fn files(below: PathBuf) -> Vec<PathBuf> {
    let (mut found, mut left) = (Vec::new(), vec![below]);
    while let Some(dir) = left.pop() {
        for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
            let list = if entry.path().is_dir() { &mut left } else { &mut found };
            list.push(entry.path());
        }
    }
    found
}

#[test]
fn a_room_is_closed_into_a_bucket() {
    let (server, keys) = (Rclone::start(), Keys::new());
    let lab = Lab::with_config(&config(&format!("http://{}", server.address), &keys));
    lab.run(&["room", "open", "r", "--seats", "2"]).expect(0);
    let doctor = lab.run(&["doctor"]).stdout;
    assert!(
        doctor.contains("archive store") && doctor.contains("writable"),
        "{doctor}"
    );
    lab.run(&["room", "close", "r"]).expect(0);
    assert_eq!(lab.left_on_engine(), Vec::<String>::new());
    let rows = lab.run(&["archive", "ls", "--room", "r", "--json"]).expect(0).json();
    let rows = rows.as_array().unwrap();
    assert_eq!(rows.len(), 2, "{rows:?}");
    for row in rows {
        let path = server
            .dir
            .path()
            .join(BUCKET)
            .join("labs")
            .join(row["key"].as_str().unwrap());
        let work = format!("work of {}\n", row["student"].as_str().unwrap());
        assert_eq!(file_in(&path, "id.txt"), work);
    }
    let scratch = files(lab.state().join("scratch"));
    assert_eq!(scratch, Vec::<PathBuf>::new(), "notes are left");
    for file in files(lab.state()) {
        let bytes = std::fs::read(&file).unwrap_or_default();
        let found = bytes.windows(SECRET.len()).any(|part| part == SECRET.as_bytes());
        assert!(!found, "the secret key is in {}", file.display());
    }
}

/// The seat stays as it is, and is kept, until the store is back.
#[test]
fn a_room_waits_for_a_bucket_that_refuses_it() {
    let keys = Keys::new();
    let (server, other) = (Rclone::start(), Keys::with("somebody", "else"));
    let lab = Lab::with_config(&config(&format!("http://{}", server.address), &other));
    lab.run(&["room", "open", "r", "--seats", "1"]).expect(0);
    let mut closing = lab.spawn(&["room", "close", "r"]);
    let fault = until("the store's refusal is told", || {
        let fault = lab.seat("r", "s01")["fault"]["text"].clone();
        fault.as_str().map(str::to_owned)
    });
    assert!(fault.contains("403"), "{fault}");
    assert!(lab.left_on_engine().iter().any(|thing| thing.starts_with("volume")));
    lab.kill_agent();
    let _ = closing.wait();
    std::fs::copy(keys.access(), other.access()).unwrap();
    std::fs::copy(keys.secret(), other.secret()).unwrap();
    lab.run(&["room", "close", "r"]).expect(0);
    assert_eq!(lab.left_on_engine(), Vec::<String>::new());
    assert_eq!(
        lab.run(&["archive", "ls", "--json"])
            .expect(0)
            .json()
            .as_array()
            .unwrap()
            .len(),
        1
    );
}

/// A store that takes connections and says nothing keeps no agent from starting, though much is left to be swept.
#[test]
fn a_store_that_hangs_holds_up_no_start() {
    let keys = Keys::new();
    let silent = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let endpoint = format!("http://{}", silent.local_addr().unwrap());
    let lab = Lab::with_config(&config(&endpoint, &keys));
    let scratch = lab.state().join("scratch");
    // As the store's module writes them.
    std::fs::create_dir_all(&scratch).unwrap();
    std::fs::set_permissions(lab.state(), std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
    for n in 0..8 {
        let note = format!("{{\"id\":\"20261124T034512Z-{n:08x}\",\"seat\":\"r/s01\",\"session\":1}}");
        std::fs::write(scratch.join(format!("20261124T034512Z-{n:08x}.attempt.json")), note).unwrap();
    }
    let start = Instant::now();
    lab.run(&["room", "open", "r", "--seats", "1"]).expect(0);
    assert!(start.elapsed() < Duration::from_secs(15), "{:?}", start.elapsed());
    assert_eq!(files(scratch).len(), 8, "what could not be asked about stays");
    let doctor = lab.run(&["doctor"]);
    assert!(doctor.stdout.contains("archive store"), "{doctor:?}");
}
