//! Commands, questions and logs.

use bytes::Bytes;
use tokio::net::UnixStream;

use super::watch::next_event;
use super::{CallError, Client, ConnectError};
use crate::domain::command::{Answer, Command, Excerpt, Outcome, ProgressReport, Query};
use crate::domain::ids::{ArchiveId, SeatId};
use crate::wire::codec::Frame;
use crate::wire::message::{Event, Request};
use crate::wire::stream::Connection;

/// What a running command tells.
#[derive(Debug, Clone, PartialEq)]
pub enum RunEvent {
    /// How far it has come.
    Progress(ProgressReport),
    /// What came of it; nothing follows.
    Done(Outcome),
}

/// A command under way. Dropping it leaves the command going on.
pub struct Running(Connection<UnixStream>);

impl Running {
    /// What it tells next.
    ///
    /// # Errors
    /// When the agent went away: the command may have happened.
    pub async fn next(&mut self) -> Result<RunEvent, CallError> {
        match next_event(&mut self.0.reader).await? {
            Event::Progress(report) => Ok(RunEvent::Progress(report)),
            Event::Done(outcome) => Ok(RunEvent::Done(outcome)),
            _ => Err(CallError::out_of_turn()),
        }
    }
}

impl Client {
    /// Starts a command.
    ///
    /// # Errors
    /// When the agent cannot be reached.
    pub async fn start(&self, command: Command) -> Result<Running, ConnectError> {
        Ok(Running(self.open(&Request::Run { command }).await?))
    }

    /// Runs a command to its end, telling its progress.
    ///
    /// # Errors
    /// When the agent cannot be reached, or goes away: the command may have happened.
    pub async fn run(
        &self,
        command: Command,
        mut on_progress: impl FnMut(ProgressReport),
    ) -> Result<Outcome, CallError> {
        let mut running = self.start(command).await?;
        loop {
            match running.next().await? {
                RunEvent::Progress(report) => on_progress(report),
                RunEvent::Done(outcome) => return Ok(outcome),
            }
        }
    }

    /// Asks a question.
    ///
    /// # Errors
    /// When the agent cannot be reached, or goes away.
    pub async fn ask(&self, query: Query) -> Result<Answer, CallError> {
        let mut connection = self.open(&Request::Ask { query }).await?;
        match next_event(&mut connection.reader).await? {
            Event::Answer(answer) => Ok(answer),
            _ => Err(CallError::out_of_turn()),
        }
    }

    /// Opens a seat's log at its last `tail` lines.
    ///
    /// # Errors
    /// When the agent cannot be reached, or the seat has no log.
    pub async fn logs(&self, seat: SeatId, tail: u32, follow: bool) -> Result<Logs, CallError> {
        self.pipe(&Request::Logs { seat, tail, follow }).await
    }

    /// Opens a part of a stored archive.
    ///
    /// # Errors
    /// When the agent cannot be reached, or there is no such archive.
    pub async fn fetch(&self, id: ArchiveId, excerpt: Excerpt) -> Result<Logs, CallError> {
        self.pipe(&Request::Fetch { id, excerpt }).await
    }

    /// Opens a copy of the ledger, which is whole when its end is told.
    ///
    /// # Errors
    /// When the agent cannot be reached, does not permit it, or cannot make one.
    pub async fn backup(&self) -> Result<Logs, CallError> {
        self.pipe(&Request::Backup).await
    }

    async fn pipe(&self, request: &Request) -> Result<Logs, CallError> {
        let mut connection = self.open(request).await?;
        match next_event(&mut connection.reader).await? {
            Event::Opened => Ok(Logs(connection)),
            Event::Failed(fault) => Err(fault.into()),
            Event::Refused(refusal) => Err(refusal.into()),
            _ => Err(CallError::out_of_turn()),
        }
    }
}

/// An open log, or part of an archive: bytes that nobody has cleaned. Dropping it ends it.
pub struct Logs(Connection<UnixStream>);

impl Logs {
    /// The next piece; `None` at the log's end. May be dropped while it waits: nothing is lost.
    ///
    /// # Errors
    /// When the agent goes away or fails in the middle.
    pub async fn next(&mut self) -> Result<Option<Bytes>, CallError> {
        let frame = self.0.reader.next().await.map_err(CallError::lost)?;
        piece(frame)
    }
}

/// A piece of a byte stream, or its end.
pub(super) fn piece(frame: Option<Frame>) -> Result<Option<Bytes>, CallError> {
    let message = match frame {
        Some(Frame::Data(bytes)) => return Ok(Some(bytes)),
        Some(message) => message,
        None => return Err(CallError::lost("connection closed")),
    };
    match message.parse().map_err(CallError::lost)? {
        Event::End => Ok(None),
        Event::Failed(fault) => Err(fault.into()),
        Event::Refused(refusal) => Err(refusal.into()),
        _ => Err(CallError::out_of_turn()),
    }
}
