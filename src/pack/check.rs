//! Whether what a store gave back is what was sent, entry by entry.

use std::io::{self, BufRead, Read, Write};

use super::belt::{Loader, Unloader, belt};
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

/// Unpacks `stored` and compares every entry with the manifest, on a thread of its own. At most `content_bytes` are
/// unpacked, so that a forged object does not unpack for ever.
///
/// # Errors
/// What differs, in words that go on after "archive X of Y".
pub fn compare<R: Read, M: BufRead + Send>(
    stored: R,
    manifest: &mut manifest::Reader<M>,
    content_bytes: u64,
) -> Result<Compared, String> {
    let (loader, unloader) = belt();
    std::thread::scope(|scope| {
        let comparer = std::thread::Builder::new().name("compare".into());
        let comparing = comparer
            .spawn_scoped(scope, move || entries(unloader, manifest))
            .map_err(|error| format!("could not be compared: {error}"))?;
        let unpacked = unpack(stored, content_bytes, loader);
        let content = match comparing.join() {
            Ok(content) => content,
            Err(panic) => std::panic::resume_unwind(panic),
        };
        // The other side only sees that no more comes; why that is so is known here.
        let stored = unpacked.map_err(|error| broken(&error))?;
        let content = content?;
        // Without a difference everything was taken.
        let stored = stored.ok_or("came back different: it could not be compared to its end")?;
        Ok(Compared { stored, content })
    })
}

/// Puts what is unpacked on the belt. The sum of `stored`; none when nobody takes any more.
fn unpack(stored: impl Read, content_bytes: u64, mut to: Loader) -> io::Result<Option<Sum>> {
    // One byte more than there may be tells that there is more.
    let mut decoder = zstd::Decoder::new(Summed::new(stored))?.take(content_bytes.saturating_add(1));
    let mut buffer = vec![0; READ_SIZE];
    loop {
        let count = match decoder.read(&mut buffer) {
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        if count == 0 {
            break;
        }
        if to.write_all(&buffer[..count]).is_err() {
            return Ok(None);
        }
    }
    let sum = decoder.into_inner().finish().into_inner().finish();
    Ok(to.finish().ok().map(|()| sum))
}

/// Compares entry by entry.
fn entries<M: BufRead>(unpacked: Unloader, manifest: &mut manifest::Reader<M>) -> Result<Content, String> {
    let mut reader = TarReader::new(unpacked);
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
    let (digest, elsewhere_digest) = content.finish();
    Ok(Content {
        bytes,
        digest,
        elsewhere_digest,
    })
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
