//! Opening a room, or adding seats to an open one.

use std::collections::BTreeSet;

use super::{MINUTE_MS, being_closed, lease_ms};
use crate::domain::command::{Command, Outcome, Seats};
use crate::domain::control::Control;
use crate::domain::control::state::{Accepted, Doing, Opening};
use crate::domain::control::tickets::seats as count;
use crate::domain::effect::{Restore, Task, TicketId};
use crate::domain::fault::Refusal;
use crate::domain::ids::{RoomName, SeatId, StudentId, TemplateName};
use crate::domain::policy::SEATS_PER_ROOM_MAX;
use crate::domain::record::{Change, Closing, RoomRecord, RoomWanted, SeatRecord, Wanted};
use crate::domain::role::Actor;
use crate::domain::roster::RosterRow;
use crate::domain::settings::RouteAuth;
use crate::domain::template::{ESCAPES, Egress, FORGES_PACKETS, Template};

impl Control {
    pub(super) fn open(&mut self, ticket: TicketId, actor: &Actor, command: Command) -> Result<(), Refusal> {
        let Command::OpenRoom {
            room,
            template,
            seats,
            minutes,
            exam,
            on_demand,
            dry_run,
            ..
        } = &command
        else {
            return Ok(());
        };
        let mut record = self.room_to_open(room, template.as_ref(), *exam, actor)?;
        let minutes = minutes.unwrap_or(record.lease_minutes());
        let lease_ms = lease_ms(minutes)?;
        let by_roster = matches!(seats, Seats::Roster);
        let mut seats = self.seats_to_open(&record, seats, lease_ms)?;
        // More time for some new seats of an open room is not more time for all that come later.
        if *on_demand || !self.rooms.contains_key(room) {
            record.minutes = minutes;
        }
        // Who is put on the roster later gets a seat by coming, as everybody does where none is made before.
        record.on_demand |= *on_demand || by_roster;
        if *on_demand {
            seats.clear();
        }
        if let Some(fault) = self.engine_fault() {
            self.reply(ticket, Outcome::from(fault));
            return Ok(());
        }
        if *dry_run {
            let text = format!(
                "Would open room {room} from template {} (image {}): {}, for {minutes} minutes",
                record.template.name,
                record.template.image,
                if *on_demand {
                    "a seat for each student of the roster who comes".to_owned()
                } else {
                    format!("{} new", count(seats.len()))
                },
            );
            self.reply(ticket, Outcome::done(text));
            return Ok(());
        }
        let opening = Opening {
            ticket,
            actor: actor.clone(),
            command,
            room: record,
            seats,
        };
        self.preflight(opening, None);
        Ok(())
    }

    pub(super) fn preflight(&mut self, opening: Opening, restore: Option<Restore>) {
        let room = &opening.room;
        let overridden = matches!(opening.command, Command::OpenRoom { overrides: true, .. });
        let task = Task::Preflight {
            room: room.name.clone(),
            template: room.template.clone(),
            restore,
            // More seats in an exam that goes on are as closed in as those that are there.
            isolated: room.exam && !overridden && !self.rooms.contains_key(&room.name),
        };
        self.start(task, Doing::Preflight(Box::new(opening)));
    }

    /// The room's row: the one that is there when it is open already, else a new session.
    pub(super) fn room_to_open(
        &mut self,
        name: &RoomName,
        template: Option<&TemplateName>,
        exam: bool,
        actor: &Actor,
    ) -> Result<RoomRecord, Refusal> {
        if let Some(room) = self.rooms.get(name) {
            if self.is_about_to_close(name) {
                return Err(being_closed(name));
            }
            return reopened(&room.record, template, exam);
        }
        // Two people press the key together: it is one room.
        if let Some(room) = self
            .ops
            .values()
            .filter_map(Doing::opens)
            .find(|room| room.name == *name)
        {
            return reopened(room, template, exam);
        }
        let wanted = template.unwrap_or(&self.rules.default_template);
        let mut template = self
            .rules
            .templates
            .get(wanted)
            .cloned()
            .ok_or_else(|| self.no_template(wanted))?;
        if exam {
            self.harden_for_exam(&mut template)?;
        }
        let session = self.next_session;
        self.next_session += 1;
        Ok(RoomRecord {
            name: name.clone(),
            session,
            template,
            exam,
            wanted: RoomWanted::Open,
            ended: false,
            opened_unix_ms: self.now.unix_ms,
            opened_by: actor.name.clone(),
            minutes: 0,
            on_demand: false,
        })
    }

    pub(in crate::domain::control) fn is_about_to_close(&self, name: &RoomName) -> bool {
        self.ops.values().any(|doing| doing.closes(name))
    }

    fn no_template(&self, name: &TemplateName) -> Refusal {
        let known: Vec<&str> = self.rules.templates.keys().map(TemplateName::as_str).collect();
        Refusal::not_found(format!("There is no template {name}; there are {}", known.join(", ")))
    }

    fn harden_for_exam(&self, template: &mut Template) -> Result<(), Refusal> {
        if self.rules.auth == RouteAuth::None {
            return Err(Refusal::conflict(
                "An exam needs guarded routes, but `[routing] auth` is \"none\". Set it to \"gateway\"",
            ));
        }
        let unfit = |cap: &&String| cap.as_str() == FORGES_PACKETS || ESCAPES.contains(&cap.as_str());
        if let Some(cap) = template.cap_add.iter().find(unfit) {
            return Err(Refusal::conflict(format!(
                "An exam's seats are closed in, but `cap_add` of template {} gives them {cap}, with which a student gets \
                 around that. Take another template, or leave it out",
                template.name
            )));
        }
        template.network = Egress::Closed;
        Ok(())
    }

    pub(super) fn seats_to_open(
        &self,
        room: &RoomRecord,
        seats: &Seats,
        lease_ms: u64,
    ) -> Result<Vec<SeatRecord>, Refusal> {
        // Before anything is made of them: a list comes from the wire.
        if matches!(seats, Seats::Students(students) if students.len() > SEATS_PER_ROOM_MAX as usize) {
            return Err(Refusal::invalid(format!(
                "A room holds at most {SEATS_PER_ROOM_MAX} seats. Open a second room"
            )));
        }
        let students: BTreeSet<StudentId> = match seats {
            Seats::Numbered(count) => (1..=(*count).min(SEATS_PER_ROOM_MAX + 1))
                .map(StudentId::numbered)
                .collect(),
            Seats::Students(students) => students.iter().cloned().collect(),
            Seats::Roster => self.roster_of(&room.name)?,
        };
        if students.is_empty() {
            return Err(Refusal::invalid("A room needs at least one seat"));
        }
        let numbered = matches!(seats, Seats::Numbered(_));
        let ids = students
            .into_iter()
            .map(|student| SeatId::new(room.name.clone(), student));
        let new: Vec<SeatRecord> = ids
            .filter(|id| !self.seats.contains_key(id))
            .map(|id| {
                let own = self.minutes_of(&id).filter(|_| !numbered);
                let lease_ms = own.map_or(lease_ms, |minutes| u64::from(minutes) * MINUTE_MS);
                self.new_seat(id, room.session, numbered, lease_ms)
            })
            .collect();
        let there = self.seats.keys().filter(|id| id.room == room.name).count();
        if there + new.len() > SEATS_PER_ROOM_MAX as usize {
            return Err(Refusal::invalid(format!(
                "Room {} would have {} seats; a room holds at most {SEATS_PER_ROOM_MAX}. Open a second room",
                room.name,
                there + new.len()
            )));
        }
        Ok(new)
    }

    fn roster_of(&self, room: &RoomName) -> Result<BTreeSet<StudentId>, Refusal> {
        let all = self.door.rosters.get(room).filter(|all| !all.is_empty());
        let all = all.ok_or_else(|| {
            Refusal::not_found(format!(
                "Room {room} has no roster: `labtop roster import {room} FILE.csv` gives it one"
            ))
        })?;
        Ok(all.keys().cloned().collect())
    }

    /// Whether the student has a seat in another room, or is just being given one.
    fn sits_elsewhere(&self, id: &SeatId) -> bool {
        let coming = self.ops.values().flat_map(Doing::new_seats).map(|seat| &seat.id);
        self.seats
            .keys()
            .chain(coming)
            .any(|other| other.student == id.student && other.room != id.room)
    }

    pub(in crate::domain::control) fn new_seat(
        &self,
        id: SeatId,
        session: u64,
        numbered: bool,
        lease_ms: u64,
    ) -> SeatRecord {
        SeatRecord {
            route: self.rules.rule.route(&id, numbered || self.sits_elsewhere(&id)),
            id,
            session,
            wanted: Wanted::Running,
            made: false,
            deadline_unix_ms: self.now.unix_ms + lease_ms,
            discard_by: None,
            held: false,
            restore: None,
            closing: Closing::default(),
        }
    }

    /// The image is there: the room is written, and then made.
    pub(in crate::domain::control) fn write_opening(&mut self, opening: Opening) {
        let Opening {
            ticket,
            actor,
            command,
            room,
            mut seats,
        } = opening;
        // Meanwhile another person may have opened, or begun to close, the same room.
        match self
            .rooms
            .get(&room.name)
            .map(|there| (there.record.session, there.record.wanted))
        {
            Some((session, RoomWanted::Open)) if session == room.session && !self.is_about_to_close(&room.name) => {}
            None if self.ended.get(&room.name).is_none_or(|last| *last < room.session) => {}
            _ => {
                let text = format!(
                    "Room {} was changed by somebody else meanwhile; look and try again",
                    room.name
                );
                return self.reply(ticket, Outcome::from(Refusal::conflict(text)));
            }
        }
        if let Some(taken) = self.taken_meanwhile(&seats) {
            return self.reply(ticket, Outcome::from(taken));
        }
        seats.retain(|seat| !self.seats.contains_key(&seat.id));
        for seat in &mut seats {
            // Meanwhile the student may have been seated elsewhere, too.
            if self.sits_elsewhere(&seat.id) {
                seat.route = self.rules.rule.route(&seat.id, true);
            }
        }
        let mut changes = vec![
            Change::PutRoom(room.clone()),
            Change::AddSeats(seats.clone()),
            self.audit(&actor, &command),
        ];
        // Who is named for a room may sit in it: a code is all that they need to sign in.
        let named = match &command {
            Command::OpenRoom {
                seats: Seats::Students(students),
                ..
            } => students.as_slice(),
            Command::RestoreSeat { seat, .. } => std::slice::from_ref(&seat.student),
            _ => &[],
        };
        let listed: Vec<StudentId> = self.unlisted(&room.name, named).collect();
        if !listed.is_empty() {
            let rows = listed.iter().cloned().map(RosterRow::of).collect();
            changes.insert(0, Change::PutRoster(room.name.clone(), rows));
        }
        self.write_accepted(ticket, changes, Accepted::Open(room, seats, listed));
    }

    /// Those of the students who are not on the room's roster.
    fn unlisted(&self, room: &RoomName, students: &[StudentId]) -> impl Iterator<Item = StudentId> {
        let listed = self.door.rosters.get(room);
        let is_new = move |student: &&StudentId| listed.is_none_or(|all| !all.contains_key(*student));
        students.iter().filter(is_new).cloned()
    }
}

fn reopened(there: &RoomRecord, template: Option<&TemplateName>, exam: bool) -> Result<RoomRecord, Refusal> {
    let name = &there.name;
    if there.wanted == RoomWanted::Closed {
        return Err(being_closed(name));
    }
    if template.is_some_and(|wanted| *wanted != there.template.name) || exam && !there.exam {
        let text = format!(
            "Room {name} is open from template {}{}; close it first, or take another name",
            there.template.name,
            if there.exam { " as an exam" } else { "" }
        );
        return Err(Refusal::conflict(text));
    }
    Ok(there.clone())
}
