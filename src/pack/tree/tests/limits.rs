//! Trees that are built to exhaust whoever reads them.

use std::fs;
use std::io;
use std::process::Command;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::super::way::HELD_MAX;
use super::super::{Found, Next, PATH_MAX, walk};
use super::ground::{Ground, handles, open, seen, seen_with};

/// Handles that may be open besides those of directories on the way: the root's, a listing's, the test's own.
const SPARE: usize = 6;

#[test]
fn a_tree_of_20_000_levels_is_followed_to_the_longest_path_and_back_with_few_handles() {
    let ground = Ground::new();
    drop(ground.dig(20_000, "d"));
    fs::write(ground.at("z"), "").unwrap();
    let mut most = 0;
    let mut count = 0;
    let found = seen_with(ground.path(), |_| {
        count += 1;
        if count % 100 == 0 {
            most = most.max(handles(ground.path()));
        }
    });
    // The root, levels of two bytes each, the one that is too long, and what comes after them.
    let levels = (PATH_MAX - 1) / 2;
    assert_eq!(found.len(), 1 + levels + 2);
    let (path, why) = &found[levels + 1];
    assert_eq!(path.len(), PATH_MAX + 1);
    assert_eq!(why, "too long");
    assert_eq!(found[levels + 2], ("w/z".into(), "file".into()));
    assert!((HELD_MAX..=HELD_MAX + SPARE).contains(&most), "{most} handles");
}

#[test]
fn the_longest_path_is_still_taken() {
    let ground = Ground::new();
    let bottom = ground.dig(PATH_MAX / 2 - 2, "d");
    for name in ["aa", "bbb"] {
        rustix::fs::mkdirat(&bottom, name, rustix::fs::Mode::RWXU).unwrap();
    }
    let found = seen(ground.path());
    let told = |end: &str| found.iter().find(|(path, _)| path.ends_with(end)).unwrap();
    assert_eq!((told("/aa").0.len(), told("/aa").1.as_str()), (PATH_MAX, "directory"));
    assert_eq!(told("/bbb").1, "too long");
}

#[test]
fn trees_deeper_than_the_kernels_longest_path_are_read_whole() {
    let ground = Ground::new();
    drop(ground.dig(5000, "d"));
    let mut bytes = Vec::new();
    let mut count = 0;
    walk::<io::Error, _>(open(ground.path()), b"w", &mut |found| {
        count += 1;
        if let Found::Entry(_, Some(content)) = found {
            io::Read::read_to_end(content, &mut bytes)?;
        }
        Ok(Next::On)
    })
    .unwrap();
    assert_eq!((count, bytes.as_slice()), (5002, b"deep".as_slice()));
}

/// Says to a copy of this program that it is one.
const CHILD: &str = "LABTOP_TEST_WITHOUT_HANDLES";

/// When this process can open nothing more, what it would miss is there all the same: the walk must fail.
#[test]
fn a_process_without_handles_misses_nothing_but_fails() {
    if std::env::var_os(CHILD).is_some() {
        return without_handles();
    }
    // The limit is a process's: in this one it would hit other tests.
    let this = "pack::tree::tests::limits::a_process_without_handles_misses_nothing_but_fails";
    let mut child = Command::new(std::env::current_exe().unwrap());
    let out = child.args(["--exact", this, "--nocapture"]).env(CHILD, "1").output();
    let out = out.unwrap();
    let told = String::from_utf8_lossy(&out.stdout);
    assert!(out.status.success() && told.contains("1 passed"), "{told}");
}

/// Lets this process open nothing more, until it is dropped, also by a panic.
struct Nothing(Rlimit);

impl Nothing {
    fn more() -> Self {
        let plenty = getrlimit(Resource::Nofile);
        let none = Rlimit {
            current: Some(0),
            ..plenty
        };
        setrlimit(Resource::Nofile, none).unwrap();
        Self(plenty)
    }
}

impl Drop for Nothing {
    fn drop(&mut self) {
        setrlimit(Resource::Nofile, self.0).unwrap();
    }
}

fn without_handles() {
    let ground = Ground::new();
    fs::write(ground.at("a"), "").unwrap();
    fs::write(ground.at("b"), "").unwrap();
    let mut paths = Vec::new();
    let mut nothing = None;
    let walked = walk::<io::Error, _>(open(ground.path()), b"w", &mut |found| {
        match found {
            Found::Gone(path, why) | Found::Missed(path, why) => panic!("{path:?} {why}"),
            Found::TooLong(path) => panic!("{path:?}"),
            Found::Entry(entry, _) => paths.push(entry.path.clone()),
        }
        if paths.len() == 2 {
            nothing = Some(Nothing::more());
        }
        Ok(Next::On)
    });
    drop(nothing);
    assert_eq!(paths, [b"w".to_vec(), b"w/a".to_vec()]);
    let error = walked.unwrap_err();
    assert!(error.to_string().starts_with("Too many open files"), "{error}");
}
