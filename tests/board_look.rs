//! What the board looks like. Every picture here was looked at by a person before it was accepted.

mod board_support;

use board_support::*;
use bytes::Bytes;
use crossterm::event::KeyCode;
use labtop::domain::command::{Outcome, ProgressReport};
use labtop::domain::fault::{Fault, FaultCode, Refusal};
use labtop::domain::notice::Notice;
use labtop::domain::seen::EngineState;
use labtop::domain::snapshot::{Phase, RoomPhase};
use labtop::tui::draw_text;
use labtop::tui::port::{Inbound, Outbound};
use labtop::tui::theme::Look;

const SIZES: [(u16, u16); 2] = [(80, 24), (140, 40)];

/// Compares the same situation at both sizes with the pictures in `tests/snapshots`.
fn look(name: &str, situation: impl Fn(u16, u16) -> Hands) {
    for (cols, rows) in SIZES {
        insta::assert_snapshot!(format!("{name}-{cols}x{rows}"), situation(cols, rows).screen());
    }
}

fn job_of(orders: &[Outbound]) -> labtop::tui::port::JobId {
    match orders {
        [Outbound::Run { job, .. }, ..] => *job,
        other => panic!("no command was started: {other:?}"),
    }
}

#[test]
fn before_the_agent_answers() {
    look("connecting", Hands::new);
}

#[test]
fn no_rooms() {
    look("empty", |c, r| Hands::seeing(snapshot(Vec::new()), c, r));
}

#[test]
fn twelve_seats() {
    look("twelve", |c, r| Hands::seeing(twelve(), c, r));
}

#[test]
fn a_failed_seat_says_why() {
    look("failed", |c, r| {
        let mut hands = Hands::seeing(failed(), c, r);
        hands.keys("jj");
        hands
    });
}

#[test]
fn all_rooms_filtered_sorted_and_marked() {
    look("rooms", |c, r| {
        let mut hands = Hands::seeing(two_rooms(), c, r);
        hands.keys("ss j /exam");
        hands
    });
}

#[test]
fn one_of_two_rooms() {
    look("room", |c, r| {
        let mut hands = Hands::seeing(two_rooms(), c, r);
        hands.press(KeyCode::BackTab);
        hands
    });
}

#[test]
fn the_engine_is_down() {
    look("engine-down", |c, r| {
        let mut down = twelve();
        let why = "cannot connect to unix:///var/run/docker.sock: No such file or directory. \
                   Start Docker with `systemctl start docker`; labtop goes on by itself";
        down.engine = EngineState::Down(why.to_owned());
        Hands::seeing(down, c, r)
    });
}

#[test]
fn the_agent_is_gone_and_notices_were_missed() {
    look("reconnecting", |c, r| {
        let mut hands = Hands::seeing(twelve(), c, r);
        hands.hear(Inbound::Missed(3));
        hands.hear(Inbound::Lost("the connection was closed".to_owned()));
        hands
    });
}

#[test]
fn openings_and_closings_have_bars() {
    look("progress", |c, r| {
        let mut all = two_rooms();
        all.rooms[0].phase = RoomPhase::Closing;
        all.rooms[0].seats.truncate(5);
        for (seat, phase) in all.rooms[0]
            .seats
            .iter_mut()
            .zip([Phase::Archiving, Phase::Verified, Phase::Removing])
        {
            seat.phase = phase;
            seat.doing = "31 MiB archived".to_owned();
        }
        all.rooms[1].phase = RoomPhase::Opening;
        all.rooms[1].seats[3] = seat("exam-1", 4, Phase::Starting);
        let mut hands = Hands::seeing(all, c, r);
        hands.hear(Inbound::Notice(Notice::info("Room demo closes: 12 seats")));
        hands.hear(Inbound::Notice(Notice::warning(
            "Seat demo/s08: the kernel killed a program for memory",
        )));
        hands.hear(Inbound::Notice(Notice::error(
            "Store: \u{1b}[2Jquota exceeded (507). Free space",
        )));
        hands
    });
}

#[test]
fn progress_of_an_own_opening_and_its_failure() {
    look("own-opening", |c, r| {
        let mut hands = Hands::seeing(twelve(), c, r);
        hands.keys("Oexam-2");
        hands.press(KeyCode::Tab);
        hands.press(KeyCode::Tab);
        hands.keys("30");
        hands.press(KeyCode::Tab);
        hands.press(KeyCode::Tab);
        hands.press(KeyCode::Tab);
        let job = job_of(&hands.press(KeyCode::Enter));
        let report = ProgressReport {
            done: 7,
            failed: 1,
            total: 30,
            text: "starting".to_owned(),
        };
        hands.hear(Inbound::Progress { job, report });
        hands
    });
}

#[test]
fn a_question_before_a_kill() {
    look("ask-kill", |c, r| {
        let mut hands = Hands::seeing(twelve(), c, r);
        hands.keys("jK");
        hands
    });
}

#[test]
fn a_question_about_many_with_dead_targets() {
    look("ask-many", |c, r| {
        let mut hands = Hands::seeing(twelve(), c, r);
        hands.keys("        K");
        let mut later = twelve();
        later.rooms[0].seats[1].container_id = Some(container(77));
        later.rooms[0].seats.remove(0);
        hands.see(later);
        hands
    });
}

#[test]
fn closing_asks_for_the_rooms_name() {
    look("ask-close", |c, r| {
        let mut hands = Hands::seeing(twelve(), c, r);
        hands.keys("Cdem");
        hands
    });
}

#[test]
fn extending_asks_for_minutes() {
    look("ask-extend", |c, r| {
        let mut hands = Hands::seeing(twelve(), c, r);
        hands.keys("Ex");
        hands.press(KeyCode::Tab);
        hands
    });
}

#[test]
fn a_failure_shows_in_the_dialog_that_started_it() {
    look("ask-failed", |c, r| {
        let mut hands = Hands::seeing(twelve(), c, r);
        let job = job_of(&hands.keys("Ky"));
        let outcome = Outcome::from(Refusal::conflict(
            "Seat demo/s01 has another container than the one you saw. Look again, then repeat",
        ));
        hands.hear(Inbound::Done { job, outcome });
        hands
    });
}

#[test]
fn the_form_says_what_is_wrong() {
    look("form-errors", |c, r| {
        let mut hands = Hands::seeing(twelve(), c, r);
        hands.keys("OExam 1");
        hands.press(KeyCode::Tab);
        hands.press(KeyCode::Right);
        hands.press(KeyCode::Tab);
        hands.keys("an,bo,an");
        hands.press(KeyCode::Tab);
        hands.keys("0");
        hands.press(KeyCode::Tab);
        hands.keys(" ");
        hands
    });
}

#[test]
fn the_form_shows_why_the_agent_refused() {
    look("form-refused", |c, r| {
        let mut hands = Hands::seeing(twelve(), c, r);
        hands.keys("Oexam-1");
        (0..2).for_each(|_| drop(hands.press(KeyCode::Enter)));
        hands.keys("4");
        (0..3).for_each(|_| drop(hands.press(KeyCode::Enter)));
        let job = job_of(&hands.press(KeyCode::Enter));
        let fault = Fault::new(
            FaultCode::ImageMissing,
            "Image node:22 is not on the engine and cannot be pulled",
        )
        .hint("Load it with `docker load`, then try again");
        hands.hear(Inbound::Done {
            job,
            outcome: fault.into(),
        });
        hands
    });
}

#[test]
fn help() {
    look("help", |c, r| {
        let mut hands = Hands::seeing(twelve(), c, r);
        hands.keys("?");
        hands
    });
}

#[test]
fn a_log_with_hostile_bytes() {
    look("log-hostile", |c, r| {
        let mut hands = Hands::seeing(twelve(), c, r);
        let orders = hands.keys("L");
        let [Outbound::OpenLog { stream, .. }] = orders[..] else {
            panic!("{orders:?}")
        };
        let lines: [&[u8]; 7] = [
            b"listening on :3000\r\n",
            b"\x1b[2J\x1b[1;1H\x1b]0;owned\x07 clears your screen\n",
            b"\x1bPq\x1b\\ \x9b31m raw C1 \xff\xfe not UTF-8\n",
            "right-to-left \u{202e}gpj.exe\u{202c} and hidden\u{200b}text\n".as_bytes(),
            "wide: 日本語 ok, tab:\there, bell\u{7}, back\u{8}space\n".as_bytes(),
            b"a very long line: 0123456789 0123456789 0123456789 0123456789 0123456789 0123456789 0123456789 0123456789 end\n",
            b"no end of line yet",
        ];
        for line in lines {
            let bytes = Bytes::copy_from_slice(line);
            hands.hear(Inbound::Log { stream, bytes });
        }
        hands
    });
}

#[test]
fn notices() {
    look("notices", |c, r| {
        let mut hands = Hands::seeing(twelve(), c, r);
        hands.hear(Inbound::Notice(Notice::info("Room demo is open: 12 seats")));
        let long = "Room exam-1 keeps 2 seats: the archive store refused them (507, bucket quota). \
                    Free space, then `labtop room close exam-1`.";
        hands.hear(Inbound::Notice(Notice::error(long)));
        hands.keys("n");
        hands
    });
}

#[test]
fn in_ascii_nothing_else_is_on_the_screen() {
    let ascii = Look { ascii: true, ..PLAIN };
    let mut hands = Hands::with(ascii, 80, 24);
    let mut all = failed();
    all.rooms[0].seats[2].fault = Some(Fault::new(FaultCode::Engine, "naïve \u{1b}[1m日本"));
    hands.hear(Inbound::Attached);
    hands.see(all);
    for keys in ["jj", "K", "qO", "\u{1b}", "E"] {
        hands.keys(keys);
        assert!(hands.screen().is_ascii(), "{}", hands.screen());
    }
    hands.press(KeyCode::Esc);
    insta::assert_snapshot!("ascii-80x24", hands.screen());
}

#[test]
fn a_slow_line_gets_no_sparklines() {
    let mut hands = Hands::with(Look { slow: true, ..PLAIN }, 80, 24);
    hands.see(twelve());
    assert!(!hands.screen().contains('▄'));
}

#[test]
fn text_for_a_pipe() {
    insta::assert_snapshot!("text-80", draw_text(&failed(), 80, 24));
    insta::assert_snapshot!("text-120", draw_text(&two_rooms(), 120, 40));
    assert!(draw_text(&twelve(), 80, 40).lines().all(|line| !line.ends_with(' ')));
    assert_eq!(draw_text(&twelve(), 0, 0), "\n");
}
