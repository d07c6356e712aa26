//! What is counted while the agent runs. Cheap to clone and to count with; no label names a student.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use crate::domain::command::Outcome;

/// Bounds of a ledger write's time, seconds: from a fast disk's commit to one that nobody should wait for.
const WRITE_BOUNDS: [f64; 10] = [0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 2.0, 10.0];

/// Labels with their values, both from this program's own text.
type Labels<const N: usize> = [(&'static str, &'static str); N];

/// What an archive was made for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A seat that is being closed.
    Closing,
    /// A seat that goes on.
    Snapshot,
}

impl Kind {
    fn label(self) -> (&'static str, &'static str) {
        let word = match self {
            Self::Closing => "closing",
            Self::Snapshot => "snapshot",
        };
        ("kind", word)
    }
}

/// Where an archive failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// While it was read and stored.
    Store,
    /// While it was read back.
    Verify,
}

/// Why a connection was turned away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turned {
    /// Its user may not enter.
    Unwelcome,
    /// There are too many already.
    Full,
}

/// The counts of one agent.
#[derive(Debug, Clone, Default)]
pub struct Counts(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    commands: Family<Labels<2>, Counter>,
    turned_away: Family<Labels<1>, Counter>,
    stored: Family<Labels<1>, Counter>,
    verified: Family<Labels<1>, Counter>,
    failed: Family<Labels<2>, Counter>,
    bytes: Family<Labels<1>, Counter>,
    writes: Histogram,
    writes_failed: Counter,
    began: Instant,
    /// When the newest snapshot was made, milliseconds after `began`.
    published_ms: AtomicU64,
}

impl Default for Inner {
    fn default() -> Self {
        Self {
            commands: Family::default(),
            turned_away: Family::default(),
            stored: Family::default(),
            verified: Family::default(),
            failed: Family::default(),
            bytes: Family::default(),
            writes: Histogram::new(WRITE_BOUNDS),
            writes_failed: Counter::default(),
            began: Instant::now(),
            published_ms: AtomicU64::new(0),
        }
    }
}

impl Counts {
    /// A command was answered. `verb` is the command's own word.
    pub fn command(&self, verb: &'static str, outcome: &Outcome) {
        let labels = [("verb", verb), ("outcome", outcome.word())];
        self.0.commands.get_or_create(&labels).inc();
    }

    /// A connection was turned away.
    pub fn turned_away(&self, why: Turned) {
        let word = match why {
            Turned::Unwelcome => "user",
            Turned::Full => "full",
        };
        self.0.turned_away.get_or_create(&[("reason", word)]).inc();
    }

    /// Work of so many bytes was stored.
    pub fn stored(&self, kind: Kind, bytes: u64) {
        self.0.stored.get_or_create(&[kind.label()]).inc();
        self.0.bytes.get_or_create(&[kind.label()]).inc_by(bytes);
    }

    /// A stored archive was read back, and is what was sent.
    pub fn verified(&self, kind: Kind) {
        self.0.verified.get_or_create(&[kind.label()]).inc();
    }

    /// An archive failed.
    pub fn failed(&self, kind: Kind, stage: Stage) {
        let word = match stage {
            Stage::Store => "store",
            Stage::Verify => "verify",
        };
        self.0.failed.get_or_create(&[kind.label(), ("stage", word)]).inc();
    }

    /// A write was answered by the ledger, which took so long.
    pub fn written(&self, took: Duration, succeeded: bool) {
        self.0.writes.observe(took.as_secs_f64());
        if !succeeded {
            self.0.writes_failed.inc();
        }
    }

    /// A snapshot was published.
    pub fn published(&self) {
        self.0.published_ms.store(self.now_ms(), Ordering::Relaxed);
    }

    /// How old the newest snapshot is.
    #[must_use]
    pub fn snapshot_age(&self) -> Duration {
        Duration::from_millis(
            self.now_ms()
                .saturating_sub(self.0.published_ms.load(Ordering::Relaxed)),
        )
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.0.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// Shows all counts, those that nothing was counted in yet as zero.
    pub(super) fn register(&self, registry: &mut Registry) {
        let inner = &self.0;
        for kind in [Kind::Closing, Kind::Snapshot] {
            for family in [&inner.stored, &inner.verified, &inner.bytes] {
                drop(family.get_or_create(&[kind.label()]));
            }
            for stage in ["store", "verify"] {
                drop(inner.failed.get_or_create(&[kind.label(), ("stage", stage)]));
            }
        }
        for reason in ["user", "full"] {
            drop(inner.turned_away.get_or_create(&[("reason", reason)]));
        }
        registry.register("labtop_commands", "Commands that were answered", inner.commands.clone());
        registry.register(
            "labtop_connections_refused",
            "Connections that were turned away",
            inner.turned_away.clone(),
        );
        registry.register(
            "labtop_archives_stored",
            "Archives that were stored",
            inner.stored.clone(),
        );
        registry.register(
            "labtop_archives_verified",
            "Archives that were read back and are what was sent",
            inner.verified.clone(),
        );
        registry.register(
            "labtop_archives_failed",
            "Attempts at an archive that failed; each is made again",
            inner.failed.clone(),
        );
        registry.register_with_unit(
            "labtop_archived",
            "Work that was stored, before it was packed",
            Unit::Bytes,
            inner.bytes.clone(),
        );
        registry.register_with_unit(
            "labtop_ledger_write",
            "Time from a write to its place on the disk, waiting included",
            Unit::Seconds,
            inner.writes.clone(),
        );
        registry.register(
            "labtop_ledger_writes_failed",
            "Writes that the ledger could not take",
            inner.writes_failed.clone(),
        );
    }
}
