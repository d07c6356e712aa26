//! The bytes of one file: exactly as many as its entry says, whatever happens to it meanwhile.

use std::io::{self, Read};
use std::os::fd::OwnedFd;

use rustix::fs::{Advice, Stat};
use rustix::io::Errno;

/// Files larger than this are worth telling the kernel that they are read from beginning to end.
const LARGE: u64 = 1 << 20;

/// A file that is being read. It is cut at its size when it grows and filled with zeros when it shrinks.
#[derive(Debug)]
pub struct Content {
    fd: OwnedFd,
    before: Stat,
    size: u64,
    at: u64,
    /// Where the next bytes lie that are no hole; none before the first look.
    data_at: Option<u64>,
    shrunk: bool,
}

impl Content {
    pub(super) fn new(fd: OwnedFd, before: Stat, size: u64) -> Self {
        if size > LARGE {
            // Advice: it may be ignored.
            let _ = rustix::fs::fadvise(&fd, 0, None, Advice::Sequential);
        }
        // Fewer blocks than bytes: there are holes, which need not be read.
        let sparse = u64::try_from(before.st_blocks).unwrap_or(0) * 512 < size;
        Self {
            fd,
            before,
            size,
            at: 0,
            data_at: (!sparse).then_some(0),
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

    /// How many bytes from here on are a hole.
    fn hole(&mut self) -> u64 {
        let ahead = match self.data_at {
            Some(at) if at >= self.at => Some(at),
            Some(0) => return 0,
            _ => match rustix::fs::seek(&self.fd, rustix::fs::SeekFrom::Data(self.at)) {
                Ok(at) => Some(at),
                Err(Errno::NXIO) => Some(self.size),
                // This file system does not tell: everything is read.
                Err(_) => {
                    self.data_at = Some(0);
                    return 0;
                }
            },
        };
        self.data_at = ahead;
        ahead.map_or(0, |at| at.min(self.size) - self.at)
    }
}

impl Read for Content {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.size - self.at;
        let most = usize::try_from(left).map_or(buffer.len(), |left| left.min(buffer.len()));
        if most == 0 {
            return Ok(0);
        }
        let hole = if self.data_at == Some(0) { 0 } else { self.hole() };
        let count = if hole > 0 {
            let count = usize::try_from(hole).map_or(most, |hole| hole.min(most));
            buffer[..count].fill(0);
            count
        } else {
            match rustix::io::pread(&self.fd, &mut buffer[..most], self.at) {
                Ok(0) => {
                    self.shrunk = true;
                    buffer[..most].fill(0);
                    most
                }
                Ok(count) => count,
                Err(errno) => return Err(errno.into()),
            }
        };
        self.at += count as u64;
        Ok(count)
    }
}
