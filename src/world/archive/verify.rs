//! Reading a stored archive back from the disk, from beginning to end, in constant memory.

use std::fs::File;
use std::io::{self, Read};

use rustix::fs::Advice;

use super::pack::Summer;
use super::shape::Shape;
use crate::domain::proof::{ArchiveClaim, Readback};

/// Bytes read at once.
const READ_SIZE: usize = 128 * 1024;

/// Why a read-back did not come to its end.
#[derive(Debug)]
pub(super) enum BackError {
    /// It is surely not what was sent; the text goes on after "archive X of Y".
    Differs(String),
    /// The file could not be read.
    File(io::Error),
    /// Nobody waits for the answer any more.
    CalledOff,
}

/// Digests what is read, and keeps the disk's own errors apart from those of the decoder.
struct Tapped<R> {
    inner: R,
    sum: Summer,
    failed: Option<io::Error>,
}

impl<R: Read> Read for Tapped<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.inner.read(buffer) {
            Ok(count) => {
                self.sum.add(&buffer[..count]);
                Ok(count)
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Err(error),
            Err(error) => {
                let kind = error.kind();
                self.failed = Some(error);
                Err(kind.into())
            }
        }
    }
}

/// Reads a stored file back; `wanted` is asked again and again whether anybody still waits.
pub(super) fn read_back(file: File, claim: &ArchiveClaim, wanted: impl Fn() -> bool) -> Result<Readback, BackError> {
    let stat = file.metadata().map_err(BackError::File)?;
    if !stat.is_file() {
        return Err(BackError::Differs("is no plain file in the store".into()));
    }
    if stat.len() != claim.bytes {
        return Err(BackError::Differs(format!(
            "came back different: {} bytes sent, {} stored",
            claim.bytes,
            stat.len()
        )));
    }
    forget_cached(&file);
    unpack(file, claim, wanted)
}

/// What is read must come from the disk, not from what this process wrote into memory. Advice: a file system that does
/// not take it (tmpfs) has no disk behind it either.
fn forget_cached(file: &File) {
    if let Err(errno) = rustix::fs::fadvise(file, 0, None, Advice::DontNeed) {
        tracing::debug!(%errno, "the page cache keeps the archive");
    }
}

fn unpack<R: Read>(file: R, claim: &ArchiveClaim, wanted: impl Fn() -> bool) -> Result<Readback, BackError> {
    let tapped = Tapped {
        inner: file,
        sum: Summer::default(),
        failed: None,
    };
    let mut decoder = zstd::Decoder::new(tapped).map_err(BackError::File)?;
    let (mut content, mut shape) = (Summer::default(), Shape::new());
    let mut buffer = vec![0; READ_SIZE];
    loop {
        if !wanted() {
            return Err(BackError::CalledOff);
        }
        let count = match decoder.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(broken(decoder.get_mut().get_mut().failed.take(), &error)),
        };
        content.add(&buffer[..count]);
        // A forged file must not unpack for ever.
        if content.bytes() > claim.content_bytes {
            return Err(BackError::Differs(
                "came back different: it holds more than was sent".into(),
            ));
        }
        shape.feed(&buffer[..count]).map_err(not_whole)?;
    }
    shape.finish().map_err(not_whole)?;
    Ok(readback(decoder.finish().into_inner().sum, content))
}

fn readback(stored: Summer, content: Summer) -> Readback {
    let (stored, content) = (stored.finish(), content.finish());
    Readback {
        bytes: stored.bytes,
        digest: stored.digest,
        content_bytes: content.bytes,
        content_digest: content.digest,
    }
}

fn broken(disk: Option<io::Error>, decoder: &io::Error) -> BackError {
    disk.map_or_else(
        || BackError::Differs(format!("came back different: it cannot be unpacked ({decoder})")),
        BackError::File,
    )
}

fn not_whole(why: super::shape::BadTar) -> BackError {
    BackError::Differs(format!("came back different: its content {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ids::SeatId;
    use crate::world::archive::Draft;
    use crate::world::archive::pack::Packer;

    /// A disk that fails after some bytes.
    struct Failing(usize);

    impl Read for Failing {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            if self.0 == 0 {
                return Err(rustix::io::Errno::IO.into());
            }
            let count = self.0.min(buffer.len());
            self.0 -= count;
            // The beginning of a zstd frame that never ends.
            buffer[..count].copy_from_slice(&b"\x28\xb5\x2f\xfd\x04\x58"[..count]);
            Ok(count)
        }
    }

    fn packed() -> (Vec<u8>, ArchiveClaim) {
        let mut file = Vec::new();
        let mut packer = Packer::new(&mut file).unwrap();
        packer.feed(&[0; 10_240]).unwrap();
        let sums = packer.finish().unwrap();
        let seat: SeatId = "a/an".parse().unwrap();
        let draft = Draft {
            id: "20261124T034512Z-7f3a9c1b".parse().unwrap(),
            seat,
            session: 1,
            epoch: 1,
            created_unix_ms: 0,
        };
        (file, draft.claim(sums))
    }

    #[test]
    fn what_was_packed_reads_back_equal() {
        let (file, claim) = packed();
        let back = unpack(file.as_slice(), &claim, || true).unwrap();
        assert_eq!((back.bytes, &back.digest), (claim.bytes, &claim.digest));
        assert_eq!(
            (back.content_bytes, &back.content_digest),
            (claim.content_bytes, &claim.content_digest)
        );
    }

    #[test]
    fn a_failing_disk_is_no_difference() {
        let (_, claim) = packed();
        let error = unpack(Failing(6), &claim, || true).unwrap_err();
        assert!(
            matches!(&error, BackError::File(e) if e.raw_os_error() == Some(5)),
            "{error:?}"
        );
    }

    #[test]
    fn every_altered_byte_is_a_difference() {
        let (file, claim) = packed();
        for at in 0..file.len() {
            let mut forged = file.clone();
            forged[at] ^= 0x10;
            let same = unpack(forged.as_slice(), &claim, || true).is_ok_and(|back| back.digest == claim.digest);
            assert!(!same, "byte {at}");
        }
    }

    #[test]
    fn more_than_was_sent_is_not_unpacked_to_its_end() {
        let (file, mut claim) = packed();
        claim.content_bytes -= 1;
        assert!(matches!(
            unpack(file.as_slice(), &claim, || true),
            Err(BackError::Differs(_))
        ));
    }

    #[test]
    fn a_read_back_that_nobody_waits_for_ends() {
        let (file, claim) = packed();
        assert!(matches!(
            unpack(file.as_slice(), &claim, || false),
            Err(BackError::CalledOff)
        ));
    }
}
