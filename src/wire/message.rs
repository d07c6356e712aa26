//! The words of the wire: the greeting, the requests, and what comes back.
//!
//! Knows: plain data. The greeting stays readable for ever: a field may be added to it, none may be changed.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::domain::command::{Answer, Command, Excerpt, Outcome, ProgressReport, Query};
use crate::domain::door::{DoorDelta, Knock, KnockAnswer};
use crate::domain::fault::{Denial, Fault, Refusal};
use crate::domain::ids::{ArchiveId, InstanceId, SeatId};
use crate::domain::notice::Notice;
use crate::domain::role::Rights;
use crate::domain::snapshot::Snapshot;

/// Grows with every change of the messages that an older side would not understand.
pub const PROTOCOL: u32 = 1;

/// The client's greeting.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// The client's [`PROTOCOL`].
    pub protocol: u32,
    /// The client's version of labtop, for people.
    pub version: String,
}

impl Hello {
    /// This program's greeting.
    #[must_use]
    pub fn ours() -> Self {
        Self {
            protocol: PROTOCOL,
            version: version(),
        }
    }
}

/// This program's version, for people.
#[must_use]
pub fn version() -> String {
    env!("CARGO_PKG_VERSION").to_owned()
}

/// Who answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Welcome {
    /// The agent's [`PROTOCOL`].
    pub protocol: u32,
    /// The agent's version of labtop, for people.
    pub version: String,
    /// Whose agent it is.
    pub instance: InstanceId,
    /// The agent's process id.
    pub pid: u32,
    /// What the client's user may do, so that a board can say beforehand what would be refused.
    #[serde(default)]
    pub rights: Option<Rights>,
}

/// Why a connection was not let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UnwelcomeCode {
    /// This user may not.
    Refused,
    /// The two sides do not speak alike.
    Protocol,
    /// Too many are connected.
    Busy,
}

/// The answer to a greeting.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Greeting {
    /// Come in: one request may follow.
    Welcome(Welcome),
    /// Not let in; nothing follows.
    Unwelcome {
        /// Why, for the program.
        code: UnwelcomeCode,
        /// Why and what to do, for people.
        text: String,
    },
}

/// What a connection is for; exactly one follows the greeting.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Request {
    /// Snapshots and notices until the client leaves.
    Watch,
    /// Change something, telling the progress.
    Run {
        /// What.
        command: Command,
    },
    /// Tell something.
    Ask {
        /// What.
        query: Query,
    },
    /// A seat's log as raw bytes.
    Logs {
        /// Whose.
        seat: SeatId,
        /// How many of its last lines.
        tail: u32,
        /// Whether to go on with new ones.
        follow: bool,
    },
    /// A part of a stored archive as raw bytes.
    Fetch {
        /// Which archive.
        id: ArchiveId,
        /// Which part.
        excerpt: Excerpt,
    },
    /// A copy of the ledger as raw bytes.
    Backup,
    /// For a gateway: what its doors are answered from, whole at first and then what changes, until it leaves.
    Doors,
    /// A gateway asks.
    Knock {
        /// What.
        knock: Knock,
    },
    /// A shell in a seat: raw bytes both ways.
    Shell {
        /// In which seat.
        seat: SeatId,
        /// Columns of the person's terminal.
        cols: u16,
        /// Rows of the person's terminal.
        rows: u16,
    },
}

/// What a client with a shell says besides raw bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ShellWord {
    /// The person's terminal changed its size.
    Resize {
        /// Columns.
        cols: u16,
        /// Rows.
        rows: u16,
    },
    /// The person leaves.
    End,
}

impl From<Denial> for Event<'_> {
    fn from(denial: Denial) -> Self {
        match denial {
            Denial::Refused(refusal) => Self::Refused(refusal),
            Denial::Failed(fault) => Self::Failed(fault),
        }
    }
}

/// What the agent sends after a request. Snapshots are borrowed when they are sent and owned when they arrive.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Event<'a> {
    /// Everything that a screen shows; the newest one counts.
    Snapshot(Cow<'a, Snapshot>),
    /// News.
    Notice(Notice),
    /// So many notices were lost because the client was slow.
    Missed {
        /// How many.
        count: u64,
    },
    /// How far a command has come.
    Progress(ProgressReport),
    /// What came of it; nothing follows.
    Done(Outcome),
    /// The answer to a question; nothing follows.
    Answer(Answer),
    /// What changed at the doors. One comes every second, also when nothing did.
    Doors(DoorDelta),
    /// The answer to a gateway; nothing follows.
    Knocked(KnockAnswer),
    /// A log or shell is open; raw bytes follow.
    Opened,
    /// A log or shell has come to its end; nothing follows.
    End,
    /// A request could not be served; nothing follows.
    Failed(Fault),
    /// A request was not accepted; nothing follows.
    Refused(Refusal),
}
