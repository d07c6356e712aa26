//! What went wrong, for people: a refusal (the user may not or cannot) or a fault (the world failed).
//!
//! Both are plain data that travel over the wire. The source chain goes to the log, not here.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::ids::RoomName;
use super::role::{Actor, Role};

/// What failed, so that code can decide what to do; people read the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FaultCode {
    /// The engine does not answer, or refuses this user.
    EngineUnreachable,
    /// The engine is too old or too new for labtop.
    EngineVersion,
    /// The lease store does not answer, or not as it should.
    Leases,
    /// The engine refused a request or failed in it.
    Engine,
    /// A changing call ended without an answer: it may have happened. Look again.
    Unknown,
    /// The image is not on the engine and cannot be pulled.
    ImageMissing,
    /// The image or the template cannot make a safe seat.
    BadTemplate,
    /// A name that labtop needs is taken by something that is not its own.
    NameTaken,
    /// No subnet of the pool is free.
    NoSubnet,
    /// The seat's program ended by itself.
    Exited,
    /// The kernel killed the seat's program for memory.
    OutOfMemory,
    /// The seat's port did not answer in time.
    NotReady,
    /// The seat ran between its freezing and its removal: what is stored is not all.
    Thawed,
    /// The archive store failed.
    Store,
    /// The stored archive is not what was sent.
    Mismatch,
    /// There is no such archive, or it is not that student's.
    NoArchive,
    /// The work is larger than its template allows.
    TooBig,
    /// A name of a file belongs to the archive and another name of it does not, and the source gives its content once.
    Tangled,
    /// Seats of the room would reach what they must not.
    NotIsolated,
    /// The ledger could not be written or read.
    Ledger,
    /// The effect was called off.
    Cancelled,
}

/// The world failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{text}{}", next_step(.hint))]
pub struct Fault {
    /// What kind of failure.
    pub code: FaultCode,
    /// The thing and the cause.
    pub text: String,
    /// What to do next; may be empty.
    pub hint: String,
}

fn next_step(hint: &str) -> String {
    if hint.is_empty() {
        String::new()
    } else {
        format!(". {hint}")
    }
}

impl Fault {
    /// A fault without a hint.
    pub fn new(code: FaultCode, text: impl Into<String>) -> Self {
        Self {
            code,
            text: text.into(),
            hint: String::new(),
        }
    }

    /// The same with a next step for the person who reads it.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = hint.into();
        self
    }

    /// Whether trying again soon is pointless until a person changes something.
    #[must_use]
    pub fn is_lasting(&self) -> bool {
        matches!(
            self.code,
            FaultCode::ImageMissing
                | FaultCode::BadTemplate
                | FaultCode::NameTaken
                | FaultCode::NoSubnet
                | FaultCode::EngineVersion
                | FaultCode::NoArchive
                | FaultCode::NotIsolated
        )
    }

    /// Whether it concerns all seats of a room alike, so that it is told once.
    #[must_use]
    pub fn is_of_room(&self) -> bool {
        matches!(
            self.code,
            FaultCode::ImageMissing | FaultCode::NoSubnet | FaultCode::BadTemplate
        )
    }
}

/// Why something asked for was not given: either may be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
pub enum Denial {
    /// It was not accepted.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// It failed.
    #[error(transparent)]
    Failed(#[from] Fault),
}

/// Why a command was not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RefusalCode {
    /// The role does not permit it.
    Role,
    /// No such room, seat, template or archive.
    NotFound,
    /// The state of the room or seat does not allow it.
    Conflict,
    /// The request is wrong in itself.
    Invalid,
}

/// The user may not, or cannot: an expected answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{text}")]
pub struct Refusal {
    /// What kind of refusal.
    pub code: RefusalCode,
    /// The thing, the cause, the next step.
    pub text: String,
}

impl Refusal {
    /// A refusal with its text.
    pub fn new(code: RefusalCode, text: impl Into<String>) -> Self {
        Self {
            code,
            text: text.into(),
        }
    }

    /// The role does not permit the verb.
    pub fn role(actor: &Actor, verb: &str, needs: Role, room: Option<&RoomName>) -> Self {
        let has = match actor.rights.role(room) {
            Some(role) => role.one(),
            None => "nobody",
        };
        let (name, takes) = (&actor.name, needs.one());
        let text = match room {
            Some(room) => {
                format!("{name} may not `{verb}` in room {room}: it takes {takes}, and {name} is {has} there")
            }
            None => format!("{name} may not `{verb}`: it takes {takes}, and {name} is {has}"),
        };
        Self::new(RefusalCode::Role, text)
    }

    /// Nothing has that name.
    pub fn not_found(what: impl fmt::Display) -> Self {
        Self::new(RefusalCode::NotFound, what.to_string())
    }

    /// The state does not allow it.
    pub fn conflict(text: impl Into<String>) -> Self {
        Self::new(RefusalCode::Conflict, text)
    }

    /// The request is wrong in itself.
    pub fn invalid(text: impl Into<String>) -> Self {
        Self::new(RefusalCode::Invalid, text)
    }
}
