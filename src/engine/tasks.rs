//! The tasks under way: one for each operation, each answering exactly once, also when it panics.

use std::collections::HashMap;
use std::sync::Arc;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use super::world::World;
use super::writes::{self, Begun};
use crate::domain::effect::{Fact, OpId, Task, Yield};
use crate::domain::fault::{Fault, FaultCode};
use crate::metrics::{Counts, Kind, Stage};

/// Starts tasks and calls them off.
#[derive(Debug)]
pub(super) struct Tasks {
    world: World,
    facts: mpsc::Sender<Fact>,
    writes: mpsc::UnboundedSender<Begun>,
    running: HashMap<OpId, CancellationToken>,
}

impl Tasks {
    pub fn new(world: World, facts: mpsc::Sender<Fact>) -> Self {
        // Unbounded, because the loop must not wait; a write is begun by a command or a step, and those are bounded.
        let (writes, begun) = mpsc::unbounded_channel();
        let counts = world.counts.clone();
        tokio::spawn(writes::keep(world.ledger.clone(), begun, facts.clone(), counts));
        Self {
            world,
            facts,
            writes,
            running: HashMap::new(),
        }
    }

    pub fn start(&mut self, op: OpId, task: Task) {
        let task = match task {
            Task::Write(changes) => {
                tracing::debug!(op = op.0, changes = changes.len(), "begin a write");
                // It can only be refused when the agent is stopping.
                let _ = self.writes.send((op, changes));
                return;
            }
            task => task,
        };
        // Every line of the task's bears the number of its operation and what it does.
        let span = tracing::info_span!("op", id = op.0, task = name(&task));
        tracing::debug!(parent: &span, "begin");
        let cancel = CancellationToken::new();
        self.running.insert(op, cancel.clone());
        let (world, facts) = (self.world.clone(), self.facts.clone());
        let told = facts.clone();
        // Progress is only for the eye: when the loop is busy it is left out.
        let tell = Arc::new(move |words: String| {
            let _ = told.try_send(Fact::Progress(op, words));
        });
        let (counts, counted) = (world.counts.clone(), Counted::of(&task));
        let work = async move { Box::pin(world.perform(task, &cancel, tell)).await };
        let work = tokio::spawn(work.instrument(span.clone()));
        let end = async move {
            let result = work.await.unwrap_or_else(|error| Err(broken(&error)));
            log_end(op, &result);
            counted.note(&result, &counts);
            let _ = facts.send(Fact::Done(op, result)).await;
        };
        tokio::spawn(end.instrument(span));
    }

    pub fn cancel(&self, op: OpId) {
        if let Some(token) = self.running.get(&op) {
            token.cancel();
        }
    }

    /// Calls off all that can be.
    pub fn call_off(&self) {
        tracing::warn!(under_way = self.running.len(), "what is under way is called off");
        for token in self.running.values() {
            token.cancel();
        }
    }

    pub fn ended(&mut self, op: OpId) {
        self.running.remove(&op);
    }
}

/// What of a task is counted.
#[derive(Debug, Clone, Copy)]
enum Counted {
    Archive,
    Verify,
    Snapshot,
    Nothing,
}

impl Counted {
    fn of(task: &Task) -> Self {
        match task {
            Task::Archive(_) => Self::Archive,
            Task::Verify { .. } => Self::Verify,
            Task::Snapshot(_) => Self::Snapshot,
            _ => Self::Nothing,
        }
    }

    /// A snapshot's success is counted where it is known whether anything had changed.
    fn note(self, result: &Result<Yield, Fault>, counts: &Counts) {
        match (self, result) {
            (_, Err(fault)) if fault.code == FaultCode::Cancelled => {}
            (Self::Archive, Ok(Yield::Stored(claim))) => counts.stored(Kind::Closing, claim.content_bytes),
            (Self::Archive, Err(_)) => counts.failed(Kind::Closing, Stage::Store),
            (Self::Verify, Ok(_)) => counts.verified(Kind::Closing),
            (Self::Verify, Err(_)) => counts.failed(Kind::Closing, Stage::Verify),
            (Self::Snapshot, Err(_)) => counts.failed(Kind::Snapshot, Stage::Store),
            _ => {}
        }
    }
}

fn broken(error: &tokio::task::JoinError) -> Fault {
    tracing::error!(%error, "a task broke");
    Fault::new(FaultCode::Unknown, "a step of the agent broke off").hint("It is tried again; the agent's log says more")
}

pub(super) fn log_end(op: OpId, result: &Result<Yield, Fault>) {
    match result {
        Ok(_) => tracing::debug!(op = op.0, "end"),
        Err(fault) => tracing::warn!(op = op.0, code = ?fault.code, "{fault}"),
    }
}

/// The task's kind and target for the log.
fn name(task: &Task) -> String {
    match task {
        Task::Write(changes) => format!("write {} changes", changes.len()),
        Task::List => "list".into(),
        Task::Preflight { room, .. } => format!("preflight {room}"),
        Task::EnsureNetwork { room, .. } => format!("make network {room}"),
        Task::RemoveNetwork(room) => format!("remove network {room}"),
        Task::Provision(order) => format!("provision {}", order.seat),
        Task::Probe(order, _) => format!("probe {}", order.seat),
        Task::Start(seat, _) => format!("start {seat}"),
        Task::Freeze(seat, _) => format!("freeze {seat}"),
        Task::Thaw(seat, _) => format!("thaw {seat}"),
        Task::Kill(seat, _) => format!("kill {seat}"),
        Task::Restart(seat, _) => format!("restart {seat}"),
        Task::Hold { seat, .. } => format!("hold {seat}"),
        Task::Archive(order) => format!("archive {} epoch {}", order.seat, order.epoch),
        Task::Snapshot(order) => format!("snapshot {}", order.seat),
        Task::Verify { claim, .. } => format!("verify {} of {}", claim.id, claim.seat),
        Task::RemoveContainer(warrant) => format!("remove container {}", warrant.seat()),
        Task::RemoveVolume(warrant) => format!("remove volume {}", warrant.seat()),
        Task::Reap(id) => format!("reap {id}"),
        Task::Absolve(student) => format!("absolve {student}"),
        Task::Cut(seat, _) => format!("cut {seat}"),
    }
}
