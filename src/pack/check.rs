//! Whether what a store gave back is what was sent, entry by entry.

use std::io::{self, BufRead, Read};

use super::digest::ContentDigest;
use super::entry::{Entry, Kind, shown};
use super::manifest;
use super::reader::{TarError, TarReader};
use super::rules::Part;
use super::sum::{Sum, Summed, Summer};
use crate::domain::proof::Content;

/// Bytes of a file that are read at once.
const READ_SIZE: usize = 128 * 1024;

/// What a comparison gave.
#[derive(Debug)]
pub struct Compared {
    /// What was read, compressed.
    pub stored: Sum,
    /// What is in it.
    pub content: Content,
}

/// Unpacks `stored` and compares every entry with the manifest. At most `content_bytes` are unpacked, so that a forged
/// object does not unpack for ever.
///
/// # Errors
/// What differs, in words that go on after "archive X of Y".
pub fn compare<R: Read, M: BufRead>(
    stored: R,
    manifest: &mut manifest::Reader<M>,
    content_bytes: u64,
) -> Result<Compared, String> {
    let decoder = zstd::Decoder::new(Summed::new(stored)).map_err(|error| broken(&error))?;
    // One byte more than there may be tells that there is more.
    let mut reader = TarReader::new(decoder.take(content_bytes.saturating_add(1)));
    let mut content = ContentDigest::default();
    let mut buffer = vec![0; READ_SIZE];
    while let Some(entry) = reader.next_entry().map_err(|error| unreadable(&error))? {
        let expected = next_stored(manifest)?;
        if expected.as_ref().map(|(entry, _)| entry) != Some(&entry) {
            return Err(format!(
                "came back different: {} is not as the manifest says",
                shown(&entry.path)
            ));
        }
        let digest = digest(&mut reader, &entry, &mut buffer)?;
        let told = expected.and_then(|(_, sha256)| sha256);
        if told.as_deref() != digest.as_ref().map(<[u8; 32]>::as_slice) {
            return Err(format!(
                "came back different: the content of {} differs",
                shown(&entry.path)
            ));
        }
        content.add(part_of(&entry)?, &entry, digest.as_ref());
    }
    if let Some((entry, _)) = next_stored(manifest)? {
        return Err(format!("came back different: {} is missing in it", shown(&entry.path)));
    }
    let bytes = reader.position();
    let stored = reader.into_inner().into_inner().finish().into_inner().finish();
    let (digest, elsewhere_digest) = content.finish();
    let content = Content {
        bytes,
        digest,
        elsewhere_digest,
    };
    Ok(Compared { stored, content })
}

/// An entry as the manifest tells of it, with the digest of a file.
type Told = (Entry, Option<Vec<u8>>);

/// The next line that tells of something stored.
fn next_stored<M: BufRead>(manifest: &mut manifest::Reader<M>) -> Result<Option<Told>, String> {
    loop {
        let line = manifest
            .next_line()
            .map_err(|error| format!("came back different: {error}"))?;
        let Some(line) = line else { return Ok(None) };
        if line.left_out.is_some() {
            continue;
        }
        let entry = line
            .entry()
            .ok_or("came back different: a line of the manifest is damaged")?;
        let digest = line.sha256.as_deref().and_then(super::sum::unhex);
        return Ok(Some((entry, digest)));
    }
}

fn digest<R: Read>(reader: &mut TarReader<R>, entry: &Entry, buffer: &mut [u8]) -> Result<Option<[u8; 32]>, String> {
    if entry.kind != Kind::File {
        return Ok(None);
    }
    let mut sum = Summer::default();
    loop {
        match reader.read(buffer) {
            Ok(0) => return Ok(Some(sum.finish_raw())),
            Ok(count) => sum.add(&buffer[..count]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(broken(&error)),
        }
    }
}

fn part_of(entry: &Entry) -> Result<Part, String> {
    let first = entry.path.split(|byte| *byte == b'/').next().unwrap_or_default();
    [Part::Workspace, Part::Elsewhere]
        .into_iter()
        .find(|part| part.root().as_bytes() == first)
        .ok_or_else(|| format!("came back different: {} belongs to no part", shown(&entry.path)))
}

fn unreadable(error: &TarError) -> String {
    match error {
        TarError::Bad(bad) => format!("came back different: its content {bad}"),
        TarError::Io(error) => broken(error),
    }
}

fn broken(error: &io::Error) -> String {
    format!("came back different: it cannot be unpacked ({error})")
}
