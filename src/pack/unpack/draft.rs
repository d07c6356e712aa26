//! The directory beside the target in which everything is made before it gets the target's name.

use std::ffi::{CString, OsString};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, RenameFlags, Stat};
use rustix::io::Errno;

use super::chain::DIR_MODE;
use super::{UnpackError, remove};

/// What stands where the tree is to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Free,
    EmptyDirectory,
}

/// The tree while it is made. It is removed when dropped, unless it was settled.
#[derive(Debug)]
pub(super) struct Draft {
    parent: OwnedFd,
    /// Its own name for the time being.
    name: CString,
    target: PathBuf,
    target_name: OsString,
    place: Place,
    root: OwnedFd,
    settled: bool,
}

impl Draft {
    /// Begins a tree that is to be `target`.
    pub(super) fn begin(target: &Path) -> Result<Self, UnpackError> {
        let target_name = target.file_name().ok_or_else(|| no_name(target))?.to_owned();
        let above = match target.parent() {
            Some(above) if !above.as_os_str().is_empty() => above,
            _ => Path::new("."),
        };
        let failed = |errno: Errno| place_error("make a directory in", above, errno);
        // Whoever calls may have links on the way to it.
        let flags = OFlags::DIRECTORY | OFlags::RDONLY | OFlags::CLOEXEC;
        let parent = rustix::fs::openat(CWD, above, flags, Mode::empty()).map_err(|errno| match errno {
            Errno::NOENT => UnpackError::NoParent(above.to_path_buf()),
            errno => place_error("open", above, errno),
        })?;
        let place = look(&parent, &target_name, target)?;
        let name = format!(".labtop-restore-{}", uuid::Uuid::new_v4().simple());
        let name = CString::new(name).map_err(|_| no_name(target))?;
        rustix::fs::mkdirat(&parent, &name, DIR_MODE).map_err(failed)?;
        let root = rustix::fs::openat(&parent, &name, flags | OFlags::NOFOLLOW, Mode::empty());
        let root = root.map_err(|errno| {
            let _ = rustix::fs::unlinkat(&parent, &name, AtFlags::REMOVEDIR);
            failed(errno)
        })?;
        Ok(Self {
            parent,
            name,
            target: target.to_path_buf(),
            target_name,
            place,
            root,
            settled: false,
        })
    }

    /// Its root once more.
    pub(super) fn root(&self) -> Result<OwnedFd, UnpackError> {
        let root = self.root.try_clone();
        root.map_err(|error| UnpackError::Place("open", self.target.clone(), error))
    }

    /// Gives it the target's name. Tells when it is in its place, but not surely on the disk.
    pub(super) fn settle(mut self) -> Result<Option<String>, UnpackError> {
        // All that was written, not the directory alone: what has the target's name is whole, also after a loss of power.
        rustix::fs::syncfs(&self.root).map_err(|errno| self.refused("write", errno))?;
        self.rename().map_err(|errno| match errno {
            Errno::EXIST | Errno::NOTEMPTY | Errno::NOTDIR => UnpackError::Occupied(self.target.clone()),
            errno => self.refused("make", errno),
        })?;
        self.settled = true;
        let synced = rustix::fs::fsync(&self.parent).map_err(io::Error::from);
        Ok(synced.err().map(|error| {
            format!(
                "everything is in its place, but a loss of power might undo it: the directory was not synced ({error})"
            )
        }))
    }

    /// A directory never replaces anything but an empty directory.
    fn rename(&self) -> Result<(), Errno> {
        let plain = || rustix::fs::renameat(&self.parent, &self.name, &self.parent, &self.target_name);
        if self.place == Place::EmptyDirectory {
            return plain();
        }
        let (flags, parent) = (RenameFlags::NOREPLACE, &self.parent);
        match rustix::fs::renameat_with(parent, &self.name, parent, &self.target_name, flags) {
            // Some file systems (NFS) cannot.
            Err(Errno::INVAL | Errno::NOSYS) => plain(),
            other => other,
        }
    }

    fn refused(&self, verb: &'static str, errno: Errno) -> UnpackError {
        place_error(verb, &self.target, errno)
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        if !self.settled {
            // Whoever called hears why nothing was restored, which is what matters.
            let _ = remove::remove(self.parent.as_fd(), self.name.clone());
        }
    }
}

/// Whether the target's place can be taken.
fn look(parent: &OwnedFd, name: &OsString, target: &Path) -> Result<Place, UnpackError> {
    let failed = |errno| place_error("look at", target, errno);
    let stat = match rustix::fs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => stat,
        Err(Errno::NOENT) => return Ok(Place::Free),
        Err(errno) => return Err(failed(errno)),
    };
    if FileType::from_raw_mode(stat.st_mode) != FileType::Directory {
        return Err(UnpackError::Occupied(target.to_path_buf()));
    }
    if is_mounted(parent, &stat).map_err(failed)? {
        let why = io::Error::other("another file system is mounted there; name a new directory in it");
        return Err(UnpackError::Place("make", target.to_path_buf(), why));
    }
    if is_empty(parent, name).map_err(failed)? {
        Ok(Place::EmptyDirectory)
    } else {
        Err(UnpackError::Occupied(target.to_path_buf()))
    }
}

/// Nothing can be renamed to where another file system is mounted.
fn is_mounted(parent: &OwnedFd, stat: &Stat) -> Result<bool, Errno> {
    Ok(rustix::fs::fstat(parent)?.st_dev != stat.st_dev)
}

fn is_empty(parent: &OwnedFd, name: &OsString) -> Result<bool, Errno> {
    let flags = OFlags::DIRECTORY | OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut names = Dir::new(rustix::fs::openat(parent, name, flags, Mode::empty())?)?;
    while let Some(found) = names.read() {
        if !matches!(found?.file_name().to_bytes(), b"." | b"..") {
            return Ok(false);
        }
    }
    Ok(true)
}

fn no_name(target: &Path) -> UnpackError {
    let why = io::Error::new(
        io::ErrorKind::InvalidInput,
        "it does not end with the name of a directory",
    );
    UnpackError::Place("make", target.to_path_buf(), why)
}

fn place_error(verb: &'static str, place: &Path, errno: Errno) -> UnpackError {
    UnpackError::Place(verb, place.to_path_buf(), errno.into())
}
