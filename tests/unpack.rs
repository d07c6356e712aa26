//! Trees that go into a tar and come back: everything that a student's directory may hold.

#[path = "unpacking/anyone.rs"]
mod anyone;
#[path = "scratch/mod.rs"]
#[allow(dead_code, reason = "the disk is filled by what is tested")]
mod scratch;
#[path = "unpacking/mod.rs"]
mod unpacking;

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use labtop::pack::entry::{Kind, Mtime};
use labtop::pack::unpack::{Owners, UnpackError, unpack};
use unpacking::{Scratch, Tar, assert_same, entry, look, packed};

fn is_root() -> bool {
    rustix::process::getuid().is_root()
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

fn set_mtime(path: &Path, seconds: i64, nanos: i64) {
    let at = rustix::fs::Timespec {
        tv_sec: seconds,
        tv_nsec: nanos,
    };
    let times = rustix::fs::Timestamps {
        last_access: at,
        last_modification: at,
    };
    let flags = rustix::fs::AtFlags::SYMLINK_NOFOLLOW;
    rustix::fs::utimensat(rustix::fs::CWD, path, &times, flags).unwrap();
}

/// A tree with everything in it that comes back.
fn student(root: &Path) {
    let at = |name: &str| root.join(name);
    for dir in ["", "src", "src/deep", "empty", "closed", "shared"] {
        fs::create_dir(at(dir)).unwrap();
    }
    fs::write(at("src/main.c"), "int main(void) { return 0; }\n").unwrap();
    fs::write(at("src/nothing"), "").unwrap();
    fs::write(at("src/odd"), vec![7; 100_003]).unwrap();
    fs::write(root.join(std::ffi::OsStr::from_bytes(b"\xff\xfe \n\x1b name")), "bytes").unwrap();
    fs::write(at(&"n".repeat(255)), "long").unwrap();
    fs::write(at("bài tập.txt"), "tiếng Việt").unwrap();
    fs::hard_link(at("src/main.c"), at("src/deep/second")).unwrap();
    fs::hard_link(at("src/main.c"), at("third")).unwrap();
    symlink("/etc/passwd", at("absolute")).unwrap();
    symlink("../../../..", at("src/up")).unwrap();
    symlink("nowhere", at("dangling")).unwrap();
    symlink(std::ffi::OsStr::from_bytes(b"\xff\xfd"), at("strange")).unwrap();
    symlink("l".repeat(4000), at("longlink")).unwrap();
    fs::write(at("closed/secret"), "s").unwrap();
    fs::write(at("run"), "#!/bin/sh\n").unwrap();
    sparse(&at("sparse"));
    if is_root() {
        give_away(root);
    }
    set_mode(&at("run"), 0o4755);
    set_mode(&at("shared"), 0o3775);
    set_mode(&at("src/nothing"), 0o000);
    set_mode(&at("closed"), 0o555);
    for (name, seconds, nanos) in [
        ("src/main.c", 1_600_000_000, 999_999_999),
        ("src/nothing", 0, 1),
        ("src/odd", -5, 250_000_000),
        ("absolute", 1_500_000_000, 5),
        ("closed/secret", 4_000_000_000, 0),
        ("src/deep", 1_400_000_000, 77),
        ("closed", 1_300_000_000, 78),
        ("empty", 1_200_000_000, 79),
        ("src", 1_100_000_000, 80),
        ("", 1_000_000_000, 81),
    ] {
        set_mtime(&at(name), seconds, nanos);
    }
}

/// A file with a hole at its beginning, in its middle and at its end.
fn sparse(path: &Path) {
    use std::os::unix::fs::FileExt;
    let file = fs::File::create(path).unwrap();
    file.write_all_at(b"first", 1 << 20).unwrap();
    file.write_all_at(&[9; 5000], 3 << 20).unwrap();
    file.set_len(5 << 20).unwrap();
}

fn give_away(root: &Path) {
    use std::os::unix::fs::lchown;
    for (name, uid, gid) in [
        ("run", 1000, 1001),
        ("dangling", 1002, 1003),
        ("src", 70_000, 4_000_000_000),
        ("empty", 1000, 1000),
        ("third", 1000, 0),
    ] {
        lchown(root.join(name), Some(uid), Some(gid)).unwrap();
    }
}

fn blocks(path: &Path) -> u64 {
    path.metadata().unwrap().blocks()
}

#[test]
fn a_tree_comes_back_as_it_was() {
    assert!(
        is_root(),
        "files are given to others: run the tests as root (`sudo make test`)"
    );
    let dir = Scratch::new();
    student(&dir.at("was"));
    let tar = packed(&dir.at("was"), "workspace");
    let done = unpack(tar.as_slice(), b"workspace", &dir.at("is"), Owners::Keep).unwrap();
    assert_same(&look(&dir.at("was")), &look(&dir.at("is")));
    assert!(blocks(&dir.at("is/sparse")) <= blocks(&dir.at("was/sparse")));
    assert_eq!(dir.names(), ["is", "was"]);
    assert_eq!((done.files, done.directories, done.links), (9, 5, 7));
    assert_eq!(done.bytes, 29 + 100_003 + 5 + 4 + 14 + 1 + 10 + (5 << 20));
    assert_eq!(done.notices, Vec::<String>::new());
}

#[test]
fn gnu_tar_makes_the_same_of_it() {
    assert!(
        is_root(),
        "files are given to others: run the tests as root (`sudo make test`)"
    );
    let dir = Scratch::new();
    student(&dir.at("was"));
    let tar = packed(&dir.at("was"), "workspace");
    fs::write(dir.at("tar"), tar).unwrap();
    let status = Command::new("tar")
        .args(["--extract", "--same-owner", "--preserve-permissions", "--numeric-owner"])
        .arg("--file")
        .arg(dir.at("tar"))
        .arg("--directory")
        .arg(dir.path())
        .status()
        .unwrap();
    assert!(status.success());
    assert_same(&look(&dir.at("was")), &look(&dir.at("workspace")));
}

/// What GNU tar makes of a tree comes back; its old form knows no nanoseconds, and times before 1970 only in a way that
/// the reader does not take.
fn comes_back_from_gnu_tar(format: &str, has_nanos: bool) {
    let dir = Scratch::new();
    student(&dir.at("was"));
    if !has_nanos {
        set_mtime(&dir.at("was/src/odd"), 5, 0);
    }
    let output = Command::new("tar")
        .args(["--create", "--sort=name", "--format", format, "--directory"])
        .arg(dir.path())
        .arg("was")
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    unpack(output.stdout.as_slice(), b"was", &dir.at("is"), Owners::Keep).unwrap();
    let (mut was, mut is) = (look(&dir.at("was")), look(&dir.at("is")));
    if !has_nanos {
        for seen in was.values_mut().chain(is.values_mut()) {
            seen.mtime.1 = 0;
        }
    }
    assert_same(&was, &is);
}

#[test]
fn what_gnu_tar_wrote_comes_back() {
    assert!(
        is_root(),
        "files are given to others: run the tests as root (`sudo make test`)"
    );
    comes_back_from_gnu_tar("pax", true);
}

#[test]
fn what_gnu_tar_wrote_in_its_own_form_comes_back() {
    assert!(
        is_root(),
        "files are given to others: run the tests as root (`sudo make test`)"
    );
    comes_back_from_gnu_tar("gnu", false);
}

#[test]
fn for_oneself_nothing_acts_as_another() {
    let dir = Scratch::new();
    let mut run = entry(Kind::File, "w/run");
    (run.mode, run.uid, run.gid) = (0o6751, 1000, u32::MAX);
    let tar = Tar::new().dir("w").with_data(run, "x").end();
    unpack(tar.as_slice(), b"w", &dir.at("is"), Owners::Mine).unwrap();
    let data = dir.at("is/run").metadata().unwrap();
    assert_eq!(data.mode() & 0o7777, 0o751);
    assert_eq!(data.uid(), rustix::process::getuid().as_raw());
}

#[test]
fn an_owner_that_nobody_can_be_is_refused() {
    let dir = Scratch::new();
    let mut run = entry(Kind::File, "w/run");
    run.uid = u32::MAX;
    let tar = Tar::new().dir("w").with_data(run, "x").end();
    let error = unpack(tar.as_slice(), b"w", &dir.at("is"), Owners::Keep).unwrap_err();
    assert!(matches!(error, UnpackError::Refused { .. }), "{error}");
    assert_eq!(dir.names(), Vec::<String>::new());
}

#[test]
fn a_full_disk_leaves_nothing() {
    let disk = scratch::SmallDisk::new(1024);
    let tar = Tar::new().dir("w").dir("w/a").file("w/a/b", vec![1; 600_000]);
    let tar = tar.dir("w/c").file("w/c/d", vec![1; 600_000]).end();
    let error = unpack(tar.as_slice(), b"w", &disk.path().join("is"), Owners::Keep).unwrap_err();
    assert!(
        error.to_string().starts_with("cannot restore w/c/d: No space left"),
        "{error}"
    );
    assert_eq!(fs::read_dir(disk.path()).unwrap().count(), 0);
}

#[test]
fn a_place_where_something_is_mounted_is_told_at_once() {
    let disk = scratch::SmallDisk::new(64);
    let error = unpack(&b""[..], b"", disk.path(), Owners::Keep).unwrap_err();
    assert!(error.to_string().contains("mounted"), "{error}");
}

/// Times far away do not fail; what the file system makes of them is its own.
#[test]
fn times_at_the_end_of_all_days_are_taken() {
    let dir = Scratch::new();
    let mut tar = Tar::new().dir("w");
    for (name, seconds) in [("w/a", i64::MAX), ("w/b", i64::MIN + 1), ("w/c", 1 << 40)] {
        let mut file = entry(Kind::File, name);
        file.mtime = Mtime { seconds, nanos: 1 };
        tar = tar.with_data(file, "x");
    }
    let done = unpack(tar.end().as_slice(), b"w", &dir.at("is"), Owners::Keep).unwrap();
    assert_eq!(done.files, 3);
}

/// The tests of `anyone` again, as a user who may do nothing that others forbid.
#[test]
fn nobody_can_do_what_anyone_can() {
    if !is_root() {
        // They just ran so.
        return;
    }
    let dir = Scratch::new();
    set_mode(dir.path(), 0o755);
    let program = dir.at("tests");
    fs::copy(std::env::current_exe().unwrap(), &program).unwrap();
    set_mode(&program, 0o755);
    fs::create_dir(dir.at("tmp")).unwrap();
    set_mode(&dir.at("tmp"), 0o1777);
    let output = Command::new(&program)
        .arg("anyone::")
        .env("TMPDIR", dir.at("tmp"))
        .current_dir(dir.at("tmp"))
        .uid(65_534)
        .gid(65_534)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}");
    assert!(!text.contains(" 0 passed"), "{text}");
}
