//! Looks: a supervisor gets a code for one seat, and whoever brings it is let in once.

use super::Control;
use crate::domain::door::{KnockAnswer, PEEK_CODE_MS, SessionRecord};
use crate::domain::effect::TicketId;
use crate::domain::fault::Refusal;
use crate::domain::ids::{SeatId, SessionId};
use crate::domain::role::Actor;

/// How long a supervisor may look into a seat before a new code is needed.
const LOOK_MS: u64 = 60 * 60 * 1_000;
/// Codes for a look that wait to be used.
const PEEKS_MAX: usize = 64;

/// A code with which a supervisor may look into a seat, once.
#[derive(Debug)]
pub(super) struct Peek {
    digest: String,
    seat: SeatId,
    opening: u64,
    who: String,
    until_mono_ms: u64,
}

impl Control {
    pub(super) fn look_in(
        &mut self,
        (ticket, actor): (TicketId, &Actor),
        digest: &str,
        (id, address): (SessionId, String),
    ) -> Result<(), KnockAnswer> {
        let now_ms = self.now.mono_ms;
        self.door.peeks.retain(|peek| peek.until_mono_ms > now_ms);
        let Some(at) = self.door.peeks.iter().position(|peek| peek.digest == digest) else {
            return Err(KnockAnswer::Wrong);
        };
        let peek = self.door.peeks.swap_remove(at);
        let session = SessionRecord {
            id,
            seat: peek.seat,
            opening: peek.opening,
            began_unix_ms: self.now.unix_ms,
            ends_unix_ms: self.now.unix_ms + LOOK_MS,
            address,
            onlooker: Some(peek.who),
        };
        self.admit(ticket, actor, session, "look in");
        Ok(())
    }

    /// A supervisor is given a look into a seat.
    pub(in crate::domain::control) fn grant_peek(
        &mut self,
        actor: &Actor,
        seat: &SeatId,
        digest: String,
    ) -> Result<(), Refusal> {
        let now_ms = self.now.mono_ms;
        self.door.peeks.retain(|peek| peek.until_mono_ms > now_ms);
        if digest.len() != 64 || !digest.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(Refusal::invalid("That is no digest of a code"));
        }
        if self.door.peeks.len() >= PEEKS_MAX {
            return Err(Refusal::conflict(
                "Too many codes wait to be used: try again in two minutes",
            ));
        }
        let opening = self.seats.get(seat).map_or(0, |seat| seat.record.session);
        self.door.peeks.push(Peek {
            digest,
            seat: seat.clone(),
            opening,
            who: actor.name.clone(),
            until_mono_ms: now_ms + PEEK_CODE_MS,
        });
        Ok(())
    }
}
