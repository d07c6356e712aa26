//! A tar stream in the one form that labtop stores: ustar headers, and extension records where those do not suffice.

use std::fmt::Display;
use std::io::{self, Write};

use tar::{EntryType, Header};

use super::entry::{Entry, Kind};

const BLOCK: usize = 512;
/// Bytes of a name that fit into a header.
const NAME_MAX: usize = 100;
/// Largest owner that fits into a header as octal digits.
const ID_MAX: u32 = 0o777_7777;
/// Largest size that does.
const SIZE_MAX: u64 = 0o777_7777_7777;

/// Writes entries one after the other.
#[derive(Debug)]
pub struct TarWriter<W> {
    inner: W,
    /// Data that the entry still owes.
    left: u64,
    padding: usize,
}

impl<W: Write> TarWriter<W> {
    /// Writes to `inner`.
    pub fn new(inner: W) -> Self {
        Self {
            inner,
            left: 0,
            padding: 0,
        }
    }

    /// Begins an entry; exactly its size must be written as data before the next one.
    ///
    /// # Errors
    /// When `inner` fails.
    pub fn begin(&mut self, entry: &Entry) -> io::Result<()> {
        self.settle()?;
        let records = records(entry);
        if !records.is_empty() {
            let mut header = Header::new_ustar();
            header.as_mut_bytes()[..EXTENSION_NAME.len()].copy_from_slice(EXTENSION_NAME);
            header.set_mode(0o644);
            header.set_uid(0);
            header.set_gid(0);
            header.set_mtime(0);
            header.set_entry_type(EntryType::XHeader);
            header.set_size(records.len() as u64);
            header.set_cksum();
            self.inner.write_all(header.as_bytes())?;
            self.inner.write_all(&records)?;
            self.pad(records.len() as u64)?;
        }
        self.inner.write_all(header(entry).as_bytes())?;
        self.left = entry.size;
        self.padding = padding_of(entry.size);
        Ok(())
    }

    /// The next data of the entry.
    ///
    /// # Errors
    /// When `inner` fails, or there is more than the entry's size.
    pub fn data(&mut self, bytes: &[u8]) -> io::Result<()> {
        let left = self.left.checked_sub(bytes.len() as u64);
        self.left = left.ok_or_else(|| io::Error::other("more data than the entry's size"))?;
        self.inner.write_all(bytes)
    }

    /// Ends the archive.
    ///
    /// # Errors
    /// When `inner` fails, or the last entry is not whole.
    pub fn finish(mut self) -> io::Result<W> {
        self.settle()?;
        self.inner.write_all(&[0; 2 * BLOCK])?;
        Ok(self.inner)
    }

    fn settle(&mut self) -> io::Result<()> {
        if self.left > 0 {
            return Err(io::Error::other("less data than the entry's size"));
        }
        let padding = std::mem::take(&mut self.padding);
        self.inner.write_all(&[0; BLOCK][..padding])
    }

    fn pad(&mut self, size: u64) -> io::Result<()> {
        self.inner.write_all(&[0; BLOCK][..padding_of(size)])
    }
}

/// What other programs call the file that holds the records, if they do not understand them.
const EXTENSION_NAME: &[u8] = b"PaxHeaders/labtop";

fn padding_of(size: u64) -> usize {
    let over = usize::try_from(size % BLOCK as u64).unwrap_or(0);
    (BLOCK - over) % BLOCK
}

fn header(entry: &Entry) -> Header {
    let mut header = Header::new_ustar();
    let mut name = entry.path.clone();
    if entry.kind == Kind::Directory {
        name.push(b'/');
    }
    put(&mut header.as_mut_bytes()[..NAME_MAX], &name);
    if let Some(ustar) = header.as_ustar_mut() {
        put(&mut ustar.linkname, &entry.link);
    }
    header.set_entry_type(match entry.kind {
        Kind::File | Kind::Socket => EntryType::Regular,
        Kind::Directory => EntryType::Directory,
        Kind::Symlink => EntryType::Symlink,
        Kind::HardLink => EntryType::Link,
        Kind::Fifo => EntryType::Fifo,
        Kind::Device => EntryType::Char,
    });
    header.set_mode(entry.mode);
    header.set_uid(u64::from(if entry.uid > ID_MAX { 0 } else { entry.uid }));
    header.set_gid(u64::from(if entry.gid > ID_MAX { 0 } else { entry.gid }));
    header.set_mtime(u64::try_from(entry.mtime.seconds).map_or(0, |at| at.min(SIZE_MAX)));
    header.set_size(entry.size);
    header.set_cksum();
    header
}

fn put(field: &mut [u8], value: &[u8]) {
    let count = value.len().min(field.len());
    field[..count].copy_from_slice(&value[..count]);
}

/// What does not fit into the header, or not so that every program reads it alike.
fn records(entry: &Entry) -> Vec<u8> {
    let mut records = Vec::new();
    let plain = |name: &[u8]| name.len() < NAME_MAX && name.is_ascii();
    if !plain(&entry.path) {
        let mut path = entry.path.clone();
        if entry.kind == Kind::Directory {
            path.push(b'/');
        }
        record(&mut records, "path", &path);
    }
    if !plain(&entry.link) {
        record(&mut records, "linkpath", &entry.link);
    }
    let mut number = |key: &str, value: &dyn Display| record(&mut records, key, value.to_string().as_bytes());
    if entry.size > SIZE_MAX {
        number("size", &entry.size);
    }
    if entry.uid > ID_MAX {
        number("uid", &entry.uid);
    }
    if entry.gid > ID_MAX {
        number("gid", &entry.gid);
    }
    let at = entry.mtime;
    if at.nanos > 0 || u64::try_from(at.seconds).is_ok_and(|at| at > SIZE_MAX) || at.seconds < 0 {
        number("mtime", &Decimal(at.seconds, at.nanos));
    }
    records
}

/// Seconds and nanoseconds as one decimal number.
struct Decimal(i64, u32);

impl Display for Decimal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (self.0, self.1) {
            (seconds, 0) => write!(f, "{seconds}"),
            (seconds, nanos) if seconds >= 0 => write!(f, "{seconds}.{nanos:09}"),
            // The fraction counts away from zero, like the rest of the number.
            (seconds, nanos) => write!(f, "-{}.{:09}", (seconds + 1).unsigned_abs(), 1_000_000_000 - nanos),
        }
    }
}

/// One record, whose length counts its own digits.
fn record(records: &mut Vec<u8>, key: &str, value: &[u8]) {
    let rest = key.len() + value.len() + 3;
    let mut length = rest + 1;
    while rest + length.to_string().len() != length {
        length = rest + length.to_string().len();
    }
    records.extend(format!("{length} {key}=").into_bytes());
    records.extend(value);
    records.push(b'\n');
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use proptest::prelude::*;

    use super::*;
    use crate::pack::entry::Mtime;
    use crate::pack::reader::TarReader;

    fn any_entry() -> impl Strategy<Value = Entry> {
        let name = prop::collection::vec(1..=255_u8, 1..300).prop_map(|mut name| {
            name.retain(|b| *b != b'/');
            name.insert(0, b'n');
            name
        });
        let kind = prop::sample::select(vec![Kind::File, Kind::Directory, Kind::Symlink, Kind::HardLink]);
        let time = (-99_999_999_999..99_999_999_999_i64, 0..1_000_000_000_u32);
        (
            name.clone(),
            name,
            kind,
            0..2000_u64,
            0..0o10000_u32,
            any::<u32>(),
            any::<u32>(),
            time,
        )
            .prop_map(|(path, link, kind, size, mode, uid, gid, (seconds, nanos))| Entry {
                path,
                kind,
                size: if kind == Kind::File { size } else { 0 },
                mode,
                uid,
                gid,
                mtime: Mtime { seconds, nanos },
                link: if matches!(kind, Kind::Symlink | Kind::HardLink) {
                    link
                } else {
                    Vec::new()
                },
            })
    }

    proptest! {
        #[test]
        fn what_was_written_reads_back(entries in prop::collection::vec(any_entry(), 0..8)) {
            let mut writer = TarWriter::new(Vec::new());
            for entry in &entries {
                writer.begin(entry).unwrap();
                writer.data(&vec![7; usize::try_from(entry.size).unwrap()]).unwrap();
            }
            let tar = writer.finish().unwrap();
            let mut reader = TarReader::new(tar.as_slice());
            for entry in &entries {
                let found = reader.next_entry().unwrap().unwrap();
                prop_assert_eq!(&found, entry);
                let mut data = Vec::new();
                reader.read_to_end(&mut data).unwrap();
                prop_assert_eq!(data.len() as u64, entry.size);
            }
            prop_assert!(reader.next_entry().unwrap().is_none());
        }
    }

    #[test]
    fn records_count_their_own_digits() {
        for size in [1, 80, 90, 95, 96, 97, 980, 990, 991] {
            let mut records = Vec::new();
            record(&mut records, "path", &vec![b'x'; size]);
            let text = String::from_utf8(records.clone()).unwrap();
            assert_eq!(text.split(' ').next().unwrap().parse(), Ok(records.len()));
        }
    }

    #[test]
    fn an_entry_must_be_whole() {
        let mut writer = TarWriter::new(Vec::new());
        let entry = Entry {
            path: b"a".to_vec(),
            kind: Kind::File,
            size: 3,
            mode: 0o644,
            uid: 0,
            gid: 0,
            mtime: Mtime::default(),
            link: Vec::new(),
        };
        writer.begin(&entry).unwrap();
        assert!(writer.data(b"four").is_err());
        writer.data(b"tw").unwrap();
        assert!(writer.begin(&entry).is_err());
        assert!(writer.finish().is_err());
    }
}
