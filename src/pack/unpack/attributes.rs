//! Mode, owner and time of what was restored.

use std::os::fd::{AsFd, BorrowedFd};

use rustix::fs::{AtFlags, Gid, Mode, Stat, Timespec, Timestamps, UTIME_OMIT, Uid};
use rustix::io::Errno;

use super::Owners;
use crate::pack::entry::{Entry, Kind, Mtime};

/// What a directory gets that no entry tells of.
const IMPLIED_MODE: u32 = 0o755;
/// The bits that let a file act as its owner or group.
const SET_ID: u32 = 0o6000;
/// The bits of a mode that can be set.
const MODE_BITS: u32 = 0o7777;
/// No file can belong to it: for the kernel it means "as it was".
const NOBODY_AT_ALL: u32 = u32::MAX;

/// What a thing is to have when it is done. What is none is left as it is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Attributes {
    mode: u32,
    owner: Option<(u32, u32)>,
    mtime: Option<Mtime>,
}

impl Attributes {
    /// What an entry says; or why it cannot be had.
    pub(super) fn of_entry(entry: &Entry, owners: Owners) -> Result<Self, &'static str> {
        let (mode, owner) = match owners {
            Owners::Keep => (entry.mode, Some((entry.uid, entry.gid))),
            // For somebody else's files these bits would lend the rights of whoever restores them.
            Owners::Mine => (entry.mode & !SET_ID, None),
            Owners::Reader if entry.kind == Kind::Directory => (entry.mode & !SET_ID | 0o700, None),
            Owners::Reader => (entry.mode & !SET_ID | 0o400, None),
        };
        if owner.is_some_and(|(uid, gid)| uid == NOBODY_AT_ALL || gid == NOBODY_AT_ALL) {
            return Err("its owner is none that a file can have");
        }
        let mtime = Some(entry.mtime);
        Ok(Self { mode, owner, mtime })
    }

    /// What a directory has that was done already.
    pub(super) fn of_stat(stat: &Stat) -> Self {
        let mtime = Mtime {
            seconds: stat.st_mtime,
            nanos: u32::try_from(stat.st_mtime_nsec).unwrap_or(0),
        };
        Self {
            mode: stat.st_mode & MODE_BITS,
            owner: None,
            mtime: Some(mtime),
        }
    }

    /// What a directory gets that is only known by what is in it.
    pub(super) fn implied() -> Self {
        Self {
            mode: IMPLIED_MODE,
            owner: None,
            mtime: None,
        }
    }

    /// Gives them to an open file or directory.
    pub(super) fn apply(&self, thing: impl AsFd) -> Result<(), Errno> {
        // The owner first: changing it takes the set-id bits away.
        if let Some((uid, gid)) = self.owner {
            rustix::fs::fchown(&thing, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)))?;
        }
        rustix::fs::fchmod(&thing, Mode::from_raw_mode(self.mode))?;
        match self.mtime {
            Some(mtime) => rustix::fs::futimens(&thing, &times(mtime)),
            None => Ok(()),
        }
    }

    /// Gives them to a symbolic link itself, which has no mode of its own.
    pub(super) fn apply_to_link(&self, dir: BorrowedFd<'_>, name: &[u8]) -> Result<(), Errno> {
        let flags = AtFlags::SYMLINK_NOFOLLOW;
        if let Some((uid, gid)) = self.owner {
            rustix::fs::chownat(dir, name, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)), flags)?;
        }
        match self.mtime {
            Some(mtime) => rustix::fs::utimensat(dir, name, &times(mtime), flags),
            None => Ok(()),
        }
    }
}

fn times(mtime: Mtime) -> Timestamps {
    Timestamps {
        last_access: Timespec {
            tv_sec: 0,
            tv_nsec: UTIME_OMIT,
        },
        last_modification: Timespec {
            tv_sec: mtime.seconds,
            tv_nsec: mtime.nanos.into(),
        },
    }
}
