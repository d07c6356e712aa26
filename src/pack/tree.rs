//! A student's tree on a disk of this host, read as entries: safely, exactly, and in constant memory.
//!
//! The student may be writing at the same time and means ill. Everything is opened relative to its directory and never
//! through a link; what changed its kind in between is not touched; a file gives exactly the bytes that its entry says.
//! The order is that of the engine's own archives: a directory, then what is in it by the bytes of the names.

mod content;

use std::collections::HashMap;
use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{AtFlags, FileType, Mode, OFlags, Stat};
use rustix::io::Errno;
use sha2::{Digest, Sha256};

pub use content::Content;

use super::entry::{Entry, Kind, Mtime};

/// Longest path that is followed, bytes. The kernel's own limit for one call is 4096; beyond four times that somebody
/// builds a trap.
pub const PATH_MAX: usize = 16 * 1024;
/// Directories that are held open at once on the way down; those above are found again by `..`.
const OPEN_MAX: usize = 64;

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
    /// Something that could not be taken: where, and why in plain words. It may be there all the same.
    Missed(&'a [u8], String),
    /// A path that is longer than is followed: nothing of it, or below it, is taken.
    TooLong(&'a [u8]),
}

/// What is known of a file before it is read.
type Inode = (u64, u64);

/// A directory on the way down.
struct Level {
    /// Closed when too many below it are open.
    fd: Option<OwnedFd>,
    inode: Inode,
    /// What is still to be visited, last first.
    names: Vec<CString>,
    /// Length of its path.
    path: usize,
}

/// Visits `root`, which is called `name` in the paths, and everything below it.
///
/// # Errors
/// The visitor's own, and those of a directory that can no longer be followed.
pub fn walk<E, V>(root: OwnedFd, name: &[u8], visit: &mut V) -> Result<(), E>
where
    E: From<io::Error>,
    V: FnMut(Found<'_>) -> Result<Next, E>,
{
    let stat = rustix::fs::fstat(&root).map_err(io::Error::from)?;
    let mut walk = Walk {
        path: name.to_vec(),
        levels: Vec::new(),
        first_names: HashMap::new(),
        device: stat.st_dev,
    };
    let entry = entry(name.to_vec(), Kind::Directory, &stat, Vec::new());
    if visit(Found::Entry(&entry, None))? == Next::On {
        walk.descend(root, &stat).map_err(io::Error::from)?;
        while walk.step(visit)? {}
    }
    Ok(())
}

struct Walk {
    path: Vec<u8>,
    levels: Vec<Level>,
    /// The first path of every file that has several names.
    first_names: HashMap<Inode, Vec<u8>>,
    device: u64,
}

impl Walk {
    /// Visits the next thing; false when there is none.
    fn step<E, V>(&mut self, visit: &mut V) -> Result<bool, E>
    where
        E: From<io::Error>,
        V: FnMut(Found<'_>) -> Result<Next, E>,
    {
        let Some(level) = self.levels.last_mut() else {
            return Ok(false);
        };
        self.path.truncate(level.path);
        let Some(name) = level.names.pop() else {
            self.ascend().map_err(io::Error::from)?;
            return Ok(true);
        };
        self.path.push(b'/');
        self.path.extend(name.to_bytes());
        if self.path.len() > PATH_MAX {
            visit(Found::TooLong(&self.path))?;
            return Ok(true);
        }
        self.one(&name, visit)?;
        Ok(true)
    }

    fn one<E, V>(&mut self, name: &CString, visit: &mut V) -> Result<(), E>
    where
        E: From<io::Error>,
        V: FnMut(Found<'_>) -> Result<Next, E>,
    {
        let taken = self.look(name);
        match taken {
            Err(errno) => {
                visit(Found::Missed(&self.path, missed(errno)))?;
            }
            Ok(Thing::Other(entry)) => {
                visit(Found::Entry(&entry, None))?;
            }
            Ok(Thing::File(entry, mut content, inode)) => {
                let next = visit(Found::Entry(&entry, Some(&mut content)))?;
                if let (Some(inode), Next::On) = (inode, next) {
                    self.first_names.insert(inode, entry.path);
                }
            }
            Ok(Thing::Directory(entry, fd, stat)) => {
                if visit(Found::Entry(&entry, None))? == Next::On
                    && let Err(errno) = self.descend(fd, &stat)
                {
                    visit(Found::Missed(&self.path, missed(errno)))?;
                }
            }
        }
        Ok(())
    }

    fn look(&self, name: &CString) -> Result<Thing, Errno> {
        let parent = self.here()?;
        let stat = rustix::fs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW)?;
        let path = self.path.clone();
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => self.file(parent, name, &stat),
            FileType::Directory => {
                let fd = open_same(parent, name, &stat, OFlags::DIRECTORY)?;
                if stat.st_dev != self.device {
                    return Err(Errno::XDEV);
                }
                let entry = entry(path, Kind::Directory, &stat, Vec::new());
                Ok(Thing::Directory(entry, fd, Box::new(stat)))
            }
            FileType::Symlink => {
                let link = rustix::fs::readlinkat(parent, name, Vec::new())?.into_bytes();
                Ok(Thing::Other(entry(path, Kind::Symlink, &stat, link)))
            }
            FileType::Fifo => Ok(Thing::Other(entry(path, Kind::Fifo, &stat, Vec::new()))),
            FileType::Socket => Ok(Thing::Other(entry(path, Kind::Socket, &stat, Vec::new()))),
            _ => Ok(Thing::Other(entry(path, Kind::Device, &stat, Vec::new()))),
        }
    }

    fn file(&self, parent: BorrowedFd<'_>, name: &CString, stat: &Stat) -> Result<Thing, Errno> {
        let path = self.path.clone();
        let inode = (stat.st_dev, stat.st_ino);
        if stat.st_nlink > 1
            && let Some(first) = self.first_names.get(&inode)
        {
            return Ok(Thing::Other(entry(path, Kind::HardLink, stat, first.clone())));
        }
        let fd = open_same(parent, name, stat, OFlags::empty())?;
        // The size that counts is the one after opening.
        let stat = rustix::fs::fstat(&fd)?;
        let entry = entry(path, Kind::File, &stat, Vec::new());
        let content = Content::new(fd, stat, entry.size);
        Ok(Thing::File(
            entry,
            Box::new(content),
            (stat.st_nlink > 1).then_some(inode),
        ))
    }

    fn here(&self) -> Result<BorrowedFd<'_>, Errno> {
        let open = self.levels.last().and_then(|level| level.fd.as_ref());
        open.map(AsFd::as_fd).ok_or(Errno::BADF)
    }

    fn descend(&mut self, fd: OwnedFd, stat: &Stat) -> Result<(), Errno> {
        let mut names = Vec::new();
        for found in rustix::fs::Dir::read_from(&fd)? {
            let name = found?.file_name().to_owned();
            if name.to_bytes() != b"." && name.to_bytes() != b".." {
                names.push(name);
            }
        }
        names.sort_unstable_by(|a, b| b.cmp(a));
        if let Some(far) = self.levels.len().checked_sub(OPEN_MAX) {
            self.levels[far].fd = None;
        }
        self.levels.push(Level {
            fd: Some(fd),
            inode: (stat.st_dev, stat.st_ino),
            names,
            path: self.path.len(),
        });
        Ok(())
    }

    /// Leaves a directory. One above it that was closed is found again, if it is still the same.
    fn ascend(&mut self) -> Result<(), Errno> {
        let left = self.levels.pop();
        let Some(level) = self.levels.last_mut() else {
            return Ok(());
        };
        if level.fd.is_some() {
            return Ok(());
        }
        let below = left.and_then(|level| level.fd).ok_or(Errno::BADF)?;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let fd = rustix::fs::openat(&below, "..", flags, Mode::empty())?;
        let stat = rustix::fs::fstat(&fd)?;
        if (stat.st_dev, stat.st_ino) != level.inode {
            // Somebody moved it while it was read: what is left of this branch cannot be told.
            return Err(Errno::STALE);
        }
        level.fd = Some(fd);
        Ok(())
    }
}

/// Something in a directory.
enum Thing {
    /// A file, and which one when it has other names.
    File(Entry, Box<Content>, Option<Inode>),
    Directory(Entry, OwnedFd, Box<Stat>),
    Other(Entry),
}

/// Opens what was looked at, and nothing that took its place.
fn open_same(parent: BorrowedFd<'_>, name: &CString, stat: &Stat, kind: OFlags) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC | kind;
    let fd = rustix::fs::openat(parent, name, flags, Mode::empty())?;
    let now = rustix::fs::fstat(&fd)?;
    let same =
        (now.st_dev, now.st_ino, now.st_mode & FILE_TYPE) == (stat.st_dev, stat.st_ino, stat.st_mode & FILE_TYPE);
    if same { Ok(fd) } else { Err(Errno::STALE) }
}

/// The bits of a mode that tell the kind of a file.
const FILE_TYPE: u32 = 0o170_000;
/// The bits that a tar has of it.
const PERMISSIONS: u32 = 0o7777;

fn entry(path: Vec<u8>, kind: Kind, stat: &Stat, link: Vec<u8>) -> Entry {
    Entry {
        path,
        kind,
        size: if kind == Kind::File {
            u64::try_from(stat.st_size).unwrap_or(0)
        } else {
            0
        },
        mode: stat.st_mode & PERMISSIONS,
        uid: stat.st_uid,
        gid: stat.st_gid,
        mtime: Mtime {
            seconds: stat.st_mtime,
            nanos: u32::try_from(stat.st_mtime_nsec).unwrap_or(0),
        },
        link,
    }
}

fn missed(errno: Errno) -> String {
    match errno {
        Errno::NOENT | Errno::STALE | Errno::LOOP | Errno::NOTDIR | Errno::NXIO => {
            "vanished or was replaced while it was read".into()
        }
        Errno::XDEV => "another file system is mounted there".into(),
        other => format!("could not be read ({})", io::Error::from(other)),
    }
}

/// A digest of what the file system tells of everything below `root`, without opening a file: two equal ones mean that
/// nothing changed in between. What `skip` names (path below the root, whether it is a directory) does not count.
///
/// # Errors
/// When a directory cannot be read.
pub fn fingerprint(root: OwnedFd, skip: &dyn Fn(&[u8], bool) -> bool) -> io::Result<[u8; 32]> {
    let mut hash = Sha256::new();
    let mut stack = vec![(root, Vec::new())];
    while let Some((dir, path)) = stack.pop() {
        let mut names = Vec::new();
        for found in rustix::fs::Dir::read_from(&dir)? {
            names.push(found?.file_name().to_owned());
        }
        names.sort_unstable();
        note(&mut hash, &path, &rustix::fs::fstat(&dir)?);
        for name in names.iter().filter(|name| !matches!(name.to_bytes(), b"." | b"..")) {
            let below = [path.as_slice(), name.to_bytes()].join(&b'/');
            let Ok(stat) = rustix::fs::statat(&dir, name, AtFlags::SYMLINK_NOFOLLOW) else {
                continue;
            };
            let is_directory = FileType::from_raw_mode(stat.st_mode) == FileType::Directory;
            if skip(below.strip_prefix(b"/").unwrap_or(&below), is_directory) {
                continue;
            }
            note(&mut hash, &below, &stat);
            if is_directory
                && below.len() < PATH_MAX
                && let Ok(fd) = open_same(dir.as_fd(), name, &stat, OFlags::DIRECTORY)
            {
                stack.push((fd, below));
            }
        }
    }
    Ok(hash.finalize().into())
}

fn note(hash: &mut Sha256, path: &[u8], stat: &Stat) {
    hash.update((path.len() as u64).to_le_bytes());
    hash.update(path);
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

#[cfg(test)]
mod tests;
