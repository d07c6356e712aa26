//! A text as it is read: a seat's log, its last lines followed until somebody scrolls; or the beginning of a part of an
//! archive.

use crate::domain::ids::SeatId;

use super::keys::Intent;
use super::port::{Kept, PART_MAX, StreamId};
use super::ring::Ring;

/// Lines asked for at first.
pub const TAIL: u32 = 200;
/// Cells that one press moves sideways.
const SIDE_STEP: usize = 16;
/// Farthest that a long line is followed to the right, cells: as long as the ring's longest line can get.
const SIDE_MAX: usize = 16 * 1024;

/// Where a text comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// From a seat that is there.
    Seat(SeatId),
    /// From the log in an archive.
    Printed(Kept),
    /// From a file in an archive.
    File {
        /// Which archive.
        archive: Kept,
        /// The file's path in it, harmless to show.
        path: String,
        /// Its size, bytes.
        size: u64,
    },
}

/// An open text.
#[derive(Debug)]
pub struct Log {
    /// Its number on this board.
    pub stream: StreamId,
    /// Where it comes from.
    pub of: Source,
    /// What was read.
    pub ring: Ring,
    /// The first line shown; none while the newest one is followed.
    pub top: Option<u64>,
    /// Cells hidden to the left.
    pub side: usize,
    /// Whether more comes.
    pub end: End,
    /// Bytes that came.
    pub came: u64,
    /// Whether some of them are not those of a text.
    pub binary: bool,
}

/// Whether more of a log comes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// It is being read.
    Open,
    /// It came to its end.
    Over,
    /// It broke off; the text says why.
    Broken(String),
}

impl Log {
    /// A log of which nothing came yet.
    #[must_use]
    pub fn new(stream: StreamId, seat: SeatId) -> Self {
        Self {
            stream,
            of: Source::Seat(seat),
            ring: Ring::default(),
            top: None,
            side: 0,
            end: End::Open,
            came: 0,
            binary: false,
        }
    }

    /// A part of an archive of which nothing came yet.
    #[must_use]
    pub fn part(stream: StreamId, of: Source) -> Self {
        Self {
            stream,
            of,
            ring: Ring::whole(),
            top: Some(0),
            side: 0,
            end: End::Open,
            came: 0,
            binary: false,
        }
    }

    /// Whether it is followed: then more is shown as it comes.
    #[must_use]
    pub fn is_live(&self) -> bool {
        matches!(self.of, Source::Seat(_))
    }

    /// Takes more of it in.
    pub fn push(&mut self, bytes: &[u8]) {
        self.came += bytes.len() as u64;
        self.binary |= bytes.iter().any(|byte| is_no_text(*byte));
        self.ring.push(bytes);
    }

    /// Whether the end of a part was not fetched.
    #[must_use]
    pub fn is_cut(&self) -> bool {
        match self.of {
            Source::Seat(_) => false,
            Source::Printed(_) => self.came >= PART_MAX as u64,
            Source::File { size, .. } => self.came < size && self.came >= PART_MAX as u64,
        }
    }

    /// Number of the first line of a window of `height` lines.
    #[must_use]
    pub fn start(&self, height: usize) -> u64 {
        let newest = self.ring.end().saturating_sub(height as u64).max(self.ring.first());
        self.top.map_or(newest, |top| top.clamp(self.ring.first(), newest))
    }

    /// Moves within a window of `height` lines.
    pub fn scroll(&mut self, intent: Intent, height: usize) {
        let page = height.max(1) as u64;
        match intent {
            Intent::Up => self.move_by(height, |top| top.saturating_sub(1)),
            Intent::Down => self.move_by(height, |top| top + 1),
            Intent::PageUp => self.move_by(height, |top| top.saturating_sub(page)),
            Intent::PageDown => self.move_by(height, |top| top + page),
            Intent::First => self.top = Some(self.ring.first()),
            Intent::Last => self.top = None,
            Intent::Left => self.side = self.side.saturating_sub(SIDE_STEP),
            Intent::Right => self.side = (self.side + SIDE_STEP).min(SIDE_MAX),
            _ => {}
        }
        if !self.is_live() && self.top.is_none() {
            self.top = Some(self.start(height));
        }
    }

    /// Moves the window; at the end it follows again.
    fn move_by(&mut self, height: usize, to: impl Fn(u64) -> u64) {
        let top = to(self.start(height));
        let follows = top + height as u64 >= self.ring.end();
        self.top = (!follows).then_some(top);
    }
}

/// Bytes that no text has: control characters but those that move, ring or begin an escape sequence.
fn is_no_text(byte: u8) -> bool {
    matches!(byte, 0..=6 | 14..=26)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log(lines: usize) -> Log {
        let mut log = Log::new(StreamId(1), "r/s".parse().unwrap());
        log.ring.push("x\n".repeat(lines).as_bytes());
        log
    }

    #[test]
    fn a_scrolled_window_stays_while_lines_come_and_follows_again_at_the_end() {
        let mut log = log(100);
        assert_eq!(log.start(10), 90);
        log.scroll(Intent::Up, 10);
        log.ring.push(b"more\nmore\n");
        assert_eq!(log.start(10), 89);
        log.scroll(Intent::PageDown, 10);
        log.scroll(Intent::PageDown, 10);
        assert_eq!((log.top, log.start(10)), (None, 92));
        log.scroll(Intent::First, 10);
        assert_eq!(log.start(10), 0);
    }

    #[test]
    fn a_part_of_an_archive_is_read_from_its_beginning_and_never_followed() {
        let archive = Kept {
            id: "20261124T034512Z-7f3a9c1b".parse().unwrap(),
            seat: "r/s".parse().unwrap(),
        };
        let mut part = Log::part(StreamId(1), Source::Printed(archive));
        part.push("x\n".repeat(PART_MAX / 2).as_bytes());
        assert_eq!((part.start(10), part.ring.first(), part.is_cut()), (0, 0, true));
        part.scroll(Intent::Last, 10);
        let end = part.start(10);
        part.push(b"more\nmore\n");
        assert_eq!(part.start(10), end);
        assert!(!part.binary);
        part.push(b"\x1b[1m\t\x0c");
        assert!(!part.binary, "text has escape sequences too");
        part.push(b"\x00");
        assert!(part.binary);
    }
}
