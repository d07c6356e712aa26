//! Questions, what is read and looked into, and the answers.

use serde::{Deserialize, Serialize};

use crate::domain::fault::{Fault, Refusal};
use crate::domain::ids::{ArchiveId, RoomName, SeatId, SessionId, StudentId};
use crate::domain::proof::VerifyMode;
use crate::domain::role::Role;
use crate::domain::roster::RosterLine;

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
    /// What a room's seats reach, tried from inside its network.
    Isolation {
        /// Which room; it must be open.
        room: RoomName,
    },
    /// A piece of the audit trail, oldest first.
    Audit {
        /// Only what was done to this room.
        room: Option<RoomName>,
        /// Only records after this one; 0 for all.
        after: u64,
    },
    /// Whether the audit trail is as it was written.
    VerifyAudit,
    /// Who may sit in a room.
    Roster {
        /// Which.
        room: RoomName,
    },
    /// The sessions of students, of one room or all.
    Sessions {
        /// Only this room's.
        room: Option<RoomName>,
    },
}

impl Query {
    /// The least role that may ask, in the room that it is about.
    #[must_use]
    pub fn needs(&self) -> Role {
        match self {
            Self::VerifyArchive { .. } | Self::Roster { .. } | Self::Sessions { .. } | Self::Isolation { .. } => {
                Role::Proctor
            }
            Self::Archives { .. } | Self::Top { .. } | Self::Doctor | Self::Audit { .. } | Self::VerifyAudit => {
                Role::Viewer
            }
        }
    }

    /// The room that it is about, when it names one.
    #[must_use]
    pub fn room(&self) -> Option<&RoomName> {
        match self {
            Self::Archives { room } | Self::Audit { room, .. } | Self::Sessions { room } => room.as_ref(),
            Self::Roster { room } | Self::Isolation { room } => Some(room),
            Self::Top { seat } => Some(&seat.room),
            Self::VerifyArchive { .. } | Self::Doctor | Self::VerifyAudit => None,
        }
    }

    /// The verb as the command line writes it.
    #[must_use]
    pub fn verb(&self) -> &'static str {
        match self {
            Self::Archives { .. } => "archive ls",
            Self::Top { .. } => "seat top",
            Self::VerifyArchive { .. } => "archive verify",
            Self::Doctor | Self::Isolation { .. } => "doctor",
            Self::Audit { .. } | Self::VerifyAudit => "audit",
            Self::Roster { .. } => "roster ls",
            Self::Sessions { .. } => "sessions ls",
        }
    }
}

/// The least role that may read a seat's log.
pub const LOGS_NEEDS: Role = Role::Viewer;
/// The verb that reads one.
pub const LOGS_VERB: &str = "seat logs";
/// The least role that may go into a seat.
pub const SHELL_NEEDS: Role = Role::Proctor;
/// The verb that goes into one.
pub const SHELL_VERB: &str = "seat shell";

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
    /// A piece of the audit trail.
    Audit {
        /// One row a record, oldest first.
        rows: Vec<AuditRow>,
        /// The last record that was looked at, when there may be more after it.
        next: Option<u64>,
    },
    /// How the audit trail was found.
    AuditChain {
        /// What was found.
        chain: AuditChain,
    },
    /// A roster, by student.
    Roster {
        /// One line each.
        lines: Vec<RosterLine>,
    },
    /// Sessions, by seat.
    Sessions {
        /// One row each.
        rows: Vec<SessionRow>,
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

/// One session, as `sessions ls` lists it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionRow {
    /// Its id, which opens nothing.
    pub id: SessionId,
    /// The seat's room.
    pub room: RoomName,
    /// The seat's student.
    pub student: StudentId,
    /// When it began, RFC 3339 in UTC.
    pub began: String,
    /// Seconds until it ends at the latest.
    pub seconds_left: u64,
    /// The network address that it began at.
    pub address: String,
    /// The supervisor who looks in; none for the student.
    pub onlooker: Option<String>,
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

/// One record of the audit trail, as `audit` lists it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditRow {
    /// Its place in the trail, from 1, without gaps.
    pub seq: u64,
    /// When, RFC 3339 in UTC.
    pub time: String,
    /// User id of who asked.
    pub uid: u32,
    /// Login name of who asked.
    pub user: String,
    /// Where they came from over SSH, if that is known.
    pub origin: Option<String>,
    /// What was asked.
    pub verb: String,
    /// On what.
    pub target: String,
    /// What came of it.
    pub outcome: String,
    /// SHA-256 of this record and of the hash of the one before, in hexadecimal.
    pub hash: String,
}

/// How the audit trail was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditChain {
    /// Records that were looked at.
    pub records: u64,
    /// Hash of the last one; it stands for all before it, so whoever noted it knows later whether any is gone.
    pub head: String,
    /// The first record that is not as it was written, or missing.
    pub broken_at: Option<u64>,
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
