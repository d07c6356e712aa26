//! What was accepted comes into force.

use crate::domain::command::Outcome;
use crate::domain::control::Control;
use crate::domain::control::state::{Accepted, Goal, Room, Seat, Ticket};
use crate::domain::effect::TicketId;
use crate::domain::fault::Refusal;
use crate::domain::ids::{RoomName, SeatId, StudentId};
use crate::domain::record::{RoomRecord, RoomWanted, SeatRecord, Wanted};

impl Control {
    /// What was accepted is written: from now on it is wanted.
    pub(in crate::domain::control) fn take_effect(&mut self, ticket: TicketId, accepted: Accepted) {
        let goal = match accepted {
            Accepted::Open(room, seats, listed) => self.opened(room, seats, listed),
            Accepted::Close { room, discard_by } => self.closing(room, discard_by.as_deref()),
            Accepted::Deadlines(deadlines, text) => {
                let outcome = self.extended(deadlines, text);
                return self.reply(ticket, outcome);
            }
            Accepted::Held(seats, held, text) => {
                let outcome = self.set_held(&seats, held, text);
                return self.reply(ticket, outcome);
            }
            Accepted::Run(seats, stamp, done) => {
                self.run_again(&seats, Wanted::Frozen, stamp);
                Goal::Seats {
                    seats,
                    wanted: Wanted::Running,
                    done,
                }
            }
            Accepted::Roster(change) => return self.roster_changed(ticket, change),
            Accepted::Snapshot(seats) => {
                self.wish_snapshots(&seats);
                Goal::Saved(seats)
            }
            Accepted::Restart(id, stamp) => {
                self.run_again(std::slice::from_ref(&id), Wanted::Stopped, stamp);
                if let Some(seat) = self
                    .seats
                    .get_mut(&id)
                    .filter(|seat| seat.record.wanted == Wanted::Running)
                {
                    seat.restart = seat.container.as_ref().is_some_and(|c| !c.state.is_down());
                }
                let done = format!("Restarted {id}");
                Goal::Seats {
                    seats: vec![id],
                    wanted: Wanted::Running,
                    done,
                }
            }
        };
        self.tickets.insert(
            ticket,
            Ticket {
                goal,
                write: None,
                told: None,
            },
        );
    }

    fn opened(&mut self, record: RoomRecord, seats: Vec<SeatRecord>, listed: Vec<StudentId>) -> Goal {
        let name = record.name.clone();
        let roster = self.door.rosters.entry(name.clone()).or_default();
        for student in listed {
            roster.entry(student).or_insert(None);
        }
        let (minutes, on_demand) = (record.minutes, record.on_demand);
        self.end_sessions_before(&name, record.session);
        self.ended.remove(&name);
        self.lost.remove(&name);
        let room = self.rooms.entry(name.clone()).or_insert_with(|| Room::new(record));
        (room.record.minutes, room.record.on_demand) = (minutes, on_demand);
        room.not_before_ms = 0;
        room.closing_from = None;
        room.archived_bytes = 0;
        room.succeeded();
        // Its last lease may have ended while this was being written.
        let closed = room.record.wanted == RoomWanted::Closed;
        let restored = seats
            .iter()
            .find_map(|seat| Some((seat.id.clone(), seat.restore.clone()?)));
        for seat in seats {
            let seat = self.seats.entry(seat.id.clone()).or_insert_with(|| Seat::new(seat));
            if closed {
                seat.record.wanted = Wanted::Gone;
            }
        }
        let mine = |id: &SeatId| id.room == name;
        let total = self.seats.keys().filter(|id| mine(id)).count();
        if let Some(room) = self.rooms.get_mut(&name) {
            room.total = total;
        }
        match restored {
            Some((seat, archive)) => Goal::Seats {
                done: format!("Seat {seat} has the work of archive {archive}"),
                seats: vec![seat],
                wanted: Wanted::Running,
            },
            None => Goal::Open(name),
        }
    }

    fn closing(&mut self, name: RoomName, discard_by: Option<&str>) -> Goal {
        let mut total = 0;
        for seat in self.seats.values_mut().filter(|seat| seat.record.id.room == name) {
            seat.record.wanted = Wanted::Gone;
            // The last word counts: closing again without --discard keeps the work that is still there.
            seat.record.discard_by = discard_by.map(str::to_owned);
            seat.fresh_start();
            total += 1;
        }
        if let Some(room) = self.rooms.get_mut(&name) {
            room.record.wanted = RoomWanted::Closed;
            room.not_before_ms = 0;
            room.succeeded();
            room.total = total;
            room.closing_from = Some((self.now.mono_ms, total));
        }
        Goal::Closed { room: name, total }
    }

    /// A seat may have been closed while this was being written: then nothing holds it.
    fn set_held(&mut self, seats: &[SeatId], held: bool, text: String) -> Outcome {
        let mut gone = Vec::new();
        for id in seats {
            match self.seats.get_mut(id).filter(|seat| seat.record.wanted < Wanted::Gone) {
                Some(seat) => {
                    seat.record.held = held;
                    // A lease that ended meanwhile is announced before it takes effect.
                    seat.warned_ms = None;
                }
                None => gone.push(id.to_string()),
            }
        }
        if gone.is_empty() {
            return Outcome::done(text);
        }
        Refusal::conflict(format!("These seats were closed meanwhile: {}", gone.join(", "))).into()
    }

    /// A seat may have been closed while this was being written: then more time is of no use to it.
    fn extended(&mut self, deadlines: Vec<(SeatId, u64)>, text: String) -> Outcome {
        let mut gone = Vec::new();
        for (id, deadline) in deadlines {
            match self.seats.get_mut(&id).filter(|seat| seat.record.wanted < Wanted::Gone) {
                Some(seat) => {
                    seat.record.deadline_unix_ms = deadline;
                    seat.fresh_lease = true;
                    seat.warned_ms = None;
                }
                None => gone.push(id.to_string()),
            }
        }
        if gone.is_empty() {
            return Outcome::done(text);
        }
        Refusal::conflict(format!("These seats were closed meanwhile: {}", gone.join(", "))).into()
    }

    /// A kill or freeze that was asked for after `stamp` stands.
    fn run_again(&mut self, seats: &[SeatId], at_most: Wanted, stamp: u64) {
        for id in seats {
            if let Some(seat) = self.seats.get_mut(id)
                && seat.record.wanted <= at_most
                && seat.urged < stamp
            {
                seat.record.wanted = Wanted::Running;
                seat.fresh_start();
            }
        }
    }
}
