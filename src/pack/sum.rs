//! Counting and digesting what passes.

use std::io::{self, Read, Write};

use sha2::{Digest, Sha256};

/// How many bytes passed, and their digest.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sum {
    /// How many.
    pub bytes: u64,
    /// SHA-256, lower-case hexadecimal.
    pub digest: String,
}

/// Counts and digests.
#[derive(Debug, Default, Clone)]
pub struct Summer {
    hash: Sha256,
    bytes: u64,
}

impl Summer {
    /// Takes the next bytes.
    pub fn add(&mut self, bytes: &[u8]) {
        self.hash.update(bytes);
        self.bytes += bytes.len() as u64;
    }

    /// How many there were so far.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The result.
    #[must_use]
    pub fn finish(self) -> Sum {
        let bytes = self.bytes;
        let digest = hex(&self.finish_raw());
        Sum { bytes, digest }
    }

    /// The digest as bytes.
    #[must_use]
    pub fn finish_raw(self) -> [u8; 32] {
        self.hash.finalize().into()
    }
}

/// Lower-case hexadecimal digits.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    const DIGITS: [char; 16] = [
        '0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'a', 'b', 'c', 'd', 'e', 'f',
    ];
    let digit = |four: u8| DIGITS[usize::from(four)];
    let pairs = bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]);
    pairs.collect()
}

/// The bytes of hexadecimal digits; none unless they are that.
#[must_use]
pub fn unhex(text: &str) -> Option<Vec<u8>> {
    let digit = |c: u8| char::from(c).to_digit(16).and_then(|d| u8::try_from(d).ok());
    if !text.len().is_multiple_of(2) {
        return None;
    }
    let pairs = text.as_bytes().chunks_exact(2);
    pairs.map(|pair| Some(digit(pair[0])? << 4 | digit(pair[1])?)).collect()
}

/// Sums what is written through it.
#[derive(Debug)]
pub struct Summed<T> {
    inner: T,
    sum: Summer,
}

impl<T> Summed<T> {
    /// Sums what passes to or from `inner`.
    pub fn new(inner: T) -> Self {
        let sum = Summer::default();
        Self { inner, sum }
    }

    /// What passed.
    #[must_use]
    pub fn finish(self) -> Sum {
        self.sum.finish()
    }
}

impl<W: Write> Write for Summed<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.sum.add(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

impl<R: Read> Read for Summed<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.sum.add(&buffer[..count]);
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_are_those_of_all_that_passed() {
        let mut summed = Summed::new(Vec::new());
        summed.write_all(&[0; 700]).unwrap();
        summed.write_all(&[0; 324]).unwrap();
        let known = "5f70bf18a086007016e948b04aed3b82103a36bea41755b6cddfaf10ace3c6ef";
        let sum = summed.finish();
        assert_eq!((sum.bytes, sum.digest.as_str()), (1024, known));
        assert_eq!(hex(&unhex(known).unwrap()), known);
        assert_eq!(unhex("0"), None);
        assert_eq!(unhex("zz"), None);
    }
}
