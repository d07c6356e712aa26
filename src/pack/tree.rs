//! A student's tree on a disk of this host, read as entries: safely, exactly, and in constant memory.
//!
//! The student may be writing at the same time and means ill. Everything is held relative to its directory and never
//! through a link; only directories and regular files are opened; a file gives exactly the bytes that its entry says.
//! The order is that of the engine's own archives: a directory, then what is in it by the bytes of the names.

mod content;
mod fingerprint;
mod held;
mod names;
mod way;

use std::collections::HashMap;
use std::io;
use std::os::fd::OwnedFd;

use rustix::io::Errno;

pub use content::Content;
pub use fingerprint::{fingerprint, size};

use super::entry::{Entry, Kind};
use held::{Held, Inode, Trouble};
use way::{Step, Way};

/// Longest path that is followed, bytes. The kernel's own limit for one call is 4096; beyond four times that somebody
/// builds a trap.
pub const PATH_MAX: usize = 16 * 1024;

/// What a visitor wants next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Go on.
    On,
    /// This is as if it had not been found: nothing below a directory is visited, and a file's other names stand for
    /// themselves.
    Past,
}

/// What was found.
pub enum Found<'a> {
    /// A thing; files come with their content.
    Entry(&'a Entry, Option<&'a mut Content>),
    /// Something that went, moved or was held by a program when it was to be taken: where, and why in plain words.
    Gone(&'a [u8], String),
    /// Something that could not be taken: where, and why in plain words. It may be there all the same.
    Missed(&'a [u8], String),
    /// A path that is longer than is followed: nothing of it, or below it, is taken.
    TooLong(&'a [u8]),
}

/// Visits `root`, which is called `name` in the paths, and everything below it.
///
/// # Errors
/// The visitor's own; and when this process can open nothing more, since what it misses then is not lost.
pub fn walk<E, V>(root: OwnedFd, name: &[u8], visit: &mut V) -> Result<(), E>
where
    E: From<io::Error>,
    V: FnMut(Found<'_>) -> Result<Next, E>,
{
    let (way, root) = Way::new(root, name).map_err(unreadable)?;
    let mut walk = Walk {
        way,
        first_names: HashMap::new(),
    };
    walk.directory(root, visit)?;
    loop {
        match walk.way.step().map_err(unreadable)? {
            Step::End => return Ok(()),
            Step::Left => {}
            Step::Lost(path) => {
                let why = "was moved while it was read".into();
                visit(Found::Gone(&walk.way.path()[..path], why))?;
            }
            Step::Name => walk.one(visit)?,
        }
    }
}

/// The root's own trouble, or one that nothing can be read with.
fn unreadable(trouble: Trouble) -> io::Error {
    match trouble {
        Trouble::Missed(errno) => errno.into(),
        Trouble::Fatal(error) => error,
    }
}

struct Walk {
    way: Way,
    /// The first path of every file that has several names.
    first_names: HashMap<Inode, Vec<u8>>,
}

impl Walk {
    /// Visits what was found.
    fn one<E, V>(&mut self, visit: &mut V) -> Result<(), E>
    where
        E: From<io::Error>,
        V: FnMut(Found<'_>) -> Result<Next, E>,
    {
        if self.way.path().len() > PATH_MAX {
            return visit(Found::TooLong(self.way.path())).map(drop);
        }
        match self.look() {
            Err(trouble) => self.missed(trouble, visit),
            Ok(Thing::Directory(held)) => self.directory(held, visit),
            Ok(Thing::Other(entry)) => visit(Found::Entry(&entry, None)).map(drop),
            Ok(Thing::File(entry, mut content, inode)) => {
                let next = visit(Found::Entry(&entry, Some(&mut content)))?;
                if let (Some(inode), Next::On) = (inode, next) {
                    self.first_names.insert(inode, entry.path);
                }
                Ok(())
            }
        }
    }

    fn directory<E, V>(&mut self, held: Held, visit: &mut V) -> Result<(), E>
    where
        E: From<io::Error>,
        V: FnMut(Found<'_>) -> Result<Next, E>,
    {
        let entry = held.entry(self.way.path(), Kind::Directory, Vec::new());
        if visit(Found::Entry(&entry, None))? == Next::On
            && let Err(trouble) = self.way.enter(held)
        {
            return self.missed(trouble, visit);
        }
        Ok(())
    }

    fn missed<E, V>(&self, trouble: Trouble, visit: &mut V) -> Result<(), E>
    where
        E: From<io::Error>,
        V: FnMut(Found<'_>) -> Result<Next, E>,
    {
        let (path, gone) = (self.way.path(), trouble.is_passing());
        let why = trouble.words()?;
        let found = if gone {
            Found::Gone(path, why)
        } else {
            Found::Missed(path, why)
        };
        visit(found).map(drop)
    }

    fn look(&self) -> Result<Thing, Trouble> {
        let held = self.way.hold()?;
        if self.way.is_elsewhere(&held) {
            return Err(Errno::XDEV.into());
        }
        let path = self.way.path();
        match held.kind() {
            Kind::Directory => Ok(Thing::Directory(held)),
            Kind::File => self.file(&held),
            Kind::Symlink => Ok(Thing::Other(held.entry(path, Kind::Symlink, held.target()?))),
            kind => Ok(Thing::Other(held.entry(path, kind, Vec::new()))),
        }
    }

    fn file(&self, held: &Held) -> Result<Thing, Trouble> {
        let path = self.way.path();
        let inode = held.has_names().then(|| held.inode());
        if let Some(first) = inode.and_then(|inode| self.first_names.get(&inode)) {
            return Ok(Thing::Other(held.entry(path, Kind::HardLink, first.clone())));
        }
        let opened = held.open()?;
        let entry = opened.entry(path, Kind::File, Vec::new());
        let content = Content::new(opened, entry.size);
        Ok(Thing::File(entry, Box::new(content), inode))
    }
}

/// Something in a directory.
enum Thing {
    /// A file, and which one when it has other names.
    File(Entry, Box<Content>, Option<Inode>),
    Directory(Held),
    Other(Entry),
}

#[cfg(test)]
mod tests;
