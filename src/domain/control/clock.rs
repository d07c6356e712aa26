//! The host's wall clock may be set while leases run: they keep the time that they were given.

use super::Control;
use super::state::Doing;
use crate::domain::ids::SeatId;
use crate::domain::notice::Notice;
use crate::domain::policy::{CLOCK_JUMP_MS, CLOCK_SETTLES_MS};
use crate::domain::record::{Change, Wanted};

impl Control {
    /// Compares the wall clock's advance with the monotonic one's. What is slewed stays below the threshold; a host that
    /// slept jumps, because nobody could work meanwhile.
    pub(super) fn watch_clock(&mut self) {
        let now = self.now;
        let Some(before) = self.before.replace(now) else {
            self.started_ms = now.mono_ms;
            return;
        };
        let advance = |from: u64, to: u64| to.cast_signed().saturating_sub(from.cast_signed());
        let wall_ms = advance(before.unix_ms, now.unix_ms);
        let jump_ms = wall_ms.saturating_sub(advance(before.mono_ms, now.mono_ms));
        if jump_ms.unsigned_abs() > CLOCK_JUMP_MS {
            self.clock_jumped(jump_ms);
        }
    }

    fn clock_jumped(&mut self, by_ms: i64) {
        for doing in self.ops.values_mut() {
            doing.shift(by_ms);
        }
        let settled = self.now.mono_ms >= self.started_ms + CLOCK_SETTLES_MS;
        for seat in self.seats.values_mut().filter(|seat| settled || seat.fresh_lease) {
            let end = &mut seat.record.deadline_unix_ms;
            *end = end.saturating_add_signed(by_ms);
        }
        let ends = self.ends_to_write();
        if ends.is_empty() {
            return;
        }
        let text = format!("The host's clock was set {}: leases keep their time", shown(by_ms));
        let mut entry = self.own_entry("clock set", "leases".to_owned());
        entry.outcome = format!("{}; {} leases keep their time", shown(by_ms), ends.len());
        self.tell(Notice::warning(text));
        self.write_fail_open(vec![Change::SetDeadlines(ends), Change::Audit(entry)]);
    }

    /// The end of every lease, also of those that are being moved or of seats that are being written at this moment:
    /// this is written after them.
    pub(super) fn ends_to_write(&self) -> Vec<(SeatId, u64)> {
        let seats = self.seats.values().filter(|seat| seat.record.wanted < Wanted::Gone);
        let known = seats.map(|seat| {
            let id = seat.record.id.clone();
            let end = self.new_end(&id).unwrap_or(seat.record.deadline_unix_ms);
            (id, end)
        });
        let coming = self.ops.values().flat_map(Doing::new_seats);
        let coming = coming.map(|seat| (seat.id.clone(), seat.deadline_unix_ms));
        known.chain(coming).collect()
    }
}

/// A jump for people.
fn shown(by_ms: i64) -> String {
    let way = if by_ms < 0 { "back" } else { "forward" };
    let seconds = by_ms.unsigned_abs() / 1_000;
    match (seconds / 3_600, seconds / 60 % 60, seconds % 60) {
        (0, 0, seconds) => format!("{way} by {seconds} s"),
        (0, minutes, seconds) => format!("{way} by {minutes} min {seconds} s"),
        (hours, minutes, _) => format!("{way} by {hours} h {minutes} min"),
    }
}
