//! The last lines of a log, within bounds, as bytes that nobody has cleaned.

use std::collections::VecDeque;

/// Bytes kept of one log: some screens' worth, and memory stays flat under a flood.
const BYTES_MAX: usize = 256 * 1024;
/// Lines kept of one log, so that a flood of empty lines is bounded too.
const LINES_MAX: usize = 4_000;
/// A line longer than this is broken: nobody reads on, and one line must not fill the ring.
const LINE_MAX: usize = 4 * 1024;

/// A bounded ring of lines, numbered from the first one ever pushed.
#[derive(Debug)]
pub struct Ring {
    lines: VecDeque<Vec<u8>>,
    lines_max: usize,
    bytes: usize,
    dropped: u64,
    open: bool,
}

impl Default for Ring {
    fn default() -> Self {
        Self::of(LINES_MAX)
    }
}

impl Ring {
    /// A ring for something that is bounded where it comes from: its beginning is kept, however many lines it has.
    #[must_use]
    pub fn whole() -> Self {
        Self::of(usize::MAX)
    }

    fn of(lines_max: usize) -> Self {
        Self {
            lines: VecDeque::new(),
            lines_max,
            bytes: 0,
            dropped: 0,
            open: false,
        }
    }

    /// Takes more of the log in.
    pub fn push(&mut self, chunk: &[u8]) {
        for piece in chunk.split_inclusive(|b| *b == b'\n') {
            let (text, ends) = match piece.strip_suffix(b"\n") {
                Some(text) => (text, true),
                None => (piece, false),
            };
            self.extend(text);
            self.open = !ends;
        }
        self.trim();
    }

    /// Adds to the line that has not ended, or begins one.
    fn extend(&mut self, mut text: &[u8]) {
        loop {
            if !self.open {
                self.lines.push_back(Vec::new());
                self.open = true;
            }
            let Some(line) = self.lines.back_mut() else { return };
            let (now, later) = text.split_at(text.len().min(LINE_MAX - line.len()));
            line.extend_from_slice(now);
            self.bytes += now.len();
            if later.is_empty() {
                return;
            }
            self.open = false;
            self.trim();
            text = later;
        }
    }

    fn trim(&mut self) {
        while self.lines.len() > 1 && (self.bytes > BYTES_MAX || self.lines.len() > self.lines_max) {
            if let Some(line) = self.lines.pop_front() {
                self.bytes -= line.len();
                self.dropped += 1;
            }
        }
    }

    /// Number of the first line still here.
    #[must_use]
    pub fn first(&self) -> u64 {
        self.dropped
    }

    /// Number after the last line.
    #[must_use]
    pub fn end(&self) -> u64 {
        self.dropped + self.lines.len() as u64
    }

    /// Up to `count` lines from line number `from` on, without their ends.
    pub fn window(&self, from: u64, count: usize) -> impl Iterator<Item = &[u8]> {
        let skip = usize::try_from(from.saturating_sub(self.dropped)).unwrap_or(usize::MAX);
        self.lines
            .iter()
            .skip(skip)
            .take(count)
            .map(|line| line.strip_suffix(b"\r").unwrap_or(line))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(ring: &Ring) -> Vec<String> {
        let lines = ring.window(0, usize::MAX);
        lines.map(|line| String::from_utf8_lossy(line).into_owned()).collect()
    }

    #[test]
    fn lines_join_across_chunks() {
        let mut ring = Ring::default();
        for chunk in ["on", "e\ntwo\r\n", "\nfour", ""] {
            ring.push(chunk.as_bytes());
        }
        assert_eq!(all(&ring), ["one", "two", "", "four"]);
    }

    #[test]
    fn a_flood_stays_within_bounds_and_keeps_the_newest() {
        let mut ring = Ring::default();
        for i in 0..200_000 {
            ring.push(format!("line {i}\n").as_bytes());
        }
        ring.push(&vec![b'x'; 3 * BYTES_MAX]);
        ring.push(&vec![b'\n'; 3 * LINES_MAX]);
        ring.push(b"last");
        assert!(ring.bytes <= BYTES_MAX && ring.lines.len() <= LINES_MAX);
        assert!(ring.lines.iter().all(|line| line.len() <= LINE_MAX));
        assert_eq!(all(&ring).last().map(String::as_str), Some("last"));
        assert_eq!(ring.end() - ring.first(), ring.lines.len() as u64);
    }
}
