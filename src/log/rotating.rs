//! A log file that rotates itself: when it is full it becomes number 1, the others move up, and the last one goes.
//!
//! Knows: names, sizes, modes. Must not know: what is written. Lines are for this user alone.

use std::fs::{File, OpenOptions, Permissions, rename};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;

const MODE: u32 = 0o600;

/// How much is kept.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// Bytes of one file; a single write that is larger gets a file of its own.
    pub bytes: u64,
    /// Files in all, at least one.
    pub files: usize,
}

/// The file that is written to, and its older ones beside it: `NAME`, `NAME.1`, `NAME.2`, …
#[derive(Debug)]
pub struct RotatingFile {
    path: PathBuf,
    file: File,
    bounds: Bounds,
}

impl RotatingFile {
    /// Opens `path`, or makes it.
    ///
    /// # Errors
    /// When it cannot be opened or made.
    pub fn open(path: PathBuf, bounds: Bounds) -> io::Result<Self> {
        let file = append_to(&path)?;
        Ok(Self { path, file, bounds })
    }

    fn is_full(&self, more: usize) -> bool {
        let size = self.file.metadata().map_or(0, |found| found.size());
        size > 0 && size.saturating_add(more as u64) > self.bounds.bytes
    }

    /// When the files cannot be moved, this one is emptied: the newest lines matter more than the oldest, and a log must
    /// not fill the disk.
    fn rotate(&mut self) -> io::Result<()> {
        match self.next_file() {
            Ok(file) => {
                self.file = file;
                Ok(())
            }
            Err(_) => self.file.set_len(0),
        }
    }

    fn next_file(&self) -> io::Result<File> {
        // Another process with the same log may have moved it already.
        if self.is_still_named() {
            for number in (0..self.bounds.files.saturating_sub(1)).rev() {
                match rename(self.numbered(number), self.numbered(number + 1)) {
                    Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                    _ => {}
                }
            }
            if self.bounds.files <= 1 {
                self.file.set_len(0)?;
            }
        }
        append_to(&self.path)
    }

    fn is_still_named(&self) -> bool {
        let identity = |found: &std::fs::Metadata| (found.dev(), found.ino());
        let own = self.file.metadata().as_ref().map(identity).ok();
        own.is_some() && own == std::fs::symlink_metadata(&self.path).as_ref().map(identity).ok()
    }

    fn numbered(&self, number: usize) -> PathBuf {
        match number {
            0 => self.path.clone(),
            number => {
                let mut name = self.path.clone().into_os_string();
                name.push(format!(".{number}"));
                name.into()
            }
        }
    }
}

fn append_to(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new()
        .append(true)
        .create(true)
        .mode(MODE)
        // A link that somebody put there must not choose the file that is written.
        .custom_flags(OFlags::NOFOLLOW.bits().cast_signed())
        .open(path)?;
    file.set_permissions(Permissions::from_mode(MODE))?;
    Ok(file)
}

impl Write for RotatingFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.is_full(bytes.len()) {
            self.rotate()?;
        }
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sizes(directory: &Path) -> Vec<(String, u64, u32)> {
        let files = std::fs::read_dir(directory).unwrap().map(|entry| {
            let entry = entry.unwrap();
            let found = entry.metadata().unwrap();
            (
                entry.file_name().into_string().unwrap(),
                found.size(),
                found.mode() & 0o777,
            )
        });
        let mut files: Vec<_> = files.collect();
        files.sort();
        files
    }

    #[test]
    fn a_thousand_lines_stay_within_three_private_files_and_the_newest_are_kept() {
        let dir = tempfile::tempdir().unwrap();
        let bounds = Bounds { bytes: 100, files: 3 };
        let mut log = RotatingFile::open(dir.path().join("a.log"), bounds).unwrap();
        for number in 0..1000 {
            writeln!(log, "line {number:04}").unwrap();
        }
        let found = sizes(dir.path());
        let names: Vec<&str> = found.iter().map(|(name, ..)| name.as_str()).collect();
        assert_eq!(names, ["a.log", "a.log.1", "a.log.2"]);
        assert!(
            found.iter().all(|(_, size, mode)| *size <= 100 && *mode == 0o600),
            "{found:?}"
        );
        let newest = std::fs::read_to_string(dir.path().join("a.log")).unwrap();
        assert!(newest.ends_with("line 0999\n"), "{newest}");
        let before = std::fs::read_to_string(dir.path().join("a.log.1")).unwrap();
        let (first, last) = (newest.lines().next().unwrap(), before.lines().last().unwrap());
        let number = |line: &str| line[5..].parse::<u32>().unwrap();
        assert_eq!(number(first), number(last) + 1, "no line is lost at the seam");
    }

    #[test]
    fn two_writers_of_one_log_stay_within_the_bounds() {
        let dir = tempfile::tempdir().unwrap();
        let bounds = Bounds { bytes: 100, files: 3 };
        let open = || RotatingFile::open(dir.path().join("a.log"), bounds).unwrap();
        let (mut one, mut other) = (open(), open());
        for number in 0..1000 {
            writeln!(one, "line {number:04}").unwrap();
            writeln!(other, "LINE {number:04}").unwrap();
        }
        let found = sizes(dir.path());
        assert!(
            found.len() <= 3 && found.iter().all(|(_, size, _)| *size <= 110),
            "{found:?}"
        );
    }

    #[test]
    fn a_restart_goes_on_in_the_same_file_and_takes_it_from_others() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.log");
        std::fs::write(&path, "old\n").unwrap();
        std::fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
        let mut log = RotatingFile::open(path.clone(), Bounds { bytes: 100, files: 1 }).unwrap();
        log.write_all(b"new\n").unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "old\nnew\n");
        log.write_all(&[b'x'; 100]).unwrap();
        assert_eq!(sizes(dir.path()), [("a.log".to_owned(), 100, 0o600)]);
    }

    #[test]
    fn a_link_is_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink("/dev/null", dir.path().join("a.log")).unwrap();
        RotatingFile::open(dir.path().join("a.log"), Bounds { bytes: 1, files: 1 }).unwrap_err();
    }
}
