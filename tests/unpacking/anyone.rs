//! What any user can have back, also one who is no root: run as whoever runs the tests, and as nobody.

use std::fs::{self, File};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::Path;

use labtop::pack::entry::{Entry, Kind};
use labtop::pack::unpack::{Owners, UnpackError, Unpacked, unpack};
use rustix::fs::{AtFlags, Mode, OFlags};

use crate::unpacking::{Scratch, Tar, entry, link};

/// Deeper than any path that the kernel takes in one call, and than open files are allowed.
const DEPTH: usize = 10_000;

fn mine(tar: &[u8], from: &str, target: &Path) -> Result<Unpacked, UnpackError> {
    unpack(tar, from.as_bytes(), target, Owners::Mine)
}

fn mode(path: &Path) -> u32 {
    path.symlink_metadata().unwrap().mode() & 0o7777
}

fn mtime(path: &Path) -> (i64, i64) {
    let data = path.symlink_metadata().unwrap();
    (data.mtime(), data.mtime_nsec())
}

fn directory(path: &str, mode: u32) -> Entry {
    Entry {
        mode,
        ..entry(Kind::Directory, path)
    }
}

const WHEN: (i64, i64) = (1_700_000_000, 123_456_789);

#[test]
fn only_what_was_asked_for_comes_back() {
    let dir = Scratch::new();
    let tar = Tar::new()
        .dir("workspace")
        .dir("workspace/a")
        .file("workspace/a/x", "x")
        .file("workspaces", "no")
        .dir("elsewhere")
        .file("elsewhere/y", "y")
        .file("../../evil", "not asked for")
        .end();
    let done = mine(&tar, "workspace/a/", &dir.at("is")).unwrap();
    assert_eq!((done.files, done.directories, done.bytes), (1, 0, 1));
    assert_eq!(fs::read(dir.at("is/x")).unwrap(), b"x");
    assert_eq!(fs::read_dir(dir.at("is")).unwrap().count(), 1);
    assert_eq!(mtime(&dir.at("is")), WHEN);

    let error = mine(&tar, "workspace/b", &dir.at("none")).unwrap_err();
    assert!(matches!(error, UnpackError::Nothing(_)), "{error}");
    let error = mine(&tar, "workspace/a/x", &dir.at("none")).unwrap_err();
    assert!(matches!(error, UnpackError::NotADirectory(_)), "{error}");
    assert_eq!(dir.names(), ["is"]);
}

#[test]
fn a_place_that_is_taken_stays_as_it_is() {
    let dir = Scratch::new();
    let tar = Tar::new().dir("w").file("w/x", "x").end();
    fs::create_dir(dir.at("full")).unwrap();
    fs::write(dir.at("full/mine"), "mine").unwrap();
    fs::write(dir.at("file"), "mine").unwrap();
    fs::create_dir(dir.at("empty")).unwrap();
    symlink("empty", dir.at("link")).unwrap();
    for name in ["full", "file", "link", "file/"] {
        let error = mine(&tar, "w", &dir.at(name)).unwrap_err();
        assert!(matches!(error, UnpackError::Occupied(_)), "{name}: {error}");
    }
    for name in ["missing/x", "missing/y/x"] {
        let error = mine(&tar, "w", &dir.at(name)).unwrap_err();
        assert!(matches!(error, UnpackError::NoParent(_)), "{name}: {error}");
    }
    for name in ["full/..", "file/x", "/"] {
        let error = mine(&tar, "w", &dir.at(name)).unwrap_err();
        assert!(matches!(error, UnpackError::Place(..)), "{name}: {error}");
    }
    assert_eq!(fs::read(dir.at("file")).unwrap(), b"mine");
    assert_eq!(fs::read_dir(dir.at("full")).unwrap().count(), 1);
    mine(&tar, "w", &dir.at("empty")).unwrap();
    assert_eq!(fs::read(dir.at("empty/x")).unwrap(), b"x");
    assert_eq!(dir.names(), ["empty", "file", "full", "link"]);
}

#[test]
fn a_tar_that_is_cut_leaves_nothing() {
    let dir = Scratch::new();
    let tar = Tar::new()
        .dir("w")
        .add(&directory("w/a", 0o500))
        .file("w/a/x", vec![3; 2000])
        .add(&directory("w/a/b", 0))
        .hard_link("w/y", "w/a/x")
        .symlink("w/z", "/")
        .end();
    for length in (0..tar.len()).step_by(250) {
        let error = mine(&tar[..length], "w", &dir.at("is")).unwrap_err();
        assert!(matches!(error, UnpackError::Tar(_)), "{length}: {error}");
        assert!(error.to_string().contains("cut short"), "{length}: {error}");
        assert_eq!(dir.names(), Vec::<String>::new(), "{length}");
    }
    mine(&tar, "w", &dir.at("is")).unwrap();
}

#[test]
fn a_stream_that_fails_is_told_as_it_failed() {
    use std::io::{Error, Read};
    struct Failing;
    impl Read for Failing {
        fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
            Err(Error::other("the store is gone"))
        }
    }
    let dir = Scratch::new();
    let tar = Tar::new().dir("w").file("w/x", vec![3; 2000]).end();
    let stream = tar[..1700].chain(Failing);
    let error = unpack(stream, b"w", &dir.at("is"), Owners::Mine).unwrap_err();
    assert_eq!(error.to_string(), "the store is gone");
    assert_eq!(dir.names(), Vec::<String>::new());
}

/// Entries of a directory come after it was left: the order of breadth, as some programs have it.
#[test]
fn directories_that_are_left_can_be_filled_further() {
    let dir = Scratch::new();
    let tar = Tar::new()
        .add(&directory("w", 0o555))
        .add(&directory("w/a", 0))
        .add(&directory("w/b", 0o444))
        .add(&directory("w/c", 0o111))
        .file("w/b/x", "x")
        .add(&directory("w/a/d", 0o000))
        .file("w/a/y", "y")
        .hard_link("w/c/y", "w/a/y")
        .file("w/a/d/z", "z")
        .hard_link("w/b/z", "w/a/d/z")
        .hard_link("w/a/d/x", "w/b/x")
        .symlink("w/b/l", "nowhere")
        .file("w/s", "s")
        .end();
    let done = mine(&tar, "w", &dir.at("is")).unwrap();
    assert_eq!((done.files, done.directories, done.links), (4, 4, 4));
    for (name, bits) in [("is", 0o555), ("is/a", 0), ("is/b", 0o444), ("is/c", 0o111)] {
        assert_eq!((mode(&dir.at(name)), mtime(&dir.at(name))), (bits, WHEN), "{name}");
    }
    fs::set_permissions(dir.at("is/a"), std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
    assert_eq!((mode(&dir.at("is/a/d")), mtime(&dir.at("is/a/d"))), (0, WHEN));
    for name in ["is/a/d", "is/b"] {
        fs::set_permissions(dir.at(name), std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
    }
    assert_eq!(fs::read(dir.at("is/a/d/x")).unwrap(), b"x");
    let same = |a: &str, b: &str| dir.at(a).metadata().unwrap().ino() == dir.at(b).metadata().unwrap().ino();
    assert!(same("is/a/d/x", "is/b/x") && same("is/b/z", "is/a/d/z") && same("is/c/y", "is/a/y"));
}

#[test]
fn directories_may_be_missing_or_come_late() {
    let dir = Scratch::new();
    let tar = Tar::new()
        .file("w/a/b/x", "x")
        .add(&directory("w/a/b", 0o750))
        .file("w/a/y", "y")
        .add(&directory("w", 0o701))
        .end();
    mine(&tar, "w", &dir.at("is")).unwrap();
    assert_eq!(mode(&dir.at("is")), 0o701);
    assert_eq!(mode(&dir.at("is/a")), 0o755);
    assert_eq!(mode(&dir.at("is/a/b")), 0o750);
    assert_eq!(mtime(&dir.at("is/a/b")), WHEN);
    // Without a word about it, a tree is for its owner alone.
    mine(&tar, "w/a", &dir.at("part")).unwrap();
    assert_eq!(mode(&dir.at("part")), 0o700);
}

#[test]
fn what_holds_nothing_is_told_and_passed_over() {
    let dir = Scratch::new();
    let tar = Tar::new()
        .dir("w")
        .add(&entry(Kind::Fifo, "w/pipe\x1b"))
        .add(&entry(Kind::Device, "w/null"))
        .hard_link("w/other", "w/null")
        .hard_link("w/lost", "elsewhere/x")
        .hard_link("w/gone", "w/no/such")
        .file("w/x", "x")
        .end();
    let done = mine(&tar, "w", &dir.at("is")).unwrap();
    assert_eq!(
        done.notices,
        [
            "w/pipe\\u{1b} is a fifo, which holds nothing that could be restored",
            "w/null is a device, which holds nothing that could be restored",
            "w/other has the content of w/null, which is not restored",
            "w/lost has the content of elsewhere/x, which is not restored",
            "w/gone has the content of w/no/such, which is not restored",
        ]
    );
    assert_eq!((done.files, done.links), (1, 0));
    assert_eq!(fs::read_dir(dir.at("is")).unwrap().count(), 1);
}

#[test]
fn remarks_are_bounded() {
    let dir = Scratch::new();
    let mut tar = Tar::new().dir("w");
    for number in 0..250 {
        tar = tar.add(&entry(Kind::Fifo, format!("w/{number}{}", "x".repeat(2000))));
    }
    let done = mine(&tar.end(), "w", &dir.at("is")).unwrap();
    assert_eq!(done.notices.len(), 101);
    assert_eq!(done.notices[100], "150 more are not told");
    assert!(done.notices.iter().all(|notice| notice.len() < 500));
}

fn enter(dir: OwnedFd, name: &str) -> OwnedFd {
    let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat(&dir, name, flags, Mode::empty()).unwrap()
}

/// Down to the bottom of everything, and on the way back up a file beside some of the directories.
fn deep_tar() -> Vec<u8> {
    let below = |depth: usize| "d/".repeat(depth);
    let mut tar = Tar::new().dir("w");
    for depth in 1..=DEPTH {
        let mut way = entry(Kind::Directory, format!("w/{}", below(depth).trim_end_matches('/')));
        way.mode = if depth % 100 == 50 { 0o500 } else { 0o755 };
        tar = tar.add(&way);
    }
    tar = tar.file(format!("w/{}x", below(DEPTH)), "deep");
    for depth in (0..DEPTH).rev().step_by(101) {
        tar = tar.file(format!("w/{}x", below(depth)), "on the way");
    }
    // And once more from the top to the bottom.
    let (path, first) = (format!("w/{}y", below(DEPTH)), format!("w/{}x", below(DEPTH)));
    tar.add(&link(Kind::HardLink, path, &first))
        .add(&link(Kind::HardLink, "w/y", first))
        .end()
}

#[test]
fn a_tree_deeper_than_any_path_comes_back() {
    let dir = Scratch::in_memory();
    let tar = deep_tar();
    let done = mine(&tar, "w", &dir.at("is")).unwrap();
    assert_eq!(done.directories, DEPTH as u64);
    assert_eq!(done.files, 1 + (0..DEPTH).step_by(101).count() as u64);
    let mut here: OwnedFd = File::open(dir.at("is")).unwrap().into();
    for depth in 1..=DEPTH {
        here = enter(here, "d");
        let stat = rustix::fs::fstat(&here).unwrap();
        let mode = if depth % 100 == 50 { 0o500 } else { 0o755 };
        assert_eq!((stat.st_mode & 0o7777, stat.st_mtime), (mode, WHEN.0), "{depth}");
    }
    let bottom = rustix::fs::statat(&here, "x", AtFlags::SYMLINK_NOFOLLOW).unwrap();
    assert_eq!((bottom.st_size, bottom.st_nlink), (4, 3));
    assert_eq!(dir.at("is/y").metadata().unwrap().ino(), bottom.st_ino);

    // A failure in the end removes all of it.
    let cut = &tar[..tar.len() - 1];
    mine(cut, "w", &dir.at("again")).unwrap_err();
    assert_eq!(dir.names(), ["is"]);
}

#[test]
fn a_path_of_long_names_comes_back() {
    let dir = Scratch::new();
    let mut tar = Tar::new();
    let mut path = "w".to_owned();
    for letter in ('a'..='z').cycle().take(60) {
        tar = tar.dir(&path);
        path = format!("{path}/{}", letter.to_string().repeat(255));
    }
    assert!(path.len() > 15_000);
    let tar = tar.file(&path, "far").end();
    let done = mine(&tar, "w", &dir.at("is")).unwrap();
    assert_eq!((done.files, done.directories), (1, 59));
    // One byte more than a name may have is an error of the system's.
    let tar = Tar::new().file(format!("w/{}", "n".repeat(256)), "x").end();
    let error = mine(&tar, "w", &dir.at("no")).unwrap_err();
    assert!(matches!(error, UnpackError::Make { .. }), "{error}");
    assert_eq!(dir.names(), ["is"]);
}

#[test]
fn zeros_become_holes() {
    let dir = Scratch::new();
    let mut content = vec![0; 4 << 20];
    content[(1 << 20) + 5] = 1;
    let tar = Tar::new()
        .dir("w")
        .file("w/holes", &content)
        .file("w/zeros", vec![0; 1 << 20]);
    mine(&tar.end(), "w", &dir.at("is")).unwrap();
    assert_eq!(fs::read(dir.at("is/holes")).unwrap(), content);
    assert_eq!(fs::read(dir.at("is/zeros")).unwrap(), vec![0; 1 << 20]);
    let blocks = |name: &str| dir.at(name).metadata().unwrap().blocks();
    assert!(blocks("is/holes") <= 16, "{} blocks", blocks("is/holes"));
    assert!(blocks("is/zeros") <= 8, "{} blocks", blocks("is/zeros"));
}

#[test]
fn an_owner_is_only_given_by_root() {
    if rustix::process::getuid().is_root() {
        return;
    }
    let dir = Scratch::new();
    let mut file = entry(Kind::File, "w/x");
    file.uid = 0;
    let tar = Tar::new().dir("w").with_data(file, "x").end();
    let error = unpack(tar.as_slice(), b"w", &dir.at("is"), Owners::Keep).unwrap_err();
    assert!(matches!(error, UnpackError::Owner(_)), "{error}");
    assert_eq!(dir.names(), Vec::<String>::new());
}
