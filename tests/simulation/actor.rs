//! People: supervisors who ask, and meddlers who go to the engine behind the agent's back.

use labtop::domain::command::{Command, Seats};
use labtop::domain::control::Input;
use labtop::domain::ids::{ContainerId, RoomName, SeatId, StudentId};
use labtop::domain::record::Wanted;
use labtop::domain::role::{Actor, Rights, Role};
use labtop::domain::seen::RunState;

use crate::door::template_of;
use crate::world::World;

/// Rooms that people think of.
pub const ROOMS: [&str; 3] = ["a", "b", "a-1"];

pub fn room(name: &str) -> RoomName {
    name.parse().unwrap()
}

fn supervisor(n: u64) -> Actor {
    Actor {
        uid: 1_000 + u32::try_from(n).unwrap_or(0),
        name: format!("supervisor{n}"),
        origin: None,
        rights: Rights::of(Role::Admin),
    }
}

impl World {
    /// A supervisor asks for something.
    pub fn command(&mut self) {
        let command = self.think_of();
        self.may_look_before(&command);
        self.ask(command);
        if self.rng.chance(10) {
            // Another one has the same idea at the same moment.
            let command = self.think_of();
            self.ask(command);
        }
    }

    pub fn ask(&mut self, command: Command) {
        if self.control.is_none() {
            return;
        }
        let ticket = self.fresh_ticket();
        self.note(|_| format!("{ticket:?}: {command:?}"));
        self.oracle.tickets.insert(ticket, (command.clone(), 0));
        let seats = self.known_seats();
        self.oracle.asks(&command, &seats);
        let actor = supervisor(self.rng.below(2));
        self.feed(Input::Command(ticket, actor, command.clone()));
        if self
            .oracle
            .tickets
            .get(&ticket)
            .is_none_or(|(_, replies)| *replies == 0)
        {
            // The seat of a student who comes may be written, and not there yet: then nobody meant it.
            let mut seats = seats;
            seats.retain(|id, _| self.control.as_ref().is_some_and(|control| control.has_seat(id)));
            self.oracle.asked(&command, &seats);
        }
    }

    /// Rows that are committed or on their way.
    pub fn known_seats(&self) -> std::collections::BTreeMap<SeatId, labtop::domain::record::SeatRecord> {
        let mut seats = self.ledger.seats.clone();
        for (_, changes) in &self.ledger.line {
            for change in changes {
                if let labtop::domain::record::Change::AddSeats(new) = change {
                    seats.extend(new.iter().map(|s| (s.id.clone(), s.clone())));
                }
            }
        }
        seats
    }

    fn think_of(&mut self) -> Command {
        let room = room(self.rng.pick(&ROOMS).copied().unwrap_or("a"));
        let seat = self.some_seat(&room);
        let student = self.rng.chance(50).then(|| seat.student.clone());
        match self.rng.below(100) {
            0..25 => self.open(room),
            25..30 => self.restore(room),
            30..46 => Command::CloseRoom {
                room,
                discard: self.allow_discard && self.rng.chance(30),
            },
            46..58 => Command::FreezeRoom { room, student },
            58..68 => Command::ThawRoom { room, student },
            68..70 => Command::SnapshotRoom { room, student },
            70..73 => Command::HoldRoom { room, student },
            73..75 => Command::ReleaseRoom { room, student },
            75..84 => Command::KillSeat {
                container: self.seen_container(&seat),
                seat,
            },
            84..94 => Command::RestartSeat {
                container: self.seen_container(&seat),
                seat,
            },
            _ => Command::ExtendRoom {
                room,
                student,
                minutes: 5,
            },
        }
    }

    pub fn open(&mut self, room: RoomName) -> Command {
        let seats = if self.rng.chance(60) {
            Seats::Numbered(u32::try_from(self.rng.between(1, 3)).unwrap_or(1))
        } else {
            let names = ["an", "anh", "s01"];
            Seats::Students(
                names
                    .iter()
                    .take(self.rng.index(3) + 1)
                    .map(|s| s.parse().unwrap())
                    .collect(),
            )
        };
        Command::OpenRoom {
            template: self.door.lives.then(|| template_of(&room)),
            room,
            seats,
            minutes: (self.rng.chance(20) || self.short_leases && self.rng.chance(60)).then_some(1),
            exam: false,
            on_demand: false,
            overrides: false,
            dry_run: self.rng.chance(3),
        }
    }

    fn restore(&mut self, room: RoomName) -> Command {
        let archive = "20261124T034512Z-7f3a9c1b".parse().unwrap();
        let student = StudentId::numbered(u32::try_from(self.rng.between(1, 4)).unwrap_or(1));
        Command::RestoreSeat {
            archive,
            seat: SeatId::new(room, student),
            template: None,
            minutes: None,
        }
    }

    pub fn some_seat(&mut self, room: &RoomName) -> SeatId {
        let there: Vec<SeatId> = self
            .ledger
            .seats
            .keys()
            .filter(|id| id.room == *room)
            .cloned()
            .collect();
        let wrong = SeatId::new(room.clone(), StudentId::numbered(9));
        if self.rng.chance(5) {
            return wrong;
        }
        self.rng.pick(&there).cloned().unwrap_or(wrong)
    }

    /// The container that a person sees: mostly the right one.
    fn seen_container(&mut self, seat: &SeatId) -> Option<ContainerId> {
        if self.rng.chance(30) {
            return None;
        }
        let there = self.docker.of_seat(seat).map(|c| c.id.clone());
        if self.rng.chance(5) {
            return Some("dead".parse().unwrap());
        }
        there
    }

    /// Somebody does something at the engine to a seat that there is. (Who starts what a hung call made after its seat had
    /// ended makes an orphan, which is an admin's.)
    pub fn meddle(&mut self) {
        if !self.engine_up {
            return;
        }
        let (mut open, mut closing) = (Vec::new(), Vec::new());
        for container in self.docker.containers.values().filter(|c| !c.foreign) {
            match self.ledger.seats.get(&container.seat) {
                Some(row) if row.session != container.session => {}
                Some(row) if row.wanted == Wanted::Gone => closing.push(container.id.clone()),
                Some(_) => open.push(container.id.clone()),
                None => {}
            }
        }
        // What is done to a seat that is being closed hurts most.
        let among = if self.rng.chance(70) { &closing } else { &open };
        let Some(id) = self.rng.pick(among).cloned() else {
            return;
        };
        let what = self.rng.below(7);
        self.note(|_| format!("somebody meddles ({what}) with {id}"));
        let _ = match what {
            0 => self.docker.unpause(&id),
            1 => self.docker.unpause(&id).and_then(|()| self.docker.pause(&id)),
            2 => self.docker.start(&id),
            3 => self.docker.end(&id, self.rng.chance(30)),
            4 => self.docker.restart(&id),
            5 => self.docker.pause(&id),
            _ => self.docker.remove(&id, true),
        };
    }

    /// Strangers: a seat of another instance, and a container of this one that no ledger knows.
    pub fn add_strangers(&mut self) {
        for (session, foreign) in [(crate::docker::FOREIGN_SESSION, true), (0, false)] {
            let name = if foreign { "s01" } else { "old" };
            let seat = SeatId::new(room("a"), name.parse().unwrap());
            let id = self.docker.create(&seat, session).unwrap();
            if let Some(container) = self.docker.containers.get_mut(&id) {
                container.foreign = foreign;
                container.state = RunState::Running;
            }
        }
        let all = self.docker.containers.values();
        let strangers = all.map(|c| (c.id.clone(), c.state, c.started, c.finished)).collect();
        self.oracle.strangers(strangers);
        self.docker.events.clear();
    }
}
