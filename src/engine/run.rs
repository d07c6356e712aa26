//! The loop: inputs in, effects out, snapshots to whoever looks.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{broadcast, mpsc, oneshot, watch};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::clock::{self, Clock};
use super::handle::{CommandEvent, Handle, Request};
use super::news::News;
use super::tasks::Tasks;
use super::world::World;
use super::{door, isolation, leases, meter, queries, routes, watch as engine_watch};
use crate::domain::control::{Control, Input};
use crate::domain::door::{DoorState, KnockAnswer};
use crate::domain::effect::{Effect, Fact, TicketId};
use crate::domain::ids::{InstanceId, SeatId};
use crate::domain::snapshot::Snapshot;

/// Facts that may wait for the loop; whoever tells more waits, and the loop itself never tells.
const FACTS_WAITING: usize = 1_024;
/// Requests that may wait for the loop.
const REQUESTS_WAITING: usize = 256;
/// Notices kept for a slow reader before it is told how many it missed.
const NOTICES_KEPT: usize = 256;
/// Facts taken in before the loop looks at anything else, so that a storm of events makes one snapshot, not hundreds.
const FACTS_AT_ONCE: usize = 256;
/// Least time between two snapshots: ten a second is as fast as a person reads.
const SNAPSHOT_EVERY: Duration = Duration::from_millis(100);

/// The running engine, as the agent's process holds it.
#[derive(Debug)]
pub struct Engine {
    /// For everybody who asks.
    pub handle: Handle,
    /// Whether there is nothing to look after.
    pub idle: watch::Receiver<bool>,
    /// The ways to its end before `shutdown`.
    pub ending: Ending,
    /// Whether it has finished what was under way, once it was told to drain.
    pub drained: watch::Receiver<bool>,
    /// Ends when the loop has ended.
    pub task: tokio::task::JoinHandle<()>,
}

/// How the engine is told that its end is near, one after the other.
#[derive(Debug, Clone, Default)]
pub struct Ending {
    /// Nothing new is begun; what is under way is finished.
    pub drain: CancellationToken,
    /// What is still under way is called off where that leaves nothing half done.
    pub call_off: CancellationToken,
}

/// Starts the loop, the watch over the engine and the meter. All end after `shutdown`.
#[must_use]
pub fn start(mut control: Control, instance: InstanceId, world: World, shutdown: CancellationToken) -> Engine {
    let clock = Clock::start();
    // It learns the time before anybody sees what it knows: else every lease would seem to last for centuries.
    let early = control.handle(clock.now(), Input::Tick);
    let (facts, facts_in) = mpsc::channel(FACTS_WAITING);
    let (requests, requests_in) = mpsc::channel(REQUESTS_WAITING);
    let (notices, _) = broadcast::channel(NOTICES_KEPT);
    let first = control.snapshot(0, &instance, clock::time_of_day());
    let (snapshots, snapshots_out) = watch::channel(Arc::new(first));
    let (idle, idle_out) = watch::channel(control.is_idle());
    let (drained, drained_out) = watch::channel(false);
    let ending = Ending::default();
    let (live, live_out) = watch::channel(Vec::new());
    // From the beginning, so that no lease of an earlier life is taken for one that nobody wants.
    let (leased, leased_out) = watch::channel(Arc::new(leases_of(&control, &instance)));
    let mut handle = Handle::new(requests.clone(), snapshots_out, notices);
    handle.counts = world.counts.clone();
    let (doors, news) = (Arc::clone(&handle.doors), handle.news.clone());
    tokio::spawn(engine_watch::watch(world.docker.clone(), facts.clone()));
    tokio::spawn(meter::measure(world.clone(), live_out, facts.clone()));
    tokio::spawn(leases::mirror(
        (world.leases.clone(), instance.clone()),
        leased_out,
        facts.clone(),
        shutdown.clone(),
    ));
    if world.docker.is_local() {
        tokio::spawn(isolation::keep_walls(handle.snapshots(), facts.clone()));
    }
    if let Some(proxy) = world.proxy.clone() {
        tokio::spawn(routes::watch(proxy, handle.doors(), facts.clone()));
    }
    let run = Run {
        control,
        instance,
        clock,
        tasks: Tasks::new(world.clone(), facts),
        world,
        news,
        snapshots,
        idle,
        drained,
        live,
        leased,
        doors,
        own: requests,
        knocks: HashMap::new(),
        waiting: HashMap::new(),
        next_ticket: 0,
        serial: 0,
        stale: true,
        published: Instant::now(),
    };
    let ends = (ending.clone(), shutdown);
    let task = tokio::spawn(run.run(early, facts_in, requests_in, ends));
    Engine {
        handle,
        idle: idle_out,
        ending,
        drained: drained_out,
        task,
    }
}

/// Who waits for the answer to a command, and to which.
struct Waiting {
    verb: &'static str,
    events: mpsc::Sender<CommandEvent>,
}

/// What should be held in the lease store.
fn leases_of(control: &Control, instance: &InstanceId) -> leases::Wanted {
    let one =
        |(seat, session, end): (&SeatId, u64, Option<u64>)| (seat.to_string(), (leases::token(instance, session), end));
    control.leases().map(one).collect()
}

pub(super) struct Run {
    pub(super) control: Control,
    pub(super) world: World,
    instance: InstanceId,
    clock: Clock,
    tasks: Tasks,
    news: News,
    snapshots: watch::Sender<Arc<Snapshot>>,
    idle: watch::Sender<bool>,
    drained: watch::Sender<bool>,
    live: watch::Sender<Vec<crate::domain::seen::ContainerSeen>>,
    leased: watch::Sender<Arc<leases::Wanted>>,
    doors: Arc<watch::Sender<Arc<DoorState>>>,
    /// The way back to the loop, for tasks that prove something before it decides.
    pub(super) own: mpsc::Sender<Request>,
    knocks: HashMap<TicketId, oneshot::Sender<KnockAnswer>>,
    waiting: HashMap<TicketId, Waiting>,
    next_ticket: u64,
    serial: u64,
    /// Whether something happened since the last snapshot.
    stale: bool,
    published: Instant,
}

impl Run {
    async fn run(
        mut self,
        early: Vec<Effect>,
        mut facts: mpsc::Receiver<Fact>,
        mut requests: mpsc::Receiver<Request>,
        (ending, shutdown): (Ending, CancellationToken),
    ) {
        let (mut draining, mut called_off) = (false, false);
        for effect in early {
            self.enact(effect);
        }
        loop {
            let wake = Instant::from_std(self.clock.instant(self.control.wake_at_ms()));
            let show = self.published + SNAPSHOT_EVERY;
            // First, so that a storm of requests and facts does not hold up leases and screens.
            let now = Instant::now();
            if now >= wake {
                self.input(Input::Tick);
            }
            if self.stale && now >= show {
                self.publish();
            }
            tokio::select! {
                biased;
                () = shutdown.cancelled() => break,
                () = ending.drain.cancelled(), if !draining => {
                    draining = true;
                    self.drain();
                }
                () = ending.call_off.cancelled(), if !called_off => {
                    called_off = true;
                    self.tasks.call_off();
                }
                Some(request) = requests.recv() => self.request(request),
                Some(fact) = facts.recv() => {
                    self.fact(fact);
                    for _ in 1..FACTS_AT_ONCE {
                        let Ok(fact) = facts.try_recv() else { break };
                        self.fact(fact);
                    }
                }
                () = sleep_until(wake) => {}
                () = sleep_until(show), if self.stale => {}
            }
        }
    }

    fn request(&mut self, request: Request) {
        match request {
            Request::Command { actor, command, events } => {
                self.next_ticket += 1;
                let (ticket, verb) = (TicketId(self.next_ticket), command.verb());
                tracing::info!(
                    ticket = ticket.0,
                    user = actor.name,
                    verb,
                    target = command.target(),
                    "command"
                );
                self.waiting.insert(ticket, Waiting { verb, events });
                self.input(Input::Command(ticket, actor, command));
            }
            Request::Knock { actor, knock, reply } => door::knock(self, actor, knock, reply),
            Request::Wish { actor, wish, reply } => {
                self.next_ticket += 1;
                let ticket = TicketId(self.next_ticket);
                self.knocks.insert(ticket, reply);
                self.input(Input::Knock(ticket, actor, wish));
            }
            other => queries::answer(self, other),
        }
    }

    fn fact(&mut self, fact: Fact) {
        if let Fact::Done(op, _) = &fact {
            self.tasks.ended(*op);
        }
        self.input(Input::Fact(fact));
    }

    pub(super) fn input(&mut self, input: Input) {
        self.stale |= !matches!(input, Input::Tick);
        for effect in self.control.handle(self.clock.now(), input) {
            self.enact(effect);
        }
        self.idle
            .send_if_modified(|idle| std::mem::replace(idle, self.control.is_idle()) != *idle);
        if self.control.is_drained() {
            self.drained.send_replace(true);
        }
    }

    /// Whoever waits for a permit is turned away, who has one goes on.
    fn drain(&mut self) {
        self.world.admit_nobody();
        self.input(Input::Drain);
        tracing::info!(under_way = self.control.under_way(), "draining: nothing new is begun");
    }

    fn enact(&mut self, effect: Effect) {
        match effect {
            Effect::Run(op, task) => self.tasks.start(op, task),
            Effect::Cancel(op) => self.tasks.cancel(op),
            Effect::Tell(notice) => {
                tracing::info!(level = ?notice.level, "{}", notice.text);
                self.news.tell(notice.at(clock::time_of_day()));
            }
            Effect::Progress(ticket, report) => {
                if let Some(waiting) = self.waiting.get(&ticket) {
                    let _ = waiting.events.try_send(CommandEvent::Progress(report));
                }
            }
            Effect::Reply(ticket, outcome) => self.reply(ticket, outcome),
            Effect::Answer(ticket, answer) => {
                // Gateways know of a session before its browser comes back with it.
                self.publish_doors();
                if let Some(reply) = self.knocks.remove(&ticket) {
                    let _ = reply.send(answer);
                }
            }
        }
    }

    /// Who is answered finds the answer in the next list, too: so the snapshot goes first.
    fn reply(&mut self, ticket: TicketId, outcome: crate::domain::command::Outcome) {
        let Some(Waiting { verb, events }) = self.waiting.remove(&ticket) else {
            return;
        };
        self.world.counts.command(verb, &outcome);
        tracing::info!(ticket = ticket.0, verb, outcome = outcome.word(), "answered");
        // A refusal changed nothing that anybody could look for.
        if !matches!(outcome, crate::domain::command::Outcome::Refused { .. }) {
            self.publish();
        }
        // The report queue may be full; the outcome must not be lost, and the loop must not wait.
        tokio::spawn(async move { events.send(CommandEvent::Done(outcome)).await });
    }

    /// Hands the leases to whoever mirrors them, when there is something new.
    fn mirror_leases(&self) {
        let wanted = leases_of(&self.control, &self.instance);
        self.leased.send_if_modified(|known| {
            let is_new = **known != wanted;
            if is_new {
                *known = Arc::new(wanted);
            }
            is_new
        });
    }

    fn publish(&mut self) {
        self.stale = false;
        self.published = Instant::now();
        self.serial += 1;
        let snapshot = self.control.snapshot(self.serial, &self.instance, clock::time_of_day());
        self.snapshots.send_replace(Arc::new(snapshot));
        self.world.counts.published();
        self.live.send_replace(self.control.running());
        self.mirror_leases();
        self.publish_doors();
    }

    /// Tells gateways what is new, when there is one and there is something.
    pub(super) fn publish_doors(&self) {
        if self.doors.receiver_count() == 0 {
            return;
        }
        let state = self.control.door();
        self.doors.send_if_modified(|known| {
            let is_new = **known != state;
            if is_new {
                *known = Arc::new(state);
            }
            is_new
        });
    }
}
