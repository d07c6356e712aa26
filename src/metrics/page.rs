//! The page that is served: the counts, how things stand by the newest snapshot, and this process.

use std::fmt;
use std::sync::Arc;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeGaugeValue, EncodeLabelSet, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::{Registry, Unit};
use tokio::sync::watch;

use super::counts::Counts;
use crate::domain::seen::EngineState;
use crate::domain::snapshot::{Phase, RoomPhase, Snapshot};

/// Every phase of a seat, so that each has a row also when no seat is in it.
const PHASES: [Phase; 12] = [
    Phase::Wanted,
    Phase::Creating,
    Phase::Starting,
    Phase::Ready,
    Phase::Frozen,
    Phase::Closing,
    Phase::Archiving,
    Phase::Verified,
    Phase::Removing,
    Phase::Gone,
    Phase::Stopped,
    Phase::Failed,
];
const ROOM_PHASES: [(RoomPhase, &str); 3] = [
    (RoomPhase::Opening, "opening"),
    (RoomPhase::Open, "open"),
    (RoomPhase::Closing, "closing"),
];

/// All figures of one agent.
#[derive(Debug)]
pub struct Page(Registry);

impl Page {
    /// The page of an agent with these counts and snapshots.
    #[must_use]
    pub fn new(counts: &Counts, snapshots: watch::Receiver<Arc<Snapshot>>) -> Self {
        let mut registry = Registry::default();
        counts.register(&mut registry);
        registry.register_collector(Box::new(Standing {
            counts: counts.clone(),
            snapshots,
        }));
        Self(registry)
    }

    /// The page as text (`OpenMetrics` 1.0).
    ///
    /// # Errors
    /// When a figure has no form as text.
    pub fn text(&self) -> Result<String, fmt::Error> {
        let mut page = String::new();
        text::encode(&mut page, &self.0)?;
        Ok(page)
    }
}

/// How it stands when somebody asks.
#[derive(Debug)]
struct Standing {
    counts: Counts,
    snapshots: watch::Receiver<Arc<Snapshot>>,
}

impl Collector for Standing {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        // The lock on the newest value is let go at once.
        let snapshot = Arc::clone(&self.snapshots.borrow());
        let mut out = Out(encoder);
        rooms(&mut out, &snapshot)?;
        seats(&mut out, &snapshot)?;
        engine(&mut out, &snapshot)?;
        let age = self.counts.snapshot_age().as_secs_f64();
        out.one(
            "labtop_snapshot_age",
            "Age of the newest snapshot",
            Some(&Unit::Seconds),
            &age,
        )?;
        process(&mut out)
    }
}

fn rooms(out: &mut Out<'_>, snapshot: &Snapshot) -> fmt::Result {
    let in_phase = |phase| snapshot.rooms.iter().filter(|room| room.phase == phase).count();
    let rows = ROOM_PHASES.map(|(phase, word)| ([("phase", word)], in_phase(phase)));
    out.family("labtop_rooms", "Rooms that are not closed", None, &rows)?;
    let left = snapshot.rooms.iter().filter_map(|room| {
        let labels = [("room", room.name.to_string())];
        Some((labels, room.lease_seconds_left?))
    });
    let help = "Time until the last lease of a room ends";
    let unit = Some(&Unit::Seconds);
    out.family("labtop_room_lease_left", help, unit, &left.collect::<Vec<_>>())
}

fn seats(out: &mut Out<'_>, snapshot: &Snapshot) -> fmt::Result {
    let in_phase = |phase| snapshot.seats().filter(|seat| seat.phase == phase).count();
    let rows = PHASES.map(|phase| ([("phase", phase.word().to_ascii_lowercase())], in_phase(phase)));
    out.family("labtop_seats", "Seats of which something is left", None, &rows)?;
    let closing = |room: &RoomPhase| *room == RoomPhase::Closing;
    let held = snapshot.rooms.iter().filter(|room| !closing(&room.phase));
    let leases = held
        .flat_map(|room| &room.seats)
        .filter(|seat| seat.lease_seconds_left.is_some_and(|left| left > 0));
    out.one("labtop_leases", "Leases that have not ended", None, &leases.count())?;
    let kills: u64 = snapshot.seats().map(|seat| u64::from(seat.oom_kills)).sum();
    let help = "Programs of the seats there are that the kernel killed for memory";
    out.one("labtop_seat_oom_kills", help, None, &kills)
}

fn engine(out: &mut Out<'_>, snapshot: &Snapshot) -> fmt::Result {
    let up = usize::from(matches!(snapshot.engine, EngineState::Up(_)));
    out.one("labtop_engine_up", "Whether the engine answers", None, &up)?;
    let version = match &snapshot.engine {
        EngineState::Up(info) => info.version.clone(),
        EngineState::Unknown | EngineState::Down(_) => String::new(),
    };
    let labels = [("version", env!("CARGO_PKG_VERSION").to_owned()), ("engine", version)];
    out.family(
        "labtop_build",
        "Versions of labtop and of its engine",
        None,
        &[(labels, 1_usize)],
    )?;
    let free = snapshot.host.disk_free_bytes;
    let help = "Space left where archives go; 0 when they go elsewhere";
    out.one("labtop_archive_disk_free", help, Some(&Unit::Bytes), &free)
}

/// This process, by the names that Prometheus' own clients use. What cannot be read is left out.
fn process(out: &mut Out<'_>) -> fmt::Result {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    if let Some(bytes) = resident_bytes(&status) {
        let help = "Resident memory of the agent";
        out.one("process_resident_memory", help, Some(&Unit::Bytes), &bytes)?;
    }
    let Ok(fds) = std::fs::read_dir("/proc/self/fd") else {
        return Ok(());
    };
    // The reading itself has one open.
    let fds = fds.count().saturating_sub(1);
    out.one("process_open_fds", "Open file descriptors of the agent", None, &fds)
}

fn resident_bytes(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}

/// Writes figures that have no place of their own.
struct Out<'e>(DescriptorEncoder<'e>);

impl Out<'_> {
    fn one<V: EncodeGaugeValue>(&mut self, name: &str, help: &str, unit: Option<&Unit>, value: &V) -> fmt::Result {
        let mut metric = self.0.encode_descriptor(name, help, unit, MetricType::Gauge)?;
        metric.encode_gauge(value)
    }

    fn family<L, V>(&mut self, name: &str, help: &str, unit: Option<&Unit>, rows: &[(L, V)]) -> fmt::Result
    where
        L: EncodeLabelSet,
        V: EncodeGaugeValue,
    {
        let mut metric = self.0.encode_descriptor(name, help, unit, MetricType::Gauge)?;
        for (labels, value) in rows {
            metric.encode_family(labels)?.encode_gauge(value)?;
        }
        Ok(())
    }
}
