//! What a gateway remembers, and how it is kept equal to what the agent knows: whole at first, then what changed.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{DoorSeat, SessionRecord};
use crate::domain::ids::{SeatId, SessionId};

/// Ended sessions that are remembered.
const ENDED_MAX: usize = 4_096;

/// Why a session is over, for the page that its browser sees next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ended {
    /// Its student left.
    SignedOut,
    /// Its student signed in elsewhere.
    TakenOver,
    /// A supervisor ended it.
    Revoked,
    /// Its time is over.
    Expired,
}

/// Everything that doors are answered from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DoorState {
    /// Seats, also those that are being closed.
    pub seats: BTreeMap<SeatId, DoorSeat>,
    /// Sessions that are not over.
    pub sessions: BTreeMap<SessionId, SessionRecord>,
    /// Sessions that ended lately, and why.
    pub ended: BTreeMap<SessionId, Ended>,
}

/// What changed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DoorDelta {
    /// The agent's wall clock, Unix milliseconds: ends are judged by it.
    pub now_unix_ms: u64,
    /// Whether this is all there is, and what was known before is void.
    pub whole: bool,
    /// Seats that are new or changed.
    pub seats: Vec<DoorSeat>,
    /// Seats of which nothing is left.
    pub seats_gone: Vec<SeatId>,
    /// Sessions that are new or changed.
    pub sessions: Vec<SessionRecord>,
    /// Sessions that are over, and why where that is known.
    pub sessions_gone: Vec<(SessionId, Option<Ended>)>,
}

impl DoorState {
    /// What somebody who knows `self` must be told to know `newer`.
    #[must_use]
    pub fn delta_to(&self, newer: &Self, now_unix_ms: u64) -> DoorDelta {
        let reason = |id: &SessionId| newer.ended.get(id).copied();
        DoorDelta {
            now_unix_ms,
            whole: false,
            seats: changed(&self.seats, &newer.seats),
            seats_gone: gone(&self.seats, &newer.seats).cloned().collect(),
            sessions: changed(&self.sessions, &newer.sessions),
            sessions_gone: gone(&self.sessions, &newer.sessions)
                .map(|id| (id.clone(), reason(id)))
                .collect(),
        }
    }

    /// All of it, for somebody who knows nothing.
    #[must_use]
    pub fn whole(&self, now_unix_ms: u64) -> DoorDelta {
        let ended = self.ended.iter().map(|(id, why)| (id.clone(), Some(*why)));
        DoorDelta {
            whole: true,
            sessions_gone: ended.collect(),
            ..Self::default().delta_to(self, now_unix_ms)
        }
    }

    /// Learns what changed.
    pub fn learn(&mut self, delta: DoorDelta) {
        if delta.whole {
            *self = Self::default();
        }
        for seat in delta.seats {
            self.seats.insert(seat.seat.clone(), seat);
        }
        for seat in &delta.seats_gone {
            self.seats.remove(seat);
        }
        for session in delta.sessions {
            self.ended.remove(&session.id);
            self.sessions.insert(session.id.clone(), session);
        }
        for (id, why) in delta.sessions_gone {
            self.sessions.remove(&id);
            if let Some(why) = why {
                self.ended.insert(id, why);
            }
        }
        // Only good for a kinder word on a page: not worth more memory than this.
        if self.ended.len() > ENDED_MAX {
            self.ended.clear();
        }
    }
}

fn changed<K: Ord, V: Clone + PartialEq>(old: &BTreeMap<K, V>, new: &BTreeMap<K, V>) -> Vec<V> {
    let differs = |(key, value): &(&K, &V)| old.get(key) != Some(value);
    new.iter().filter(differs).map(|(_, value)| value.clone()).collect()
}

fn gone<'m, K: Ord, V>(old: &'m BTreeMap<K, V>, new: &'m BTreeMap<K, V>) -> impl Iterator<Item = &'m K> {
    old.keys().filter(|key| !new.contains_key(key))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::door::DoorPolicy;
    use crate::domain::snapshot::Phase;

    fn seat(student: &str, phase: Phase) -> DoorSeat {
        DoorSeat {
            seat: format!("a/{student}").parse().unwrap(),
            opening: 1,
            route: format!("/api/r/{student}"),
            phase,
            open: true,
            ends_unix_ms: Some(7),
            place: None,
            target: None,
            trouble: false,
            policy: DoorPolicy::default(),
        }
    }

    fn session(digit: char, student: &str) -> SessionRecord {
        SessionRecord {
            id: digit.to_string().repeat(32).parse().unwrap(),
            seat: format!("a/{student}").parse().unwrap(),
            opening: 1,
            began_unix_ms: 1,
            ends_unix_ms: 9,
            address: String::new(),
            onlooker: None,
        }
    }

    fn state(seats: &[DoorSeat], sessions: &[SessionRecord], ended: &[(&SessionRecord, Ended)]) -> DoorState {
        DoorState {
            seats: seats.iter().map(|seat| (seat.seat.clone(), seat.clone())).collect(),
            sessions: sessions.iter().map(|one| (one.id.clone(), one.clone())).collect(),
            ended: ended.iter().map(|(one, why)| (one.id.clone(), *why)).collect(),
        }
    }

    #[test]
    fn whoever_learns_every_change_knows_what_there_is() {
        let (first, second) = (session('1', "an"), session('2', "an"));
        let steps = [
            state(&[seat("an", Phase::Wanted)], &[], &[]),
            state(&[seat("an", Phase::Ready)], std::slice::from_ref(&first), &[]),
            state(
                &[seat("an", Phase::Ready), seat("bo", Phase::Wanted)],
                &[second],
                &[(&first, Ended::TakenOver)],
            ),
            state(&[seat("bo", Phase::Ready)], &[], &[(&first, Ended::TakenOver)]),
        ];
        let mut known = DoorState::default();
        known.learn(steps[0].whole(1));
        assert_eq!(known, steps[0]);
        for pair in steps.windows(2) {
            known.learn(pair[0].delta_to(&pair[1], 1));
            assert_eq!(known, pair[1]);
        }
        // A new acquaintance learns the same at once, and nothing of before stays.
        known.learn(steps[2].whole(1));
        assert_eq!(known, steps[2]);
    }

    #[test]
    fn what_did_not_change_is_not_told() {
        let state = state(&[seat("an", Phase::Ready)], &[session('1', "an")], &[]);
        let told = DoorDelta {
            now_unix_ms: 5,
            ..DoorDelta::default()
        };
        assert_eq!(state.delta_to(&state, 5), told);
    }
}
