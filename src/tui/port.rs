//! What the board hears from the agent's connection and what it asks of it.
//!
//! Knows: messages as plain data. Must not know: sockets, frames, or how a lost connection is found again.

use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;

use super::tree::Tree;
use crate::domain::command::{ArchiveRow, Command, Excerpt, Outcome, ProgressReport, SessionRow};
use crate::domain::door::AccessCode;
use crate::domain::ids::{ArchiveId, RoomName, SeatId};
use crate::domain::notice::Notice;
use crate::domain::role::Rights;
use crate::domain::snapshot::Snapshot;

/// A command that this board started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct JobId(pub u64);

/// A log, list, tree, part of an archive or code that this board asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamId(pub u64);

/// Bytes of a part of an archive that are fetched for reading: what a person reads is at its beginning.
pub const PART_MAX: usize = 256 * 1024;

/// An archive, and whose work it holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// Which.
    pub id: ArchiveId,
    /// Whose.
    pub seat: SeatId,
}

/// A code with which whoever has it may look into a seat, once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pass {
    /// The code, as it is typed.
    pub code: AccessCode,
    /// For how long it can be used, seconds.
    pub seconds: u64,
    /// Where it is typed: the page's whole address, or its path where the configuration does not say more.
    pub page: String,
}

/// Work with archives that this program does itself, asking the agent as it goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Task {
    /// Reads stored archives back, one after the other; each is answered by [`Inbound::Checked`] too.
    Verify(Vec<Kept>),
    /// Makes an archive's work files of this host again. Progress is told in bytes.
    Restore {
        /// Which.
        archive: Kept,
        /// Where to; nothing may be there yet.
        to: PathBuf,
    },
    /// Makes the newest work of each of a room's students files of this host, one directory a student. Progress is told
    /// in students.
    Export {
        /// Whose.
        room: RoomName,
        /// Where to; nothing, or an empty directory, may be there yet.
        to: PathBuf,
    },
}

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
    /// What this person may do.
    Rights(Rights),
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
    /// The archives that were asked for, oldest first.
    Archives {
        /// Which list.
        stream: StreamId,
        /// The archives, or why there is no list.
        rows: Result<Vec<ArchiveRow>, String>,
    },
    /// The sessions that were asked for, by seat.
    Sessions {
        /// Which list.
        stream: StreamId,
        /// The sessions, or why there is no list.
        rows: Result<Vec<SessionRow>, String>,
    },
    /// The code that was asked for.
    Pass {
        /// Which.
        stream: StreamId,
        /// The code, or why there is none.
        pass: Result<Pass, String>,
    },
    /// What is in an archive.
    Tree {
        /// Which tree.
        stream: StreamId,
        /// The tree, or why there is none.
        tree: Result<Arc<Tree>, String>,
    },
    /// What a look at an archive found.
    Checked {
        /// Which archive.
        archive: ArchiveId,
        /// Whether it is as it was sent.
        good: bool,
    },
    /// A piece of a log or of a part of an archive, as nobody has cleaned it.
    Log {
        /// Which log.
        stream: StreamId,
        /// The bytes.
        bytes: Bytes,
    },
    /// A log has ended, or a part of an archive, or as much of it as is fetched ([`PART_MAX`]).
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
    /// Do work with archives; answered as [`Outbound::Run`] is.
    Work {
        /// Its number on this board.
        job: JobId,
        /// What to do.
        task: Task,
    },
    /// Stop that work. It is answered all the same.
    Cancel(JobId),
    /// List archives; answered by [`Inbound::Archives`].
    List {
        /// The list's number on this board.
        stream: StreamId,
        /// Only this room's.
        room: Option<RoomName>,
    },
    /// List sessions; answered by [`Inbound::Sessions`].
    ListSessions {
        /// The list's number on this board.
        stream: StreamId,
        /// Only this room's.
        room: Option<RoomName>,
    },
    /// Get a code for one look into a seat; answered by [`Inbound::Pass`].
    Peek {
        /// Its number on this board.
        stream: StreamId,
        /// Into which seat.
        seat: SeatId,
    },
    /// Read what is in an archive; answered by [`Inbound::Tree`].
    OpenTree {
        /// Its number on this board.
        stream: StreamId,
        /// Which archive.
        archive: ArchiveId,
    },
    /// Read the beginning of a part of an archive; answered by [`Inbound::Log`] and [`Inbound::LogEnd`].
    OpenPart {
        /// Its number on this board.
        stream: StreamId,
        /// Which archive.
        archive: ArchiveId,
        /// Which part.
        part: Excerpt,
    },
    /// Nobody waits for that log, list, tree, part or code any more.
    CloseLog(StreamId),
    /// Hand the terminal to a shell in a seat. The run loop does it; it never reaches the connection.
    Shell {
        /// Where.
        seat: SeatId,
    },
    /// The person leaves. The run loop ends; it never reaches the connection.
    Quit,
}
