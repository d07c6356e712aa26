//! What the tests stand on: looking, watching, and places that are cleaned however deep they became.

use std::fs::{self, File};
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::inotify::{self, CreateFlags, WatchFlags};
use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags};
use rustix::io::Errno;

use super::super::{Found, Next, walk};

pub fn open(path: &Path) -> OwnedFd {
    File::open(path).unwrap().into()
}

/// Every path with its kind, or why it was not taken.
pub fn seen(root: &Path) -> Vec<(String, String)> {
    seen_with(root, |_| {})
}

/// The same; `meddle` is told each path after it was found, before the walk goes on.
pub fn seen_with(root: &Path, mut meddle: impl FnMut(&str)) -> Vec<(String, String)> {
    let mut all = Vec::new();
    walk::<io::Error, _>(open(root), b"w", &mut |found| {
        let (path, what) = match &found {
            Found::Entry(entry, _) => (entry.path.clone(), entry.kind.word().to_owned()),
            Found::Gone(path, why) | Found::Missed(path, why) => (path.to_vec(), why.clone()),
            Found::TooLong(path) => (path.to_vec(), "too long".to_owned()),
        };
        let path = String::from_utf8_lossy(&path).into_owned();
        meddle(&path);
        all.push((path, what));
        Ok(Next::On)
    })
    .unwrap();
    all
}

/// Counts how often a thing is opened, by whomever.
pub struct Opens(OwnedFd);

impl Opens {
    pub fn of(path: &Path) -> Self {
        let watch = inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC).unwrap();
        let flags = WatchFlags::OPEN | WatchFlags::DONT_FOLLOW;
        inotify::add_watch(&watch, path, flags).unwrap();
        Self(watch)
    }

    pub fn count(&self) -> usize {
        let mut buffer = [MaybeUninit::uninit(); 4096];
        let mut reader = inotify::Reader::new(self.0.as_fd(), &mut buffer);
        let mut count = 0;
        loop {
            match reader.next() {
                Ok(_) => count += 1,
                Err(Errno::WOULDBLOCK) => return count,
                Err(errno) => panic!("{errno}"),
            }
        }
    }
}

/// How many handles this process has on things below a path.
pub fn handles(below: &Path) -> usize {
    let all = fs::read_dir("/proc/self/fd").unwrap().flatten();
    all.filter(|fd| {
        let target = fs::read_link(fd.path()).unwrap_or_default();
        target.as_os_str().as_bytes().starts_with(below.as_os_str().as_bytes())
    })
    .count()
}

/// A directory that is emptied at the end without ever naming a long path.
pub struct Ground(tempfile::TempDir);

impl Ground {
    pub fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }

    pub fn at(&self, name: &str) -> PathBuf {
        self.path().join(name)
    }

    /// Makes directories one in the other, with a file in the last, which is given back.
    pub fn dig(&self, levels: usize, name: &str) -> OwnedFd {
        let mut at: OwnedFd = open(self.path());
        for _ in 0..levels {
            rustix::fs::mkdirat(&at, name, Mode::RWXU).unwrap();
            at = rustix::fs::openat(&at, name, OFlags::DIRECTORY, Mode::empty()).unwrap();
        }
        let file = rustix::fs::openat(&at, "bottom", OFlags::CREATE | OFlags::WRONLY, Mode::RUSR).unwrap();
        rustix::io::write(&file, b"deep").unwrap();
        at
    }
}

impl Drop for Ground {
    fn drop(&mut self) {
        if let Err(errno) = empty(self.path()) {
            eprintln!("{} was not emptied: {errno}", self.path().display());
        }
    }
}

fn empty(root: &Path) -> Result<(), Errno> {
    let directory = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW;
    let mut at = rustix::fs::openat(CWD, root, directory, Mode::empty())?;
    let mut names = Vec::new();
    loop {
        if let Some(name) = remove_files(&at)? {
            at = rustix::fs::openat(&at, name.as_c_str(), directory, Mode::empty())?;
            names.push(name);
        } else if let Some(name) = names.pop() {
            at = rustix::fs::openat(&at, "..", directory, Mode::empty())?;
            rustix::fs::unlinkat(&at, name.as_c_str(), AtFlags::REMOVEDIR)?;
        } else {
            return Ok(());
        }
    }
}

/// The name of a directory that is still there.
fn remove_files(at: &OwnedFd) -> Result<Option<std::ffi::CString>, Errno> {
    for found in Dir::read_from(at)? {
        let found = found?;
        let name = found.file_name();
        if matches!(name.to_bytes(), b"." | b"..") {
            continue;
        }
        let stat = rustix::fs::statat(at, name, AtFlags::SYMLINK_NOFOLLOW)?;
        if FileType::from_raw_mode(stat.st_mode) == FileType::Directory {
            return Ok(Some(name.to_owned()));
        }
        rustix::fs::unlinkat(at, name, AtFlags::empty())?;
    }
    Ok(None)
}
