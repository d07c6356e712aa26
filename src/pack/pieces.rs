//! Bytes that come in pieces, from whatever gives them, as a reader.

use std::io::{self, Read};

use bytes::{Buf, Bytes};

/// Reads what `next` gives until it gives none; it is not asked again then.
pub struct Pieces<F> {
    next: F,
    rest: Bytes,
    ended: bool,
}

impl<F: FnMut() -> io::Result<Option<Bytes>>> Pieces<F> {
    /// A reader of what `next` gives; it may block.
    pub fn new(next: F) -> Self {
        let rest = Bytes::new();
        let ended = false;
        Self { next, rest, ended }
    }
}

impl<F: FnMut() -> io::Result<Option<Bytes>>> Read for Pieces<F> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.rest.is_empty() && !self.ended {
            match (self.next)()? {
                Some(bytes) => self.rest = bytes,
                None => self.ended = true,
            }
        }
        let count = self.rest.len().min(buffer.len());
        buffer[..count].copy_from_slice(&self.rest[..count]);
        self.rest.advance(count);
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_of_any_length_are_one_stream_with_one_end() {
        let mut given = vec![Some("c".into()), Some(Bytes::new()), Some("ab".into())];
        let mut asked = 0;
        let mut reader = Pieces::new(|| {
            asked += 1;
            Ok(given.pop().flatten())
        });
        let mut all = String::new();
        reader.read_to_string(&mut all).unwrap();
        assert_eq!(reader.read(&mut [0; 4]).unwrap(), 0);
        assert_eq!((all.as_str(), asked), ("abc", 4));
    }
}
