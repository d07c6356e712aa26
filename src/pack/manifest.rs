//! The manifest: one JSON document with one line for each thing of an archive, written and read line by line.
//!
//! The head stands on the first line and ends in an open list; each line after it is one element; the last line closes
//! both. Any JSON reader takes the whole; labtop never holds more than a line.

use std::io::{self, BufRead, Write};

use serde::{Deserialize, Serialize};

use super::entry::{Entry, Kind, Mtime, shown};
use super::sum::{hex, unhex};
use crate::domain::ids::{ArchiveId, InstanceId, SeatId};
use crate::domain::names::archive_key;
use crate::domain::proof::{ArchiveClaim, Extent, Stored};
use crate::domain::template::Selection;

/// The form of manifests that this version writes.
const FORM: u32 = 1;
/// Longest line that is read: a path and a link of 16 KiB each, every byte escaped.
const LINE_MAX: u64 = 512 * 1024;

/// What a manifest says of the archive as a whole; enough to write the ledger's row again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// The form, [`FORM`].
    pub labtop_manifest: u32,
    /// The archive's id.
    pub id: ArchiveId,
    /// Whose ledger it was made for.
    pub instance: InstanceId,
    /// Whose work it is.
    pub seat: SeatId,
    /// Which opening of the room.
    pub session: u64,
    /// The freeze epoch in which it was read.
    pub epoch: u64,
    /// When, Unix milliseconds.
    pub created_unix_ms: u64,
    /// The work as it is stored.
    pub workspace: Stored,
    /// The log as it is stored.
    pub log: Option<Stored>,
    /// Bytes of the tar before compression.
    pub content_bytes: u64,
    /// Digest of the workspace's entries.
    pub content_digest: String,
    /// Digest of the entries from elsewhere.
    pub elsewhere_digest: Option<String>,
    /// How many entries follow that are stored.
    pub stored_entries: u64,
    /// How many that are not.
    pub left_out: u64,
    /// How many changed while they were read.
    pub torn: u64,
    /// What was chosen.
    pub selection: Selection,
}

impl Head {
    /// The head of the manifest of an archive, whose own length and digest are not in it.
    #[must_use]
    pub fn of(claim: &ArchiveClaim, instance: &InstanceId) -> Self {
        let extent = &claim.extent;
        Self {
            labtop_manifest: FORM,
            id: claim.id.clone(),
            instance: instance.clone(),
            seat: claim.seat.clone(),
            session: claim.session,
            epoch: claim.epoch,
            created_unix_ms: claim.created_unix_ms,
            workspace: Stored {
                bytes: claim.bytes,
                digest: claim.digest.clone(),
            },
            log: extent.log.clone(),
            content_bytes: claim.content_bytes,
            content_digest: claim.content_digest.clone(),
            elsewhere_digest: extent.elsewhere_digest.clone(),
            stored_entries: extent.entries,
            left_out: extent.left_out,
            torn: extent.torn,
            selection: extent.selection.clone(),
        }
    }

    /// The archive that it tells of, whose manifest has that length and digest.
    #[must_use]
    pub fn claim(self, manifest: Stored) -> ArchiveClaim {
        ArchiveClaim {
            key: archive_key(&self.seat, &self.id),
            id: self.id,
            seat: self.seat,
            session: self.session,
            epoch: self.epoch,
            bytes: self.workspace.bytes,
            digest: self.workspace.digest,
            content_bytes: self.content_bytes,
            content_digest: self.content_digest,
            created_unix_ms: self.created_unix_ms,
            extent: Extent {
                entries: self.stored_entries,
                left_out: self.left_out,
                torn: self.torn,
                elsewhere_digest: self.elsewhere_digest,
                manifest,
                log: self.log,
                selection: self.selection,
            },
        }
    }
}

/// One thing: a line of the manifest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// Its path in the archive; escaped where it is no UTF-8, then `path_hex` tells the bytes.
    pub path: String,
    /// The bytes of a path that is no UTF-8.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path_hex: Option<String>,
    /// What it is, one of the words of [`Kind`]; absent when that is not known.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// Length of its content, bytes.
    #[serde(default)]
    pub size: u64,
    /// Permission bits, octal.
    #[serde(default)]
    pub mode: String,
    /// Owner.
    #[serde(default)]
    pub uid: u32,
    /// Group.
    #[serde(default)]
    pub gid: u32,
    /// Last change: seconds since 1970 and nanoseconds.
    #[serde(default)]
    pub mtime: (i64, u32),
    /// Where a link leads, as `path`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub link: Option<String>,
    /// The bytes of a link that is no UTF-8.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub link_hex: Option<String>,
    /// SHA-256 of a file's content.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// Whether it changed while it was read.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub torn: bool,
    /// Why it is not stored; absent when it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub left_out: Option<String>,
}

impl Line {
    /// The line of a stored entry.
    #[must_use]
    pub fn stored(entry: &Entry, sha256: Option<&[u8; 32]>, torn: bool) -> Self {
        let (path, path_hex) = written(&entry.path);
        let (link, link_hex) = match entry.kind {
            Kind::Symlink | Kind::HardLink => {
                let (link, hex) = written(&entry.link);
                (Some(link), hex)
            }
            _ => (None, None),
        };
        Self {
            path,
            path_hex,
            kind: Some(entry.kind.word().to_owned()),
            size: entry.size,
            mode: format!("{:04o}", entry.mode),
            uid: entry.uid,
            gid: entry.gid,
            mtime: (entry.mtime.seconds, entry.mtime.nanos),
            link,
            link_hex,
            sha256: sha256.map(|digest| hex(digest)),
            torn,
            left_out: None,
        }
    }

    /// The line of something that is not stored.
    #[must_use]
    pub fn left_out(path: &[u8], entry: Option<&Entry>, why: &str) -> Self {
        let (path, path_hex) = written(path);
        let base = entry.map(|entry| Self::stored(entry, None, false));
        Self {
            path,
            path_hex,
            kind: base.as_ref().and_then(|line| line.kind.clone()),
            size: base.as_ref().map_or(0, |line| line.size),
            mode: base.as_ref().map_or_else(String::new, |line| line.mode.clone()),
            uid: base.as_ref().map_or(0, |line| line.uid),
            gid: base.as_ref().map_or(0, |line| line.gid),
            mtime: base.as_ref().map_or((0, 0), |line| line.mtime),
            link: None,
            link_hex: None,
            sha256: None,
            torn: false,
            left_out: Some(why.to_owned()),
        }
    }

    /// The path's bytes.
    #[must_use]
    pub fn path_bytes(&self) -> Vec<u8> {
        read(&self.path, self.path_hex.as_ref())
    }

    /// The link's bytes; empty when it is none.
    #[must_use]
    pub fn link_bytes(&self) -> Vec<u8> {
        let link = self.link.as_ref();
        link.map(|link| read(link, self.link_hex.as_ref())).unwrap_or_default()
    }

    /// The entry that it tells of; none when it is not stored.
    #[must_use]
    pub fn entry(&self) -> Option<Entry> {
        if self.left_out.is_some() {
            return None;
        }
        Some(Entry {
            path: self.path_bytes(),
            kind: Kind::of_word(self.kind.as_deref()?)?,
            size: self.size,
            mode: u32::from_str_radix(&self.mode, 8).ok()?,
            uid: self.uid,
            gid: self.gid,
            mtime: Mtime {
                seconds: self.mtime.0,
                nanos: self.mtime.1,
            },
            link: self.link_bytes(),
        })
    }

    /// Writes it as one line.
    ///
    /// # Errors
    /// When `out` fails.
    pub fn write(&self, out: &mut impl Write) -> io::Result<()> {
        serde_json::to_writer(&mut *out, self)?;
        out.write_all(b"\n")
    }
}

fn written(bytes: &[u8]) -> (String, Option<String>) {
    match std::str::from_utf8(bytes) {
        Ok(text) => (text.to_owned(), None),
        Err(_) => (shown(bytes), Some(hex(bytes))),
    }
}

fn read(text: &str, bytes: Option<&String>) -> Vec<u8> {
    bytes
        .and_then(|hex| unhex(hex))
        .unwrap_or_else(|| text.as_bytes().to_vec())
}

/// Writes a whole manifest: the head, then the lines that were spooled.
///
/// # Errors
/// When either side fails.
pub fn write(head: &Head, mut lines: impl BufRead, out: &mut dyn Write) -> io::Result<()> {
    let json = serde_json::to_string(head)?;
    let open = json.strip_suffix('}').unwrap_or(&json);
    out.write_all(open.as_bytes())?;
    out.write_all(b",\"entries\":[\n")?;
    let (mut line, mut first) = (Vec::new(), true);
    loop {
        line.clear();
        if lines.read_until(b'\n', &mut line)? == 0 {
            break;
        }
        if !std::mem::replace(&mut first, false) {
            out.write_all(b",\n")?;
        }
        out.write_all(line.strip_suffix(b"\n").unwrap_or(&line))?;
    }
    out.write_all(if first { b"]}\n" } else { b"\n]}\n" })
}

/// Reads a manifest line by line.
#[derive(Debug)]
pub struct Reader<R> {
    lines: R,
    head: Head,
}

impl<R: BufRead> Reader<R> {
    /// Reads the head.
    ///
    /// # Errors
    /// When it is no manifest of this form, or `lines` fails.
    pub fn new(mut lines: R) -> io::Result<Self> {
        let first = next_line(&mut lines)?.ok_or_else(|| bad("it is empty"))?;
        let open = first
            .strip_suffix(b",\"entries\":[")
            .ok_or_else(|| bad("its first line does not begin a list"))?;
        let head: Head = serde_json::from_slice(&[open, b"}"].concat()).map_err(|error| bad(&error.to_string()))?;
        if head.labtop_manifest != FORM {
            return Err(bad(&format!("its form is {}, known is {FORM}", head.labtop_manifest)));
        }
        Ok(Self { lines, head })
    }

    /// What it says of the whole.
    #[must_use]
    pub fn head(&self) -> &Head {
        &self.head
    }

    /// The next line; none at the proper end.
    ///
    /// # Errors
    /// When it is damaged or cut short, or the source fails.
    pub fn next_line(&mut self) -> io::Result<Option<Line>> {
        let line = next_line(&mut self.lines)?.ok_or_else(|| bad("it was cut short"))?;
        if line == b"]}" {
            return Ok(None);
        }
        let line = line.strip_suffix(b",").unwrap_or(&line);
        let parsed = serde_json::from_slice(line).map_err(|error| bad(&error.to_string()))?;
        Ok(Some(parsed))
    }
}

/// One line without its end; none when there is nothing more. One without an end was cut short.
fn next_line(lines: &mut impl BufRead) -> io::Result<Option<Vec<u8>>> {
    let mut line = Vec::new();
    let mut bounded = io::Read::take(&mut *lines, LINE_MAX);
    if bounded.read_until(b'\n', &mut line)? == 0 {
        return Ok(None);
    }
    if line.pop() != Some(b'\n') {
        return Err(bad("a line has no end"));
    }
    Ok(Some(line))
}

fn bad(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("the manifest is damaged: {what}"))
}

#[cfg(test)]
#[path = "manifest/tests.rs"]
mod tests;
