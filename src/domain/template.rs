//! What a seat is made of. A template that reaches this type has passed every check.
//!
//! Knows: limits and hardening as numbers and choices. Must not know: Docker's words for them.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::door::DoorPolicy;
use super::ids::TemplateName;
use super::policy::{AUTOSAVE_CLASS_S, AUTOSAVE_EXAM_S};

/// Capabilities with which a program can leave its container.
pub const ESCAPES: [&str; 8] = [
    "BPF",
    "DAC_READ_SEARCH",
    "MKNOD",
    "NET_ADMIN",
    "SYS_ADMIN",
    "SYS_MODULE",
    "SYS_PTRACE",
    "SYS_RAWIO",
];
/// The capability with which a program draws the traffic of its neighbours on the bridge to itself.
pub const FORGES_PACKETS: &str = "NET_RAW";

/// Where a seat may connect to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Egress {
    /// The internet, never a neighbour.
    Open,
    /// Nothing: only its route reaches it.
    Closed,
}

/// The user that a seat's program runs as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SeatUser {
    /// Numeric user id.
    pub uid: u32,
    /// Numeric group id.
    pub gid: u32,
}

/// What of a student's work is archived. Paths and patterns are checked.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Selection {
    /// Absolute paths outside the workspace that are taken whole, besides what the engine reports as changed.
    #[serde(default)]
    pub paths: Vec<String>,
    /// Only what matches one of these patterns; empty means everything.
    #[serde(default)]
    pub include: Vec<String>,
    /// Nothing that matches one of these patterns.
    #[serde(default)]
    pub exclude: Vec<String>,
    /// Where the workspace is in the seat: patterns that begin with a slash are paths of the seat.
    #[serde(default)]
    pub workspace: String,
    /// Most bytes of one archive before compression; 0 means no bound.
    #[serde(default)]
    pub max_bytes: u64,
}

/// What counts as a student's activity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Activity {
    /// Programs work.
    Cpu,
    /// Something crosses the seat's network.
    Network,
    /// The workspace changes, as its snapshots find.
    Files,
    /// Somebody types in a shell of labtop's.
    Terminal,
}

/// What counts unless the template says otherwise.
pub const ACTIVITY: [Activity; 3] = [Activity::Cpu, Activity::Network, Activity::Terminal];

/// A checked template.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Template {
    /// Its name in the configuration.
    pub name: TemplateName,
    /// Image reference.
    pub image: String,
    /// Command line; empty means the image's own.
    pub command: Vec<String>,
    /// Whom the program runs as; never root unless the template says so.
    pub user: SeatUser,
    /// The port that answers the student; none means no route.
    pub port: Option<u16>,
    /// Hard limit of memory and swap together, bytes.
    pub memory_bytes: u64,
    /// Hard limit of CPU, in thousandths of one core.
    pub millicpus: u32,
    /// Most processes and threads.
    pub pids: u32,
    /// Most open files of one process.
    pub nofile: u32,
    /// Egress policy.
    pub network: Egress,
    /// Absolute path of the workspace inside the seat.
    pub workspace: String,
    /// Minutes that a seat is held for unless the opening says otherwise.
    pub minutes: u32,
    /// Directory on the agent's host whose files a new workspace starts with.
    pub starter: Option<PathBuf>,
    /// Environment; never a secret.
    pub env: BTreeMap<String, String>,
    /// Capabilities given back after all were dropped.
    pub cap_add: Vec<String>,
    /// Whether the root file system is read-only.
    pub read_only: bool,
    /// OCI runtime (`runsc`, `kata`, `sysbox-runc`); none means the engine's default.
    pub runtime: Option<String>,
    /// What of the work is archived.
    #[serde(default)]
    pub archive: Selection,
    /// Seconds between two snapshots of a running seat; 0 takes none, none means as the kind of room has it.
    #[serde(default)]
    pub autosave: Option<u32>,
    /// Minutes without activity after which a seat ends; none means that it may be idle.
    #[serde(default)]
    pub idle_minutes: Option<u32>,
    /// What counts as activity.
    #[serde(default)]
    pub activity: Vec<Activity>,
    /// How its students come and go.
    #[serde(default)]
    pub door: DoorPolicy,
}

impl Template {
    /// Milliseconds without activity after which a seat ends; none when it may be idle.
    #[must_use]
    pub fn idle_ms(&self) -> Option<u64> {
        self.idle_minutes.map(|minutes| u64::from(minutes) * 60_000)
    }

    /// Whether something counts as activity.
    #[must_use]
    pub fn counts(&self, kind: Activity) -> bool {
        self.activity.contains(&kind)
    }

    /// Milliseconds between two snapshots of a seat; none when none are taken.
    #[must_use]
    pub fn autosave_ms(&self, exam: bool) -> Option<u64> {
        let usual = if exam { AUTOSAVE_EXAM_S } else { AUTOSAVE_CLASS_S };
        let seconds = self.autosave.unwrap_or(usual);
        (seconds > 0).then(|| u64::from(seconds) * 1_000)
    }
}
