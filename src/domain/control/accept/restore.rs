//! A new seat that starts with the work of an archive, in a room that is opened unless it is open.

use super::{being_seated, lease_ms};
use crate::domain::command::{Command, Outcome, Seats};
use crate::domain::control::Control;
use crate::domain::control::state::{Doing, Opening};
use crate::domain::effect::{Restore, TicketId};
use crate::domain::fault::Refusal;
use crate::domain::ids::SeatId;
use crate::domain::record::SeatRecord;
use crate::domain::role::Actor;

impl Control {
    pub(super) fn restore_seat(&mut self, ticket: TicketId, actor: &Actor, command: Command) -> Result<(), Refusal> {
        let Command::RestoreSeat {
            archive,
            seat,
            template,
            minutes,
        } = &command
        else {
            return Ok(());
        };
        if self.seats.contains_key(seat) || self.is_being_seated(seat) {
            return Err(being_seated(seat));
        }
        let room = self.room_to_open(&seat.room, template.as_ref(), false, actor)?;
        let lease_ms = lease_ms(minutes.unwrap_or(room.lease_minutes()))?;
        let who = Seats::Students(vec![seat.student.clone()]);
        let mut seats = self.seats_to_open(&room, &who, lease_ms)?;
        for new in &mut seats {
            new.restore = Some(archive.clone());
        }
        if let Some(fault) = self.engine_fault() {
            self.reply(ticket, Outcome::from(fault));
            return Ok(());
        }
        let restore = Restore {
            archive: archive.clone(),
            seat: seat.clone(),
        };
        let opening = Opening {
            ticket,
            actor: actor.clone(),
            command,
            room,
            seats,
        };
        self.preflight(opening, Some(restore));
        Ok(())
    }

    /// Whether somebody else is about to make that seat.
    fn is_being_seated(&self, id: &SeatId) -> bool {
        self.ops.values().flat_map(Doing::new_seats).any(|seat| seat.id == *id)
    }

    /// A seat that was to be restored and that another person has made meanwhile.
    pub(super) fn taken_meanwhile(&self, seats: &[SeatRecord]) -> Option<Refusal> {
        let there = |id: &SeatId| self.seats.contains_key(id) || self.is_being_seated(id);
        let taken = seats.iter().find(|seat| seat.restore.is_some() && there(&seat.id));
        taken.map(|seat| being_seated(&seat.id))
    }
}
