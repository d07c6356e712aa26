//! Bytes on their way from one thread to another, in a few buffers that go round: whoever is faster waits.

use std::io::{self, BufRead, Read, Write};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

/// Bytes of one buffer: worth waking the other side for.
const BUFFER: usize = 256 * 1024;
/// How many there are: one is filled, one is emptied, and two take up what one side is ahead.
const BUFFERS: usize = 4;

/// Fills buffers. Dropped without [`Loader::finish`] it leaves the other side with an error.
#[derive(Debug)]
pub struct Loader {
    filling: Vec<u8>,
    full: SyncSender<Load>,
    empty: Receiver<Vec<u8>>,
}

/// Empties them.
#[derive(Debug)]
pub struct Unloader {
    emptying: Vec<u8>,
    at: usize,
    ended: bool,
    full: Receiver<Load>,
    empty: SyncSender<Vec<u8>>,
}

#[derive(Debug)]
enum Load {
    Bytes(Vec<u8>),
    /// Nothing follows, and all that came is whole.
    End,
}

/// Both ends of a new belt.
#[must_use]
pub fn belt() -> (Loader, Unloader) {
    // Room for every buffer and the end: only a lack of buffers makes a side wait.
    let (full, to_empty) = sync_channel(BUFFERS + 1);
    let (empty, to_fill) = sync_channel(BUFFERS + 1);
    for _ in 0..BUFFERS {
        // Memory is taken when a buffer is first filled: most archives are small.
        let _ = empty.try_send(Vec::new());
    }
    let loader = Loader {
        filling: Vec::new(),
        full,
        empty: to_fill,
    };
    let unloader = Unloader {
        emptying: Vec::new(),
        at: 0,
        ended: false,
        full: to_empty,
        empty,
    };
    (loader, unloader)
}

impl Loader {
    /// Hands over what is left, and the word that it was all.
    ///
    /// # Errors
    /// When nobody takes it any more.
    pub fn finish(mut self) -> io::Result<()> {
        self.hand_over()?;
        self.full.send(Load::End).map_err(|_| not_taken())
    }

    /// The next buffer, empty, when this one is full or there is none yet.
    fn room(&mut self) -> io::Result<&mut Vec<u8>> {
        if self.filling.len() == self.filling.capacity() {
            self.hand_over()?;
            self.filling = self.empty.recv().map_err(|_| not_taken())?;
            self.filling.clear();
            self.filling.reserve_exact(BUFFER);
        }
        Ok(&mut self.filling)
    }

    fn hand_over(&mut self) -> io::Result<()> {
        let filled = std::mem::take(&mut self.filling);
        if filled.is_empty() {
            return Ok(());
        }
        self.full.send(Load::Bytes(filled)).map_err(|_| not_taken())
    }
}

impl Write for Loader {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let room = self.room()?;
        let count = bytes.len().min(room.capacity() - room.len());
        room.extend_from_slice(&bytes[..count]);
        Ok(count)
    }

    /// Nothing is handed over before its buffer is full, or all is.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl BufRead for Unloader {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        while self.at == self.emptying.len() && !self.ended {
            let emptied = std::mem::take(&mut self.emptying);
            self.at = 0;
            if emptied.capacity() > 0 {
                // Nobody fills it any more when the end is on its way.
                let _ = self.empty.send(emptied);
            }
            match self.full.recv() {
                Ok(Load::Bytes(bytes)) => self.emptying = bytes,
                Ok(Load::End) => self.ended = true,
                Err(_) => return Err(io::Error::other("the other side ended early")),
            }
        }
        Ok(&self.emptying[self.at..])
    }

    fn consume(&mut self, count: usize) {
        self.at = (self.at + count).min(self.emptying.len());
    }
}

impl Read for Unloader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let ready = self.fill_buf()?;
        let count = ready.len().min(buffer.len());
        buffer[..count].copy_from_slice(&ready[..count]);
        self.consume(count);
        Ok(count)
    }
}

fn not_taken() -> io::Error {
    io::Error::new(io::ErrorKind::BrokenPipe, "the other side ended")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_bytes_come_in_their_order_and_then_the_end() {
        let all: Vec<u8> = (0..251).cycle().take(3 * BUFFER + 7).collect();
        let (mut loader, mut unloader) = belt();
        let back = std::thread::scope(|scope| {
            scope.spawn(|| {
                for piece in all.chunks(10_007) {
                    loader.write_all(piece).unwrap();
                }
                loader.finish().unwrap();
            });
            let mut back = Vec::new();
            unloader.read_to_end(&mut back).unwrap();
            back
        });
        assert!(back == all);
        assert_eq!(unloader.read(&mut [0; 4]).unwrap(), 0, "the end stays");
    }

    #[test]
    fn a_side_that_ends_early_ends_the_other() {
        let (mut loader, mut unloader) = belt();
        loader.write_all(b"half").unwrap();
        drop(loader);
        assert!(unloader.read_to_end(&mut Vec::new()).is_err());
        let (mut loader, unloader) = belt();
        drop(unloader);
        let written = loader.write_all(&vec![0; 2 * BUFFER]);
        assert_eq!(written.unwrap_err().kind(), io::ErrorKind::BrokenPipe);
    }

    #[test]
    fn whoever_is_ahead_waits() {
        let (mut loader, unloader) = belt();
        let (told, tells) = std::sync::mpsc::channel();
        let filling = std::thread::spawn(move || {
            for n in 0.. {
                if loader.write_all(&vec![0; BUFFER]).is_err() {
                    return n;
                }
                told.send(n).unwrap();
            }
            0
        });
        // As many as there are buffers, and no more until one is given back.
        for n in 0..BUFFERS {
            assert_eq!(tells.recv().unwrap(), n);
        }
        assert!(tells.try_recv().is_err());
        drop(unloader);
        assert_eq!(filling.join().unwrap(), BUFFERS);
    }
}
