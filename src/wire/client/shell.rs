//! A shell in a seat as two ends that do not wait for each other.

use std::io;

use bytes::Bytes;
use tokio::net::UnixStream;

use super::calls::piece;
use super::watch::next_event;
use super::{CallError, Client};
use crate::domain::ids::SeatId;
use crate::wire::message::{Event, Request, ShellWord};
use crate::wire::stream::{Connection, FrameReader, FrameWriter};

/// What the shell prints.
pub struct ShellReader(FrameReader<UnixStream>);

/// What the person types.
pub struct ShellWriter(FrameWriter<UnixStream>);

impl Client {
    /// Opens a shell for a terminal of this size. It ends when both ends are dropped.
    ///
    /// # Errors
    /// When the agent cannot be reached, or the seat does not run.
    pub async fn shell(&self, seat: SeatId, cols: u16, rows: u16) -> Result<(ShellReader, ShellWriter), CallError> {
        let Connection { mut reader, writer } = self.open(&Request::Shell { seat, cols, rows }).await?;
        match next_event(&mut reader).await? {
            Event::Opened => Ok((ShellReader(reader), ShellWriter(writer))),
            Event::Failed(fault) => Err(fault.into()),
            Event::Refused(refusal) => Err(refusal.into()),
            _ => Err(CallError::out_of_turn()),
        }
    }
}

impl ShellReader {
    /// The next piece; `None` when the shell ended. May be dropped while it waits: nothing is lost.
    ///
    /// # Errors
    /// When the agent goes away in the middle.
    pub async fn next(&mut self) -> Result<Option<Bytes>, CallError> {
        piece(self.0.next().await.map_err(CallError::lost)?)
    }
}

impl ShellWriter {
    /// Types bytes.
    ///
    /// # Errors
    /// When the connection is gone; the reader says why.
    pub async fn data(&mut self, bytes: Bytes) -> io::Result<()> {
        self.0.data(bytes).await
    }

    /// Tells the terminal's new size.
    ///
    /// # Errors
    /// When the connection is gone; the reader says why.
    pub async fn resize(&mut self, cols: u16, rows: u16) -> io::Result<()> {
        self.0.message(&ShellWord::Resize { cols, rows }).await
    }

    /// Ends the shell.
    ///
    /// # Errors
    /// When the connection is gone already.
    pub async fn end(&mut self) -> io::Result<()> {
        self.0.message(&ShellWord::End).await
    }
}
