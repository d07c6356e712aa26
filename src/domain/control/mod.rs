//! The decisions of the agent: commands and facts go in, effects come out, and nothing else happens.
//!
//! Wanted state comes from the ledger, seen state from the engine; [`super::plan`] compares them seat by seat, and this
//! module adds operations, retries, rooms, leases and the people who wait for an answer. It reads no clock: every input
//! brings its time. The same inputs give the same effects, so whole lives of an agent can be simulated.

mod accept;
mod clock;
mod done;
mod door;
mod drain;
mod facts;
mod identity;
mod idle;
mod leases;
mod listing;
mod rooms;
mod seats;
mod snapshots;
mod state;
mod tickets;
mod view;

use std::collections::{BTreeMap, BTreeSet};

use super::command::Command;
use super::door::DoorWish;
use super::effect::{Effect, Fact, OpId, Task, TicketId};
use super::fault::Fault;
use super::ids::{RoomName, SeatId, TemplateName};
use super::policy::ATTEMPTS_BEFORE_TOLD;
use super::record::{Change, LedgerState, RoomWanted, Wanted};
use super::role::Actor;
use super::routes::RouteRule;
use super::seen::{EngineState, HostFigures, LeaseStoreState};
use super::settings::RouteAuth;
use super::template::Template;
use accept::Asked;
use door::Door;
use state::{Doing, Room, Seat, Ticket};

/// What time it is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Now {
    /// Wall clock, Unix milliseconds: for deadlines and for people. It may jump.
    pub unix_ms: u64,
    /// Monotonic milliseconds since some start: for delays.
    pub mono_ms: u64,
}

/// One thing that happened.
#[derive(Debug, Clone, PartialEq)]
pub enum Input {
    /// Somebody asks for a change.
    Command(TicketId, Actor, Command),
    /// Somebody opens a shell in a seat.
    Visit(Actor, SeatId),
    /// Somebody types in one.
    Touch(SeatId),
    /// A gateway asks for somebody who has proven who they are.
    Knock(TicketId, Actor, DoorWish),
    /// The world tells something.
    Fact(Fact),
    /// Time has passed.
    Tick,
    /// The agent is to stop: nothing new is begun from now on.
    Drain,
}

/// The settings that decisions depend on.
#[derive(Debug, Clone)]
pub struct Rules {
    /// Templates by name.
    pub templates: BTreeMap<TemplateName, Template>,
    /// The template that is meant when none is named.
    pub default_template: TemplateName,
    /// Who guards the routes.
    pub auth: RouteAuth,
    /// What makes a seat's address its own.
    pub rule: RouteRule,
    /// Minutes before the end of a lease at which it is announced, the most first. A minute before it always is.
    pub warn_minutes: Vec<u32>,
    /// Whether the rooms move with the ledger to another engine than the one that they were opened on.
    pub accept_engine: bool,
}

/// The agent's mind.
#[derive(Debug)]
pub struct Control {
    rules: Rules,
    rooms: BTreeMap<RoomName, Room>,
    /// Closed rooms, with their last opening.
    ended: BTreeMap<RoomName, u64>,
    seats: BTreeMap<SeatId, Seat>,
    ops: BTreeMap<OpId, Doing>,
    tickets: BTreeMap<TicketId, Ticket>,
    /// Commands whose outcome is not written yet.
    asked: BTreeMap<TicketId, Asked>,
    /// The last minute in which each user was refused something, and how often.
    refusals: BTreeMap<u32, (u64, u32)>,
    door: Door,
    engine: EngineState,
    /// The identity of the engine that the rooms are on.
    home: Option<String>,
    /// Why the one that answers is not acted on.
    strange: Option<String>,
    engine_down_since_ms: Option<u64>,
    host: HostFigures,
    lease_store: LeaseStoreState,
    listed: bool,
    /// Stamp of the list that is under way.
    listing: Option<u64>,
    list_at_ms: u64,
    /// After a failed list: not before then, whoever asks.
    list_not_before_ms: u64,
    /// Why lists have failed, how often in a row, and since when.
    blind: Option<(Fault, u32, u64)>,
    /// When the plan was last compared, and leases looked at.
    planned_ms: u64,
    ticked_ms: u64,
    orphans: BTreeSet<String>,
    /// Seats of rooms that are closing, or were closed last, whose workspace had gone by another hand.
    lost: BTreeMap<RoomName, Vec<SeatId>>,
    unsaved: Vec<Change>,
    save_at_ms: u64,
    next_op: u64,
    next_session: u64,
    stamp: u64,
    /// Whether the agent is stopping.
    draining: bool,
    now: Now,
    /// The input before; none before the first.
    before: Option<Now>,
    /// When the first one was, monotonic milliseconds.
    started_ms: u64,
    out: Vec<Effect>,
}

impl Control {
    /// A mind that remembers what the ledger holds and has seen nothing yet.
    #[must_use]
    pub fn restore(rules: Rules, ledger: LedgerState) -> Self {
        let next_session = ledger.rooms.iter().map(|r| r.session).max().unwrap_or(0) + 1;
        let mut door = Door::default();
        for (room, student, minutes) in ledger.rosters {
            door.rosters.entry(room).or_default().insert(student, minutes);
        }
        door.sessions = ledger.sessions.into_iter().map(|one| (one.id.clone(), one)).collect();
        door.collected = ledger.collected.into_iter().collect();
        let (ended, open): (Vec<_>, Vec<_>) = ledger.rooms.into_iter().partition(|room| room.ended);
        let mut rooms: BTreeMap<_, _> = open.into_iter().map(|r| (r.name.clone(), Room::new(r))).collect();
        let mut seats = BTreeMap::new();
        for record in ledger.seats {
            if let Some(room) = rooms.get_mut(&record.id.room) {
                room.total += 1;
                let mut seat = Seat::new(record);
                seat.fresh_lease = false;
                // A write of an earlier verb may have been committed after the order to close the room.
                if room.record.wanted == RoomWanted::Closed {
                    seat.record.wanted = Wanted::Gone;
                }
                seats.insert(seat.record.id.clone(), seat);
            }
        }
        Self {
            rules,
            rooms,
            ended: ended.into_iter().map(|room| (room.name, room.session)).collect(),
            seats,
            ops: BTreeMap::new(),
            tickets: BTreeMap::new(),
            asked: BTreeMap::new(),
            refusals: BTreeMap::new(),
            door,
            engine: EngineState::Unknown,
            home: ledger.engine,
            strange: None,
            engine_down_since_ms: None,
            host: HostFigures::default(),
            lease_store: LeaseStoreState::default(),
            listed: false,
            listing: None,
            list_at_ms: 0,
            list_not_before_ms: 0,
            blind: None,
            planned_ms: 0,
            ticked_ms: 0,
            orphans: BTreeSet::new(),
            lost: BTreeMap::new(),
            unsaved: Vec::new(),
            save_at_ms: 0,
            next_op: 0,
            next_session,
            stamp: 0,
            draining: false,
            now: Now::default(),
            before: None,
            started_ms: 0,
            out: Vec::new(),
        }
    }

    /// Takes one input and returns what is to be done.
    pub fn handle(&mut self, now: Now, input: Input) -> Vec<Effect> {
        self.now = now;
        self.watch_clock();
        // Words and figures come by the thousand and change nothing that is to be done.
        let only_news = matches!(
            input,
            Input::Touch(_) | Input::Fact(Fact::Progress(..) | Fact::Figures(..))
        );
        match input {
            Input::Command(ticket, actor, command) => self.accept(ticket, &actor, command),
            Input::Visit(actor, seat) => self.visit(&actor, &seat),
            Input::Touch(seat) => self.touched(&seat),
            Input::Knock(ticket, actor, wish) => self.knock(ticket, &actor, wish),
            Input::Fact(fact) => self.learn(fact),
            Input::Tick => {
                self.ticked_ms = now.mono_ms;
                // One that ends now is ended by the agent's next life, which warns first.
                if !self.draining {
                    self.watch_leases();
                    self.close_deserted();
                }
                self.watch_sessions();
                self.watch_closings();
            }
            Input::Drain => self.drain(),
        }
        if !only_news {
            self.planned_ms = now.mono_ms;
            self.plan_all();
            self.answer_tickets();
        }
        std::mem::take(&mut self.out)
    }

    /// Monotonic time at which a [`Input::Tick`] is next needed, if nothing else happens.
    #[must_use]
    pub fn wake_at_ms(&self) -> u64 {
        /// Leases are looked at this often; a wall clock that jumps is noticed within it.
        const LEASES_EVERY_MS: u64 = 1_000;
        let retries = self.seats.values().map(|s| s.not_before_ms);
        let rooms = self.rooms.values().map(|r| r.not_before_ms);
        let due = retries
            .chain(rooms)
            .chain([self.list_at_ms, self.list_not_before_ms, self.save_at_ms]);
        let later = due.filter(|&at| at > self.planned_ms).min();
        later.unwrap_or(u64::MAX).min(self.ticked_ms + LEASES_EVERY_MS)
    }

    /// Whether there is nothing to look after: no room that is not closed, and nobody waiting.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.rooms.is_empty() && self.tickets.is_empty() && self.ops.is_empty() && self.unsaved.is_empty()
    }

    /// Things on the engine that bear this instance's label and that the ledger does not know.
    #[must_use]
    pub fn orphans(&self) -> &BTreeSet<String> {
        &self.orphans
    }

    fn plan_all(&mut self) {
        self.save_late();
        self.save_made();
        self.save_wishes();
        let EngineState::Up(_) = self.engine else { return };
        if !self.draining {
            self.list_when_due();
        }
        if !self.listed {
            return;
        }
        for name in self.rooms.keys().cloned().collect::<Vec<_>>() {
            self.plan_room(&name);
        }
        for id in self.seats.keys().cloned().collect::<Vec<_>>() {
            self.plan_seat(&id);
        }
        if !self.draining {
            self.plan_snapshots();
        }
    }

    /// Starts a task and remembers what its answer is for.
    fn start(&mut self, task: Task, doing: Doing) -> OpId {
        self.next_op += 1;
        let op = OpId(self.next_op);
        if let Task::Write(changes) = &task {
            self.note_written(changes, true);
        }
        self.ops.insert(op, doing);
        self.out.push(Effect::Run(op, task));
        op
    }

    /// Writes what must not hold up the deed: kept in memory and tried again when the ledger cannot take it.
    fn write_fail_open(&mut self, changes: Vec<Change>) -> OpId {
        self.start(Task::Write(changes.clone()), Doing::FailOpen(changes))
    }

    fn save_late(&mut self) {
        if !self.unsaved.is_empty() && self.now.mono_ms >= self.save_at_ms {
            let changes = std::mem::take(&mut self.unsaved);
            let changes: Vec<Change> = changes
                .into_iter()
                .filter_map(|change| self.as_of_now(change))
                .collect();
            self.write_fail_open(changes);
        }
    }

    /// Notes in the ledger which seats have ever been made: the absence of their workspace would be a loss.
    fn save_made(&mut self) {
        let mut made = Vec::new();
        for seat in self
            .seats
            .values_mut()
            .filter(|seat| seat.container.is_some() && !seat.record.made)
        {
            seat.record.made = true;
            made.push(seat.record.id.clone());
        }
        if !made.is_empty() {
            self.write_fail_open(vec![Change::SetMade(made)]);
        }
    }

    /// A room may have changed again since the write failed: its newest row is written, and none over its end.
    fn as_of_now(&self, change: Change) -> Option<Change> {
        let row = match &change {
            Change::PutRoom(row) => row,
            // What was extended meanwhile must not be undone.
            Change::SetDeadlines(_) => return Some(Change::SetDeadlines(self.ends_to_write())),
            _ => return Some(change),
        };
        let room = self.rooms.get(&row.name)?;
        let ending = |doing: &Doing| matches!(doing, Doing::EndRoom(name) if *name == row.name);
        (!self.ops.values().any(ending)).then(|| Change::PutRoom(room.record.clone()))
    }

    /// Sees to it that the ledger comes to know what each seat should be, whichever writes failed, and in whichever
    /// order verbs were accepted and written.
    fn save_wishes(&mut self) {
        if self.now.mono_ms < self.save_at_ms {
            return;
        }
        let late = |seat: &&Seat| seat.written.as_ref() != Some(&seat.wish());
        let late: Vec<SeatId> = self
            .seats
            .values()
            .filter(late)
            .map(|seat| seat.record.id.clone())
            .collect();
        let settled = |id: &SeatId| !self.ops.values().any(|doing| doing.concerns(id));
        let changes: Vec<Change> = late
            .iter()
            .filter(|id| settled(id))
            .filter_map(|id| self.wish_of(id))
            .collect();
        if !changes.is_empty() {
            self.write_fail_open(changes);
        }
    }

    fn wish_of(&self, id: &SeatId) -> Option<Change> {
        let record = &self.seats.get(id)?.record;
        Some(Change::SetWanted {
            seats: vec![id.clone()],
            wanted: record.wanted,
            discard_by: record.discard_by.clone(),
        })
    }

    /// Remembers what the ledger is told. Writes are done in the order in which they are begun.
    fn note_written(&mut self, changes: &[Change], certain: bool) {
        for change in changes {
            let Change::SetWanted {
                seats,
                wanted,
                discard_by,
            } = change
            else {
                continue;
            };
            for id in seats {
                if let Some(seat) = self.seats.get_mut(id) {
                    seat.written = certain.then(|| (*wanted, discard_by.clone()));
                }
            }
        }
    }

    fn fresh_stamp(&mut self) -> u64 {
        self.stamp += 1;
        self.stamp
    }

    fn tell(&mut self, notice: super::notice::Notice) {
        self.out.push(Effect::Tell(notice));
    }

    /// Why nothing on an engine that answers can be seen, once that is worth telling.
    fn blindness(&self) -> Option<&Fault> {
        let blind = self
            .blind
            .as_ref()
            .filter(|(_, times, _)| *times >= ATTEMPTS_BEFORE_TOLD);
        blind.map(|(fault, ..)| fault)
    }

    fn engine_fault(&self) -> Option<Fault> {
        match &self.engine {
            EngineState::Down(why) => Some(Fault::new(super::fault::FaultCode::EngineUnreachable, why.clone())),
            _ => self.blindness().cloned(),
        }
    }
}
