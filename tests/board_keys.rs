//! What keys do: (before, keys, after), through the same `update` that the terminal drives.

mod board_support;

use board_support::*;
use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use labtop::domain::command::{Command, Outcome, ProgressReport, Seats};
use labtop::domain::fault::{Fault, FaultCode, Refusal};
use labtop::domain::ids::SeatId;
use labtop::domain::snapshot::{Phase, Snapshot};
use labtop::tui::keys::{KEYS, name};
use labtop::tui::port::{Inbound, JobId, Outbound};
use labtop::tui::update::{Event, update};

fn id(seat: &str) -> SeatId {
    seat.parse().unwrap()
}

fn commands(orders: Vec<Outbound>) -> Vec<Command> {
    let command = |order| match order {
        Outbound::Run { command, .. } => Some(command),
        _ => None,
    };
    orders.into_iter().filter_map(command).collect()
}

fn jobs(orders: &[Outbound]) -> Vec<JobId> {
    let job = |order: &Outbound| match order {
        Outbound::Run { job, .. } => Some(*job),
        _ => None,
    };
    orders.iter().filter_map(job).collect()
}

/// The twelve seats with CPU figures that turn the order by CPU round.
fn turned() -> Snapshot {
    let mut all = twelve();
    for (n, seat) in all.rooms[0].seats.iter_mut().enumerate() {
        seat.cpu_percent = Some(f32::from(u8::try_from(n).unwrap()) * 8.0);
    }
    all
}

#[test]
fn the_cursor_stays_on_its_seat_when_rows_change_places() {
    let mut hands = Hands::seeing(twelve(), 80, 24);
    hands.keys("sjjj");
    let seat = hands.on();
    let row = hands.model.at;
    hands.see(turned());
    assert_eq!(hands.on(), seat);
    assert_ne!(hands.model.at, row, "the row did move, or this proves nothing");
    hands.keys("s");
    assert_eq!(hands.on(), seat);
}

#[test]
fn the_key_takes_the_seat_under_the_cursor_at_that_moment() {
    let mut hands = Hands::seeing(twelve(), 80, 24);
    hands.keys("sK");
    let seat = hands.on();
    hands.see(turned());
    let sent = commands(hands.keys("y"));
    assert!(matches!(&sent[..], [Command::KillSeat { seat: killed, .. }] if killed.to_string() == seat));
}

#[test]
fn a_dialog_pins_seat_and_container() {
    let mut hands = Hands::seeing(twelve(), 80, 24);
    hands.keys("K");
    let mut later = twelve();
    later.rooms[0].seats[0].container_id = Some(container(99));
    hands.see(later);
    assert!(hands.screen().contains("another container now"));
    let expected = Command::KillSeat {
        seat: id("demo/s01"),
        container: Some(container(1)),
    };
    assert_eq!(commands(hands.keys("y")), [expected]);
}

#[test]
fn a_dialog_shows_that_its_target_is_gone() {
    let mut hands = Hands::seeing(twelve(), 80, 24);
    hands.keys("R");
    hands.see(snapshot(Vec::new()));
    assert!(hands.screen().contains("demo/s01: is gone"), "{}", hands.screen());
}

#[test]
fn a_seat_without_a_container_has_nothing_to_kill() {
    let all = snapshot(vec![room("r", vec![seat("r", 1, Phase::Wanted)])]);
    let mut hands = Hands::seeing(all, 80, 24);
    assert!(hands.keys("Ky").is_empty());
    assert!(hands.screen().contains("Kill: no container there yet"));
}

#[test]
fn enter_means_cancel_in_every_question() {
    for key in ["K", "R", "F", "T", "E", "H", "U", "C"] {
        for marks in ["", "   "] {
            let mut hands = Hands::seeing(twelve(), 80, 24);
            hands.keys(marks);
            hands.keys(key);
            assert_eq!(hands.model.layers.len(), 1, "{key} asks");
            let sent: Vec<Outbound> = (0..3).flat_map(|_| hands.press(KeyCode::Enter)).collect();
            assert_eq!(sent, [], "{key} and Enter");
            assert!(hands.model.layers.is_empty(), "{key}: Enter leaves");
        }
    }
}

#[test]
fn moving_to_the_button_and_enter_confirms() {
    let mut hands = Hands::seeing(twelve(), 80, 24);
    hands.keys("F");
    hands.press(KeyCode::Right);
    let expected = Command::FreezeRoom {
        room: "demo".parse().unwrap(),
        student: Some("s01".parse().unwrap()),
    };
    assert_eq!(commands(hands.press(KeyCode::Enter)), [expected]);
}

#[test]
fn thaw_and_extend_can_mean_the_whole_room() {
    let mut hands = Hands::seeing(twelve(), 80, 24);
    hands.keys("T");
    hands.press(KeyCode::Left);
    let room: labtop::domain::ids::RoomName = "demo".parse().unwrap();
    let student = None;
    let thaw = Command::ThawRoom {
        room: room.clone(),
        student: None,
    };
    assert_eq!(commands(hands.press(KeyCode::Enter)), [thaw]);

    let mut hands = Hands::seeing(twelve(), 80, 24);
    hands.keys("E");
    hands.press(KeyCode::Backspace);
    hands.press(KeyCode::Backspace);
    hands.keys("45");
    hands.press(KeyCode::BackTab);
    let minutes = 45;
    let extend = Command::ExtendRoom { room, student, minutes };
    assert_eq!(commands(hands.press(KeyCode::Enter)), [extend]);
}

#[test]
fn seats_are_held_and_released_and_show_it() {
    let mut all = twelve();
    all.rooms[0].seats[0].held = true;
    let mut hands = Hands::seeing(all, 140, 40);
    let row = |hands: &Hands| {
        hands
            .screen()
            .lines()
            .find(|line| line.contains("▸ s01"))
            .unwrap()
            .to_owned()
    };
    assert!(row(&hands).contains(" held "), "{}", row(&hands));
    assert!(hands.screen().contains("U release") && !hands.screen().contains("H hold"));
    let (room, student) = ("demo".parse().unwrap(), Some("s01".parse().unwrap()));
    let released = Command::ReleaseRoom { room, student };
    assert_eq!(commands(hands.keys("Uy")), [released]);
    hands.press(KeyCode::Esc);
    hands.keys("j");
    assert!(hands.screen().contains("H hold") && !hands.screen().contains("U release"));
    let (room, student) = ("demo".parse().unwrap(), Some("s02".parse().unwrap()));
    assert_eq!(commands(hands.keys("Hy")), [Command::HoldRoom { room, student }]);
}

#[test]
fn closing_needs_the_rooms_name_typed() {
    let mut hands = Hands::seeing(twelve(), 80, 24);
    hands.keys("Cdem");
    hands.press(KeyCode::BackTab);
    assert_eq!(hands.press(KeyCode::Enter), [], "the name is not right yet");
    hands.keys("o");
    hands.press(KeyCode::BackTab);
    let close = Command::CloseRoom {
        room: "demo".parse().unwrap(),
        discard: false,
    };
    assert_eq!(commands(hands.press(KeyCode::Enter)), [close]);
}

#[test]
fn closing_with_several_rooms_means_the_one_shown_or_under_the_cursor() {
    let mut hands = Hands::seeing(two_rooms(), 80, 24);
    hands.keys("GC");
    assert!(hands.screen().contains("Close room exam-1?"));
    hands.press(KeyCode::Esc);
    hands.press(KeyCode::Tab);
    hands.keys("C");
    assert!(hands.screen().contains("Close room demo?"));
}

#[test]
fn marked_seats_are_asked_for_with_their_count() {
    let mut hands = Hands::seeing(twelve(), 80, 24);
    hands.keys("   K");
    assert!(hands.screen().contains("Kill 3 seats?"));
    let sent = commands(hands.keys("y"));
    assert_eq!(sent.len(), 3);
    assert!(hands.model.marks.is_empty(), "done with");
}

#[test]
fn marks_die_with_their_seats() {
    let mut hands = Hands::seeing(twelve(), 80, 24);
    hands.keys("   ");
    let mut later = twelve();
    later.rooms[0].seats.remove(0);
    later.rooms[0].seats[0].container_id = Some(container(99));
    hands.see(later);
    let marked: Vec<&SeatId> = hands.model.marks.keys().collect();
    assert_eq!(marked, [&id("demo/s03")], "s01 is gone, s02 is another container");
    hands.see(twelve());
    assert_eq!(hands.model.marks.len(), 1, "a mark does not come back with the name");
}

#[test]
fn the_filter_finds_student_room_and_phase() {
    let mut hands = Hands::seeing(two_rooms(), 80, 24);
    for (filter, rows) in [("S04", 2), ("exam", 4), ("frozen", 1), ("exam s0", 4), ("zzz", 0)] {
        hands.keys("/");
        hands.keys(filter);
        hands.press(KeyCode::Enter);
        assert_eq!(hands.model.rows.len(), rows, "{filter}");
        hands.press(KeyCode::Esc);
        assert_eq!(hands.model.rows.len(), 16, "Esc clears");
    }
}

#[test]
fn rooms_are_cycled_and_a_closed_room_shows_all_again() {
    let mut hands = Hands::seeing(two_rooms(), 80, 24);
    let mut rows = Vec::new();
    for key in [KeyCode::Tab, KeyCode::Tab, KeyCode::Tab, KeyCode::BackTab] {
        hands.press(key);
        rows.push(hands.model.rows.len());
    }
    assert_eq!(rows, [12, 4, 16, 4]);
    hands.see(twelve());
    assert_eq!(hands.model.rows.len(), 12);
}

#[test]
fn failures_show_in_the_dialog_that_started_them() {
    let mut hands = Hands::seeing(twelve(), 80, 24);
    hands.keys("   R");
    let jobs = jobs(&hands.keys("y"));
    let fault = || Outcome::from(Fault::new(FaultCode::Engine, "Docker said no"));
    for (n, job) in jobs.into_iter().enumerate() {
        let outcome = if n == 1 { fault() } else { Outcome::done("Restarted") };
        hands.hear(Inbound::Done { job, outcome });
    }
    assert!(hands.screen().contains("restart demo/s02: Docker said no"));
    hands.press(KeyCode::Enter);
    assert!(hands.model.layers.is_empty());
}

#[test]
fn a_dialog_goes_away_when_all_went_well() {
    let mut hands = Hands::seeing(twelve(), 80, 24);
    hands.keys("K");
    let jobs = jobs(&hands.keys("y"));
    let outcome = Outcome::done("Killed demo/s01");
    hands.hear(Inbound::Done { job: jobs[0], outcome });
    assert!(hands.model.layers.is_empty() && hands.model.jobs.is_empty());
    assert!(hands.screen().contains("Killed demo/s01"));
}

#[test]
fn a_failure_whose_dialog_was_left_stays_in_the_strip_until_esc() {
    let mut hands = Hands::seeing(twelve(), 80, 24);
    hands.keys("K");
    let jobs = jobs(&hands.keys("y"));
    hands.press(KeyCode::Esc);
    assert!(hands.screen().contains("waiting kill demo/s01"));
    let outcome = Refusal::conflict("another container").into();
    hands.hear(Inbound::Done { job: jobs[0], outcome });
    assert!(hands.screen().contains("failed  kill demo/s01: another container"));
    hands.press(KeyCode::Esc);
    assert!(hands.model.jobs.is_empty());
}

#[test]
fn commands_under_way_are_unknown_when_the_agent_is_lost() {
    let mut hands = Hands::seeing(twelve(), 80, 24);
    hands.keys("K");
    let jobs = jobs(&hands.keys("y"));
    hands.hear(Inbound::Lost("closed".to_owned()));
    assert!(hands.screen().contains("it may have happened"));
    hands.press(KeyCode::Esc);
    let outcome = Outcome::done("late");
    hands.hear(Inbound::Done { job: jobs[0], outcome });
    assert!(hands.model.jobs.is_empty());
}

#[test]
fn nothing_is_sent_while_the_agent_is_gone() {
    let mut hands = Hands::seeing(twelve(), 80, 24);
    hands.hear(Inbound::Lost("closed".to_owned()));
    assert_eq!(hands.keys("Ky"), []);
    assert!(hands.screen().contains("nothing was sent"));
    hands.press(KeyCode::Enter);
    assert_eq!(fill_form(&mut hands), []);
    assert!(hands.screen().contains("nothing was sent"));
    hands.hear(Inbound::Attached);
    assert_eq!(
        jobs(&hands.press(KeyCode::Enter)).len(),
        1,
        "the form can be sent when it is back"
    );
}

fn fill_form(hands: &mut Hands) -> Vec<Outbound> {
    hands.keys("Oexam-1");
    hands.press(KeyCode::Tab);
    hands.press(KeyCode::Right);
    hands.press(KeyCode::Tab);
    hands.keys("an, bo");
    hands.press(KeyCode::Tab);
    hands.keys("90");
    hands.press(KeyCode::Tab);
    hands.keys(" ");
    hands.press(KeyCode::Tab);
    hands.press(KeyCode::Enter)
}

#[test]
fn the_form_opens_a_room_and_leaves_when_it_is_under_way() {
    let mut hands = Hands::seeing(twelve(), 80, 24);
    let orders = fill_form(&mut hands);
    let job = jobs(&orders)[0];
    let expected = Command::OpenRoom {
        room: "exam-1".parse().unwrap(),
        template: Some("python".parse().unwrap()),
        seats: Seats::Students(vec!["an".parse().unwrap(), "bo".parse().unwrap()]),
        minutes: Some(90),
        exam: true,
        on_demand: false,
        overrides: false,
        dry_run: false,
    };
    assert_eq!(commands(orders), [expected]);
    assert_eq!(hands.press(KeyCode::Enter), [], "a second Enter does not open twice");
    let report = ProgressReport {
        done: 0,
        failed: 0,
        total: 2,
        text: "pulling".to_owned(),
    };
    hands.hear(Inbound::Progress { job, report });
    assert!(hands.model.layers.is_empty());
    assert!(hands.screen().contains("Opening exam-1"));
}

#[test]
fn the_form_keeps_what_was_typed_when_the_agent_refuses() {
    let mut hands = Hands::seeing(twelve(), 80, 24);
    let job = jobs(&fill_form(&mut hands))[0];
    let outcome = Refusal::conflict("Room exam-1 is closing").into();
    hands.hear(Inbound::Done { job, outcome });
    assert!(
        hands.screen().contains("Room exam-1 is closing") && hands.screen().contains("an, bo")
            || hands.screen().contains("an,·bo")
    );
    assert_eq!(jobs(&hands.press(KeyCode::Enter)).len(), 1, "and can be sent again");
}

#[test]
fn a_wrong_form_sends_nothing_and_goes_to_the_mistake() {
    let mut hands = Hands::seeing(twelve(), 80, 24);
    hands.keys("O");
    (0..2).for_each(|_| drop(hands.press(KeyCode::BackTab)));
    assert_eq!(hands.press(KeyCode::Enter), []);
    assert!(hands.screen().contains("▸ Room"), "{}", hands.screen());
    assert!(hands.screen().contains("how many seats, or students"));
}

#[test]
fn the_log_is_opened_late_and_closed() {
    let mut hands = Hands::seeing(twelve(), 80, 24);
    let orders = hands.keys("jL");
    let [
        Outbound::OpenLog {
            stream,
            seat,
            tail: 200,
        },
    ] = &orders[..]
    else {
        panic!("{orders:?}")
    };
    assert_eq!(*seat, id("demo/s02"));
    assert_eq!(hands.keys("q"), [Outbound::CloseLog(*stream)]);
}

#[test]
fn shell_and_quit_are_orders_for_the_loop() {
    let mut hands = Hands::seeing(twelve(), 80, 24);
    assert_eq!(hands.keys("S"), [Outbound::Shell { seat: id("demo/s01") }]);
    assert_eq!(hands.keys("q"), [Outbound::Quit]);
}

#[test]
fn ctrl_c_leaves_from_anywhere() {
    for layer in ["", "?", "K", "O", "L", "/", "n"] {
        let mut hands = Hands::seeing(twelve(), 80, 24);
        hands.keys(layer);
        let key = KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL);
        assert_eq!(update(&mut hands.model, Event::Key(key)), [Outbound::Quit]);
    }
}

#[test]
fn control_and_alt_never_trigger_a_verb() {
    for modifiers in [KeyModifiers::CONTROL, KeyModifiers::ALT] {
        for key in ['K', 'R', 'C', 'F', 'q'] {
            let mut hands = Hands::seeing(twelve(), 80, 24);
            let key = KeyEvent::new(KeyCode::Char(key), modifiers);
            assert_eq!(update(&mut hands.model, Event::Key(key)), []);
            assert!(hands.model.layers.is_empty());
        }
    }
}

#[test]
fn help_lists_every_key() {
    let mut hands = Hands::seeing(twelve(), 100, 200);
    hands.keys("?");
    let screen = hands.screen();
    for binding in KEYS {
        for key in binding.keys {
            let listed = screen.lines().any(|line| {
                let named = line.split_whitespace().any(|word| word == name(*key));
                named && line.contains(binding.help)
            });
            assert!(listed, "{key:?} {}", binding.help);
        }
    }
}

#[test]
fn the_help_fits_a_usual_terminal() {
    let mut hands = Hands::seeing(twelve(), 80, 200);
    hands.keys("?");
    for binding in KEYS {
        assert!(hands.screen().contains(binding.help), "{}", binding.help);
    }
}

#[test]
fn the_footer_shows_only_keys_that_would_do_something() {
    let empty = Hands::seeing(snapshot(Vec::new()), 140, 40);
    let footer = empty.screen().lines().last().unwrap().to_owned();
    assert_eq!(footer, "? help  q quit  O open  a archives");
    let full = Hands::seeing(two_rooms(), 140, 40);
    assert!(full.screen().lines().last().unwrap().contains("Tab room"));
}

#[test]
fn a_small_screen_keeps_the_cursor_in_sight() {
    let mut hands = Hands::seeing(twelve(), 80, 14);
    for _ in 0..11 {
        hands.keys("j");
        assert!(
            hands
                .screen()
                .contains(&format!("▸ {}", hands.model.cursor.as_ref().unwrap().student))
        );
    }
    hands.press(KeyCode::Home);
    assert!(hands.screen().contains("▸ s01"));
}

#[test]
fn a_silent_agent_is_called_silent() {
    let mut hands = Hands::seeing(twelve(), 80, 24);
    (0..7).for_each(|_| drop(update(&mut hands.model, Event::Tick)));
    assert!(hands.screen().contains("no news for 7s"));
    hands.see(twelve());
    assert!(hands.screen().contains("attached"));
}
