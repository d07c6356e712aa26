//! Archives as files: written beside their final name, synced, renamed into place, never overwritten.

use std::fs::File;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use rustix::fs::FlockOperation;
use tokio::sync::{mpsc, oneshot};

use super::pack::{PackError, Packer, Sums};
use super::tree::Dir;
use super::verify::{BackError, read_back};
use super::{Draft, Space, trouble};
use crate::domain::fault::Fault;
use crate::domain::names::archive_key;
use crate::domain::proof::{ArchiveClaim, Readback, Stillness, VerifiedArchive};

/// Chunks between the engine and the disk: enough to keep both busy, little enough for thirty archives at once.
const CHUNKS: usize = 32;
/// How the store's temporary files begin and end; nothing else is ever swept away.
const TEMPORARY: (&str, &str) = (".labtop-", ".part");

/// The directory of the root that all keys begin with, and how deep they go below it.
const SUBMISSIONS: &str = "submissions";
const BELOW_SUBMISSIONS: usize = 3;

/// A store of files below one directory.
#[derive(Debug, Clone)]
pub struct Directory {
    root: PathBuf,
}

/// What the packing thread hears.
enum Feed {
    Chunk(Bytes),
    /// The stream came to its own end. Without this word an end is a cut.
    End,
}

impl Directory {
    pub(super) fn new(root: PathBuf) -> Self {
        Self { root }
    }

    pub(super) async fn put<S>(&self, draft: Draft, mut tar: S, progress: impl Fn(u64)) -> Result<ArchiveClaim, Fault>
    where
        S: Stream<Item = Result<Bytes, Fault>> + Send + Unpin,
    {
        let (chunks, feed) = mpsc::channel(CHUNKS);
        let (root, order) = (self.root.clone(), draft.clone());
        let packed = blocking(move |wanted| store(&root, &order, feed, wanted));
        let sent = send(&mut tar, chunks, progress);
        // Both at once; the thread ends when the sender is dropped, so its cleaning is over when this returns.
        let (sent, sums) = tokio::join!(sent, packed);
        sent?;
        Ok(draft.claim(sums?))
    }

    pub(super) async fn verify(&self, claim: ArchiveClaim, stillness: Stillness) -> Result<VerifiedArchive, Fault> {
        let root = self.root.clone();
        let about = claim.clone();
        let back = blocking(move |wanted| load(&root, &about, wanted)).await?;
        VerifiedArchive::prove(claim, stillness, &back)
    }

    pub(super) async fn check(&self) -> Result<Space, Fault> {
        let root = self.root.clone();
        blocking(move |_| probe(&root)).await
    }

    pub(super) fn sweep(&self) -> usize {
        let Ok(root) = Dir::root(&self.root) else {
            // Not made yet, or out of reach; the first archive tells.
            return 0;
        };
        let probes = sweep(&root, 0);
        match root.enter_if_there(SUBMISSIONS) {
            Ok(Some(submissions)) => probes + sweep(&submissions, BELOW_SUBMISSIONS),
            _ => probes,
        }
    }
}

/// Runs work that blocks. It is told when nobody waits for its answer any more.
async fn blocking<T, F>(work: F) -> Result<T, Fault>
where
    T: Send + 'static,
    F: FnOnce(&dyn Fn() -> bool) -> Result<T, Fault> + Send + 'static,
{
    let (reply, answer) = oneshot::channel();
    tokio::task::spawn_blocking(move || {
        let result = work(&|| !reply.is_closed());
        let _ = reply.send(result);
    });
    answer.await.unwrap_or_else(|_| Err(trouble::called_off()))
}

/// Hands the stream to the thread. A stream's own fault is the answer; a thread that gave up tells why itself.
async fn send<S>(tar: &mut S, chunks: mpsc::Sender<Feed>, progress: impl Fn(u64)) -> Result<(), Fault>
where
    S: Stream<Item = Result<Bytes, Fault>> + Unpin,
{
    let mut sent = 0;
    while let Some(chunk) = tar.next().await {
        let chunk = chunk?;
        sent += chunk.len() as u64;
        if chunks.send(Feed::Chunk(chunk)).await.is_err() {
            return Ok(());
        }
        progress(sent);
    }
    let _ = chunks.send(Feed::End).await;
    Ok(())
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

fn store(root: &Path, draft: &Draft, feed: mpsc::Receiver<Feed>, wanted: &dyn Fn() -> bool) -> Result<Sums, Fault> {
    let key = archive_key(&draft.seat, &draft.id);
    let (dirs, name) = place(&key);
    let mut levels = vec![Dir::root_made(root)?];
    for dir in &dirs {
        let next = levels[levels.len() - 1].enter_made(dir)?;
        levels.push(next);
    }
    let attempt = dirs[dirs.len() - 1];
    let dir = &levels[levels.len() - 1];
    let mut temporary = Temporary {
        name: temporary_name(),
        levels: &levels,
        attempt,
        kept: false,
    };
    let file = create_locked(dir, &temporary.name)?;
    let sums = pack(&file, feed).map_err(|failed| match failed {
        Failed::Pack(PackError::Tar(why, bytes)) => trouble::bad_stream(&draft.seat, why, bytes),
        Failed::Pack(PackError::File(error)) => trouble::of_place(&dir.at(name), "write", &error),
        Failed::CalledOff => trouble::called_off(),
    })?;
    let synced = file.sync_all();
    synced.map_err(|error| trouble::of_place(&dir.at(name), "sync", &error))?;
    if !wanted() {
        return Err(trouble::called_off());
    }
    dir.settle(&temporary.name, name)?;
    name.clone_into(&mut temporary.name);
    // All levels, not only those made now: another archive may have made one and not synced it yet.
    levels.iter().rev().try_for_each(Dir::sync)?;
    temporary.kept = true;
    Ok(sums)
}

enum Failed {
    Pack(PackError),
    CalledOff,
}

impl From<PackError> for Failed {
    fn from(error: PackError) -> Self {
        Self::Pack(error)
    }
}

fn pack(file: &File, mut feed: mpsc::Receiver<Feed>) -> Result<Sums, Failed> {
    let mut packer = Packer::new(file).map_err(PackError::from)?;
    loop {
        match feed.blocking_recv() {
            Some(Feed::Chunk(bytes)) => packer.feed(&bytes)?,
            Some(Feed::End) => return Ok(packer.finish()?),
            None => return Err(Failed::CalledOff),
        }
    }
}

fn load(root: &Path, claim: &ArchiveClaim, wanted: &dyn Fn() -> bool) -> Result<Readback, Fault> {
    let key = archive_key(&claim.seat, &claim.id);
    if key != claim.key {
        return Err(trouble::mismatch(claim, "is recorded under another archive's key"));
    }
    let (file, path) = open(root, &key)?.ok_or_else(|| trouble::mismatch(claim, "is missing from the store"))?;
    read_back(file, claim, wanted).map_err(|error| match error {
        BackError::Differs(what) => trouble::mismatch(claim, &what),
        BackError::File(error) => trouble::of_place(&path, "read", &error),
        BackError::CalledOff => trouble::called_off(),
    })
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
