//! The meter: how much CPU, memory and how many processes each seat uses, and the host.
//!
//! Knows: counters and their arithmetic. Must not know: what is too much. Everything here blocks for some
//! microseconds a seat, so it is called from a thread of its own.

mod cgroup;
mod host;
mod parse;

use std::time::Instant;

use crate::domain::seen::Figures;

pub use cgroup::CgroupMeter;
pub use host::{HostMeter, room};

/// Counters of one container at one moment, whoever read them: cgroup files or the engine's statistics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Raw {
    /// CPU time used since the container started, all tasks and cores, nanoseconds.
    pub cpu_ns: u64,
    /// Memory without reclaimable file cache, bytes.
    pub memory_bytes: u64,
    /// Processes and threads.
    pub pids: u32,
    /// Bytes across its network since it started, both ways, where that can be told.
    pub network_bytes: Option<u64>,
    /// When it was read, on the monotonic clock.
    pub at: Instant,
}

/// The figures between two readings. There is no CPU figure without an earlier reading, nor when the counter went
/// back, which means that the container was started anew.
#[must_use]
pub fn figures(previous: Option<Raw>, now: Raw) -> Figures {
    Figures {
        cpu_percent: previous.and_then(|previous| cpu_percent(previous, now)),
        memory_bytes: now.memory_bytes,
        pids: now.pids,
        network_bytes: now.network_bytes,
    }
}

/// `part` of `whole` as a figure for people.
fn percent(part: u64, whole: f64) -> f32 {
    #[expect(clippy::cast_possible_truncation, reason = "a percentage needs no more than 24 bits")]
    let percent = (part as f64 / whole * 100.0) as f32;
    percent
}

/// Percent of one core.
fn cpu_percent(previous: Raw, now: Raw) -> Option<f32> {
    let used_ns = now.cpu_ns.checked_sub(previous.cpu_ns)?;
    let passed_ns = now.at.checked_duration_since(previous.at)?.as_nanos();
    // Differences of one second or so: both fit the 52 bits of a double with room to spare.
    (passed_ns > 0).then(|| percent(used_ns, passed_ns as f64))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn raw(cpu_ns: u64, at: Instant) -> Raw {
        Raw {
            network_bytes: None,
            cpu_ns,
            memory_bytes: 4096,
            pids: 2,
            at,
        }
    }

    #[test]
    fn a_hundred_percent_is_one_core() {
        let start = Instant::now();
        let later = start + Duration::from_secs(2);
        let percent = |from, to| figures(Some(raw(from, start)), raw(to, later)).cpu_percent;
        assert_eq!(percent(5, 2_000_000_005), Some(100.0));
        assert_eq!(percent(0, 3_000_000_000), Some(150.0));
        assert_eq!(percent(7, 7), Some(0.0));
    }

    #[test]
    fn there_is_no_figure_without_an_honest_interval() {
        let start = Instant::now();
        let later = start + Duration::from_secs(1);
        assert_eq!(figures(None, raw(9, start)).cpu_percent, None);
        assert_eq!(
            figures(Some(raw(9, start)), raw(8, later)).cpu_percent,
            None,
            "counter went back"
        );
        assert_eq!(
            figures(Some(raw(8, start)), raw(9, start)).cpu_percent,
            None,
            "no time passed"
        );
        assert_eq!(
            figures(Some(raw(8, later)), raw(9, start)).cpu_percent,
            None,
            "time went back"
        );
        assert_eq!(figures(None, raw(9, start)).memory_bytes, 4096);
    }
}
