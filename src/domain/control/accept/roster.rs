//! Rosters and codes: written, and then in force.

use std::collections::BTreeSet;
use std::fmt::Write;

use super::{being_closed, no_room};
use crate::domain::command::{Command, Outcome};
use crate::domain::control::Control;
use crate::domain::control::state::{Accepted, RosterChange};
use crate::domain::control::tickets::students;
use crate::domain::door::Ended;
use crate::domain::effect::TicketId;
use crate::domain::fault::Refusal;
use crate::domain::ids::{RoomName, SeatId, StudentId};
use crate::domain::policy::{LEASE_MINUTES_MAX, SEATS_PER_ROOM_MAX};
use crate::domain::record::{Change, Wanted};
use crate::domain::role::Actor;
use crate::domain::roster::{CodeHash, RosterRow};

impl Control {
    pub(super) fn import_roster(
        &mut self,
        ticket: TicketId,
        actor: &Actor,
        command: &Command,
        (room, rows, whole): (&RoomName, &[RosterRow], bool),
    ) -> Result<(), Refusal> {
        let new: BTreeSet<&StudentId> = rows.iter().map(|row| &row.student).collect();
        if new.len() != rows.len() || rows.is_empty() {
            return Err(Refusal::invalid("A roster names each student once, and at least one"));
        }
        let bad = |row: &&RosterRow| row.minutes.is_some_and(|m| m == 0 || m > LEASE_MINUTES_MAX);
        if let Some(row) = rows.iter().find(bad) {
            let text = format!("{}: minutes are from 1 to {LEASE_MINUTES_MAX}", row.student);
            return Err(Refusal::invalid(text));
        }
        let there = self.door.rosters.get(room).into_iter().flat_map(|all| all.keys());
        let others: Vec<StudentId> = there.filter(|student| !new.contains(student)).cloned().collect();
        let (dropped, kept) = if whole { (others, 0) } else { (Vec::new(), others.len()) };
        let count = kept + new.len();
        if count > SEATS_PER_ROOM_MAX as usize {
            return Err(Refusal::invalid(format!(
                "The roster of {room} would have {count} students; a room holds at most {SEATS_PER_ROOM_MAX}"
            )));
        }
        let mut text = format!("The roster of room {room} has {}", students(count));
        if !dropped.is_empty() {
            let _ = write!(text, "; {} not in the file taken off", students(dropped.len()));
        }
        let drops = dropped
            .iter()
            .map(|student| Change::DropFromRoster(room.clone(), student.clone()));
        let mut changes: Vec<Change> = drops.collect();
        changes.push(Change::PutRoster(room.clone(), rows.to_vec()));
        changes.push(self.audit(actor, command));
        let put = rows.iter().map(|row| (room.clone(), row.student.clone(), row.minutes));
        let change = RosterChange {
            put: put.collect(),
            over: dropped
                .iter()
                .map(|student| SeatId::new(room.clone(), student.clone()))
                .collect(),
            drop: dropped.into_iter().map(|student| (room.clone(), student)).collect(),
            text,
            ..RosterChange::default()
        };
        self.write_accepted(ticket, changes, Accepted::Roster(change));
        Ok(())
    }

    pub(super) fn remove_from_roster(
        &mut self,
        ticket: TicketId,
        actor: &Actor,
        command: &Command,
        (room, student): (&RoomName, &StudentId),
    ) -> Result<(), Refusal> {
        self.must_be_listed(room, std::iter::once(student))?;
        let change = RosterChange {
            drop: vec![(room.clone(), student.clone())],
            over: vec![SeatId::new(room.clone(), student.clone())],
            text: format!(
                "Took {student} off the roster of {room}{}",
                self.what_stays(room, student)
            ),
            ..RosterChange::default()
        };
        let drop = Change::DropFromRoster(room.clone(), student.clone());
        let changes = vec![drop, self.audit(actor, command)];
        self.write_accepted(ticket, changes, Accepted::Roster(change));
        Ok(())
    }

    pub(super) fn move_student(
        &mut self,
        ticket: TicketId,
        actor: &Actor,
        command: &Command,
        (student, from, to): (&StudentId, &RoomName, &RoomName),
    ) -> Result<(), Refusal> {
        self.must_be_listed(from, std::iter::once(student))?;
        if from == to {
            return Err(Refusal::invalid(format!("{student} is on the roster of {to} already")));
        }
        if self.is_about_to_close(to) {
            return Err(being_closed(to));
        }
        let minutes = self.minutes_of(&SeatId::new(from.clone(), student.clone()));
        let row = RosterRow {
            minutes,
            ..RosterRow::of(student.clone())
        };
        let change = RosterChange {
            put: vec![(to.clone(), student.clone(), minutes)],
            drop: vec![(from.clone(), student.clone())],
            over: vec![SeatId::new(from.clone(), student.clone())],
            text: format!(
                "Moved {student} from the roster of {from} to that of {to}; their seat there is made when they sign \
                 in{}",
                self.what_stays(from, student)
            ),
            ..RosterChange::default()
        };
        let changes = vec![
            Change::DropFromRoster(from.clone(), student.clone()),
            Change::PutRoster(to.clone(), vec![row]),
            self.audit(actor, command),
        ];
        self.write_accepted(ticket, changes, Accepted::Roster(change));
        Ok(())
    }

    pub(super) fn set_codes(
        &mut self,
        ticket: TicketId,
        actor: &Actor,
        command: &Command,
        (room, codes): (&RoomName, &[(StudentId, CodeHash)]),
    ) -> Result<(), Refusal> {
        self.must_be_listed(room, codes.iter().map(|(student, _)| student))?;
        let change = RosterChange {
            // Whoever had the old code may be in with it by the time that this is written.
            renewed: codes.iter().map(|(student, _)| student.clone()).collect(),
            text: format!("New codes for {} of room {room}", students(codes.len())),
            ..RosterChange::default()
        };
        let set = Change::SetCodes(codes.to_vec(), self.now.unix_ms);
        let changes = vec![set, self.audit(actor, command)];
        self.write_accepted(ticket, changes, Accepted::Roster(change));
        Ok(())
    }

    pub(super) fn peek(
        &mut self,
        ticket: TicketId,
        actor: &Actor,
        command: &Command,
        (seat, digest): (&SeatId, &str),
    ) -> Result<(), Refusal> {
        self.target(seat, None)?;
        self.grant_peek(actor, seat, digest.to_owned())?;
        let entry = self.audit(actor, command);
        self.write_fail_open(vec![entry]);
        self.tell_who(actor, command);
        let text = format!("A look into {seat}: leave the student's field empty at /login and type the code");
        self.reply(ticket, Outcome::done(text));
        Ok(())
    }

    fn must_be_listed<'s>(&self, room: &RoomName, mut who: impl Iterator<Item = &'s StudentId>) -> Result<(), Refusal> {
        let Some(all) = self.door.rosters.get(room).filter(|all| !all.is_empty()) else {
            if self.rooms.contains_key(room) || self.ended.contains_key(room) {
                let text = format!("Room {room} has no roster; `labtop roster import {room} FILE.csv` gives it one");
                return Err(Refusal::not_found(text));
            }
            return Err(no_room(room));
        };
        match who.find(|student| !all.contains_key(student)) {
            None => Ok(()),
            Some(stranger) => Err(Refusal::not_found(format!(
                "{stranger} is not on the roster of {room}; `labtop roster ls {room}` lists it"
            ))),
        }
    }

    fn what_stays(&self, room: &RoomName, student: &StudentId) -> String {
        let id = SeatId::new(room.clone(), student.clone());
        let lives = self
            .seats
            .get(&id)
            .is_some_and(|seat| seat.record.wanted < Wanted::Gone);
        if lives {
            format!("; their seat {id} stays until its lease ends or the room closes, which archives it")
        } else {
            String::new()
        }
    }

    /// What was accepted is written: who is no longer on a roster, or has a new code, is signed out.
    pub(super) fn roster_changed(&mut self, ticket: TicketId, change: RosterChange) {
        let rosters = &mut self.door.rosters;
        for (room, student) in &change.drop {
            if let Some(all) = rosters.get_mut(room) {
                all.remove(student);
            }
        }
        for (room, student, minutes) in &change.put {
            rosters
                .entry(room.clone())
                .or_default()
                .insert(student.clone(), *minutes);
        }
        let RosterChange { over, renewed, .. } = &change;
        self.note_codes(renewed);
        let (_, ended) = self.end_sessions(Ended::Revoked, |one| {
            over.contains(&one.seat) || renewed.contains(&one.seat.student)
        });
        if let Some(ended) = ended {
            self.write_fail_open(vec![ended]);
        }
        self.reply(ticket, Outcome::done(change.text));
    }
}
