//! The model of the gateway: a mirror of the agent's door that lags behind, and what a session opens by it.
//!
//! Mirrors what `src/gateway/memory.rs` promises; must not know the agent's mind but by what it is told.

use labtop::domain::door::{DoorSeat, DoorState, SessionRecord};

use crate::world::World;

/// How often the gateway hears of what is new, percent of the steps.
const HEARS_PERCENT: u64 = 12;

/// What a gateway knows.
#[derive(Debug, Default)]
pub struct Gateway {
    /// What it was last told; none since the agent's last death.
    told: Option<DoorState>,
    mirror: DoorState,
}

impl Gateway {
    /// Another agent is listened to, which tells everything anew. Until then what is known counts.
    pub fn loses_agent(&mut self) {
        self.told = None;
    }
}

impl World {
    /// Now and then what is new reaches the gateway.
    pub fn gateway_hears(&mut self) {
        if self.control.is_some() && self.rng.chance(HEARS_PERCENT) {
            self.tell_gateway();
        }
        self.check_ways();
    }

    fn tell_gateway(&mut self) {
        let Some(control) = &self.control else { return };
        let (door, now_ms) = (control.door(), self.now().unix_ms);
        let delta = match &self.gateway.told {
            None => door.whole(now_ms),
            Some(told) => told.delta_to(&door, now_ms),
        };
        if !(self.sabotage.lossy && self.rng.chance(5)) {
            self.gateway.mirror.learn(delta);
        }
        let mirror = &self.gateway.mirror;
        // Of a session that began and ended between two words it hears neither.
        let knows_why = |id| mirror.ended.get(id) == door.ended.get(id);
        let same = mirror.seats == door.seats && mirror.sessions == door.sessions && mirror.ended.keys().all(knows_why);
        if !same {
            self.violated(format!("the mirror differs: it has {mirror:?} of {door:?}"));
        }
        self.gateway.told = Some(door);
        self.check_shut();
    }

    /// The seat that a session lets into, as the gateway decides.
    pub fn opened_by(&self, session: &SessionRecord) -> Option<&DoorSeat> {
        let now_ms = self.now().unix_ms;
        let seat = self.gateway.mirror.seats.get(&session.seat)?;
        let own = seat.opening == session.opening || self.sabotage.any_opening;
        let lives = seat.open && seat.ends_unix_ms.is_none_or(|end| now_ms < end) || self.sabotage.never_shut;
        (own && lives && now_ms < session.ends_unix_ms).then_some(seat)
    }

    /// Every session that the gateway knows, with the seat that it opens.
    pub fn ways(&self) -> impl Iterator<Item = (&SessionRecord, &DoorSeat)> {
        let sessions = self.gateway.mirror.sessions.values();
        sessions.filter_map(|session| Some((session, self.opened_by(session)?)))
    }
}
