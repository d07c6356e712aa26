//! The protocol, byte by byte: what a stranger may send, and what it is answered. The timeouts are waited for in
//! real time, side by side.

mod wire_support;

use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::task::JoinHandle;
use wire_support::{Fake, actor, within};

struct Peer {
    stream: DuplexStream,
    talk: JoinHandle<std::io::Result<()>>,
}

/// A conversation with a real server over a pipe in memory.
fn peer(fake: &Fake) -> Peer {
    let (stream, theirs) = tokio::io::duplex(1 << 20);
    let host = fake.host();
    let talk = tokio::spawn(async move { labtop::wire::server::talk(theirs, actor(), &host).await });
    Peer { stream, talk }
}

impl Peer {
    async fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.unwrap();
    }

    async fn message(&mut self, message: Value) {
        self.send(&frame(b'm', message.to_string().as_bytes())).await;
    }

    async fn hello(&mut self) {
        self.message(json!({"protocol": 1, "version": "x"})).await;
        let welcome = self.next().await;
        assert_eq!(welcome["welcome"]["protocol"], 1, "{welcome}");
    }

    async fn next(&mut self) -> Value {
        let length = within(self.stream.read_u32()).await.unwrap() as usize;
        let mut frame = vec![0; length];
        within(self.stream.read_exact(&mut frame)).await.unwrap();
        assert_eq!(frame[0], b'm');
        serde_json::from_slice(&frame[1..]).unwrap()
    }

    /// What is left to read until the server closes.
    async fn rest(mut self) -> Vec<u8> {
        let mut rest = Vec::new();
        within(self.stream.read_to_end(&mut rest)).await.unwrap();
        let _ = within(self.talk).await.unwrap();
        rest
    }

    async fn expect_refusal(mut self, word: &str) {
        let answer = self.next().await;
        assert_eq!(answer["unwelcome"]["code"], "protocol", "{answer}");
        assert!(answer["unwelcome"]["text"].as_str().unwrap().contains(word), "{answer}");
        assert!(self.rest().await.is_empty(), "nothing may follow a refusal");
    }
}

fn frame(kind: u8, body: &[u8]) -> Vec<u8> {
    let mut frame = u32::try_from(body.len() + 1).unwrap().to_be_bytes().to_vec();
    frame.push(kind);
    frame.extend_from_slice(body);
    frame
}

#[tokio::test]
async fn a_greeting_names_the_agent() {
    let fake = Fake::new();
    let mut peer = peer(&fake);
    peer.message(json!({"protocol": 1, "version": "0.0.0", "later": "fields are passed over"}))
        .await;
    let welcome = &peer.next().await["welcome"];
    assert_eq!(welcome["instance"], wire_support::instance().as_str());
    assert_eq!(welcome["pid"], std::process::id());
    assert_eq!(welcome["version"], env!("CARGO_PKG_VERSION"));
}

#[tokio::test]
async fn another_protocol_is_told_both_versions() {
    let fake = Fake::new();
    let mut peer = peer(&fake);
    peer.message(json!({"protocol": 999, "version": "9.9\u{1b}[2J"})).await;
    let answer = peer.next().await;
    let text = answer["unwelcome"]["text"].as_str().unwrap();
    assert_eq!(answer["unwelcome"]["code"], "protocol");
    assert!(
        text.contains("999") && text.contains("protocol 1") && !text.contains('\u{1b}'),
        "{text}"
    );
    assert!(peer.rest().await.is_empty());
}

#[tokio::test]
async fn garbage_is_answered_and_closed() {
    let fake = Fake::new();
    for (garbage, word) in [
        (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n".to_vec(), "no greeting"),
        (frame(b'm', b"{not json"), "bad message"),
        (frame(b'm', br#"{"hi":1}"#), "protocol"),
        (frame(b'd', b"raw"), "raw bytes"),
        (frame(b'z', b"{}"), "unknown kind"),
        (vec![0, 0, 0, 0], "empty frame"),
        (frame(b'm', &[0xff, 0xfe]), "bad message"),
    ] {
        let mut peer = peer(&fake);
        peer.send(&garbage).await;
        peer.expect_refusal(word).await;
    }
}

#[tokio::test]
async fn an_oversized_greeting_is_refused_by_its_length_alone() {
    let fake = Fake::new();
    for length in [5_000_u32, 8 * 1024 * 1024 + 1, u32::MAX] {
        let mut peer = peer(&fake);
        peer.send(&length.to_be_bytes()).await;
        peer.expect_refusal("no greeting").await;
    }
}

#[tokio::test]
async fn half_a_greeting_is_no_greeting() {
    let fake = Fake::new();
    let mut peer = peer(&fake);
    let whole = frame(b'm', br#"{"protocol":1,"version":"x"}"#);
    peer.send(&whole[..whole.len() / 2]).await;
    peer.stream.shutdown().await.unwrap();
    peer.expect_refusal("no greeting").await;
}

#[tokio::test]
async fn a_slow_greeting_is_told_after_five_seconds() {
    let fake = Fake::new();
    let mut peer = peer(&fake);
    let whole = frame(b'm', br#"{"protocol":1,"version":"x"}"#);
    let begin = std::time::Instant::now();
    for byte in &whole[..3] {
        peer.send(&[*byte]).await;
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    peer.expect_refusal("within 5 s").await;
    assert!((5..9).contains(&begin.elapsed().as_secs()));
}

#[tokio::test]
async fn a_client_that_wants_nothing_is_let_go() {
    let fake = Fake::new();
    let mut peer = peer(&fake);
    peer.hello().await;
    let begin = std::time::Instant::now();
    assert!(peer.rest().await.is_empty());
    assert!((5..9).contains(&begin.elapsed().as_secs()));
    assert_eq!(*fake.handle.attached().borrow(), 0);
}

#[tokio::test]
async fn an_unknown_request_closes_the_connection_and_harms_nobody() {
    let mut fake = Fake::new();
    let mut bad = peer(&fake);
    bad.hello().await;
    bad.message(json!({"reboot": {}})).await;
    assert!(bad.rest().await.is_empty());
    let mut bad_id = peer(&fake);
    bad_id.hello().await;
    bad_id
        .message(json!({"logs": {"seat": "room/../../etc", "tail": 1, "follow": false}}))
        .await;
    assert!(bad_id.rest().await.is_empty());
    assert!(fake.requests.try_recv().is_err(), "nothing reached the engine");

    let mut good = peer(&fake);
    good.hello().await;
    good.message(json!("watch")).await;
    assert_eq!(good.next().await["snapshot"]["serial"], 1);
}

#[tokio::test]
async fn a_watcher_who_speaks_out_of_turn_is_let_go() {
    let fake = Fake::new();
    let mut peer = peer(&fake);
    peer.hello().await;
    peer.message(json!("watch")).await;
    peer.next().await;
    peer.message(json!("watch")).await;
    assert!(peer.rest().await.is_empty());
    assert_eq!(*fake.handle.attached().borrow(), 0);
}

#[tokio::test]
async fn a_client_that_never_reads_is_dropped() {
    let fake = Fake::new();
    let (mut stream, theirs) = tokio::io::duplex(256);
    let host = fake.host();
    let talk = tokio::spawn(async move { labtop::wire::server::talk(theirs, actor(), &host).await });
    stream
        .write_all(&frame(b'm', br#"{"protocol":1,"version":"x"}"#))
        .await
        .unwrap();
    stream.write_all(&frame(b'm', br#""watch""#)).await.unwrap();
    let begin = std::time::Instant::now();
    let error = within(talk).await.unwrap().unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::TimedOut);
    assert!((10..15).contains(&begin.elapsed().as_secs()));
    assert_eq!(*fake.handle.attached().borrow(), 0);
}
