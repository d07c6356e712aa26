//! People at the students' door: students who sign in, hand in and leave, and supervisors who keep rosters, have a look
//! and end sessions.
//!
//! Knows what browsers hold; must not know what the agent remembers.

use labtop::domain::command::{Command, Seats};
use labtop::domain::control::{Control, Input};
use labtop::domain::door::{DoorPolicy, DoorWish, Leaving, Lockout, SecondLogin};
use labtop::domain::ids::{RoomName, SeatId, SessionId, StudentId, TemplateName};
use labtop::domain::record::RoomWanted;
use labtop::domain::role::{Actor, Rights, Role};
use labtop::domain::roster::RosterRow;

use crate::actor::{ROOMS, room};
use crate::rng::Rng;
use crate::world::{Event, World};

/// Students who are put on rosters. Rooms with numbered seats have the last two.
const STUDENTS: [&str; 4] = ["an", "anh", "s01", "s02"];
/// Share of the runs in which anybody comes to the door.
const DOOR_PERCENT: u64 = 55;
/// How far the clock jumps when the host sleeps longer than any session lasts.
const NIGHT_MS: i64 = 13 * 60 * 60 * 1_000;

/// What people at the door have.
#[derive(Debug, Default)]
pub struct Door {
    /// Whether anybody comes to it in this run.
    pub lives: bool,
    /// Sessions that browsers hold, also such as are over.
    cookies: Vec<SessionId>,
    /// Digests of the codes for a look that were asked for, and for which room.
    codes: Vec<(RoomName, String)>,
    drawn: u64,
}

fn gateway() -> Actor {
    Actor {
        uid: 997,
        name: "labtop-gateway".into(),
        origin: None,
        rights: Rights::of(Role::Admin),
    }
}

/// The template that rooms of that name are opened from.
pub fn template_of(room: &RoomName) -> TemplateName {
    format!("t-{room}").parse().unwrap()
}

impl World {
    /// Decides whether this run has a door, and gives each room's template its policy. By chance of its own, so that
    /// the other runs stay what they were.
    pub fn build_door(&mut self) {
        let mut aside = Rng::new(self.rng.clone().next());
        self.door.lives = aside.chance(DOOR_PERCENT);
        if !self.door.lives {
            return;
        }
        let Some(plain) = self.rules.templates.pop_first().map(|(_, template)| template) else {
            return;
        };
        let leaving = |n: u64| if n == 0 { Leaving::Keep } else { Leaving::Collect };
        for name in ROOMS {
            let mut template = plain.clone();
            template.name = template_of(&room(name));
            template.port = Some(8080);
            template.door = DoorPolicy {
                second_login: [SecondLogin::Takeover, SecondLogin::Refuse][aside.index(2)],
                logout: leaving(aside.below(2)),
                hand_in: [None, Some(Leaving::Keep), Some(Leaving::Collect)][aside.index(3)],
            };
            self.rules.templates.insert(template.name.clone(), template);
        }
        self.rules.default_template = template_of(&room("a"));
    }

    /// Who comes to the door, and when. Tells whether the first room opens for whoever is on its roster.
    pub fn schedule_door(&mut self, horizon_ms: u64, bad: bool) -> bool {
        if !self.door.lives {
            return false;
        }
        if bad && self.rng.chance(30) {
            self.weather.hangs = self.rng.below(4);
        }
        for name in ROOMS {
            if name == "a" || self.rng.chance(30) {
                let rosters = Command::ImportRoster {
                    room: room(name),
                    rows: self.some_rows(),
                    whole: true,
                };
                self.ask(rosters);
            }
        }
        let opens = self.rng.chance(60);
        if opens {
            let at = self.rng.between(100, 500);
            self.after(at, Event::Comers(room("a")));
        }
        for _ in 0..self.rng.between(0, 2) {
            let (room, at) = (self.some_room(), self.rng.between(100, 3_000));
            self.after(at, Event::Comers(room));
        }
        for _ in 0..self.rng.between(5, 16) {
            let at = self.rng.below(horizon_ms);
            self.after(at, Event::Knock);
        }
        for _ in 0..self.rng.between(0, 6) {
            let at = self.rng.below(horizon_ms);
            self.after(at, Event::DoorCommand);
        }
        if self.rng.chance(10) {
            let at = self.rng.below(horizon_ms);
            self.after(at, Event::Night);
        }
        opens
    }

    pub fn night(&mut self) {
        self.note(|_| "the host sleeps through the night".into());
        self.clock_jumps(NIGHT_MS);
    }

    /// A browser does something.
    pub fn knocks(&mut self) {
        match self.rng.below(100) {
            0..52 => {
                let Some((room, student)) = self.some_place() else {
                    return;
                };
                let named = self.rng.chance(70).then_some(room);
                self.sign_in(student.clone(), named);
                // They press the button twice, or somebody else has their code.
                if self.rng.chance(30) {
                    let room = self.rng.chance(60).then(|| self.some_room());
                    self.sign_in(student, room);
                }
            }
            52..68 => self.with_cookie(DoorWish::SignOut),
            68..82 => self.with_cookie(DoorWish::HandIn),
            82..88 => {
                let digest = self.some_code();
                self.look_in(digest);
            }
            88..97 => {
                let seat = SeatId::new(self.some_room(), self.some_student());
                self.with_cookie(|session| DoorWish::Trespass(session, seat));
            }
            _ => {
                let student = self.rng.chance(70).then(|| self.some_student());
                let lockout = Lockout {
                    student,
                    address: "192.0.2.9".into(),
                    seconds: 90,
                };
                self.knock(DoorWish::LockedOut(lockout));
            }
        }
    }

    pub fn sign_in(&mut self, student: StudentId, room: Option<RoomName>) {
        let session = self.fresh_session();
        let codes_given = self.control.as_ref().map_or(0, |control| control.codes_given(&student));
        self.knock(DoorWish::SignIn {
            student,
            room,
            session,
            address: "192.0.2.7".into(),
            codes_given,
        });
    }

    fn some_code(&mut self) -> String {
        // Mostly one that was not used before.
        let newest = self.rng.chance(70);
        let codes = &mut self.door.codes;
        let code = if newest {
            codes.pop()
        } else {
            self.rng.pick(codes).cloned()
        };
        code.map_or_else(|| "0".repeat(64), |(_, digest)| digest)
    }

    pub fn look_in(&mut self, digest: String) {
        let session = self.fresh_session();
        self.knock(DoorWish::LookIn {
            digest,
            session,
            address: "192.0.2.8".into(),
        });
    }

    /// Mostly the newest session that any browser holds.
    fn with_cookie(&mut self, wish: impl FnOnce(SessionId) -> DoorWish) {
        let cookies = &self.door.cookies;
        let newest = self.rng.chance(50);
        let chosen = if newest { cookies.last() } else { self.rng.pick(cookies) };
        if let Some(session) = chosen.cloned() {
            self.knock(wish(session));
        }
    }

    fn knock(&mut self, wish: DoorWish) {
        if self.control.is_none() {
            return;
        }
        let ticket = self.fresh_ticket();
        self.note(|_| format!("{ticket:?}: {wish:?}"));
        self.comes_to_the_door(ticket, &wish);
        self.feed(Input::Knock(ticket, gateway(), wish));
    }

    /// A browser is given a session.
    pub fn keeps_cookie(&mut self, session: SessionId) {
        self.door.cookies.push(session);
    }

    /// Who has given a seat back may be sorry soon.
    pub fn may_come_back(&mut self, seat: SeatId) {
        for _ in 0..self.rng.below(3) {
            let at = self.rng.between(500, 12_000);
            self.after(at, Event::ComesBack(seat.clone()));
        }
    }

    /// The next class comes into a room that was closed.
    pub fn may_open_again(&mut self, room: &RoomName) {
        if self.door.lives && !self.quiet && self.rng.chance(40) {
            let at = self.rng.between(20, 2_000);
            self.after(at, Event::NextClass(room.clone()));
            // Whoever was given a code in the class before uses it in this one.
            let codes = self.door.codes.iter().rev();
            let code = codes
                .filter(|(of, _)| of == room)
                .map(|(_, digest)| digest.clone())
                .next();
            if let Some(digest) = code {
                let at = at + self.rng.between(10, 2_000);
                self.after(at, Event::LookIn(digest));
            }
        }
    }

    /// Whoever closes a room has mostly had a look before.
    pub fn may_look_before(&mut self, command: &Command) {
        if let Command::CloseRoom { room, .. } = command
            && self.door.lives
            && self.rng.chance(40)
        {
            let peek = self.peek(room.clone());
            self.ask(peek);
        }
    }

    fn peek(&mut self, room: RoomName) -> Command {
        let seat = self.some_seat(&room);
        self.door.drawn += 1;
        let digest = format!("{:064x}", self.door.drawn);
        self.door.codes.push((room, digest.clone()));
        Command::PeekSeat { seat, digest }
    }

    fn fresh_session(&mut self) -> SessionId {
        self.door.drawn += 1;
        format!("{:032x}", self.door.drawn).parse().unwrap()
    }

    /// A supervisor does what concerns the door.
    pub fn door_command(&mut self) {
        let command = self.think_of_door();
        self.ask(command.clone());
        // Just then the student signs in.
        if let Command::RemoveFromRoster { room, student } | Command::MoveStudent { room, student, .. } = command
            && self.rng.chance(60)
        {
            self.sign_in(student, Some(room));
        }
    }

    fn think_of_door(&mut self) -> Command {
        let (room, student) = self.listed().unwrap_or_else(|| (self.some_room(), self.some_student()));
        match self.rng.below(100) {
            0..20 => Command::ImportRoster {
                room,
                rows: self.some_rows(),
                whole: self.rng.chance(50),
            },
            20..32 => Command::RemoveFromRoster { room, student },
            32..40 => Command::MoveStudent {
                to: self.some_room(),
                room,
                student,
            },
            40..50 => Command::SetCodes {
                room,
                codes: vec![(student, "$argon2id$simulated".parse().unwrap())],
            },
            50..66 => self.peek(room),
            66..88 => self.revoke(room, student),
            _ => self.open_to_comers(room),
        }
    }

    /// Mostly of somebody who is in.
    fn revoke(&mut self, room: RoomName, student: StudentId) -> Command {
        let sessions: Vec<_> = self.control.iter().flat_map(Control::sessions).cloned().collect();
        let anybody = self.rng.chance(80);
        let seen = self.rng.pick(&sessions).filter(|_| anybody).cloned();
        let (room, student, id) = match seen {
            Some(seen) => (seen.seat.room, seen.seat.student, Some(seen.id)),
            None => (room, student, None),
        };
        let session = id.filter(|_| self.rng.chance(40));
        Command::RevokeSession { room, student, session }
    }

    /// A room for whoever is on its roster: seats for all at once, or for each who comes.
    pub fn open_to_comers(&mut self, room: RoomName) -> Command {
        Command::OpenRoom {
            template: Some(template_of(&room)),
            room,
            seats: Seats::Roster,
            minutes: self.short_leases.then_some(1),
            exam: false,
            on_demand: self.rng.chance(70),
            overrides: false,
            dry_run: false,
        }
    }

    fn some_rows(&mut self) -> Vec<RosterRow> {
        let mut rows = Vec::new();
        for name in STUDENTS {
            if rows.is_empty() || self.rng.chance(60) {
                let mut row = RosterRow::of(name.parse().unwrap());
                row.minutes = self.rng.chance(10).then_some(1);
                rows.push(row);
            }
        }
        rows
    }

    pub fn some_room(&mut self) -> RoomName {
        // Most of the life is in the first, so that people meet.
        let name = if self.rng.chance(50) {
            ROOMS[0]
        } else {
            ROOMS[self.rng.index(ROOMS.len())]
        };
        room(name)
    }

    /// A student who is on a room's roster.
    fn listed(&mut self) -> Option<(RoomName, StudentId)> {
        let rosters: Vec<_> = self.ledger.people.rosters.keys().cloned().collect();
        let knows = self.rng.chance(80);
        self.rng.pick(&rosters).filter(|_| knows).cloned()
    }

    /// Where a student goes: mostly to where they are let in; nowhere when that is nowhere.
    fn some_place(&mut self) -> Option<(RoomName, StudentId)> {
        if self.rng.chance(15) {
            return Some((self.some_room(), self.some_student()));
        }
        let (rooms, seats) = (&self.ledger.rooms, &self.ledger.seats);
        let lets_in = |(room, student): &&(RoomName, StudentId)| {
            let row = rooms.get(room).filter(|row| row.wanted == RoomWanted::Open);
            row.is_some_and(|row| row.on_demand || seats.contains_key(&SeatId::new(room.clone(), student.clone())))
        };
        let rosters = self.ledger.people.rosters.keys();
        let places: Vec<_> = rosters.filter(lets_in).cloned().collect();
        self.rng.pick(&places).cloned()
    }

    fn some_student(&mut self) -> StudentId {
        let name = self.rng.pick(&STUDENTS).copied().unwrap_or("an");
        name.parse().unwrap()
    }
}
