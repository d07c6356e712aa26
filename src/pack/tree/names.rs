//! The names in one directory, sorted. A student may make millions of them, so each costs little more than its bytes.

use rustix::fs::Dir;
use rustix::io::Errno;

/// Names, the first of which is taken first.
#[derive(Default)]
pub(super) struct Names {
    /// One after the other, each with a zero behind it.
    bytes: Vec<u8>,
    /// Where each begins, last name first.
    starts: Vec<usize>,
}

impl Names {
    /// Reads a directory to its end.
    pub(super) fn of(dir: Dir) -> Result<Self, Errno> {
        let mut names = Self::default();
        for found in dir {
            names.add(found?.file_name().to_bytes_with_nul());
        }
        names.sort();
        Ok(names)
    }

    fn add(&mut self, name: &[u8]) {
        if !matches!(name, b".\0" | b"..\0") {
            self.starts.push(self.bytes.len());
            self.bytes.extend(name);
        }
    }

    fn sort(&mut self) {
        let bytes = &self.bytes;
        self.starts.sort_unstable_by(|a, b| at(bytes, *b).cmp(at(bytes, *a)));
    }

    /// The next one.
    pub(super) fn take(&mut self) -> Option<&[u8]> {
        self.starts.pop().map(|start| at(&self.bytes, start))
    }

    /// Whether all were taken.
    pub(super) fn is_empty(&self) -> bool {
        self.starts.is_empty()
    }
}

fn at(bytes: &[u8], start: usize) -> &[u8] {
    let rest = &bytes[start..];
    let end = rest.iter().position(|byte| *byte == 0).unwrap_or(rest.len());
    &rest[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_taken_in_the_order_of_their_bytes() {
        let mut names = Names::default();
        for name in [
            b"b\0".as_slice(),
            b"..\0",
            b"a.x\0",
            b"\xff\0",
            b"a\0",
            b".\0",
            b"...\0",
        ] {
            names.add(name);
        }
        names.sort();
        let mut taken = Vec::new();
        while let Some(name) = names.take() {
            taken.push(name.to_vec());
        }
        assert_eq!(taken, [b"...".as_slice(), b"a", b"a.x", b"b", b"\xff"]);
        assert!(names.is_empty());
    }
}
