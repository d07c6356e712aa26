//! The world of one run: simulated time, the queue of what is to happen, the agent under test and everything around it.
//!
//! Knows how things travel between the agent and the models; the models know what they do.

use std::collections::{BTreeMap, BTreeSet};

use labtop::domain::control::{Control, Input, Now, Rules};
use labtop::domain::effect::{Effect, Fact, OpId, TicketId};
use labtop::domain::fault::{Fault, FaultCode};
use labtop::domain::ids::{RoomName, SeatId};
use labtop::domain::record::Change;
use labtop::domain::seen::EngineState;

use crate::docker::Docker;
use crate::door::Door;
use crate::engine::{Deed, down, up};
use crate::gateway::Gateway;
use crate::invariants::Oracle;
use crate::ledger::Ledger;
use crate::rng::Rng;
use crate::store::Store;
use crate::tasks::Job;

/// What is to happen.
#[derive(Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "a queue of a few dozen, and a box for each would only be slower"
)]
pub enum Event {
    /// A fact reaches the agent of that life.
    Tell(u32, Fact),
    /// A task goes on.
    Step(OpId),
    /// The ledger's thread takes the next write.
    Commit,
    /// The agent of that life wakes.
    Tick(u32),
    Command,
    Meddle,
    /// A browser does something at the students' door.
    Knock,
    /// A supervisor does what concerns the door.
    DoorCommand,
    /// A room is opened for whoever is on its roster.
    Comers(RoomName),
    /// The next class comes into a room that was closed.
    NextClass(RoomName),
    /// A supervisor uses the code with this digest.
    LookIn(String),
    /// A student who has given a seat back comes again.
    ComesBack(SeatId),
    /// The host sleeps longer than any session lasts.
    Night,
    Die,
    /// The agent is told to stop, and dies some time later, whether it has come to its end or not.
    Stop,
    Rebirth,
    EngineFalls,
    EngineRises,
    Late(Deed),
    /// The wall clock jumps.
    Jump,
}

#[expect(
    clippy::struct_excessive_bools,
    reason = "each breaks one thing, and any of them may be broken together"
)]
/// What is broken on purpose, to see that the checks notice.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sabotage {
    /// Removals do not look whether the seat is still.
    pub blind_removal: bool,
    /// The adapter never tells that something ran in a container, and sees no CPU time.
    pub deaf: bool,
    /// Verification believes what the store said.
    pub credulous: bool,
    /// The ledger says a write is done and forgets it.
    pub forgetful: bool,
    /// The ledger keeps a student's earlier session beside the new one.
    pub hoarding: bool,
    /// The ledger says a session is written and forgets it.
    pub fleeting: bool,
    /// The ledger says a session is over and keeps it.
    pub clinging: bool,
    /// An agent that starts is told of no session.
    pub unread: bool,
    /// An agent that starts is told of no seat that was collected.
    pub unremembered: bool,
    /// News of the door do not reach the gateway.
    pub lossy: bool,
    /// The gateway does not compare the opening of a session with that of the seat.
    pub any_opening: bool,
    /// The gateway lets into seats that are being closed.
    pub never_shut: bool,
}

/// How bad the days are.
#[derive(Debug, Clone, Copy, Default)]
pub struct Weather {
    /// Calls to the engine that fail, percent.
    pub engine: u64,
    /// Writes of the ledger that fail, percent.
    pub ledger: u64,
    /// Objects that the store refuses or spoils, percent.
    pub store: u64,
    /// Facts told twice, percent.
    pub twice: u64,
    /// Events of the engine that are lost (its stream then drops), percent.
    pub lost: u64,
    /// Calls that are slow, percent.
    pub slow: u64,
    /// Writes of the ledger that hang, percent.
    pub hangs: u64,
}

#[expect(clippy::struct_excessive_bools, reason = "each is a circumstance of its own")]
pub struct World {
    pub rng: Rng,
    pub mono_ms: u64,
    pub unix_base_ms: u64,
    pub queue: BTreeMap<(u64, u64), Event>,
    serial: u64,
    pub docker: Docker,
    pub store: Store,
    pub ledger: Ledger,
    pub rules: Rules,
    pub control: Option<Control>,
    pub life: u32,
    pub engine_up: bool,
    pub told_up: bool,
    pub jobs: BTreeMap<OpId, Job>,
    pub weather: Weather,
    pub sabotage: Sabotage,
    pub oracle: Oracle,
    pub door: Door,
    pub gateway: Gateway,
    pub steps: u64,
    /// Rooms in which a hung call may still do something.
    pub haunted: BTreeSet<RoomName>,
    pub late_pending: usize,
    pub allow_discard: bool,
    /// Whether the bad days are over.
    pub quiet: bool,
    /// Whether leases are so short that some end.
    pub short_leases: bool,
    pub next_ticket: u64,
    pub violations: Vec<String>,
    tick_at_ms: u64,
    pub stream_ms: u64,
    ledger_ms: u64,
    story: Option<Vec<String>>,
}

impl World {
    pub fn new(seed: u64, rules: Rules, sabotage: Sabotage, tell: bool) -> Self {
        Self {
            rng: Rng::new(seed),
            mono_ms: 1_000,
            unix_base_ms: 1_800_000_000_000,
            queue: BTreeMap::new(),
            serial: 0,
            docker: Docker::default(),
            store: Store::default(),
            ledger: Ledger::default(),
            rules,
            control: None,
            life: 0,
            engine_up: true,
            told_up: false,
            jobs: BTreeMap::new(),
            weather: Weather::default(),
            sabotage,
            oracle: Oracle::default(),
            door: Door::default(),
            gateway: Gateway::default(),
            steps: 0,
            haunted: BTreeSet::new(),
            late_pending: 0,
            allow_discard: false,
            quiet: false,
            short_leases: false,
            next_ticket: 0,
            violations: Vec::new(),
            tick_at_ms: u64::MAX,
            stream_ms: 0,
            ledger_ms: 0,
            story: tell.then(Vec::new),
        }
    }

    pub fn now(&self) -> Now {
        Now {
            unix_ms: self.unix_base_ms + self.mono_ms,
            mono_ms: self.mono_ms,
        }
    }

    /// A line of the run's story, when it is told.
    pub fn note(&mut self, line: impl FnOnce(&Self) -> String) {
        if self.story.is_some() {
            let line = format!("{:>7} ms  {}", self.mono_ms, line(self));
            if let Some(story) = &mut self.story {
                story.push(line);
            }
        }
    }

    pub fn story(&self) -> String {
        self.story.as_ref().map(|s| s.join("\n")).unwrap_or_default()
    }

    pub fn violated(&mut self, what: String) {
        self.note(|_| format!("VIOLATION: {what}"));
        self.violations.push(what);
    }

    pub fn after(&mut self, delay_ms: u64, event: Event) {
        self.serial += 1;
        self.queue.insert((self.mono_ms + delay_ms, self.serial), event);
    }

    /// How long a call or a message takes.
    pub fn delay(&mut self) -> u64 {
        if self.rng.chance(self.weather.slow) {
            self.rng.between(200, 8_000)
        } else {
            self.rng.between(1, 40)
        }
    }

    /// Lets the next thing happen; false when nothing is left to happen before `until_ms`.
    pub fn step(&mut self, until_ms: u64) -> bool {
        let Some((&(at, _), _)) = self.queue.first_key_value() else {
            return false;
        };
        if at > until_ms {
            return false;
        }
        let Some(((at, _), event)) = self.queue.pop_first() else {
            return false;
        };
        if at > self.mono_ms {
            let rng = &mut self.rng;
            self.docker.students_work(|| rng.chance(50));
        }
        self.mono_ms = at;
        self.steps += 1;
        self.happen(event);
        self.hear_engine();
        self.check_strangers();
        if self.door.lives {
            self.gateway_hears();
        }
        true
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Tell(life, fact) if life == self.life => self.tell(fact),
            Event::Tick(life) if life == self.life && self.tick_at_ms == self.mono_ms => {
                self.tick_at_ms = u64::MAX;
                self.feed(Input::Tick);
            }
            Event::Tell(..) | Event::Tick(_) => {}
            Event::Step(op) => self.step_job(op),
            Event::Commit => self.commit(),
            Event::Command => self.command(),
            Event::Meddle => self.meddle(),
            Event::Knock => self.knocks(),
            Event::DoorCommand => self.door_command(),
            Event::Comers(room) => {
                let command = self.open_to_comers(room);
                self.ask(command);
            }
            Event::NextClass(room) => {
                let command = if self.rng.chance(60) {
                    self.open(room)
                } else {
                    self.open_to_comers(room)
                };
                self.ask(command);
            }
            Event::LookIn(digest) => self.look_in(digest),
            Event::ComesBack(seat) => self.sign_in(seat.student, Some(seat.room)),
            Event::Night => self.night(),
            Event::Die => self.die(),
            Event::Stop => self.stop(),
            Event::Rebirth => self.rebirth(),
            Event::EngineFalls => self.engine_falls(),
            Event::EngineRises => self.engine_rises(),
            Event::Late(deed) => {
                self.late_pending -= 1;
                if self.engine_up {
                    self.note(|_| format!("a hung call is done after all: {deed:?}"));
                    let _ = self.perform(deed);
                }
            }
            Event::Jump => {
                let by = i64::try_from(self.rng.between(60_000, 10_000_000)).unwrap_or(0);
                let by = if self.rng.chance(50) { by } else { -by };
                self.note(|_| format!("the wall clock jumps by {by} ms"));
                self.clock_jumps(by);
            }
        }
    }

    fn tell(&mut self, fact: Fact) {
        if let Fact::Done(op, result) = &fact {
            self.oracle.answered(*op);
            self.note_door_written(*op, result.is_ok());
        }
        if let Fact::Engine(state) = &fact {
            self.told_up = matches!(state, EngineState::Up(_));
        }
        self.note(|_| format!("  told {fact:?}"));
        self.feed(Input::Fact(fact));
    }

    /// Gives the agent an input and sets its effects going.
    pub fn feed(&mut self, input: Input) {
        let now = self.now();
        self.note_ends();
        let Some(control) = &mut self.control else { return };
        let ticked = matches!(input, Input::Tick);
        let effects = control.handle(now, input);
        let wake = control.wake_at_ms().max(self.mono_ms + 1);
        for effect in effects {
            self.note(|_| format!("    -> {effect:?}"));
            self.check_effect(&effect);
            self.take(effect);
        }
        if self.door.lives {
            self.check_sessions(ticked);
        }
        if wake < self.tick_at_ms {
            self.tick_at_ms = wake;
            let life = self.life;
            self.after(wake - self.mono_ms, Event::Tick(life));
        }
    }

    fn take(&mut self, effect: Effect) {
        match effect {
            Effect::Run(op, labtop::domain::effect::Task::Write(changes)) => {
                self.ledger.line.push_back((op, changes));
                if self.ledger.line.len() == 1 {
                    let delay = self.delay();
                    self.after(delay, Event::Commit);
                }
            }
            Effect::Run(op, task) => {
                self.jobs.insert(op, Job::new(task));
                let delay = self.delay();
                self.after(delay, Event::Step(op));
            }
            Effect::Cancel(op) => {
                if self.rng.chance(80)
                    && let Some(job) = self.jobs.get_mut(&op)
                {
                    job.cancelled = true;
                }
            }
            Effect::Reply(..) | Effect::Answer(..) | Effect::Progress(..) | Effect::Tell(_) => {}
        }
    }

    /// Sends a fact on its way, sometimes twice.
    pub fn send(&mut self, fact: Fact) {
        let life = self.life;
        if self.rng.chance(self.weather.twice) {
            let delay = self.delay() + 5;
            self.after(delay, Event::Tell(life, fact.clone()));
        }
        let delay = self.delay();
        self.after(delay, Event::Tell(life, fact));
    }

    /// One write of the ledger's thread: all of it or nothing.
    fn commit(&mut self) {
        if self.weather.hangs > 0 && self.rng.chance(self.weather.hangs) {
            self.note(|_| "the disk hangs".into());
            let wait = self.rng.between(5_000, 40_000);
            return self.after(wait, Event::Commit);
        }
        let Some((op, changes)) = self.ledger.line.pop_front() else {
            return;
        };
        if !self.ledger.line.is_empty() {
            let delay = self.delay();
            self.after(delay, Event::Commit);
        }
        let result = if self.rng.chance(self.weather.ledger) {
            self.note(|_| format!("the ledger cannot write {op:?}"));
            Err(Fault::new(FaultCode::Ledger, "the disk is full"))
        } else {
            self.apply(changes);
            Ok(labtop::domain::effect::Yield::Nothing)
        };
        self.answer_write(Fact::Done(op, result));
    }

    /// The ledger's answers come in the order of its writes, and some of them twice.
    fn answer_write(&mut self, fact: Fact) {
        let at = (self.mono_ms + self.delay()).max(self.ledger_ms);
        self.ledger_ms = at;
        let (life, wait) = (self.life, at - self.mono_ms);
        if self.rng.chance(self.weather.twice) {
            self.after(wait + 5, Event::Tell(life, fact.clone()));
        }
        self.after(wait, Event::Tell(life, fact));
    }

    fn apply(&mut self, changes: Vec<Change>) {
        self.check_changes(&changes);
        self.note_door_commit(&changes);
        for change in changes {
            match change {
                Change::AddArchive(..) if self.sabotage.forgetful => {}
                Change::PutSession(_) if self.sabotage.fleeting => {}
                Change::EndSessions(_) if self.sabotage.clinging => {}
                Change::PutSession(session) if self.sabotage.hoarding => self.ledger.people.sessions.push(session),
                change => self.ledger.apply(change),
            }
        }
        self.check_door_rows();
    }

    fn stop(&mut self) {
        self.note(|_| "the agent is told to stop".into());
        self.feed(Input::Drain);
        let grace_ms = self.rng.between(1, 20_000);
        self.after(grace_ms, Event::Die);
    }

    /// The process dies. What it had asked of the engine may still happen, and nobody hears of it.
    pub fn die(&mut self) {
        if self.control.take().is_none() {
            return;
        }
        self.note(|_| "the process dies".into());
        if self.rng.chance(50)
            && let Some((_, changes)) = self.ledger.line.pop_front()
        {
            self.note(|_| "its last write is committed".into());
            self.apply(changes);
        }
        self.ledger.line.clear();
        for op in self.jobs.keys().copied().collect::<Vec<_>>() {
            if self.rng.chance(50) {
                self.step_job(op);
            }
        }
        self.jobs.clear();
        self.clock_is_forgotten();
        self.gateway.loses_agent();
        self.life += 1;
        self.oracle.forget_life();
        self.queue
            .retain(|_, event| !matches!(event, Event::Step(_) | Event::Commit));
        self.told_up = false;
        self.tick_at_ms = u64::MAX;
        let delay = self.rng.between(10, 5_000);
        self.after(delay, Event::Rebirth);
    }

    pub fn rebirth(&mut self) {
        self.life += 1;
        self.note(|w| format!("the process starts with {:?} {:?}", w.ledger.rooms, w.ledger.seats));
        let mut known = self.ledger.state();
        if self.sabotage.unread {
            known.sessions.clear();
        }
        if self.sabotage.unremembered {
            known.collected.clear();
        }
        self.control = Some(Control::restore(self.rules.clone(), known));
        self.oracle.born(&self.ledger);
        if let Some(differ) = self.sessions_differ() {
            self.violated(format!("after a restart {differ}"));
        }
        self.stream_ms = self.mono_ms;
        self.ledger_ms = self.mono_ms;
        self.in_order(Fact::Engine(if self.engine_up { up() } else { down() }));
    }

    pub fn fresh_ticket(&mut self) -> TicketId {
        self.next_ticket += 1;
        TicketId(self.next_ticket)
    }
}
