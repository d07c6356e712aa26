//! The students' door: sessions, what a gateway knows of seats, and what it asks.
//!
//! Knows: who may be let in where, and until when. Must not know: HTTP, cookies, signatures, or how codes are hashed.

mod knock;
mod mirror;

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use super::ids::{SeatId, SessionId};
use super::snapshot::Phase;

pub use knock::{AccessCode, DoorWish, Knock, KnockAnswer, Lockout, Receipt};
pub use mirror::{DoorDelta, DoorState, Ended};

/// Longest life of a session: a working day; whoever comes back signs in again.
pub const SESSION_MAX_MS: u64 = 12 * 60 * 60 * 1_000;
/// How long a supervisor's code for a look into a seat can be used.
pub const PEEK_CODE_MS: u64 = 2 * 60 * 1_000;

/// What a student's second sign-in does.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SecondLogin {
    /// It ends the first, and both are told.
    #[default]
    Takeover,
    /// It is refused until a supervisor ends the first.
    Refuse,
}

/// What becomes of a seat that its student leaves.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Leaving {
    /// It goes on; its student may come back.
    #[default]
    Keep,
    /// Its work is archived and verified, and it is torn down.
    Collect,
}

/// What a template says of its students' door.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DoorPolicy {
    /// What a second sign-in does.
    #[serde(default)]
    pub second_login: SecondLogin,
    /// What becomes of the seat when its student signs out.
    #[serde(default)]
    pub logout: Leaving,
    /// What a hand-in does to the seat: saves it, or collects it; none where there is no hand-in.
    #[serde(default)]
    pub hand_in: Option<Leaving>,
}

/// Somebody who is let into a seat: its student, or a supervisor who has a look.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionRecord {
    /// Which session.
    pub id: SessionId,
    /// The only seat that it opens.
    pub seat: SeatId,
    /// In which opening of its room: whoever stays signed in from an earlier one opens nothing of a later one.
    pub opening: u64,
    /// When it began, Unix milliseconds.
    pub began_unix_ms: u64,
    /// When it ends at the latest, Unix milliseconds.
    pub ends_unix_ms: u64,
    /// The network address that it began at.
    pub address: String,
    /// The supervisor who looks in; none for the student.
    pub onlooker: Option<String>,
}

/// A seat as its student's door knows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DoorSeat {
    /// Which seat.
    pub seat: SeatId,
    /// In which opening of its room.
    pub opening: u64,
    /// Path of its route.
    pub route: String,
    /// Where it is in its life.
    pub phase: Phase,
    /// Whether anybody is let in: false from the first order to close it.
    pub open: bool,
    /// When its lease ends, Unix milliseconds; none while it is held.
    pub ends_unix_ms: Option<u64>,
    /// Its place in the line of seats that are to be made, from 1.
    pub place: Option<usize>,
    /// Where a proxy finds it; none while it has no address or no port.
    #[serde(default)]
    pub target: Option<SocketAddr>,
    /// Whether something fails, which is tried again.
    pub trouble: bool,
    /// What its template says of its door.
    pub policy: DoorPolicy,
}
