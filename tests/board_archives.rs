//! The archives on the board: (news, keys, screen), through the same `update` that the terminal drives.

mod board_support;

use std::path::PathBuf;

use board_support::shelf::*;
use board_support::*;
use crossterm::event::KeyCode;
use labtop::domain::command::{Excerpt, Outcome, ProgressReport};
use labtop::domain::fault::{Fault, FaultCode};
use labtop::tui::port::{Inbound, JobId, Outbound, PART_MAX, Task};

fn job(orders: &[Outbound]) -> JobId {
    match orders {
        [Outbound::Work { job, .. }] => *job,
        other => panic!("no task was begun: {other:?}"),
    }
}

fn progress(done: usize, total: usize, text: &str) -> ProgressReport {
    ProgressReport {
        done,
        failed: 0,
        total,
        text: text.to_owned(),
    }
}

/// The students in the order of the list.
fn listed(hands: &Hands) -> Vec<String> {
    let rows = hands.screen();
    let rows = rows.lines().filter(|line| line.contains("2026-11-"));
    rows.filter_map(|line| {
        line.trim_start_matches(['│', ' ', '▸'])
            .split(' ')
            .next()
            .map(str::to_owned)
    })
    .filter(|word| word.starts_with('s'))
    .collect()
}

#[test]
fn a_lists_the_rooms_archives_newest_first_and_a_again_those_of_all() {
    let mut hands = Hands::seeing(two_rooms(), 80, 24);
    let orders = hands.keys("a");
    let [
        Outbound::List {
            stream,
            room: Some(room),
        },
    ] = &orders[..]
    else {
        panic!("{orders:?}")
    };
    assert_eq!(room.as_str(), "demo", "that of the seat under the cursor");
    assert!(hands.screen().contains("Asking the agent."));
    hands.hear(Inbound::Archives {
        stream: *stream,
        rows: Ok(rows()[..3].to_vec()),
    });
    assert_eq!(listed(&hands), ["s03", "s02", "s01"]);

    let orders = hands.keys("a");
    let [
        Outbound::CloseLog(old),
        Outbound::List {
            stream: new,
            room: None,
        },
    ] = &orders[..]
    else {
        panic!("{orders:?}")
    };
    assert_eq!(old, stream);
    // The answer to the old question is not taken for that to the new one.
    hands.hear(Inbound::Archives {
        stream: *old,
        rows: Ok(Vec::new()),
    });
    assert_eq!(listed(&hands).len(), 3);
    hands.hear(Inbound::Archives {
        stream: *new,
        rows: Ok(rows()),
    });
    assert_eq!(listed(&hands).len(), 5);
    assert!(hands.screen().contains("exam-1"));
    assert_eq!(hands.press(KeyCode::Esc), []);
    assert!(hands.screen().contains("STUDENT") && hands.model.layers.is_empty());
}

#[test]
fn the_filter_is_the_lists_own() {
    let mut hands = listing(80, 24);
    for (filter, found) in [
        ("S02", 2),
        ("exam", 2),
        ("torn", 1),
        ("damaged", 1),
        ("checksum", 1),
        ("11-24", 3),
        ("zzz", 0),
    ] {
        hands.keys("/");
        hands.keys(filter);
        assert!(
            hands.screen().contains(&format!("filter /{filter}")),
            "{}",
            hands.screen()
        );
        hands.press(KeyCode::Enter);
        assert_eq!(listed(&hands).len(), found, "{filter}");
        hands.press(KeyCode::Esc);
        assert_eq!(listed(&hands).len(), 5, "Esc clears, and stays");
    }
    assert_eq!(hands.model.rows.len(), 16, "the board's own rows are as they were");
}

#[test]
fn the_cursor_stays_on_its_archive_when_the_list_comes_anew() {
    let mut hands = listing(80, 24);
    hands.keys("jj");
    let orders = hands.keys("r");
    let [Outbound::CloseLog(_), Outbound::List { stream, .. }] = orders[..] else {
        panic!("{orders:?}")
    };
    let mut later = rows();
    later.push(row("demo", "s09", "2026-11-25T10:00:00Z"));
    hands.hear(Inbound::Archives {
        stream,
        rows: Ok(later),
    });
    assert!(hands.screen().contains("▸ s03"), "{}", hands.screen());
}

#[test]
fn enter_opens_the_tree_and_walks_it_one_directory_at_a_time() {
    let mut hands = browsing(80, 24);
    assert!(hands.screen().contains("workspace/"), "{}", hands.screen());
    hands.press(KeyCode::Down);
    hands.press(KeyCode::Enter);
    assert!(hands.screen().contains("/workspace"));
    assert!(
        hands.screen().contains("same as workspace/main.c"),
        "{}",
        hands.screen()
    );
    hands.press(KeyCode::Enter);
    assert!(hands.screen().contains("/workspace/src") && hands.screen().contains("deep.rs"));
    hands.press(KeyCode::Left);
    assert!(
        hands.screen().contains("▸ ") && line_with(&hands, "▸").contains("src/"),
        "on where it came from"
    );
    hands.press(KeyCode::Backspace);
    assert!(line_with(&hands, "▸").contains("workspace/"));
    hands.press(KeyCode::Left);
    hands.press(KeyCode::Esc);
    assert!(hands.screen().contains("Archives of all rooms"));
}

#[test]
fn enter_on_a_file_reads_it_and_on_anything_else_says_what_it_is() {
    let mut hands = browsing(80, 40);
    hands.press(KeyCode::Down);
    hands.press(KeyCode::Enter);
    for (name, path) in [
        ("main.c", Some("workspace/main.c")),
        ("again.c", Some("workspace/main.c")),
        ("pipe", None),
        ("link", None),
    ] {
        go_to(&mut hands, name);
        let orders = hands.press(KeyCode::Enter);
        match (&orders[..], path) {
            (
                [
                    Outbound::OpenPart {
                        part: Excerpt::File { path },
                        ..
                    },
                ],
                Some(expected),
            ) => {
                assert_eq!(path, expected);
                hands.keys("q");
            }
            ([], None) => {}
            other => panic!("{name}: {other:?}"),
        }
    }
    assert!(
        hands.screen().contains("link is a link to /etc/passwd"),
        "{}",
        hands.screen()
    );
}

#[test]
fn of_a_long_file_the_beginning_is_shown_and_that_it_is_no_text() {
    let mut hands = browsing(80, 24);
    hands.press(KeyCode::Down);
    hands.press(KeyCode::Enter);
    go_to(&mut hands, "big.bin");
    let orders = hands.press(KeyCode::Enter);
    let [Outbound::OpenPart { stream, .. }] = orders[..] else {
        panic!("{orders:?}")
    };
    let mut bytes = b"first\n".to_vec();
    bytes.resize(PART_MAX, b'\n');
    bytes[7] = 0;
    hands.hear(Inbound::Log {
        stream,
        bytes: bytes.into(),
    });
    assert!(hands.screen().contains("binary; 256 KiB so far"));
    hands.hear(Inbound::LogEnd { stream, why: None });
    assert!(hands.screen().contains("first") && hands.screen().contains("binary; the first 256 KiB of 3 MiB"));
    hands.press(KeyCode::End);
    assert!(!hands.screen().contains("first\n"));
    hands.press(KeyCode::Home);
    assert!(
        line_with(&hands, "first").starts_with("│ first"),
        "nothing was dropped: {}",
        hands.screen()
    );
    assert_eq!(hands.press(KeyCode::Esc), [], "it had ended");
}

#[test]
fn v_verifies_the_archive_while_one_goes_on_and_marks_what_was_found() {
    let mut hands = listing(80, 24);
    let orders = hands.keys("v");
    let [
        Outbound::Work {
            task: Task::Verify(archives),
            ..
        },
    ] = &orders[..]
    else {
        panic!("{orders:?}")
    };
    assert_eq!(archives[0].seat.to_string(), "exam-1/s02");
    assert!(hands.screen().contains("verify exam-1/s02") && hands.screen().contains("under way"));
    hands.keys("j");
    let (job, archive) = (job(&orders), archives[0].id.clone());
    hands.hear(Inbound::Checked { archive, good: false });
    let fault = Fault::new(FaultCode::Mismatch, "DAMAGED: it is not what was sent");
    hands.hear(Inbound::Done {
        job,
        outcome: fault.into(),
    });
    assert!(line_with(&hands, "s02 ").contains("DAMAGED"), "{}", hands.screen());
    assert!(hands.screen().contains("failed  verify exam-1/s02: DAMAGED"));
}

#[test]
fn all_that_are_listed_are_verified_with_a_bar_and_cancelled() {
    let mut hands = listing(80, 24);
    hands.keys("/exam");
    hands.press(KeyCode::Enter);
    let orders = hands.keys("V");
    assert!(matches!(&orders[..], [Outbound::Work { task: Task::Verify(two), .. }] if two.len() == 2));
    let job = job(&orders);
    hands.hear(Inbound::Progress {
        job,
        report: progress(1, 2, "exam-1/s01"),
    });
    assert!(hands.screen().contains("Verifying 2 archives") && hands.screen().contains("1/2  exam-1/s01"));
    assert_eq!(hands.keys("x"), [Outbound::Cancel(job)]);
    assert!(hands.screen().contains("cancelling verify 2 archives"));
    assert_eq!(hands.keys("x"), [], "once");
    hands.hear(Inbound::Done {
        job,
        outcome: Outcome::done("Verifying was cancelled"),
    });
    assert!(hands.screen().contains("Verifying was cancelled") && !hands.screen().contains("cancelling"));
}

#[test]
fn a_restore_asks_with_its_whole_path_and_enter_does_nothing() {
    let mut hands = listing(80, 24);
    hands.model.here = PathBuf::from("/srv/marks");
    hands.keys("R");
    let screen = hands.screen();
    assert!(screen.contains("Restore exam-1/s02?"), "{screen}");
    assert!(screen.contains("│ /srv/marks/exam-1-s02-"), "{screen}");
    // Enter leaves the field for Cancel, and presses that.
    assert_eq!(hands.press(KeyCode::Enter), []);
    assert_eq!(hands.press(KeyCode::Enter), []);
    assert!(!hands.screen().contains("Restore exam-1/s02?"));
}

/// Restores the archive under the cursor to what is typed; gives what was ordered.
fn restore_to(hands: &mut Hands, typed: &str) -> Vec<Outbound> {
    hands.keys("R");
    for _ in 0..60 {
        hands.press(KeyCode::Backspace);
    }
    hands.keys(typed);
    hands.press(KeyCode::BackTab);
    hands.press(KeyCode::Enter)
}

#[test]
fn a_restore_goes_where_it_was_told_and_shows_how_far_it_is() {
    let mut hands = listing(80, 24);
    hands.model.here = PathBuf::from("/srv/marks");
    assert_eq!(restore_to(&mut hands, "~/an"), [], "a shell would know what that is");
    assert!(hands.screen().contains("type the whole path"));
    hands.press(KeyCode::Esc);
    assert_eq!(restore_to(&mut hands, ""), []);
    hands.press(KeyCode::Esc);
    let orders = restore_to(&mut hands, "out/s02");
    let job = job(&orders);
    let [
        Outbound::Work {
            task: Task::Restore { archive, to },
            ..
        },
    ] = &orders[..]
    else {
        panic!("{orders:?}")
    };
    assert_eq!(
        (archive.seat.to_string().as_str(), to.to_str().unwrap()),
        ("exam-1/s02", "/srv/marks/out/s02")
    );
    assert!(hands.screen().contains("Under way: 1"));
    let report = progress(412 << 20, 1 << 30, "100 MiB/s, less than a minute left");
    hands.hear(Inbound::Progress { job, report });
    let line = line_with(&hands, "Restoring");
    assert!(line.contains("exam-1/s02") && line.contains("0.4/1.0 GiB"), "{line}");
    // One goes on meanwhile.
    hands.press(KeyCode::Esc);
    assert!(line_with(&hands, "Restoring").contains("less than a minute left") || hands.model.size.0 < 100);
    assert_eq!(hands.keys("x"), [Outbound::Cancel(job)]);
}

#[test]
fn a_restore_that_fails_at_once_says_so_in_its_dialog() {
    let mut hands = listing(80, 24);
    let job = job(&restore_to(&mut hands, "there"));
    let fault = Fault::new(
        FaultCode::Store,
        "/there is there already and is not an empty directory",
    );
    hands.hear(Inbound::Done {
        job,
        outcome: fault.into(),
    });
    assert!(
        hands.screen().contains("restore exam-1/s02: /there is there"),
        "{}",
        hands.screen()
    );
    hands.press(KeyCode::Enter);
    assert!(hands.screen().contains("Archives of all rooms"));
}

#[test]
fn a_rooms_work_is_exported_from_any_of_its_archives() {
    let mut hands = listing(80, 24);
    hands.model.here = PathBuf::from("/srv/marks");
    assert_eq!(hands.keys("E"), []);
    let screen = hands.screen();
    assert!(screen.contains("Export room exam-1?"), "{screen}");
    assert!(screen.contains("│ /srv/marks/exam-1-work"), "{screen}");
    hands.press(KeyCode::BackTab);
    let orders = hands.press(KeyCode::Enter);
    let [
        Outbound::Work {
            job,
            task: Task::Export { room, to },
        },
    ] = &orders[..]
    else {
        panic!("{orders:?}")
    };
    assert_eq!((room.as_str(), to.to_str()), ("exam-1", Some("/srv/marks/exam-1-work")));
    let report = progress(3, 12, "taking out s04");
    hands.hear(Inbound::Progress { job: *job, report });
    let line = line_with(&hands, "Exporting");
    assert!(line.contains("exam-1") && line.contains("3/12"), "{line}");
    // What is under way about the archive's room is about the archive; the newest of them is meant.
    let newest = self::job(&hands.keys("v"));
    assert_eq!(hands.keys("x"), [Outbound::Cancel(newest)]);
    assert_eq!(hands.keys("x"), [Outbound::Cancel(*job)]);
    assert!(hands.screen().contains("cancelling export exam-1"));
}

#[test]
fn leaving_says_what_it_would_cancel() {
    let mut hands = listing(80, 24);
    let job = job(&hands.keys("v"));
    hands.press(KeyCode::Esc);
    assert_eq!(hands.keys("q"), []);
    assert!(
        hands
            .screen()
            .contains("Leaving cancels 1 task with archives: press q again")
    );
    hands.hear(Inbound::Done {
        job,
        outcome: Outcome::done("fine"),
    });
    let later = hands.keys("a");
    assert!(matches!(later[..], [Outbound::List { .. }]));
    hands.press(KeyCode::Esc);
    assert_eq!(hands.keys("q"), [Outbound::Quit], "nothing is under way any more");
}

#[test]
fn a_lost_agent_ends_no_task_by_itself_and_begins_none() {
    let mut hands = listing(80, 24);
    let first = job(&hands.keys("v"));
    hands.hear(Inbound::Lost("closed".to_owned()));
    assert!(
        hands.model.jobs.iter().any(|job| job.id == first),
        "it tells itself when it ends"
    );
    assert_eq!(hands.keys("jv"), []);
    assert!(hands.screen().contains("nothing was sent"));
}

#[test]
fn what_cannot_be_read_says_why_and_what_is_empty_what_to_do() {
    let mut hands = Hands::seeing(twelve(), 80, 24);
    let orders = hands.keys("a");
    let [Outbound::List { stream, .. }] = orders[..] else {
        panic!("{orders:?}")
    };
    hands.hear(Inbound::Archives {
        stream,
        rows: Ok(Vec::new()),
    });
    assert!(
        hands.screen().contains("Room demo has no archives yet"),
        "{}",
        hands.screen()
    );
    for key in ["v", "V", "R", "E", "L", "x"] {
        assert_eq!(hands.keys(key), [], "{key}: there is nothing");
    }
    assert_eq!(hands.press(KeyCode::Enter), []);
    assert_eq!(hands.keys("r").len(), 2);
    let footer = hands.screen().lines().last().unwrap().to_owned();
    assert!(!footer.contains("verify") && footer.contains("a all"), "{footer}");
}

#[test]
fn help_begins_where_one_is() {
    let mut hands = listing(80, 24);
    hands.keys("?");
    assert!(hands.screen().contains("In the list of archives"), "{}", hands.screen());
    hands.press(KeyCode::Esc);
    assert!(hands.screen().contains("Archives of all rooms"));
}

/// Puts the cursor on the thing of that name.
#[track_caller]
fn go_to(hands: &mut Hands, name: &str) {
    hands.press(KeyCode::Home);
    for _ in 0..20 {
        if line_with(hands, "▸").contains(name) {
            return;
        }
        hands.press(KeyCode::Down);
    }
    panic!("no {name}: {}", hands.screen());
}

fn line_with(hands: &Hands, text: &str) -> String {
    let screen = hands.screen();
    let found = screen.lines().find(|line| line.contains(text));
    found.unwrap_or_default().to_owned()
}
