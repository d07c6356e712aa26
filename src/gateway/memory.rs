//! What the gateway knows: seats and sessions, as fresh as the agent's last word.

use std::collections::HashMap;
use std::sync::{PoisonError, RwLock, RwLockReadGuard};
use std::time::{Duration, Instant};

use crate::domain::door::{DoorDelta, DoorSeat, DoorState, Ended, Receipt, SessionRecord};
use crate::domain::ids::{InstanceId, SeatId, SessionId};
use crate::domain::names::Names;

/// How long it counts when the agent is not heard of any more.
const FRESH_FOR: Duration = Duration::from_secs(30);

/// How long the news of a session may take; it comes every second.
const EXPECTED_FOR: Duration = Duration::from_secs(3);
/// How often the agent is told of one session's trespass.
const TOLD_EVERY: Duration = Duration::from_mins(1);
/// Receipts that are kept; more are asked for again.
const RECEIPTS_MAX: usize = 10_000;

/// Everything that requests are answered from.
#[derive(Default)]
pub(super) struct Memory(RwLock<Known>);

#[derive(Default)]
struct Known {
    state: DoorState,
    names: Option<Names>,
    /// Seats by the names that their routes ask with.
    by_name: HashMap<String, SeatId>,
    /// When the agent was last heard of, and what time it was there.
    heard: Option<(Instant, u64)>,
    /// Sessions that have just begun, and whose news has not come yet.
    expected: HashMap<SessionId, (SessionRecord, Instant)>,
    /// When the agent was told of whose trespass.
    told: HashMap<SessionId, Instant>,
    receipts: HashMap<SessionId, Receipt>,
}

/// A session, and the seat that it opens when there is one.
#[derive(Debug, Clone)]
pub(super) struct Visit {
    pub(super) session: SessionRecord,
    pub(super) seat: Option<DoorSeat>,
}

impl Visit {
    /// Whether the seat is let into at this moment.
    pub(super) fn is_open(&self, now_unix_ms: u64) -> bool {
        let lives = |seat: &DoorSeat| seat.open && seat.ends_unix_ms.is_none_or(|end| now_unix_ms < end);
        now_unix_ms < self.session.ends_unix_ms && self.seat.as_ref().is_some_and(lives)
    }
}

impl Memory {
    fn known(&self) -> RwLockReadGuard<'_, Known> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Another agent is listened to from now on.
    pub(super) fn meet(&self, instance: &InstanceId) {
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        known.names = Some(Names::new(instance));
    }

    /// Learns what changed.
    pub(super) fn learn(&self, delta: DoorDelta) {
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        known.heard = Some((Instant::now(), delta.now_unix_ms));
        let seats_change = delta.whole || !delta.seats.is_empty() || !delta.seats_gone.is_empty();
        known.state.learn(delta);
        if seats_change && let Some(names) = &known.names {
            let named = known.state.seats.keys().map(|seat| (names.seat(seat), seat.clone()));
            known.by_name = named.collect();
        }
    }

    /// Whether what is known may be acted on.
    pub(super) fn is_fresh(&self) -> bool {
        self.known().heard.is_some_and(|(at, _)| at.elapsed() < FRESH_FOR)
    }

    /// What time it is at the agent, Unix milliseconds; none before it was heard of.
    pub(super) fn now_unix_ms(&self) -> Option<u64> {
        let (at, then) = self.known().heard?;
        Some(then.saturating_add(u64::try_from(at.elapsed().as_millis()).unwrap_or(u64::MAX)))
    }

    /// All seats by the names of their routes, as the agent told last; none when it was never heard of.
    pub(super) fn seats(&self) -> Option<Vec<(String, DoorSeat)>> {
        let known = self.known();
        known.heard?;
        let named = known.by_name.iter();
        let seats = named.filter_map(|(name, seat)| Some((name.clone(), known.state.seats.get(seat)?.clone())));
        Some(seats.collect())
    }

    /// The seat that a route asks for.
    pub(super) fn named(&self, name: &str) -> Option<DoorSeat> {
        let known = self.known();
        known.state.seats.get(known.by_name.get(name)?).cloned()
    }

    /// A session that is not over.
    pub(super) fn visit(&self, id: &SessionId) -> Option<Visit> {
        let known = self.known();
        let expected = || {
            let (session, since) = known.expected.get(id)?;
            let may = since.elapsed() < EXPECTED_FOR && !known.state.ended.contains_key(id);
            may.then_some(session)
        };
        let session = known.state.sessions.get(id).or_else(expected)?.clone();
        // One of another opening is another seat.
        let own = |seat: &&DoorSeat| seat.opening == session.opening;
        let seat = known.state.seats.get(&session.seat).filter(own).cloned();
        Some(Visit { session, seat })
    }

    /// Why a session is over, when that is remembered.
    pub(super) fn ended(&self, id: &SessionId) -> Option<Ended> {
        self.known().state.ended.get(id).copied()
    }

    /// Takes a session in that the agent has just begun, and those that it ended: its browser may come back before the
    /// news does. It counts for a moment only: one that ended before its news came is never told of.
    pub(super) fn expect(&self, session: SessionRecord, over: &[SessionId]) {
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        // They must not open anything in between.
        for id in over {
            known.state.sessions.remove(id);
            known.expected.remove(id);
            known.state.ended.insert(id.clone(), Ended::TakenOver);
        }
        known.expected.retain(|_, (_, since)| since.elapsed() < EXPECTED_FOR);
        let id = session.id.clone();
        known.expected.insert(id, (session, Instant::now()));
    }

    /// Whether the agent is to be told of a session's trespass: once a minute, whatever a page in a browser tries.
    pub(super) fn may_tell_of(&self, id: &SessionId) -> bool {
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        known.told.retain(|_, since| since.elapsed() < TOLD_EVERY);
        if known.told.contains_key(id) {
            return false;
        }
        known.told.insert(id.clone(), Instant::now());
        true
    }

    /// The receipt of a session whose seat is gone: it does not change any more.
    pub(super) fn receipt(&self, id: &SessionId) -> Option<Receipt> {
        self.known().receipts.get(id).cloned()
    }

    /// Keeps one.
    pub(super) fn keep_receipt(&self, id: &SessionId, receipt: &Receipt) {
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if known.receipts.len() >= RECEIPTS_MAX {
            known.receipts.clear();
        }
        known.receipts.insert(id.clone(), receipt.clone());
    }

    /// Forgets a session that its browser has ended.
    pub(super) fn forget(&self, id: &SessionId) {
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let expected = known.expected.remove(id).is_some();
        if known.state.sessions.remove(id).is_some() || expected {
            known.state.ended.insert(id.clone(), Ended::SignedOut);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn session(digit: char) -> SessionRecord {
        SessionRecord {
            id: digit.to_string().repeat(32).parse().unwrap(),
            seat: "a/an".parse().unwrap(),
            opening: 1,
            began_unix_ms: 1,
            ends_unix_ms: 9,
            address: String::new(),
            onlooker: None,
        }
    }

    #[test]
    fn a_session_counts_before_its_news_and_ends_with_the_next_one() {
        let memory = Memory::default();
        let (first, second) = (session('1'), session('2'));
        memory.expect(first.clone(), &[]);
        assert!(memory.visit(&first.id).is_some());
        memory.expect(second.clone(), std::slice::from_ref(&first.id));
        assert!(memory.visit(&first.id).is_none() && memory.visit(&second.id).is_some());
        assert_eq!(memory.ended(&first.id), Some(Ended::TakenOver));
        memory.forget(&second.id);
        assert!(memory.visit(&second.id).is_none());
    }

    #[test]
    fn of_two_answers_that_cross_the_later_session_is_left() {
        let memory = Memory::default();
        let (first, second) = (session('1'), session('2'));
        memory.expect(second.clone(), std::slice::from_ref(&first.id));
        memory.learn(DoorDelta {
            sessions: vec![second.clone()],
            ..DoorDelta::default()
        });
        memory.expect(first.clone(), &[]);
        assert!(memory.visit(&first.id).is_none() && memory.visit(&second.id).is_some());
    }

    #[test]
    fn one_that_ended_before_its_news_came_does_not_outlive_it() {
        let memory = Memory::default();
        let one = session('1');
        memory.expect(one.clone(), &[]);
        memory.learn(DoorDelta {
            sessions_gone: vec![(one.id.clone(), Some(Ended::Revoked))],
            ..DoorDelta::default()
        });
        assert!(memory.visit(&one.id).is_none());
        // Nor one of which nothing was ever told.
        let quiet = session('2');
        memory.expect(quiet.clone(), &[]);
        let long_ago = Instant::now().checked_sub(EXPECTED_FOR).unwrap();
        memory
            .0
            .write()
            .unwrap()
            .expected
            .insert(quiet.id.clone(), (quiet.clone(), long_ago));
        assert!(memory.visit(&quiet.id).is_none());
    }

    #[test]
    fn the_agent_is_told_of_a_trespass_once_a_minute() {
        let memory = Memory::default();
        let one = session('1');
        assert!(memory.may_tell_of(&one.id) && !memory.may_tell_of(&one.id));
    }
}
