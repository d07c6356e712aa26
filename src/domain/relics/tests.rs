//! Rows out of labels and manifests.

use super::*;
use crate::domain::proof::Extent;
use crate::domain::template::{SeatUser, Selection};

const NOW: u64 = 1_790_000_000_000;

fn template(name: &str, network: Egress) -> Template {
    Template {
        autosave: None,
        idle_minutes: None,
        activity: Vec::new(),
        door: crate::domain::door::DoorPolicy::default(),
        name: name.parse().unwrap(),
        image: "image".into(),
        command: Vec::new(),
        user: SeatUser { uid: 1000, gid: 1000 },
        port: None,
        memory_bytes: 1 << 25,
        millicpus: 500,
        pids: 32,
        nofile: 64,
        network,
        workspace: "/workspace".into(),
        minutes: 90,
        starter: None,
        env: BTreeMap::new(),
        cap_add: Vec::new(),
        read_only: false,
        runtime: None,
        archive: Selection::default(),
    }
}

fn trace(room: &str, session: u64, of: TraceOf) -> Trace {
    Trace {
        instance: "6f1b7a52-0000-4000-8000-000000000000".parse().unwrap(),
        room: room.parse().unwrap(),
        session,
        of,
    }
}

fn container(room: &str, session: u64, student: &str, state: RunState) -> Trace {
    let (student, route) = (student.parse().unwrap(), Some(format!("/api/r/{student}")));
    trace(room, session, TraceOf::Container { student, state, route })
}

fn volume(room: &str, session: u64, student: &str, told: Told) -> Trace {
    let student = student.parse().unwrap();
    trace(room, session, TraceOf::Volume { student, told })
}

fn origin(route: &str) -> Told {
    Told::Whole(Box::new(Origin {
        template: template("node", Egress::Closed),
        exam: true,
        route: route.into(),
        opened_unix_ms: 5,
        opened_by: "ann".into(),
    }))
}

fn archive(seat: &str, session: u64, epoch: u64) -> ArchiveClaim {
    ArchiveClaim {
        id: format!("20261124T034512Z-{session}").parse().unwrap(),
        seat: seat.parse().unwrap(),
        session,
        epoch,
        key: String::new(),
        bytes: 0,
        digest: String::new(),
        content_bytes: 0,
        content_digest: String::new(),
        created_unix_ms: 0,
        extent: Extent::default(),
    }
}

fn made(traces: &[Trace], archives: &[ArchiveClaim]) -> Rebuilt {
    let plain = template("plain", Egress::Open);
    let templates = BTreeMap::from([
        (plain.name.clone(), plain.clone()),
        ("node".parse().unwrap(), template("node", Egress::Open)),
    ]);
    let fallback = Fallback {
        templates: &templates,
        template: &plain,
        now_unix_ms: NOW,
    };
    rebuild(traces, archives, fallback)
}

#[test]
fn a_room_is_as_its_labels_tell() {
    let traces = [
        container("a", 3, "an", RunState::Running),
        volume("a", 3, "an", origin("/api/r/a~an")),
        container("a", 3, "binh", RunState::Paused),
        volume("a", 3, "binh", origin("/api/r/binh")),
        container("a", 3, "chi", RunState::Exited),
        volume("a", 3, "dung", origin("/api/r/dung")),
    ];
    let rebuilt = made(&traces, &[archive("a/an", 3, 7), archive("a/an", 2, 9)]);
    let [room] = rebuilt.rooms.as_slice() else {
        panic!("{rebuilt:?}")
    };
    assert_eq!(
        (room.session, room.exam, room.ended, room.wanted),
        (3, true, false, RoomWanted::Open)
    );
    assert_eq!((room.opened_unix_ms, room.opened_by.as_str()), (5, "ann"));
    assert_eq!(room.template, template("node", Egress::Closed));
    let seats: Vec<_> = rebuilt
        .seats
        .iter()
        .map(|s| (s.id.student.as_str(), s.wanted, s.route.as_str()))
        .collect();
    let expected = [
        ("an", Wanted::Running, "/api/r/a~an"),
        ("binh", Wanted::Frozen, "/api/r/binh"),
        ("chi", Wanted::Stopped, "/api/r/chi"),
        ("dung", Wanted::Stopped, "/api/r/dung"),
    ];
    assert_eq!(seats, expected);
    let first = &rebuilt.seats[0];
    assert_eq!((first.made, first.deadline_unix_ms), (true, NOW + 90 * MINUTE_MS));
    let closing = Closing {
        epoch: 7,
        ..Closing::default()
    };
    assert_eq!(first.closing, closing, "no two archives claim the same freezing");
    assert_eq!(rebuilt.notes, Vec::<String>::new());
}

#[test]
fn a_room_without_its_label_is_guessed_and_told_of_and_stays_closed() {
    let traces = [
        container("a", 1, "an", RunState::Running),
        volume("a", 1, "an", Told::Name("node".parse().unwrap())),
        trace("a", 1, TraceOf::Network { closed: true }),
        container("b", 2, "an", RunState::Created),
        volume("b", 2, "an", Told::Nothing),
        trace("b", 2, TraceOf::Network { closed: false }),
    ];
    let rebuilt = made(&traces, &[]);
    assert_eq!(rebuilt.rooms[0].template, template("node", Egress::Closed));
    assert_eq!(rebuilt.rooms[1].template, template("plain", Egress::Open));
    assert_eq!(
        (rebuilt.seats[0].route.as_str(), rebuilt.seats[1].wanted),
        ("/api/r/an", Wanted::Running)
    );
    assert!(
        rebuilt.notes[0].contains("room a") && rebuilt.notes[0].contains("node"),
        "{:?}",
        rebuilt.notes
    );
    assert!(
        rebuilt.notes[1].contains("room b") && rebuilt.notes[1].contains("plain"),
        "{:?}",
        rebuilt.notes
    );
}

#[test]
fn the_next_opening_has_a_number_above_all_that_were_seen() {
    let highest = |rebuilt: &Rebuilt| rebuilt.rooms.iter().map(|room| room.session).max();
    let traces = [
        volume("a", 3, "an", origin("/r")),
        trace("c", 9, TraceOf::Network { closed: true }),
    ];
    let rebuilt = made(&traces, &[archive("a/an", 5, 1), archive("b/an", 8, 1)]);
    assert_eq!(highest(&rebuilt), Some(9));
    let states: Vec<_> = rebuilt
        .rooms
        .iter()
        .map(|r| (r.name.as_str(), r.session, r.ended))
        .collect();
    assert_eq!(states, [("a", 5, false), ("b", 8, true), ("c", 9, true)]);
    assert_eq!(rebuilt.seats[0].session, 3, "the workspace is that of its own opening");
    assert_eq!(
        highest(&made(&[trace("c", 4, TraceOf::Carrier)], &[archive("b/an", 2, 1)])),
        Some(4)
    );
}

#[test]
fn of_two_openings_of_a_seat_the_later_counts_and_the_other_is_named() {
    let traces = [
        volume("a", 1, "an", origin("/old")),
        volume("a", 4, "an", origin("/new")),
        container("a", 4, "an", RunState::Running),
    ];
    let rebuilt = made(&traces, &[]);
    let [seat] = rebuilt.seats.as_slice() else {
        panic!("{rebuilt:?}")
    };
    assert_eq!((seat.session, seat.route.as_str()), (4, "/new"));
    assert!(
        rebuilt.notes[0].contains("a/an") && rebuilt.notes[0].contains("opening 1"),
        "{:?}",
        rebuilt.notes
    );
}
