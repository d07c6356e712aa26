//! What leases were given, in time that really passes: none may end before that, whatever is done to the wall clock.
//!
//! Only what a life of the agent has written survives it: a jump of the clock that it dies with, or that nobody saw, is
//! taken off the leases.

use std::collections::{BTreeMap, BTreeSet};

use labtop::domain::ids::SeatId;
use labtop::domain::record::Change;

use crate::world::World;

/// The first lease of each seat.
#[derive(Debug, Default)]
pub struct Leases {
    /// When it ends at the earliest, monotonic milliseconds.
    granted: BTreeMap<SeatId, u64>,
    /// Those that have ended.
    pub over: BTreeSet<SeatId>,
    /// How far the clock was set forward in this life.
    forward_ms: u64,
}

impl World {
    /// Leases begin when they are handed to the ledger, which leaves a row of the same opening alone.
    pub fn note_grants(&mut self, changes: &[Change]) {
        let (now, known) = (self.now(), self.known_seats());
        let added = changes.iter().filter_map(|change| match change {
            Change::AddSeats(rows) => Some(rows),
            _ => None,
        });
        for row in added.flatten() {
            if known.get(&row.id).is_some_and(|there| there.session >= row.session) {
                continue;
            }
            let left_ms = row.deadline_unix_ms.saturating_sub(now.unix_ms);
            let end_ms = now.mono_ms + left_ms;
            self.oracle.leases.granted.insert(row.id.clone(), end_ms);
            self.oracle.leases.over.remove(&row.id);
            // Whatever an earlier seat of that name was told to be.
            self.oracle.wish.remove(&row.id);
        }
    }

    /// Notes which leases have ended by now.
    pub fn note_ends(&mut self) {
        let now_ms = self.mono_ms;
        let leases = &mut self.oracle.leases;
        let ended = leases.granted.iter().filter(|(_, end_ms)| now_ms >= **end_ms);
        leases.over.extend(ended.map(|(id, _)| id.clone()));
    }

    /// The wall clock is set.
    pub fn clock_jumps(&mut self, by_ms: i64) {
        self.unix_base_ms = self.unix_base_ms.saturating_add_signed(by_ms);
        self.oracle.leases.forward_ms += u64::try_from(by_ms).unwrap_or(0);
        // In a later life it says nothing about the leases of an earlier one: the host may have booted just now.
        if self.control.is_none() || self.life > 1 {
            self.clock_is_forgotten();
        }
    }

    /// What this life knew of the clock may be lost with it.
    pub fn clock_is_forgotten(&mut self) {
        let leases = &mut self.oracle.leases;
        let by_ms = std::mem::take(&mut leases.forward_ms);
        for end_ms in leases.granted.values_mut() {
            *end_ms = end_ms.saturating_sub(by_ms);
        }
    }
}
