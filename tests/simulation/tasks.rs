//! What the adapters promise for each task, step by step, so that anything may happen between two calls.
//!
//! Mirrors the promises written at `Task` and `Yield`; must not know the agent's mind.

use labtop::domain::effect::{ArchiveOrder, Fact, OpId, SeatOrder, Task, Yield};
use labtop::domain::fault::{Fault, FaultCode};
use labtop::domain::ids::{ContainerId, SeatId};
use labtop::domain::names::archive_key;
use labtop::domain::proof::{ArchiveClaim, Extent, Readback, Stillness, Stored, VerifiedArchive, Warrant};
use labtop::domain::seen::{Listing, RunState};

use crate::engine::Deed;
use crate::store::Object;
use crate::world::{Event, World};

/// A task under way.
#[derive(Debug)]
pub struct Job {
    pub task: Task,
    pub stage: u8,
    pub cancelled: bool,
    list: Option<Listing>,
    object: Option<Object>,
    carrier: Option<ContainerId>,
    stirs: u64,
}

impl Job {
    pub fn new(task: Task) -> Self {
        Self {
            task,
            stage: 0,
            cancelled: false,
            list: None,
            object: None,
            carrier: None,
            stirs: 0,
        }
    }
}

/// How a step ends: none means that another follows.
type Turn = Option<Result<Yield, Fault>>;

impl World {
    /// The next step of a task.
    pub fn step_job(&mut self, op: OpId) {
        let Some(mut job) = self.jobs.remove(&op) else { return };
        let turn = if job.cancelled && is_cancellable(&job.task) {
            self.clean_up(&mut job);
            Some(Err(Fault::new(FaultCode::Cancelled, "called off")))
        } else {
            self.turn(&mut job)
        };
        if let Some(result) = turn {
            self.send(Fact::Done(op, result));
        } else {
            job.stage += 1;
            self.jobs.insert(op, job);
            let delay = self.delay();
            self.after(delay, Event::Step(op));
        }
    }

    fn clean_up(&mut self, job: &mut Job) {
        if let Some(carrier) = job.carrier.take() {
            self.docker.carriers.remove(&carrier);
        }
    }

    fn turn(&mut self, job: &mut Job) -> Turn {
        if !self.engine_up && !matches!(job.task, Task::Verify { .. } | Task::Absolve(_) | Task::Cut(..)) {
            return Some(Err(Fault::new(FaultCode::EngineUnreachable, "connection refused")));
        }
        match job.task.clone() {
            Task::Write(_) | Task::Absolve(_) | Task::Cut(..) => Some(Ok(Yield::Nothing)),
            Task::List => self.list(job),
            Task::Preflight { .. } => Some(self.whim("the image cannot be inspected").map(|()| Yield::Nothing)),
            Task::EnsureNetwork { room, .. } => Some(self.call(Deed::MakeNetwork(room)).map(|()| Yield::Nothing)),
            Task::RemoveNetwork(room) => Some(self.call(Deed::RemoveNetwork(room)).map(|()| Yield::Nothing)),
            Task::Provision(order) => self.provision(job, &order),
            Task::Probe(order, seen) => self.probe(job, &order, &seen.started_at),
            Task::Start(seat, id) => Some(self.simple(&seat, &id, Deed::Start(id.clone()))),
            Task::Restart(seat, id) => Some(self.simple(&seat, &id, Deed::Restart(id.clone()))),
            Task::Freeze(seat, id) => Some(self.unless_down(&seat, &id, Deed::Pause(id.clone()))),
            Task::Thaw(seat, id) => Some(self.unless_down(&seat, &id, Deed::Unpause(id.clone()))),
            Task::Kill(seat, id) => Some(self.simple(&seat, &id, Deed::End(id.clone()))),
            Task::Hold { seat, session } => self.hold(job, &seat, session),
            Task::Archive(ArchiveOrder {
                seat, session, epoch, ..
            }) => self.archive(job, &seat, session, epoch),
            Task::Snapshot(_) => self.snapshot(job),
            Task::Verify { claim, stillness } => Some(self.verify(claim, stillness)),
            Task::RemoveContainer(warrant) => self.remove_container(job, &warrant),
            Task::RemoveVolume(warrant) => {
                let discard = matches!(warrant, Warrant::Discard(_));
                let key = (warrant.seat().clone(), warrant.session());
                if self.is_being_saved(&key.0) {
                    return Some(Err(Fault::new(FaultCode::Engine, "the volume is in use")));
                }
                Some(self.call(Deed::RemoveVolume(key, discard)).map(|()| Yield::Nothing))
            }
            Task::Reap(id) => Some(self.reap(&id)),
        }
    }

    /// Fails by chance.
    fn whim(&mut self, text: &str) -> Result<(), Fault> {
        if self.rng.chance(self.weather.engine) {
            return Err(Fault::new(FaultCode::Engine, text));
        }
        Ok(())
    }

    /// The list is as old as the moment when it was read.
    fn list(&mut self, job: &mut Job) -> Turn {
        if let Err(fault) = self.whim("the list was cut") {
            return Some(Err(fault));
        }
        if let Some(list) = job.list.take() {
            Some(Ok(Yield::Listed(list)))
        } else {
            let mut list = self.docker.list();
            let in_use = |carrier: &ContainerId| self.jobs.values().any(|job| job.carrier.as_ref() == Some(carrier));
            list.carriers.retain(|carrier| !in_use(carrier));
            job.list = Some(list);
            None
        }
    }

    fn provision(&mut self, job: &mut Job, order: &SeatOrder) -> Turn {
        if !self.docker.networks.contains(&order.seat.room) {
            return Some(Err(Fault::new(FaultCode::Engine, "no such network")));
        }
        let there = self.docker.of_seat(&order.seat).cloned();
        let Some(container) = there else {
            if job.stage > 3 {
                return Some(Err(Fault::new(FaultCode::Engine, "it keeps going away")));
            }
            let made = self.call(Deed::Create(order.seat.clone(), order.session));
            return made.err().map(Err);
        };
        if container.session != order.session {
            return Some(Err(Fault::new(FaultCode::NameTaken, "the name is taken")));
        }
        if container.state.is_down() {
            return self.call(Deed::Start(container.id)).err().map(Err);
        }
        Some(Ok(Yield::Seen(container.seen())))
    }

    fn probe(&mut self, job: &mut Job, order: &SeatOrder, started_at: &str) -> Turn {
        if job.stage == 0 {
            return None;
        }
        let there = self.docker.of_seat(&order.seat);
        let runs = there.is_some_and(|c| c.state == RunState::Running && c.started.to_string() == started_at);
        Some(if runs {
            self.whim("connection refused").map(|()| Yield::Ready)
        } else {
            Err(Fault::new(FaultCode::NotReady, "its port does not answer"))
        })
    }

    /// What is there after the deed; nothing when the container is gone.
    fn simple(&mut self, seat: &SeatId, id: &ContainerId, deed: Deed) -> Result<Yield, Fault> {
        if !self.docker.containers.contains_key(id) {
            return Ok(Yield::Nothing);
        }
        self.call(deed)?;
        let there = self.docker.of_seat(seat);
        Ok(there.map_or(Yield::Nothing, |c| Yield::Seen(c.seen())))
    }

    /// Freezing or thawing what does not run, or runs already, is no failure: the caller sees what is.
    fn unless_down(&mut self, seat: &SeatId, id: &ContainerId, deed: Deed) -> Result<Yield, Fault> {
        let now = self.docker.containers.get(id).map(|c| c.state);
        let pointless = match deed {
            Deed::Unpause(_) => now != Some(RunState::Paused),
            _ => now != Some(RunState::Running),
        };
        if pointless {
            let there = self.docker.of_seat(seat);
            return Ok(there.map_or(Yield::Nothing, |c| Yield::Seen(c.seen())));
        }
        self.simple(seat, id, deed)
    }

    fn hold(&mut self, job: &mut Job, seat: &SeatId, session: u64) -> Turn {
        let there = self.docker.of_seat(seat).filter(|c| c.session == session).cloned();
        let Some(container) = there else {
            return Some(self.whim("no answer").map(|()| Yield::Held(None, Stillness::Absent)));
        };
        if container.state == RunState::Running {
            if job.stage > 2 {
                return Some(Err(Fault::new(FaultCode::Engine, "it does not stay frozen")));
            }
            return self.call(Deed::Pause(container.id)).err().map(Err);
        }
        let mut stillness = container.stillness()?;
        if self.sabotage.deaf
            && let Stillness::Paused { cpu_ns, .. } = &mut stillness
        {
            *cpu_ns = 0;
        }
        Some(Ok(Yield::Held(Some(container.seen()), stillness)))
    }

    /// The workspace is read first, and stored later.
    fn archive(&mut self, job: &mut Job, seat: &SeatId, session: u64, epoch: u64) -> Turn {
        if job.stage == 0 {
            let Some(volume) = self.docker.volumes.get(&(seat.clone(), session)).copied() else {
                return Some(Err(Fault::new(FaultCode::Engine, "no such volume")));
            };
            job.object = Some(Object {
                uid: volume.uid,
                writes: volume.writes,
                altered: false,
            });
            let carrier = self.docker.fresh_id();
            self.docker.carriers.insert(carrier.clone());
            job.carrier = Some(carrier);
            return None;
        }
        if let Err(fault) = self.whim("the stream was cut") {
            // The carrier stays behind for the next list to find.
            return Some(Err(fault));
        }
        self.clean_up(job);
        let object = job.object.take()?;
        Some(self.store_object(seat, session, epoch, object))
    }

    /// What it stores proves nothing, so that only its hold on the workspace matters here.
    fn snapshot(&mut self, job: &mut Job) -> Turn {
        if job.stage == 0 {
            let carrier = self.docker.fresh_id();
            self.docker.carriers.insert(carrier.clone());
            job.carrier = Some(carrier);
            return None;
        }
        self.clean_up(job);
        Some(self.whim("the store is away").map(|()| Yield::Nothing))
    }

    fn is_being_saved(&self, seat: &SeatId) -> bool {
        let saves = |task: &Task| matches!(task, Task::Snapshot(order) if order.seat == *seat);
        self.jobs.values().any(|job| saves(&job.task) && job.carrier.is_some())
    }

    fn store_object(&mut self, seat: &SeatId, session: u64, epoch: u64, object: Object) -> Result<Yield, Fault> {
        self.docker.next_id += 1;
        let id: labtop::domain::ids::ArchiveId = format!("arc-{}", self.docker.next_id).parse().unwrap();
        let key = archive_key(seat, &id);
        let mut lies = self.rng.chance(self.weather.store);
        if lies && self.rng.chance(50) {
            return Err(Fault::new(FaultCode::Store, "507 insufficient storage"));
        }
        lies &= self.rng.chance(90);
        let mut dice = self.rng.clone();
        self.store.put(&key, object, lies.then_some(&mut dice));
        self.rng = dice;
        if lies {
            self.note(|w| format!("the store lies about {key}: {:?}", w.store.objects.get(&key)));
        }
        let back = object.readback();
        Ok(Yield::Stored(ArchiveClaim {
            id,
            seat: seat.clone(),
            session,
            epoch,
            key,
            bytes: back.workspace.bytes,
            digest: back.workspace.digest.clone(),
            content_bytes: back.workspace.bytes,
            content_digest: back.workspace.digest,
            created_unix_ms: self.now().unix_ms,
            extent: Extent::default(),
        }))
    }

    fn verify(&mut self, claim: ArchiveClaim, stillness: Stillness) -> Result<Yield, Fault> {
        if self.rng.chance(self.weather.store) {
            return Err(Fault::new(FaultCode::Store, "the store does not answer"));
        }
        let back = if self.sabotage.credulous {
            Readback {
                workspace: Stored {
                    bytes: claim.bytes,
                    digest: claim.digest.clone(),
                },
                manifest: Stored::default(),
                log: None,
                content: None,
            }
        } else {
            let object = self.store.objects.get(&claim.key);
            let missing = Fault::new(FaultCode::Mismatch, "the object is missing");
            object.ok_or(missing)?.readback()
        };
        let proof = VerifiedArchive::prove(claim, stillness, &back)?;
        self.oracle.proven(proof.claim().id.clone());
        Ok(Yield::Verified(proof))
    }

    /// Look, end, look again, remove without force.
    fn remove_container(&mut self, job: &mut Job, warrant: &Warrant) -> Turn {
        let (seat, session) = (warrant.seat(), warrant.session());
        let thawed = || {
            Some(Err(Fault::new(
                FaultCode::Thawed,
                "it may have run after it was frozen",
            )))
        };
        let careful = matches!(warrant, Warrant::Verified(_)) && !self.sabotage.blind_removal;
        let Some(container) = self.docker.of_seat(seat).filter(|c| c.session == session).cloned() else {
            return if careful { thawed() } else { Some(Ok(Yield::Nothing)) };
        };
        match job.stage {
            0 => {
                if let (Warrant::Verified(proof), true) = (warrant, careful) {
                    let mut now = container.stillness();
                    if let (true, Some(Stillness::Paused { cpu_ns, .. })) = (self.sabotage.deaf, &mut now) {
                        *cpu_ns = 0;
                    }
                    if now.as_ref() != Some(proof.stillness()) {
                        return thawed();
                    }
                }
                job.stirs = container.stirs;
                None
            }
            1 => self.call(Deed::End(container.id)).err().map(Err),
            _ => {
                if careful && container.stirs != job.stirs && !self.sabotage.deaf {
                    return thawed();
                }
                Some(self.call(Deed::Remove(container.id)).map(|()| Yield::Nothing))
            }
        }
    }

    fn reap(&mut self, id: &ContainerId) -> Result<Yield, Fault> {
        self.whim("server error")?;
        if self.docker.carriers.remove(id) {
            return Ok(Yield::Nothing);
        }
        let never_ran = self
            .docker
            .containers
            .get(id)
            .is_none_or(|c| c.state == RunState::Created);
        if !never_ran {
            return Err(Fault::new(FaultCode::Engine, "it has run"));
        }
        if self.docker.containers.contains_key(id) {
            self.call(Deed::Remove(id.clone()))?;
        }
        Ok(Yield::Nothing)
    }
}

fn is_cancellable(task: &Task) -> bool {
    matches!(
        task,
        Task::Provision(_)
            | Task::Probe(..)
            | Task::Archive(_)
            | Task::Snapshot(_)
            | Task::Verify { .. }
            | Task::Preflight { .. }
    )
}
