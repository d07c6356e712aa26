//! What must hold of sessions: one each, of the right student and opening, in force once written and never again once
//! they are over; and of seats that were collected.
//!
//! Knows what was asked at the door, what the ledger was told and what it has; judges the agent's door by it.

use std::collections::{BTreeMap, BTreeSet};

use labtop::domain::command::{Command, Outcome};
use labtop::domain::control::Control;
use labtop::domain::door::{DoorWish, KnockAnswer, Leaving, SecondLogin, SessionRecord};
use labtop::domain::effect::{OpId, TicketId};
use labtop::domain::ids::{RoomName, SeatId, SessionId, StudentId};
use labtop::domain::record::{Change, RoomWanted, Wanted};

use crate::ledger::Ledger;
use crate::world::World;

/// A seat in one opening of its room.
type Place = (SeatId, u64);

/// Who was given, or asked for, a session.
#[derive(Debug)]
struct Guest {
    /// None for a supervisor who has a look.
    student: Option<StudentId>,
    /// The room that was asked for.
    room: Option<RoomName>,
    /// The record that the ledger was told to write.
    record: Option<SessionRecord>,
    /// Whether it was answered what came of it.
    answered: bool,
}

/// A knock that waits for its answer.
#[derive(Debug)]
struct Knock {
    wish: DoorWish,
    /// The seat that is given back when it is accepted.
    collects: Option<Place>,
}

/// What happened at the door.
#[derive(Debug, Default)]
pub struct Sessions {
    guests: BTreeMap<SessionId, Guest>,
    waiting: BTreeMap<TicketId, Knock>,
    /// Sessions that the ledger ever had.
    written: BTreeSet<SessionId>,
    /// Sessions that may not be in force any more, as far as this life of the agent knows.
    over: BTreeSet<SessionId>,
    /// The same for ever, since it is written.
    erased: BTreeSet<SessionId>,
    /// Seats that nobody is let into from now on.
    shut: BTreeSet<Place>,
    /// Writes that shut seats when they are done.
    shutting: BTreeMap<OpId, Vec<Place>>,
    /// Seats that are not made again for a student who comes.
    collected: BTreeSet<Place>,
    /// Seats that their students have given back.
    pub given_back: BTreeSet<SeatId>,
}

impl Sessions {
    /// A new life knows only what is committed.
    pub fn born(&mut self, ledger: &Ledger) {
        self.waiting.clear();
        self.shutting.clear();
        self.over.clear();
        let is_gone = |seat: &SeatId| ledger.seats.get(seat).is_some_and(|row| row.wanted == Wanted::Gone);
        self.given_back.retain(is_gone);
        let gone = ledger.seats.values().filter(|row| row.wanted == Wanted::Gone);
        self.shut = gone.map(|row| (row.id.clone(), row.session)).collect();
        // What was never archived holds nothing that an empty seat could be taken for.
        let archived = |(seat, opening): &Place| {
            let mut archives = ledger.archives.iter();
            archives.any(|claim| claim.seat == *seat && claim.session == *opening)
        };
        self.collected.retain(archived);
    }

    /// A knock that was not answered.
    pub fn unanswered(&self) -> Option<String> {
        let (ticket, knock) = self.waiting.first_key_value()?;
        Some(format!("{ticket:?} {:?} was never answered", knock.wish))
    }

    /// All of a seat's, or of a student's, sessions are over, those that are being written, too.
    fn end_all(&mut self, which: impl Fn(&SessionRecord) -> bool) {
        let guests = self.guests.iter();
        let over = guests.filter(|(_, guest)| guest.record.as_ref().is_some_and(&which));
        self.over.extend(over.map(|(id, _)| id.clone()));
    }
}

impl World {
    /// Somebody is about to knock.
    pub fn comes_to_the_door(&mut self, ticket: TicketId, wish: &DoorWish) {
        let guest = match wish {
            DoorWish::SignIn {
                student, room, session, ..
            } => Some((session, Some(student.clone()), room.clone())),
            DoorWish::LookIn { session, .. } => Some((session, None, None)),
            _ => None,
        };
        let collects = self.would_collect(wish);
        let sessions = &mut self.oracle.sessions;
        if let Some((id, student, room)) = guest {
            let guest = Guest {
                student,
                room,
                record: None,
                answered: false,
            };
            sessions.guests.insert(id.clone(), guest);
        }
        let wish = wish.clone();
        sessions.waiting.insert(ticket, Knock { wish, collects });
    }

    /// The seat that a wish gives back: the student's own, where the template says so and it lives.
    fn would_collect(&self, wish: &DoorWish) -> Option<Place> {
        let (id, leaves) = match wish {
            DoorWish::SignOut(id) => (id, true),
            DoorWish::HandIn(id) => (id, false),
            _ => return None,
        };
        let control = self.control.as_ref()?;
        let session = control.sessions().find(|one| one.id == *id && one.onlooker.is_none())?;
        let policy = self.ledger.rooms.get(&session.seat.room)?.template.door;
        let collects = if leaves {
            policy.logout == Leaving::Collect
        } else {
            policy.hand_in == Some(Leaving::Collect)
        };
        let door = control.door();
        let seat = door.seats.get(&session.seat)?;
        let lives = seat.opening == session.opening && seat.open;
        (collects && lives).then(|| (session.seat.clone(), session.opening))
    }

    /// The agent has the ledger write something.
    pub fn note_door_write(&mut self, op: OpId, changes: &[Change]) {
        let shuts = |change: &Change| matches!(change, Change::SetWanted { wanted, .. } if *wanted == Wanted::Gone);
        let rows = if changes.iter().any(shuts) {
            self.known_seats()
        } else {
            BTreeMap::new()
        };
        let begins = changes.iter().any(|change| matches!(change, Change::PutSession(_)));
        let mut remade = None;
        let sessions = &mut self.oracle.sessions;
        for change in changes {
            match change {
                Change::PutSession(session) => {
                    if let Some(guest) = sessions.guests.get_mut(&session.id) {
                        guest.record = Some(session.clone());
                    }
                }
                Change::EndSessions(ids) => sessions.over.extend(ids.iter().cloned()),
                Change::SetWanted { seats, wanted, .. } if *wanted == Wanted::Gone => {
                    let places = seats.iter().filter_map(|id| Some((id.clone(), rows.get(id)?.session)));
                    sessions.shutting.entry(op).or_default().extend(places);
                }
                Change::AddSeats(new) => {
                    for row in new {
                        let is_collected = sessions.collected.contains(&(row.id.clone(), row.session));
                        if begins && is_collected {
                            remade = Some(row.id.clone());
                        }
                        sessions.given_back.remove(&row.id);
                    }
                }
                // Its last lease has ended, or its time is over and nobody is in it.
                Change::PutRoom(row) if row.wanted == RoomWanted::Closed => {
                    self.oracle.closes.insert(row.name.clone());
                }
                _ => {}
            }
        }
        if let Some(id) = remade {
            self.violated(format!("{id} is made again, although its work was collected"));
        }
    }

    /// A write is done: what it shuts is shut.
    pub fn note_door_written(&mut self, op: OpId, done: bool) {
        let sessions = &mut self.oracle.sessions;
        if let Some(places) = sessions.shutting.remove(&op).filter(|_| done) {
            sessions.shut.extend(places);
        }
    }

    /// An answer at the door.
    pub fn check_answer(&mut self, ticket: TicketId, answer: &KnockAnswer) {
        let Some(knock) = self.oracle.sessions.waiting.remove(&ticket) else {
            return self.violated(format!("an answer to {ticket:?}, which nobody asked at the door"));
        };
        if let DoorWish::SignIn { session: id, .. } | DoorWish::LookIn { session: id, .. } = &knock.wish
            && let Some(guest) = self.oracle.sessions.guests.get_mut(id)
        {
            guest.answered = true;
        }
        match (&knock.wish, answer) {
            (
                DoorWish::SignIn { session: id, .. } | DoorWish::LookIn { session: id, .. },
                KnockAnswer::In { session, over },
            ) => {
                self.check_let_in(id, session, !over.is_empty());
                self.keeps_cookie(id.clone());
            }
            (_, KnockAnswer::In { .. }) => self.violated(format!("{:?} let somebody in", knock.wish)),
            (DoorWish::SignOut(id), KnockAnswer::Done { .. }) => {
                self.oracle.sessions.over.insert(id.clone());
                self.give_back(knock.collects);
            }
            (DoorWish::HandIn(_), KnockAnswer::Done { .. }) => self.give_back(knock.collects),
            (DoorWish::SignIn { student, .. }, KnockAnswer::Taken) => self.check_taken(student),
            _ => {}
        }
    }

    /// Nobody is kept out by a session of a class that is over.
    fn check_taken(&mut self, student: &StudentId) {
        let of_now = |one: &SessionRecord| {
            let room = self.ledger.rooms.get(&one.seat.room);
            let here = one.onlooker.is_none() && one.seat.student == *student;
            here && room.is_some_and(|room| room.session == one.opening && !room.ended)
        };
        let guests = self.oracle.sessions.guests.values();
        let coming = |guest: &Guest| !guest.answered && guest.record.as_ref().is_some_and(of_now);
        let there = self.control.iter().flat_map(Control::sessions).any(of_now);
        if !there && !guests.into_iter().any(coming) {
            let old: Vec<_> = self.control.iter().flat_map(Control::sessions).collect();
            let wrong = format!("{student} is kept out by nobody who is in: {old:?}");
            self.violated(wrong);
        }
    }

    fn give_back(&mut self, place: Option<Place>) {
        let Some(place) = place else { return };
        self.oracle.wish.insert(place.0.clone(), Wanted::Gone);
        let sessions = &mut self.oracle.sessions;
        sessions.given_back.insert(place.0.clone());
        sessions.shut.insert(place.clone());
        sessions.collected.insert(place.clone());
        self.may_come_back(place.0);
    }

    fn check_let_in(&mut self, id: &SessionId, session: &SessionRecord, took_over: bool) {
        let known = &self.oracle.sessions;
        let Some(guest) = known.guests.get(id) else { return };
        let policy = self.ledger.rooms.get(&session.seat.room).map(|room| room.template.door);
        let refuses = policy.is_some_and(|policy| policy.second_login == SecondLogin::Refuse);
        let wrong = if !known.written.contains(id) {
            "before their session was written"
        } else if session.id != *id || !is_of(guest, session) {
            "as somebody else"
        } else if guest.room.as_ref().is_some_and(|room| *room != session.seat.room) {
            "to another room"
        } else if took_over && refuses {
            "in place of another, which the room refuses"
        } else {
            return;
        };
        let told = format!("somebody was let in {wrong}: {guest:?} {session:?}");
        self.violated(told);
    }

    /// What a command ended is over from its answer on.
    pub fn note_door_reply(&mut self, command: &Command, outcome: &Outcome) {
        if !matches!(outcome, Outcome::Done { .. }) {
            return;
        }
        let sessions = &mut self.oracle.sessions;
        match command {
            Command::RevokeSession {
                session: Some(seen), ..
            } => {
                sessions.over.insert(seen.clone());
            }
            Command::RevokeSession { room, student, .. } | Command::RemoveFromRoster { room, student } => {
                sessions.end_all(|one| one.seat.room == *room && one.seat.student == *student);
            }
            Command::MoveStudent { room, student, .. } => {
                sessions.end_all(|one| one.seat.room == *room && one.seat.student == *student);
            }
            // Whoever has a session, or is being given one, has proven it with the old code.
            Command::SetCodes { codes, .. } => {
                sessions.end_all(|one| codes.iter().any(|(student, _)| one.seat.student == *student));
            }
            _ => {}
        }
    }

    /// A room was opened: nobody is in it from an earlier time.
    pub fn check_opened(&mut self, room: &RoomName) {
        let opening = self.ledger.rooms.get(room).map_or(0, |row| row.session);
        let earlier = |one: &&SessionRecord| one.seat.room == *room && one.opening < opening && one.onlooker.is_none();
        let left = self.control.iter().flat_map(Control::sessions).find(earlier);
        if let Some(left) = left.cloned() {
            self.violated(format!(
                "room {room} has opened, and a session of before is in force: {left:?}"
            ));
        }
    }

    /// Every session that the agent knows, after every input.
    pub fn check_sessions(&mut self, ticked: bool) {
        let Some(control) = &self.control else { return };
        let (known, now_ms) = (&self.oracle.sessions, self.now().unix_ms);
        let mut students = BTreeSet::new();
        let mut wrong = None;
        for session in control.sessions() {
            let guest = known.guests.get(&session.id);
            let what = if !guest.is_some_and(|guest| is_of(guest, session)) {
                "is of somebody else"
            } else if session.onlooker.is_none() && !students.insert(&session.seat.student) {
                "is one of two sessions of its student"
            } else if known.over.contains(&session.id) || known.erased.contains(&session.id) {
                "is over, and in force"
            } else if !known.written.contains(&session.id) {
                "is in force before it is written"
            } else if ticked && session.ends_unix_ms <= now_ms {
                "has expired, and is in force"
            } else {
                continue;
            };
            wrong = Some(format!("{session:?} {what}"));
        }
        if let Some(wrong) = wrong {
            self.violated(wrong);
        }
    }

    /// The ledger is about to change.
    pub fn note_door_commit(&mut self, changes: &[Change]) {
        let mut wrong = None;
        let (sessions, ledger) = (&mut self.oracle.sessions, &self.ledger);
        let begins = changes.iter().any(|change| matches!(change, Change::PutSession(_)));
        for change in changes {
            match change {
                Change::PutSession(session) if !self.sabotage.fleeting => {
                    sessions.written.insert(session.id.clone());
                    let room = ledger.rooms.get(&session.seat.room);
                    let now = room.is_some_and(|room| room.session == session.opening && !room.ended);
                    if session.onlooker.is_none() && !now {
                        wrong = Some(format!("{session:?} begins in {room:?}"));
                    }
                }
                Change::EndSessions(ids) => sessions.erased.extend(ids.iter().cloned()),
                Change::EndSeat(id) => {
                    if let Some(row) = ledger.seats.get(id).filter(|row| row.closing.archive.is_some()) {
                        sessions.collected.insert((id.clone(), row.session));
                    }
                }
                Change::AddSeats(rows) => {
                    for place in rows.iter().map(|row| (row.id.clone(), row.session)) {
                        if ledger.seats.contains_key(&place.0) {
                            continue;
                        }
                        sessions.shut.remove(&place);
                        // A supervisor may have it made again.
                        if !begins {
                            sessions.collected.remove(&place);
                        }
                    }
                }
                _ => {}
            }
        }
        if let Some(wrong) = wrong {
            self.violated(wrong);
        }
    }

    /// The ledger has changed.
    pub fn check_door_rows(&mut self) {
        let mut students = BTreeSet::new();
        let mut wrong = None;
        for row in &self.ledger.people.sessions {
            if row.onlooker.is_none() && !students.insert(&row.seat.student) {
                wrong = Some(format!("{row:?} is one of two sessions of its student in the ledger"));
            }
            if self.oracle.sessions.erased.contains(&row.id) {
                wrong = Some(format!("{row:?} is over, and in the ledger"));
            }
        }
        if let Some(wrong) = wrong {
            self.violated(wrong);
        }
    }

    /// How the sessions in force differ from those of the ledger.
    pub fn sessions_differ(&self) -> Option<String> {
        let control = self.control.as_ref()?;
        let rows = &self.ledger.people.sessions;
        let same = control.sessions().count() == rows.len() && control.sessions().all(|one| rows.contains(one));
        let told = || {
            let in_force: Vec<_> = control.sessions().collect();
            format!("the sessions in force are {in_force:?}, in the ledger {rows:?}")
        };
        (!same).then(told)
    }

    /// What the gateway lets each session into is a container of the same student and the same opening.
    pub fn check_ways(&mut self) {
        let mut wrong = None;
        for (session, seat) in self.ways() {
            let Some(guest) = self.oracle.sessions.guests.get(&session.id) else {
                continue;
            };
            let Some(container) = seat.target.and_then(|target| self.docker.at(target.ip())) else {
                continue;
            };
            let begun = guest.record.as_ref().map(|record| (&record.seat, record.opening));
            let foreign = guest.student.as_ref().is_some_and(|one| *one != container.seat.student);
            if foreign || begun != Some((&container.seat, container.session)) {
                wrong = Some(format!("{session:?} opens another seat: {container:?}"));
            }
        }
        if let Some(wrong) = wrong {
            self.violated(wrong);
        }
    }

    /// Nobody is let into a seat that is closed or collected. (The gateway has just heard of everything.)
    pub fn check_shut(&mut self) {
        let shut = &self.oracle.sessions.shut;
        let way = self
            .ways()
            .find(|(_, seat)| shut.contains(&(seat.seat.clone(), seat.opening)));
        if let Some((session, seat)) = way {
            let wrong = format!("{session:?} is let into a seat that is shut: {seat:?}");
            self.violated(wrong);
        }
    }
}

/// Whether the session is that guest's.
fn is_of(guest: &Guest, session: &SessionRecord) -> bool {
    match &guest.student {
        Some(student) => session.onlooker.is_none() && session.seat.student == *student,
        None => session.onlooker.is_some(),
    }
}
