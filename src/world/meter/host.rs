//! The host's own figures: CPU and memory of all, and room on the archives' disk.

use std::fs;
use std::path::{Path, PathBuf};

use rustix::fs::{StatVfs, statvfs};

use super::parse::{HostTicks, host_ticks, keyed};
use crate::domain::seen::HostFigures;

/// Reads the host and remembers the last reading.
#[derive(Debug)]
pub struct HostMeter {
    proc: PathBuf,
    previous: Option<HostTicks>,
}

impl Default for HostMeter {
    fn default() -> Self {
        Self::new("/proc".into())
    }
}

impl HostMeter {
    /// A meter that reads below this mount of `proc`.
    #[must_use]
    pub fn new(proc: PathBuf) -> Self {
        let previous = None;
        Self { proc, previous }
    }

    /// One sample. `disk` is a path on the file system whose room is wanted, if any; it need not be there yet. CPU is 0 in the
    /// first sample, and whatever cannot be read is 0.
    pub fn sample(&mut self, disk: Option<&Path>) -> HostFigures {
        let (memory_used_bytes, memory_total_bytes) = self.memory().unwrap_or_default();
        let (disk_free_bytes, disk_total_bytes) = disk.and_then(room).unwrap_or_default();
        HostFigures {
            cpu_percent: self.cpu().unwrap_or_default(),
            memory_used_bytes,
            memory_total_bytes,
            disk_free_bytes,
            disk_total_bytes,
        }
    }

    fn cpu(&mut self) -> Option<f32> {
        let now = host_ticks(&self.text("stat")?)?;
        let previous = self.previous.replace(now)?;
        let total = now.total.checked_sub(previous.total).filter(|ticks| *ticks > 0)?;
        // The kernel's waiting time may go back a little.
        let busy = now.busy.saturating_sub(previous.busy).min(total);
        Some(super::percent(busy, total as f64))
    }

    fn memory(&self) -> Option<(u64, u64)> {
        const KIB: u64 = 1024;
        let text = self.text("meminfo")?;
        let (total, available) = (keyed(&text, "MemTotal")?, keyed(&text, "MemAvailable")?);
        Some((total.saturating_sub(available) * KIB, total * KIB))
    }

    fn text(&self, file: &str) -> Option<String> {
        fs::read_to_string(self.proc.join(file)).ok()
    }
}

/// Free (for this user) and total bytes where `disk` is, or where it would be made.
pub fn room(disk: &Path) -> Option<(u64, u64)> {
    let stat: StatVfs = disk.ancestors().find_map(|path| statvfs(path).ok())?;
    Some((stat.f_bavail * stat.f_frsize, stat.f_blocks * stat.f_frsize))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_come_from_the_difference_of_two_readings() {
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| fs::write(dir.path().join(name), text).unwrap();
        write("stat", "cpu  100 0 0 100 0 0 0 0 0 0\n");
        write("meminfo", "MemTotal: 1000 kB\nMemFree: 1 kB\nMemAvailable: 400 kB\n");
        let mut meter = HostMeter::new(dir.path().into());
        let first = meter.sample(Some(Path::new("/not/made/yet")));
        assert!(first.cpu_percent.abs() < 0.01);
        assert_eq!(
            (first.memory_used_bytes, first.memory_total_bytes),
            (600 * 1024, 1000 * 1024)
        );
        assert!(first.disk_total_bytes > 0 && first.disk_free_bytes <= first.disk_total_bytes);
        write("stat", "cpu  175 0 0 100 25 0 0 0 0 0\n");
        assert!((meter.sample(Some(Path::new("/"))).cpu_percent - 75.0).abs() < 0.01);
        write("stat", "cpu  175 0 0 100 25 0 0 0 0 0\n");
        assert!(
            meter.sample(Some(Path::new("/"))).cpu_percent.abs() < 0.01,
            "no time passed"
        );
    }

    #[test]
    fn an_unreadable_host_is_zero_not_a_panic() {
        let figures = HostMeter::new("/nonexistent".into()).sample(Some(Path::new("/")));
        assert_eq!((figures.cpu_percent, figures.memory_total_bytes), (0.0, 0));
    }
}
