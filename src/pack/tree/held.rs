//! One thing of a tree, held by a handle, so that nothing that takes its place is ever taken for it.
//!
//! A handle (`O_PATH`) is bound to the thing without opening it: no pipe waits, no device's driver is asked. Only what
//! turns out to be a directory or a regular file is opened then, through the handle and not by its name again. A check
//! after an opening by name would come too late: there are devices that act when they are opened.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, Stat, StatxFlags};
use rustix::io::Errno;

use super::super::entry::{Entry, Kind, Mtime};
use super::names::Names;

/// The bits of a mode that an archive has.
const PERMISSIONS: u32 = 0o7777;
/// Those of a link: nobody asks for them, and every file system but few has these.
const LINK_PERMISSIONS: u32 = 0o777;

/// What tells a thing from every other that exists.
pub(super) type Inode = (u64, u64);

/// Why something cannot be had.
#[derive(Debug)]
pub(super) enum Trouble {
    /// It cannot be taken; all others still can.
    Missed(Errno),
    /// This process cannot go on: nothing could be taken any more, and what is only missed here must not be lost.
    Fatal(io::Error),
}

impl From<Errno> for Trouble {
    fn from(errno: Errno) -> Self {
        match errno {
            Errno::MFILE | Errno::NFILE | Errno::NOMEM => Self::Fatal(errno.into()),
            errno => Self::Missed(errno),
        }
    }
}

impl Trouble {
    /// Whether somebody who works in the tree brings it about by that alone.
    pub(super) fn is_passing(&self) -> bool {
        matches!(self, Self::Missed(Errno::NOENT | Errno::STALE | Errno::AGAIN))
    }

    /// Why it was missed, in plain words; or the error that ends everything.
    pub(super) fn words(self) -> Result<String, io::Error> {
        match self {
            Self::Fatal(error) => Err(error),
            Self::Missed(Errno::NOENT | Errno::STALE) => Ok("vanished while it was read".into()),
            Self::Missed(Errno::AGAIN) => {
                Ok("is held by a program's lease, which the kernel ends after a while".into())
            }
            Self::Missed(Errno::XDEV) => Ok("another file system is mounted there".into()),
            Self::Missed(errno) => {
                let error = io::Error::from(errno).to_string();
                let plain = error.split(" (os error").next().unwrap_or_default();
                Ok(format!("could not be read ({plain})"))
            }
        }
    }
}

/// A thing and what was told of it when it was taken hold of.
pub(super) struct Held {
    fd: OwnedFd,
    stat: Stat,
}

impl AsFd for Held {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl Held {
    /// Holds what is called `name` in `parent` now.
    pub(super) fn hold(parent: &impl AsFd, name: &[u8]) -> Result<Self, Trouble> {
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        Self::of(rustix::fs::openat(parent, name, flags, Mode::empty())?)
    }

    /// Holds the directory that `below` is in now.
    pub(super) fn above(below: &impl AsFd) -> Result<Self, Trouble> {
        Self::hold(below, b"..")
    }

    /// Holds what is open already.
    pub(super) fn of(fd: OwnedFd) -> Result<Self, Trouble> {
        let stat = rustix::fs::fstat(&fd)?;
        Ok(Self { fd, stat })
    }

    pub(super) fn inode(&self) -> Inode {
        (self.stat.st_dev, self.stat.st_ino)
    }

    pub(super) fn kind(&self) -> Kind {
        match FileType::from_raw_mode(self.stat.st_mode) {
            FileType::RegularFile => Kind::File,
            FileType::Directory => Kind::Directory,
            FileType::Symlink => Kind::Symlink,
            FileType::Fifo => Kind::Fifo,
            FileType::Socket => Kind::Socket,
            _ => Kind::Device,
        }
    }

    /// Whether the file has other names.
    pub(super) fn has_names(&self) -> bool {
        self.kind() == Kind::File && self.stat.st_nlink > 1
    }

    /// Where the link leads.
    pub(super) fn target(&self) -> Result<Vec<u8>, Trouble> {
        Ok(rustix::fs::readlinkat(&self.fd, "", Vec::new())?.into_bytes())
    }

    /// The names in the directory.
    pub(super) fn names(&self) -> Result<Names, Trouble> {
        let dir = quietly(OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, |flags| {
            rustix::fs::openat(&self.fd, ".", flags, Mode::empty())
        })?;
        Ok(Names::of(Dir::new(dir)?)?)
    }

    /// The regular file, opened; what is told of it then is what counts.
    pub(super) fn open(&self) -> Result<Self, Trouble> {
        let path = format!("/proc/self/fd/{}", self.fd.as_raw_fd());
        // A lease on the file must not hold anybody up.
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        let fd = quietly(flags, |flags| {
            rustix::fs::openat(CWD, path.as_str(), flags, Mode::empty())
        });
        let opened = match fd {
            // The file itself is held and cannot vanish.
            Err(Errno::NOENT) => return Err(Trouble::Fatal(without_proc())),
            fd => Self::of(fd?)?,
        };
        let same = opened.inode() == self.inode() && opened.kind() == Kind::File;
        if same { Ok(opened) } else { Err(Errno::STALE.into()) }
    }

    /// The mount that it is on; none where the kernel does not tell.
    pub(super) fn mount(&self) -> Option<u64> {
        let told = rustix::fs::statx(&self.fd, "", AtFlags::EMPTY_PATH, StatxFlags::MNT_ID).ok()?;
        (told.stx_mask & StatxFlags::MNT_ID.bits() != 0).then_some(told.stx_mnt_id)
    }

    pub(super) fn stat(&self) -> &Stat {
        &self.stat
    }

    pub(super) fn into_parts(self) -> (OwnedFd, Stat) {
        (self.fd, self.stat)
    }

    /// Its entry as a thing of that kind.
    pub(super) fn entry(&self, path: &[u8], kind: Kind, link: Vec<u8>) -> Entry {
        let stat = &self.stat;
        Entry {
            path: path.to_vec(),
            kind,
            size: if kind == Kind::File {
                u64::try_from(stat.st_size).unwrap_or(0)
            } else {
                0
            },
            mode: if kind == Kind::Symlink {
                LINK_PERMISSIONS
            } else {
                stat.st_mode & PERMISSIONS
            },
            uid: stat.st_uid,
            gid: stat.st_gid,
            mtime: Mtime {
                seconds: stat.st_mtime,
                nanos: u32::try_from(stat.st_mtime_nsec).unwrap_or(0),
            },
            link,
        }
    }
}

/// Opens so that no access time is written, where that is this user's to ask.
fn quietly(flags: OFlags, open: impl Fn(OFlags) -> Result<OwnedFd, Errno>) -> Result<OwnedFd, Errno> {
    match open(flags | OFlags::NOATIME) {
        Err(Errno::PERM) => open(flags),
        result => result,
    }
}

fn without_proc() -> io::Error {
    io::Error::other("files cannot be opened without /proc: mount it, then try again")
}
