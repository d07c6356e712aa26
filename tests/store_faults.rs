//! The directory of archives fails while a room closes: the fault is told, seats and networks stay, other rooms feel
//! nothing, and when it is mended the same command closes the room with every byte of its work.

mod homework;
mod lab;
mod scratch;

use std::fs;
use std::os::unix::fs::{lchown, symlink};
use std::path::{Path, PathBuf};

use homework::{Homework, students};
use lab::{Lab, Ran};
use scratch::SmallDisk;
use serde_json::Value;

const WORK: Homework = Homework { seed: 11, big: 1 << 20 };
const ROOT: u32 = 0;
const NOBODY: u32 = 65_534;
/// More than the archives of a room, less than a test waits for to be filled.
const DISK_KIB: u64 = 8 * 1024;

/// A laboratory whose archives lie on a small disk of its own.
struct Scene {
    lab: Lab,
    disk: SmallDisk,
}

impl Scene {
    fn new() -> Self {
        let disk = SmallDisk::new(DISK_KIB);
        let store = format!(
            "[archive.directory]\npath = \"{}\"\n",
            disk.path().join("archives").display()
        );
        let lab = Lab::with_config(&format!("{}\n{store}", WORK.config()));
        lab.run(&["room", "open", "other", "--seats", "1"]).expect(0);
        lab.run(&["room", "open", "r", "--seats", "2"]).expect(0);
        Self { lab, disk }
    }

    fn root(&self) -> PathBuf {
        self.disk.path().join("archives")
    }

    /// The closing fails and says why, and whoever and whatever is there stays.
    #[track_caller]
    fn fails(&self, words: &[&str]) {
        let before = self.lab.left_on_engine();
        let Ran { code, stdout, stderr } = self.lab.run(&["room", "close", "r"]);
        assert!(code == 1 || code == 5, "{code}: {stdout}{stderr}");
        for words in words {
            assert!(stderr.contains(words), "no {words:?} in: {stderr}");
        }
        for student in students(2) {
            assert!(
                stderr.contains(&format!("r/{student}")),
                "{student} is not named: {stderr}"
            );
        }
        let after = self.lab.left_on_engine();
        let gone: Vec<_> = before.iter().filter(|thing| !after.contains(thing)).collect();
        assert!(gone.is_empty(), "gone: {gone:?}");
        assert_eq!(self.lab.seat("other", "s01")["phase"], "ready");
    }

    /// The same command, once more.
    #[track_caller]
    fn is_mended(&self) {
        self.lab.run(&["room", "close", "r"]).expect(0);
        assert_eq!(self.lab.seat("other", "s01")["phase"], "ready");
        assert_eq!(self.lab.left_on_engine().len(), 3, "{:?}", self.lab.left_on_engine());
        let rows = self.lab.run(&["archive", "ls", "--room", "r", "--json"]).expect(0);
        let place = |row: &Value| {
            let student = row["student"].as_str().unwrap().to_owned();
            (student, self.root().join(row["key"].as_str().unwrap()))
        };
        let archives: Vec<_> = rows.json().as_array().unwrap().iter().map(place).collect();
        WORK.expect_all(&archives, &students(2));
    }
}

#[test]
fn a_full_disk() {
    let scene = Scene::new();
    let ballast = scene.disk.fill();
    scene.fails(&["the disk is full", "Free space there", "the workspace is kept"]);
    fs::remove_file(ballast).unwrap();
    scene.is_mended();
}

#[test]
fn a_read_only_disk() {
    let scene = Scene::new();
    scene.disk.remount("ro");
    scene.fails(&["its file system is read-only", "Mount it for writing"]);
    scene.disk.remount("rw");
    scene.is_mended();
}

/// Nothing is written where a link leads that somebody put into the store, or in its place.
#[test]
fn a_link_in_the_stores_place() {
    let scene = Scene::new();
    let outside = tempfile::tempdir().unwrap();
    let kept = scene.disk.path().join("kept");
    let (root, below) = (scene.root(), scene.root().join("submissions"));
    // The administrator's to what is away, somebody's, and anybody's in it.
    let links = [
        (&root, Path::new("nowhere"), ROOT),
        (&root, outside.path(), NOBODY),
        (&below, outside.path(), ROOT),
    ];
    fs::create_dir_all(&below).unwrap();
    for (place, target, owner) in links {
        fs::rename(place, &kept).unwrap();
        symlink(target, place).unwrap();
        lchown(place, Some(owner), Some(owner)).unwrap();
        scene.fails(&["a link"]);
        assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 0, "{}", place.display());
        fs::remove_file(place).unwrap();
        fs::rename(&kept, place).unwrap();
    }
    scene.is_mended();
}

/// Something else stands where the directory was; when it is away, the directory is made again.
#[test]
fn a_directory_that_is_gone() {
    let scene = Scene::new();
    fs::remove_dir_all(scene.root()).unwrap_or_default();
    fs::write(scene.root(), "a file").unwrap();
    scene.fails(&["it is no directory", "Move away what stands in its place"]);
    fs::remove_file(scene.root()).unwrap();
    scene.is_mended();
}
