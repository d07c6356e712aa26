//! Removal of a tree that was half made: of any depth, with few open directories.

use std::ffi::CString;
use std::os::fd::{BorrowedFd, OwnedFd};

use rustix::fs::{AtFlags, Dir, Mode, Stat};
use rustix::io::Errno;

use super::chain::{DIR_MODE, Inode, OPEN_MAX, open, open_above};

/// A directory on the way down.
struct Level {
    /// What is still to be removed of it. Closed when too many below it are open; it is read anew then.
    names: Option<Dir>,
    inode: Inode,
    name: CString,
}

/// Removes the directory `name` with everything in it.
pub(super) fn remove(parent: BorrowedFd<'_>, name: CString) -> Result<(), Errno> {
    let mut levels = vec![level(parent, name)?];
    while let Some(last) = levels.last_mut() {
        let names = last.names.as_mut().ok_or(Errno::BADF)?;
        match next_directory(names)? {
            Some(name) => {
                let below = level(names.fd()?, name)?;
                levels.push(below);
                if let Some(far) = levels.len().checked_sub(OPEN_MAX + 1) {
                    levels[far].names = None;
                }
            }
            None => ascend(parent, &mut levels)?,
        }
    }
    Ok(())
}

fn level(dir: BorrowedFd<'_>, name: CString) -> Result<Level, Errno> {
    let (fd, was) = open(dir, name.to_bytes())?;
    make_usable(&fd, &was)?;
    Ok(Level {
        names: Some(Dir::new(fd)?),
        inode: (was.st_dev, was.st_ino),
        name,
    })
}

/// A directory that is closed to its own user keeps what is in it.
fn make_usable(dir: &OwnedFd, was: &Stat) -> Result<(), Errno> {
    if Mode::from_raw_mode(was.st_mode).contains(DIR_MODE) {
        return Ok(());
    }
    rustix::fs::fchmod(dir, DIR_MODE)
}

/// Removes what is no directory, up to the next one.
fn next_directory(names: &mut Dir) -> Result<Option<CString>, Errno> {
    while let Some(found) = names.read() {
        let name = found?.file_name().to_owned();
        if matches!(name.to_bytes(), b"." | b"..") {
            continue;
        }
        match rustix::fs::unlinkat(names.fd()?, &name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => {}
            Err(Errno::ISDIR) => return Ok(Some(name)),
            Err(errno) => return Err(errno),
        }
    }
    Ok(None)
}

/// Leaves the deepest directory, which is empty, and removes it.
fn ascend(parent: BorrowedFd<'_>, levels: &mut Vec<Level>) -> Result<(), Errno> {
    let Some(left) = levels.pop() else { return Ok(()) };
    let Some(above) = levels.last_mut() else {
        return rustix::fs::unlinkat(parent, &left.name, AtFlags::REMOVEDIR);
    };
    if above.names.is_none() {
        let below = left.names.as_ref().ok_or(Errno::BADF)?;
        above.names = Some(Dir::new(open_above(below.fd()?, above.inode)?)?);
    }
    let above = above.names.as_ref().ok_or(Errno::BADF)?;
    rustix::fs::unlinkat(above.fd()?, &left.name, AtFlags::REMOVEDIR)
}
