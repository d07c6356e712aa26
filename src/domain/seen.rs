//! What was observed of the world: plain facts, already freed of Docker's words.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::fault::Fault;
use super::ids::{ContainerId, RoomName, SeatId};

/// What a container does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunState {
    /// Made, never started.
    Created,
    /// Runs.
    Running,
    /// Frozen.
    Paused,
    /// Ended, by itself or killed.
    Exited,
    /// The engine is taking it away, or failed to.
    Dead,
}

impl RunState {
    /// Whether no program of it can run until somebody starts it.
    #[must_use]
    pub fn is_down(self) -> bool {
        matches!(self, Self::Created | Self::Exited | Self::Dead)
    }
}

/// How it stands with the lease store. The ledger decides about leases in every case.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LeaseStoreState {
    /// It mirrors the ledger.
    #[default]
    Up,
    /// It does not answer, and why.
    Away(String),
    /// Somebody else holds these names there.
    Contested(String),
}

/// One seat's container as the engine showed it at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContainerSeen {
    /// The engine's id.
    pub id: ContainerId,
    /// Whose seat, by its labels.
    pub seat: SeatId,
    /// Which opening of the room, by its label.
    pub session: u64,
    /// What it does.
    pub state: RunState,
    /// Start time as the engine writes it; only ever compared.
    pub started_at: String,
    /// Finish time as the engine writes it; only ever compared.
    pub finished_at: String,
    /// Exit status of the last run.
    pub exit_code: i64,
    /// Whether the kernel killed its first program for memory.
    pub oom_killed: bool,
    /// Address in its room's network.
    pub address: Option<IpAddr>,
    /// Process id on the engine's host of its first program.
    pub pid: Option<u32>,
    /// Specification digest, by its label.
    pub spec: String,
}

/// A volume of this instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VolumeSeen {
    /// Whose workspace, by its labels.
    pub seat: SeatId,
    /// Which opening of the room, by its label.
    pub session: u64,
}

/// Everything of this instance on the engine.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Listing {
    /// Seats' containers.
    pub containers: Vec<ContainerSeen>,
    /// Seats whose containers are there but could not be looked at, and why; what was known of them stands.
    pub hidden: Vec<(SeatId, Fault)>,
    /// Workspaces.
    pub volumes: Vec<VolumeSeen>,
    /// Rooms that have a network.
    pub networks: Vec<RoomName>,
    /// Carriers that nobody reads through: left over by an agent that died, or by a removal that failed.
    pub carriers: Vec<ContainerId>,
}

/// What the engine says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EngineInfo {
    /// Product version, such as `20.10.24`.
    pub version: String,
    /// The API version spoken with it, such as `1.41`.
    pub api: String,
    /// Its own identity, which outlives its restarts; may be empty.
    pub id: String,
}

/// Whether the engine answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EngineState {
    /// Nobody has asked yet.
    Unknown,
    /// It answers.
    Up(EngineInfo),
    /// It does not; the text says why and what to do.
    Down(String),
}

/// One sample of a seat.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Figures {
    /// CPU since the last sample, percent of one core; absent in the first sample.
    pub cpu_percent: Option<f32>,
    /// Memory without reclaimable file cache, bytes.
    pub memory_bytes: u64,
    /// Processes and threads.
    pub pids: u32,
    /// Bytes that have crossed its network since it started, both ways; none where nobody can tell.
    pub network_bytes: Option<u64>,
}

/// Samples by container.
pub type FiguresOf = BTreeMap<ContainerId, Figures>;

/// One sample of the host.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct HostFigures {
    /// Busy time of all cores together, percent (0 to 100).
    pub cpu_percent: f32,
    /// Memory in use, bytes: total less available.
    pub memory_used_bytes: u64,
    /// Memory of the host, bytes.
    pub memory_total_bytes: u64,
    /// Space left where the archives go, bytes.
    pub disk_free_bytes: u64,
    /// Space there in all, bytes.
    pub disk_total_bytes: u64,
}
