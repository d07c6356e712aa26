//! The ends of leases: announced, then archived and torn down, never at once.

use std::collections::BTreeSet;

use super::Control;
use super::state::Doing;
use super::tickets::seats;
use crate::domain::ids::{RoomName, SeatId};
use crate::domain::notice::Notice;
use crate::domain::policy::LEASE_WARNING_MS;
use crate::domain::record::{AuditEntry, Change, RoomRecord, RoomWanted, Wanted};
use crate::domain::seen::LeaseStoreState;

const MINUTE_MS: u64 = 60_000;

impl Control {
    /// Warns of leases that are about to end and ends those that were announced long enough ago. After a start of the
    /// agent, or a jump of the clock, nobody has been warned yet: so the warning always comes first.
    pub(super) fn watch_leases(&mut self) {
        for ((room, minutes), count) in self.pass_marks() {
            self.announce(&room, count, &format!("{minutes} minutes"));
        }
        for (room, count) in self.warn_of_ends() {
            self.announce(&room, count, "a minute");
        }
        let mut idle = self.watch_idle();
        idle.retain(|id| !self.ops.values().any(|doing| doing.holds(id)));
        if !idle.is_empty() {
            self.end_leases(idle, "idle end");
        }
        let over: Vec<SeatId> = self
            .seats
            .values()
            .filter(|seat| self.is_over(seat) && self.new_end(&seat.record.id).is_none())
            .filter(|seat| !self.ops.values().any(|doing| doing.holds(&seat.record.id)))
            .map(|s| s.record.id.clone())
            .collect();
        if !over.is_empty() {
            self.end_leases(over, "lease end");
        }
    }

    /// News of the store, which is only a mirror: nothing ends, and nothing is kept, because of it.
    pub(super) fn lease_store_changed(&mut self, state: LeaseStoreState) {
        let news = match (&self.lease_store, &state) {
            (_, LeaseStoreState::Away(why)) => Some(Notice::warning(format!(
                "The lease store is away, the ledger serves the leases: {why}"
            ))),
            (_, LeaseStoreState::Contested(_)) => Some(Notice::warning(
                "Somebody else holds leases under this instance's names; the board of an admin names them",
            )),
            (LeaseStoreState::Up, LeaseStoreState::Up) => None,
            (_, LeaseStoreState::Up) => Some(Notice::info("The lease store has the ledger's leases again")),
        };
        self.lease_store = state;
        if let Some(news) = news {
            self.tell(news);
        }
    }

    fn announce(&mut self, room: &RoomName, count: usize, when: &str) {
        let text = format!(
            "Room {room}: the lease of {} ends in {when}; `labtop room extend {room} --minutes M` gives more time",
            seats(count)
        );
        self.tell(Notice::warning(text).about(room));
    }

    /// Notes which leases have come to a mark, by room and the minutes that are left; each mark is told of once, and
    /// again after an extension.
    fn pass_marks(&mut self) -> std::collections::BTreeMap<(RoomName, u64), usize> {
        let mut passed = std::collections::BTreeMap::new();
        for seat in self.seats.values_mut().filter(|seat| seat.record.is_bound()) {
            let left_ms = seat.record.deadline_unix_ms.saturating_sub(self.now.unix_ms);
            let fits = |mark: &&u32| left_ms <= u64::from(**mark) * MINUTE_MS;
            let due = self.rules.warn_minutes.iter().filter(fits).min().copied();
            // The last minute has an announcement of its own.
            if due < seat.mark.or(Some(u32::MAX)) && due.is_some() && left_ms > LEASE_WARNING_MS {
                let minutes = left_ms.div_ceil(MINUTE_MS);
                *passed.entry((seat.record.id.room.clone(), minutes)).or_default() += 1;
            }
            seat.mark = due;
        }
        passed
    }

    fn warn_of_ends(&mut self) -> std::collections::BTreeMap<RoomName, usize> {
        let now = self.now;
        let mut warned = std::collections::BTreeMap::new();
        for seat in self.seats.values_mut().filter(|seat| seat.record.is_bound()) {
            let near = now.unix_ms.saturating_add(LEASE_WARNING_MS) >= seat.record.deadline_unix_ms;
            if !near {
                // The clock was set back: the real end is announced anew.
                seat.warned_ms = None;
            } else if seat.warned_ms.is_none() {
                seat.warned_ms = Some(now.mono_ms);
                *warned.entry(seat.record.id.room.clone()).or_default() += 1;
            }
        }
        warned
    }

    /// The end of a lease that is being extended at this moment, Unix milliseconds.
    pub(super) fn new_end(&self, id: &SeatId) -> Option<u64> {
        let ends = self.ops.values().filter_map(Doing::deadlines).flatten();
        ends.filter(|(seat, _)| seat == id).map(|(_, end)| *end).max()
    }

    fn is_over(&self, seat: &super::state::Seat) -> bool {
        let warned_long_ago = seat
            .warned_ms
            .is_some_and(|at| self.now.mono_ms >= at + LEASE_WARNING_MS);
        seat.record.is_bound() && self.now.unix_ms >= seat.record.deadline_unix_ms && warned_long_ago
    }

    fn end_leases(&mut self, over: Vec<SeatId>, verb: &str) {
        for id in &over {
            if let Some(seat) = self.seats.get_mut(id) {
                seat.record.wanted = Wanted::Gone;
                seat.fresh_start();
            }
        }
        let rooms: BTreeSet<RoomName> = over.iter().map(|id| id.room.clone()).collect();
        let mut changes = vec![Change::SetWanted {
            seats: over,
            wanted: Wanted::Gone,
            discard_by: None,
        }];
        for name in rooms {
            changes.push(Change::Audit(self.own_entry(verb, name.to_string())));
            let text = format!("Room {name}: leases have ended; the work is archived");
            self.tell(Notice::info(text).about(&name));
            changes.extend(self.close_if_deserted(&name).map(Change::PutRoom));
        }
        self.write_fail_open(changes);
    }

    /// A room whose last lease has ended closes.
    fn close_if_deserted(&mut self, name: &RoomName) -> Option<RoomRecord> {
        let lives = self
            .seats
            .values()
            .any(|s| s.record.id.room == *name && s.record.wanted < Wanted::Gone);
        let room = self.rooms.get_mut(name)?;
        if lives {
            return None;
        }
        room.record.wanted = RoomWanted::Closed;
        Some(room.record.clone())
    }

    pub(super) fn own_entry(&self, verb: &str, target: String) -> AuditEntry {
        AuditEntry {
            unix_ms: self.now.unix_ms,
            uid: 0,
            user: "labtop".into(),
            origin: None,
            verb: verb.into(),
            target,
            outcome: "begun".into(),
        }
    }
}
