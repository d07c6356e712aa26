//! Random keys, snapshots and sizes: nothing panics, and no text from outside reaches the terminal uncleaned.

mod board_support;

use std::sync::Arc;

use board_support::*;
use bytes::Bytes;
use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use labtop::domain::command::Outcome;
use labtop::domain::fault::{Fault, FaultCode};
use labtop::domain::notice::Notice;
use labtop::domain::snapshot::{Phase, RoomPhase, Snapshot};
use labtop::tui::port::{Inbound, JobId, StreamId};
use labtop::tui::text::clean;
use labtop::tui::theme::Look;
use labtop::tui::update::{Event, update};
use proptest::prelude::*;

const PHASES: [Phase; 6] = [
    Phase::Wanted,
    Phase::Ready,
    Phase::Frozen,
    Phase::Archiving,
    Phase::Stopped,
    Phase::Failed,
];

fn snapshots() -> impl Strategy<Value = Snapshot> {
    let seat_of = (
        1_u32..120,
        0..PHASES.len(),
        any::<u64>(),
        any::<f32>(),
        "\\PC{0,12}|[\\x00-\\x1f]{0,6}",
    );
    let rooms = proptest::collection::vec(
        (0_u8..5, any::<bool>(), proptest::collection::vec(seat_of, 0..30)),
        0..4,
    );
    rooms.prop_map(|rooms| {
        let mut all = snapshot(Vec::new());
        for (name, closing, seats) in rooms {
            let name = format!("room-{name}");
            let mut view = room(&name, Vec::new());
            view.phase = if closing { RoomPhase::Closing } else { RoomPhase::Open };
            for (n, phase, big, cpu, text) in seats {
                let mut seat = seat(&name, n, PHASES[phase]);
                seat.memory_bytes = Some(big);
                seat.memory_limit_bytes = (big % 3 != 0).then_some(big.rotate_left(9));
                seat.cpu_percent = Some(cpu);
                seat.cpu_limit_percent = cpu;
                seat.lease_seconds_left = (big % 5 != 0).then_some(big);
                seat.fault = (big % 2 == 0).then(|| Fault::new(FaultCode::Engine, text.clone()).hint("do"));
                seat.doing = text;
                view.seats.push(seat);
            }
            all.rooms.push(view);
        }
        all
    })
}

fn key() -> impl Strategy<Value = Event> {
    let special = prop_oneof![
        Just(KeyCode::Enter),
        Just(KeyCode::Esc),
        Just(KeyCode::Tab),
        Just(KeyCode::BackTab),
        Just(KeyCode::Up),
        Just(KeyCode::Down),
        Just(KeyCode::Left),
        Just(KeyCode::Right),
        Just(KeyCode::PageUp),
        Just(KeyCode::PageDown),
        Just(KeyCode::Home),
        Just(KeyCode::End),
        Just(KeyCode::Backspace),
    ];
    let letters = "[KRFTECOLSnsyjkhlgGq/? a-f0-9]".prop_map(|c| KeyCode::Char(c.chars().next().unwrap()));
    prop_oneof![special, letters, any::<char>().prop_map(KeyCode::Char)]
        .prop_map(|code| Event::Key(KeyEvent::new(code, KeyModifiers::NONE)))
}

fn event() -> impl Strategy<Value = Event> {
    let job = (1_u64..8).prop_map(JobId);
    prop_oneof![
        6 => key(),
        1 => snapshots().prop_map(|s| Event::In(Inbound::Snapshot(Arc::new(s)))),
        1 => (1_u16..201, 1_u16..61).prop_map(|(c, r)| Event::Resize(c, r)),
        1 => any::<String>().prop_map(|text| Event::In(Inbound::Notice(Notice::error(text)))),
        1 => any::<String>().prop_map(Event::Paste),
        1 => any::<String>().prop_map(|why| Event::In(Inbound::Lost(why))),
        1 => (job, any::<bool>(), any::<String>()).prop_map(|(job, good, text)| {
            let outcome = if good { Outcome::done(text) } else { Fault::new(FaultCode::Store, text).into() };
            Event::In(Inbound::Done { job, outcome })
        }),
        1 => (1_u64..8, proptest::collection::vec(any::<u8>(), 0..300)).prop_map(|(stream, bytes)| {
            Event::In(Inbound::Log { stream: StreamId(stream), bytes: Bytes::from(bytes) })
        }),
        1 => Just(Event::Tick),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn nothing_panics_and_nothing_escapes(
        events in proptest::collection::vec(event(), 1..60),
        size in (1_u16..201, 1_u16..61),
        look in (any::<bool>(), any::<bool>(), any::<bool>()),
    ) {
        let (ascii, slow, color) = look;
        let mut hands = Hands::with(Look { ascii, slow, color }, size.0, size.1);
        for event in events {
            update(&mut hands.model, event);
            let screen = hands.screen();
            prop_assert!(screen.lines().all(|line| clean(line, false) == line), "{screen}");
            prop_assert!(!ascii || screen.is_ascii());
            if let Some(cursor) = &hands.model.cursor {
                let seat = hands.model.seat_at(hands.model.at).expect("the cursor's row exists");
                prop_assert_eq!(&seat.student, &cursor.student);
            }
        }
    }
}

#[test]
fn every_size_from_one_cell_on_can_be_drawn() {
    let sizes = [
        (1, 1),
        (1, 60),
        (200, 1),
        (2, 2),
        (7, 3),
        (20, 5),
        (40, 11),
        (66, 19),
        (80, 24),
        (200, 60),
    ];
    for (cols, rows) in sizes {
        for keys in ["", "?", "K", "   K", "C", "E", "O", "L", "n", "/x"] {
            let mut hands = Hands::seeing(failed(), cols, rows);
            hands.keys(keys);
            assert!(hands.screen().lines().count() <= usize::from(rows));
        }
    }
}
