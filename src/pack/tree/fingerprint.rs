//! What the file system tells of a tree, for which no file is opened: whether anything changed, and how large it is.

use std::io;
use std::os::fd::OwnedFd;

use rustix::fs::{FileType, Stat};
use rustix::io::Errno;
use sha2::{Digest, Sha256};

use super::super::entry::{Kind, shown};
use super::PATH_MAX;
use super::held::Trouble;
use super::way::{Step, Way};

/// Stands where a directory ends; no name is as long.
const END: u64 = u64::MAX;

/// A digest of what the file system tells of everything below `root`, without opening a file: two equal ones mean that
/// nothing changed in between, however deep. What `skip` names (path below the root, whether it is a directory) does not
/// count, and is not entered; it is not asked about what is deeper than any archive goes, so that a student who builds
/// endless paths costs no more than their length. `wanted` tells whether anybody still waits.
///
/// It sees a change when the file system gives it another moment than the one before. A kernel that counts them roughly
/// (before Linux 6.13) does so every few milliseconds.
///
/// # Errors
/// When a directory cannot be read, or is moved away meanwhile: nothing can be said then. When nobody waits any more.
pub fn fingerprint(
    root: OwnedFd,
    skip: &dyn Fn(&[u8], bool) -> bool,
    wanted: &dyn Fn() -> bool,
) -> io::Result<[u8; 32]> {
    let mut hash = Sha256::new();
    look(root, skip, wanted, &mut |told| match told {
        Told::Thing(name, stat) => note(&mut hash, name, stat),
        Told::End => hash.update(END.to_le_bytes()),
    })?;
    Ok(hash.finalize().into())
}

/// The bytes of all files below `root`, as the file system tells. `skip` and `wanted` are those of [`fingerprint`].
///
/// # Errors
/// When a directory cannot be read, or is moved away meanwhile. When nobody waits any more.
pub fn size(root: OwnedFd, skip: &dyn Fn(&[u8], bool) -> bool, wanted: &dyn Fn() -> bool) -> io::Result<u64> {
    let mut sum = 0_u64;
    look(root, skip, wanted, &mut |told| {
        if let Told::Thing(_, stat) = told
            && FileType::from_raw_mode(stat.st_mode).is_file()
        {
            sum = sum.saturating_add(u64::try_from(stat.st_size).unwrap_or(0));
        }
    })?;
    Ok(sum)
}

/// What is told of a tree, depth first.
enum Told<'t> {
    /// Something, by its name in its directory.
    Thing(&'t [u8], &'t Stat),
    /// A directory ends.
    End,
}

fn look(
    root: OwnedFd,
    skip: &dyn Fn(&[u8], bool) -> bool,
    wanted: &dyn Fn() -> bool,
    tell: &mut dyn FnMut(Told),
) -> io::Result<()> {
    let (mut way, root) = Way::new(root, b"").map_err(|trouble| untold(b"", trouble))?;
    // A directory is told of before it is listed: whatever happens to it later shows the next time.
    tell(Told::Thing(b"", root.stat()));
    way.enter(root).map_err(|trouble| untold(b"", trouble))?;
    loop {
        if !wanted() {
            return Err(io::Error::other("called off"));
        }
        match way.step().map_err(|trouble| untold(way.path(), trouble))? {
            Step::End => return Ok(()),
            Step::Left => tell(Told::End),
            Step::Lost(path) => return Err(untold(&way.path()[..path], Errno::NOENT.into())),
            Step::Name => look_at(&mut way, skip, tell)?,
        }
    }
}

fn look_at(way: &mut Way, skip: &dyn Fn(&[u8], bool) -> bool, tell: &mut dyn FnMut(Told)) -> io::Result<()> {
    let held = match way.hold() {
        // Its directory's moment tells that it went.
        Err(Trouble::Missed(Errno::NOENT)) => return Ok(()),
        held => held.map_err(|trouble| untold(way.path(), trouble))?,
    };
    let is_directory = held.kind() == Kind::Directory;
    if way.path().len() <= PATH_MAX && skip(below(way.path()), is_directory) {
        return Ok(());
    }
    tell(Told::Thing(way.name(), held.stat()));
    if is_directory && !way.is_elsewhere(&held) {
        way.enter(held).map_err(|trouble| untold(way.path(), trouble))?;
    }
    Ok(())
}

/// The path without the slash that follows the root's empty name.
fn below(path: &[u8]) -> &[u8] {
    path.strip_prefix(b"/").unwrap_or(path)
}

fn untold(path: &[u8], trouble: Trouble) -> io::Error {
    match trouble.words() {
        Ok(why) => io::Error::other(format!("/{} {why}", shown(below(path)))),
        Err(error) => error,
    }
}

fn note(hash: &mut Sha256, name: &[u8], stat: &Stat) {
    hash.update((name.len() as u64).to_le_bytes());
    hash.update(name);
    for number in [
        i128::from(stat.st_ino),
        i128::from(stat.st_mode),
        i128::from(stat.st_uid),
        i128::from(stat.st_gid),
        i128::from(stat.st_size),
        i128::from(stat.st_mtime),
        i128::from(stat.st_mtime_nsec),
        i128::from(stat.st_ctime),
        i128::from(stat.st_ctime_nsec),
    ] {
        hash.update(number.to_le_bytes());
    }
}
