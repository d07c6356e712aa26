//! What a person asks of the agent, and the answers: the vocabulary of the wire.

mod query;

use serde::{Deserialize, Serialize};

use super::fault::{Fault, Refusal};
use super::ids::{ArchiveId, ContainerId, RoomName, SeatId, SessionId, StudentId, TemplateName};
use super::role::Role;
use super::roster::{CodeHash, RosterRow};

pub use query::{
    Answer, ArchiveKind, ArchiveRow, AuditChain, AuditRow, BACKUP_NEEDS, BACKUP_VERB, Check, CheckState, ENGINE_CHECK,
    Excerpt, LOGS_NEEDS, LOGS_VERB, Query, SHELL_NEEDS, SHELL_VERB, SessionRow,
};

/// Who is to sit in a room that opens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Seats {
    /// `s01` to `sNN`.
    Numbered(u32),
    /// These students.
    Students(Vec<StudentId>),
    /// Everybody on the room's roster.
    Roster,
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
        /// Whether a seat is only made when its student comes.
        #[serde(default)]
        on_demand: bool,
        /// Whether an exam is opened although its seats would reach what they must not.
        #[serde(default)]
        overrides: bool,
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
    /// Exempts seats from the end of their leases until they are released.
    HoldRoom {
        /// Which room.
        room: RoomName,
        /// Only this student.
        student: Option<StudentId>,
    },
    /// Lets the leases of held seats count again.
    ReleaseRoom {
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
    /// Lets whoever has the code look into a seat, once and soon, through its students' door.
    PeekSeat {
        /// Which.
        seat: SeatId,
        /// SHA-256 of the code, in hexadecimal: the code itself stays with the person.
        digest: String,
    },
    /// Puts students on a room's roster, or changes what it says of them.
    ImportRoster {
        /// Which room; it need not be open.
        room: RoomName,
        /// Who.
        rows: Vec<RosterRow>,
        /// Whether these are all: whoever else is on the roster is taken off.
        whole: bool,
    },
    /// Takes a student off a room's roster. Their seat stays until its lease ends or the room closes.
    RemoveFromRoster {
        /// Which room.
        room: RoomName,
        /// Whom.
        student: StudentId,
    },
    /// Moves a student from one room's roster to another's.
    MoveStudent {
        /// From which room.
        room: RoomName,
        /// Whom.
        student: StudentId,
        /// To which room.
        to: RoomName,
    },
    /// Gives students of a roster access codes. The codes themselves stay with the person; those of before are void.
    SetCodes {
        /// On which roster they are.
        room: RoomName,
        /// Whose, and the hash of each.
        codes: Vec<(StudentId, CodeHash)>,
    },
    /// Ends a student's session, and forgets their wrong codes.
    RevokeSession {
        /// In which room.
        room: RoomName,
        /// Whose.
        student: StudentId,
        /// Only this session, the one that the person saw; none means all of the seat.
        #[serde(default)]
        session: Option<SessionId>,
    },
}

impl Command {
    /// The least role that may ask this.
    #[must_use]
    pub fn needs(&self) -> Role {
        match self {
            Self::CloseRoom { discard: true, .. }
            | Self::OpenRoom { overrides: true, .. }
            | Self::RestoreSeat { .. }
            | Self::ImportRoster { .. }
            | Self::RemoveFromRoster { .. }
            | Self::MoveStudent { .. }
            | Self::SetCodes { .. } => Role::Admin,
            _ => Role::Proctor,
        }
    }

    /// The room that it is about.
    #[must_use]
    pub fn room(&self) -> &RoomName {
        match self {
            Self::OpenRoom { room, .. }
            | Self::CloseRoom { room, .. }
            | Self::ExtendRoom { room, .. }
            | Self::FreezeRoom { room, .. }
            | Self::ThawRoom { room, .. }
            | Self::HoldRoom { room, .. }
            | Self::ReleaseRoom { room, .. }
            | Self::SnapshotRoom { room, .. }
            | Self::ImportRoster { room, .. }
            | Self::RemoveFromRoster { room, .. }
            | Self::MoveStudent { room, .. }
            | Self::SetCodes { room, .. }
            | Self::RevokeSession { room, .. } => room,
            Self::RestoreSeat { seat, .. }
            | Self::KillSeat { seat, .. }
            | Self::RestartSeat { seat, .. }
            | Self::PeekSeat { seat, .. } => &seat.room,
        }
    }

    /// Whether it only checks and tells.
    #[must_use]
    pub fn is_dry(&self) -> bool {
        matches!(self, Self::OpenRoom { dry_run: true, .. })
    }

    /// The verb as the command line and the audit trail write it.
    #[must_use]
    pub fn verb(&self) -> &'static str {
        match self {
            Self::OpenRoom { overrides: false, .. } => "room open",
            Self::OpenRoom { overrides: true, .. } => "room open --override",
            Self::CloseRoom { discard: false, .. } => "room close",
            Self::CloseRoom { discard: true, .. } => "room close --discard",
            Self::ExtendRoom { .. } => "room extend",
            Self::FreezeRoom { .. } => "room freeze",
            Self::ThawRoom { .. } => "room thaw",
            Self::HoldRoom { .. } => "room hold",
            Self::ReleaseRoom { .. } => "room release",
            Self::SnapshotRoom { .. } => "room snapshot",
            Self::RestoreSeat { .. } => "archive restore",
            Self::KillSeat { .. } => "seat kill",
            Self::RestartSeat { .. } => "seat restart",
            Self::PeekSeat { .. } => "seat peek",
            Self::ImportRoster { .. } => "roster import",
            Self::RemoveFromRoster { .. } => "roster remove",
            Self::MoveStudent { .. } => "roster move",
            Self::SetCodes { .. } => "roster reissue",
            Self::RevokeSession { .. } => "sessions revoke",
        }
    }

    /// What it is aimed at, as the audit trail writes it.
    #[must_use]
    pub fn target(&self) -> String {
        match self {
            Self::OpenRoom { room, .. } | Self::CloseRoom { room, .. } => room.to_string(),
            Self::ImportRoster { room, rows, .. } => students(room, rows.iter().map(|row| &row.student)),
            Self::SetCodes { room, codes } => students(room, codes.iter().map(|(student, _)| student)),
            Self::RemoveFromRoster { room, student } | Self::RevokeSession { room, student, .. } => {
                format!("{room}/{student}")
            }
            Self::MoveStudent { room, student, to } => format!("{room}/{student} to {to}"),
            Self::ExtendRoom { room, student, .. }
            | Self::FreezeRoom { room, student }
            | Self::ThawRoom { room, student }
            | Self::HoldRoom { room, student }
            | Self::ReleaseRoom { room, student }
            | Self::SnapshotRoom { room, student } => match student {
                Some(student) => format!("{room}/{student}"),
                None => room.to_string(),
            },
            Self::RestoreSeat { archive, seat, .. } => format!("{seat} from {archive}"),
            Self::KillSeat { seat, .. } | Self::RestartSeat { seat, .. } | Self::PeekSeat { seat, .. } => {
                seat.to_string()
            }
        }
    }
}

/// One student of a room by name, more by number.
fn students<'s>(room: &RoomName, mut who: impl ExactSizeIterator<Item = &'s StudentId>) -> String {
    match (who.len(), who.next()) {
        (1, Some(student)) => format!("{room}/{student}"),
        (count, _) => format!("{room} ({count} students)"),
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
