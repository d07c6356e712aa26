//! Fingerprints: what changes them, and what does not.

use std::fs::{self, File};
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt, lchown, symlink};

use rustix::fs::{CWD, FileType, Mode};

use super::super::{PATH_MAX, fingerprint, size};
use super::ground::{Ground, Opens, open, seen};

fn take(ground: &Ground) -> [u8; 32] {
    fingerprint(open(ground.path()), &|path, _| path == b"skipped", &|| true).unwrap()
}

/// Waits until the file system gives a change another moment than the last one. Older kernels do so every few
/// milliseconds only.
fn next_moment() {
    let dir = tempfile::tempdir().unwrap();
    let file = File::create(dir.path().join("clock")).unwrap();
    let moment = || {
        file.write_all_at(b"x", 0).unwrap();
        let told = file.metadata().unwrap();
        (told.ctime(), told.ctime_nsec())
    };
    let first = moment();
    while moment() == first {
        std::thread::yield_now();
    }
}

fn tree() -> Ground {
    let ground = Ground::new();
    fs::create_dir(ground.at("d")).unwrap();
    fs::write(ground.at("d/f"), "one").unwrap();
    fs::create_dir(ground.at("e")).unwrap();
    fs::create_dir(ground.at("skipped")).unwrap();
    ground
}

#[test]
fn a_fingerprint_changes_with_everything() {
    let ground = tree();
    let at = |name: &str| ground.at(name);
    let mut last = take(&ground);
    let mut changed = |what: &str, deed: &dyn Fn()| {
        next_moment();
        deed();
        let now = take(&ground);
        assert_ne!(now, last, "{what}");
        last = now;
    };
    changed("content with its time put back", &|| {
        let time = fs::metadata(at("d/f")).unwrap().modified().unwrap();
        fs::write(at("d/f"), "two").unwrap();
        File::options()
            .write(true)
            .open(at("d/f"))
            .unwrap()
            .set_modified(time)
            .unwrap();
    });
    changed("time", &|| {
        let file = File::options().write(true).open(at("d/f")).unwrap();
        file.set_modified(std::time::SystemTime::UNIX_EPOCH).unwrap();
    });
    changed("mode", &|| {
        fs::set_permissions(at("d/f"), fs::Permissions::from_mode(0o600)).unwrap();
    });
    changed("owner", &|| lchown(at("d/f"), Some(12), None).unwrap());
    changed("group", &|| lchown(at("d/f"), None, Some(12)).unwrap());
    changed("name", &|| fs::rename(at("d/f"), at("d/g")).unwrap());
    changed("place", &|| fs::rename(at("d/g"), at("e/g")).unwrap());
    changed("another name", &|| fs::hard_link(at("e/g"), at("e/h")).unwrap());
    changed("the other name's end", &|| fs::remove_file(at("e/h")).unwrap());
    changed("empty directory", &|| fs::create_dir(at("e/new")).unwrap());
    changed("directory for another", &|| {
        fs::remove_dir(at("e/new")).unwrap();
        fs::create_dir(at("e/new")).unwrap();
    });
    changed("link", &|| symlink("x", at("l")).unwrap());
    changed("link elsewhere", &|| {
        fs::remove_file(at("l")).unwrap();
        symlink("y", at("l")).unwrap();
    });
    changed("pipe", &|| {
        rustix::fs::mknodat(CWD, at("pipe"), FileType::Fifo, Mode::RUSR, 0).unwrap();
    });
    changed("the root itself", &|| {
        fs::set_permissions(ground.path(), fs::Permissions::from_mode(0o711)).unwrap();
    });
}

#[test]
fn the_size_is_that_of_the_files_that_are_not_skipped() {
    let ground = tree();
    fs::write(ground.at("e/large"), vec![b'x'; 5_000]).unwrap();
    fs::write(ground.at("skipped/f"), "skipped").unwrap();
    symlink("a long name that is no content", ground.at("l")).unwrap();
    let skip = |path: &[u8], _| path == b"skipped";
    assert_eq!(size(open(ground.path()), &skip, &|| true).unwrap(), 5_003);
    assert!(size(open(ground.path()), &skip, &|| false).is_err(), "nobody waits");
}

#[test]
fn a_fingerprint_changes_with_nothing_else() {
    let ground = tree();
    let first = take(&ground);
    next_moment();
    assert_eq!(take(&ground), first);
    seen(ground.path());
    fs::read(ground.at("d/f")).unwrap();
    assert_eq!(take(&ground), first);
    fs::write(ground.at("skipped/f"), "skipped").unwrap();
    assert_eq!(take(&ground), first);
}

#[test]
fn what_is_skipped_is_asked_for_by_its_path_and_not_entered() {
    let ground = tree();
    let asked = |ground: &Ground| {
        let mut all = Vec::new();
        let note = std::cell::RefCell::new(&mut all);
        let skip = |path: &[u8], is_directory: bool| {
            note.borrow_mut()
                .push((String::from_utf8(path.to_vec()).unwrap(), is_directory));
            path == b"d"
        };
        fingerprint(open(ground.path()), &skip, &|| true).unwrap();
        all
    };
    let expected = [("d".to_owned(), true), ("e".into(), true), ("skipped".into(), true)];
    assert_eq!(asked(&ground), expected);
}

#[test]
fn no_file_is_opened_for_a_fingerprint() {
    let ground = tree();
    let opens = Opens::of(&ground.at("d/f"));
    take(&ground);
    assert_eq!(opens.count(), 0);
    seen(ground.path());
    assert_eq!(opens.count(), 1);
}

#[test]
fn a_fingerprint_reaches_below_the_longest_path() {
    let ground = Ground::new();
    let bottom = ground.dig(PATH_MAX / 2 + 100, "d");
    let before = take(&ground);
    assert_eq!(take(&ground), before);
    next_moment();
    rustix::fs::mkdirat(&bottom, "new", Mode::RWXU).unwrap();
    assert_ne!(take(&ground), before);
}

#[test]
fn what_vanishes_is_no_trouble_but_a_way_back_that_is_cut_is() {
    let ground = tree();
    let vanish = |path: &[u8], _: bool| {
        if path == b"d" {
            fs::remove_dir(ground.at("e")).unwrap();
        }
        false
    };
    fingerprint(open(ground.path()), &vanish, &|| true).unwrap();
    let deep = Ground::new();
    drop(deep.dig(100, "d"));
    fs::write(deep.at("d/d/d/z"), "").unwrap();
    let cut = |path: &[u8], _: bool| {
        if path.ends_with(b"bottom") {
            fs::rename(deep.at(&["d"; 20].join("/")), deep.at("lower")).unwrap();
            fs::rename(deep.at("d/d/d"), deep.at("upper")).unwrap();
        }
        false
    };
    let error = fingerprint(open(deep.path()), &cut, &|| true).unwrap_err();
    assert_eq!(error.to_string(), "/d/d/d vanished while it was read");
}
