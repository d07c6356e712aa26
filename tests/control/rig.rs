//! A control in a small world in which everything succeeds unless a test says otherwise.
//!
//! Knows what an adapter answers; the test decides when.

use std::collections::BTreeMap;

use labtop::domain::command::{Command, Outcome, ProgressReport, Seats};
use labtop::domain::control::{Control, Input, Now};
use labtop::domain::door::KnockAnswer;
use labtop::domain::effect::{ArchiveOrder, Effect, Fact, OpId, Task, TicketId, Yield};
use labtop::domain::fault::{Fault, FaultCode, RefusalCode};
use labtop::domain::ids::{ContainerId, RoomName, SeatId};
use labtop::domain::proof::{ArchiveClaim, Extent, Readback, Stillness, Stored, VerifiedArchive};
use labtop::domain::record::{Change, LedgerState, RoomRecord, SeatRecord, Wanted};
use labtop::domain::role::{Actor, Rights, Role};
use labtop::domain::seen::{ContainerSeen, EngineInfo, EngineState, Listing, RunState, VolumeSeen};
use labtop::domain::snapshot::Snapshot;

use crate::rows::People;
use crate::rules::rules;

pub fn room(name: &str) -> RoomName {
    name.parse().unwrap()
}

pub fn seat(name: &str) -> SeatId {
    name.parse().unwrap()
}

/// The container that the rig gives to a seat.
pub fn id(name: &str) -> ContainerId {
    let hex = name
        .bytes()
        .fold(String::new(), |hex, byte| hex + &format!("{byte:02x}"));
    hex.parse().unwrap()
}

/// Why a command was refused, if it was.
pub fn refused(effects: &[Effect]) -> Option<RefusalCode> {
    effects.iter().find_map(|effect| match effect {
        Effect::Reply(_, Outcome::Refused { refusal }) => Some(refusal.code),
        _ => None,
    })
}

pub struct Rig {
    pub control: Control,
    pub now: Now,
    /// Tasks that are not answered yet.
    pub open: Vec<(OpId, Task)>,
    /// All tasks so far.
    pub begun: Vec<Task>,
    pub world: Listing,
    pub replies: Vec<(TicketId, Outcome)>,
    pub progress: Vec<ProgressReport>,
    pub written: Vec<Change>,
    pub refuse_archives_of: Option<SeatId>,
    pub called_off: usize,
    pub notices: Vec<String>,
    pub answers: Vec<(TicketId, KnockAnswer)>,
    pub people: People,
    rooms: BTreeMap<RoomName, RoomRecord>,
    seats: BTreeMap<SeatId, SeatRecord>,
    home: Option<String>,
    starts: u64,
    tickets: u64,
}

impl Rig {
    pub fn restored(ledger: LedgerState) -> Self {
        Self {
            control: Control::restore(rules(), ledger),
            now: Now {
                unix_ms: 1_800_000_000_000,
                mono_ms: 1_000,
            },
            open: Vec::new(),
            begun: Vec::new(),
            world: Listing::default(),
            replies: Vec::new(),
            progress: Vec::new(),
            written: Vec::new(),
            refuse_archives_of: None,
            called_off: 0,
            notices: Vec::new(),
            rooms: BTreeMap::new(),
            seats: BTreeMap::new(),
            home: None,
            starts: 0,
            tickets: 0,
            people: People::default(),
            answers: Vec::new(),
        }
    }

    /// An agent with an empty ledger that has seen its engine.
    pub fn new() -> Self {
        let mut rig = Self::restored(LedgerState::default());
        rig.engine_rises();
        rig.settle();
        rig
    }

    /// The same with an open room of numbered seats.
    pub fn with_room(name: &str, seats: u32) -> Self {
        let mut rig = Self::new();
        rig.ask(Command::OpenRoom {
            room: room(name),
            template: None,
            seats: Seats::Numbered(seats),
            minutes: None,
            exam: false,
            on_demand: false,
            overrides: false,
            dry_run: false,
        });
        rig.settle();
        assert!(matches!(rig.outcome(), Some(Outcome::Done { .. })), "{:?}", rig.replies);
        rig.replies.clear();
        rig.begun.clear();
        rig
    }

    /// The next life: the ledger and the engine are as they were, the rest is forgotten.
    pub fn restarted(self) -> Self {
        let ledger = LedgerState {
            rooms: self.rooms.values().cloned().collect(),
            seats: self.seats.values().cloned().collect(),
            engine: self.home.clone(),
            ..LedgerState::default()
        };
        let mut next = Self::restored(self.people.clone().into_state(ledger));
        next.people = self.people;
        (next.now, next.world, next.rooms, next.seats) = (self.now, self.world, self.rooms, self.seats);
        next.home = self.home;
        next.engine_rises();
        next.settle();
        next.begun.clear();
        next
    }

    pub fn ask(&mut self, command: Command) -> Vec<Effect> {
        self.ask_as(Role::Admin, command)
    }

    pub fn ask_as(&mut self, role: Role, command: Command) -> Vec<Effect> {
        self.ask_with(Rights::of(role), command)
    }

    pub fn ask_with(&mut self, rights: Rights, command: Command) -> Vec<Effect> {
        self.tickets += 1;
        let actor = Actor {
            uid: 1_000,
            name: "kim".into(),
            origin: None,
            rights,
        };
        self.feed(Input::Command(TicketId(self.tickets), actor, command))
    }

    pub fn tell(&mut self, fact: Fact) {
        self.feed(Input::Fact(fact));
    }

    pub fn feed(&mut self, input: Input) -> Vec<Effect> {
        let effects = self.control.handle(self.now, input);
        for effect in &effects {
            match effect.clone() {
                Effect::Run(op, task) => {
                    self.begun.push(task.clone());
                    self.open.push((op, task));
                }
                Effect::Reply(ticket, outcome) => self.replies.push((ticket, outcome)),
                Effect::Answer(ticket, answer) => self.answers.push((ticket, answer)),
                Effect::Tell(notice) => self.notices.push(notice.text),
                Effect::Cancel(_) => self.called_off += 1,
                Effect::Progress(_, report) => self.progress.push(report),
            }
        }
        effects
    }

    /// Lets time pass second by second; what is begun meanwhile stays open.
    pub fn pass(&mut self, ms: u64) {
        let end = self.now.mono_ms + ms;
        while self.now.mono_ms < end {
            let step = 1_000.min(end - self.now.mono_ms);
            self.now.mono_ms += step;
            self.now.unix_ms += step;
            self.feed(Input::Tick);
        }
    }

    /// Time passes, and nobody looks.
    pub fn jump_mono(&mut self, ms: u64) {
        self.now.mono_ms += ms;
    }

    /// The wall clock jumps.
    pub fn jump(&mut self, ms: i64) {
        self.now.unix_ms = self.now.unix_ms.saturating_add_signed(ms);
    }

    pub fn tasks(&self) -> impl Iterator<Item = &Task> {
        self.open.iter().map(|(_, task)| task)
    }

    /// Ends the first open task that is meant in the given way.
    pub fn done_first(&mut self, which: impl Fn(&Task) -> bool, result: Result<Yield, Fault>) {
        let at = self.open.iter().position(|(_, task)| which(task));
        let at = at.unwrap_or_else(|| panic!("no such task among {:?}", self.open));
        let (op, task) = self.open.remove(at);
        if let (Task::Write(changes), Ok(_)) = (task, &result) {
            self.apply(changes);
        }
        self.tell(Fact::Done(op, result));
    }

    /// Writes whatever waits to be written.
    pub fn write_all(&mut self) {
        while self.tasks().any(|task| matches!(task, Task::Write(_))) {
            self.done_first(|task| matches!(task, Task::Write(_)), Ok(Yield::Nothing));
        }
    }

    /// Does everything that is open, in order, until nothing is.
    pub fn settle(&mut self) {
        for _ in 0..10_000 {
            if self.open.is_empty() {
                return;
            }
            self.next();
        }
        panic!("it does not settle: {:?}", self.open);
    }

    /// Does what is open, in order, until a task of that kind is open.
    pub fn run_until(&mut self, which: impl Fn(&Task) -> bool) {
        for _ in 0..10_000 {
            if self.tasks().any(&which) {
                return;
            }
            assert!(!self.open.is_empty(), "nothing is under way");
            self.next();
        }
        panic!("it never comes: {:?}", self.open);
    }

    /// Does the first of what is open.
    pub fn next(&mut self) {
        let (op, task) = self.open.remove(0);
        let result = self.perform(task);
        self.tell(Fact::Done(op, result));
    }

    pub fn outcome(&self) -> Option<&Outcome> {
        self.replies.last().map(|(_, outcome)| outcome)
    }

    /// Whether nothing of this instance is left on the engine.
    pub fn is_bare(&self) -> bool {
        self.world == Listing::default()
    }

    pub fn was_told(&self, words: &str) -> bool {
        self.notices.iter().any(|text| text.contains(words))
    }

    pub fn ledger_wanted(&self, name: &str) -> Option<Wanted> {
        self.seats.get(&seat(name)).map(|row| row.wanted)
    }

    /// Openings that were written, each once.
    pub fn sessions_written(&self) -> Vec<u64> {
        let mut sessions: Vec<u64> = self.rooms.values().map(|room| room.session).collect();
        sessions.extend(self.seats.values().map(|seat| seat.session));
        sessions.sort_unstable();
        sessions.dedup();
        sessions
    }

    pub fn snapshot(&self) -> Snapshot {
        let instance = "6f1b7a52-0000-4000-8000-000000000000".parse().unwrap();
        self.control.snapshot(1, &instance, String::new())
    }

    pub fn engine_falls(&mut self) {
        self.tell(Fact::Engine(EngineState::Down("it was stopped".into())));
    }

    pub fn engine_rises(&mut self) {
        self.engine_rises_as("ENGINE");
    }

    pub fn engine_rises_as(&mut self, id: &str) {
        self.tell(Fact::Engine(EngineState::Up(EngineInfo {
            version: "20.10".into(),
            api: "1.41".into(),
            id: id.into(),
        })));
    }

    /// The container of a seat in a state.
    pub fn container(&self, name: &str, state: RunState) -> ContainerSeen {
        ContainerSeen {
            id: id(name),
            seat: seat(name),
            session: self.seats.get(&seat(name)).map_or(1, |row| row.session),
            state,
            started_at: "1".into(),
            finished_at: "0".into(),
            exit_code: 0,
            oom_killed: false,
            address: Some([10, 208, 0, 9].into()),
            pid: None,
            spec: String::new(),
        }
    }

    fn apply(&mut self, changes: Vec<Change>) {
        for change in changes {
            self.written.push(change.clone());
            let Some(change) = self.people.apply(change) else {
                continue;
            };
            match change {
                Change::PutRoom(row) => drop(self.rooms.insert(row.name.clone(), row)),
                Change::AddSeats(rows) => {
                    for row in rows {
                        self.seats.entry(row.id.clone()).or_insert(row);
                    }
                }
                Change::SetWanted {
                    seats,
                    wanted,
                    discard_by,
                } => {
                    for row in self.seats.values_mut().filter(|row| seats.contains(&row.id)) {
                        row.wanted = wanted;
                        row.discard_by.clone_from(&discard_by);
                    }
                }
                Change::SetDeadlines(ends) => {
                    for (id, end) in ends {
                        self.seats.entry(id).and_modify(|row| row.deadline_unix_ms = end);
                    }
                }
                Change::SetHeld(ids, held) => {
                    for row in self.seats.values_mut().filter(|row| ids.contains(&row.id)) {
                        row.held = held;
                    }
                }
                Change::SetClosing(id, closing) => drop(self.seats.entry(id).and_modify(|row| row.closing = closing)),
                Change::EndSeat(id) => drop(self.seats.remove(&id)),
                Change::SetMade(ids) => {
                    for row in self.seats.values_mut().filter(|row| ids.contains(&row.id)) {
                        row.made = true;
                    }
                }
                Change::SetEngine(id) => self.home = Some(id),
                _ => {}
            }
        }
    }

    fn see(&mut self, seat: &SeatId, state: RunState) -> Yield {
        let there = self.world.containers.iter_mut().find(|c| c.seat == *seat);
        there.map_or(Yield::Nothing, |c| {
            c.state = state;
            Yield::Seen(c.clone())
        })
    }

    /// Every start has a time of its own.
    fn run_anew(&mut self, seat: &SeatId) -> Yield {
        self.starts += 1;
        if let Some(container) = self.world.containers.iter_mut().find(|c| c.seat == *seat) {
            container.started_at = format!("start {}", self.starts);
        }
        self.see(seat, RunState::Running)
    }

    pub fn perform(&mut self, task: Task) -> Result<Yield, Fault> {
        Ok(match task {
            Task::Write(changes) => {
                self.apply(changes);
                Yield::Nothing
            }
            Task::List => Yield::Listed(self.world.clone()),
            Task::EnsureNetwork { room, .. } => {
                self.world.networks.push(room);
                Yield::Nothing
            }
            Task::RemoveNetwork(room) => {
                self.world.networks.retain(|name| *name != room);
                Yield::Nothing
            }
            Task::Provision(order) => {
                let mut made = self.container(&order.seat.to_string(), RunState::Running);
                made.session = order.session;
                self.world.containers.retain(|c| c.seat != order.seat);
                self.world.containers.push(made.clone());
                self.world.volumes.push(VolumeSeen {
                    seat: order.seat,
                    session: order.session,
                });
                Yield::Seen(made)
            }
            Task::Probe(..) => Yield::Ready,
            Task::Thaw(seat, _) => self.see(&seat, RunState::Running),
            Task::Start(seat, _) | Task::Restart(seat, _) => self.run_anew(&seat),
            Task::Freeze(seat, _) => self.see(&seat, RunState::Paused),
            Task::Kill(seat, _) => self.see(&seat, RunState::Exited),
            Task::Hold { seat, .. } => match self.see(&seat, RunState::Paused) {
                Yield::Seen(c) => {
                    let evidence = Stillness::Paused {
                        container: c.id.clone(),
                        started_at: c.started_at.clone(),
                        cpu_ns: 1,
                    };
                    Yield::Held(Some(c), evidence)
                }
                _ => Yield::Held(None, Stillness::Absent),
            },
            Task::Archive(ArchiveOrder {
                seat, session, epoch, ..
            }) => {
                if self.refuse_archives_of.as_ref() == Some(&seat) {
                    return Err(Fault::new(FaultCode::Store, "507, bucket quota"));
                }
                if !self.world.volumes.iter().any(|volume| volume.seat == seat) {
                    return Err(Fault::new(FaultCode::Engine, "there is no workspace"));
                }
                Yield::Stored(claim(seat, session, epoch))
            }
            Task::Verify { claim, stillness } => {
                let back = equal_to(&claim);
                Yield::Verified(VerifiedArchive::prove(claim, stillness, &back)?)
            }
            Task::RemoveContainer(warrant) => {
                self.world.containers.retain(|c| c.seat != *warrant.seat());
                Yield::Nothing
            }
            Task::RemoveVolume(warrant) => {
                self.world.volumes.retain(|v| v.seat != *warrant.seat());
                Yield::Nothing
            }
            Task::Preflight { .. } | Task::Snapshot(_) | Task::Reap(_) | Task::Absolve(_) | Task::Cut(..) => {
                Yield::Nothing
            }
        })
    }
}

/// What an honest store gives back.
fn equal_to(claim: &ArchiveClaim) -> Readback {
    Readback {
        workspace: Stored {
            bytes: claim.bytes,
            digest: claim.digest.clone(),
        },
        manifest: claim.extent.manifest.clone(),
        log: claim.extent.log.clone(),
        content: None,
    }
}

fn claim(seat: SeatId, session: u64, epoch: u64) -> ArchiveClaim {
    ArchiveClaim {
        id: format!("arc-{session}-{epoch}").parse().unwrap(),
        key: format!("{seat}/{epoch}"),
        seat,
        session,
        epoch,
        bytes: 1,
        digest: "d".into(),
        content_bytes: 1,
        content_digest: "c".into(),
        extent: Extent::default(),
        created_unix_ms: 0,
    }
}
