//! Sessions to look at, and boards that show them.

use labtop::domain::command::SessionRow;
use labtop::domain::door::AccessCode;
use labtop::domain::ids::SessionId;
use labtop::tui::port::{Inbound, Outbound, Pass, StreamId};

use super::{Hands, two_rooms};

pub fn session_id(n: u32) -> SessionId {
    format!("{n:032x}").parse().unwrap()
}

pub fn session(n: u32, seat: &str, address: &str) -> SessionRow {
    let (room, student) = seat.split_once('/').unwrap();
    SessionRow {
        id: session_id(n),
        room: room.parse().unwrap(),
        student: student.parse().unwrap(),
        began: format!("2026-11-24T09:{:02}:41Z", n % 60),
        seconds_left: 43_200 - u64::from(n) * 61,
        address: address.to_owned(),
        onlooker: None,
    }
}

/// The sessions of two rooms, as an agent tells them.
pub fn sessions() -> Vec<SessionRow> {
    let mut rows = vec![
        session(1, "demo/s01", "192.0.2.17"),
        session(2, "demo/s02", "192.0.2.18"),
        session(3, "demo/s02", "10.0.0.4"),
        session(4, "demo/s03", "2001:db8:85a3:8d3:1319:8a2e:370:7348"),
        session(5, "exam-1/s04", "192.0.2.44"),
    ];
    rows[2].onlooker = Some("kim".to_owned());
    rows
}

/// Opens the list of sessions.
pub fn open_sessions(hands: &mut Hands) -> StreamId {
    match hands.keys("w")[..] {
        [Outbound::ListSessions { stream, .. }] => stream,
        ref other => panic!("{other:?}"),
    }
}

/// A board that shows the sessions of two rooms.
pub fn visitors(cols: u16, rows: u16) -> Hands {
    let mut hands = Hands::seeing(two_rooms(), cols, rows);
    open_sessions(&mut hands);
    let orders = hands.keys("a");
    let [Outbound::CloseLog(_), Outbound::ListSessions { stream, room: None }] = orders[..] else {
        panic!("{orders:?}")
    };
    let rows = Ok(sessions());
    hands.hear(Inbound::Sessions { stream, rows });
    hands
}

pub const CODE: &str = "7KQ2-M9XD-0TRB";

/// A code, as it comes.
pub fn pass(page: &str) -> Pass {
    Pass {
        code: AccessCode::new(CODE.to_owned()),
        seconds: 120,
        page: page.to_owned(),
    }
}

/// Asks for a look into the seat under the cursor.
pub fn ask_for_a_look(hands: &mut Hands) -> StreamId {
    match hands.keys("P")[..] {
        [Outbound::Peek { stream, .. }] => stream,
        ref other => panic!("{other:?}"),
    }
}
