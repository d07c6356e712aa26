//! What a screen shows: whole, latest-wins, plain data, with ages instead of instants.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::fault::Fault;
use super::ids::{ArchiveId, ContainerId, InstanceId, RoomName, StudentId, TemplateName};
use super::role::Rights;
use super::seen::{EngineState, HostFigures, LeaseStoreState};

/// Where a seat is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// In the ledger, nothing made yet.
    Wanted,
    /// Volume and container are being made.
    Creating,
    /// Started; does not answer yet.
    Starting,
    /// Answers.
    Ready,
    /// Frozen by a verb.
    Frozen,
    /// Being frozen to be archived.
    Closing,
    /// Its work is being read and stored.
    Archiving,
    /// Its work is proven stored.
    Verified,
    /// Being removed.
    Removing,
    /// Nothing is left of it.
    Gone,
    /// Killed; starts only by `seat restart`.
    Stopped,
    /// Something failed; it is tried again, and the fault says what.
    Failed,
}

impl Phase {
    /// The word for people.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Wanted => "Wanted",
            Self::Creating => "Creating",
            Self::Starting => "Starting",
            Self::Ready => "Ready",
            Self::Frozen => "Frozen",
            Self::Closing => "Closing",
            Self::Archiving => "Archiving",
            Self::Verified => "Verified",
            Self::Removing => "Removing",
            Self::Gone => "Gone",
            Self::Stopped => "Stopped",
            Self::Failed => "Failed",
        }
    }
}

/// Where a room is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RoomPhase {
    /// Some seats have not arrived yet.
    Opening,
    /// All seats have arrived.
    Open,
    /// Seats are being archived and removed.
    Closing,
}

/// One seat.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SeatView {
    /// Its room.
    pub room: RoomName,
    /// Its student.
    pub student: StudentId,
    /// Where it is in its life.
    pub phase: Phase,
    /// Its container, if there is one.
    pub container_id: Option<ContainerId>,
    /// CPU, percent of one core.
    pub cpu_percent: Option<f32>,
    /// Earlier samples of CPU, oldest first, percent of one core, at most [`super::policy::HISTORY_SAMPLES`].
    pub cpu_history: Vec<u16>,
    /// Hard limit of CPU, percent of one core.
    pub cpu_limit_percent: f32,
    /// Memory without reclaimable file cache, bytes.
    pub memory_bytes: Option<u64>,
    /// Hard limit of memory and swap together, bytes.
    pub memory_limit_bytes: Option<u64>,
    /// Processes and threads.
    pub pids: Option<u32>,
    /// Seconds until the lease ends; 0 when it has.
    pub lease_seconds_left: Option<u64>,
    /// Whether the end of its lease means nothing until it is released.
    #[serde(default)]
    pub held: bool,
    /// Path of its route.
    pub route: String,
    /// The verified archive of this closing.
    pub archive_id: Option<ArchiveId>,
    /// What failed last, while it matters.
    pub fault: Option<Fault>,
    /// Programs that the kernel killed for memory since the agent started.
    pub oom_kills: u32,
    /// What is under way, in words (bytes archived, attempt number); may be empty.
    pub doing: String,
}

/// One room that is not closed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RoomView {
    /// Its name.
    pub name: RoomName,
    /// Its template.
    pub template: TemplateName,
    /// Whether it is an exam.
    pub exam: bool,
    /// Where it is in its life.
    pub phase: RoomPhase,
    /// Seconds until the last lease ends.
    pub lease_seconds_left: Option<u64>,
    /// Seats the room had when it opened or began to close: what progress is measured against.
    pub seats_total: usize,
    /// Seconds until a closing has ended, estimated from its seats that are done; none as long as too few are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub closing_seconds_left: Option<u64>,
    /// Bytes of work that a closing has archived.
    #[serde(default)]
    pub closing_bytes: u64,
    /// Bytes a second of it.
    #[serde(default)]
    pub closing_rate: u64,
    /// Its seats, by student.
    pub seats: Vec<SeatView>,
    /// What keeps the whole room back.
    pub fault: Option<Fault>,
}

/// Everything that a board shows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Snapshot {
    /// Grows with every snapshot of one agent.
    pub serial: u64,
    /// Whose snapshot.
    pub instance: InstanceId,
    /// Wall-clock time of the host, `HH:MM:SS`, for the header.
    pub clock: String,
    /// Whether the engine answers.
    pub engine: EngineState,
    /// How it stands with the lease store.
    #[serde(default)]
    pub lease_store: LeaseStoreState,
    /// The host.
    pub host: HostFigures,
    /// All rooms that are not closed, by name.
    pub rooms: Vec<RoomView>,
    /// Templates that rooms can open from, the default one first.
    pub templates: Vec<TemplateName>,
}

impl Snapshot {
    /// All seats of all rooms.
    pub fn seats(&self) -> impl Iterator<Item = &SeatView> {
        self.rooms.iter().flat_map(|room| room.seats.iter())
    }

    /// What of it somebody with these rights sees.
    #[must_use]
    pub fn seen_by(&self, rights: &Rights) -> Cow<'_, Self> {
        let names_others = matches!(self.lease_store, LeaseStoreState::Contested(_)) && !rights.sees_all();
        if !names_others && self.rooms.iter().all(|room| rights.sees(&room.name)) {
            return Cow::Borrowed(self);
        }
        let rooms = self.rooms.iter().filter(|room| rights.sees(&room.name));
        Cow::Owned(Self {
            rooms: rooms.cloned().collect(),
            instance: self.instance.clone(),
            clock: self.clock.clone(),
            engine: self.engine.clone(),
            templates: self.templates.clone(),
            lease_store: if names_others {
                LeaseStoreState::Contested("some seats".to_owned())
            } else {
                self.lease_store.clone()
            },
            ..*self
        })
    }
}
