//! A student's work on its way into an archive: chosen, listed, digested, made one tar. In constant memory.

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Seek, Write};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::digest::ContentDigest;
use super::entry::{Entry, Kind, shown};
use super::manifest::Line;
use super::reader::{BadTar, TarError, TarReader};
use super::rules::{Part, Selector};
use super::sum::Summer;
use super::tree::{self, Content, Found, Next};
use super::writer::TarWriter;

/// Bytes of a file that are read at once.
const READ_SIZE: usize = 128 * 1024;
/// Bytes of the manifest's lines that are written at once.
const SPOOL_SIZE: usize = 64 * 1024;
/// What an entry takes besides its content, at least.
const ENTRY_BYTES: u64 = 512;

/// Why packing ended early.
#[derive(Debug, thiserror::Error)]
pub enum PackError {
    /// The source's stream is no whole tar; so many bytes of it came.
    #[error("{0} after {1} bytes")]
    Tar(BadTar, u64),
    /// The source could not be read.
    #[error("reading the work: {0}")]
    Source(io::Error),
    /// The result could not be written.
    #[error(transparent)]
    Out(io::Error),
    /// There is more than the template allows, in bytes.
    #[error("the work is larger than {0} bytes")]
    TooBig(u64),
    /// A file that belongs to the archive is only another name of one that was left out, and the source gives its content
    /// but once.
    #[error("{0} is another name of a file that the template leaves out")]
    Tangled(String),
    /// Nobody waits for the result any more.
    #[error("called off")]
    CalledOff,
}

impl From<io::Error> for PackError {
    fn from(error: io::Error) -> Self {
        Self::Source(error)
    }
}

/// What a packing is to heed.
pub struct Orders {
    /// Which things belong to the archive.
    pub selector: Selector,
    /// Most bytes before compression; 0 means no bound.
    pub max_bytes: u64,
    /// Is told how many bytes were read.
    pub progress: Arc<AtomicU64>,
    /// Whether the work goes on meanwhile: what goes away while it is read is noted then, and ends nothing.
    pub running: bool,
    /// Whether anybody still waits.
    pub wanted: Box<dyn Fn() -> bool + Send>,
}

/// What was packed.
#[derive(Debug)]
pub struct Packed {
    /// Bytes of the tar before compression.
    pub content_bytes: u64,
    /// Digest of the workspace's entries.
    pub content_digest: String,
    /// Digest of the entries from elsewhere, if there are any.
    pub elsewhere_digest: Option<String>,
    /// Entries in it.
    pub entries: u64,
    /// Things that are named in the manifest and not in it.
    pub left_out: u64,
    /// Files that changed while they were read.
    pub torn: u64,
}

/// The content of a file on its way in.
trait Data: Read {
    /// Whether the file changed while it was read, where that can be known.
    fn is_torn(&self) -> bool;
}

impl Data for Content {
    fn is_torn(&self) -> bool {
        Content::is_torn(self)
    }
}

impl<R: Read> Data for TarReader<R> {
    fn is_torn(&self) -> bool {
        false
    }
}

/// Counts what is written through it.
struct Counted<W> {
    inner: W,
    bytes: u64,
}

impl<W: Write> Write for Counted<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.inner.write(bytes)?;
        self.bytes += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

type Tar<W> = TarWriter<Counted<W>>;

/// Packs sources, one after the other, into `W`; or only digests them.
pub struct Packer<W: Write> {
    out: Option<(Tar<W>, BufWriter<File>)>,
    orders: Orders,
    content: ContentDigest,
    bytes: u64,
    entries: u64,
    left_out: u64,
    torn: u64,
    /// Digests of the paths of files that were left out.
    missing: std::collections::HashSet<u64>,
    buffer: Vec<u8>,
}

impl Packer<io::Sink> {
    /// One that only digests.
    #[must_use]
    pub fn digesting(orders: Orders) -> Self {
        Self::with(None, orders)
    }
}

impl<W: Write> Packer<W> {
    /// One that packs into `out`, and writes the manifest's lines to `spool`.
    pub fn new(out: W, spool: File, orders: Orders) -> Self {
        let tar = TarWriter::new(Counted { inner: out, bytes: 0 });
        Self::with(Some((tar, BufWriter::with_capacity(SPOOL_SIZE, spool))), orders)
    }

    fn with(out: Option<(Tar<W>, BufWriter<File>)>, orders: Orders) -> Self {
        Self {
            out,
            orders,
            content: ContentDigest::default(),
            bytes: 0,
            entries: 0,
            left_out: 0,
            torn: 0,
            missing: std::collections::HashSet::new(),
            buffer: vec![0; READ_SIZE],
        }
    }

    /// Takes a whole tar stream, whose paths are put below `below` in that part.
    ///
    /// # Errors
    /// [`PackError`]; the result is worthless then.
    pub fn tar(&mut self, stream: impl Read, part: Part, below: &[u8]) -> Result<(), PackError> {
        let mut reader = TarReader::new(stream);
        let failed = |error: TarError, at: u64| match error {
            TarError::Bad(bad) => PackError::Tar(bad, at),
            TarError::Io(error) => PackError::Source(error),
        };
        let mut past: Option<Vec<u8>> = None;
        loop {
            let at = reader.position();
            let Some(mut entry) = reader.next_entry().map_err(|error| failed(error, at))? else {
                return Ok(());
            };
            place_below(&mut entry, below);
            if past.as_ref().is_some_and(|past| is_below(&entry.path, past)) {
                self.pass_over(&entry);
            } else if !self.weigh(part, &entry)? {
                past = (entry.kind == Kind::Directory).then(|| entry.path.clone());
            } else {
                let at = reader.position();
                self.store(part, &entry, Some(&mut reader))
                    .map_err(|error| cut(error, at))?;
            }
        }
    }

    /// Takes an open directory of this host as the workspace.
    ///
    /// # Errors
    /// [`PackError`]; the result is worthless then.
    pub fn tree(&mut self, root: OwnedFd) -> Result<(), PackError> {
        let part = Part::Workspace;
        tree::walk(root, part.root().as_bytes(), &mut |found| match found {
            Found::Gone(path, why) if self.orders.running => self.leave_out(path, None, &why).map(|()| Next::Past),
            // Work that is there and was not read would be lost with the workspace: it is all read again.
            Found::Gone(path, why) | Found::Missed(path, why) => {
                Err(PackError::Source(io::Error::other(format!("{} {why}", shown(path)))))
            }
            Found::TooLong(path) => {
                let why = format!("its path is longer than {} bytes", tree::PATH_MAX);
                self.leave_out(path, None, &why).map(|()| Next::Past)
            }
            Found::Entry(entry, content) => {
                if !self.weigh(part, entry)? {
                    // The tree gives its content again under its next name.
                    self.missing.clear();
                    return Ok(Next::Past);
                }
                self.store(part, entry, content)?;
                Ok(Next::On)
            }
        })
    }

    /// Decides about one thing; what is left out is noted. Whether it is to be stored.
    fn weigh(&mut self, part: Part, entry: &Entry) -> Result<bool, PackError> {
        if !(self.orders.wanted)() {
            return Err(PackError::CalledOff);
        }
        let within = within(part, &entry.path);
        let why = self
            .orders
            .selector
            .left_out(part, within, entry.kind == Kind::Directory);
        if let Some(why) = why.or_else(|| unstorable(entry.kind)) {
            self.pass_over(entry);
            self.leave_out(&entry.path, Some(entry), why)?;
            return Ok(false);
        }
        if entry.kind == Kind::HardLink && self.missing.contains(&mark(&entry.link)) {
            return Err(PackError::Tangled(shown(&entry.path)));
        }
        Ok(true)
    }

    /// Another name of it cannot stand for it.
    fn pass_over(&mut self, entry: &Entry) {
        if entry.kind == Kind::File {
            self.missing.insert(mark(&entry.path));
        }
    }

    /// Notes something that is not stored.
    fn leave_out(&mut self, path: &[u8], entry: Option<&Entry>, why: &str) -> Result<(), PackError> {
        self.left_out += 1;
        match &mut self.out {
            Some((_, lines)) => Line::left_out(path, entry, why).write(lines).map_err(PackError::Out),
            None => Ok(()),
        }
    }

    fn store<D: Data>(&mut self, part: Part, entry: &Entry, mut data: Option<&mut D>) -> Result<(), PackError> {
        self.bytes += entry.size + ENTRY_BYTES;
        if self.orders.max_bytes > 0 && self.bytes > self.orders.max_bytes {
            return Err(PackError::TooBig(self.orders.max_bytes));
        }
        if let Some((tar, _)) = &mut self.out {
            tar.begin(entry).map_err(PackError::Out)?;
        }
        self.orders.progress.fetch_add(ENTRY_BYTES, Ordering::Relaxed);
        let digest = match data.as_deref_mut() {
            Some(data) if entry.kind == Kind::File => Some(self.copy(data, entry.size)?),
            _ => None,
        };
        self.content.add(part, entry, digest.as_ref());
        self.entries += 1;
        let torn = data.is_some_and(|data| data.is_torn());
        self.torn += u64::from(torn);
        if let Some((_, lines)) = &mut self.out {
            let line = Line::stored(entry, digest.as_ref(), torn);
            line.write(lines).map_err(PackError::Out)?;
        }
        Ok(())
    }

    /// The digest of a file's content, which goes into the tar.
    fn copy(&mut self, data: &mut dyn Read, size: u64) -> Result<[u8; 32], PackError> {
        let (mut sum, mut left) = (Summer::default(), size);
        while left > 0 {
            if !(self.orders.wanted)() {
                return Err(PackError::CalledOff);
            }
            let most = usize::try_from(left).map_or(READ_SIZE, |left| left.min(READ_SIZE));
            let count = match data.read(&mut self.buffer[..most]) {
                Ok(0) => return Err(PackError::Source(io::ErrorKind::UnexpectedEof.into())),
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(PackError::Source(error)),
            };
            let piece = &self.buffer[..count];
            sum.add(piece);
            if let Some((tar, _)) = &mut self.out {
                tar.data(piece).map_err(PackError::Out)?;
            }
            self.orders.progress.fetch_add(count as u64, Ordering::Relaxed);
            left -= count as u64;
        }
        Ok(sum.finish_raw())
    }

    /// Ends the archive; everything is handed out. The lines of the manifest are given back, at their beginning.
    ///
    /// # Errors
    /// [`PackError::Out`].
    pub fn finish(mut self) -> Result<(Packed, Option<BufReader<File>>), PackError> {
        let (mut content_bytes, mut lines) = (0, None);
        if let Some((tar, spool)) = self.out.take() {
            let mut counted = tar.finish().map_err(PackError::Out)?;
            counted.flush().map_err(PackError::Out)?;
            content_bytes = counted.bytes;
            let mut file = spool.into_inner().map_err(|error| PackError::Out(error.into_error()))?;
            file.rewind().map_err(PackError::Out)?;
            lines = Some(BufReader::new(file));
        }
        let (content_digest, elsewhere_digest) = self.content.finish();
        let packed = Packed {
            content_bytes,
            content_digest,
            elsewhere_digest,
            entries: self.entries,
            left_out: self.left_out,
            torn: self.torn,
        };
        Ok((packed, lines))
    }
}

/// The data of a stream that ends early is a cut of the whole.
fn cut(error: PackError, at: u64) -> PackError {
    match error {
        PackError::Source(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
            PackError::Tar(BadTar::CutShort, at)
        }
        other => other,
    }
}

fn place_below(entry: &mut Entry, below: &[u8]) {
    if below.is_empty() {
        return;
    }
    let under = |path: &[u8]| {
        // What was asked for by the root's own name begins with it.
        let path = path.strip_prefix(b"/").unwrap_or(path);
        if path.is_empty() {
            below.to_vec()
        } else {
            [below, b"/", path].concat()
        }
    };
    entry.path = under(&entry.path);
    if entry.kind == Kind::HardLink {
        entry.link = under(&entry.link);
    }
}

fn is_below(path: &[u8], root: &[u8]) -> bool {
    path.strip_prefix(root).is_some_and(|rest| rest.starts_with(b"/"))
}

/// The path without the part's own name.
fn within(part: Part, path: &[u8]) -> &[u8] {
    let rest = path.strip_prefix(part.root().as_bytes()).unwrap_or(path);
    rest.strip_prefix(b"/").unwrap_or(rest)
}

/// Why something can never be stored.
fn unstorable(kind: Kind) -> Option<&'static str> {
    match kind {
        Kind::Fifo => Some("a named pipe holds nothing that could be stored"),
        Kind::Socket => Some("a socket holds nothing that could be stored"),
        Kind::Device => Some("a device holds nothing that could be stored"),
        Kind::File | Kind::Directory | Kind::Symlink | Kind::HardLink => None,
    }
}

/// Stands for a path in a set.
fn mark(path: &[u8]) -> u64 {
    use std::hash::{DefaultHasher, Hash, Hasher};
    let mut hasher = DefaultHasher::new();
    path.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
#[path = "packer/tests.rs"]
mod tests;
