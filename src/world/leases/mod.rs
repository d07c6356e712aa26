//! The lease store: names that somebody holds for a while, where other programs can see them, and permits that several
//! agents share.
//!
//! Knows: names, tokens, times to live. Must not know: rooms, or what ends with a lease: the ledger has the deadlines, and
//! this is their mirror.

mod redis;

pub use self::redis::Redis;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;

use crate::domain::fault::Fault;
use crate::world::ledger::Ledger;

/// A name that is to be held.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wish {
    /// The name.
    pub name: String,
    /// Who holds it: only whoever knows the token can extend or release it.
    pub token: String,
    /// For how long from now, milliseconds; more than nothing.
    pub left_ms: u64,
}

/// A name that is held.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// The name.
    pub name: String,
    /// Who holds it.
    pub token: String,
    /// For how long still, milliseconds; none when it has no end, which nobody of labtop gave it.
    pub left_ms: Option<u64>,
}

/// Wrong codes of somebody, or from somewhere, within a while.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Strikes {
    /// How many.
    pub count: u32,
    /// For how long they count still, milliseconds.
    pub left_ms: u64,
}

/// What time it is, Unix milliseconds.
pub type Clock = Arc<dyn Fn() -> u64 + Send + Sync>;

/// Names in the ledger: for an agent alone.
#[derive(Clone)]
pub struct Embedded {
    ledger: Ledger,
    clock: Clock,
}

impl std::fmt::Debug for Embedded {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Embedded").finish_non_exhaustive()
    }
}

impl Embedded {
    /// Names in that ledger, which end by that clock.
    #[must_use]
    pub fn new(ledger: Ledger, clock: Clock) -> Self {
        Self { ledger, clock }
    }
}

/// A store. Everything done to several names answers for each, in order.
#[derive(Debug, Clone)]
pub enum Leases {
    /// In the ledger.
    Embedded(Embedded),
    /// In Redis.
    Redis(Redis),
}

impl Leases {
    /// Takes names that nobody holds; false for each that somebody does, also when it is oneself.
    ///
    /// # Errors
    /// [`FaultCode::Leases`](crate::domain::fault::FaultCode::Leases) when the store does not answer: it may have happened.
    pub async fn claim(&self, wishes: Vec<Wish>) -> Result<Vec<bool>, Fault> {
        match self {
            Self::Embedded(store) => store.ledger.claim_leases(wishes, (store.clock)()).await,
            Self::Redis(store) => store.claim(&wishes).await,
        }
    }

    /// Sets anew how long names are held; false for each that nobody holds with that token.
    ///
    /// # Errors
    /// [`FaultCode::Leases`](crate::domain::fault::FaultCode::Leases) when the store does not answer: it may have happened.
    pub async fn extend(&self, wishes: Vec<Wish>) -> Result<Vec<bool>, Fault> {
        match self {
            Self::Embedded(store) => store.ledger.extend_leases(wishes, (store.clock)()).await,
            Self::Redis(store) => store.extend(&wishes).await,
        }
    }

    /// Gives names (name, token) up; false for each that nobody holds with that token.
    ///
    /// # Errors
    /// [`FaultCode::Leases`](crate::domain::fault::FaultCode::Leases) when the store does not answer: it may have happened.
    pub async fn release(&self, held: Vec<(String, String)>) -> Result<Vec<bool>, Fault> {
        match self {
            Self::Embedded(store) => store.ledger.release_leases(held, (store.clock)()).await,
            Self::Redis(store) => store.release(&held).await,
        }
    }

    /// The names that are held now: those that were claimed here and are not over, and of `wanted` also those that
    /// somebody else put there.
    ///
    /// # Errors
    /// [`FaultCode::Leases`](crate::domain::fault::FaultCode::Leases) when the store does not answer.
    pub async fn list(&self, wanted: &[String]) -> Result<Vec<Lease>, Fault> {
        match self {
            Self::Embedded(store) => store.ledger.leases((store.clock)()).await,
            Self::Redis(store) => store.list(wanted).await,
        }
    }

    /// Tells `news` when a name has ended, as far as the store says so: a hint, which may come late, twice or never.
    /// Ends never.
    pub async fn hint(&self, news: &Notify) {
        match self {
            Self::Embedded(_) => std::future::pending().await,
            Self::Redis(store) => store.hint(news).await,
        }
    }

    /// Asks for a permit of `pool` for `ttl`, or for more time with one: true when one has it. There are `limit` of them,
    /// for everybody who shares the store; one whose holder is gone comes back when its time is over. None where nobody
    /// shares anything.
    ///
    /// # Errors
    /// [`FaultCode::Leases`](crate::domain::fault::FaultCode::Leases) when the store does not answer.
    pub async fn permit(&self, pool: &str, holder: &str, limit: usize, ttl: Duration) -> Result<Option<bool>, Fault> {
        match self {
            Self::Embedded(_) => Ok(None),
            Self::Redis(store) => store.permit(pool, holder, limit, ttl).await.map(Some),
        }
    }

    /// Counts one strike more against a name. The while begins with the first.
    ///
    /// # Errors
    /// [`FaultCode::Leases`](crate::domain::fault::FaultCode::Leases) when the store does not answer: it may have happened.
    pub async fn strike(&self, name: &str, window: Duration) -> Result<Strikes, Fault> {
        match self {
            Self::Embedded(store) => store.ledger.strike(name.to_owned(), window, (store.clock)()).await,
            Self::Redis(store) => store.strike(name, window).await,
        }
    }

    /// The strikes against a name.
    ///
    /// # Errors
    /// [`FaultCode::Leases`](crate::domain::fault::FaultCode::Leases) when the store does not answer.
    pub async fn strikes(&self, name: &str) -> Result<Strikes, Fault> {
        match self {
            Self::Embedded(store) => store.ledger.strikes(name.to_owned(), (store.clock)()).await,
            Self::Redis(store) => store.strikes(name).await,
        }
    }

    /// Forgets the strikes against a name.
    ///
    /// # Errors
    /// [`FaultCode::Leases`](crate::domain::fault::FaultCode::Leases) when the store does not answer.
    pub async fn absolve(&self, name: &str) -> Result<(), Fault> {
        match self {
            Self::Embedded(store) => store.ledger.absolve(name.to_owned(), (store.clock)()).await.map(drop),
            Self::Redis(store) => store.absolve(name).await,
        }
    }

    /// Gives a permit back.
    ///
    /// # Errors
    /// [`FaultCode::Leases`](crate::domain::fault::FaultCode::Leases) when the store does not answer: it comes back by
    /// itself.
    pub async fn give_back(&self, pool: &str, holder: &str) -> Result<(), Fault> {
        match self {
            Self::Embedded(_) => Ok(()),
            Self::Redis(store) => store.give_back(pool, holder).await,
        }
    }
}
