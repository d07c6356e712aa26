//! The loop without a terminal: keys from a channel, pictures into memory.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use ratatui::backend::TestBackend;

use super::*;
use crate::domain::notice::Notice;
use crate::tui::still::text_of;

struct Rig {
    board: Board,
    terminal: Terminal<TestBackend>,
    keys: mpsc::Receiver<TermEvent>,
    feed: Feed,
}

struct Ways {
    keys: mpsc::Sender<TermEvent>,
    inbound: mpsc::Sender<Inbound>,
    orders: mpsc::Receiver<Outbound>,
}

fn rig(orders_waiting: usize) -> (Rig, Ways) {
    let (keys, keys_in) = mpsc::channel(16);
    let (inbound, inbound_in) = mpsc::channel(1024);
    let (outbound, orders) = mpsc::channel(orders_waiting);
    let feed = Feed {
        inbound: inbound_in,
        outbound,
        ends: Ends::new().unwrap(),
        ticks: ticks(),
        alive: || true,
        ours: || true,
    };
    let rig = Rig {
        board: Board::new(Look::PLAIN, (80, 24)),
        terminal: Terminal::new(TestBackend::new(80, 24)).unwrap(),
        keys: keys_in,
        feed,
    };
    (rig, Ways { keys, inbound, orders })
}

impl Rig {
    async fn pump(&mut self) -> Result<Stop, BoardError> {
        pump(&mut self.board, &mut self.terminal, &mut self.keys, &mut self.feed).await
    }

    fn screen(&self) -> String {
        text_of(self.terminal.backend().buffer())
    }

    fn draws(&mut self) -> usize {
        self.terminal.get_frame().count()
    }
}

fn key(c: char) -> TermEvent {
    TermEvent::Key(KeyEvent::new(KeyCode::Char(c), KeyModifiers::NONE))
}

fn snapshot() -> Inbound {
    let text = include_str!("one_seat.json");
    Inbound::Snapshot(std::sync::Arc::new(serde_json::from_str(text).unwrap()))
}

#[tokio::test]
async fn keys_are_answered_while_the_agent_says_nothing() {
    let (mut rig, ways) = rig(1);
    ways.keys.send(key('?')).await.unwrap();
    let answered = tokio::time::timeout(Duration::from_millis(50), rig.pump()).await;
    assert!(answered.is_err(), "the loop goes on");
    assert!(rig.screen().contains("On the board"), "{}", rig.screen());
}

#[tokio::test]
async fn keys_are_answered_while_the_agent_takes_nothing() {
    let (mut rig, mut ways) = rig(1);
    ways.inbound.send(snapshot()).await.unwrap();
    let _ = tokio::time::timeout(Duration::from_millis(20), rig.pump()).await;
    for c in "LqRy".chars() {
        ways.keys.send(key(c)).await.unwrap();
    }
    let _ = tokio::time::timeout(Duration::from_millis(50), rig.pump()).await;
    assert!(rig.screen().contains("is busy"), "{}", rig.screen());
    assert!(matches!(ways.orders.try_recv(), Ok(Outbound::OpenLog { .. })));
}

#[tokio::test]
async fn a_burst_of_news_becomes_few_draws() {
    let (mut rig, ways) = rig(1);
    let storm = async {
        for n in 0..20_000 {
            ways.inbound
                .send(Inbound::Notice(Notice::info(n.to_string())))
                .await
                .unwrap();
        }
        Instant::now()
    };
    let began = Instant::now();
    let ended = tokio::select! { ended = storm => ended, _ = rig.pump() => panic!("the loop ended") };
    let most = 2 + (ended - began).as_millis() / NEWS_GAP.as_millis();
    assert!(rig.draws() as u128 <= most, "{} draws, at most {most}", rig.draws());
}

#[tokio::test]
async fn without_news_nothing_is_drawn() {
    let (mut rig, _ways) = rig(1);
    let _ = tokio::time::timeout(Duration::from_millis(300), rig.pump()).await;
    assert_eq!(rig.draws(), 1);
}

#[tokio::test]
async fn q_leaves_and_s_asks_for_the_terminal() {
    let (mut rig, ways) = rig(1);
    ways.inbound.send(snapshot()).await.unwrap();
    let _ = tokio::time::timeout(Duration::from_millis(20), rig.pump()).await;
    ways.keys.send(key('S')).await.unwrap();
    let seat = "r/s01".parse().unwrap();
    assert_eq!(rig.pump().await.unwrap(), Stop::Shell(seat));
    ways.keys.send(key('q')).await.unwrap();
    assert_eq!(rig.pump().await.unwrap(), Stop::Exit(Exit::Quit));
}

#[tokio::test]
async fn a_terminal_that_is_gone_ends_the_board() {
    let (mut rig, ways) = rig(1);
    drop(ways.keys);
    assert_eq!(rig.pump().await.unwrap(), Stop::Exit(HUNG_UP));
    assert_eq!(HUNG_UP.code(), 129);

    let (mut rig, _ways) = self::rig(1);
    rig.feed.alive = || false;
    assert_eq!(
        rig.pump().await.unwrap(),
        Stop::Exit(HUNG_UP),
        "also when it does not say so"
    );
}

#[tokio::test]
async fn a_panic_elsewhere_ends_the_board_without_another_draw() {
    let (mut rig, _ways) = rig(1);
    rig.feed.ours = || false;
    assert!(matches!(rig.pump().await, Err(BoardError::Panicked)));
    assert_eq!(rig.draws(), 0);
}

#[tokio::test]
async fn an_ended_connection_task_ends_the_board_with_an_error() {
    let (mut rig, ways) = rig(1);
    drop(ways.inbound);
    assert!(matches!(rig.pump().await, Err(BoardError::Feed)));
}
