//! What the gateway knows: seats and sessions, as fresh as the agent's last word.

use std::collections::HashMap;
use std::sync::{PoisonError, RwLock, RwLockReadGuard};
use std::time::{Duration, Instant};

use crate::domain::door::{DoorDelta, DoorSeat, DoorState, Ended, SessionRecord};
use crate::domain::ids::{InstanceId, SeatId, SessionId};
use crate::domain::names::Names;

/// How long it counts when the agent is not heard of any more.
const FRESH_FOR: Duration = Duration::from_secs(30);

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

    /// The seat that a route asks for.
    pub(super) fn named(&self, name: &str) -> Option<DoorSeat> {
        let known = self.known();
        known.state.seats.get(known.by_name.get(name)?).cloned()
    }

    /// A session that is not over.
    pub(super) fn visit(&self, id: &SessionId) -> Option<Visit> {
        let known = self.known();
        let session = known.state.sessions.get(id)?.clone();
        let seat = known.state.seats.get(&session.seat).cloned();
        Some(Visit { session, seat })
    }

    /// Why a session is over, when that is remembered.
    pub(super) fn ended(&self, id: &SessionId) -> Option<Ended> {
        self.known().state.ended.get(id).copied()
    }

    /// Takes a session in that the agent has just begun: its browser may come back before the news does.
    pub(super) fn expect(&self, session: SessionRecord) {
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let student = (session.onlooker.is_none()).then(|| session.seat.student.clone());
        let over = |other: &SessionRecord| {
            other.onlooker.is_none() && student.as_ref() == Some(&other.seat.student) && other.id != session.id
        };
        // One that it ended must not open anything in between.
        let over: Vec<SessionId> = known
            .state
            .sessions
            .values()
            .filter(|one| over(one))
            .map(|one| one.id.clone())
            .collect();
        for id in over {
            known.state.sessions.remove(&id);
            known.state.ended.insert(id, Ended::TakenOver);
        }
        known.state.sessions.insert(session.id.clone(), session);
    }

    /// Forgets a session that its browser has ended.
    pub(super) fn forget(&self, id: &SessionId) {
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if known.state.sessions.remove(id).is_some() {
            known.state.ended.insert(id.clone(), Ended::SignedOut);
        }
    }
}
