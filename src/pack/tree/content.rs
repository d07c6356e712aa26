//! The bytes of one file: exactly as many as its entry says, whatever happens to it meanwhile.

use std::io::{self, Read};
use std::os::fd::OwnedFd;

use rustix::fs::{Advice, SeekFrom, Stat};
use rustix::io::Errno;

use super::held::Held;

/// Files larger than this are worth telling the kernel that they are read from beginning to end.
const LARGE: u64 = 1 << 20;
/// Bytes that a file system counts as one block in what it tells of a file.
const TOLD_BLOCK: u64 = 512;

/// A file that is being read. It is cut at its size when it grows and filled with zeros when it shrinks.
#[derive(Debug)]
pub struct Content {
    fd: OwnedFd,
    before: Stat,
    size: u64,
    at: u64,
    run: Run,
    shrunk: bool,
}

/// A stretch of a file, from where it is read up to an end.
#[derive(Debug, Clone, Copy)]
enum Run {
    /// Bytes on the disk.
    Data(u64),
    /// Nothing, which reads as zeros: it need not be read.
    Hole(u64),
}

impl Run {
    fn end(self) -> u64 {
        match self {
            Self::Data(end) | Self::Hole(end) => end,
        }
    }
}

impl Content {
    pub(super) fn new(opened: Held, size: u64) -> Self {
        let (fd, before) = opened.into_parts();
        if size > LARGE {
            // Advice: it may be ignored.
            let _ = rustix::fs::fadvise(&fd, 0, None, Advice::Sequential);
        }
        // Fewer blocks than bytes: there may be holes, which are looked for.
        let blocks = u64::try_from(before.st_blocks).unwrap_or(0);
        let sparse = blocks.saturating_mul(TOLD_BLOCK) < size;
        Self {
            fd,
            before,
            size,
            at: 0,
            run: Run::Data(if sparse { 0 } else { size }),
            shrunk: false,
        }
    }

    /// Whether the file changed while it was read. Ask when all of it has been.
    #[must_use]
    pub fn is_torn(&self) -> bool {
        let told = |stat: &Stat| {
            (
                stat.st_size,
                stat.st_mtime,
                stat.st_mtime_nsec,
                stat.st_ctime,
                stat.st_ctime_nsec,
            )
        };
        self.shrunk || rustix::fs::fstat(&self.fd).map_or(true, |now| told(&now) != told(&self.before))
    }

    /// The stretch that begins here.
    fn next_run(&self) -> Run {
        let end = |found: u64| found.min(self.size);
        match rustix::fs::seek(&self.fd, SeekFrom::Data(self.at)) {
            Ok(data) if data > self.at => Run::Hole(end(data)),
            Ok(_) => match rustix::fs::seek(&self.fd, SeekFrom::Hole(self.at)) {
                Ok(hole) if hole > self.at => Run::Data(end(hole)),
                _ => Run::Data(self.size),
            },
            // No data follows.
            Err(Errno::NXIO) => Run::Hole(self.size),
            // This file system does not tell: everything is read.
            Err(_) => Run::Data(self.size),
        }
    }
}

impl Read for Content {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.at >= self.size || buffer.is_empty() {
            return Ok(0);
        }
        if self.at >= self.run.end() {
            self.run = self.next_run();
        }
        let left = self.run.end() - self.at;
        let most = usize::try_from(left).map_or(buffer.len(), |left| left.min(buffer.len()));
        let buffer = &mut buffer[..most];
        let mut count = 0;
        if let Run::Data(_) = self.run {
            count = rustix::io::pread(&self.fd, &mut *buffer, self.at)?;
            if count == 0 {
                self.shrunk = true;
                self.run = Run::Hole(self.size);
            }
        }
        if count == 0 {
            buffer.fill(0);
            count = most;
        }
        self.at += count as u64;
        Ok(count)
    }
}
