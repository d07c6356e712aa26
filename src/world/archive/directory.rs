//! Archives as files: written beside their final name, synced, renamed into place, never overwritten.

use std::fs::File;
use std::io::{self, BufReader, Read, Write};
use std::path::{Path, PathBuf};

use rustix::fs::{Advice, FlockOperation};

use super::blocking::{Wanted, blocking};
use super::object::{Object, Stop};
use super::tree::Dir;
use super::{Space, trouble};
use crate::domain::fault::Fault;
use crate::domain::names::SUBMISSIONS;

/// Bytes that are read from a file at once.
const READ_SIZE: usize = 256 * 1024;
/// How the store's temporary files begin and end; nothing else is ever swept away.
const TEMPORARY: (&str, &str) = (".labtop-", ".part");

/// How deep keys go below the directory that all of them begin with.
const BELOW_SUBMISSIONS: usize = 3;

/// A store of files below one directory.
#[derive(Debug, Clone)]
pub struct Directory {
    root: PathBuf,
}

impl Directory {
    pub(super) fn new(root: PathBuf) -> Self {
        Self { root }
    }

    pub(super) async fn write<T, F>(&self, key: &str, work: F) -> Result<T, Fault>
    where
        T: Send + 'static,
        F: FnOnce(&mut dyn Write) -> Result<T, Stop> + Send + 'static,
    {
        let (root, key) = (self.root.clone(), key.to_owned());
        blocking(move |wanted| store(&root, &key, work, wanted)).await
    }

    pub(super) async fn read<T, F>(&self, key: &str, work: F) -> Result<Option<T>, Fault>
    where
        T: Send + 'static,
        F: FnOnce(&mut dyn Read) -> Result<T, Stop> + Send + 'static,
    {
        let (root, key) = (self.root.clone(), key.to_owned());
        blocking(move |wanted| load(&root, &key, work, wanted)).await
    }

    pub(super) async fn length(&self, key: &str) -> Result<Option<u64>, Fault> {
        let (root, key) = (self.root.clone(), key.to_owned());
        blocking(move |_| {
            if Dir::root_if_there(&root)?.is_none() {
                return Ok(None);
            }
            let Some((file, path)) = open(&root, &key)? else {
                return Ok(None);
            };
            let stat = file.metadata();
            let stat = stat.map_err(|error| trouble::of_place(&path, "look at", &error))?;
            Ok(stat.is_file().then_some(stat.len()))
        })
        .await
    }

    pub(super) async fn list(&self, prefix: &str) -> Result<Vec<Object>, Fault> {
        let (root, prefix) = (self.root.clone(), prefix.to_owned());
        blocking(move |_| list(&root, &prefix)).await
    }

    pub(super) async fn remove(&self, key: &str) -> Result<(), Fault> {
        let (root, key) = (self.root.clone(), key.to_owned());
        blocking(move |_| remove(&root, &key)).await
    }

    pub(super) async fn check(&self) -> Result<Space, Fault> {
        let root = self.root.clone();
        blocking(move |_| probe(&root)).await
    }

    pub(super) async fn sweep(&self) -> usize {
        let root = self.root.clone();
        blocking(move |_| Ok(sweep_all(&root))).await.unwrap_or(0)
    }
}

/// The directories and the file name of a key.
fn place(key: &str) -> (Vec<&str>, &str) {
    let mut parts: Vec<&str> = key.split('/').collect();
    let name = parts.pop().unwrap_or_default();
    (parts, name)
}

/// A file that is removed, with its directory, unless it is kept.
struct Temporary<'a> {
    name: String,
    levels: &'a [Dir],
    attempt: &'a str,
    kept: bool,
}

impl Drop for Temporary<'_> {
    fn drop(&mut self) {
        if self.kept {
            return;
        }
        if let [.., parent, dir] = self.levels {
            let _ = dir.unlink(&self.name);
            parent.prune(self.attempt);
        }
    }
}

fn temporary_name() -> String {
    let (start, end) = TEMPORARY;
    format!("{start}{}{end}", uuid::Uuid::new_v4().simple())
}

fn is_temporary(name: &str) -> bool {
    let (start, end) = TEMPORARY;
    name.starts_with(start) && name.ends_with(end)
}

/// The lock tells a sweep, also that of another agent with the same store, that somebody is still writing.
fn create_locked(dir: &Dir, name: &str) -> Result<File, Fault> {
    let file = dir.create(name)?;
    let locked = rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive);
    locked.map_err(|errno| trouble::of_place(&dir.at(name), "lock", &errno.into()))?;
    Ok(file)
}

/// A file that is read or written as long as somebody waits. Keeps what the disk said.
struct Watched<'a, F> {
    file: F,
    wanted: Wanted<'a>,
    failed: Option<io::Error>,
}

impl<'a, F> Watched<'a, F> {
    fn new(file: F, wanted: Wanted<'a>) -> Self {
        let failed = None;
        Self { file, wanted, failed }
    }

    fn run<T>(&mut self, deed: impl FnOnce(&mut F) -> io::Result<T>) -> io::Result<T> {
        if !(self.wanted)() {
            return Err(io::Error::other("called off"));
        }
        deed(&mut self.file).map_err(|error| {
            let kind = error.kind();
            if kind != io::ErrorKind::Interrupted {
                self.failed = Some(error);
            }
            kind.into()
        })
    }

    /// The fault of work that stopped: what the disk said, else that nobody waits, else the work's own.
    fn fault(self, stop: Stop, path: &Path, verb: &str) -> Fault {
        match (self.failed, stop) {
            (Some(error), _) => trouble::of_place(path, verb, &error),
            _ if !(self.wanted)() => trouble::called_off(),
            (None, Stop::Fault(fault)) => fault,
            (None, Stop::Io(error)) => trouble::of_place(path, verb, &error),
        }
    }
}

impl Write for Watched<'_, File> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.run(|file| file.write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Read for Watched<'_, File> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.run(|file| file.read(buffer))
    }
}

fn store<T, F>(root: &Path, key: &str, work: F, wanted: Wanted<'_>) -> Result<T, Fault>
where
    F: FnOnce(&mut dyn Write) -> Result<T, Stop>,
{
    let (dirs, name) = place(key);
    let mut levels = vec![Dir::root_made(root)?];
    for dir in &dirs {
        let next = levels[levels.len() - 1].enter_made(dir)?;
        levels.push(next);
    }
    let attempt = dirs.last().copied().unwrap_or_default();
    let dir = &levels[levels.len() - 1];
    let mut temporary = Temporary {
        name: temporary_name(),
        levels: &levels,
        attempt,
        kept: false,
    };
    let mut file = Watched::new(create_locked(dir, &temporary.name)?, wanted);
    let result = match work(&mut file) {
        Ok(result) => result,
        Err(stop) => return Err(file.fault(stop, &dir.at(name), "write")),
    };
    let synced = file.file.sync_all();
    synced.map_err(|error| trouble::of_place(&dir.at(name), "sync", &error))?;
    if !wanted() {
        return Err(trouble::called_off());
    }
    dir.settle(&temporary.name, name)?;
    name.clone_into(&mut temporary.name);
    // All levels, not only those made now: another archive may have made one and not synced it yet.
    levels.iter().rev().try_for_each(Dir::sync)?;
    temporary.kept = true;
    Ok(result)
}

fn load<T, F>(root: &Path, key: &str, work: F, wanted: Wanted<'_>) -> Result<Option<T>, Fault>
where
    F: FnOnce(&mut dyn Read) -> Result<T, Stop>,
{
    let Some((file, path)) = open(root, key)? else {
        return Ok(None);
    };
    let stat = file.metadata();
    let stat = stat.map_err(|error| trouble::of_place(&path, "look at", &error))?;
    if !stat.is_file() {
        return Ok(None);
    }
    forget_cached(&file);
    let mut reader = BufReader::with_capacity(READ_SIZE, Watched::new(file, wanted));
    match work(&mut reader) {
        Ok(result) if reader.get_ref().failed.is_none() => Ok(Some(result)),
        Ok(_) => Err(reader
            .into_inner()
            .fault(Stop::Io(io::Error::other("unread")), &path, "read")),
        Err(stop) => Err(reader.into_inner().fault(stop, &path, "read")),
    }
}

/// What is read must come from the disk, not from what this process wrote into memory. Advice: a file system that does
/// not take it (tmpfs) has no disk behind it either.
fn forget_cached(file: &File) {
    if let Err(errno) = rustix::fs::fadvise(file, 0, None, Advice::DontNeed) {
        tracing::debug!(%errno, "the page cache keeps the archive");
    }
}

fn list(root: &Path, prefix: &str) -> Result<Vec<Object>, Fault> {
    let mut found = Vec::new();
    if let Some(submissions) = Dir::root_if_there(root)?.and_then(|root| root.enter_if_there(SUBMISSIONS).transpose()) {
        list_below(&submissions?, SUBMISSIONS, prefix, &mut found)?;
    }
    found.sort_by(|a, b| a.key.cmp(&b.key));
    Ok(found)
}

/// Whether one of the two texts goes on from the other.
fn on_one_path(a: &str, b: &str) -> bool {
    a.starts_with(b) || b.starts_with(a)
}

fn list_below(dir: &Dir, path: &str, prefix: &str, found: &mut Vec<Object>) -> Result<(), Fault> {
    for name in dir.names()? {
        let key = format!("{path}/{name}");
        if is_temporary(&name) || !on_one_path(&key, prefix) {
            continue;
        }
        match dir.plain_length(&name)? {
            Some(bytes) if key.starts_with(prefix) => found.push(Object { key, bytes }),
            Some(_) => {}
            None => {
                if let Some(below) = dir.enter_directory(&name)? {
                    list_below(&below, &key, prefix, found)?;
                }
            }
        }
    }
    Ok(())
}

fn remove(root: &Path, key: &str) -> Result<(), Fault> {
    let (dirs, name) = place(key);
    let mut levels = vec![Dir::root(root)?];
    for part in &dirs {
        let Some(next) = levels[levels.len() - 1].enter_if_there(part)? else {
            return Ok(());
        };
        levels.push(next);
    }
    let dir = &levels[levels.len() - 1];
    match dir.unlink(name) {
        Ok(()) | Err(rustix::io::Errno::NOENT) => {}
        Err(errno) => return Err(trouble::of_place(&dir.at(name), "remove", &errno.into())),
    }
    // The attempt's directory goes with its last object; a room's or student's stays for the next.
    if let ([.., parent, _], Some(attempt)) = (levels.as_slice(), dirs.last()) {
        parent.prune(attempt);
    }
    Ok(())
}

/// The file of a key; none when it or a directory above it is not there.
fn open(root: &Path, key: &str) -> Result<Option<(File, PathBuf)>, Fault> {
    let (dirs, name) = place(key);
    let mut dir = Dir::root(root)?;
    for part in dirs {
        let Some(next) = dir.enter_if_there(part)? else {
            return Ok(None);
        };
        dir = next;
    }
    Ok(dir.open(name)?.map(|file| (file, dir.at(name))))
}

fn probe(root: &Path) -> Result<Space, Fault> {
    use std::io::Write;
    let dir = Dir::root_made(root)?;
    let name = temporary_name();
    let mut file = create_locked(&dir, &name)?;
    let written = file.write_all(b"labtop").and_then(|()| file.sync_all());
    let removed = dir.unlink(&name);
    written.map_err(|error| trouble::of_place(root, "write in", &error))?;
    removed.map_err(|errno| trouble::of_place(root, "remove a file in", &errno.into()))?;
    let stat = rustix::fs::fstatvfs(&dir).map_err(|errno| trouble::of_place(root, "measure", &errno.into()))?;
    Ok(Space {
        free_bytes: stat.f_bavail * stat.f_frsize,
        total_bytes: stat.f_blocks * stat.f_frsize,
    })
}

fn sweep_all(root: &Path) -> usize {
    let Ok(root) = Dir::root(root) else {
        // Not made yet, or out of reach; the first archive tells.
        return 0;
    };
    let probes = sweep(&root, 0);
    match root.enter_if_there(SUBMISSIONS) {
        Ok(Some(submissions)) => probes + sweep(&submissions, BELOW_SUBMISSIONS),
        _ => probes,
    }
}

/// Removes temporary files in `dir` and, `depth` levels deep, below it. What cannot be read is left to be told by
/// those who need it.
fn sweep(dir: &Dir, depth: usize) -> usize {
    let mut removed = 0;
    for name in dir.names().unwrap_or_default() {
        if is_temporary(&name) {
            removed += usize::from(remove_stale(dir, &name));
        } else if depth > 0
            && let Ok(Some(below)) = dir.enter_if_there(&name)
        {
            let swept = sweep(&below, depth - 1);
            // The directory of an attempt that never came to its end.
            if swept > 0 {
                dir.prune(&name);
            }
            removed += swept;
        }
    }
    removed
}

/// Whether the file was nobody's any more and is gone.
fn remove_stale(dir: &Dir, name: &str) -> bool {
    let Ok(Some(file)) = dir.open(name) else { return false };
    let free = rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok();
    free && file.metadata().is_ok_and(|stat| stat.is_file()) && dir.unlink(name).is_ok()
}
