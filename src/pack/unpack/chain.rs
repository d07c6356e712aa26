//! The way down to the directory that is being filled: open directories, each below the one before.
//!
//! Nothing is reached by a path of several names, so that no link leads out and no length is too long. Entries come
//! depth first, mostly: what two neighbours have in common stays open. A directory is writable while it is on the way and
//! gets what it is to have when it is left.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{AtFlags, FileType, Mode, OFlags, Stat};
use rustix::io::Errno;

use super::attributes::Attributes;

/// Directories that are held open at once; those further up are found again by `..`.
pub(super) const OPEN_MAX: usize = 32;
/// What a directory has while it is being filled.
pub(super) const DIR_MODE: Mode = Mode::RWXU;
const DIR_FLAGS: OFlags = OFlags::RDONLY
    .union(OFlags::DIRECTORY)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC);

/// Which directory it is, wherever it is moved.
pub(super) type Inode = (u64, u64);

/// Where the way ended, and why.
#[derive(Debug)]
pub(super) struct Stuck {
    pub(super) path: Vec<u8>,
    pub(super) errno: Errno,
}

/// What to do about directories that are not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Missing {
    /// They are made.
    Make,
    /// There is no way.
    Fail,
}

/// A directory on the way.
#[derive(Debug)]
struct Level {
    /// Closed when too many below it are open.
    dir: Option<OwnedFd>,
    inode: Inode,
    /// Length of its path.
    end: usize,
    /// Made for the sake of what is in it; an entry of its own may still come.
    implied: bool,
    /// What it gets when it is left.
    last: Option<Attributes>,
}

/// The way from the root, which is never left before the end.
#[derive(Debug)]
pub(super) struct Chain {
    path: Vec<u8>,
    levels: Vec<Level>,
    missing: Missing,
    made: u64,
}

impl Chain {
    /// Begins at `root`.
    pub(super) fn new(root: OwnedFd, missing: Missing) -> Result<Self, Stuck> {
        let mut chain = Self {
            path: Vec::new(),
            levels: Vec::new(),
            missing,
            made: 0,
        };
        let stat = rustix::fs::fstat(&root).map_err(|errno| chain.stuck(errno))?;
        chain.push(root, &stat, true, None);
        Ok(chain)
    }

    /// Directories that were made.
    pub(super) fn made(&self) -> u64 {
        self.made
    }

    /// The directory where it is.
    pub(super) fn here(&self) -> Result<BorrowedFd<'_>, Stuck> {
        let dir = self.levels.last().and_then(|level| level.dir.as_ref());
        dir.map(AsFd::as_fd).ok_or_else(|| self.stuck(Errno::BADF))
    }

    /// Goes to the directory `path`.
    pub(super) fn go_to(&mut self, path: &[u8]) -> Result<(), Stuck> {
        let common = common_length(&self.path, path);
        while !self.leads_to(path, common) {
            self.leave()?;
        }
        let rest = &path[self.path.len()..];
        for name in rest.split(|byte| *byte == b'/').filter(|name| !name.is_empty()) {
            self.enter(name)?;
        }
        Ok(())
    }

    /// Makes the directory `path` and goes there; it gets `last` when it is left. It fails with EXIST when there is such an
    /// entry already.
    pub(super) fn make(&mut self, path: &[u8], last: Attributes) -> Result<(), Stuck> {
        if let Some(level) = self.level_of(path) {
            if !level.implied {
                let path = path.to_vec();
                return Err(Stuck {
                    path,
                    errno: Errno::EXIST,
                });
            }
            (level.implied, level.last) = (false, Some(last));
            return Ok(());
        }
        let (dir, name) = super::route::split(path);
        self.go_to(dir)?;
        self.make_here(name, false, last)
    }

    /// Leaves everything, the root too.
    pub(super) fn finish(&mut self) -> Result<(), Stuck> {
        while !self.levels.is_empty() {
            self.leave()?;
        }
        Ok(())
    }

    /// Whether `path` is here or further down; so many bytes of it are those of the way.
    fn leads_to(&self, path: &[u8], common: usize) -> bool {
        let end = self.path.len();
        end == 0 || (end <= common && matches!(path.get(end), None | Some(b'/')))
    }

    /// The directory `path` if it is on the way.
    fn level_of(&mut self, path: &[u8]) -> Option<&mut Level> {
        if common_length(&self.path, path) < path.len() {
            return None;
        }
        let at = self.levels.binary_search_by_key(&path.len(), |level| level.end);
        self.levels.get_mut(at.ok()?)
    }

    fn enter(&mut self, name: &[u8]) -> Result<(), Stuck> {
        match open(self.here()?, name) {
            Ok((dir, stat)) => self.enter_again(name, dir, &stat),
            Err(Errno::NOENT) if self.missing == Missing::Make => self.make_here(name, true, Attributes::implied()),
            Err(errno) => Err(self.stuck_below(name, errno)),
        }
    }

    /// Goes into a directory that may have been left before, and so may be closed to its own user.
    fn enter_again(&mut self, name: &[u8], dir: OwnedFd, was: &Stat) -> Result<(), Stuck> {
        let usable = Mode::from_raw_mode(was.st_mode).contains(DIR_MODE);
        if !usable {
            rustix::fs::fchmod(&dir, DIR_MODE).map_err(|errno| self.stuck_below(name, errno))?;
        }
        // Whoever only looks changes nothing but what was closed.
        let last = (!usable || self.missing == Missing::Make).then(|| Attributes::of_stat(was));
        self.descend(name, dir, was, false, last);
        Ok(())
    }

    fn make_here(&mut self, name: &[u8], implied: bool, last: Attributes) -> Result<(), Stuck> {
        let here = self.here()?;
        let made = rustix::fs::mkdirat(here, name, DIR_MODE).and_then(|()| {
            let dir = rustix::fs::openat(here, name, DIR_FLAGS, Mode::empty())?;
            let stat = rustix::fs::fstat(&dir)?;
            Ok((dir, stat))
        });
        let (dir, stat) = made.map_err(|errno| self.stuck_below(name, errno))?;
        self.made += 1;
        self.descend(name, dir, &stat, implied, Some(last));
        Ok(())
    }

    fn descend(&mut self, name: &[u8], dir: OwnedFd, stat: &Stat, implied: bool, last: Option<Attributes>) {
        if !self.path.is_empty() {
            self.path.push(b'/');
        }
        self.path.extend(name);
        self.push(dir, stat, implied, last);
    }

    fn push(&mut self, dir: OwnedFd, stat: &Stat, implied: bool, last: Option<Attributes>) {
        if let Some(far) = self.levels.len().checked_sub(OPEN_MAX) {
            self.levels[far].dir = None;
        }
        self.levels.push(Level {
            dir: Some(dir),
            inode: (stat.st_dev, stat.st_ino),
            end: self.path.len(),
            implied,
            last,
        });
    }

    fn leave(&mut self) -> Result<(), Stuck> {
        let left = self.levels.pop();
        let Some((level, dir)) = left.and_then(|mut level| level.dir.take().map(|dir| (level, dir))) else {
            return Err(self.stuck(Errno::BADF));
        };
        let up = match self.levels.last_mut() {
            Some(above) if above.dir.is_none() => {
                // Before this one may be closed to its own user.
                open_above(&dir, above.inode).map(|dir| above.dir = Some(dir))
            }
            _ => Ok(()),
        };
        let done = up.and_then(|()| level.last.map_or(Ok(()), |last| last.apply(&dir)));
        done.map_err(|errno| self.stuck(errno))?;
        self.path.truncate(self.levels.last().map_or(0, |above| above.end));
        Ok(())
    }

    fn stuck(&self, errno: Errno) -> Stuck {
        let path = self.path.clone();
        Stuck { path, errno }
    }

    fn stuck_below(&self, name: &[u8], errno: Errno) -> Stuck {
        let slash: &[u8] = if self.path.is_empty() { b"" } else { b"/" };
        let path = [&self.path, slash, name].concat();
        Stuck { path, errno }
    }
}

/// Bytes that both begin with. In pieces, because deep paths are long and every entry is compared with the one before.
fn common_length(a: &[u8], b: &[u8]) -> usize {
    const PIECE: usize = 64;
    let pieces = a.chunks(PIECE).zip(b.chunks(PIECE));
    let alike = PIECE * pieces.take_while(|(a, b)| a.len() == PIECE && a == b).count();
    let rest = a[alike..].iter().zip(&b[alike..]);
    alike + rest.take_while(|(a, b)| a == b).count()
}

/// Opens the directory `name`, never through a link, also one that was closed to its own user. Tells what it was before.
pub(super) fn open(dir: BorrowedFd<'_>, name: &[u8]) -> Result<(OwnedFd, Stat), Errno> {
    match rustix::fs::openat(dir, name, DIR_FLAGS, Mode::empty()) {
        Ok(opened) => {
            let stat = rustix::fs::fstat(&opened)?;
            Ok((opened, stat))
        }
        Err(Errno::ACCESS) => {
            // The call for the mode follows links. There is none: all here is this user's own, and no other sees it yet.
            let stat = rustix::fs::statat(dir, name, AtFlags::SYMLINK_NOFOLLOW)?;
            if FileType::from_raw_mode(stat.st_mode) != FileType::Directory {
                return Err(Errno::NOTDIR);
            }
            rustix::fs::chmodat(dir, name, DIR_MODE, AtFlags::empty())?;
            let opened = rustix::fs::openat(dir, name, DIR_FLAGS, Mode::empty())?;
            Ok((opened, stat))
        }
        Err(errno) => Err(errno),
    }
}

/// Opens the directory above, if it is still that one.
pub(super) fn open_above(dir: impl AsFd, inode: Inode) -> Result<OwnedFd, Errno> {
    let above = rustix::fs::openat(dir, "..", DIR_FLAGS, Mode::empty())?;
    let stat = rustix::fs::fstat(&above)?;
    if (stat.st_dev, stat.st_ino) == inode {
        Ok(above)
    } else {
        Err(Errno::STALE)
    }
}

#[cfg(test)]
mod tests {
    use super::common_length;

    #[test]
    fn the_common_beginning_ends_at_the_first_difference() {
        for length in [0, 1, 63, 64, 65, 200] {
            let a = vec![b'a'; length];
            assert_eq!(common_length(&a, &a), length);
            assert_eq!(common_length(&a, &a[..length / 2]), length / 2);
            for at in 0..length {
                let mut b = a.clone();
                b[at] = b'b';
                assert_eq!(common_length(&a, &b), at);
            }
        }
    }
}
