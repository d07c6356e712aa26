//! The adapters and bounds that tasks work with. Cheap to clone; shared by all tasks.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use tokio::sync::{OnceCell, Semaphore};

use super::door::{Counted, Hashers};
use super::snapshot::LastSaved;
use crate::domain::settings::{LimitSettings, Probe};
use crate::metrics::Counts;
use crate::world::archive::Archives;
use crate::world::docker::Docker;
use crate::world::isolation::Service;
use crate::world::leases::Leases;
use crate::world::ledger::Ledger;
use crate::world::proxy::Proxy;

/// Workspaces removed at once, apart from other calls: each is read once more as a whole, which may take minutes.
const REMOVALS_IN_FLIGHT: usize = 8;
/// Snapshots at once: they are in no hurry, and leave the host to the students.
const SNAPSHOTS_IN_FLIGHT: usize = 2;
/// Archives read back for people at once.
const CHECKS_AT_ONCE: usize = 2;
/// Questions answered at once.
const QUESTIONS_AT_ONCE: usize = 8;
/// Freezings, starts and the like that run at once: beyond this the engine only queues them itself.
const CALLS_IN_FLIGHT: usize = 8;

/// Everything outside that the engine acts on.
#[derive(Debug, Clone)]
pub struct World {
    /// The Docker engine.
    pub docker: Docker,
    /// The durable record.
    pub ledger: Ledger,
    /// Where archives go.
    pub archives: Archives,
    /// Where leases are mirrored.
    pub leases: Leases,
    /// The store's place on this host, whose free space the header shows; none when it is elsewhere.
    pub disk: Option<PathBuf>,
    /// When a seat counts as ready.
    pub probe: Probe,
    /// The proxy that is asked for seats' routes, when that decides.
    pub proxy: Option<Proxy>,
    /// What of the host's seats must not reach, besides what is the same everywhere.
    pub services: Arc<[Service]>,
    pub(super) engine_id: Arc<OnceCell<String>>,
    /// When shared permits could last not be asked for.
    pub(super) permits_failed: Arc<Mutex<Option<Instant>>>,
    /// What is counted.
    pub counts: Counts,
    pub(super) last_saved: LastSaved,
    pub(super) snapshots_kept: usize,
    pub(super) strikes: Counted,
    pub(super) hashers: Hashers,
    pub(super) creations_in_flight: usize,
    pub(super) snapshots: Arc<Semaphore>,
    pub(super) creations: Arc<Semaphore>,
    pub(super) transfers: Arc<Semaphore>,
    /// Apart from the transfers, so that a stored archive is proven before the work of all other seats is read: else an
    /// agent that dies again and again would begin again and again, and finish none.
    pub(super) proofs: Arc<Semaphore>,
    pub(super) calls: Arc<Semaphore>,
    pub(super) removals: Arc<Semaphore>,
    /// People's questions, which may read whole files.
    pub(super) questions: Arc<Semaphore>,
    /// Archives that people have read back: they must not stand in the way of closings, nor of short questions.
    pub(super) checks: Arc<Semaphore>,
}

impl World {
    /// Puts the adapters together under their bounds.
    #[must_use]
    pub fn new(
        docker: Docker,
        ledger: Ledger,
        archives: Archives,
        leases: Leases,
        disk: Option<PathBuf>,
        probe: Probe,
        limits: LimitSettings,
    ) -> Self {
        Self {
            docker,
            ledger,
            archives,
            leases,
            disk,
            proxy: None,
            services: Arc::default(),
            engine_id: Arc::default(),
            permits_failed: Arc::default(),
            creations_in_flight: limits.creations_in_flight,
            probe,
            counts: Counts::default(),
            last_saved: LastSaved::default(),
            snapshots_kept: limits.snapshots_kept,
            strikes: Counted::default(),
            hashers: Hashers::start(),
            snapshots: Arc::new(Semaphore::new(SNAPSHOTS_IN_FLIGHT)),
            creations: Arc::new(Semaphore::new(limits.creations_in_flight)),
            transfers: Arc::new(Semaphore::new(limits.archives_in_flight)),
            proofs: Arc::new(Semaphore::new(limits.archives_in_flight)),
            calls: Arc::new(Semaphore::new(CALLS_IN_FLIGHT)),
            removals: Arc::new(Semaphore::new(REMOVALS_IN_FLIGHT)),
            questions: Arc::new(Semaphore::new(QUESTIONS_AT_ONCE)),
            checks: Arc::new(Semaphore::new(CHECKS_AT_ONCE)),
        }
    }

    /// Lets no more seat be made, archived or saved; who waits for that is turned away. Proofs and removals go on: they
    /// end what was begun.
    pub(super) fn admit_nobody(&self) {
        for bound in [&self.creations, &self.transfers, &self.snapshots] {
            bound.close();
        }
    }
}
