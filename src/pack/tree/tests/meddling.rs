//! Students who change the tree under the reader's hands. The reader's visitor is the student, so that it always happens
//! at the same moment; one race is run as a race.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::{CWD, FileType, Mode, RenameFlags};

use super::super::way::HELD_MAX;
use super::super::{Found, Next, walk};
use super::ground::{Ground, Opens, open, seen, seen_with};

const VANISHED: &str = "vanished while it was read";

fn pairs(found: &[(String, String)]) -> Vec<(&str, &str)> {
    found
        .iter()
        .map(|(path, what)| (path.as_str(), what.as_str()))
        .collect()
}

#[test]
fn what_vanishes_is_told_of() {
    let ground = Ground::new();
    for name in ["a", "b", "d"] {
        fs::write(ground.at(name), "").unwrap();
    }
    fs::create_dir(ground.at("c")).unwrap();
    let found = seen_with(ground.path(), |path| {
        if path == "w/a" {
            fs::remove_file(ground.at("b")).unwrap();
            fs::remove_dir(ground.at("c")).unwrap();
        }
    });
    let expected = [
        ("w", "directory"),
        ("w/a", "file"),
        ("w/b", VANISHED),
        ("w/c", VANISHED),
        ("w/d", "file"),
    ];
    assert_eq!(pairs(&found), expected);
}

#[test]
fn a_directory_that_vanishes_when_it_was_found_takes_nothing_else_along() {
    let ground = Ground::new();
    fs::create_dir(ground.at("a")).unwrap();
    fs::write(ground.at("a/x"), "").unwrap();
    fs::write(ground.at("b"), "").unwrap();
    let found = seen_with(ground.path(), |path| {
        if path == "w/a" {
            fs::remove_dir_all(ground.at("a")).unwrap();
        }
    });
    let found: Vec<_> = pairs(&found)
        .into_iter()
        .filter(|(_, what)| *what != VANISHED)
        .collect();
    assert_eq!(found, [("w", "directory"), ("w/a", "directory"), ("w/b", "file")]);
}

#[test]
fn a_file_has_the_size_that_it_has_when_it_is_opened() {
    let ground = Ground::new();
    fs::write(ground.at("a"), "").unwrap();
    fs::write(ground.at("b"), "before").unwrap();
    let mut sizes = Vec::new();
    walk::<std::io::Error, _>(open(ground.path()), b"w", &mut |found| {
        let Found::Entry(entry, _) = found else { panic!() };
        if entry.path == b"w/a" {
            fs::write(ground.at("b"), "afterwards").unwrap();
        }
        sizes.push(entry.size);
        Ok(Next::On)
    })
    .unwrap();
    assert_eq!(sizes, [0, 0, 10]);
}

#[test]
fn a_directory_that_becomes_a_link_leads_nowhere() {
    let (ground, outside) = (Ground::new(), Ground::new());
    fs::write(outside.at("secret"), "").unwrap();
    fs::write(ground.at("a"), "").unwrap();
    fs::create_dir(ground.at("b")).unwrap();
    fs::create_dir(ground.at("c")).unwrap();
    let swap = |name: &str| {
        fs::remove_dir(ground.at(name)).unwrap();
        symlink(outside.path(), ground.at(name)).unwrap();
    };
    let found = seen_with(ground.path(), |path| match path {
        // Before it is looked at, and between that and its listing.
        "w/a" => swap("b"),
        "w/c" => swap("c"),
        _ => {}
    });
    let found: Vec<_> = pairs(&found)
        .into_iter()
        .filter(|(_, what)| *what != VANISHED)
        .collect();
    let expected = [
        ("w", "directory"),
        ("w/a", "file"),
        ("w/b", "symlink"),
        ("w/c", "directory"),
    ];
    assert_eq!(found, expected);
}

#[test]
fn a_file_that_becomes_a_link_leads_nowhere() {
    let (ground, outside) = (Ground::new(), Ground::new());
    fs::write(outside.at("secret"), "").unwrap();
    fs::write(ground.at("a"), "").unwrap();
    fs::write(ground.at("b"), "").unwrap();
    let opens = Opens::of(&outside.at("secret"));
    let found = seen_with(ground.path(), |path| {
        if path == "w/a" {
            fs::remove_file(ground.at("b")).unwrap();
            symlink(outside.at("secret"), ground.at("b")).unwrap();
        }
    });
    assert_eq!(pairs(&found)[2], ("w/b", "symlink"));
    assert_eq!(opens.count(), 0);
}

/// Directories `d/d/d…`, more than are held at once, each with a file `z` that comes after what is below.
fn deep(ground: &Ground) -> usize {
    let levels = HELD_MAX + 40;
    let mut path = PathBuf::from(ground.path());
    for _ in 0..levels {
        path.push("d");
        fs::create_dir(&path).unwrap();
        fs::write(path.join("z"), "").unwrap();
    }
    fs::write(path.join("bottom"), "").unwrap();
    fs::write(ground.at("z"), "").unwrap();
    levels
}

#[test]
fn a_branch_that_is_moved_away_is_read_to_its_end() {
    let (ground, outside) = (Ground::new(), Ground::new());
    let levels = deep(&ground);
    fs::write(outside.at("secret"), "").unwrap();
    let found = seen_with(ground.path(), |path| {
        if path.ends_with("bottom") {
            fs::rename(ground.at("d/d/d"), ground.at("moved")).unwrap();
            symlink(outside.path(), ground.at("d/d/d")).unwrap();
        }
    });
    let files = found
        .iter()
        .filter(|(path, what)| path.ends_with("/z") && what == "file");
    assert_eq!(files.count(), levels + 1);
    assert!(found.iter().all(|(_, what)| what == "file" || what == "directory"));
}

/// Moves a branch away in two pieces and puts something else into its place; what between them was not read is lost.
fn in_two(decoy: impl Fn(&Path)) {
    const CUT: usize = 20;
    let ground = Ground::new();
    let levels = deep(&ground);
    let found = seen_with(ground.path(), |path| {
        if path.ends_with("bottom") {
            fs::rename(ground.at(&["d"; CUT].join("/")), ground.at("lower")).unwrap();
            fs::rename(ground.at("d/d/d"), ground.at("upper")).unwrap();
            decoy(&ground.at("d/d/d"));
        }
    });
    let after = found.iter().position(|(path, _)| path.ends_with("bottom")).unwrap();
    let after = pairs(&found[after + 1..]);
    let (read, rest) = after.split_at(levels - CUT + 1);
    assert!(
        read.iter()
            .all(|(path, what)| path.ends_with("/d/z") && *what == "file")
    );
    let expected = [
        ("w/d/d/d", "was moved while it was read"),
        ("w/d/d/z", "file"),
        ("w/d/z", "file"),
        ("w/z", "file"),
    ];
    assert_eq!(rest, expected);
}

#[test]
fn a_branch_that_is_moved_away_in_two_loses_what_is_between_and_says_so() {
    let outside = Ground::new();
    fs::write(outside.at("z"), "").unwrap();
    in_two(|path| symlink(outside.path(), path).unwrap());
    in_two(|path| {
        // Directories that look the same are not the same.
        fs::create_dir_all(path.join("d/d/d")).unwrap();
        fs::write(path.join("z"), "").unwrap();
    });
    in_two(|_| {});
}

#[test]
fn a_way_back_that_is_cut_at_every_step_is_found_again() {
    let ground = Ground::new();
    let levels = deep(&ground);
    let found = seen_with(ground.path(), |path| {
        let level = path.matches("/d").count();
        if path.ends_with("/d/z") {
            let left = ground.at(&vec!["d"; level].join("/"));
            fs::rename(left, ground.at(&format!("moved-{level}"))).unwrap();
        }
    });
    let files = found
        .iter()
        .filter(|(path, what)| path.ends_with("/z") && what == "file");
    assert_eq!(files.count(), levels + 1);
    assert!(found.iter().all(|(_, what)| what == "file" || what == "directory"));
}

/// Everything that is found is a file with its own bytes or the pipe; the pipe is never opened, and nothing hangs.
#[test]
fn a_pipe_that_takes_a_files_place_is_never_opened() {
    let ground = Ground::new();
    let (file, pipe) = (ground.at("file"), ground.at("pipe"));
    fs::write(&file, "content").unwrap();
    rustix::fs::mknodat(CWD, &pipe, FileType::Fifo, Mode::RUSR, 0).unwrap();
    let opens = Opens::of(&pipe);
    let over = AtomicBool::new(false);
    let mut kinds = std::collections::HashMap::new();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                rustix::fs::renameat_with(CWD, &file, CWD, &pipe, RenameFlags::EXCHANGE).unwrap();
            }
        });
        for _ in 0..2000 {
            for (path, what) in seen(ground.path()) {
                *kinds.entry((path, what)).or_insert(0) += 1;
            }
        }
        over.store(true, Ordering::Relaxed);
    });
    assert_eq!(opens.count(), 0);
    let known = |kind: &str| matches!(kind, "file" | "fifo" | "directory");
    assert!(kinds.keys().all(|(_, kind)| known(kind)), "{kinds:?}");
}
