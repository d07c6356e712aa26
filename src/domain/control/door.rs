//! The students' door: who gets a session, which seat it opens, and what becomes of both.
//!
//! That somebody is who they say they are was proven before. One student has one session; a supervisor who looks into a
//! seat has one of their own beside it.

mod end;
mod lockout;
mod look;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::SocketAddr;

use super::Control;
use super::drain::stopping;
use super::state::{Doing, Seat};
use super::view::phase;
use crate::domain::door::{
    DoorSeat, DoorState, DoorWish, Ended, KnockAnswer, Leaving, SESSION_MAX_MS, SecondLogin, SessionRecord,
};
use crate::domain::effect::{Effect, Task, TicketId};
use crate::domain::fault::Refusal;
use crate::domain::ids::{RoomName, SeatId, SessionId, StudentId};
use crate::domain::notice::Notice;
use crate::domain::plan::Step;
use crate::domain::policy::SEATS_PER_ROOM_MAX;
use crate::domain::record::{AuditEntry, Change, RoomWanted, SeatRecord, Wanted};
use crate::domain::role::Actor;
use crate::domain::seen::RunState;
use look::Peek;

/// Ended sessions that are remembered, so that a browser is told why.
const ENDED_KEPT: usize = 1_000;
const MINUTE_MS: u64 = 60_000;
/// What a student is told who hands in and goes on.
const SAVING: &str = "Your work is being saved; the receipt appears here";

/// What is remembered of the door.
#[derive(Debug, Default)]
pub(super) struct Door {
    /// Who may sit where, and for how many minutes where that is said.
    pub rosters: BTreeMap<RoomName, BTreeMap<StudentId, Option<u32>>>,
    pub sessions: BTreeMap<SessionId, SessionRecord>,
    ended: VecDeque<(SessionId, Ended)>,
    /// Seats of open rooms whose work is collected: they are not made again by themselves.
    pub collected: BTreeSet<SeatId>,
    peeks: Vec<Peek>,
    /// The last minute in which a session's trespass was told of.
    trespassed: BTreeMap<SessionId, u64>,
    /// Who is locked out, and until when by the monotonic clock, milliseconds.
    locked_out: BTreeMap<String, u64>,
    /// How often each student was given a code in this life of the agent.
    codes_given: BTreeMap<StudentId, u64>,
    /// Whether it was told that connections cannot be cut.
    cut_failed: bool,
}

/// A session that is being written, and the seat that is made for it.
#[derive(Debug)]
pub(super) struct Admission {
    pub ticket: TicketId,
    pub session: SessionRecord,
    pub seat: Vec<SeatRecord>,
    /// Whether it was ended before it was written.
    pub revoked: bool,
}

impl Control {
    /// A gateway asks for somebody who has proven who they are.
    pub(super) fn knock(&mut self, ticket: TicketId, actor: &Actor, wish: DoorWish) {
        let answered = match wish {
            _ if self.is_draining() => Err(stopping("sign in").into()),
            DoorWish::SignIn {
                student,
                room,
                session,
                address,
                codes_given,
            } if codes_given == self.codes_given(&student) => {
                self.sign_in((ticket, actor), &student, room, (session, address))
            }
            // The code was replaced while it was proven.
            DoorWish::SignIn { .. } => Err(KnockAnswer::Wrong),
            DoorWish::LookIn {
                digest,
                session,
                address,
            } => self.look_in((ticket, actor), &digest, (session, address)),
            DoorWish::SignOut(session) => Err(self.sign_out(actor, &session)),
            DoorWish::HandIn(session) => Err(self.hand_in(actor, &session)),
            DoorWish::Trespass(session, seat) => {
                self.trespass(actor, &session, &seat);
                Err(done(""))
            }
            DoorWish::LockedOut(lockout) => {
                self.locked_out(actor, lockout);
                Err(done(""))
            }
        };
        if let Err(answer) = answered {
            self.out.push(Effect::Answer(ticket, answer));
        }
    }

    fn sign_in(
        &mut self,
        (ticket, actor): (TicketId, &Actor),
        student: &StudentId,
        room: Option<RoomName>,
        (id, address): (SessionId, String),
    ) -> Result<(), KnockAnswer> {
        let rooms = self.rooms_of(student);
        let room = match (room, rooms.as_slice()) {
            (Some(room), all) if all.contains(&room) => room,
            (None, [only]) => only.clone(),
            (Some(_), _) | (None, []) => return Err(KnockAnswer::NoRoom),
            (None, _) => return Err(KnockAnswer::Choose { rooms }),
        };
        let Some(opening) = self.opening(&room) else {
            return Err(KnockAnswer::NoRoom);
        };
        let seat = SeatId::new(room, student.clone());
        if self.refuses_second(&seat) {
            let text = format!(
                "{seat}: a second sign-in from {address} was refused; `labtop sessions revoke {seat}` ends the first"
            );
            self.tell(Notice::incident(text).about(&seat.room));
            return Err(KnockAnswer::Taken);
        }
        let session = SessionRecord {
            id,
            began_unix_ms: self.now.unix_ms,
            ends_unix_ms: self.now.unix_ms + SESSION_MAX_MS,
            address,
            onlooker: None,
            seat,
            opening,
        };
        self.admit(ticket, actor, session, "sign in");
        Ok(())
    }

    /// How often the student was given a code: whoever proves one says how often that was when they began.
    #[must_use]
    pub fn codes_given(&self, student: &StudentId) -> u64 {
        self.door.codes_given.get(student).copied().unwrap_or_default()
    }

    /// New codes are in force.
    pub(super) fn note_codes(&mut self, students: &[StudentId]) {
        for student in students {
            *self.door.codes_given.entry(student.clone()).or_default() += 1;
        }
    }

    /// The rooms that a student may go into now.
    fn rooms_of(&self, student: &StudentId) -> Vec<RoomName> {
        let rooms = self.rooms.values().map(|room| &room.record);
        let open = rooms.filter(|room| room.wanted == RoomWanted::Open && !self.is_about_to_close(&room.name));
        let ids = open.map(|room| SeatId::new(room.name.clone(), student.clone()));
        ids.filter(|id| self.lets_in(id)).map(|id| id.room).collect()
    }

    /// Whether the student is on the room's roster, and has a seat there, had one, or gets one by coming. A roster
    /// outlives its room: who is on it from an earlier class has no place in one that was opened for others.
    fn lets_in(&self, id: &SeatId) -> bool {
        let seated = self.seats.contains_key(id) || self.door.collected.contains(id);
        let comes = self.rooms.get(&id.room).is_some_and(|room| room.record.on_demand);
        self.is_listed(id) && (seated || comes)
    }

    pub(super) fn is_listed(&self, id: &SeatId) -> bool {
        let roster = self.door.rosters.get(&id.room);
        roster.is_some_and(|all| all.contains_key(&id.student))
    }

    /// Whether the student has a session, or is being given one, that this sign-in may not end. The stricter of the two
    /// rooms counts.
    fn refuses_second(&self, seat: &SeatId) -> bool {
        let of_student = |session: &&SessionRecord| {
            session.onlooker.is_none() && session.seat.student == seat.student && self.is_of_now(session)
        };
        let coming = self.ops.values().filter_map(Doing::admits);
        let others: Vec<&SessionRecord> = self.door.sessions.values().chain(coming).filter(of_student).collect();
        let refuses = |room: &RoomName| {
            let room = self.rooms.get(room);
            room.is_some_and(|room| room.record.template.door.second_login == SecondLogin::Refuse)
        };
        !others.is_empty() && (refuses(&seat.room) || others.iter().any(|other| refuses(&other.seat.room)))
    }

    /// Whether the session is of a class that goes on: one that is over opens nothing, and keeps nobody out of the next.
    fn is_of_now(&self, session: &SessionRecord) -> bool {
        let room = self.rooms.get(&session.seat.room).map(|room| &room.record);
        room.is_some_and(|room| room.session == session.opening && room.wanted == RoomWanted::Open)
    }

    /// Writes a session, and with it the seat that its student has not got yet: it counts from then on.
    fn admit(&mut self, ticket: TicketId, actor: &Actor, session: SessionRecord, verb: &str) {
        let seat: Vec<SeatRecord> = match session.onlooker {
            None => self.seat_on_demand(&session.seat).into_iter().collect(),
            Some(_) => Vec::new(),
        };
        let mut changes = vec![Change::PutSession(session.clone())];
        if !seat.is_empty() {
            changes.push(Change::AddSeats(seat.clone()));
        }
        changes.push(self.note_of(actor, verb, &session, "admitted"));
        let admission = Admission {
            ticket,
            session,
            seat,
            revoked: false,
        };
        self.start(Task::Write(changes), Doing::Admit(Box::new(admission)));
    }

    /// What the audit trail says of a session: the gateway asked, from the address that it was told.
    fn note_of(&self, actor: &Actor, verb: &str, session: &SessionRecord, outcome: &str) -> Change {
        let who = session.onlooker.clone().unwrap_or_else(|| actor.name.clone());
        let mut entry = AuditEntry::of(actor, self.now.unix_ms, verb, session.seat.to_string(), outcome);
        entry.user = who;
        entry.origin = Some(session.address.clone());
        Change::Audit(entry)
    }

    /// The seat of a student who comes and has none. Who has handed in gets no new one.
    fn seat_on_demand(&self, id: &SeatId) -> Option<SeatRecord> {
        let coming = self.ops.values().flat_map(Doing::new_seats).map(|seat| &seat.id);
        let all: BTreeSet<&SeatId> = self.seats.keys().chain(coming).collect();
        let seated = all.iter().filter(|seat| seat.room == id.room).count();
        if all.contains(id) || self.door.collected.contains(id) || seated >= SEATS_PER_ROOM_MAX as usize {
            return None;
        }
        let room = &self.rooms.get(&id.room)?.record;
        let minutes = self.minutes_of(id).unwrap_or(room.lease_minutes());
        Some(self.new_seat(id.clone(), room.session, false, u64::from(minutes) * MINUTE_MS))
    }

    /// How long a student's own seat is held, minutes, where the roster says so.
    pub(super) fn minutes_of(&self, id: &SeatId) -> Option<u32> {
        *self.door.rosters.get(&id.room)?.get(&id.student)?
    }

    /// A session is written: it opens its seat from now on, and an earlier one of the same student none.
    pub(super) fn admitted(&mut self, admission: Admission) {
        let Admission {
            ticket,
            session,
            seat,
            revoked,
        } = admission;
        for record in seat {
            self.seated(record);
        }
        let same = |other: &SessionRecord| {
            session.onlooker.is_none() && other.onlooker.is_none() && other.seat.student == session.seat.student
        };
        let others = self.door.sessions.values().filter(|other| same(other));
        let ended: Vec<(SessionId, bool)> = others.map(|one| (one.id.clone(), self.is_of_now(one))).collect();
        for (id, of_now) in &ended {
            self.forget_session(id, if *of_now { Ended::TakenOver } else { Ended::Expired });
        }
        // The ledger has this one in their place by now, so they are over whatever becomes of it.
        if session.onlooker.is_none() && !self.is_listed(&session.seat) {
            // Taken off the roster while this was being written.
            self.write_fail_open(vec![Change::EndSessions(vec![session.id])]);
            return self.out.push(Effect::Answer(ticket, KnockAnswer::NoRoom));
        }
        if revoked {
            let over = Refusal::conflict("A supervisor has ended this session: sign in again");
            return self.out.push(Effect::Answer(ticket, over.into()));
        }
        let over: Vec<SessionId> = ended
            .into_iter()
            .filter_map(|(id, of_now)| of_now.then_some(id))
            .collect();
        let (seat, address) = (&session.seat, &session.address);
        let news = match (&session.onlooker, !over.is_empty()) {
            (Some(who), _) => Notice::info(format!("{who} looks into {seat} from {address}")),
            (None, true) => Notice::incident(format!(
                "{seat}: signed in again from {address}; the earlier session is over"
            )),
            (None, false) => Notice::info(format!("{seat}: signed in from {address}")),
        };
        self.tell(news.about(&session.seat.room));
        self.door.sessions.insert(session.id.clone(), session.clone());
        self.out.push(Effect::Answer(
            ticket,
            KnockAnswer::In {
                session: Box::new(session),
                over,
            },
        ));
    }

    /// A seat that was written for a student who came. Its room may have been closed meanwhile.
    fn seated(&mut self, record: SeatRecord) {
        let name = record.id.room.clone();
        let closed = self
            .rooms
            .get(&name)
            .is_none_or(|room| room.record.wanted == RoomWanted::Closed);
        let seat = self.seats.entry(record.id.clone()).or_insert_with(|| Seat::new(record));
        if closed {
            seat.record.wanted = Wanted::Gone;
        }
        let total = self.seats.keys().filter(|id| id.room == name).count();
        if let Some(room) = self.rooms.get_mut(&name) {
            room.total = room.total.max(total);
        }
    }

    fn hand_in(&mut self, actor: &Actor, id: &SessionId) -> KnockAnswer {
        let Some(session) = self.door.sessions.get(id).filter(|session| session.onlooker.is_none()) else {
            return Refusal::conflict("This session is over: sign in again").into();
        };
        let session = session.clone();
        let policy = self.rooms.get(&session.seat.room).map(|room| room.record.template.door);
        let seat = self.seats.get(&session.seat);
        let own = seat.filter(|seat| seat.record.session == session.opening && seat.record.wanted < Wanted::Gone);
        let (lives, saves) = (own.is_some(), own.is_some_and(|seat| seat.saving.is_awaited()));
        match policy.and_then(|policy| policy.hand_in) {
            None => Refusal::conflict("Nothing is handed in here: your work is collected when the room closes").into(),
            Some(_) if !lives => done("Your work is collected already"),
            // A button that is pressed a thousand times saves once, and is written once.
            Some(Leaving::Keep) if saves => done(SAVING),
            Some(Leaving::Keep) => {
                let entry = self.note_of(actor, "hand in", &session, "saving");
                self.write_fail_open(vec![entry]);
                self.wish_snapshots(std::slice::from_ref(&session.seat));
                done(SAVING)
            }
            Some(Leaving::Collect) => {
                self.collect(actor, &session, "hand in");
                done("Your work is being collected; the receipt appears here")
            }
        }
    }

    /// Archives, verifies and tears down the seat of a session. In force at once: a student who was told that they have
    /// handed in changes nothing any more.
    fn collect(&mut self, actor: &Actor, session: &SessionRecord, verb: &str) {
        let id = &session.seat;
        let seat = self.seats.get_mut(id);
        // One of a later opening is not what this session is about.
        let own = |seat: &&mut Seat| seat.record.session == session.opening && seat.record.wanted < Wanted::Gone;
        let Some(seat) = seat.filter(own) else { return };
        seat.record.wanted = Wanted::Gone;
        seat.fresh_start();
        self.door.collected.insert(id.clone());
        let wanted = Change::SetWanted {
            seats: vec![id.clone()],
            wanted: Wanted::Gone,
            discard_by: None,
        };
        let entry = self.note_of(actor, verb, session, "collecting");
        self.write_fail_open(vec![wanted, entry]);
        self.tell(Notice::info(format!("{id}: {verb}; the work is collected")).about(&id.room));
    }

    /// Told of once a minute and session: a page that tries again and again fills neither screen nor disk.
    fn trespass(&mut self, actor: &Actor, id: &SessionId, seat: &SeatId) {
        let minute = self.now.mono_ms / MINUTE_MS;
        let Some(session) = self.door.sessions.get(id).cloned() else {
            return;
        };
        if self.door.trespassed.insert(id.clone(), minute) == Some(minute) {
            return;
        }
        let outcome = format!("refused: {seat} is another's");
        let entry = self.note_of(actor, "trespass", &session, &outcome);
        self.write_fail_open(vec![entry]);
        let text = format!(
            "{} tried to get into the seat {seat}, from {}",
            session.seat, session.address
        );
        for room in BTreeSet::from([&session.seat.room, &seat.room]) {
            self.tell(Notice::incident(text.clone()).about(room));
        }
    }

    /// Everything that doors are answered from.
    #[must_use]
    pub fn door(&self) -> DoorState {
        let places = self.places();
        let seats = self.seats.values().filter_map(|seat| {
            let place = places.get(&seat.record.id).copied();
            Some((seat.record.id.clone(), self.door_seat(seat, place)?))
        });
        DoorState {
            seats: seats.collect(),
            sessions: self.door.sessions.clone(),
            ended: self.door.ended.iter().cloned().collect(),
        }
    }

    fn door_seat(&self, seat: &Seat, place: Option<usize>) -> Option<DoorSeat> {
        let record = &seat.record;
        let template = &self.rooms.get(&record.id.room)?.record.template;
        Some(DoorSeat {
            seat: record.id.clone(),
            opening: record.session,
            route: record.route.clone(),
            phase: phase(seat),
            open: record.wanted < Wanted::Gone,
            ends_unix_ms: (!record.held).then_some(record.deadline_unix_ms),
            place,
            target: seat
                .container
                .as_ref()
                .filter(|container| matches!(container.state, RunState::Running | RunState::Paused))
                .and_then(|container| Some(SocketAddr::new(container.address?, template.port?))),
            trouble: seat.fault.is_some(),
            policy: template.door,
        })
    }

    /// The line of seats that are being made, in the order in which they were begun, from 1.
    fn places(&self) -> BTreeMap<&SeatId, usize> {
        let mut line: Vec<_> = self
            .seats
            .values()
            .filter_map(|seat| match seat.main {
                Some((op, Step::Provision)) => Some((op, &seat.record.id)),
                _ => None,
            })
            .collect();
        line.sort_unstable();
        line.into_iter().zip(1..).map(|((_, id), place)| (id, place)).collect()
    }

    /// The sessions that are not over.
    pub fn sessions(&self) -> impl Iterator<Item = &SessionRecord> {
        self.door.sessions.values()
    }

    /// The opening of a room that is open, or was open last.
    #[must_use]
    pub fn opening(&self, room: &RoomName) -> Option<u64> {
        let open = self.rooms.get(room).map(|room| room.record.session);
        open.or_else(|| self.ended.get(room).copied())
    }
}

fn done(text: &str) -> KnockAnswer {
    KnockAnswer::Done { text: text.to_owned() }
}

/// So many sessions, in words.
fn sessions_in_words(count: usize) -> String {
    match count {
        1 => "1 session".to_owned(),
        count => format!("{count} sessions"),
    }
}
