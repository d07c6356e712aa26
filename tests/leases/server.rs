//! What only a server can suffer: restarts, emptyings, killed and stalled connections, other people's keys and users.

use std::sync::Arc;
use std::time::{Duration, Instant};

use labtop::domain::fault::FaultCode;
use tokio::sync::Notify;

use crate::redis::Server;
use crate::{INSTANCE, connect, connect_to, held, pairs, wish};

/// Longer than a store may take to find its server again.
const PATIENCE: Duration = Duration::from_secs(20);

/// Waits until the store answers.
async fn until_up(store: &labtop::world::leases::Leases) {
    let start = Instant::now();
    while let Err(fault) = store.list(&[]).await {
        assert_eq!(fault.code, FaultCode::Leases);
        assert!(start.elapsed() < PATIENCE, "{fault}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn a_server_that_is_away_is_a_fault_in_bounded_time_and_found_again() {
    let mut server = Server::start();
    let store = connect(&server, INSTANCE);
    store.claim(vec![wish("a/an", "mine", 60_000)]).await.unwrap();
    server.stop();
    let start = Instant::now();
    let fault = store.list(&[]).await.unwrap_err();
    assert_eq!(fault.code, FaultCode::Leases);
    assert!(start.elapsed() < PATIENCE && fault.hint.contains("ledger"), "{fault}");
    server.again();
    until_up(&store).await;
    assert_eq!(held(&store).await, pairs(&[]), "it came back empty");
    assert_eq!(store.claim(vec![wish("a/an", "mine", 60_000)]).await.unwrap(), [true]);
}

#[tokio::test]
async fn a_store_can_begin_before_its_server() {
    let mut server = Server::start();
    server.stop();
    let store = connect(&server, INSTANCE);
    assert!(store.list(&[]).await.is_err());
    server.again();
    until_up(&store).await;
}

#[tokio::test]
async fn a_server_that_was_emptied_is_empty_and_usable() {
    let server = Server::start();
    let store = connect(&server, INSTANCE);
    store.claim(vec![wish("a/an", "mine", 60_000)]).await.unwrap();
    server.cli(&["FLUSHALL"]);
    assert_eq!(held(&store).await, pairs(&[]));
    assert_eq!(store.extend(vec![wish("a/an", "mine", 60_000)]).await.unwrap(), [false]);
    assert_eq!(store.claim(vec![wish("a/an", "mine", 60_000)]).await.unwrap(), [true]);
}

#[tokio::test]
async fn connections_that_are_killed_are_made_again() {
    let server = Server::start();
    let store = connect(&server, INSTANCE);
    store.claim(vec![wish("a/an", "mine", 60_000)]).await.unwrap();
    for _ in 0..3 {
        server.cli(&["CLIENT", "KILL", "TYPE", "normal"]);
        until_up(&store).await;
        assert_eq!(held(&store).await, pairs(&[("a/an", "mine")]));
    }
}

#[tokio::test]
async fn a_server_that_stands_still_for_ten_seconds_holds_nobody_up_for_as_long() {
    let server = Server::start();
    let store = connect(&server, INSTANCE);
    store.claim(vec![wish("a/an", "mine", 60_000)]).await.unwrap();
    server.cli(&["CLIENT", "PAUSE", "10000", "ALL"]);
    let start = Instant::now();
    assert_eq!(store.list(&[]).await.unwrap_err().code, FaultCode::Leases);
    assert!(start.elapsed() < Duration::from_secs(9), "{:?}", start.elapsed());
    until_up(&store).await;
    assert_eq!(held(&store).await, pairs(&[("a/an", "mine")]));
}

#[tokio::test]
async fn what_somebody_else_put_under_our_names_is_left_alone() {
    let server = Server::start();
    let store = connect(&server, INSTANCE);
    let key = format!("labtop:lease:{INSTANCE}:a/an");
    server.cli(&["SET", &key, "theirs"]);
    assert_eq!(store.claim(vec![wish("a/an", "mine", 60_000)]).await.unwrap(), [false]);
    assert_eq!(store.extend(vec![wish("a/an", "mine", 60_000)]).await.unwrap(), [false]);
    assert_eq!(store.release(pairs(&[("a/an", "mine")])).await.unwrap(), [false]);
    assert_eq!(server.cli(&["GET", &key]), "theirs");
    let seen = store.list(&["a/an".to_owned()]).await.unwrap();
    assert_eq!((seen[0].token.as_str(), seen[0].left_ms), ("theirs", None));
}

#[tokio::test]
async fn every_key_lies_below_the_prefix_and_in_the_database_of_the_address() {
    let server = Server::start();
    let url = server.url();
    let store = connect_to(&url, INSTANCE, "school/lab:");
    store.claim(vec![wish("a/an", "mine", 60_000)]).await.unwrap();
    store.permit("ENGINE", "me", 1, Duration::from_secs(5)).await.unwrap();
    store.strike("student:an", Duration::from_secs(5)).await.unwrap();
    let keys = server.cli(&["KEYS", "*"]);
    assert_eq!(keys.lines().count(), 4, "{keys}");
    assert!(keys.lines().all(|key| key.starts_with("school/lab:")), "{keys}");
    assert_eq!(server.cli(&["-n", "0", "DBSIZE"]), "0");
}

#[tokio::test]
async fn a_user_of_the_servers_who_may_only_touch_the_prefix_is_enough() {
    let acl = "--user lab on >s3cret ~labtop:* &* -@all +@read +@write +@scripting +@connection +subscribe +time";
    let acl: Vec<&str> = acl.split(' ').collect();
    let server = Server::with(&acl);
    let url = format!("redis://lab:s3cret@127.0.0.1:{}/3", server.port());
    let store = connect_to(&url, INSTANCE, "labtop:");
    assert_eq!(store.claim(vec![wish("a/an", "mine", 60_000)]).await.unwrap(), [true]);
    assert_eq!(held(&store).await, pairs(&[("a/an", "mine")]));
    assert_eq!(
        store.permit("E", "me", 1, Duration::from_secs(5)).await.unwrap(),
        Some(true)
    );
    assert_eq!(store.strike("s", Duration::from_secs(5)).await.unwrap().count, 1);
    store.absolve("s").await.unwrap();
    let wrong = connect_to(&url.replace("s3cret", "wr0ng"), INSTANCE, "labtop:");
    let fault = wrong.list(&[]).await.unwrap_err();
    assert!(
        !fault.to_string().contains("wr0ng") && !format!("{wrong:?}").contains("wr0ng"),
        "{fault}"
    );
}

#[tokio::test]
async fn ended_leases_are_hinted_at() {
    let server = Server::start();
    let store = connect(&server, INSTANCE);
    let news = Arc::new(Notify::new());
    let (hearing, told) = (store.clone(), Arc::clone(&news));
    let listening = tokio::spawn(async move { hearing.hint(&told).await });
    // Hints are best effort: one is asked for again and again until the listener is there.
    let heard = tokio::time::timeout(PATIENCE, async {
        loop {
            store.claim(vec![wish("a/an", "mine", 50)]).await.unwrap();
            if tokio::time::timeout(Duration::from_secs(1), news.notified())
                .await
                .is_ok()
            {
                break;
            }
        }
    });
    heard.await.expect("no hint ever came");
    listening.abort();
}

#[tokio::test]
async fn permits_are_bounded_for_everybody_and_come_back_by_themselves() {
    let server = Server::start();
    let (one, other) = (
        connect(&server, INSTANCE),
        connect(&server, "6f1b7a52-0000-4000-8000-000000000002"),
    );
    let long = Duration::from_mins(1);
    let short = Duration::from_millis(400);
    assert_eq!(one.permit("E", "a", 2, long).await.unwrap(), Some(true));
    assert_eq!(other.permit("E", "b", 2, short).await.unwrap(), Some(true));
    assert_eq!(one.permit("E", "c", 2, long).await.unwrap(), Some(false));
    assert_eq!(
        other.permit("F", "c", 2, long).await.unwrap(),
        Some(true),
        "another engine"
    );
    assert_eq!(one.permit("E", "a", 2, long).await.unwrap(), Some(true), "renewed");
    // The holder of `b` is gone.
    tokio::time::sleep(short * 2).await;
    assert_eq!(one.permit("E", "c", 2, long).await.unwrap(), Some(true));
    assert_eq!(other.permit("E", "d", 2, long).await.unwrap(), Some(false));
    one.give_back("E", "a").await.unwrap();
    assert_eq!(other.permit("E", "d", 2, long).await.unwrap(), Some(true));
}

#[tokio::test]
async fn the_index_does_not_grow_with_leases_that_have_ended() {
    let server = Server::start();
    let store = connect(&server, INSTANCE);
    let wishes = (0..50).map(|n| wish(&format!("a/s{n}"), "mine", 50)).collect();
    store.claim(wishes).await.unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;
    // Whoever still wants one finds it missing, and it stays listed.
    assert_eq!(store.list(&["a/s7".to_owned()]).await.unwrap(), []);
    assert_eq!(server.cli(&["SMEMBERS", &format!("labtop:leases:{INSTANCE}")]), "a/s7");
}

#[tokio::test]
async fn a_server_that_tells_others_of_other_things_goes_on_doing_so() {
    let server = Server::with(&["--notify-keyspace-events", "Kg"]);
    let store = connect(&server, INSTANCE);
    let listening = tokio::spawn(async move { store.hint(&Notify::new()).await });
    let start = Instant::now();
    let flags = || server.cli(&["CONFIG", "GET", "notify-keyspace-events"]);
    while !flags().contains('x') {
        assert!(start.elapsed() < PATIENCE, "{}", flags());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!("KgEx".chars().all(|flag| flags().contains(flag)), "{}", flags());
    listening.abort();
}

#[tokio::test]
async fn a_permit_from_the_future_of_a_clock_that_was_set_back_goes() {
    let server = Server::start();
    let store = connect(&server, INSTANCE);
    server.cli(&["ZADD", "labtop:permits:E", "99999999999999", "gone"]);
    assert_eq!(
        store.permit("E", "me", 1, Duration::from_secs(5)).await.unwrap(),
        Some(true)
    );
}
