//! A tar stream on its way into a file: checked, digested, compressed, digested again. Blocking, in constant memory.

use std::io::{self, BufWriter, Write};

use sha2::{Digest, Sha256};

use super::shape::{BadTar, Shape};

/// Level 3 is zstd's own default: on two cores it keeps up with what an engine delivers.
const LEVEL: i32 = 3;
/// Bytes handed to the file at once.
const WRITE_SIZE: usize = 256 * 1024;

/// How many bytes passed, and their digest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Sum {
    pub(super) bytes: u64,
    /// SHA-256, lower-case hexadecimal.
    pub(super) digest: String,
}

/// The stream before and after compression.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Sums {
    pub(super) stored: Sum,
    pub(super) content: Sum,
}

/// Counts and digests what passes.
#[derive(Debug, Default)]
pub(super) struct Summer {
    hash: Sha256,
    bytes: u64,
}

impl Summer {
    pub(super) fn add(&mut self, bytes: &[u8]) {
        self.hash.update(bytes);
        self.bytes += bytes.len() as u64;
    }

    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(super) fn finish(self) -> Sum {
        use std::fmt::Write;
        let mut digest = String::with_capacity(64);
        for byte in self.hash.finalize() {
            let _ = write!(digest, "{byte:02x}");
        }
        let bytes = self.bytes;
        Sum { bytes, digest }
    }
}

/// Why packing failed.
#[derive(Debug)]
pub(super) enum PackError {
    /// The stream is no whole tar; so many bytes of it came.
    Tar(BadTar, u64),
    /// The file could not be written.
    File(io::Error),
}

impl From<io::Error> for PackError {
    fn from(error: io::Error) -> Self {
        Self::File(error)
    }
}

struct Counted<W> {
    inner: W,
    sum: Summer,
}

impl<W: Write> Write for Counted<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.sum.add(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

/// Packs one stream into `W`.
pub(super) struct Packer<W: Write> {
    shape: Shape,
    content: Summer,
    encoder: zstd::Encoder<'static, Counted<BufWriter<W>>>,
}

impl<W: Write> Packer<W> {
    pub(super) fn new(file: W) -> io::Result<Self> {
        let inner = BufWriter::with_capacity(WRITE_SIZE, file);
        let sum = Summer::default();
        let mut encoder = zstd::Encoder::new(Counted { inner, sum }, LEVEL)?;
        encoder.include_checksum(true)?;
        Ok(Self {
            shape: Shape::new(),
            content: Summer::default(),
            encoder,
        })
    }

    /// Takes the next bytes of the stream.
    pub(super) fn feed(&mut self, bytes: &[u8]) -> Result<(), PackError> {
        self.content.add(bytes);
        let shape = self.shape.feed(bytes);
        shape.map_err(|why| PackError::Tar(why, self.content.bytes()))?;
        Ok(self.encoder.write_all(bytes)?)
    }

    /// Ends the stream; everything is handed to the file.
    pub(super) fn finish(self) -> Result<Sums, PackError> {
        let shape = self.shape.finish();
        shape.map_err(|why| PackError::Tar(why, self.content.bytes()))?;
        let mut counted = self.encoder.finish()?;
        counted.flush()?;
        Ok(Sums {
            stored: counted.sum.finish(),
            content: self.content.finish(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sums_are_those_of_what_was_written() {
        let mut file = Vec::new();
        let mut packer = Packer::new(&mut file).unwrap();
        packer.feed(&[0; 700]).unwrap();
        packer.feed(&[0; 324]).unwrap();
        let sums = packer.finish().unwrap();
        let of = |bytes: &[u8]| {
            let mut sum = Summer::default();
            sum.add(bytes);
            sum.finish()
        };
        assert_eq!(sums.stored, of(&file));
        assert_eq!(sums.content, of(&[0; 1024]));
        assert_eq!(zstd::decode_all(file.as_slice()).unwrap(), [0; 1024]);
        let known = "5f70bf18a086007016e948b04aed3b82103a36bea41755b6cddfaf10ace3c6ef";
        assert_eq!(sums.content.digest, known);
    }
}
