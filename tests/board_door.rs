//! The students' door on the board: who is signed in, codes for a look, incidents.

mod board_support;

use board_support::door::*;
use board_support::*;
use crossterm::event::KeyCode;
use labtop::domain::command::{Command, Outcome};
use labtop::domain::fault::Refusal;
use labtop::domain::notice::Notice;
use labtop::domain::role::{Rights, Role};
use labtop::tui::port::{Inbound, Outbound};
use labtop::tui::update::{Event, update};

fn pass_seconds(hands: &mut Hands, seconds: u32) -> Vec<Outbound> {
    (0..seconds)
        .flat_map(|_| update(&mut hands.model, Event::Tick))
        .collect()
}

fn incident(hands: &mut Hands, text: &str) {
    let notice = Notice::incident(text).about(&"demo".parse().unwrap());
    hands.hear(Inbound::Notice(notice));
}

#[test]
fn the_list_is_of_the_room_meant_and_shows_who_is_where() {
    let mut hands = Hands::seeing(two_rooms(), 80, 24);
    let orders = hands.keys("w");
    let [
        Outbound::ListSessions {
            stream,
            room: Some(room),
        },
    ] = &orders[..]
    else {
        panic!("{orders:?}")
    };
    assert_eq!(room.as_str(), "demo");
    assert!(hands.screen().contains("Asking the agent."));
    let (stream, rows) = (*stream, Ok(sessions()[..4].to_vec()));
    hands.hear(Inbound::Sessions { stream, rows });
    let screen = hands.screen();
    assert!(
        screen.contains("192.0.2.17") && screen.contains("kim") && screen.contains("4 sessions"),
        "{screen}"
    );
    hands.keys("/kim");
    assert!(hands.screen().contains("1 session ") && !hands.screen().contains("192.0.2.17"));
    hands.press(KeyCode::Esc);
    assert_eq!(hands.press(KeyCode::Esc), [], "no question is open");
    assert!(hands.model.layers.is_empty());
}

#[test]
fn leaving_takes_an_open_question_back() {
    let mut hands = Hands::seeing(twelve(), 80, 24);
    let stream = open_sessions(&mut hands);
    assert_eq!(hands.keys("q"), [Outbound::CloseLog(stream)]);
    let rows = Ok(sessions());
    hands.hear(Inbound::Sessions { stream, rows });
    assert!(hands.model.layers.is_empty());
}

#[test]
fn a_session_is_revoked_by_its_id_and_only_after_a_yes() {
    let mut hands = visitors(80, 24);
    hands.keys("jR");
    assert!(
        hands.screen().contains("Revoke a session of demo/s02?"),
        "{}",
        hands.screen()
    );
    assert_eq!(hands.press(KeyCode::Enter), [], "Enter means Cancel");
    assert_eq!(hands.model.layers.len(), 1);
    hands.keys("R");
    let orders = hands.keys("y");
    let [Outbound::Run { job, command }] = &orders[..] else {
        panic!("{orders:?}")
    };
    let expected = Command::RevokeSession {
        room: "demo".parse().unwrap(),
        student: "s02".parse().unwrap(),
        session: Some(session_id(2)),
    };
    assert_eq!(*command, expected);
    let outcome = Outcome::done("Ended 1 session of demo/s02");
    hands.hear(Inbound::Done { job: *job, outcome });
    let screen = hands.screen();
    assert!(
        screen.contains("4 sessions") && !screen.contains("192.0.2.18"),
        "it is listed no more: {screen}"
    );
    assert!(screen.contains("10.0.0.4"), "the other one of the seat is: {screen}");
}

#[test]
fn a_question_keeps_its_session_while_the_list_changes_under_it() {
    let mut hands = visitors(80, 24);
    hands.keys("jR");
    let orders = pass_seconds(&mut hands, 5);
    let [Outbound::ListSessions { stream, room: None }] = orders[..] else {
        panic!("the list is asked for again: {orders:?}")
    };
    let mut rows = sessions();
    rows.remove(1);
    rows.insert(1, session(9, "demo/s02", "192.0.2.99"));
    hands.hear(Inbound::Sessions { stream, rows: Ok(rows) });
    assert!(hands.screen().contains("It is over by now."), "{}", hands.screen());
    let orders = hands.keys("y");
    let [
        Outbound::Run {
            job,
            command: Command::RevokeSession { session, .. },
        },
    ] = &orders[..]
    else {
        panic!("{orders:?}")
    };
    assert_eq!(*session, Some(session_id(2)), "not the one that took its place");
    let outcome = Refusal::conflict("That session of demo/s02 is over by now; nothing was done").into();
    hands.hear(Inbound::Done { job: *job, outcome });
    assert!(hands.screen().contains("nothing was done") && hands.model.layers.len() == 2);
}

#[test]
fn the_list_is_kept_new_without_a_flicker_and_says_when_it_is_not() {
    let mut hands = visitors(80, 24);
    assert_eq!(pass_seconds(&mut hands, 4), []);
    let orders = pass_seconds(&mut hands, 1);
    let [Outbound::ListSessions { stream, .. }] = orders[..] else {
        panic!("{orders:?}")
    };
    assert!(hands.screen().contains("5 sessions") && !hands.screen().contains("asking"));
    assert_eq!(pass_seconds(&mut hands, 60), [], "one question at a time");
    assert!(hands.screen().contains("asking the agent"));
    let why = Err("the agent went away".to_owned());
    hands.hear(Inbound::Sessions { stream, rows: why });
    let screen = hands.screen();
    assert!(
        screen.contains("not the newest: the agent went away") && screen.contains("192.0.2.17"),
        "{screen}"
    );
    hands.keys("/s0");
    hands.press(KeyCode::Enter);
    let orders = pass_seconds(&mut hands, 5);
    let [Outbound::ListSessions { stream, .. }] = orders[..] else {
        panic!("a failure is no reason to give up: {orders:?}")
    };
    let why = Err("what listens there does not answer".repeat(9));
    hands.hear(Inbound::Sessions { stream, rows: why });
    assert!(hands.screen().contains("…  filter /s0 ─"), "{}", hands.screen());
    hands.hear(Inbound::Lost("closed".to_owned()));
    assert!(hands.screen().contains("the agent does not answer"));
    assert_eq!(pass_seconds(&mut hands, 20), [], "nobody is there to be asked");
    hands.hear(Inbound::Attached);
    assert_eq!(pass_seconds(&mut hands, 1).len(), 1);
}

#[test]
fn a_look_is_given_shown_and_forgotten() {
    let mut hands = Hands::seeing(twelve(), 80, 24);
    hands.keys("j");
    let orders = hands.keys("P");
    let [Outbound::Peek { stream, seat }] = &orders[..] else {
        panic!("{orders:?}")
    };
    assert_eq!(seat.to_string(), "demo/s02");
    let given = Ok(pass("https://lab.test/login"));
    let stream = *stream;
    hands.hear(Inbound::Pass { stream, pass: given });
    pass_seconds(&mut hands, 30);
    let screen = hands.screen();
    assert!(
        screen.contains(CODE) && screen.contains("https://lab.test/login") && screen.contains("for 1m 30s"),
        "{screen}"
    );
    assert!(
        !format!("{:?}", hands.model).contains(CODE),
        "no print of the board tells it"
    );
    pass_seconds(&mut hands, 90);
    assert!(!hands.screen().contains(CODE) && hands.screen().contains("cannot be used any more"));
    assert_eq!(hands.press(KeyCode::Esc), []);
    assert!(hands.model.layers.is_empty());

    let stream = ask_for_a_look(&mut hands);
    assert_eq!(hands.press(KeyCode::Esc), [Outbound::CloseLog(stream)]);
    let given = Ok(pass("/login"));
    hands.hear(Inbound::Pass { stream, pass: given });
    assert!(!hands.screen().contains(CODE), "nobody waits for it any more");
}

#[test]
fn a_look_that_is_refused_says_why() {
    let mut hands = Hands::seeing(twelve(), 80, 24);
    let stream = ask_for_a_look(&mut hands);
    let why = Err("Seat demo/s01 is being closed".to_owned());
    hands.hear(Inbound::Pass { stream, pass: why });
    assert!(hands.screen().contains("Seat demo/s01 is being closed"));
    hands.press(KeyCode::Enter);
    hands.hear(Inbound::Lost("closed".to_owned()));
    assert_eq!(
        hands.keys("P"),
        [],
        "nothing is sent that strikes when nobody expects it"
    );
    assert!(hands.screen().contains("the agent does not answer"));
}

#[test]
fn incidents_are_counted_until_they_are_read() {
    let mut hands = Hands::seeing(twelve(), 80, 24);
    incident(
        &mut hands,
        "demo/s02 tried to get into the seat demo/s01, from 192.0.2.18",
    );
    incident(
        &mut hands,
        "demo/s03: signed in again from 192.0.2.9; the earlier session is over",
    );
    let first = |hands: &Hands| hands.screen().lines().next().unwrap().to_owned();
    assert!(first(&hands).contains("2 incidents (n)"), "{}", first(&hands));
    hands.keys("n");
    assert!(
        hands.screen().contains("14:05:33 incident demo/s02 tried to get into"),
        "{}",
        hands.screen()
    );
    assert!(!first(&hands).contains("incident"));
    incident(&mut hands, "while they are read");
    hands.press(KeyCode::Esc);
    assert!(!first(&hands).contains("incident"), "{}", first(&hands));
    hands.hear(Inbound::Notice(Notice::warning("the kernel killed a program")));
    assert!(!first(&hands).contains("incident"), "a warning is none");
}

#[test]
fn what_happened_between_two_rooms_counts_once_and_again_when_it_happens_again() {
    let mut hands = Hands::seeing(two_rooms(), 80, 24);
    let text = "demo/s02 tried to get into the seat exam-1/s01, from 192.0.2.18";
    let tell = |hands: &mut Hands| {
        for (room, time) in [("demo", "14:01:07"), ("exam-1", "14:01:07"), ("demo", "14:02:30")] {
            let notice = Notice::incident(text).about(&room.parse().unwrap()).at(time.to_owned());
            hands.hear(Inbound::Notice(notice));
        }
    };
    tell(&mut hands);
    assert_eq!(hands.model.incidents, 2);
    hands.keys("n");
    assert!(hands.screen().contains("14:02:30 incident"), "{}", hands.screen());
    hands.press(KeyCode::Esc);
    // The agent tells a board that comes back of what there was.
    tell(&mut hands);
    assert_eq!((hands.model.incidents, hands.model.notices.len()), (0, 2));
}

#[test]
fn a_class_that_signs_in_does_not_push_incidents_out() {
    let mut hands = Hands::seeing(twelve(), 80, 24);
    incident(&mut hands, "demo/s02 tried to get into the seat demo/s01");
    for n in 0..1_000 {
        hands.hear(Inbound::Notice(Notice::info(format!("demo/s{n}: signed in"))));
    }
    assert_eq!(hands.model.notices.len(), 200);
    hands.keys("n");
    hands.press(KeyCode::End);
    assert!(hands.screen().contains("incident demo/s02 tried"), "{}", hands.screen());
    hands.press(KeyCode::Esc);
    for n in 0..1_000 {
        incident(&mut hands, &format!("trespass {n}"));
    }
    assert_eq!((hands.model.notices.len(), hands.model.incidents), (200, 200));
}

#[test]
fn a_viewer_is_told_why_and_nothing_is_asked() {
    let mut hands = Hands::seeing(two_rooms(), 80, 24);
    hands.hear(Inbound::Rights(Rights::of(Role::Viewer)));
    for key in ["w", "P"] {
        assert_eq!(hands.keys(key), [], "{key}");
        assert!(hands.model.layers.is_empty());
        assert!(hands.screen().contains("it takes a proctor"), "{}", hands.screen());
    }
    let mut hands = visitors(80, 24);
    hands.hear(Inbound::Rights(Rights::of(Role::Viewer)));
    assert_eq!(hands.keys("R"), []);
    assert_eq!(hands.model.layers.len(), 1);
    assert!(hands.model.notices.back().unwrap().text.contains("it takes a proctor"));
}

#[test]
fn nothing_of_a_session_reaches_the_terminal_raw() {
    let hostile = "10.0.0.1\u{1b}]0;owned\u{7}\u{202e}gpj\n\u{9b}31m";
    let mut hands = Hands::seeing(two_rooms(), 80, 24);
    let stream = open_sessions(&mut hands);
    let mut rows = vec![session(1, "demo/s01", hostile)];
    rows[0].onlooker = Some(hostile.to_owned());
    rows[0].began = hostile.to_owned();
    hands.hear(Inbound::Sessions { stream, rows: Ok(rows) });
    harmless(&hands);
    hands.keys("R");
    harmless(&hands);
    hands.keys("qq");
    let stream = ask_for_a_look(&mut hands);
    let given = Ok(pass(hostile));
    hands.hear(Inbound::Pass { stream, pass: given });
    harmless(&hands);
}

#[test]
fn a_very_small_screen_holds_the_cursor_in_sight() {
    let mut hands = visitors(40, 8);
    for _ in 0..5 {
        assert!(hands.screen().contains("▸ "), "{}", hands.screen());
        hands.keys("j");
    }
    let mut hands = Hands::seeing(twelve(), 20, 6);
    let stream = ask_for_a_look(&mut hands);
    let given = Ok(pass("/login"));
    hands.hear(Inbound::Pass { stream, pass: given });
    assert!(hands.screen().contains("7KQ2"), "{}", hands.screen());
}

const SIZES: [(u16, u16); 2] = [(80, 24), (140, 40)];

/// Compares the same situation at both sizes with the pictures in `tests/snapshots`.
fn look(name: &str, situation: impl Fn(u16, u16) -> Hands) {
    for (cols, rows) in SIZES {
        insta::assert_snapshot!(format!("{name}-{cols}x{rows}"), situation(cols, rows).screen());
    }
}

#[test]
fn the_sessions_of_two_rooms() {
    look("sessions", |c, r| {
        let mut hands = visitors(c, r);
        hands.keys("jj");
        hands
    });
}

#[test]
fn a_room_that_nobody_is_signed_in_to() {
    look("sessions-empty", |c, r| {
        let mut hands = Hands::seeing(twelve(), c, r);
        let stream = open_sessions(&mut hands);
        let rows = Ok(Vec::new());
        hands.hear(Inbound::Sessions { stream, rows });
        hands
    });
}

#[test]
fn revoking_asks_first() {
    look("ask-revoke", |c, r| {
        let mut hands = visitors(c, r);
        hands.keys("jR");
        hands
    });
}

#[test]
fn a_code_for_a_look() {
    look("peek", |c, r| {
        let mut hands = Hands::seeing(twelve(), c, r);
        let stream = ask_for_a_look(&mut hands);
        let given = Ok(pass("https://lab.example.org/login"));
        hands.hear(Inbound::Pass { stream, pass: given });
        hands
    });
}

#[test]
fn incidents_in_the_header_and_below() {
    look("incidents", |c, r| {
        let mut hands = Hands::seeing(two_rooms(), c, r);
        hands.hear(Inbound::Notice(Notice::info("demo/s02: signed in from 192.0.2.18")));
        incident(
            &mut hands,
            "demo/s02 tried to get into the seat demo/s01, from 192.0.2.18",
        );
        incident(
            &mut hands,
            "demo/s03: locked out for 10 min after wrong codes, the last from 192.0.2.18; \
             `labtop sessions revoke demo/s03` lets them try again",
        );
        hands
    });
}

#[test]
fn in_ascii_nothing_else_is_on_the_screen() {
    let mut looking = Hands::seeing(twelve(), 80, 24);
    let stream = ask_for_a_look(&mut looking);
    let given = Ok(pass("/login"));
    looking.hear(Inbound::Pass { stream, pass: given });
    for mut hands in [visitors(80, 24), looking] {
        hands.model.look.ascii = true;
        assert!(hands.screen().is_ascii(), "{}", hands.screen());
    }
}
