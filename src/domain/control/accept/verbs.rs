//! The other verbs: what each changes, and whether it is in force at once or once it is written.

use super::{MINUTE_MS, lease_ms, no_room, too_long};
use crate::domain::command::{Command, Outcome};
use crate::domain::control::Control;
use crate::domain::control::state::{Accepted, Goal, Seat, Ticket};
use crate::domain::control::tickets::seats as count;
use crate::domain::effect::TicketId;
use crate::domain::fault::Refusal;
use crate::domain::ids::{ContainerId, RoomName, SeatId, StudentId};
use crate::domain::policy::LEASE_MINUTES_MAX;
use crate::domain::record::{Change, RoomRecord, RoomWanted, Wanted};
use crate::domain::role::Actor;
use crate::domain::seen::RunState;

impl Control {
    pub(super) fn close(
        &mut self,
        ticket: TicketId,
        actor: &Actor,
        command: &Command,
        name: &RoomName,
        discard: bool,
    ) -> Result<(), Refusal> {
        let Some(room) = self.rooms.get(name) else {
            if self.ended.contains_key(name) {
                self.reply(ticket, Outcome::done(format!("Room {name} is closed already")));
                return Ok(());
            }
            return Err(no_room(name));
        };
        let discard_by = discard.then(|| actor.name.clone());
        // A second order must not be written over the end of the room that the first one brings about.
        let closed = (room.record.wanted == RoomWanted::Open).then(|| RoomRecord {
            wanted: RoomWanted::Closed,
            ..room.record.clone()
        });
        // Who gave the work up stays written, whoever orders that again; taking it back is written before it is accepted.
        let known = |seat: &&Seat| seat.record.wanted == Wanted::Gone && seat.record.discard_by.is_some() == discard;
        let there = self.seats.values().filter(|seat| seat.record.id.room == *name);
        let seats = there
            .filter(|seat| !known(seat))
            .map(|seat| seat.record.id.clone())
            .collect();
        let mut changes: Vec<Change> = closed.map(Change::PutRoom).into_iter().collect();
        changes.push(Change::SetWanted {
            seats,
            wanted: Wanted::Gone,
            discard_by: discard_by.clone(),
        });
        changes.push(self.audit(actor, command));
        self.write_accepted(
            ticket,
            changes,
            Accepted::Close {
                room: name.clone(),
                discard_by,
            },
        );
        Ok(())
    }

    pub(super) fn extend(
        &mut self,
        ticket: TicketId,
        actor: &Actor,
        command: &Command,
        of: (&RoomName, Option<&StudentId>),
        minutes: u32,
    ) -> Result<(), Refusal> {
        let more_ms = lease_ms(minutes)?;
        let now_ms = self.now.unix_ms;
        let chosen = self.choose(of, |seat| seat.record.wanted < Wanted::Gone)?;
        let deadlines: Vec<(SeatId, u64)> = chosen
            .into_iter()
            .map(|id| {
                let written = self.seats.get(&id).map_or(0, |seat| seat.record.deadline_unix_ms);
                let old = self.new_end(&id).unwrap_or(written);
                (id, old.max(now_ms) + more_ms)
            })
            .collect();
        let longest = deadlines.iter().map(|(_, end)| end - now_ms).max().unwrap_or(0);
        if longest > u64::from(LEASE_MINUTES_MAX) * MINUTE_MS {
            return Err(too_long());
        }
        let text = format!(
            "Extended {} of room {} by {minutes} minutes",
            count(deadlines.len()),
            of.0
        );
        let changes = vec![Change::SetDeadlines(deadlines.clone()), self.audit(actor, command)];
        self.write_accepted(ticket, changes, Accepted::Deadlines(deadlines, text));
        Ok(())
    }

    pub(super) fn hold(
        &mut self,
        ticket: TicketId,
        actor: &Actor,
        command: &Command,
        of: (&RoomName, Option<&StudentId>),
        held: bool,
    ) -> Result<(), Refusal> {
        let seats = self.choose(of, |seat| seat.record.wanted < Wanted::Gone)?;
        let count = count(seats.len());
        let text = if held {
            format!(
                "{count} of room {0} held: no lease ends until `labtop room release {0}`",
                of.0
            )
        } else {
            format!("{count} of room {} released: leases end as before", of.0)
        };
        let changes = vec![Change::SetHeld(seats.clone(), held), self.audit(actor, command)];
        self.write_accepted(ticket, changes, Accepted::Held(seats, held, text));
        Ok(())
    }

    pub(super) fn freeze(
        &mut self,
        ticket: TicketId,
        actor: &Actor,
        command: &Command,
        of: (&RoomName, Option<&StudentId>),
    ) -> Result<(), Refusal> {
        let seats = self.choose(of, |seat| seat.record.wanted <= Wanted::Frozen)?;
        let done = format!("Froze {} of room {}", count(seats.len()), of.0);
        self.urge(ticket, actor, command, seats, Wanted::Frozen, done);
        Ok(())
    }

    pub(super) fn thaw(
        &mut self,
        ticket: TicketId,
        actor: &Actor,
        command: &Command,
        of: (&RoomName, Option<&StudentId>),
    ) -> Result<(), Refusal> {
        let seats = self.choose(of, |seat| seat.record.wanted <= Wanted::Frozen)?;
        let text = format!("Thawed {} of room {}", count(seats.len()), of.0);
        let change = Change::SetWanted {
            seats: seats.clone(),
            wanted: Wanted::Running,
            discard_by: None,
        };
        let changes = vec![change, self.audit(actor, command)];
        let stamp = self.fresh_stamp();
        self.write_accepted(ticket, changes, Accepted::Run(seats, stamp, text));
        Ok(())
    }

    pub(super) fn save_now(
        &mut self,
        ticket: TicketId,
        actor: &Actor,
        command: &Command,
        of: (&RoomName, Option<&StudentId>),
    ) -> Result<(), Refusal> {
        let works = |seat: &Seat| seat.container.as_ref().is_some_and(|c| c.state != RunState::Created);
        let seats = self.choose(of, |seat| seat.record.wanted < Wanted::Gone && works(seat))?;
        let changes = vec![self.audit(actor, command)];
        self.write_accepted(ticket, changes, Accepted::Snapshot(seats));
        Ok(())
    }

    pub(super) fn kill(
        &mut self,
        ticket: TicketId,
        actor: &Actor,
        command: &Command,
        id: &SeatId,
        container: Option<&ContainerId>,
    ) -> Result<(), Refusal> {
        self.target(id, container)?;
        let done = format!("Killed {id}; it stays stopped until `labtop seat restart {id}`");
        self.urge(ticket, actor, command, vec![id.clone()], Wanted::Stopped, done);
        Ok(())
    }

    pub(super) fn restart(
        &mut self,
        ticket: TicketId,
        actor: &Actor,
        command: &Command,
        id: &SeatId,
        container: Option<&ContainerId>,
    ) -> Result<(), Refusal> {
        self.target(id, container)?;
        let change = Change::SetWanted {
            seats: vec![id.clone()],
            wanted: Wanted::Running,
            discard_by: None,
        };
        let changes = vec![change, self.audit(actor, command)];
        let stamp = self.fresh_stamp();
        self.write_accepted(ticket, changes, Accepted::Restart(id.clone(), stamp));
        Ok(())
    }

    /// In force at once, written beside it: a full disk must not hold up a kill or a freeze.
    fn urge(
        &mut self,
        ticket: TicketId,
        actor: &Actor,
        command: &Command,
        seats: Vec<SeatId>,
        wanted: Wanted,
        done: String,
    ) {
        let stamp = self.fresh_stamp();
        for id in &seats {
            if let Some(seat) = self.seats.get_mut(id) {
                seat.urged = stamp;
                seat.record.wanted = wanted;
                seat.restart = false;
                seat.fresh_start();
            }
        }
        let change = Change::SetWanted {
            seats: seats.clone(),
            wanted,
            discard_by: None,
        };
        let write = self.write_fail_open(vec![change, self.audit(actor, command)]);
        self.tell_who(actor, command);
        let goal = Goal::Seats { seats, wanted, done };
        self.tickets.insert(
            ticket,
            Ticket {
                goal,
                write: Some(write),
                told: None,
            },
        );
    }
}
