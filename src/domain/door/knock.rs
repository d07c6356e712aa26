//! What a gateway asks for its students, and the answers.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::SessionRecord;
use crate::domain::fault::{Fault, Refusal};
use crate::domain::ids::{ArchiveId, RoomName, SeatId, SessionId, StudentId};

/// What somebody typed as their access code. It is a secret, and never printed.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccessCode(String);

impl AccessCode {
    /// As it was typed.
    #[must_use]
    pub fn new(typed: String) -> Self {
        Self(typed)
    }

    /// For comparing.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for AccessCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AccessCode(…)")
    }
}

/// What a gateway asks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "knock", rename_all = "snake_case")]
pub enum Knock {
    /// A student wants to sign in.
    SignIn {
        /// Who they say they are.
        student: StudentId,
        /// What they prove it with.
        code: AccessCode,
        /// Where to, when they are on several rosters.
        room: Option<RoomName>,
        /// Their network address.
        address: String,
    },
    /// A supervisor wants to look into a seat.
    LookIn {
        /// The code that the board gave them.
        code: AccessCode,
        /// Their network address.
        address: String,
    },
    /// Whoever has this session leaves.
    SignOut {
        /// Which.
        session: SessionId,
    },
    /// A student hands in.
    HandIn {
        /// Their session.
        session: SessionId,
    },
    /// A student asks for the proof that their work is stored.
    Receipt {
        /// Their session.
        session: SessionId,
    },
    /// Somebody tried to get into a seat that is not theirs.
    Trespass {
        /// Their session.
        session: SessionId,
        /// The seat.
        seat: SeatId,
    },
}

/// What is decided about a session, once codes are proven.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DoorWish {
    /// A student has proven who they are.
    SignIn {
        /// Who.
        student: StudentId,
        /// Where to, when they said so.
        room: Option<RoomName>,
        /// The session that begins.
        session: SessionId,
        /// Their network address.
        address: String,
        /// How often they had been given a code when theirs was begun to be proven: one that was replaced meanwhile is
        /// void.
        codes_given: u64,
    },
    /// A supervisor brings a code for a look.
    LookIn {
        /// SHA-256 of the code, in hexadecimal.
        digest: String,
        /// The session that begins.
        session: SessionId,
        /// Their network address.
        address: String,
    },
    /// Whoever has this session leaves.
    SignOut(SessionId),
    /// A student hands in.
    HandIn(SessionId),
    /// Somebody tried to get into a seat that is not theirs.
    Trespass(SessionId, SeatId),
    /// Too many wrong codes came: from now on none is looked at.
    LockedOut(Lockout),
}

/// Whose codes are not looked at for a while.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lockout {
    /// The student who was named; none when nobody gets in from the address.
    pub student: Option<StudentId>,
    /// The network address that the last wrong code came from.
    pub address: String,
    /// For how long, seconds.
    pub seconds: u64,
}

impl Lockout {
    /// For how long, in minutes that were begun.
    #[must_use]
    pub fn minutes(&self) -> u64 {
        self.seconds.div_ceil(60)
    }
}

/// The proof that a student's work is stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    /// The archive.
    pub archive: ArchiveId,
    /// SHA-256 of the stored bytes, in hexadecimal.
    pub digest: String,
    /// Stored size, bytes.
    pub bytes: u64,
    /// When it was taken, RFC 3339 in UTC.
    pub created: String,
}

/// The answer to a knock.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "snake_case")]
pub enum KnockAnswer {
    /// Come in.
    In {
        /// What was begun.
        session: Box<SessionRecord>,
        /// The earlier ones of the same student that it ended. Two answers may cross on their way: only this tells which
        /// of two sessions is the later one.
        over: Vec<SessionId>,
    },
    /// Student and code do not belong together; which of them is wrong is not said.
    Wrong,
    /// Too many wrong codes.
    Locked {
        /// Seconds until another try counts.
        seconds: u64,
    },
    /// The code is right, and there are several rooms.
    Choose {
        /// Their names.
        rooms: Vec<RoomName>,
    },
    /// The student is signed in elsewhere, and the room does not let a second sign-in take over.
    Taken,
    /// The code is right, and no room is open for the student.
    NoRoom,
    /// It is done.
    Done {
        /// What, in words for the student.
        text: String,
    },
    /// The proof, when there is one.
    Receipt {
        /// Of the newest archive of the seat in its last opening.
        receipt: Option<Receipt>,
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

impl From<Refusal> for KnockAnswer {
    fn from(refusal: Refusal) -> Self {
        Self::Refused { refusal }
    }
}

impl From<Fault> for KnockAnswer {
    fn from(fault: Fault) -> Self {
        Self::Failed { fault }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_never_printed() {
        let knock = Knock::SignIn {
            student: "an".parse().unwrap(),
            code: AccessCode::new("7KQ2-M9XD".into()),
            room: None,
            address: "192.0.2.7".into(),
        };
        assert!(!format!("{knock:?}").contains("7KQ2"), "{knock:?}");
    }
}
