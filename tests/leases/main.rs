//! Lease stores: one suite of cases for all of them, and what only a server can suffer.

mod cases;
#[path = "../redis/mod.rs"]
mod redis;
mod server;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use labtop::domain::settings::{RedisSettings, SecretUrl};
use labtop::world::leases::{Embedded, Leases, Redis, Wish};
use labtop::world::ledger::Ledger;
use redis::Server;

/// A store under test, and how its time passes.
struct Bench {
    store: Leases,
    time: Time,
    _dir: Option<tempfile::TempDir>,
}

enum Time {
    /// By hand.
    Fake(Arc<AtomicU64>),
    /// By waiting.
    Real,
}

impl Bench {
    fn embedded() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let clock = Arc::new(AtomicU64::new(1_800_000_000_000));
        let (ledger, ..) = Ledger::open(&dir.path().join("ledger.db")).unwrap();
        let reads = Arc::clone(&clock);
        let store = Embedded::new(ledger, Arc::new(move || reads.load(Ordering::SeqCst)));
        Self {
            store: Leases::Embedded(store),
            time: Time::Fake(clock),
            _dir: Some(dir),
        }
    }

    fn redis(server: &Server) -> Self {
        Self {
            store: connect(server, INSTANCE),
            time: Time::Real,
            _dir: None,
        }
    }

    /// Lets so many milliseconds pass.
    async fn pass(&self, ms: u64) {
        match &self.time {
            Time::Fake(clock) => drop(clock.fetch_add(ms, Ordering::SeqCst)),
            Time::Real => tokio::time::sleep(std::time::Duration::from_millis(ms)).await,
        }
    }
}

const INSTANCE: &str = "6f1b7a52-0000-4000-8000-000000000001";

/// An instance's way to a server.
fn connect(server: &Server, instance: &str) -> Leases {
    connect_to(&server.url(), instance, "labtop:")
}

fn connect_to(url: &str, instance: &str, prefix: &str) -> Leases {
    let settings = RedisSettings {
        url: SecretUrl::new(url.to_owned()),
        password_file: None,
        prefix: prefix.to_owned(),
        ca_file: None,
    };
    Leases::Redis(Redis::new(&settings, instance.parse().unwrap()).unwrap())
}

fn wish(name: &str, token: &str, left_ms: u64) -> Wish {
    Wish {
        name: name.to_owned(),
        token: token.to_owned(),
        left_ms,
    }
}

/// What is held, as (name, token).
async fn held(store: &Leases) -> Vec<(String, String)> {
    let mut held: Vec<_> = store
        .list(&[])
        .await
        .unwrap()
        .into_iter()
        .map(|l| (l.name, l.token))
        .collect();
    held.sort();
    held
}

fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect()
}
