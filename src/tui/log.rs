//! A seat's log as it is read: the last lines, followed until somebody scrolls.

use crate::domain::ids::SeatId;

use super::keys::Intent;
use super::port::StreamId;
use super::ring::Ring;

/// Lines asked for at first.
pub const TAIL: u32 = 200;
/// Cells that one press moves sideways.
const SIDE_STEP: usize = 16;
/// Farthest that a long line is followed to the right, cells: as long as the ring's longest line can get.
const SIDE_MAX: usize = 16 * 1024;

/// An open log.
#[derive(Debug)]
pub struct Log {
    /// Its number on this board.
    pub stream: StreamId,
    /// Whose.
    pub seat: SeatId,
    /// What was read.
    pub ring: Ring,
    /// The first line shown; none while the newest one is followed.
    pub top: Option<u64>,
    /// Cells hidden to the left.
    pub side: usize,
    /// Whether more comes.
    pub end: End,
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
            seat,
            ring: Ring::default(),
            top: None,
            side: 0,
            end: End::Open,
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
    }

    /// Moves the window; at the end it follows again.
    fn move_by(&mut self, height: usize, to: impl Fn(u64) -> u64) {
        let top = to(self.start(height));
        let follows = top + height as u64 >= self.ring.end();
        self.top = (!follows).then_some(top);
    }
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
}
