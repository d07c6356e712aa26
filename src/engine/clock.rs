//! The only place that reads the wall clock.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use crate::domain::control::Now;
use crate::domain::ids::ArchiveId;

/// Both clocks of the host.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    started: Instant,
}

impl Clock {
    /// Monotonic time counts from now, and from 1, so that 0 is always "long ago".
    #[must_use]
    pub fn start() -> Self {
        Self {
            started: Instant::now(),
        }
    }

    /// What time it is.
    #[must_use]
    pub fn now(&self) -> Now {
        Now {
            unix_ms: unix_ms(),
            mono_ms: millis(self.started.elapsed().as_millis()) + 1,
        }
    }

    /// The instant of a monotonic time.
    #[must_use]
    pub fn instant(&self, mono_ms: u64) -> Instant {
        /// Far enough to never come, near enough not to overflow.
        const A_DAY_MS: u64 = 86_400_000;
        let now = self.now().mono_ms;
        Instant::now() + std::time::Duration::from_millis(mono_ms.saturating_sub(now).min(A_DAY_MS))
    }
}

/// Milliseconds of Unix time.
#[must_use]
pub fn unix_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    millis(since.as_millis())
}

/// The host's time of day, `HH:MM:SS`.
#[must_use]
pub fn time_of_day() -> String {
    jiff::ZonedDateTime::now().strftime("%H:%M:%S").to_string()
}

/// A new archive's id: sorts by time, and differs from all others by chance.
#[must_use]
pub fn new_archive_id(unix_ms: u64) -> Option<ArchiveId> {
    let time = jiff::Timestamp::from_millisecond(i64::try_from(unix_ms).ok()?).ok()?;
    let tail = uuid::Uuid::new_v4().simple().to_string();
    format!("{}-{}", time.strftime("%Y%m%dT%H%M%SZ"), &tail[..8])
        .parse()
        .ok()
}

fn millis(value: u128) -> u64 {
    u64::try_from(value).unwrap_or(u64::MAX)
}

/// A moment for people and programs: RFC 3339 in UTC.
#[must_use]
pub fn rfc3339(unix_ms: u64) -> String {
    let time = i64::try_from(unix_ms)
        .ok()
        .and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok());
    time.map_or_else(String::new, |time| time.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn archive_ids_sort_by_time() {
        let early = new_archive_id(1_000).unwrap();
        let late = new_archive_id(1_795_000_000_000).unwrap();
        assert!(early.as_str() < late.as_str());
        assert!(early.as_str().starts_with("19700101T000001Z-"));
    }
}
