//! Where the work comes from: streams of an engine, or a directory of this host, handed to the packing thread.

use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use tokio::sync::mpsc;

use crate::domain::fault::Fault;
use crate::pack::pieces::Pieces;
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

/// What is written to it goes into a stream. It blocks while the stream is full, and fails when nobody reads it any more.
#[derive(Debug)]
pub struct Pour<E>(pub mpsc::Sender<Result<Bytes, E>>);

impl<E> Write for Pour<E> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let sent = self.0.blocking_send(Ok(Bytes::copy_from_slice(bytes)));
        sent.map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A stream's pieces as a reader. The source's own fault is left in `failed`.
pub(super) fn feed(mut pieces: mpsc::Receiver<Piece>, failed: &Arc<Mutex<Option<Fault>>>) -> impl Read + use<> {
    let failed = Arc::clone(failed);
    Pieces::new(move || match pieces.blocking_recv() {
        Some(Piece::Bytes(bytes)) => Ok(Some(bytes)),
        Some(Piece::End) => Ok(None),
        Some(Piece::Failed(fault)) => {
            *failed.lock().unwrap_or_else(PoisonError::into_inner) = Some(fault);
            Err(io::Error::other("the source failed"))
        }
        None => Err(io::Error::other("called off")),
    })
}
