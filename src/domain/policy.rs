//! Bounds and delays, each with its reason.

/// Seconds between two snapshots of a seat in an exam, unless its template says otherwise.
pub const AUTOSAVE_EXAM_S: u32 = 60;
/// The same in a class.
pub const AUTOSAVE_CLASS_S: u32 = 300;
/// The last moment that labtop writes for people, Unix milliseconds: in the last days of the year 9999.
pub const MOMENT_MAX_UNIX_MS: u64 = 253_402_128_000_000;
/// Most seats of one room: a Linux bridge has 1,024 ports, and one near that fails.
pub const SEATS_PER_ROOM_MAX: u32 = 900;
/// Longest lease, minutes: a week, so that a typing mistake does not hold a host for a year.
pub const LEASE_MINUTES_MAX: u32 = 7 * 24 * 60;
/// First delay before a failed step is tried again.
pub const RETRY_FIRST_MS: u64 = 500;
/// Longest such delay: short enough that a repaired store is noticed while somebody watches.
pub const RETRY_CAP_MS: u64 = 30_000;
/// Failures in a row after which a waiting command is told; the agent goes on trying.
pub const ATTEMPTS_BEFORE_TOLD: u32 = 3;
/// A seat that stayed up this long starts afresh in counting its exits.
pub const STABLE_AFTER_MS: u64 = 60_000;
/// How long a lease's end is announced before it takes effect, also after a start of the agent or a jump of the clock.
pub const LEASE_WARNING_MS: u64 = 60_000;
/// A difference between the advance of the wall clock and of the monotonic one that is no slewing: somebody, or the
/// network's time, set it, or the host slept.
pub const CLOCK_JUMP_MS: u64 = 5_000;
/// How long after a start of the agent the clock may still be on its way to the right time (a host that has just booted):
/// until then a jump says nothing about the ends that an earlier life has written.
pub const CLOCK_SETTLES_MS: u64 = 10 * 60_000;
/// Minutes before the end of a lease at which it is announced, unless the configuration says otherwise.
pub const WARN_MINUTES: [u32; 2] = [15, 5];
/// How often at most one seat's programs that the kernel killed for memory are told of and audited; all are counted.
pub const OOM_TOLD_EVERY_MS: u64 = 60_000;
/// How often everything is listed again, to find what no event told of.
pub const RELIST_EVERY_MS: u64 = 30_000;
/// Samples of CPU that a board shows as a line.
pub const HISTORY_SAMPLES: usize = 16;

/// Delay before attempt number `attempt` (from 1), doubling to a cap, spread by a quarter either way so that a hundred
/// seats that failed together do not try together. `salt` stands for chance: the same salt gives the same delay.
#[must_use]
pub fn retry_delay_ms(attempt: u32, salt: u64) -> u64 {
    let base = RETRY_FIRST_MS
        .saturating_mul(1 << attempt.saturating_sub(1).min(10))
        .min(RETRY_CAP_MS);
    let spread = base / 2;
    base - spread / 2 + mix(salt ^ u64::from(attempt)) % (spread + 1)
}

/// Scatters a number over all 64 bits (the finaliser of SplitMix64).
fn mix(mut z: u64) -> u64 {
    z = z.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// CPU of one second, percent of a core, from which on a seat works: an idle shell or web server stays below a tenth of it.
pub const IDLE_CPU_PERCENT: f32 = 3.0;
/// Bytes across a seat's network in one observation from which on it is used; heartbeats of an open page stay below.
pub const IDLE_NETWORK_BYTES: u64 = 8 * 1024;
/// How long one observation of a seat's activity lasts.
pub const IDLE_OBSERVED_EVERY_MS: u64 = 30_000;
/// Refused commands of one user that the audit trail tells of in a minute.
pub const REFUSALS_WRITTEN: u32 = 30;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_grow_to_the_cap_and_spread() {
        for salt in 0..100 {
            assert!((375..=625).contains(&retry_delay_ms(1, salt)));
            assert!((22_500..=37_500).contains(&retry_delay_ms(50, salt)));
        }
        assert_ne!(retry_delay_ms(1, 1), retry_delay_ms(1, 2));
    }
}
