//! Whether a byte stream is one whole tar, without keeping any of it.
//!
//! A stream that an engine cuts in the middle can look like a clean end. This follows header, data and padding block
//! by block to the two zero blocks that end an archive. The `tar` crate parses the header fields; its walk is not used
//! because it splits extension records at newlines, so that a student's file name with a newline in it could forge a
//! size and keep a seat from ever closing.

use tar::{EntryType, Header};

const BLOCK: u64 = 512;
/// Longest extension header that is read into memory. Paths and links have 4 KiB each, and an attribute 64 KiB.
const EXTENSION_MAX: u64 = 1 << 20;

/// Why a stream is no whole tar.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum BadTar {
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

/// Where in the archive the next byte belongs.
#[derive(Debug)]
enum Place {
    Header(Vec<u8>),
    Skip { left: u64 },
    Extension { body: Vec<u8>, size: u64, padding: u64 },
    Ended,
}

/// Follows a tar stream, fed in pieces of any size.
#[derive(Debug)]
pub(super) struct Shape {
    place: Place,
    zero_blocks: u8,
    /// The size that an extension header gave to the next entry.
    next_size: Option<u64>,
}

impl Shape {
    pub(super) fn new() -> Self {
        Self {
            place: Place::Header(Vec::new()),
            zero_blocks: 0,
            next_size: None,
        }
    }

    /// Takes the next bytes.
    pub(super) fn feed(&mut self, mut bytes: &[u8]) -> Result<(), BadTar> {
        while !bytes.is_empty() {
            let taken = self.step(bytes)?;
            bytes = &bytes[taken..];
        }
        Ok(())
    }

    /// The stream is over: was it whole?
    pub(super) fn finish(&self) -> Result<(), BadTar> {
        match self.place {
            Place::Ended => Ok(()),
            _ => Err(BadTar::CutShort),
        }
    }

    /// Takes at least one byte, and tells how many.
    fn step(&mut self, bytes: &[u8]) -> Result<usize, BadTar> {
        match &mut self.place {
            Place::Header(block) => {
                let taken = fill(block, BLOCK, bytes);
                if block.len() as u64 == BLOCK {
                    let block = std::mem::take(block);
                    self.place = self.after_header(&block)?;
                }
                Ok(taken)
            }
            Place::Skip { left } => {
                let taken = at_most(*left, bytes);
                *left -= taken as u64;
                if *left == 0 {
                    self.place = Place::Header(Vec::new());
                }
                Ok(taken)
            }
            Place::Extension { body, size, padding } => {
                let taken = fill(body, *size, bytes);
                if body.len() as u64 == *size {
                    if let Some(found) = size_record(body) {
                        self.next_size = Some(found);
                    }
                    self.place = skip(*padding);
                }
                Ok(taken)
            }
            Place::Ended if bytes.iter().all(|byte| *byte == 0) => Ok(bytes.len()),
            Place::Ended => Err(BadTar::Trailing),
        }
    }

    fn after_header(&mut self, block: &[u8]) -> Result<Place, BadTar> {
        if block.iter().all(|byte| *byte == 0) {
            self.zero_blocks += 1;
            return Ok(if self.zero_blocks == 2 {
                Place::Ended
            } else {
                Place::Header(Vec::new())
            });
        }
        let mut header = Header::new_old();
        header.as_mut_bytes().copy_from_slice(block);
        if self.zero_blocks > 0 || !checksum_holds(&header) {
            return Err(BadTar::BadHeader);
        }
        let size = header.entry_size().map_err(|_| BadTar::BadHeader)?;
        self.after_entry(header.entry_type(), size)
    }

    fn after_entry(&mut self, kind: EntryType, size: u64) -> Result<Place, BadTar> {
        match kind {
            EntryType::XHeader if size > EXTENSION_MAX => Err(BadTar::Oversized),
            EntryType::XHeader if size > 0 => Ok(Place::Extension {
                body: Vec::new(),
                size,
                padding: padded(size)? - size,
            }),
            EntryType::XHeader | EntryType::XGlobalHeader | EntryType::GNULongName | EntryType::GNULongLink => {
                Ok(skip(padded(size)?))
            }
            _ => {
                let size = self.next_size.take().unwrap_or(size);
                Ok(skip(if has_data(kind) { padded(size)? } else { 0 }))
            }
        }
    }
}

/// Links, directories and devices have no data, whatever their size says.
fn has_data(kind: EntryType) -> bool {
    !matches!(
        kind,
        EntryType::Link
            | EntryType::Symlink
            | EntryType::Char
            | EntryType::Block
            | EntryType::Directory
            | EntryType::Fifo
    )
}

fn skip(left: u64) -> Place {
    if left == 0 {
        Place::Header(Vec::new())
    } else {
        Place::Skip { left }
    }
}

fn padded(size: u64) -> Result<u64, BadTar> {
    size.checked_next_multiple_of(BLOCK).ok_or(BadTar::BadHeader)
}

fn at_most(left: u64, bytes: &[u8]) -> usize {
    usize::try_from(left).map_or(bytes.len(), |left| left.min(bytes.len()))
}

fn fill(buffer: &mut Vec<u8>, full: u64, bytes: &[u8]) -> usize {
    let taken = at_most(full - buffer.len() as u64, bytes);
    buffer.extend_from_slice(&bytes[..taken]);
    taken
}

fn checksum_holds(header: &Header) -> bool {
    let mut blank = header.clone();
    blank.set_cksum();
    matches!((header.cksum(), blank.cksum()), (Ok(written), Ok(real)) if written == real)
}

/// The last `size` of an extension header: records `LENGTH KEY=VALUE\n`, each as long as it says.
fn size_record(mut body: &[u8]) -> Option<u64> {
    let mut found = None;
    while let Some((record, rest)) = next_record(body) {
        if let Some(value) = record.strip_prefix(b"size=") {
            found = parse(value);
        }
        body = rest;
    }
    found
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use tar::Builder;

    fn entry(builder: &mut Builder<Vec<u8>>, name: &str, data: &[u8]) {
        let mut header = Header::new_ustar();
        header.set_size(data.len() as u64);
        header.set_mode(0o644);
        builder.append_data(&mut header, name, data).unwrap();
    }

    fn sample() -> Vec<u8> {
        let mut builder = Builder::new(Vec::new());
        entry(&mut builder, "zeros", &[0; 5000]);
        entry(&mut builder, &"long/".repeat(60), b"x");
        entry(&mut builder, "empty", b"");
        entry(&mut builder, "last", &[0; 2048]);
        builder.into_inner().unwrap()
    }

    fn judge(tar: &[u8], piece: usize) -> Result<(), BadTar> {
        let mut shape = Shape::new();
        tar.chunks(piece.max(1)).try_for_each(|bytes| shape.feed(bytes))?;
        shape.finish()
    }

    /// One raw block whose checksum is right.
    fn header(kind: EntryType, size: u64) -> Vec<u8> {
        let mut header = Header::new_ustar();
        header.set_entry_type(kind);
        header.set_size(size);
        header.set_cksum();
        header.as_bytes().to_vec()
    }

    /// An extension header with these records, then an entry whose header says nothing of its size.
    fn extended(records: &[&str], data: usize) -> Vec<u8> {
        let body: Vec<u8> = records.concat().into_bytes();
        let mut tar = header(EntryType::XHeader, body.len() as u64);
        tar.extend(&body);
        tar.resize(tar.len().next_multiple_of(512), 0);
        tar.extend(header(EntryType::Regular, 0));
        tar.extend(vec![b'd'; data.next_multiple_of(512)]);
        tar.extend([0; 1024]);
        tar
    }

    #[test]
    fn every_cut_is_found() {
        let tar = sample();
        let end = tar.len();
        assert_eq!(judge(&tar, 512), Ok(()));
        // The last entry is zeros up to the end mark: only following the sizes tells them apart.
        for cut in 0..end {
            assert_eq!(judge(&tar[..cut], 4096), Err(BadTar::CutShort), "cut at {cut} of {end}");
        }
    }

    #[test]
    fn sizes_beyond_the_header_come_from_the_extension() {
        assert_eq!(judge(&extended(&["13 size=1024\n"], 1024), 100), Ok(()));
        assert_eq!(judge(&extended(&["13 size=1024\n"], 512), 100), Err(BadTar::CutShort));
    }

    #[test]
    fn a_file_name_with_a_newline_forges_no_size() {
        let name = "33 path=a\n20 size=999999999999\nb\n";
        assert_eq!(name.len(), 33);
        assert_eq!(judge(&extended(&[name], 0), 100), Ok(()));
    }

    #[test]
    fn damage_is_told_apart() {
        let mut tar = sample();
        tar[3] ^= 1;
        assert_eq!(judge(&tar, 512), Err(BadTar::BadHeader));
        let mut tar = sample();
        tar.extend([0; 9000]);
        assert_eq!(judge(&tar, 512), Ok(()));
        tar.push(1);
        assert_eq!(judge(&tar, 512), Err(BadTar::Trailing));
        let tar = header(EntryType::XHeader, EXTENSION_MAX + 1);
        assert_eq!(judge(&tar, 512), Err(BadTar::Oversized));
    }

    #[test]
    fn links_and_directories_have_no_data() {
        for kind in [EntryType::Link, EntryType::Directory, EntryType::Fifo] {
            let mut tar = header(kind, 4096);
            tar.extend([0; 1024]);
            assert_eq!(judge(&tar, 77), Ok(()));
        }
    }

    proptest! {
        #[test]
        fn the_pieces_do_not_matter(piece in 1..6000_usize) {
            prop_assert_eq!(judge(&sample(), piece), Ok(()));
        }

        #[test]
        fn no_input_panics(bytes in prop::collection::vec(any::<u8>(), 0..2000), records in ".{0,80}") {
            let _ = judge(&bytes, 300);
            let _ = judge(&extended(&[&records], 512), 300);
        }
    }
}
