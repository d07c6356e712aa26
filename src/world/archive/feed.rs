//! Where the work comes from: streams of an engine, or a directory of this host, handed to the packing thread.

use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::{Buf, Bytes};
use tokio::sync::mpsc;

use crate::domain::fault::Fault;
use crate::pack::rules::Part;

/// Pieces of a stream that may wait for the packing thread: enough to keep both busy, little enough for thirty at once.
pub const PIECES: usize = 32;

/// A piece of a stream, or its proper end. Without that word an end is a cut.
#[derive(Debug)]
pub enum Piece {
    /// The next bytes.
    Bytes(Bytes),
    /// The source failed.
    Failed(Fault),
    /// Nothing follows.
    End,
}

/// A part of the work.
#[derive(Debug)]
pub enum Source {
    /// A tar stream whose paths are put below `below`.
    Tar {
        /// The stream.
        pieces: mpsc::Receiver<Piece>,
        /// To what it belongs.
        part: Part,
        /// What is put before its paths; may be empty.
        below: Vec<u8>,
    },
    /// An open directory of this host: the workspace itself.
    Tree(OwnedFd),
}

/// All parts, one after the other; `End` is the last word.
#[derive(Debug)]
pub enum Supply {
    /// The next one.
    Source(Source),
    /// They cannot be told.
    Failed(Fault),
    /// These were all.
    End,
}

/// A stream's pieces as a reader. Keeps the source's own fault.
pub(super) struct Feed {
    pieces: mpsc::Receiver<Piece>,
    rest: Bytes,
    failed: Arc<Mutex<Option<Fault>>>,
    ended: bool,
}

impl Feed {
    pub(super) fn new(pieces: mpsc::Receiver<Piece>, failed: Arc<Mutex<Option<Fault>>>) -> Self {
        Self {
            pieces,
            rest: Bytes::new(),
            failed,
            ended: false,
        }
    }
}

impl Read for Feed {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.rest.is_empty() && !self.ended {
            match self.pieces.blocking_recv() {
                Some(Piece::Bytes(bytes)) => self.rest = bytes,
                Some(Piece::End) => self.ended = true,
                Some(Piece::Failed(fault)) => {
                    *self.failed.lock().unwrap_or_else(PoisonError::into_inner) = Some(fault);
                    return Err(io::Error::other("the source failed"));
                }
                None => return Err(io::Error::other("called off")),
            }
        }
        let count = self.rest.len().min(buffer.len());
        buffer[..count].copy_from_slice(&self.rest[..count]);
        self.rest.advance(count);
        Ok(count)
    }
}
