//! Trees of every shape, and students who change them under the reader's hands.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;

use super::*;

fn open(path: &Path) -> OwnedFd {
    File::open(path).unwrap().into()
}

/// Every path with its kind, and what was missed.
fn seen(root: &Path) -> Vec<(String, String)> {
    let mut all = Vec::new();
    walk::<io::Error, _>(open(root), b"w", &mut |found| {
        let (path, what) = match &found {
            Found::Entry(entry, _) => (entry.path.clone(), entry.kind.word().to_owned()),
            Found::Missed(path, why) => (path.to_vec(), why.clone()),
            Found::TooLong(path) => (path.to_vec(), "too long".to_owned()),
        };
        all.push((String::from_utf8_lossy(&path).into_owned(), what));
        Ok(Next::On)
    })
    .unwrap();
    all
}

#[test]
fn everything_comes_in_the_order_of_names() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    fs::create_dir(at("a")).unwrap();
    fs::write(at("a/x"), "x").unwrap();
    fs::write(at("a.txt"), "").unwrap();
    fs::hard_link(at("a/x"), at("z")).unwrap();
    symlink("/etc/passwd", at("link")).unwrap();
    rustix::fs::mknodat(rustix::fs::CWD, at("pipe"), FileType::Fifo, Mode::RUSR, 0).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(at("sock")).unwrap();
    let expected = [
        ("w", "directory"),
        ("w/a", "directory"),
        ("w/a/x", "file"),
        ("w/a.txt", "file"),
        ("w/link", "symlink"),
        ("w/pipe", "fifo"),
        ("w/sock", "socket"),
        ("w/z", "hardlink"),
    ];
    let found = seen(dir.path());
    let found: Vec<_> = found.iter().map(|(a, b)| (a.as_str(), b.as_str())).collect();
    assert_eq!(found, expected);
}

#[test]
fn a_name_that_was_passed_over_is_not_linked_to() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("a.o"), "content").unwrap();
    fs::hard_link(dir.path().join("a.o"), dir.path().join("b")).unwrap();
    let mut kinds = Vec::new();
    walk::<io::Error, _>(open(dir.path()), b"w", &mut |found| {
        let Found::Entry(entry, _) = found else { panic!() };
        kinds.push(entry.kind);
        Ok(if entry.path.ends_with(b".o") {
            Next::Past
        } else {
            Next::On
        })
    })
    .unwrap();
    assert_eq!(kinds, [Kind::Directory, Kind::File, Kind::File]);
}

/// Reads the one file, with `meddle` between its first byte and the rest.
fn read_with(size: usize, meddle: impl Fn(&Path)) -> (Vec<u8>, bool) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("f");
    fs::write(&path, vec![b'a'; size]).unwrap();
    let (mut bytes, mut torn) = (Vec::new(), false);
    walk::<io::Error, _>(open(dir.path()), b"w", &mut |found| {
        if let Found::Entry(_, Some(content)) = found {
            let mut first = [0];
            content.read_exact(&mut first).unwrap();
            meddle(&path);
            bytes.push(first[0]);
            content.read_to_end(&mut bytes).unwrap();
            torn = content.is_torn();
        }
        Ok(Next::On)
    })
    .unwrap();
    (bytes, torn)
}

#[test]
fn a_file_that_changes_has_the_length_that_was_told_and_is_torn() {
    assert_eq!(read_with(5000, |_| {}), (vec![b'a'; 5000], false));
    let append = |path: &Path| {
        File::options()
            .append(true)
            .open(path)
            .unwrap()
            .write_all(b"more")
            .unwrap();
    };
    assert_eq!(read_with(5000, append), (vec![b'a'; 5000], true));
    let cut = |path: &Path| File::options().write(true).open(path).unwrap().set_len(10).unwrap();
    let (bytes, torn) = read_with(5000, cut);
    assert_eq!((bytes.len(), bytes[9], bytes[10], torn), (5000, b'a', 0, true));
}

#[test]
fn holes_are_zeros_and_data_is_data() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("sparse");
    let file = File::create(&path).unwrap();
    file.set_len(8 << 20).unwrap();
    rustix::io::pwrite(&file, b"middle", 4 << 20).unwrap();
    assert!(fs::metadata(&path).unwrap().blocks() * 512 < 8 << 20);
    walk::<io::Error, _>(open(dir.path()), b"w", &mut |found| {
        if let Found::Entry(_, Some(content)) = found {
            let mut bytes = Vec::new();
            content.read_to_end(&mut bytes).unwrap();
            assert_eq!(bytes, fs::read(&path).unwrap());
        }
        Ok(Next::On)
    })
    .unwrap();
}

#[test]
fn a_directory_that_becomes_a_link_leads_nowhere() {
    let dir = tempfile::tempdir().unwrap();
    let outside = tempfile::tempdir().unwrap();
    fs::write(outside.path().join("secret"), "").unwrap();
    fs::write(dir.path().join("a"), "").unwrap();
    fs::create_dir(dir.path().join("b")).unwrap();
    let mut paths = Vec::new();
    walk::<io::Error, _>(open(dir.path()), b"w", &mut |found| {
        if let Found::Entry(entry, _) = found {
            if entry.path == b"w/a" {
                fs::remove_dir(dir.path().join("b")).unwrap();
                symlink(outside.path(), dir.path().join("b")).unwrap();
            }
            paths.push(String::from_utf8(entry.path.clone()).unwrap());
        }
        Ok(Next::On)
    })
    .unwrap();
    assert_eq!(paths, ["w", "w/a", "w/b"]);
}

#[test]
fn what_vanishes_is_told_of() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("a"), "").unwrap();
    fs::write(dir.path().join("b"), "").unwrap();
    let mut missed = Vec::new();
    walk::<io::Error, _>(open(dir.path()), b"w", &mut |found| {
        match found {
            Found::Entry(entry, _) if entry.path == b"w/a" => fs::remove_file(dir.path().join("b")).unwrap(),
            Found::Missed(path, why) => missed.push((path.to_vec(), why)),
            Found::Entry(..) | Found::TooLong(_) => {}
        }
        Ok(Next::On)
    })
    .unwrap();
    assert_eq!(
        missed,
        [(b"w/b".to_vec(), "vanished or was replaced while it was read".to_owned())]
    );
}

/// Makes directories one in the other, and returns to remove them without a long path.
fn deep(root: &Path, levels: usize, name: &str) {
    let mut at: OwnedFd = open(root);
    for _ in 0..levels {
        rustix::fs::mkdirat(&at, name, Mode::RWXU).unwrap();
        at = rustix::fs::openat(&at, name, OFlags::DIRECTORY, Mode::empty()).unwrap();
    }
    let file = rustix::fs::openat(&at, "bottom", OFlags::CREATE | OFlags::WRONLY, Mode::RUSR).unwrap();
    rustix::io::write(&file, b"deep").unwrap();
}

#[test]
fn trees_deeper_than_the_longest_path_are_read_and_endless_ones_told_of() {
    let dir = tempfile::tempdir().unwrap();
    deep(dir.path(), 5000, "d");
    let found = seen(dir.path());
    assert_eq!(found.len(), 5002);
    assert!(found[5001].0.ends_with("/bottom"));
    fs::remove_dir_all(dir.path().join("d")).unwrap();
    deep(dir.path(), 9000, "d");
    let found = seen(dir.path());
    assert!(found.last().unwrap().1.contains("too long"), "{:?}", found.last());
    fs::remove_dir_all(dir.path().join("d")).unwrap();
}

#[test]
fn names_are_bytes() {
    let dir = tempfile::tempdir().unwrap();
    let names: [&[u8]; 3] = [b"\xff\xfe", "tệp".as_bytes(), &[b'n'; 255]];
    for name in names {
        fs::write(dir.path().join(std::ffi::OsStr::from_bytes(name)), "").unwrap();
    }
    let mut found = Vec::new();
    walk::<io::Error, _>(open(dir.path()), b"w", &mut |f| {
        let Found::Entry(entry, _) = f else { panic!() };
        found.push(entry.path.clone());
        Ok(Next::On)
    })
    .unwrap();
    for name in names {
        assert!(found.contains(&[b"w/", name].concat()));
    }
}

#[test]
fn a_fingerprint_changes_with_everything_and_with_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    fs::create_dir(at("d")).unwrap();
    fs::write(at("d/f"), "one").unwrap();
    fs::write(at("skipped"), "").unwrap();
    let take = || fingerprint(open(dir.path()), &|path, _| path == b"skipped").unwrap();
    let mut last = take();
    assert_eq!(take(), last);
    fs::write(at("skipped"), "more").unwrap();
    assert_eq!(take(), last);
    let mut changed = |what: &str, deed: &dyn Fn()| {
        deed();
        let now = take();
        assert_ne!(now, last, "{what}");
        last = now;
    };
    let time = fs::metadata(at("d/f")).unwrap().modified().unwrap();
    changed("content with its time put back", &|| {
        fs::write(at("d/f"), "two").unwrap();
        File::options()
            .write(true)
            .open(at("d/f"))
            .unwrap()
            .set_modified(time)
            .unwrap();
    });
    changed("mode", &|| {
        fs::set_permissions(at("d/f"), fs::Permissions::from_mode(0o600)).unwrap();
    });
    changed("name", &|| fs::rename(at("d/f"), at("d/g")).unwrap());
    changed("directory", &|| fs::create_dir(at("e")).unwrap());
    changed("link", &|| symlink("x", at("l")).unwrap());
}
