//! The ends of sessions: signed out, taken over, revoked, over.

use super::{Control, ENDED_KEPT, MINUTE_MS, done, sessions_in_words};
use crate::domain::command::Outcome;
use crate::domain::control::state::Doing;
use crate::domain::door::{Ended, KnockAnswer, Leaving, SessionRecord};
use crate::domain::effect::{Task, TicketId, Yield};
use crate::domain::fault::{Fault, Refusal};
use crate::domain::ids::{RoomName, SeatId, SessionId};
use crate::domain::notice::Notice;
use crate::domain::record::{Change, RoomRecord, RoomWanted, Wanted};
use crate::domain::role::Actor;

impl Control {
    pub(super) fn forget_session(&mut self, id: &SessionId, why: Ended) {
        self.door.trespassed.remove(id);
        if let Some(session) = self.door.sessions.remove(id) {
            let container = self.seats.get(&session.seat).and_then(|seat| seat.container.as_ref());
            if let Some(address) = container.and_then(|container| container.address) {
                self.start(Task::Cut(session.seat.clone(), address), Doing::Cut(session.seat));
            }
            self.door.ended.push_back((id.clone(), why));
            if self.door.ended.len() > ENDED_KEPT {
                self.door.ended.pop_front();
            }
        }
    }

    /// Whoever ended a session must know when a connection of it may go on. What hinders it hinders it every time, so that
    /// it is told once.
    pub(in crate::domain::control) fn cut_done(&mut self, seat: &SeatId, result: Result<Yield, Fault>) {
        if let Err(fault) = result
            && !std::mem::replace(&mut self.door.cut_failed, true)
        {
            self.tell(Notice::error(format!("{seat}: {fault}")).about(&seat.room));
        }
    }

    /// Whoever leaves has left at once; that it is written may take longer.
    pub(super) fn sign_out(&mut self, actor: &Actor, id: &SessionId) -> KnockAnswer {
        let Some(session) = self.door.sessions.get(id).cloned() else {
            return done("You are signed out");
        };
        self.forget_session(id, Ended::SignedOut);
        let entry = self.note_of(actor, "sign out", &session, "done");
        self.write_fail_open(vec![Change::EndSessions(vec![id.clone()]), entry]);
        let policy = self.rooms.get(&session.seat.room).map(|room| room.record.template.door);
        let collects = policy.is_some_and(|policy| policy.logout == Leaving::Collect);
        if session.onlooker.is_none() && collects {
            self.collect(actor, &session, "sign out");
            return done("You are signed out, and your work is being collected");
        }
        done("You are signed out")
    }

    /// Ends the sessions that `which` is true for, those that are being written, too, and tells how many. In force at
    /// once.
    pub(in crate::domain::control) fn end_sessions(
        &mut self,
        why: Ended,
        which: impl Fn(&SessionRecord) -> bool,
    ) -> (usize, Option<Change>) {
        let sessions = self.door.sessions.values().filter(|session| which(session));
        let mut ids: Vec<SessionId> = sessions.map(|session| session.id.clone()).collect();
        for id in &ids {
            self.forget_session(id, why);
        }
        let coming = self.ops.values_mut().filter_map(Doing::admission);
        for admission in coming.filter(|one| which(&one.session) && !one.revoked) {
            admission.revoked = true;
            ids.push(admission.session.id.clone());
        }
        let count = ids.len();
        (count, (count > 0).then_some(Change::EndSessions(ids)))
    }

    /// Sessions of a room's earlier openings: whoever is still signed in signs in anew.
    pub(in crate::domain::control) fn end_sessions_before(&mut self, room: &RoomName, opening: u64) {
        let earlier = |one: &&SessionRecord| one.seat.room == *room && one.opening < opening;
        let over: Vec<SessionId> = self
            .door
            .sessions
            .values()
            .filter(earlier)
            .map(|one| one.id.clone())
            .collect();
        if over.is_empty() {
            return;
        }
        for id in &over {
            self.forget_session(id, Ended::Expired);
        }
        self.write_fail_open(vec![Change::EndSessions(over)]);
    }

    /// A supervisor ends a student's session, and the count of their wrong codes; or only the session that they saw.
    pub(in crate::domain::control) fn revoke(
        &mut self,
        (ticket, actor): (TicketId, &Actor),
        entry: Change,
        seat: &SeatId,
        seen: Option<&SessionId>,
    ) -> Result<(), Refusal> {
        let SeatId { room, student } = seat;
        let is_there = |one: &SessionRecord| one.seat == *seat && seen.is_none_or(|id| one.id == *id);
        if seen.is_some() && !self.door.sessions.values().any(is_there) {
            return Err(Refusal::conflict(format!(
                "That session of {seat} is over by now; nothing was done"
            )));
        }
        if seen.is_none() && !self.is_listed(seat) && !self.seats.contains_key(seat) {
            return Err(Refusal::not_found(format!(
                "There is no student {student} in room {room}; `labtop sessions ls` lists the sessions"
            )));
        }
        let (count, ended) = self.end_sessions(Ended::Revoked, is_there);
        self.write_fail_open(ended.into_iter().chain([entry]).collect());
        self.door.locked_out.remove(student.as_str());
        self.start(Task::Absolve(student.clone()), Doing::Absolve);
        let text = match count {
            0 => format!("Nobody is signed in at {seat}; wrong codes are forgotten"),
            count => format!(
                "Ended {} of {seat}; wrong codes are forgotten",
                sessions_in_words(count)
            ),
        };
        self.tell(Notice::info(format!("{}: sessions revoke {seat}", actor.name)).about(room));
        self.reply(ticket, Outcome::done(text));
        Ok(())
    }

    /// Sessions whose time is over.
    pub(in crate::domain::control) fn watch_sessions(&mut self) {
        let now_ms = self.now.unix_ms;
        let over = self.door.sessions.values().filter(|one| one.ends_unix_ms <= now_ms);
        let over: Vec<SessionId> = over.map(|one| one.id.clone()).collect();
        if over.is_empty() {
            return;
        }
        for id in &over {
            self.forget_session(id, Ended::Expired);
        }
        self.write_fail_open(vec![Change::EndSessions(over)]);
    }

    /// Rooms that wait for students who come, and whose time is over with nobody in them, close.
    pub(in crate::domain::control) fn close_deserted(&mut self) {
        let now_ms = self.now.unix_ms;
        let is_over = |room: &RoomRecord| room.opened_unix_ms + u64::from(room.lease_minutes()) * MINUTE_MS <= now_ms;
        let lives = |name: &RoomName| {
            let seats = self.seats.values();
            seats
                .filter(|seat| seat.record.id.room == *name)
                .any(|seat| seat.record.wanted < Wanted::Gone)
        };
        let coming = |name: &RoomName| self.is_being_filled(name) || self.is_about_to_close(name);
        let rooms = self.rooms.values().map(|room| &room.record);
        let over: Vec<RoomName> = rooms
            .filter(|room| room.on_demand && room.wanted == RoomWanted::Open && is_over(room))
            .filter(|room| !lives(&room.name) && !coming(&room.name))
            .map(|room| room.name.clone())
            .collect();
        for name in over {
            let entry = Change::Audit(self.own_entry("room end", name.to_string()));
            if let Some(room) = self.rooms.get_mut(&name) {
                room.record.wanted = RoomWanted::Closed;
                let row = Change::PutRoom(room.record.clone());
                self.write_fail_open(vec![row, entry]);
                let text = format!("Room {name}: its time is over and nobody is in it; it closes");
                self.tell(Notice::info(text).about(&name));
            }
        }
    }

    /// Whether a seat of that room is being written.
    pub(in crate::domain::control) fn is_being_filled(&self, name: &RoomName) -> bool {
        let coming = self.ops.values().flat_map(Doing::new_seats);
        coming.map(|seat| &seat.id.room).any(|room| room == name)
    }
}
