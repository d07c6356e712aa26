//! Trees of every shape. What is done to them under the reader's hands is in `tests/meddling.rs`.

mod content;
mod ground;
mod limits;
mod meddling;
mod prints;
mod round_trip;

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;

use rustix::fs::{CWD, FileType, Mode};

use super::*;
use crate::pack::entry::Mtime;
use ground::{Opens, open, seen};

fn node(path: &Path, kind: FileType, device: u64) {
    rustix::fs::mknodat(CWD, path, kind, Mode::RUSR | Mode::WUSR, device).expect("nodes need root (`sudo make test`)");
}

/// One thing of every kind, with what its name says.
fn one_of_each(root: &Path) -> std::os::unix::net::UnixListener {
    let at = |name: &str| root.join(name);
    fs::create_dir(at("a")).unwrap();
    fs::write(at("a/x"), "x").unwrap();
    fs::write(at("a.txt"), "").unwrap();
    node(&at("block"), FileType::BlockDevice, rustix::fs::makedev(7, 250));
    fs::hard_link(at("a/x"), at("z")).unwrap();
    fs::hard_link(at("a/x"), at("zz")).unwrap();
    symlink("/etc/passwd", at("link")).unwrap();
    node(&at("null"), FileType::CharacterDevice, rustix::fs::makedev(1, 3));
    node(&at("pipe"), FileType::Fifo, 0);
    std::os::unix::net::UnixListener::bind(at("sock")).unwrap()
}

#[test]
fn everything_comes_in_the_order_of_names() {
    let dir = tempfile::tempdir().unwrap();
    let _socket = one_of_each(dir.path());
    let expected = [
        ("w", "directory"),
        ("w/a", "directory"),
        ("w/a/x", "file"),
        ("w/a.txt", "file"),
        ("w/block", "device"),
        ("w/link", "symlink"),
        ("w/null", "device"),
        ("w/pipe", "fifo"),
        ("w/sock", "socket"),
        ("w/z", "hardlink"),
        ("w/zz", "hardlink"),
    ];
    let found = seen(dir.path());
    let found: Vec<_> = found.iter().map(|(a, b)| (a.as_str(), b.as_str())).collect();
    assert_eq!(found, expected);
}

#[test]
fn entries_tell_what_the_file_system_tells() {
    let dir = tempfile::tempdir().unwrap();
    let _socket = one_of_each(dir.path());
    fs::set_permissions(dir.path().join("a"), fs::Permissions::from_mode(0o7751)).unwrap();
    std::os::unix::fs::lchown(dir.path().join("link"), Some(3_000_000_000), Some(12)).unwrap();
    let mut has_nanos = false;
    walk::<io::Error, _>(open(dir.path()), b"w", &mut |found| {
        let Found::Entry(entry, content) = found else { panic!() };
        let below = entry.path.strip_prefix(b"w").unwrap();
        let below = OsStr::from_bytes(below.strip_prefix(b"/").unwrap_or(below));
        let told = fs::symlink_metadata(dir.path().join(below)).unwrap();
        let is_file = entry.kind == Kind::File;
        assert_eq!(entry.mode, told.mode() & 0o7777, "{below:?}");
        assert_eq!((entry.uid, entry.gid), (told.uid(), told.gid()), "{below:?}");
        assert_eq!(entry.size, if is_file { told.len() } else { 0 }, "{below:?}");
        let mtime = Mtime {
            seconds: told.mtime(),
            nanos: u32::try_from(told.mtime_nsec()).unwrap(),
        };
        assert_eq!(entry.mtime, mtime, "{below:?}");
        has_nanos |= entry.mtime.nanos > 0;
        let link: &[u8] = match entry.kind {
            Kind::Symlink => b"/etc/passwd",
            Kind::HardLink => b"w/a/x",
            _ => b"",
        };
        assert_eq!(entry.link, link, "{below:?}");
        assert_eq!(content.is_some(), is_file, "{below:?}");
        Ok(Next::On)
    })
    .unwrap();
    assert!(has_nanos);
}

#[test]
fn nothing_is_opened_but_directories_and_files() {
    let dir = tempfile::tempdir().unwrap();
    let _socket = one_of_each(dir.path());
    for name in ["block", "null", "pipe", "sock", "link"] {
        let opens = Opens::of(&dir.path().join(name));
        seen(dir.path());
        assert_eq!(opens.count(), 0, "{name}");
    }
    let opens = Opens::of(&dir.path().join("a.txt"));
    seen(dir.path());
    assert_eq!(opens.count(), 1);
}

#[test]
fn the_longest_link_is_whole() {
    let dir = tempfile::tempdir().unwrap();
    let target = vec![b't'; 4095];
    symlink(OsStr::from_bytes(&target), dir.path().join("link")).unwrap();
    let mut links = Vec::new();
    walk::<io::Error, _>(open(dir.path()), b"w", &mut |found| {
        let Found::Entry(entry, _) = found else { panic!() };
        links.push(entry.link.clone());
        Ok(Next::On)
    })
    .unwrap();
    assert_eq!(links, [Vec::new(), target]);
}

#[test]
fn what_is_passed_over_is_not_entered_nor_linked_to() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("a.o")).unwrap();
    fs::write(dir.path().join("a.o/c"), "content").unwrap();
    fs::write(dir.path().join("b.o"), "content").unwrap();
    fs::hard_link(dir.path().join("b.o"), dir.path().join("c")).unwrap();
    fs::hard_link(dir.path().join("b.o"), dir.path().join("d")).unwrap();
    let mut found = Vec::new();
    walk::<io::Error, _>(open(dir.path()), b"w", &mut |thing| {
        let Found::Entry(entry, _) = thing else { panic!() };
        found.push((entry.path.clone(), entry.kind, entry.link.clone()));
        let past = entry.path.ends_with(b".o");
        Ok(if past { Next::Past } else { Next::On })
    })
    .unwrap();
    let thing = |path: &str, kind, link: &str| (path.as_bytes().to_vec(), kind, link.as_bytes().to_vec());
    let expected = [
        thing("w", Kind::Directory, ""),
        thing("w/a.o", Kind::Directory, ""),
        thing("w/b.o", Kind::File, ""),
        thing("w/c", Kind::File, ""),
        thing("w/d", Kind::HardLink, "w/c"),
    ];
    assert_eq!(found, expected);
}

#[test]
fn a_visitor_ends_the_walk_with_its_error() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("a"), "").unwrap();
    let mut count = 0;
    let result = walk::<io::Error, _>(open(dir.path()), b"w", &mut |_| {
        count += 1;
        Err(io::Error::other("enough"))
    });
    assert_eq!(result.unwrap_err().to_string(), "enough");
    assert_eq!(count, 1);
}

#[test]
fn names_are_bytes() {
    let dir = tempfile::tempdir().unwrap();
    let names: [&[u8]; 4] = [b"a\nb\\", &[b'n'; 255], "tệp".as_bytes(), b"\xff\xfe"];
    for name in names {
        fs::write(dir.path().join(OsStr::from_bytes(name)), "").unwrap();
    }
    let mut found = Vec::new();
    walk::<io::Error, _>(open(dir.path()), b"w", &mut |thing| {
        let Found::Entry(entry, _) = thing else { panic!() };
        found.push(entry.path.clone());
        Ok(Next::On)
    })
    .unwrap();
    let expected: Vec<_> = names.iter().map(|name| [b"w/", *name].concat()).collect();
    assert_eq!(found[1..], expected);
}

#[test]
fn another_file_system_is_not_entered() {
    // Everywhere `/dev` is a file system with another one on `/dev/pts`.
    let mut missed = Vec::new();
    walk::<io::Error, _>(open(Path::new("/dev")), b"w", &mut |found| {
        match found {
            Found::Gone(path, why) | Found::Missed(path, why) => missed.push((path.to_vec(), why)),
            Found::Entry(entry, _) => {
                assert!(!entry.path.starts_with(b"w/pts"));
                return Ok(if entry.path == b"w" { Next::On } else { Next::Past });
            }
            Found::TooLong(path) => panic!("{path:?}"),
        }
        Ok(Next::On)
    })
    .unwrap();
    let expected = (b"w/pts".to_vec(), "another file system is mounted there".to_owned());
    assert!(missed.contains(&expected), "{missed:?}");
}

#[test]
fn why_something_is_missed_is_said_in_plain_words() {
    let words = |errno: Errno| Trouble::from(errno).words().map_err(|error| error.to_string());
    assert_eq!(words(Errno::ACCESS), Ok("could not be read (Permission denied)".into()));
    assert_eq!(words(Errno::NOENT), Ok("vanished while it was read".into()));
    assert!(words(Errno::AGAIN).unwrap().starts_with("is held by a program's lease"));
    assert!(words(Errno::MFILE).unwrap_err().starts_with("Too many open files"));
}
