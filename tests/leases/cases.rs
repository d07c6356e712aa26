//! What every store must do.

use std::time::Duration;

use labtop::world::leases::{Leases, Strikes};

use crate::redis::Server;
use crate::{Bench, connect, held, pairs, wish};

/// Runs a case on each store.
macro_rules! on_each {
    ($($name:ident)*) => {
        mod embedded {
            $(#[tokio::test]
            async fn $name() {
                super::$name(crate::Bench::embedded()).await;
            })*
        }
        mod redis {
            $(#[tokio::test]
            async fn $name() {
                let server = crate::redis::Server::start();
                super::$name(crate::Bench::redis(&server)).await;
            })*
        }
    };
}

on_each! {
    a_name_is_taken_once
    only_the_holder_extends_and_releases
    a_name_that_is_over_is_free
    many_are_answered_in_order
    of_many_who_claim_one_gets_it
    an_extension_moves_the_end_both_ways
    strikes_count_for_a_while_and_can_be_forgotten
}

async fn a_name_is_taken_once(bench: Bench) {
    let store = &bench.store;
    assert_eq!(store.claim(vec![wish("a/an", "mine", 60_000)]).await.unwrap(), [true]);
    assert_eq!(
        store.claim(vec![wish("a/an", "theirs", 60_000)]).await.unwrap(),
        [false]
    );
    assert_eq!(store.claim(vec![wish("a/an", "mine", 60_000)]).await.unwrap(), [false]);
    assert_eq!(held(store).await, pairs(&[("a/an", "mine")]));
    let lease = store.list(&[]).await.unwrap().remove(0);
    assert!(
        lease.left_ms.is_some_and(|left| left <= 60_000 && left > 50_000),
        "{lease:?}"
    );
}

async fn only_the_holder_extends_and_releases(bench: Bench) {
    let store = &bench.store;
    store.claim(vec![wish("a/an", "mine", 60_000)]).await.unwrap();
    assert_eq!(
        store.extend(vec![wish("a/an", "theirs", 90_000)]).await.unwrap(),
        [false]
    );
    assert_eq!(store.release(pairs(&[("a/an", "theirs")])).await.unwrap(), [false]);
    assert_eq!(store.extend(vec![wish("a/an", "mine", 90_000)]).await.unwrap(), [true]);
    assert!(store.list(&[]).await.unwrap()[0].left_ms > Some(80_000));
    assert_eq!(store.release(pairs(&[("a/an", "mine")])).await.unwrap(), [true]);
    assert_eq!(store.release(pairs(&[("a/an", "mine")])).await.unwrap(), [false]);
    assert_eq!(held(store).await, pairs(&[]));
    assert_eq!(
        store.extend(vec![wish("a/an", "mine", 90_000)]).await.unwrap(),
        [false],
        "nothing to extend"
    );
    assert_eq!(store.claim(vec![wish("a/an", "theirs", 60_000)]).await.unwrap(), [true]);
}

async fn a_name_that_is_over_is_free(bench: Bench) {
    let store = &bench.store;
    store
        .claim(vec![wish("a/an", "mine", 300), wish("a/bo", "mine", 60_000)])
        .await
        .unwrap();
    bench.pass(400).await;
    assert_eq!(held(store).await, pairs(&[("a/bo", "mine")]));
    assert_eq!(store.extend(vec![wish("a/an", "mine", 60_000)]).await.unwrap(), [false]);
    assert_eq!(store.release(pairs(&[("a/an", "mine")])).await.unwrap(), [false]);
    assert_eq!(store.claim(vec![wish("a/an", "theirs", 60_000)]).await.unwrap(), [true]);
}

async fn many_are_answered_in_order(bench: Bench) {
    let store = &bench.store;
    store.claim(vec![wish("a/s02", "theirs", 60_000)]).await.unwrap();
    let all = ["a/s01", "a/s02", "a/s03"]
        .map(|name| wish(name, "mine", 60_000))
        .to_vec();
    assert_eq!(store.claim(all.clone()).await.unwrap(), [true, false, true]);
    assert_eq!(store.extend(all).await.unwrap(), [true, false, true]);
    let release = pairs(&[("a/s01", "mine"), ("a/s02", "mine"), ("a/s03", "mine")]);
    assert_eq!(store.release(release).await.unwrap(), [true, false, true]);
    assert!(store.claim(Vec::new()).await.unwrap().is_empty());
}

async fn of_many_who_claim_one_gets_it(bench: Bench) {
    for round in 0..50 {
        let name = format!("a/s{round}");
        let claims = (0..8).map(|who| {
            let (store, wish) = (bench.store.clone(), wish(&name, &format!("token{who}"), 60_000));
            tokio::spawn(async move { store.claim(vec![wish]).await.unwrap()[0] })
        });
        let mut won = 0;
        for claim in claims.collect::<Vec<_>>() {
            won += usize::from(claim.await.unwrap());
        }
        assert_eq!(won, 1, "round {round}");
    }
}

async fn an_extension_moves_the_end_both_ways(bench: Bench) {
    let store = &bench.store;
    store.claim(vec![wish("a/an", "mine", 60_000)]).await.unwrap();
    assert_eq!(store.extend(vec![wish("a/an", "mine", 300)]).await.unwrap(), [true]);
    bench.pass(400).await;
    assert_eq!(held(store).await, pairs(&[]));
}

async fn strikes_count_for_a_while_and_can_be_forgotten(bench: Bench) {
    const WINDOW: Duration = Duration::from_millis(500);
    let store = &bench.store;
    assert_eq!(store.strikes("student:an").await.unwrap(), Strikes::default());
    for count in 1..=3 {
        let struck = store.strike("student:an", WINDOW).await.unwrap();
        assert_eq!(struck.count, count);
        assert!((1..=500).contains(&struck.left_ms), "{struck:?}");
    }
    assert_eq!(store.strikes("student:an").await.unwrap().count, 3);
    assert_eq!(store.strikes("student:anh").await.unwrap().count, 0, "nobody else's");
    store.absolve("student:an").await.unwrap();
    assert_eq!(store.strikes("student:an").await.unwrap(), Strikes::default());
    // The while begins with the first and is not drawn out by the next.
    store.strike("student:an", WINDOW).await.unwrap();
    bench.pass(300).await;
    store.strike("student:an", WINDOW).await.unwrap();
    bench.pass(300).await;
    assert_eq!(store.strikes("student:an").await.unwrap(), Strikes::default());
    assert_eq!(store.strike("student:an", WINDOW).await.unwrap().count, 1);
}

#[tokio::test]
async fn days_of_leases_pass_in_the_ledger() {
    const DAY: u64 = 24 * 60 * 60 * 1_000;
    let bench = Bench::embedded();
    let all: Vec<_> = (0..100)
        .map(|n| wish(&format!("a/s{n}"), "mine", (n + 1) * DAY / 10))
        .collect();
    assert!(bench.store.claim(all).await.unwrap().into_iter().all(|taken| taken));
    for day in 1..=10_usize {
        bench.pass(DAY).await;
        assert_eq!(held(&bench.store).await.len(), 100 - day * 10);
    }
    assert!(bench.store.claim(vec![wish("a/s0", "theirs", DAY)]).await.unwrap()[0]);
}

#[tokio::test]
async fn the_ledgers_leases_outlive_its_process() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("ledger.db");
    let open = || {
        let (ledger, ..) = labtop::world::ledger::Ledger::open(&path).unwrap();
        Leases::Embedded(labtop::world::leases::Embedded::new(
            ledger,
            std::sync::Arc::new(|| 1_000),
        ))
    };
    open().claim(vec![wish("a/an", "mine", 60_000)]).await.unwrap();
    let again = open();
    assert_eq!(held(&again).await, pairs(&[("a/an", "mine")]));
    assert_eq!(
        again.claim(vec![wish("a/an", "theirs", 60_000)]).await.unwrap(),
        [false]
    );
}

#[tokio::test]
async fn instances_that_share_a_server_see_nothing_of_each_other() {
    let server = Server::start();
    let one = connect(&server, crate::INSTANCE);
    let other = connect(&server, "6f1b7a52-0000-4000-8000-000000000002");
    assert_eq!(one.claim(vec![wish("a/an", "one", 60_000)]).await.unwrap(), [true]);
    assert_eq!(other.claim(vec![wish("a/an", "other", 60_000)]).await.unwrap(), [true]);
    assert_eq!(held(&one).await, pairs(&[("a/an", "one")]));
    assert_eq!(other.release(pairs(&[("a/an", "one")])).await.unwrap(), [false]);
    assert_eq!(held(&other).await, pairs(&[("a/an", "other")]));
}
