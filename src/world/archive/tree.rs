//! The directories of the store, opened one below the other so that no link can lead out of it.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, RenameFlags, Stat};
use rustix::io::Errno;

use super::trouble;
use crate::domain::fault::Fault;

/// Only the agent's user reads students' work.
const DIR_MODE: Mode = Mode::RWXU;
const FILE_MODE: Mode = Mode::RUSR.union(Mode::WUSR);

/// An open directory and where it is, for messages.
#[derive(Debug)]
pub(super) struct Dir {
    fd: OwnedFd,
    path: PathBuf,
}

impl Dir {
    /// Opens the store's root. The administrator may have made it a link; one of anybody else's is not followed.
    pub(super) fn root(path: &Path) -> Result<Self, Fault> {
        let link = rustix::fs::lstat(path).ok().filter(is_link);
        if let Some(link) = &link
            && ![0, rustix::process::geteuid().as_raw()].contains(&link.st_uid)
        {
            return Err(trouble::foreign_link(path, link.st_uid));
        }
        let flags = OFlags::DIRECTORY | OFlags::RDONLY | OFlags::CLOEXEC;
        let fd = rustix::fs::openat(CWD, path, flags, Mode::empty()).map_err(|errno| match (link, errno) {
            (Some(_), Errno::NOENT) => trouble::dead_link(path),
            _ => trouble::of_place(path, "open", &errno.into()),
        })?;
        let path = path.to_path_buf();
        Ok(Self { fd, path })
    }

    /// The same; none when there is nothing yet.
    pub(super) fn root_if_there(path: &Path) -> Result<Option<Self>, Fault> {
        match path.try_exists() {
            Ok(false) => Ok(None),
            _ => Self::root(path).map(Some),
        }
    }

    /// The same, after making what is missing of it.
    pub(super) fn root_made(path: &Path) -> Result<Self, Fault> {
        make_durably(path).map_err(|error| trouble::of_place(path, "make", &error))?;
        Self::root(path)
    }

    /// Where `name` in it is.
    pub(super) fn at(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Opens a directory in it, never through a link; none when there is nothing of that name.
    pub(super) fn enter_if_there(&self, name: &str) -> Result<Option<Self>, Fault> {
        match self.enter(name) {
            Ok(dir) => Ok(Some(dir)),
            Err(Errno::NOENT) => Ok(None),
            Err(errno) => Err(self.refused(name, "open", errno)),
        }
    }

    /// Opens a directory in it, never through a link, after making it unless it is there.
    pub(super) fn enter_made(&self, name: &str) -> Result<Self, Fault> {
        match rustix::fs::mkdirat(&self.fd, name, DIR_MODE) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(errno) => return Err(self.refused(name, "make", errno)),
        }
        self.enter(name).map_err(|errno| self.refused(name, "open", errno))
    }

    /// Opens what `name` is if it is a directory; anything else that somebody put there is none.
    pub(super) fn enter_directory(&self, name: &str) -> Result<Option<Self>, Fault> {
        match self.enter(name) {
            Ok(dir) => Ok(Some(dir)),
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => Ok(None),
            Err(errno) => Err(self.refused(name, "open", errno)),
        }
    }

    /// The length of a plain file; none for everything else.
    pub(super) fn plain_length(&self, name: &str) -> Result<Option<u64>, Fault> {
        match rustix::fs::statat(&self.fd, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) if FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile => {
                Ok(u64::try_from(stat.st_size).ok())
            }
            Ok(_) | Err(Errno::NOENT) => Ok(None),
            Err(errno) => Err(self.refused(name, "look at", errno)),
        }
    }

    fn enter(&self, name: &str) -> Result<Self, Errno> {
        let flags = OFlags::DIRECTORY | OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let fd = rustix::fs::openat(&self.fd, name, flags, Mode::empty())?;
        let path = self.at(name);
        Ok(Self { fd, path })
    }

    /// Makes a file that was not there.
    pub(super) fn create(&self, name: &str) -> Result<File, Fault> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let fd = rustix::fs::openat(&self.fd, name, flags, FILE_MODE);
        fd.map(File::from).map_err(|errno| self.refused(name, "make", errno))
    }

    /// Opens a plain file for reading; none when there is nothing of that name.
    pub(super) fn open(&self, name: &str) -> Result<Option<File>, Fault> {
        // NONBLOCK: a pipe that was put in the file's place must not hold the agent.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        match rustix::fs::openat(&self.fd, name, flags, Mode::empty()) {
            Ok(fd) => Ok(Some(File::from(fd))),
            Err(Errno::NOENT) => Ok(None),
            Err(errno) => Err(self.refused(name, "open", errno)),
        }
    }

    /// Gives a file of it its final name, unless something has that name.
    pub(super) fn settle(&self, from: &str, to: &str) -> Result<(), Fault> {
        let moved = match rustix::fs::renameat_with(&self.fd, from, &self.fd, to, RenameFlags::NOREPLACE) {
            // Some file systems (NFS) cannot; a hard link never replaces either.
            Err(Errno::INVAL | Errno::NOSYS) => {
                rustix::fs::linkat(&self.fd, from, &self.fd, to, AtFlags::empty()).and_then(|()| self.unlink(from))
            }
            other => other,
        };
        moved.map_err(|errno| trouble::of_place(&self.at(to), "store", &errno.into()))
    }

    /// Waits until the names in it are on the disk.
    pub(super) fn sync(&self) -> Result<(), Fault> {
        rustix::fs::fsync(&self.fd).map_err(|errno| trouble::of_place(&self.path, "sync", &errno.into()))
    }

    /// Removes a file of it.
    pub(super) fn unlink(&self, name: &str) -> Result<(), Errno> {
        rustix::fs::unlinkat(&self.fd, name, AtFlags::empty())
    }

    /// Removes a directory in it if that is empty.
    pub(super) fn prune(&self, name: &str) {
        // Not empty, or gone already: both are fine.
        let _ = rustix::fs::unlinkat(&self.fd, name, AtFlags::REMOVEDIR);
    }

    /// The names in it that are UTF-8, as all of the store's are.
    pub(super) fn names(&self) -> Result<Vec<String>, Fault> {
        let read = || -> Result<Vec<String>, Errno> {
            let mut names = Vec::new();
            for entry in rustix::fs::Dir::read_from(&self.fd)? {
                names.extend(entry?.file_name().to_str().map(str::to_owned).ok());
            }
            Ok(names.into_iter().filter(|name| name != "." && name != "..").collect())
        };
        read().map_err(|errno| trouble::of_place(&self.path, "list", &errno.into()))
    }

    fn refused(&self, name: &str, verb: &str, errno: Errno) -> Fault {
        if matches!(errno, Errno::LOOP | Errno::NOTDIR | Errno::EXIST) && self.is_link(name) {
            return trouble::is_link(&self.at(name));
        }
        trouble::of_place(&self.at(name), verb, &errno.into())
    }

    fn is_link(&self, name: &str) -> bool {
        rustix::fs::statat(&self.fd, name, AtFlags::SYMLINK_NOFOLLOW).is_ok_and(|stat| is_link(&stat))
    }
}

impl AsFd for Dir {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

fn is_link(stat: &Stat) -> bool {
    FileType::from_raw_mode(stat.st_mode) == FileType::Symlink
}

/// Makes a directory and what is missing above it, each name on the disk before the next is begun.
fn make_durably(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) else {
        return Err(Errno::NOENT.into());
    };
    make_durably(parent)?;
    match rustix::fs::mkdirat(CWD, path, DIR_MODE) {
        Ok(()) => File::open(parent)?.sync_all(),
        // Another archive made it meanwhile, or something else stands there; opening it tells.
        Err(Errno::EXIST) => Ok(()),
        Err(errno) => Err(errno.into()),
    }
}
