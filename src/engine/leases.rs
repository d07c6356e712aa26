//! The lease store made equal to the ledger, again and again; and the permits that agents share.
//!
//! Whatever the store has lost, kept too long or never heard of is put right by the next pass. It decides nothing: a lease
//! ends by the ledger, whatever the store says, and a store that is away changes nothing for anybody's work.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{Notify, mpsc, watch};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::clock;
use super::perform::cancelled;
use super::world::World;
use crate::domain::effect::Fact;
use crate::domain::fault::Fault;
use crate::domain::ids::InstanceId;
use crate::domain::seen::LeaseStoreState;
use crate::world::leases::{Leases, Wish};

/// What should be held: each seat's name with its token and the end, Unix milliseconds; no end while it is held.
pub(super) type Wanted = BTreeMap<String, (String, Option<u64>)>;

/// How often it is compared, whatever happens.
const EVERY: Duration = Duration::from_secs(5);
/// Changes that come together are mirrored together.
const SETTLE: Duration = Duration::from_millis(200);
/// A difference of a store's time to the ledger's that is put right.
const DRIFT_MS: u64 = 2_000;
/// How long a lease without an end is claimed for at a time, and how little of that may be left.
const ENDLESS_MS: u64 = 24 * 60 * 60 * 1_000;
/// How long a permit is asked for; it is renewed three times in that time.
const PERMIT_TTL: Duration = Duration::from_secs(30);
/// How long it is before a permit is asked for again when all are taken.
const PERMIT_AGAIN: Duration = Duration::from_millis(250);

/// The token of a seat of one opening: the same in every life of the agent.
pub(super) fn token(instance: &InstanceId, session: u64) -> String {
    format!("{instance}:{session}")
}

/// Mirrors what is wanted until `shutdown`, and tells how it stands with the store.
pub(super) async fn mirror(
    (leases, instance): (Leases, InstanceId),
    mut wanted: watch::Receiver<Arc<Wanted>>,
    facts: mpsc::Sender<Fact>,
    shutdown: CancellationToken,
) {
    let (news, own) = (Notify::new(), format!("{instance}:"));
    let hints = leases.hint(&news);
    tokio::pin!(hints);
    let mut told = None;
    loop {
        let now = Arc::clone(&wanted.borrow_and_update());
        let state = tokio::select! {
            () = shutdown.cancelled() => return,
            passed = pass(&leases, &now, &own) => passed,
        };
        if told.as_ref() != Some(&state) {
            told = Some(state.clone());
            if facts.send(Fact::LeaseStore(state)).await.is_err() {
                return;
            }
        }
        tokio::select! {
            () = shutdown.cancelled() => return,
            changed = wanted.changed() => {
                if changed.is_err() {
                    return;
                }
                tokio::time::sleep(SETTLE).await;
            }
            () = news.notified() => {}
            () = &mut hints => {}
            () = tokio::time::sleep(EVERY) => {}
        }
    }
}

async fn pass(leases: &Leases, wanted: &Wanted, own: &str) -> LeaseStoreState {
    match equalise(leases, wanted, own).await {
        Ok(foreign) if foreign.is_empty() => LeaseStoreState::Up,
        Ok(foreign) => LeaseStoreState::Contested(foreign.join(", ")),
        // What keeps the ledger from being written is told where it matters.
        Err(_) if matches!(leases, Leases::Embedded(_)) => LeaseStoreState::Up,
        Err(fault) => LeaseStoreState::Away(fault.text),
    }
}

/// Makes the store what the ledger is; gives the names that somebody else holds, which are left to them.
async fn equalise(leases: &Leases, wanted: &Wanted, own: &str) -> Result<Vec<String>, Fault> {
    let names: Vec<String> = wanted.keys().cloned().collect();
    let there = leases.list(&names).await?;
    let now = clock::unix_ms();
    let (mut claims, mut extensions, mut releases, mut foreign) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let mut held = BTreeMap::new();
    for lease in there {
        held.insert(lease.name.clone(), lease);
    }
    for (name, (token, end)) in wanted {
        let left_ms = end.map_or(ENDLESS_MS, |end| end.saturating_sub(now));
        if left_ms == 0 {
            // It is over, and about to be announced or closed.
            continue;
        }
        let wish = Wish {
            name: name.clone(),
            token: token.clone(),
            left_ms,
        };
        match held.get(name) {
            None => claims.push(wish),
            // Of an earlier opening, which the store did not hear the end of.
            Some(lease) if lease.token != *token && lease.token.starts_with(own) => claims.push(wish),
            Some(lease) if lease.token != *token => foreign.push(name.clone()),
            Some(lease) => {
                let is = lease.left_ms.unwrap_or(u64::MAX);
                let fine = match end {
                    Some(_) => is.abs_diff(left_ms) <= DRIFT_MS,
                    None => is > ENDLESS_MS / 2 && is <= ENDLESS_MS,
                };
                if !fine {
                    extensions.push(wish);
                }
            }
        }
    }
    for (name, lease) in held {
        let is_wanted = wanted.get(&name).is_some_and(|(token, _)| *token == lease.token);
        if is_wanted || foreign.contains(&name) {
            continue;
        }
        // Somebody else's is only forgotten: nothing but a token of one's own takes a name away.
        let token = if lease.token.starts_with(own) {
            lease.token
        } else {
            String::new()
        };
        releases.push((name, token));
    }
    leases.release(releases).await?;
    leases.extend(extensions).await?;
    leases.claim(claims).await?;
    Ok(foreign)
}

/// A creation's permit among all agents that share the engine; it is given back when this is dropped.
pub(super) struct Shared {
    _renewing: DropGuard,
}

impl World {
    /// Waits for a permit to make something on the engine. None where nobody shares it, or when the store is away: then
    /// this agent's own bound has to do.
    pub(super) async fn shared_permit(&self, cancel: &CancellationToken) -> Result<Option<Shared>, Fault> {
        let Leases::Redis(_) = &self.leases else {
            return Ok(None);
        };
        let Some(pool) = self.engine_id().await else {
            return Ok(None);
        };
        if self.permits_rest() {
            return Ok(None);
        }
        let (holder, began) = (uuid::Uuid::new_v4().to_string(), Instant::now());
        loop {
            match self
                .leases
                .permit(&pool, &holder, self.creations_in_flight, PERMIT_TTL)
                .await
            {
                Ok(Some(true)) => break,
                Ok(Some(false)) => {}
                Ok(None) => return Ok(None),
                Err(fault) => {
                    tracing::debug!(%fault, "creations go on without shared permits for a while");
                    *self.permits_failed.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
                    return Ok(None);
                }
            }
            // Longer than any permit lasts: somebody keeps them all, and that must not keep a room from opening.
            if began.elapsed() > PERMIT_TTL * 2 {
                tracing::warn!("no shared permit came free: a creation goes on without");
                return Ok(None);
            }
            if self.creations.is_closed() {
                return Err(cancelled());
            }
            tokio::select! {
                () = cancel.cancelled() => return Err(cancelled()),
                () = tokio::time::sleep(PERMIT_AGAIN) => {}
            }
        }
        Ok(Some(self.renewing(pool, holder)))
    }

    /// Whether the store failed a moment ago: not every creation waits for that again.
    fn permits_rest(&self) -> bool {
        let failed = *self.permits_failed.lock().unwrap_or_else(PoisonError::into_inner);
        failed.is_some_and(|at| at.elapsed() < PERMIT_TTL)
    }

    fn renewing(&self, pool: String, holder: String) -> Shared {
        let (leases, limit) = (self.leases.clone(), self.creations_in_flight);
        let over = CancellationToken::new();
        let until = over.clone();
        tokio::spawn(async move {
            loop {
                tokio::select! {
                    () = until.cancelled() => break,
                    () = tokio::time::sleep(PERMIT_TTL / 3) => {}
                }
                // One that could not be renewed comes back too early, which only lets more begin at once.
                let _ = leases.permit(&pool, &holder, limit, PERMIT_TTL).await;
            }
            let _ = leases.give_back(&pool, &holder).await;
        });
        Shared {
            _renewing: over.drop_guard(),
        }
    }

    /// The engine's own name for itself, asked for once.
    async fn engine_id(&self) -> Option<String> {
        let asked = self
            .engine_id
            .get_or_try_init(|| async { self.docker.hello().await.map(|info| info.id) });
        asked.await.ok().filter(|id| !id.is_empty()).cloned()
    }
}
