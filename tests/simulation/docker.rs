//! The model of the engine: containers, workspaces, networks and carriers, with the real one's refusals.
//!
//! Knows what an engine does; must not know who asks or why. A workspace is a sequence of numbered writes, so "all
//! work" is its length.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};

use labtop::domain::ids::{ContainerId, RoomName, SeatId};
use labtop::domain::proof::Stillness;
use labtop::domain::seen::{ContainerSeen, Listing, RunState, VolumeSeen};

/// One container.
#[derive(Debug, Clone, PartialEq)]
pub struct Container {
    pub id: ContainerId,
    pub seat: SeatId,
    pub session: u64,
    pub state: RunState,
    pub started: u64,
    pub finished: u64,
    pub cpu_ns: u64,
    pub oom: bool,
    /// No other container has ever had it.
    pub address: IpAddr,
    /// Thaws and starts so far: what an adapter learns from the event stream.
    pub stirs: u64,
    /// Of another instance: nobody here is shown it, and nobody may touch it.
    pub foreign: bool,
}

impl Container {
    pub fn seen(&self) -> ContainerSeen {
        ContainerSeen {
            id: self.id.clone(),
            seat: self.seat.clone(),
            session: self.session,
            state: self.state,
            started_at: self.started.to_string(),
            finished_at: self.finished.to_string(),
            exit_code: 137,
            oom_killed: self.oom,
            address: (!self.state.is_down()).then_some(self.address),
            pid: None,
            spec: String::new(),
        }
    }

    /// The evidence that an adapter takes; none while it runs.
    pub fn stillness(&self) -> Option<Stillness> {
        let (container, started_at) = (self.id.clone(), self.started.to_string());
        match self.state {
            RunState::Running => None,
            RunState::Paused => Some(Stillness::Paused {
                container,
                started_at,
                cpu_ns: self.cpu_ns,
            }),
            _ => Some(Stillness::Stopped {
                container,
                started_at,
                finished_at: self.finished.to_string(),
            }),
        }
    }
}

/// One workspace: which one it is, and how many writes were made to it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Volume {
    pub uid: u64,
    pub writes: u64,
}

/// What an engine's event stream tells.
#[derive(Debug, Clone)]
pub enum Event {
    Changed(ContainerSeen),
    Stirred(ContainerId),
    Gone(ContainerId),
}

/// 10.0.0.0, from which addresses are counted.
const FIRST_ADDRESS: u32 = 0x0a00_0000;
/// Volumes of another instance are told apart by their session.
pub const FOREIGN_SESSION: u64 = 1_000_000;

/// Which volume: a seat in one opening.
pub type VolumeKey = (SeatId, u64);

/// Everything of this instance, and the foreign things beside it.
#[derive(Debug, Default)]
pub struct Docker {
    pub containers: BTreeMap<ContainerId, Container>,
    pub volumes: BTreeMap<VolumeKey, Volume>,
    pub networks: BTreeSet<RoomName>,
    pub carriers: BTreeSet<ContainerId>,
    pub events: Vec<Event>,
    pub next_id: u64,
    clock: u64,
}

impl Docker {
    pub fn fresh_id(&mut self) -> ContainerId {
        self.next_id += 1;
        format!("{:x}", 0xc0_0000 + self.next_id).parse().unwrap()
    }

    pub fn list(&self) -> Listing {
        let foreign = |key: &VolumeKey| key.1 >= FOREIGN_SESSION;
        let volumes = self.volumes.keys().filter(|key| !foreign(key));
        Listing {
            containers: self.ours().map(Container::seen).collect(),
            hidden: Vec::new(),
            volumes: volumes
                .map(|(seat, session)| VolumeSeen {
                    seat: seat.clone(),
                    session: *session,
                })
                .collect(),
            networks: self.networks.iter().cloned().collect(),
            carriers: self.carriers.iter().cloned().collect(),
        }
    }

    pub fn of_seat(&self, seat: &SeatId) -> Option<&Container> {
        self.ours().find(|c| c.seat == *seat)
    }

    /// Who answers at an address.
    pub fn at(&self, address: IpAddr) -> Option<&Container> {
        self.ours().find(|c| c.address == address && !c.state.is_down())
    }

    fn ours(&self) -> impl Iterator<Item = &Container> {
        self.containers.values().filter(|c| !c.foreign)
    }

    pub fn create_volume(&mut self, key: VolumeKey) {
        self.next_id += 1;
        let uid = self.next_id;
        self.volumes.entry(key).or_insert(Volume { uid, writes: 0 });
    }

    /// Refused when the name is taken: one container a seat, whatever its session.
    pub fn create(&mut self, seat: &SeatId, session: u64) -> Result<ContainerId, &'static str> {
        if self.of_seat(seat).is_some() {
            return Err("the name is taken");
        }
        self.create_volume((seat.clone(), session));
        let id = self.fresh_id();
        let container = Container {
            id: id.clone(),
            seat: seat.clone(),
            session,
            state: RunState::Created,
            started: 0,
            finished: 0,
            cpu_ns: 0,
            oom: false,
            address: Ipv4Addr::from(FIRST_ADDRESS.wrapping_add(u32::try_from(self.next_id).unwrap_or(0))).into(),
            stirs: 0,
            foreign: false,
        };
        self.containers.insert(id.clone(), container);
        self.tell(&id);
        Ok(id)
    }

    fn tell(&mut self, id: &ContainerId) {
        if let Some(container) = self.containers.get(id).filter(|c| !c.foreign) {
            self.events.push(Event::Changed(container.seen()));
        }
    }

    fn stirred(&mut self, id: &ContainerId) {
        self.events.push(Event::Stirred(id.clone()));
        self.tell(id);
        self.students_work_in(id);
    }

    /// What runs uses the CPU and writes.
    fn students_work_in(&mut self, id: &ContainerId) {
        if let Some(container) = self.containers.get_mut(id) {
            works(container, &mut self.volumes);
        }
    }

    /// Time passes: every running container writes when its dice say so.
    pub fn students_work(&mut self, mut busy: impl FnMut() -> bool) {
        let running = |c: &&mut Container| c.state == RunState::Running;
        for container in self.containers.values_mut().filter(running) {
            if busy() {
                works(container, &mut self.volumes);
            }
        }
    }

    pub fn start(&mut self, id: &ContainerId) -> Result<(), &'static str> {
        let tick = self.tick();
        let Some(c) = self.containers.get_mut(id) else {
            return Err("no such container");
        };
        match c.state {
            RunState::Running => return Ok(()),
            RunState::Paused => return Err("cannot start a paused container"),
            _ => {}
        }
        c.state = RunState::Running;
        c.started = tick;
        c.oom = false;
        c.stirs += 1;
        self.stirred(id);
        Ok(())
    }

    pub fn pause(&mut self, id: &ContainerId) -> Result<(), &'static str> {
        let Some(c) = self.containers.get_mut(id) else {
            return Err("no such container");
        };
        match c.state {
            RunState::Running => c.state = RunState::Paused,
            RunState::Paused => return Ok(()),
            _ => return Err("it does not run"),
        }
        self.tell(id);
        Ok(())
    }

    pub fn unpause(&mut self, id: &ContainerId) -> Result<(), &'static str> {
        let Some(c) = self.containers.get_mut(id) else {
            return Err("no such container");
        };
        if c.state != RunState::Paused {
            return Err("it is not paused");
        }
        c.state = RunState::Running;
        c.stirs += 1;
        self.stirred(id);
        Ok(())
    }

    pub fn end(&mut self, id: &ContainerId, oom: bool) -> Result<(), &'static str> {
        let tick = self.tick();
        let Some(c) = self.containers.get_mut(id) else {
            return Err("no such container");
        };
        if c.state.is_down() {
            return Ok(());
        }
        c.state = RunState::Exited;
        c.finished = tick;
        c.oom = oom;
        self.tell(id);
        Ok(())
    }

    pub fn restart(&mut self, id: &ContainerId) -> Result<(), &'static str> {
        self.end(id, false)?;
        self.start(id)
    }

    pub fn remove(&mut self, id: &ContainerId, force: bool) -> Result<(), &'static str> {
        let Some(c) = self.containers.get(id) else {
            return Err("no such container");
        };
        if !c.state.is_down() && !force {
            return Err("it runs");
        }
        self.containers.remove(id);
        self.events.push(Event::Gone(id.clone()));
        Ok(())
    }

    pub fn remove_volume(&mut self, key: &VolumeKey) -> Result<Option<Volume>, &'static str> {
        if self.containers.values().any(|c| c.seat == key.0 && c.session == key.1) {
            return Err("the volume is in use");
        }
        Ok(self.volumes.remove(key))
    }

    pub fn remove_network(&mut self, room: &RoomName) -> Result<(), &'static str> {
        if self
            .containers
            .values()
            .any(|c| c.seat.room == *room && c.session > 0 && !c.foreign && !c.state.is_down())
        {
            return Err("it has active endpoints");
        }
        self.networks.remove(room);
        Ok(())
    }

    /// The engine restarts: nothing that ran runs on. (The strangers do, so that any change of them is ours.)
    pub fn all_end(&mut self) {
        for id in self
            .ours()
            .filter(|c| c.session > 0)
            .map(|c| c.id.clone())
            .collect::<Vec<_>>()
        {
            let _ = self.end(&id, false);
        }
        self.events.clear();
    }

    fn tick(&mut self) -> u64 {
        self.clock += 1;
        self.clock
    }
}

fn works(container: &mut Container, volumes: &mut BTreeMap<VolumeKey, Volume>) {
    container.cpu_ns += 1;
    let key = (container.seat.clone(), container.session);
    if let Some(volume) = volumes.get_mut(&key) {
        volume.writes += 1;
    }
}
