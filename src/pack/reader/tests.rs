//! What a tar reader must take, and what it must find out.

use super::*;
use proptest::prelude::*;
use tar::Builder;

fn entry(builder: &mut Builder<Vec<u8>>, name: &str, data: &[u8]) {
    let mut header = Header::new_ustar();
    header.set_size(data.len() as u64);
    header.set_mode(0o644);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
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

/// Gives what it has in pieces of one size.
struct Pieces<'a>(&'a [u8], usize);

impl Read for Pieces<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.1.min(buffer.len());
        self.0.read(&mut buffer[..count])
    }
}

fn all(tar: &[u8], piece: usize) -> Result<Vec<Entry>, BadTar> {
    let mut reader = TarReader::new(Pieces(tar, piece.max(1)));
    let mut entries = Vec::new();
    loop {
        match reader.next_entry() {
            Ok(Some(entry)) => entries.push(entry),
            Ok(None) => return Ok(entries),
            Err(TarError::Bad(bad)) => return Err(bad),
            Err(TarError::Io(error)) => panic!("{error}"),
        }
    }
}

/// One raw block whose checksum is right.
fn header(kind: EntryType, size: u64) -> Vec<u8> {
    let mut header = Header::new_ustar();
    header.set_entry_type(kind);
    header.set_size(size);
    header.set_mode(0o644);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
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
fn entries_come_with_names_and_sizes() {
    let entries = all(&sample(), 512).unwrap();
    let found: Vec<_> = entries.iter().map(|e| (e.path.len(), e.size)).collect();
    assert_eq!(found, [(5, 5000), (299, 1), (5, 0), (4, 2048)]);
}

#[test]
fn what_nobody_filled_in_is_zero() {
    let mut header = Header::new_ustar();
    header.set_path("a").unwrap();
    header.set_size(0);
    header.set_cksum();
    let mut tar = header.as_bytes().to_vec();
    tar.extend([0; 1024]);
    let entries = all(&tar, 512).unwrap();
    assert_eq!((entries[0].mode, entries[0].uid, entries[0].mtime.seconds), (0, 0, 0));
}

#[test]
fn data_can_be_read_in_part() {
    let tar = sample();
    let mut reader = TarReader::new(tar.as_slice());
    reader.next_entry().unwrap();
    let mut some = [1; 100];
    reader.read_exact(&mut some).unwrap();
    assert_eq!(reader.next_entry().unwrap().unwrap().size, 1);
    let mut rest = Vec::new();
    reader.read_to_end(&mut rest).unwrap();
    assert_eq!(rest, b"x");
}

#[test]
fn every_cut_is_found() {
    let tar = sample();
    let end = tar.len();
    // The last entry is zeros up to the end mark: only following the sizes tells them apart.
    for cut in 0..end {
        assert_eq!(all(&tar[..cut], 4096), Err(BadTar::CutShort), "cut at {cut} of {end}");
    }
}

#[test]
fn sizes_beyond_the_header_come_from_the_extension() {
    assert_eq!(all(&extended(&["13 size=1024\n"], 1024), 100).unwrap()[0].size, 1024);
    assert_eq!(all(&extended(&["13 size=1024\n"], 512), 100), Err(BadTar::CutShort));
}

#[test]
fn a_file_name_with_a_newline_forges_no_size() {
    let name = "33 path=a\n20 size=999999999999\nb\n";
    assert_eq!(name.len(), 33);
    let entries = all(&extended(&[name], 0), 100).unwrap();
    assert_eq!(entries[0].path, b"a\n20 size=999999999999\nb");
}

#[test]
fn moments_before_the_epoch_and_between_seconds() {
    let at = |text: &str| moment(text).map(|m| (m.seconds, m.nanos));
    assert_eq!(at("12"), Some((12, 0)));
    assert_eq!(at("12.5"), Some((12, 500_000_000)));
    assert_eq!(at("-1.25"), Some((-2, 750_000_000)));
    assert_eq!(at("-3"), Some((-3, 0)));
    assert_eq!(at("1.-5"), None);
    assert_eq!(at("x"), None);
}

#[test]
fn damage_is_told_apart() {
    let mut tar = sample();
    tar[3] ^= 1;
    assert_eq!(all(&tar, 512), Err(BadTar::BadHeader));
    let mut tar = sample();
    tar.extend([0; 9000]);
    assert!(all(&tar, 512).is_ok());
    tar.push(1);
    assert_eq!(all(&tar, 512), Err(BadTar::Trailing));
    let tar = header(EntryType::XHeader, EXTENSION_MAX + 1);
    assert_eq!(all(&tar, 512), Err(BadTar::Oversized));
}

#[test]
fn links_and_directories_have_no_data() {
    for kind in [EntryType::Link, EntryType::Directory, EntryType::Fifo] {
        let mut tar = header(kind, 4096);
        tar.extend([0; 1024]);
        assert!(all(&tar, 77).is_ok());
    }
}

proptest! {
    #[test]
    fn the_pieces_do_not_matter(piece in 1..6000_usize) {
        prop_assert!(all(&sample(), piece).is_ok());
    }

    #[test]
    fn no_input_panics(bytes in prop::collection::vec(any::<u8>(), 0..2000), records in ".{0,80}") {
        let _ = all(&bytes, 300);
        let _ = all(&extended(&[&records], 512), 300);
    }
}
