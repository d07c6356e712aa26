//! What the board hears from the agent's connection and what it asks of it.
//!
//! Knows: messages as plain data. Must not know: sockets, frames, or how a lost connection is found again.

use std::sync::Arc;

use bytes::Bytes;

use crate::domain::command::{Command, Outcome, ProgressReport};
use crate::domain::ids::SeatId;
use crate::domain::notice::Notice;
use crate::domain::snapshot::Snapshot;

/// A command that this board started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct JobId(pub u64);

/// A log that this board opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamId(pub u64);

/// What comes in.
#[derive(Debug, Clone)]
pub enum Inbound {
    /// The newest state of everything.
    Snapshot(Arc<Snapshot>),
    /// News for people.
    Notice(Notice),
    /// So many notices were left out because this board was slow.
    Missed(u64),
    /// The agent does not answer, and why; the connection is being tried again.
    Lost(String),
    /// The agent answers (again).
    Attached,
    /// How far a command has come.
    Progress {
        /// Which.
        job: JobId,
        /// How far.
        report: ProgressReport,
    },
    /// A command has ended.
    Done {
        /// Which.
        job: JobId,
        /// How.
        outcome: Outcome,
    },
    /// A piece of a log, as nobody has cleaned it.
    Log {
        /// Which log.
        stream: StreamId,
        /// The bytes.
        bytes: Bytes,
    },
    /// A log has ended.
    LogEnd {
        /// Which log.
        stream: StreamId,
        /// Why, when it was not its natural end.
        why: Option<String>,
    },
}

/// What goes out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outbound {
    /// Run a command; answered by any number of [`Inbound::Progress`] and one [`Inbound::Done`].
    Run {
        /// Its number on this board.
        job: JobId,
        /// What to do.
        command: Command,
    },
    /// Follow a seat's log; answered by [`Inbound::Log`] and at most one [`Inbound::LogEnd`].
    OpenLog {
        /// Its number on this board.
        stream: StreamId,
        /// Whose.
        seat: SeatId,
        /// So many last lines first.
        tail: u32,
    },
    /// Nobody reads that log any more.
    CloseLog(StreamId),
    /// Hand the terminal to a shell in a seat. The run loop does it; it never reaches the connection.
    Shell {
        /// Where.
        seat: SeatId,
    },
    /// The person leaves. The run loop ends; it never reaches the connection.
    Quit,
}
