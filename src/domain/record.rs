//! The rows of the ledger: what is wanted, until when, and how far each closing has come.

use serde::{Deserialize, Serialize};

use super::door::SessionRecord;
use super::ids::{ArchiveId, RoomName, SeatId, SessionId, StudentId};
use super::proof::{ArchiveClaim, Stillness, VerifyMode};
use super::role::Actor;
use super::roster::{CodeHash, RosterRow};
use super::template::Template;

/// What a room should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RoomWanted {
    /// Its seats should be there.
    Open,
    /// Its seats should be archived and gone, then its network.
    Closed,
}

/// A room.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RoomRecord {
    /// Its name.
    pub name: RoomName,
    /// Which opening this is: grows with every opening of any room of the instance.
    pub session: u64,
    /// The template as it was when the room opened.
    pub template: Template,
    /// Whether it is an exam.
    pub exam: bool,
    /// What it should be.
    pub wanted: RoomWanted,
    /// Whether it is closed and nothing of it is left.
    pub ended: bool,
    /// When it was opened, Unix milliseconds.
    pub opened_unix_ms: u64,
    /// Who opened it.
    pub opened_by: String,
    /// How long its seats are held, minutes; 0 for as long as its template says.
    #[serde(default)]
    pub minutes: u32,
    /// Whether a student of the roster who comes and has no seat gets one.
    #[serde(default)]
    pub on_demand: bool,
}

impl RoomRecord {
    /// How long its seats are held, minutes.
    #[must_use]
    pub fn lease_minutes(&self) -> u32 {
        if self.minutes == 0 {
            self.template.minutes
        } else {
            self.minutes
        }
    }
}

/// What a seat should be. Only an explicit verb lowers it; the order is `Gone > Stopped > Frozen > Running`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Wanted {
    /// Its program runs.
    Running,
    /// Its program is frozen.
    Frozen,
    /// Killed; stays so until `seat restart`.
    Stopped,
    /// Archived, verified and removed.
    Gone,
}

/// How far the closing of a seat has come. Written before the next step begins.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Closing {
    /// The freeze epoch; every freezing for a closing begins a new one.
    pub epoch: u64,
    /// Evidence of this epoch.
    pub stillness: Option<Stillness>,
    /// The archive that was verified and recorded in this epoch.
    pub archive: Option<ArchiveClaim>,
    /// Whether the container of this epoch has been removed.
    pub container_removed: bool,
}

/// A seat.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SeatRecord {
    /// Which seat.
    pub id: SeatId,
    /// The opening of its room that it belongs to.
    pub session: u64,
    /// What it should be.
    pub wanted: Wanted,
    /// Whether a container of it has ever been seen: then there was a workspace, and its absence is a loss.
    pub made: bool,
    /// Path of its route.
    pub route: String,
    /// When its lease ends, Unix milliseconds.
    pub deadline_unix_ms: u64,
    /// Whether the end of its lease means nothing until it is released.
    pub held: bool,
    /// Who ordered its work to be given up, if anybody.
    pub discard_by: Option<String>,
    /// The archive that its workspace starts with; none for an empty one.
    pub restore: Option<ArchiveId>,
    /// How far its closing has come.
    pub closing: Closing,
}

impl SeatRecord {
    /// Whether the end of its lease means anything.
    #[must_use]
    pub fn is_bound(&self) -> bool {
        self.wanted < Wanted::Gone && !self.held
    }
}

/// One line of the audit trail.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditEntry {
    /// When, Unix milliseconds.
    pub unix_ms: u64,
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
}

impl AuditEntry {
    /// What somebody asked for, and what came of it.
    #[must_use]
    pub fn of(actor: &Actor, unix_ms: u64, verb: &str, target: String, outcome: impl Into<String>) -> Self {
        Self {
            unix_ms,
            uid: actor.uid,
            user: actor.name.clone(),
            origin: actor.origin.clone(),
            verb: verb.to_owned(),
            target,
            outcome: outcome.into(),
        }
    }
}

/// One change of the ledger. The changes of one write succeed or fail together; each is idempotent but the audit.
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    /// Writes a room's row whole.
    PutRoom(RoomRecord),
    /// Writes new seats; a seat that is there in the same session is left alone.
    AddSeats(Vec<SeatRecord>),
    /// Sets what seats should be, and who gave their work up.
    SetWanted {
        /// Which seats.
        seats: Vec<SeatId>,
        /// What they should be.
        wanted: Wanted,
        /// Who ordered their work to be given up, if anybody.
        discard_by: Option<String>,
    },
    /// Notes that these seats were made.
    SetMade(Vec<SeatId>),
    /// Sets the ends of leases.
    SetDeadlines(Vec<(SeatId, u64)>),
    /// Sets whether the ends of their leases mean nothing.
    SetHeld(Vec<SeatId>, bool),
    /// Sets how far a closing has come.
    SetClosing(SeatId, Closing),
    /// Adds a verified archive, with how it was proven.
    AddArchive(ArchiveClaim, VerifyMode),
    /// Notes what a later look at an archive found.
    CheckArchive {
        /// Which.
        id: ArchiveId,
        /// How it was proven; none when it was not as it should be.
        proven: Option<VerifyMode>,
        /// When, Unix milliseconds.
        unix_ms: u64,
    },
    /// Forgets a snapshot whose objects are gone. An archive of a frozen seat is never forgotten.
    DropSnapshot(ArchiveId),
    /// Deletes the row of a seat of which nothing is left.
    EndSeat(SeatId),
    /// Adds a line to the audit trail.
    Audit(AuditEntry),
    /// Names the engine that this ledger's rooms are on.
    SetEngine(String),
    /// Puts students on a room's roster. What a row leaves out stays as it is known, but for the minutes.
    PutRoster(RoomName, Vec<RosterRow>),
    /// Takes a student off a room's roster. Name and code stay for other rooms.
    DropFromRoster(RoomName, StudentId),
    /// Gives students access codes in place of those that they had, Unix milliseconds at the end.
    SetCodes(Vec<(StudentId, CodeHash)>, u64),
    /// Begins a session; a student's earlier one is over.
    PutSession(SessionRecord),
    /// Sessions are over.
    EndSessions(Vec<SessionId>),
}

/// What the ledger held when the agent started.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct LedgerState {
    /// All rooms, ended ones too.
    pub rooms: Vec<RoomRecord>,
    /// All seats.
    pub seats: Vec<SeatRecord>,
    /// The identity of the engine that they are on, as it calls itself; none before the first contact.
    pub engine: Option<String>,
    /// Who may sit in which room, and for how many minutes where that is said.
    pub rosters: Vec<(RoomName, StudentId, Option<u32>)>,
    /// Students' sessions.
    pub sessions: Vec<SessionRecord>,
    /// Seats of open rooms whose work was archived in this opening, and that are gone.
    pub collected: Vec<SeatId>,
}
