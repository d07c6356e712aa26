//! The directories from the root down to where a visit is, in bounded memory and with a bounded number of open ones.
//!
//! Knows: levels, names, the path. Must not know: what a visitor does with what is found.

use std::os::fd::OwnedFd;

use super::super::entry::Kind;
use super::held::{Held, Inode, Trouble};
use super::names::Names;

/// Directories that are held at once, besides the root; those above them are found again by `..`.
pub(super) const HELD_MAX: usize = 60;

/// A directory on the way down.
struct Level {
    /// Let go when too many below it are held.
    held: Option<Held>,
    inode: Inode,
    /// What is still to be visited.
    names: Names,
    /// Length of its path.
    path: usize,
}

/// Where a visit is.
pub(super) struct Way {
    path: Vec<u8>,
    /// The root, which is always held, and the directories below it. Empty when everything was visited.
    levels: Vec<Level>,
    device: u64,
    mount: Option<u64>,
}

/// Something that was found.
pub(super) enum Step {
    /// The next name in this directory; the path leads there.
    Name,
    /// There is none: the directory was left.
    Left,
    /// It was left, and the one whose path has this length, above it, is gone: somebody moved it. What was not visited
    /// yet there and below is lost.
    Lost(usize),
    /// Everything was visited.
    End,
}

impl Way {
    /// Begins at a directory, which is not entered yet.
    pub(super) fn new(root: OwnedFd, name: &[u8]) -> Result<(Self, Held), Trouble> {
        let root = Held::of(root)?;
        let way = Self {
            path: name.to_vec(),
            levels: Vec::new(),
            device: root.inode().0,
            mount: root.mount(),
        };
        Ok((way, root))
    }

    /// The path of what was found last.
    pub(super) fn path(&self) -> &[u8] {
        &self.path
    }

    /// Its name.
    pub(super) fn name(&self) -> &[u8] {
        let parent = self.levels.last().map_or(0, |level| level.path + 1);
        self.path.get(parent..).unwrap_or_default()
    }

    /// Goes on.
    pub(super) fn step(&mut self) -> Result<Step, Trouble> {
        let Some(level) = self.levels.last_mut() else {
            return Ok(Step::End);
        };
        self.path.truncate(level.path);
        if let Some(name) = level.names.take() {
            self.path.push(b'/');
            self.path.extend(name);
            return Ok(Step::Name);
        }
        self.leave()
    }

    /// Holds what was found.
    pub(super) fn hold(&self) -> Result<Held, Trouble> {
        let parent = self.levels.last().and_then(|level| level.held.as_ref());
        Held::hold(parent.ok_or_else(lost_hold)?, self.name())
    }

    /// Whether it belongs to another file system. One may number its own things in several ways (overlayfs, btrfs), so
    /// that only the mount decides.
    pub(super) fn is_elsewhere(&self, held: &Held) -> bool {
        held.inode().0 != self.device && (self.mount.is_none() || held.mount() != self.mount)
    }

    /// Goes into the directory that was found.
    pub(super) fn enter(&mut self, held: Held) -> Result<(), Trouble> {
        let names = held.names()?;
        if let Some(far) = self.levels.len().checked_sub(HELD_MAX).filter(|far| *far > 0) {
            self.levels[far].held = None;
        }
        self.levels.push(Level {
            inode: held.inode(),
            held: Some(held),
            names,
            path: self.path.len(),
        });
        Ok(())
    }

    fn leave(&mut self) -> Result<Step, Trouble> {
        let left = self.levels.pop().and_then(|level| level.held);
        let Some(level) = self.levels.last_mut() else {
            return Ok(Step::Left);
        };
        if level.held.is_some() {
            return Ok(Step::Left);
        }
        match Held::above(&left.ok_or_else(lost_hold)?) {
            Ok(above) if above.inode() == level.inode => {
                level.held = Some(above);
                Ok(Step::Left)
            }
            Err(Trouble::Fatal(error)) => Err(Trouble::Fatal(error)),
            // What was left is somewhere else now. What was above it may still be where it was.
            Ok(_) | Err(Trouble::Missed(_)) => self.find_again(),
        }
    }

    /// Goes down from the root once more, as far as the directories are the same. The others are given up.
    fn find_again(&mut self) -> Result<Step, Trouble> {
        let mut found: Option<Held> = None;
        let mut reached = 0;
        for index in 1..self.levels.len() {
            let name = &self.path[self.levels[index - 1].path + 1..self.levels[index].path];
            let parent = found.as_ref().or(self.levels[0].held.as_ref());
            match Held::hold(parent.ok_or_else(lost_hold)?, name) {
                Ok(next) if next.inode() == self.levels[index].inode && next.kind() == Kind::Directory => {
                    found = Some(next);
                    reached = index;
                }
                Err(Trouble::Fatal(error)) => return Err(Trouble::Fatal(error)),
                Ok(_) | Err(Trouble::Missed(_)) => break,
            }
        }
        if let Some(found) = found {
            self.levels[reached].held = Some(found);
        }
        let gone = self.levels.split_off(reached + 1);
        let unread = gone.iter().any(|level| !level.names.is_empty());
        let lost = gone.first().filter(|_| unread);
        Ok(lost.map_or(Step::Left, |level| Step::Lost(level.path)))
    }
}

/// The root and the last directory are always held; were one not, nothing could be said of the rest.
fn lost_hold() -> Trouble {
    Trouble::Fatal(std::io::Error::other(
        "the directory that is visited is not held: this is a mistake in labtop",
    ))
}
