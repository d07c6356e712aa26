//! A small file system of a test's own, for disks that fill up. Needs root, as `make test` has it.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A mounted tmpfs; unmounted when dropped, also by a panic.
pub struct SmallDisk {
    dir: tempfile::TempDir,
}

impl SmallDisk {
    /// A file system of `kib` KiB.
    pub fn new(kib: u64) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let size = format!("size={kib}k");
        let status = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &size, "labtop-test"])
            .arg(dir.path())
            .status()
            .expect("`mount` is missing: apt-get install mount");
        assert!(
            status.success(),
            "cannot mount a tmpfs: run the tests as root (`sudo make test`)"
        );
        Self { dir }
    }

    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    /// Takes all space that is left, until the file is removed.
    pub fn fill(&self) -> PathBuf {
        let path = self.path().join("ballast");
        let mut file = File::create(&path).unwrap();
        for size in [65_536, 4096, 1] {
            while file.write_all(&vec![7; size]).is_ok() {}
        }
        path
    }

    /// Mounts it again, read-only or not.
    #[allow(dead_code, reason = "not every test that has a small disk needs it")]
    pub fn remount(&self, mode: &str) {
        let option = format!("remount,{mode}");
        let status = Command::new("mount")
            .args(["-o", &option])
            .arg(self.path())
            .status()
            .unwrap();
        assert!(status.success(), "cannot remount {}", self.path().display());
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let unmounted = Command::new("umount").arg(self.dir.path()).status();
        if !unmounted.is_ok_and(|status| status.success()) {
            let _ = Command::new("umount").arg("-l").arg(self.dir.path()).status();
        }
        let _ = fs::remove_dir(self.dir.path());
    }
}
