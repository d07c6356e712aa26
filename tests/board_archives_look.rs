//! What the archives look like on the board. Every picture here was looked at before it was accepted.

mod board_support;

use std::path::PathBuf;

use board_support::shelf::*;
use board_support::*;
use crossterm::event::KeyCode;
use labtop::domain::command::ProgressReport;
use labtop::domain::snapshot::{Phase, RoomPhase};
use labtop::tui::port::{Inbound, Outbound};
use labtop::tui::theme::Look;

const SIZES: [(u16, u16); 2] = [(80, 24), (140, 40)];

/// Compares the same situation at both sizes with the pictures in `tests/snapshots`.
fn look(name: &str, situation: impl Fn(u16, u16) -> Hands) {
    for (cols, rows) in SIZES {
        insta::assert_snapshot!(format!("{name}-{cols}x{rows}"), situation(cols, rows).screen());
    }
}

#[test]
fn a_list_with_a_damaged_one_and_a_filter() {
    look("list", |c, r| {
        let mut hands = listing(c, r);
        hands.keys("/demo");
        hands.press(KeyCode::Enter);
        hands.keys("jj");
        hands
    });
}

#[test]
fn a_room_that_has_none_yet() {
    look("list-empty", |c, r| {
        let mut hands = Hands::seeing(twelve(), c, r);
        let orders = hands.keys("a");
        let [Outbound::List { stream, .. }] = orders[..] else {
            panic!("{orders:?}")
        };
        let rows = Ok(Vec::new());
        hands.hear(Inbound::Archives { stream, rows });
        hands
    });
}

#[test]
fn a_directory_with_hostile_names() {
    look("tree", |c, r| {
        let mut hands = browsing(c, r);
        hands.press(KeyCode::Down);
        hands.press(KeyCode::Enter);
        hands.press(KeyCode::Down);
        hands
    });
}

#[test]
fn a_binary_file_with_hostile_bytes() {
    look("file", |c, r| {
        let mut hands = browsing(c, r);
        hands.press(KeyCode::Down);
        hands.press(KeyCode::Enter);
        hands.press(KeyCode::Down);
        hands.press(KeyCode::Down);
        let orders = hands.press(KeyCode::Enter);
        let [Outbound::OpenPart { stream, .. }] = orders[..] else {
            panic!("{orders:?}")
        };
        let text = "int main(void) {\n\treturn 42;\n}\n\0\u{1}\u{1b}[2J\u{1b}]0;owned\u{7}\n\u{202e}gpj.exe\n";
        let bytes = text.into();
        hands.hear(Inbound::Log { stream, bytes });
        hands.hear(Inbound::LogEnd { stream, why: None });
        hands
    });
}

#[test]
fn a_restore_asks_first() {
    look("ask-restore", |c, r| {
        let mut hands = listing(c, r);
        hands.model.here = PathBuf::from("/srv/marks/2026/a-long-name-of-a-directory/and-another-one");
        hands.keys("R");
        hands
    });
}

#[test]
fn an_export_asks_first() {
    look("ask-export", |c, r| {
        let mut hands = listing(c, r);
        hands.model.here = PathBuf::from("/srv/marks");
        hands.keys("E");
        hands
    });
}

#[test]
fn tasks_and_a_closing_go_on_below_the_list() {
    look("tasks", |c, r| {
        let mut hands = listing(c, r);
        let mut all = two_rooms();
        all.rooms[0].phase = RoomPhase::Closing;
        all.rooms[0].seats.truncate(5);
        all.rooms[0].seats[0] = seat("demo", 1, Phase::Archiving);
        all.rooms[0].closing_seconds_left = Some(200);
        hands.see(all);
        let orders = hands.keys("V");
        let [Outbound::Work { job, .. }] = orders[..] else {
            panic!("{orders:?}")
        };
        let report = ProgressReport {
            done: 2,
            failed: 1,
            total: 5,
            text: "demo/s03".to_owned(),
        };
        hands.hear(Inbound::Progress { job, report });
        hands.keys("Rx");
        hands.press(KeyCode::BackTab);
        let orders = hands.press(KeyCode::Enter);
        let [Outbound::Work { job, .. }] = orders[..] else {
            panic!("{orders:?}")
        };
        let report = ProgressReport {
            done: 412 << 20,
            failed: 0,
            total: 1 << 30,
            text: "100 MiB/s, less than a minute left".to_owned(),
        };
        hands.hear(Inbound::Progress { job, report });
        hands
    });
}

#[test]
fn in_ascii_nothing_else_is_on_the_screen() {
    for (name, mut hands) in [("list", listing(80, 24)), ("tree", browsing(80, 24))] {
        hands.model.look = Look { ascii: true, ..PLAIN };
        assert!(hands.screen().is_ascii(), "{name}: {}", hands.screen());
    }
}

#[test]
fn a_very_small_screen_holds_the_cursor_in_sight() {
    let mut hands = listing(40, 8);
    for _ in 0..5 {
        assert!(hands.screen().contains("▸ "), "{}", hands.screen());
        hands.keys("j");
    }
    let mut hands = browsing(20, 6);
    hands.press(KeyCode::End);
    assert!(hands.screen().contains("▸ "), "{}", hands.screen());
}

#[test]
fn nothing_of_an_archive_reaches_the_terminal_raw() {
    let hostile = "evil\u{1b}]0;owned\u{7}\u{202e}gpj\n\u{9b}31m";
    let mut hands = listing(80, 24);
    let stream = open_tree(&mut hands);
    let lines = [
        (hostile.as_bytes(), "directory", 0, ""),
        (b"\xff\x1b[2J", "file", 5, ""),
        (b"l", "symlink", 0, hostile),
        (b"h", "hardlink", 0, hostile),
    ];
    hands.hear(Inbound::Tree {
        stream,
        tree: Ok(tree(&lines)),
    });
    harmless(&hands);
    hands.press(KeyCode::Enter);
    harmless(&hands);
    hands.press(KeyCode::Left);
    for _ in 0..4 {
        hands.press(KeyCode::Down);
        for order in hands.press(KeyCode::Enter) {
            let Outbound::OpenPart { stream, .. } = order else {
                continue;
            };
            harmless(&hands);
            hands.hear(Inbound::Log {
                stream,
                bytes: hostile.into(),
            });
            hands.hear(Inbound::LogEnd {
                stream,
                why: Some(hostile.to_owned()),
            });
            harmless(&hands);
            hands.press(KeyCode::Esc);
        }
        harmless(&hands);
    }
    hands.press(KeyCode::Esc);
    hands.model.here = PathBuf::from(hostile);
    hands.keys("R");
    harmless(&hands);
}
