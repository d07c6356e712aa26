//! What a person asks of the agent, and the answers: the vocabulary of the wire.

use serde::{Deserialize, Serialize};

use super::fault::{Fault, Refusal};
use super::ids::{ArchiveId, ContainerId, RoomName, SeatId, StudentId, TemplateName};
use super::proof::VerifyMode;
use super::role::Role;

/// Who is to sit in a room that opens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Seats {
    /// `s01` to `sNN`.
    Numbered(u32),
    /// These students.
    Students(Vec<StudentId>),
}

/// A request to change something.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "verb", rename_all = "snake_case")]
pub enum Command {
    /// Opens a room, or adds seats to an open one.
    OpenRoom {
        /// Which.
        room: RoomName,
        /// From which template; none means the default one (or the open room's own).
        template: Option<TemplateName>,
        /// For whom.
        seats: Seats,
        /// For how long, minutes; none means the template's.
        minutes: Option<u32>,
        /// Whether it is an exam: always a closed network, always guarded routes.
        exam: bool,
        /// Only check and tell.
        dry_run: bool,
    },
    /// Archives, verifies and removes a room.
    CloseRoom {
        /// Which.
        room: RoomName,
        /// Gives the work up instead of archiving it.
        discard: bool,
    },
    /// Moves the ends of leases.
    ExtendRoom {
        /// Which room.
        room: RoomName,
        /// Only this student.
        student: Option<StudentId>,
        /// By how much, minutes.
        minutes: u32,
    },
    /// Freezes running seats.
    FreezeRoom {
        /// Which room.
        room: RoomName,
        /// Only this student.
        student: Option<StudentId>,
    },
    /// Lets frozen seats run.
    ThawRoom {
        /// Which room.
        room: RoomName,
        /// Only this student.
        student: Option<StudentId>,
    },
    /// Saves the workspaces of seats that go on, now instead of when it is their time.
    SnapshotRoom {
        /// Which room.
        room: RoomName,
        /// Only this student.
        student: Option<StudentId>,
    },
    /// Makes a new seat whose workspace is the work of an archive, in a room that is opened unless it is open.
    RestoreSeat {
        /// Which archive.
        archive: ArchiveId,
        /// As which seat: of the same student, and not there yet.
        seat: SeatId,
        /// From which template; none means the default one (or the open room's own).
        template: Option<TemplateName>,
        /// For how long, minutes; none means the template's.
        minutes: Option<u32>,
    },
    /// Ends a seat's program; it stays stopped.
    KillSeat {
        /// Which.
        seat: SeatId,
        /// The container that the person saw; another one is not killed.
        container: Option<ContainerId>,
    },
    /// Starts a seat's program again, ending it first if it runs.
    RestartSeat {
        /// Which.
        seat: SeatId,
        /// The container that the person saw; another one is not restarted.
        container: Option<ContainerId>,
    },
}

impl Command {
    /// The least role that may ask this.
    #[must_use]
    pub fn needs(&self) -> Role {
        match self {
            Self::CloseRoom { discard: true, .. } | Self::RestoreSeat { .. } => Role::Admin,
            _ => Role::Proctor,
        }
    }

    /// The verb as the command line and the audit trail write it.
    #[must_use]
    pub fn verb(&self) -> &'static str {
        match self {
            Self::OpenRoom { .. } => "room open",
            Self::CloseRoom { discard: false, .. } => "room close",
            Self::CloseRoom { discard: true, .. } => "room close --discard",
            Self::ExtendRoom { .. } => "room extend",
            Self::FreezeRoom { .. } => "room freeze",
            Self::ThawRoom { .. } => "room thaw",
            Self::SnapshotRoom { .. } => "room snapshot",
            Self::RestoreSeat { .. } => "archive restore",
            Self::KillSeat { .. } => "seat kill",
            Self::RestartSeat { .. } => "seat restart",
        }
    }

    /// What it is aimed at, as the audit trail writes it.
    #[must_use]
    pub fn target(&self) -> String {
        match self {
            Self::OpenRoom { room, .. } | Self::CloseRoom { room, .. } => room.to_string(),
            Self::ExtendRoom { room, student, .. }
            | Self::FreezeRoom { room, student }
            | Self::ThawRoom { room, student }
            | Self::SnapshotRoom { room, student } => match student {
                Some(student) => format!("{room}/{student}"),
                None => room.to_string(),
            },
            Self::RestoreSeat { archive, seat, .. } => format!("{seat} from {archive}"),
            Self::KillSeat { seat, .. } | Self::RestartSeat { seat, .. } => seat.to_string(),
        }
    }
}

/// How far a command has come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProgressReport {
    /// Seats that have arrived.
    pub done: usize,
    /// Seats that failed for now.
    pub failed: usize,
    /// Seats that the command is about.
    pub total: usize,
    /// What happens, in words ("pulling node:22", "archiving").
    pub text: String,
}

/// A seat that a command left behind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Left {
    /// Which.
    pub seat: SeatId,
    /// Why.
    pub fault: Fault,
}

/// The answer to a command.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Outcome {
    /// All of it.
    Done {
        /// What was done.
        text: String,
    },
    /// A part; the agent goes on with the rest.
    Partly {
        /// What was done.
        text: String,
        /// What was not.
        left: Vec<Left>,
    },
    /// Nothing of it.
    Failed {
        /// Why.
        fault: Fault,
    },
    /// It was not accepted.
    Refused {
        /// Why.
        refusal: Refusal,
    },
}

impl Outcome {
    /// All of it.
    pub fn done(text: impl Into<String>) -> Self {
        Self::Done { text: text.into() }
    }

    /// The one word for it, for logs and counts.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Done { .. } => "done",
            Self::Partly { .. } => "partly",
            Self::Failed { .. } => "failed",
            Self::Refused { .. } => "refused",
        }
    }
}

impl From<Refusal> for Outcome {
    fn from(refusal: Refusal) -> Self {
        Self::Refused { refusal }
    }
}

impl From<Fault> for Outcome {
    fn from(fault: Fault) -> Self {
        Self::Failed { fault }
    }
}

/// A question that changes nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "query", rename_all = "snake_case")]
pub enum Query {
    /// The archives, of one room or all.
    Archives {
        /// Only this room's.
        room: Option<RoomName>,
    },
    /// The processes of a seat.
    Top {
        /// Which.
        seat: SeatId,
    },
    /// Reads a stored archive back and compares it; what is found is recorded.
    VerifyArchive {
        /// Which.
        id: ArchiveId,
    },
    /// The health of the installation.
    Doctor,
}

/// The verb that takes a copy of the ledger, as the command line and the audit trail write it.
pub const BACKUP_VERB: &str = "ledger backup";
/// The least role that may take one: it tells of everybody.
pub const BACKUP_NEEDS: Role = Role::Admin;

/// What of a stored archive is read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Excerpt {
    /// All of the work, as a tar stream, to be restored.
    Work,
    /// The same, to be marked.
    Export,
    /// Its manifest.
    Manifest,
    /// What the seat printed.
    Log,
    /// The content of one file, named as in the manifest.
    File {
        /// Its path.
        path: String,
    },
}

impl Excerpt {
    /// The least role that may read it.
    #[must_use]
    pub fn needs(&self) -> Role {
        match self {
            Self::Work | Self::Export => Role::Admin,
            Self::Manifest | Self::Log | Self::File { .. } => Role::Proctor,
        }
    }

    /// The verb as the command line and the audit trail write it.
    #[must_use]
    pub fn verb(&self) -> &'static str {
        match self {
            Self::Work => "archive restore",
            Self::Export => "archive export",
            Self::Manifest | Self::Log | Self::File { .. } => "archive show",
        }
    }
}

/// The answer to a question.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "snake_case")]
pub enum Answer {
    /// The archives, oldest first.
    Archives {
        /// One row each.
        rows: Vec<ArchiveRow>,
    },
    /// Processes.
    Top {
        /// Column titles.
        titles: Vec<String>,
        /// One row a process; hostile text.
        rows: Vec<Vec<String>>,
    },
    /// An archive is as it was sent.
    Verified {
        /// How thoroughly that was looked at.
        mode: VerifyMode,
    },
    /// What was checked.
    Doctor {
        /// One line a check.
        checks: Vec<Check>,
    },
    /// It was not accepted.
    Refused {
        /// Why.
        refusal: Refusal,
    },
    /// It failed.
    Failed {
        /// Why.
        fault: Fault,
    },
}

/// What an archive was taken of.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ArchiveKind {
    /// A seat that was still.
    #[default]
    Archive,
    /// The workspace of one that went on.
    Snapshot,
}

impl ArchiveKind {
    /// The word for people.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Archive => "archive",
            Self::Snapshot => "snapshot",
        }
    }
}

/// One archive, as `archive ls` lists it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArchiveRow {
    /// Its id.
    pub id: ArchiveId,
    /// The room it came from.
    pub room: RoomName,
    /// Whose work it is.
    pub student: StudentId,
    /// When it was taken, RFC 3339 in UTC.
    pub created: String,
    /// Stored size, bytes.
    pub bytes: u64,
    /// SHA-256 of the stored bytes.
    pub digest: String,
    /// Whether it was read back and found equal.
    pub verified: bool,
    /// Object key below the store's root.
    pub key: String,
    /// Files, directories and links in it.
    #[serde(default)]
    pub entries: u64,
    /// Things that were left out, each named in its manifest.
    #[serde(default)]
    pub left_out: u64,
    /// Files that changed while they were read.
    #[serde(default)]
    pub torn: u64,
    /// How it was proven.
    #[serde(default)]
    pub verify: VerifyMode,
    /// What it was taken of.
    #[serde(default)]
    pub kind: ArchiveKind,
    /// Which opening of the room.
    #[serde(default)]
    pub session: u64,
}

/// How a check came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CheckState {
    /// As it should be.
    Ok,
    /// Works, but somebody should look.
    Warn,
    /// Does not work.
    Fail,
}

/// The name of the check whether the engine answers.
pub const ENGINE_CHECK: &str = "engine";

/// One line of the doctor's report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    /// What was looked at.
    pub name: String,
    /// How it came out.
    pub state: CheckState,
    /// What was found.
    pub text: String,
    /// What to do; empty when nothing is.
    pub hint: String,
}

impl Check {
    /// As it should be.
    pub fn ok(name: impl Into<String>, text: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            state: CheckState::Ok,
            text: text.into(),
            hint: String::new(),
        }
    }

    /// Works, but somebody should look.
    pub fn warn(name: impl Into<String>, text: impl Into<String>, hint: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            state: CheckState::Warn,
            text: text.into(),
            hint: hint.into(),
        }
    }

    /// Does not work.
    pub fn fail(name: impl Into<String>, text: impl Into<String>, hint: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            state: CheckState::Fail,
            text: text.into(),
            hint: hint.into(),
        }
    }
}
