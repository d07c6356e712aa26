//! A tar stream, entry by entry, and whether it is one whole tar.
//!
//! A stream that an engine cuts in the middle can look like a clean end. This follows header, data and padding to the two
//! zero blocks that end an archive. The `tar` crate parses the fields of a header; its walk is not used because it splits
//! extension records at newlines, so that a student's file name with a newline in it could forge a size and keep a seat
//! from ever closing.

use std::io::{self, Read};

use tar::{EntryType, Header};

use super::entry::{Entry, Kind, Mtime};

const BLOCK: usize = 512;
/// Longest extension header that is read into memory. Paths and links have a few KiB each, and an attribute 64 KiB.
const EXTENSION_MAX: u64 = 1 << 20;
/// Permission bits; engines write the kind of the file beside them.
const MODE_BITS: u32 = 0o7777;

/// Why a stream is no whole tar.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadTar {
    /// It ended before the two zero blocks.
    #[error("was cut short")]
    CutShort,
    /// A header's checksum or a number in it is wrong.
    #[error("has a damaged header")]
    BadHeader,
    /// An extension header is larger than any file's name and attributes can make it.
    #[error("has an oversized header")]
    Oversized,
    /// Something follows the end.
    #[error("goes on after its end")]
    Trailing,
}

/// Why reading ended early.
#[derive(Debug, thiserror::Error)]
pub enum TarError {
    /// It is no whole tar.
    #[error("the tar {0}")]
    Bad(#[from] BadTar),
    /// The stream failed.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// What extension headers say of the entry that follows.
#[derive(Debug, Default)]
struct Extension {
    path: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
    size: Option<u64>,
    uid: Option<u32>,
    gid: Option<u32>,
    mtime: Option<Mtime>,
}

/// Reads a tar stream. After [`TarReader::next_entry`] it is itself the reader of that entry's data.
#[derive(Debug)]
pub struct TarReader<R> {
    stream: R,
    /// Data of this entry that was not read yet.
    left: u64,
    padding: u64,
    read: u64,
    ended: bool,
}

impl<R: Read> TarReader<R> {
    /// Reads from `stream`.
    pub fn new(stream: R) -> Self {
        Self {
            stream,
            left: 0,
            padding: 0,
            read: 0,
            ended: false,
        }
    }

    /// The stream.
    pub fn into_inner(self) -> R {
        self.stream
    }

    /// Bytes of the stream so far.
    #[must_use]
    pub fn position(&self) -> u64 {
        self.read
    }

    /// The next entry, after skipping what was not read of this one; none at the proper end of the whole stream.
    ///
    /// # Errors
    /// When the stream fails, or is no whole tar.
    pub fn next_entry(&mut self) -> Result<Option<Entry>, TarError> {
        if self.ended {
            return Ok(None);
        }
        self.skip(self.left + self.padding)?;
        (self.left, self.padding) = (0, 0);
        let mut extension = Extension::default();
        loop {
            let Some(header) = self.header()? else {
                self.end()?;
                return Ok(None);
            };
            let size = header.entry_size().map_err(|_| BadTar::BadHeader)?;
            match header.entry_type() {
                EntryType::XHeader => extension.note(&self.body(size)?),
                EntryType::GNULongName => extension.path = Some(without_nul(self.body(size)?)),
                EntryType::GNULongLink => extension.link = Some(without_nul(self.body(size)?)),
                EntryType::XGlobalHeader => {
                    self.body(size)?;
                }
                _ => return self.entry(&header, size, extension).map(Some),
            }
        }
    }

    fn entry(&mut self, header: &Header, size: u64, extension: Extension) -> Result<Entry, TarError> {
        let kind = kind_of(header.entry_type());
        let size = extension.size.unwrap_or(size);
        let size = if has_data(header.entry_type()) { size } else { 0 };
        self.left = size;
        self.padding = padded(size)? - size;
        let fields = header.as_old();
        let number =
            |field: &[u8], value: io::Result<u64>| u32::try_from(filled(field, value)?).map_err(|_| BadTar::BadHeader);
        let link = extension
            .link
            .or_else(|| header.link_name_bytes().map(std::borrow::Cow::into_owned));
        let mtime = match extension.mtime {
            Some(mtime) => mtime,
            None => plain_mtime(header)?,
        };
        Ok(Entry {
            path: trimmed(extension.path.unwrap_or_else(|| header.path_bytes().into_owned())),
            kind,
            size: if kind == Kind::File { size } else { 0 },
            mode: number(&fields.mode, header.mode().map(u64::from))? & MODE_BITS,
            uid: match extension.uid {
                Some(uid) => uid,
                None => number(&fields.uid, header.uid())?,
            },
            gid: match extension.gid {
                Some(gid) => gid,
                None => number(&fields.gid, header.gid())?,
            },
            mtime,
            link: match kind {
                Kind::Symlink => link.unwrap_or_default(),
                Kind::HardLink => trimmed(link.unwrap_or_default()),
                _ => Vec::new(),
            },
        })
    }

    /// The next header that is none of zeros; none at the end mark.
    fn header(&mut self) -> Result<Option<Header>, TarError> {
        let mut header = Header::new_old();
        self.fill(header.as_mut_bytes())?;
        if header.as_bytes().iter().all(|byte| *byte == 0) {
            let mut second = [0; BLOCK];
            self.fill(&mut second)?;
            return if second.iter().all(|byte| *byte == 0) {
                Ok(None)
            } else {
                Err(BadTar::BadHeader.into())
            };
        }
        if checksum_holds(&header) {
            Ok(Some(header))
        } else {
            Err(BadTar::BadHeader.into())
        }
    }

    /// Nothing but zeros may follow.
    fn end(&mut self) -> Result<(), TarError> {
        self.ended = true;
        let mut buffer = [0; 8192];
        loop {
            match self.stream.read(&mut buffer) {
                Ok(0) => return Ok(()),
                Ok(count) if buffer[..count].iter().all(|byte| *byte == 0) => self.read += count as u64,
                Ok(_) => return Err(BadTar::Trailing.into()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// The whole body of an extension header.
    fn body(&mut self, size: u64) -> Result<Vec<u8>, TarError> {
        if size > EXTENSION_MAX {
            return Err(BadTar::Oversized.into());
        }
        let mut body = vec![0; usize::try_from(size).map_err(|_| BadTar::Oversized)?];
        self.fill(&mut body)?;
        self.skip(padded(size)? - size)?;
        Ok(body)
    }

    fn fill(&mut self, mut buffer: &mut [u8]) -> Result<(), TarError> {
        while !buffer.is_empty() {
            match self.stream.read(buffer) {
                Ok(0) => return Err(BadTar::CutShort.into()),
                Ok(count) => {
                    self.read += count as u64;
                    buffer = &mut buffer[count..];
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    fn skip(&mut self, mut left: u64) -> Result<(), TarError> {
        let mut buffer = [0; 8192];
        while left > 0 {
            let count = at_most(left, buffer.len());
            self.fill(&mut buffer[..count])?;
            left -= count as u64;
        }
        Ok(())
    }
}

/// The data of the entry that was read last.
impl<R: Read> Read for TarReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let wanted = at_most(self.left, buffer.len());
        if wanted == 0 {
            return Ok(0);
        }
        let count = self.stream.read(&mut buffer[..wanted])?;
        if count == 0 {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, BadTar::CutShort));
        }
        self.left -= count as u64;
        self.read += count as u64;
        Ok(count)
    }
}

impl Extension {
    /// Records `LENGTH KEY=VALUE\n`, each as long as it says.
    fn note(&mut self, mut body: &[u8]) {
        while let Some((record, rest)) = next_record(body) {
            if let Some(equals) = record.iter().position(|byte| *byte == b'=') {
                let (key, value) = (&record[..equals], &record[equals + 1..]);
                match key {
                    b"path" => self.path = Some(value.to_vec()),
                    b"linkpath" => self.link = Some(value.to_vec()),
                    b"size" => self.size = parse(value),
                    b"uid" => self.uid = parse(value).and_then(|id| u32::try_from(id).ok()),
                    b"gid" => self.gid = parse(value).and_then(|id| u32::try_from(id).ok()),
                    b"mtime" => self.mtime = std::str::from_utf8(value).ok().and_then(moment),
                    _ => {}
                }
            }
            body = rest;
        }
    }
}

fn next_record(body: &[u8]) -> Option<(&[u8], &[u8])> {
    let space = body.iter().position(|byte| *byte == b' ')?;
    let length = usize::try_from(parse(&body[..space])?).ok()?;
    let record = body.get(space + 1..length)?.strip_suffix(b"\n")?;
    Some((record, &body[length..]))
}

fn parse(digits: &[u8]) -> Option<u64> {
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// A decimal number of seconds, with a sign and a fraction. Before 1970 the fraction counts towards the past.
fn moment(text: &str) -> Option<Mtime> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let seconds: i64 = whole.parse().ok()?;
    if !fraction.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let nanos: u32 = format!("{fraction:0<9.9}").parse().ok()?;
    if whole.starts_with('-') && nanos > 0 {
        let seconds = seconds.checked_sub(1)?;
        return Some(Mtime {
            seconds,
            nanos: 1_000_000_000 - nanos,
        });
    }
    Some(Mtime { seconds, nanos })
}

/// A field that nobody filled in is zero.
fn filled(field: &[u8], value: io::Result<u64>) -> Result<u64, BadTar> {
    if field.iter().all(|byte| matches!(byte, 0 | b' ')) {
        return Ok(0);
    }
    value.map_err(|_| BadTar::BadHeader)
}

fn plain_mtime(header: &Header) -> Result<Mtime, BadTar> {
    let seconds = filled(&header.as_old().mtime, header.mtime())?;
    let seconds = i64::try_from(seconds).map_err(|_| BadTar::BadHeader)?;
    Ok(Mtime { seconds, nanos: 0 })
}

fn kind_of(kind: EntryType) -> Kind {
    match kind {
        EntryType::Directory => Kind::Directory,
        EntryType::Symlink => Kind::Symlink,
        EntryType::Link => Kind::HardLink,
        EntryType::Fifo => Kind::Fifo,
        EntryType::Char | EntryType::Block => Kind::Device,
        _ => Kind::File,
    }
}

/// Links, directories and devices have no data, whatever their size says.
fn has_data(kind: EntryType) -> bool {
    kind_of(kind) == Kind::File
}

fn padded(size: u64) -> Result<u64, BadTar> {
    size.checked_next_multiple_of(BLOCK as u64).ok_or(BadTar::BadHeader)
}

fn at_most(left: u64, most: usize) -> usize {
    usize::try_from(left).map_or(most, |left| left.min(most))
}

fn checksum_holds(header: &Header) -> bool {
    let mut blank = header.clone();
    blank.set_cksum();
    matches!((header.cksum(), blank.cksum()), (Ok(written), Ok(real)) if written == real)
}

fn without_nul(mut name: Vec<u8>) -> Vec<u8> {
    if let Some(end) = name.iter().position(|byte| *byte == 0) {
        name.truncate(end);
    }
    name
}

/// Without slashes at the end and `./` at the beginning.
fn trimmed(path: Vec<u8>) -> Vec<u8> {
    let mut path = path.as_slice();
    while let Some(rest) = path.strip_prefix(b"./") {
        path = rest;
    }
    while let Some(rest) = path.strip_suffix(b"/") {
        path = rest;
    }
    path.to_vec()
}

#[cfg(test)]
#[path = "reader/tests.rs"]
mod tests;
