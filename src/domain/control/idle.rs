//! Seats in which nothing happens: announced, then ended as a lease is, when their template asks for it.
//!
//! What is not known counts as activity: a seat never ends because somebody could not look. A seat is found idle by
//! observations some time apart, never by one.

use super::Control;
use super::state::Seat;
use crate::domain::ids::{RoomName, SeatId};
use crate::domain::notice::Notice;
use crate::domain::policy::{IDLE_CPU_PERCENT, IDLE_NETWORK_BYTES, IDLE_OBSERVED_EVERY_MS, LEASE_WARNING_MS};
use crate::domain::record::Wanted;
use crate::domain::seen::{Figures, RunState};
use crate::domain::template::{Activity, Template};

/// Least observations that find a seat idle before it is announced.
const OBSERVATIONS_MIN: u32 = 2;

/// What is known of a seat's activity.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Quiet {
    /// When something was last seen to happen, monotonic milliseconds; none before the first look.
    active_ms: Option<u64>,
    /// Since when it is observed, and bytes that had crossed its network then.
    from: Option<(u64, Option<u64>)>,
    /// Whether a figure came since then.
    seen: bool,
    /// Bytes across its network by the last one.
    bytes: Option<u64>,
    /// Observations in a row that found nothing.
    observations: u32,
    /// Whether its workspace was found to be as it was.
    files_alike: bool,
    /// When its end was announced.
    warned_ms: Option<u64>,
}

impl Quiet {
    /// Something happens at this moment.
    fn stir(&mut self, now_ms: u64) {
        *self = Self {
            active_ms: Some(now_ms),
            ..Self::default()
        };
    }

    /// For how long nothing has been seen, milliseconds.
    fn idle_ms(&self, now_ms: u64) -> u64 {
        self.active_ms.map_or(0, |since| now_ms.saturating_sub(since))
    }
}

impl Control {
    /// Somebody types in a seat.
    pub(super) fn touched(&mut self, id: &SeatId) {
        self.stirred(id, Activity::Terminal);
    }

    /// Something happened in a seat, if its template takes that for activity.
    pub(super) fn stirred(&mut self, id: &SeatId, kind: Activity) {
        let counts = self
            .rooms
            .get(&id.room)
            .is_some_and(|room| room.record.template.counts(kind));
        let now_ms = self.now.mono_ms;
        if let Some(seat) = self.seats.get_mut(id).filter(|_| counts) {
            seat.quiet.stir(now_ms);
        }
    }

    /// A look at a seat's workspace has ended: whether it had changed, and nothing when it could not be looked at.
    pub(super) fn looked_at_files(&mut self, id: &SeatId, changed: Option<bool>) {
        match changed {
            Some(false) => {
                if let Some(seat) = self.seats.get_mut(id) {
                    seat.quiet.files_alike = true;
                }
            }
            Some(true) | None => self.stirred(id, Activity::Files),
        }
    }

    /// A sample of a seat, or that there was none.
    pub(super) fn note_activity(
        seat: &mut Seat,
        sample: Option<&Figures>,
        counts: impl Fn(Activity) -> bool,
        now_ms: u64,
    ) {
        let Some(sample) = sample else { return };
        let works = sample.cpu_percent.is_some_and(|cpu| cpu >= IDLE_CPU_PERCENT);
        if counts(Activity::Cpu) && works {
            return seat.quiet.stir(now_ms);
        }
        // A first figure, or one after a gap, says nothing of the CPU.
        let known = sample.cpu_percent.is_some() || !counts(Activity::Cpu);
        seat.quiet.seen |= known;
        seat.quiet.bytes = sample.network_bytes;
        let (_, before) = seat.quiet.from.get_or_insert((now_ms, sample.network_bytes));
        if counts(Activity::Network) {
            match (*before, sample.network_bytes) {
                // A counter that began anew, or crossed the bound.
                (Some(before), Some(now)) if now >= before && now - before < IDLE_NETWORK_BYTES => {}
                _ => seat.quiet.stir(now_ms),
            }
        }
    }

    /// Judges what was observed; gives the seats that have been idle for too long, and were told of it.
    pub(super) fn watch_idle(&mut self) -> Vec<SeatId> {
        let now_ms = self.now.mono_ms;
        let (mut over, mut warned) = (Vec::new(), std::collections::BTreeMap::<RoomName, usize>::new());
        for seat in self.seats.values_mut() {
            let template = self.rooms.get(&seat.record.id.room).map(|room| &room.record.template);
            let Some(idle_ms) = template.and_then(Template::idle_ms) else {
                continue;
            };
            if !may_be_idle(seat) {
                seat.quiet.stir(now_ms);
                continue;
            }
            let quiet = &mut seat.quiet;
            observe(quiet, now_ms);
            let idle = quiet.idle_ms(now_ms);
            let unknown = template.is_some_and(|template| template.counts(Activity::Files)) && !quiet.files_alike;
            if unknown || quiet.observations < OBSERVATIONS_MIN || idle + LEASE_WARNING_MS < idle_ms {
                continue;
            }
            match quiet.warned_ms {
                None => {
                    quiet.warned_ms = Some(now_ms);
                    *warned.entry(seat.record.id.room.clone()).or_default() += 1;
                }
                Some(at) if now_ms >= at + LEASE_WARNING_MS && idle >= idle_ms => over.push(seat.record.id.clone()),
                Some(_) => {}
            }
        }
        for (room, count) in warned {
            let text = format!(
                "Room {room}: {} idle, and ends in a minute unless something happens there; `labtop room hold {room}` \
                 keeps it",
                super::tickets::seats(count)
            );
            self.tell(Notice::warning(text).about(&room));
        }
        over
    }

    /// Seconds until a seat ends for being idle, once that is announced.
    pub(super) fn idle_seconds_left(&self, seat: &Seat) -> Option<u64> {
        let warned_ms = seat.quiet.warned_ms?;
        let end_ms = warned_ms + LEASE_WARNING_MS;
        Some(end_ms.saturating_sub(self.now.mono_ms).div_ceil(1_000))
    }
}

/// Ends an observation that has lasted long enough. Without a sample nothing is known.
fn observe(quiet: &mut Quiet, now_ms: u64) {
    quiet.active_ms.get_or_insert(now_ms);
    let since_ms = quiet.from.map_or(now_ms, |(since, _)| since);
    if quiet.from.is_none() || now_ms < since_ms + IDLE_OBSERVED_EVERY_MS {
        return;
    }
    // Whoever was not there to look, because the agent stood still, knows nothing.
    let too_late = now_ms > since_ms + 2 * IDLE_OBSERVED_EVERY_MS;
    if std::mem::take(&mut quiet.seen) && !too_late {
        quiet.observations += 1;
        quiet.from = Some((now_ms, quiet.bytes));
    } else {
        quiet.stir(now_ms);
    }
}

/// Only a seat that is there for its student can be idle: one that is frozen, held or being made waits for others.
fn may_be_idle(seat: &Seat) -> bool {
    let runs = seat.container.as_ref().is_some_and(|c| c.state == RunState::Running);
    seat.record.is_bound() && seat.record.wanted == Wanted::Running && runs && seat.ready && !seat.restart
}
