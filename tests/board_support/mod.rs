//! Snapshots to look at, and a board to press keys on, without a terminal.
#![allow(dead_code, reason = "each test file uses its own part")]

pub mod door;
pub mod shelf;

use std::sync::Arc;

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use labtop::domain::fault::{Fault, FaultCode};
use labtop::domain::ids::SeatId;
use labtop::domain::seen::{EngineInfo, EngineState, HostFigures};
use labtop::domain::snapshot::{Phase, RoomPhase, RoomView, SeatView, Snapshot};
use labtop::tui::model::Model;
use labtop::tui::port::{Inbound, Outbound};
use labtop::tui::theme::Look;
use labtop::tui::update::{Event, update};
use labtop::tui::view;
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::buffer::Cell;
use unicode_width::UnicodeWidthStr;

pub const MIB: u64 = 1 << 20;

pub fn seat(room: &str, n: u32, phase: Phase) -> SeatView {
    let busy = |i: u32| u16::try_from((n * 37 + i * i * 11) % 97).unwrap();
    let runs = !matches!(
        phase,
        Phase::Wanted | Phase::Creating | Phase::Stopped | Phase::Failed | Phase::Gone
    );
    let made = !matches!(phase, Phase::Wanted | Phase::Creating | Phase::Gone);
    SeatView {
        room: room.parse().unwrap(),
        student: format!("s{n:02}").parse().unwrap(),
        phase,
        container_id: made.then(|| container(n)),
        cpu_percent: runs.then(|| f32::from(busy(15)) + 0.25),
        cpu_history: if runs { (0..16).map(busy).collect() } else { Vec::new() },
        cpu_limit_percent: 100.0,
        memory_bytes: runs.then(|| u64::from(n) * 31 * MIB),
        memory_limit_bytes: Some(512 * MIB),
        pids: runs.then_some(3 + n),
        lease_seconds_left: Some(10_000 - u64::from(n) * 60),
        held: false,
        route: format!("/api/r/{room}~s{n:02}"),
        archive_id: None,
        fault: None,
        oom_kills: 0,
        doing: String::new(),
    }
}

pub fn container(n: u32) -> labtop::domain::ids::ContainerId {
    format!("{:016x}{:048}", u64::from(n).wrapping_mul(0x9e37_79b9_7f4a_7c15), 0)
        .parse()
        .unwrap()
}

pub fn room(name: &str, seats: Vec<SeatView>) -> RoomView {
    RoomView {
        name: name.parse().unwrap(),
        template: "node".parse().unwrap(),
        exam: false,
        phase: RoomPhase::Open,
        lease_seconds_left: Some(10_000),
        seats_total: seats.len(),
        closing_seconds_left: None,
        closing_bytes: 0,
        closing_rate: 0,
        seats,
        fault: None,
    }
}

pub fn snapshot(rooms: Vec<RoomView>) -> Snapshot {
    Snapshot {
        serial: 1,
        instance: "6f1b7a52-0000-4000-8000-000000000000".parse().unwrap(),
        clock: "14:05:33".to_owned(),
        engine: EngineState::Up(EngineInfo {
            version: "20.10.24".to_owned(),
            api: "1.41".to_owned(),
            id: "ENGINE".into(),
        }),
        lease_store: labtop::domain::seen::LeaseStoreState::Up,
        host: HostFigures {
            cpu_percent: 37.4,
            memory_used_bytes: 3174 * MIB,
            memory_total_bytes: 7987 * MIB,
            disk_free_bytes: 41 * 1024 * MIB,
            disk_total_bytes: 100 * 1024 * MIB,
        },
        rooms,
        templates: ["node", "python", "ide"].map(|t| t.parse().unwrap()).to_vec(),
    }
}

/// The demo's room: most write, some idle, one spins, one was killed for memory.
pub fn twelve() -> Snapshot {
    let mut seats: Vec<SeatView> = (1..=12).map(|n| seat("demo", n, Phase::Ready)).collect();
    seats[3].cpu_percent = Some(99.8);
    seats[3].cpu_history = vec![100; 16];
    seats[5].cpu_percent = Some(0.1);
    seats[5].cpu_history = vec![0; 16];
    seats[7].memory_bytes = Some(498 * MIB);
    seats[7].oom_kills = 2;
    seats[9].phase = Phase::Frozen;
    snapshot(vec![room("demo", seats)])
}

pub fn failed() -> Snapshot {
    let mut all = twelve();
    let seats = &mut all.rooms[0].seats;
    seats[2] = seat("demo", 3, Phase::Failed);
    seats[2].fault = Some(
        Fault::new(
            FaultCode::NotReady,
            "Seat demo/s03 does not answer on port 3000 after 30 s",
        )
        .hint("Read its log with L, then restart it with R"),
    );
    seats[6] = seat("demo", 7, Phase::Stopped);
    seats[10] = seat("demo", 11, Phase::Creating);
    "attempt 2".clone_into(&mut seats[10].doing);
    all
}

pub fn two_rooms() -> Snapshot {
    let mut all = twelve();
    let mut exam = room("exam-1", (1..=4).map(|n| seat("exam-1", n, Phase::Ready)).collect());
    exam.exam = true;
    all.rooms.push(exam);
    all
}

pub const PLAIN: Look = Look {
    ascii: false,
    slow: false,
    color: false,
};

/// A board with hands on its keys and eyes on its screen.
pub struct Hands {
    pub model: Model,
}

impl Hands {
    pub fn new(cols: u16, rows: u16) -> Self {
        Self::with(PLAIN, cols, rows)
    }

    pub fn with(look: Look, cols: u16, rows: u16) -> Self {
        Self {
            model: Model::new(look, (cols, rows)),
        }
    }

    /// Attached, and showing this.
    pub fn seeing(snapshot: Snapshot, cols: u16, rows: u16) -> Self {
        let mut hands = Self::new(cols, rows);
        hands.hear(Inbound::Attached);
        hands.see(snapshot);
        hands
    }

    pub fn see(&mut self, snapshot: Snapshot) {
        self.hear(Inbound::Snapshot(Arc::new(snapshot)));
    }

    pub fn hear(&mut self, inbound: Inbound) {
        let out = update(&mut self.model, Event::In(inbound));
        assert!(out.is_empty(), "news never make the board act: {out:?}");
    }

    pub fn press(&mut self, code: KeyCode) -> Vec<Outbound> {
        update(&mut self.model, Event::Key(KeyEvent::new(code, KeyModifiers::NONE)))
    }

    /// Presses a letter each; returns what the last one asked for.
    pub fn keys(&mut self, keys: &str) -> Vec<Outbound> {
        keys.chars()
            .map(|c| self.press(KeyCode::Char(c)))
            .last()
            .unwrap_or_default()
    }

    pub fn on(&self) -> String {
        self.model.cursor.as_ref().map_or_else(String::new, SeatId::to_string)
    }

    pub fn screen(&self) -> String {
        let (cols, rows) = self.model.size;
        let mut terminal = Terminal::new(TestBackend::new(cols, rows)).unwrap();
        terminal.draw(|frame| view::draw(&self.model, frame)).unwrap();
        let buffer = terminal.backend().buffer();
        let lines: Vec<String> = buffer.content.chunks(usize::from(cols.max(1))).map(line_of).collect();
        lines.join("\n")
    }
}

/// One line; the cells that a wide character covers are no characters of their own.
fn line_of(cells: &[Cell]) -> String {
    let mut line = String::new();
    let mut at = 0;
    while let Some(cell) = cells.get(at) {
        line.push_str(cell.symbol());
        at += cell.symbol().width().max(1);
    }
    line.trim_end().to_owned()
}

/// No cell of the screen holds anything that a terminal would obey, or nobody could see.
#[track_caller]
pub fn harmless(hands: &Hands) {
    let screen = hands.screen();
    let bad = |c: char| c != '\n' && (c.is_control() || labtop::domain::harmless::is_hidden(c));
    assert!(!screen.chars().any(bad), "{screen:?}");
}
