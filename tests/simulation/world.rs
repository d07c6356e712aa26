//! The world of one run: simulated time, the queue of what is to happen, the agent under test and everything around it.
//!
//! Knows how things travel between the agent and the models; the models know what they do.

use std::collections::{BTreeMap, BTreeSet};

use labtop::domain::control::{Control, Input, Now, Rules};
use labtop::domain::effect::{Effect, Fact, OpId, TicketId};
use labtop::domain::fault::{Fault, FaultCode};
use labtop::domain::ids::RoomName;
use labtop::domain::record::Change;
use labtop::domain::seen::EngineState;

use crate::docker::Docker;
use crate::engine::{Deed, down, up};
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
    pub steps: u64,
    /// Rooms in which a hung call may still do something.
    pub haunted: BTreeSet<RoomName>,
    pub late_pending: usize,
    pub allow_discard: bool,
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
            steps: 0,
            haunted: BTreeSet::new(),
            late_pending: 0,
            allow_discard: false,
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
        if let Fact::Done(op, _) = &fact {
            self.oracle.answered(*op);
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
        let effects = control.handle(now, input);
        let wake = control.wake_at_ms().max(self.mono_ms + 1);
        for effect in effects {
            self.note(|_| format!("    -> {effect:?}"));
            self.check_effect(&effect);
            self.take(effect);
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

    /// The ledger's thread answers in order; the tasks that wait for it may overtake each other by a hair.
    fn answer_write(&mut self, fact: Fact) {
        /// How much later another task's message may be sent although it was answered first.
        const HAIR_MS: u64 = 3;
        let at = (self.mono_ms + self.delay()).max(self.ledger_ms.saturating_sub(HAIR_MS));
        self.ledger_ms = self.ledger_ms.max(at);
        let (life, wait) = (self.life, at - self.mono_ms);
        if self.rng.chance(self.weather.twice) {
            self.after(wait + 5, Event::Tell(life, fact.clone()));
        }
        self.after(wait, Event::Tell(life, fact));
    }

    fn apply(&mut self, changes: Vec<Change>) {
        self.check_changes(&changes);
        for change in changes {
            if !(self.sabotage.forgetful && matches!(change, Change::AddArchive(..))) {
                self.ledger.apply(change);
            }
        }
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
        self.control = Some(Control::restore(self.rules.clone(), self.ledger.state()));
        self.oracle.born(&self.ledger);
        self.stream_ms = self.mono_ms;
        self.ledger_ms = self.mono_ms;
        self.in_order(Fact::Engine(if self.engine_up { up() } else { down() }));
    }

    pub fn fresh_ticket(&mut self) -> TicketId {
        self.next_ticket += 1;
        TicketId(self.next_ticket)
    }
}
