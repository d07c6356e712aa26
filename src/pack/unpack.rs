//! Files come back out of an archive's tar: inside a target, and never outside of it.
//!
//! Whoever wrote the tar means ill. A path that leads elsewhere, comes twice or goes through a link ends the whole, and
//! nothing stays of it: everything is made in a directory of its own, which gets the target's name at the end. Entries
//! may come in any order in which a link follows its file, and a directory is not left before its own entry came.

mod attributes;
mod chain;
mod content;
mod draft;
mod remove;
mod route;

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, Mode, OFlags};
use rustix::io::Errno;

use attributes::Attributes;
use chain::{Chain, Missing, Stuck};
use content::Failed;
use draft::Draft;

use super::entry::{Entry, Kind};
use super::reader::{BadTar, TarError, TarReader};

/// Remarks that are kept; more are only counted.
const NOTICES_MAX: usize = 100;
/// What a file has until its content is whole.
const FILE_MODE: Mode = Mode::RUSR.union(Mode::WUSR);

/// Whose the restored files are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owners {
    /// Whose they were, with set-id bits. Only root can.
    Keep,
    /// Of the user who restores them, without set-id bits.
    Mine,
    /// The same, and that user may read all of it; links that lead out of the target are left out, because what they
    /// lead to is another's.
    Reader,
}

/// What was done.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Unpacked {
    /// Files with content of their own.
    pub files: u64,
    /// Directories, without the target itself.
    pub directories: u64,
    /// Symbolic links, and further names of files.
    pub links: u64,
    /// Bytes of the files' content.
    pub bytes: u64,
    /// What could not be restored, and why, in words for people; the last one counts those that are not told.
    pub notices: Vec<String>,
}

/// Why nothing was restored.
#[derive(Debug, thiserror::Error)]
pub enum UnpackError {
    /// It cannot be read to its end.
    #[error(transparent)]
    Tar(#[from] TarError),
    /// Something stands where the tree is to be.
    #[error("{} is there already and is not an empty directory; name one that is not there yet", .0.display())]
    Occupied(PathBuf),
    /// The directory that the target is to be in is missing.
    #[error("{} is not there; make it first, or name a place in a directory that is", .0.display())]
    NoParent(PathBuf),
    /// A directory cannot be used: what was tried, which, and why.
    #[error("cannot {} {}: {}", .0, .1.display(), .2)]
    Place(&'static str, PathBuf, #[source] io::Error),
    /// No entry is below what was asked for.
    #[error("the archive has nothing at {0}; `labtop archive show` lists what it has")]
    Nothing(String),
    /// What was asked for is a file or link.
    #[error("{0} is no directory; name the one that it is in")]
    NotADirectory(String),
    /// An entry could do harm.
    #[error("the archive is damaged or forged: {path} is refused because {why}; nothing was restored")]
    Refused {
        /// Its path, harmless to print.
        path: String,
        /// What is wrong with it.
        why: String,
    },
    /// A file cannot be given to its owner.
    #[error("cannot give {0} to its owner: only root can; run it as root, or let the files be your own")]
    Owner(String),
    /// An entry cannot be made.
    #[error("cannot restore {path}: {error}; nothing was restored")]
    Make {
        /// Its path, harmless to print.
        path: String,
        /// What the system says.
        #[source]
        error: io::Error,
    },
}

/// Makes every entry of `tar`, a whole tar stream, that is at `from` or below it (all if it is empty), below `target`:
/// `from/a` becomes `target/a`. `target` must be free or an empty directory, and what is above it must be there.
///
/// # Errors
/// [`UnpackError`]; nothing was restored then, and nothing stays of it.
pub fn unpack(tar: impl Read, from: &[u8], target: &Path, owners: Owners) -> Result<Unpacked, UnpackError> {
    let from = route::trimmed(from);
    let draft = Draft::begin(target)?;
    let mut unpacker = Unpacker::new(draft.root()?, owners)?;
    let mut reader = TarReader::new(tar);
    let mut found = from.is_empty();
    while let Some(entry) = reader.next_entry()? {
        if let Some(path) = route::below(&entry.path, from) {
            found = true;
            unpacker.take(&mut reader, &entry, path, from)?;
        }
    }
    if !found {
        return Err(UnpackError::Nothing(route::told(from)));
    }
    let mut done = unpacker.finish()?;
    done.notices.extend(draft.settle()?);
    Ok(done)
}

/// Makes entry after entry.
struct Unpacker {
    root: OwnedFd,
    owners: Owners,
    chain: Chain,
    buffer: Vec<u8>,
    done: Unpacked,
    /// Remarks that are not kept.
    untold: u64,
}

impl Unpacker {
    fn new(root: OwnedFd, owners: Owners) -> Result<Self, UnpackError> {
        let failed = |error| make_error(b".", error);
        let own = root.try_clone().map_err(failed)?;
        let chain = Chain::new(own, Missing::Make).map_err(|stuck| failed(stuck.errno.into()))?;
        Ok(Self {
            root,
            owners,
            chain,
            buffer: vec![0; content::READ_SIZE],
            done: Unpacked::default(),
            untold: 0,
        })
    }

    /// Makes `entry`, whose path below `from` is `path`.
    fn take<R: Read>(
        &mut self,
        reader: &mut TarReader<R>,
        entry: &Entry,
        path: &[u8],
        from: &[u8],
    ) -> Result<(), UnpackError> {
        if path.is_empty() && entry.kind != Kind::Directory && !from.is_empty() {
            return Err(UnpackError::NotADirectory(route::told(from)));
        }
        let is_root = path.is_empty() && entry.kind == Kind::Directory;
        if !is_root {
            route::check(&entry.path).map_err(|why| refused(&entry.path, why))?;
        }
        match entry.kind {
            Kind::Directory => self.directory(entry, path),
            Kind::File => self.file(reader, entry, path),
            Kind::Symlink => self.symlink(entry, path),
            Kind::HardLink => self.hard_link(entry, path, from),
            Kind::Fifo | Kind::Socket | Kind::Device => {
                let what = entry.kind.word();
                self.notice(
                    &entry.path,
                    &format!("is a {what}, which holds nothing that could be restored"),
                );
                Ok(())
            }
        }
    }

    /// Whatever is still open gets what it is to have.
    fn finish(mut self) -> Result<Unpacked, UnpackError> {
        self.chain
            .finish()
            .map_err(|stuck| self.failed(&stuck.path, stuck.errno))?;
        self.done.directories = self.chain.made();
        if self.untold > 0 {
            self.done.notices.push(format!("{} more are not told", self.untold));
        }
        Ok(self.done)
    }

    fn directory(&mut self, entry: &Entry, path: &[u8]) -> Result<(), UnpackError> {
        let attributes = self.attributes(entry)?;
        let made = self.chain.make(path, attributes);
        made.map_err(|stuck| self.stuck(entry, stuck))
    }

    fn file<R: Read>(&mut self, reader: &mut TarReader<R>, entry: &Entry, path: &[u8]) -> Result<(), UnpackError> {
        let attributes = self.attributes(entry)?;
        let name = self.go_above(entry, path)?;
        let failed = |errno: Errno| self.failed(&entry.path, errno);
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let here = self.chain.here().map_err(|stuck| failed(stuck.errno))?;
        let file = File::from(rustix::fs::openat(here, name, flags, FILE_MODE).map_err(failed)?);
        let written = content::write(&file, reader, &mut self.buffer).map_err(|failed| match failed {
            Failed::Read(error) => UnpackError::Tar(read_error(error)),
            Failed::Write(error) => make_error(&entry.path, error),
        })?;
        attributes
            .apply(&file)
            .map_err(|errno| self.failed(&entry.path, errno))?;
        self.done.files += 1;
        self.done.bytes += written;
        Ok(())
    }

    /// A link leads where it led, even if nothing is there: it is never followed here.
    fn symlink(&mut self, entry: &Entry, path: &[u8]) -> Result<(), UnpackError> {
        if entry.link.is_empty() || entry.link.contains(&0) {
            return Err(refused(&entry.path, "it is a link to no path at all"));
        }
        if self.owners == Owners::Reader && !route::stays_inside(path, &entry.link) {
            self.notice(
                &entry.path,
                "is a link that leads out of this directory, and was left out",
            );
            return Ok(());
        }
        let attributes = self.attributes(entry)?;
        let name = self.go_above(entry, path)?;
        let failed = |errno: Errno| self.failed(&entry.path, errno);
        let here = self.chain.here().map_err(|stuck| failed(stuck.errno))?;
        rustix::fs::symlinkat(entry.link.as_slice(), here, name).map_err(failed)?;
        attributes.apply_to_link(here, name).map_err(failed)?;
        self.done.links += 1;
        Ok(())
    }

    fn hard_link(&mut self, entry: &Entry, path: &[u8], from: &[u8]) -> Result<(), UnpackError> {
        route::check(&entry.link).map_err(|_| refused(&entry.path, "it is a name of a file outside of the archive"))?;
        let Some(first) = route::below(&entry.link, from) else {
            self.without_content(entry);
            return Ok(());
        };
        let name = self.go_above(entry, path)?;
        match self.link(first, name) {
            Ok(()) => self.done.links += 1,
            Err(Stuck {
                errno: Errno::NOENT, ..
            }) => self.without_content(entry),
            // What a directory, or something below a file or a link, answers.
            Err(Stuck {
                errno: Errno::PERM | Errno::NOTDIR | Errno::LOOP,
                ..
            }) => {
                let why = format!("it is a name of {}, which is no file", route::told(&entry.link));
                return Err(refused(&entry.path, &why));
            }
            Err(stuck) => return Err(self.failed(&entry.path, stuck.errno)),
        }
        Ok(())
    }

    /// Gives the file `first` the further name `name` where the chain is.
    fn link(&self, first: &[u8], name: &[u8]) -> Result<(), Stuck> {
        let (above, first_name) = route::split(first);
        let stuck = |errno| Stuck {
            path: first.to_vec(),
            errno,
        };
        let root = self.root.try_clone();
        let root = root.map_err(|error| stuck(Errno::from_io_error(&error).unwrap_or(Errno::IO)))?;
        let mut way = Chain::new(root, Missing::Fail)?;
        way.go_to(above)?;
        let linked = rustix::fs::linkat(way.here()?, first_name, self.chain.here()?, name, AtFlags::empty());
        // Directories that were closed to their own user are closed again before anything else happens.
        way.finish()?;
        linked.map_err(stuck)
    }

    fn attributes(&self, entry: &Entry) -> Result<Attributes, UnpackError> {
        Attributes::of_entry(entry, self.owners).map_err(|why| refused(&entry.path, why))
    }

    /// Goes to the directory that `path` is in; its name there.
    fn go_above<'a>(&mut self, entry: &Entry, path: &'a [u8]) -> Result<&'a [u8], UnpackError> {
        let (above, name) = route::split(path);
        self.chain.go_to(above).map_err(|stuck| self.stuck(entry, stuck))?;
        Ok(name)
    }

    /// What ended the way to `entry`.
    fn stuck(&self, entry: &Entry, stuck: Stuck) -> UnpackError {
        match stuck.errno {
            Errno::NOTDIR | Errno::LOOP => {
                let why = format!("it is below {}, which is no directory", route::told(&stuck.path));
                refused(&entry.path, &why)
            }
            Errno::EXIST => self.failed(&entry.path, stuck.errno),
            // Some other directory, which was left on the way.
            errno => self.failed(&stuck.path, errno),
        }
    }

    fn failed(&self, path: &[u8], errno: Errno) -> UnpackError {
        match errno {
            Errno::EXIST => refused(path, "it comes twice"),
            Errno::PERM if self.owners == Owners::Keep => UnpackError::Owner(route::told(path)),
            errno => make_error(path, errno.into()),
        }
    }

    /// A further name of something that was not restored.
    fn without_content(&mut self, entry: &Entry) {
        let why = format!("has the content of {}, which is not restored", route::told(&entry.link));
        self.notice(&entry.path, &why);
    }

    fn notice(&mut self, path: &[u8], why: &str) {
        if self.done.notices.len() < NOTICES_MAX {
            self.done.notices.push(format!("{} {why}", route::told(path)));
        } else {
            self.untold += 1;
        }
    }
}

/// What the reader of an entry's data meant.
fn read_error(error: io::Error) -> TarError {
    match error.get_ref().and_then(|inner| inner.downcast_ref::<BadTar>()) {
        Some(bad) => TarError::Bad(*bad),
        None => TarError::Io(error),
    }
}

fn refused(path: &[u8], why: &str) -> UnpackError {
    UnpackError::Refused {
        path: route::told(path),
        why: why.to_owned(),
    }
}

fn make_error(path: &[u8], error: io::Error) -> UnpackError {
    UnpackError::Make {
        path: route::told(path),
        error,
    }
}
