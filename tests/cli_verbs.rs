//! The program's verbs against a fake agent at a real socket: what is asked, printed and exited with.

mod wire_support;

use std::process::{Output, Stdio};

use bytes::Bytes;
use labtop::domain::command::{
    Answer, ArchiveKind, ArchiveRow, Check, Command, Left, Outcome, ProgressReport, Query, Seats,
};
use labtop::domain::fault::{Fault, FaultCode, Refusal, RefusalCode};
use labtop::domain::proof::VerifyMode;
use labtop::domain::seen::EngineState;
use labtop::domain::snapshot::{Phase, Snapshot};
use labtop::engine::handle::{CommandEvent, Request};
use serde_json::{Value, json};
use tokio::process::Command as Process;
use tokio::sync::mpsc;
use wire_support::{Fake, Served, room, seat, serve, snapshot, within};

fn program(served: &Served, arguments: &str) -> Process {
    let mut process = Process::new(env!("CARGO_BIN_EXE_labtop"));
    process
        .args(arguments.split(' '))
        .env_clear()
        .env("LABTOP_SOCKET", &served.socket)
        .env("LABTOP_STATE", served.directory.path())
        .stdin(Stdio::null())
        .kill_on_drop(true);
    process
}

async fn labtop(served: &Served, arguments: &str) -> Output {
    within(program(served, arguments).output()).await.unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Runs one command verb, answers it with these events, and tells what was asked.
async fn commanded(arguments: &str, events: Vec<CommandEvent>) -> (Command, Output) {
    let mut fake = Fake::new();
    let served = serve(&fake.handle);
    let answering = async {
        let Request::Command {
            command, events: to, ..
        } = fake.request().await
        else {
            panic!("a command")
        };
        for event in events {
            to.send(event).await.unwrap();
        }
        command
    };
    let (command, output) = tokio::join!(answering, labtop(&served, arguments));
    (command, output)
}

fn done(outcome: impl Into<Outcome>) -> Vec<CommandEvent> {
    vec![CommandEvent::Done(outcome.into())]
}

#[tokio::test]
async fn every_changing_verb_asks_its_command() {
    let seat = |text: &str| text.parse().unwrap();
    let (r, an) = ("r".parse().unwrap(), Some("an".parse().unwrap()));
    let open = Command::OpenRoom {
        room: "r".parse().unwrap(),
        template: Some("node".parse().unwrap()),
        seats: Seats::Students(vec!["an".parse().unwrap(), "Bo.b".parse().unwrap()]),
        minutes: Some(90),
        exam: true,
        on_demand: false,
        overrides: false,
        dry_run: true,
    };
    for (line, expected) in [
        ("room open r -t node --students an,Bo.b -m 90 --exam --dry-run", open),
        (
            "room close r",
            Command::CloseRoom {
                room: "r".parse().unwrap(),
                discard: false,
            },
        ),
        (
            "room close r --discard --yes",
            Command::CloseRoom {
                room: "r".parse().unwrap(),
                discard: true,
            },
        ),
        (
            "room extend r --minutes 5",
            Command::ExtendRoom {
                room: "r".parse().unwrap(),
                student: None,
                minutes: 5,
            },
        ),
        (
            "room freeze r --student an",
            Command::FreezeRoom {
                room: "r".parse().unwrap(),
                student: an.clone(),
            },
        ),
        (
            "room thaw r --student an --yes",
            Command::ThawRoom { room: r, student: an },
        ),
        (
            "seat kill r/an",
            Command::KillSeat {
                seat: seat("r/an"),
                container: None,
            },
        ),
        (
            "seat restart r/an -y",
            Command::RestartSeat {
                seat: seat("r/an"),
                container: None,
            },
        ),
    ] {
        let (asked, output) = commanded(line, done(Outcome::done("It is so."))).await;
        assert_eq!(asked, expected, "{line}");
        assert_eq!(output.status.code(), Some(0), "{line}");
        assert_eq!(text(&output.stdout), "It is so.\n");
        assert_eq!(text(&output.stderr), "");
    }
}

#[tokio::test]
async fn progress_goes_to_standard_error_and_leftovers_are_listed() {
    let report = |done, words: &str| {
        CommandEvent::Progress(ProgressReport {
            done,
            failed: 0,
            total: 2,
            text: words.to_owned(),
        })
    };
    let fault = Fault::new(FaultCode::Store, "the archive store refused it (507)").hint("Free space, then repeat");
    let left = vec![Left {
        seat: "r/an".parse().unwrap(),
        fault,
    }];
    let partly = Outcome::Partly {
        text: "Room r keeps 1 seat.".to_owned(),
        left,
    };
    let events = vec![
        report(0, "archiving"),
        report(1, "archiving"),
        report(1, "removing"),
        CommandEvent::Done(partly),
    ];
    let (_, output) = commanded("room close r", events).await;
    assert_eq!(output.status.code(), Some(5));
    assert_eq!(text(&output.stdout), "Room r keeps 1 seat.\n");
    assert_eq!(
        text(&output.stderr),
        "0/2  archiving\n1/2  removing\nlabtop: r/an: the archive store refused it (507). Free space, then repeat\n"
    );
}

#[tokio::test]
async fn failures_and_refusals_have_their_exit_codes() {
    for (outcome, code) in [
        (Outcome::from(Refusal::new(RefusalCode::Role, "not you")), 3),
        (Refusal::not_found("no room r").into(), 1),
        (Refusal::invalid("not so").into(), 2),
        (Fault::new(FaultCode::EngineUnreachable, "Docker is away").into(), 4),
        (Fault::new(FaultCode::ImageMissing, "no image").into(), 1),
    ] {
        let (_, output) = commanded("room freeze r", done(outcome)).await;
        assert_eq!(output.status.code(), Some(code));
        assert!(text(&output.stderr).starts_with("labtop: ") && output.stdout.is_empty());
    }
}

#[tokio::test]
async fn a_detached_opening_returns_when_it_is_accepted() {
    let mut fake = Fake::new();
    let served = serve(&fake.handle);
    let accepted = ProgressReport {
        done: 0,
        failed: 0,
        total: 30,
        text: "making".to_owned(),
    };
    let (request, output) = tokio::join!(
        async {
            let Request::Command { events, .. } = fake.request().await else {
                panic!("a command")
            };
            events.send(CommandEvent::Progress(accepted)).await.unwrap();
            events
        },
        labtop(&served, "room open r --seats 30 --detach")
    );
    assert_eq!(output.status.code(), Some(0));
    assert!(text(&output.stdout).contains("labtop ls r"));
    request.send(CommandEvent::Done(Outcome::done("all"))).await.unwrap();
}

#[tokio::test]
async fn a_reader_that_has_seen_enough_does_not_make_a_part_the_whole() {
    let mut fake = Fake::new();
    let served = serve(&fake.handle);
    let mut closing = program(&served, "room close r");
    let mut closing = closing.stdout(Stdio::piped()).spawn().unwrap();
    drop(closing.stdout.take());
    let Request::Command { events, .. } = fake.request().await else {
        panic!("a command")
    };
    let (text, left) = ("Room r keeps 1 seat.".to_owned(), Vec::new());
    let partly = Outcome::Partly { text, left };
    events.send(CommandEvent::Done(partly)).await.unwrap();
    assert_eq!(within(closing.wait()).await.unwrap().code(), Some(5));
}

#[tokio::test]
async fn work_is_not_given_up_without_being_meant() {
    let mut fake = Fake::new();
    let served = serve(&fake.handle);
    let output = labtop(&served, "room close r --discard").await;
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("--yes"));
    assert!(fake.requests.try_recv().is_err());
}

fn changed(fake: &Fake, change: impl FnOnce(&mut Snapshot)) {
    fake.snapshots
        .send_modify(|shared| change(std::sync::Arc::make_mut(shared)));
}

#[tokio::test]
async fn ls_lists_exactly_the_promised_fields() {
    let fake = Fake::new();
    let served = serve(&fake.handle);
    assert_eq!(text(&labtop(&served, "ls --json").await.stdout), "[]\n");

    let mut failed = seat("demo", "Bo.b");
    failed.phase = Phase::Failed;
    failed.container_id = None;
    failed.cpu_percent = None;
    failed.memory_bytes = None;
    failed.pids = None;
    failed.lease_seconds_left = None;
    failed.fault = Some(Fault::new(FaultCode::ImageMissing, "no image").hint("Pull it"));
    let rooms = vec![
        room("demo", vec![seat("demo", "an"), failed]),
        room("other", vec![seat("other", "an")]),
    ];
    fake.snapshots.send_replace(snapshot(2, rooms));

    let output = labtop(&served, "ls demo --json").await;
    let seats: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(
        seats,
        json!([
            {
                "room": "demo", "student": "an", "phase": "ready", "container_id": "0123456789abcdef",
                "cpu_percent": 12.5, "memory_bytes": 52_428_800, "memory_limit_bytes": 536_870_912, "pids": 3,
                "lease_seconds_left": 3600, "route": "/api/r/an", "archive_id": null, "fault": null, "oom_kills": 0, "held": false
            },
            {
                "room": "demo", "student": "Bo.b", "phase": "failed", "container_id": null,
                "cpu_percent": null, "memory_bytes": null, "memory_limit_bytes": 536_870_912, "pids": null,
                "lease_seconds_left": null, "route": "/api/r/Bo.b", "archive_id": null,
                "fault": {"code": "image_missing", "text": "no image", "hint": "Pull it"}, "oom_kills": 0, "held": false
            }
        ])
    );
    let all: Value = serde_json::from_slice(&labtop(&served, "ls --json").await.stdout).unwrap();
    assert_eq!(all.as_array().unwrap().len(), 3);
}

#[tokio::test]
async fn ls_is_a_table_that_hostile_text_cannot_break() {
    let fake = Fake::new();
    let served = serve(&fake.handle);
    let mut hostile = seat("demo", "bo");
    hostile.doing = "pulling\u{1b}[2J\nx".to_owned();
    hostile.cpu_percent = Some(100.0);
    fake.snapshots
        .send_replace(snapshot(2, vec![room("demo", vec![seat("demo", "an"), hostile])]));
    let output = labtop(&served, "ls").await;
    assert_eq!(
        text(&output.stdout),
        "ROOM  STUDENT  PHASE   CPU%  MEMORY    LIMIT  PIDS  LEASE  ROUTE      NOTE\n\
         demo  an       Ready   12.5  50 MiB  512 MiB     3  1h00m  /api/r/an\n\
         demo  bo       Ready  100.0  50 MiB  512 MiB     3  1h00m  /api/r/bo  pulling\\u{1b}[2J\\nx\n"
    );
}

#[tokio::test]
async fn an_unknown_room_and_an_engine_that_is_away_are_told() {
    let fake = Fake::new();
    let served = serve(&fake.handle);
    fake.snapshots
        .send_replace(snapshot(2, vec![room("demo", vec![seat("demo", "an")])]));
    let output = labtop(&served, "ls nope").await;
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("no room called nope is open (open: demo)"));

    changed(&fake, |snapshot| {
        snapshot.engine = EngineState::Down("Docker does not answer: start it".to_owned());
    });
    let output = labtop(&served, "ls demo").await;
    assert_eq!(output.status.code(), Some(4));
    assert!(
        text(&output.stdout).contains("demo  an"),
        "the seats are listed all the same"
    );
    assert!(text(&output.stderr).contains("start it"));
}

/// Runs one question verb against this answer.
async fn asked(arguments: &str, answer: Answer) -> (Query, Output) {
    let mut fake = Fake::new();
    let served = serve(&fake.handle);
    tokio::join!(
        async {
            let Request::Ask { query, reply, .. } = fake.request().await else {
                panic!("a question")
            };
            reply.send(answer).unwrap();
            query
        },
        labtop(&served, arguments)
    )
}

#[tokio::test]
async fn archives_are_listed() {
    let rows = vec![ArchiveRow {
        id: "20261124T034512Z-7f3a9c1b".parse().unwrap(),
        room: "demo".parse().unwrap(),
        student: "an".parse().unwrap(),
        created: "2026-11-24T03:45:12Z".to_owned(),
        bytes: 2048,
        digest: "ab".repeat(32),
        verified: true,
        key: "demo/an.tar.zst".to_owned(),
        entries: 7,
        left_out: 1,
        torn: 0,
        verify: VerifyMode::Full,
        kind: ArchiveKind::Snapshot,
        session: 3,
    }];
    let answer = Answer::Archives { rows };
    let (query, output) = asked("archive ls --room demo --json", answer.clone()).await;
    assert_eq!(
        query,
        Query::Archives {
            room: Some("demo".parse().unwrap())
        }
    );
    let listed: Value = serde_json::from_slice(&output.stdout).unwrap();
    let expected = json!([{
        "id": "20261124T034512Z-7f3a9c1b", "room": "demo", "student": "an", "created": "2026-11-24T03:45:12Z",
        "bytes": 2048, "digest": "ab".repeat(32), "verified": true, "key": "demo/an.tar.zst",
        "entries": 7, "left_out": 1, "torn": 0, "verify": "full",
        "kind": "snapshot", "session": 3
    }]);
    assert_eq!(listed, expected);
    let (_, output) = asked("archive ls", answer).await;
    assert!(
        text(&output.stdout).contains("2.0 KiB  yes       demo/an.tar.zst"),
        "{}",
        text(&output.stdout)
    );
}

#[tokio::test]
async fn processes_and_checks_are_listed() {
    let answer = Answer::Top {
        titles: vec!["PID".to_owned(), "CMD".to_owned()],
        rows: vec![vec!["1".to_owned(), "sh \u{1b}[2J".to_owned()]],
    };
    let (_, output) = asked("seat top r/an --json", answer.clone()).await;
    let listed: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(listed, json!([{"PID": "1", "CMD": "sh \u{1b}[2J"}]));
    let (_, output) = asked("seat top r/an", answer).await;
    assert_eq!(text(&output.stdout), "PID  CMD\n1    sh \\u{1b}[2J\n");

    let checks = vec![Check::ok("docker", "answers"), Check::fail("disk", "full", "Free some")];
    let (query, output) = asked("doctor", Answer::Doctor { checks: checks.clone() }).await;
    assert_eq!((query, output.status.code()), (Query::Doctor, Some(1)));
    let expected = "CHECK   STATE   FOUND\ndocker  ok      answers\ndisk    FAILED  full. Free some\n";
    assert_eq!(text(&output.stdout), expected);
    let (_, output) = asked(
        "doctor --json",
        Answer::Doctor {
            checks: checks[..1].to_vec(),
        },
    )
    .await;
    let listed: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(
        listed,
        json!([{"name": "docker", "state": "ok", "text": "answers", "hint": ""}])
    );
    assert_eq!(output.status.code(), Some(0));

    let refused = Answer::Failed {
        fault: Fault::new(FaultCode::Engine, "no such seat"),
    };
    assert_eq!(asked("seat top r/an", refused).await.1.status.code(), Some(1));
}

#[tokio::test]
async fn a_log_goes_untouched_into_a_pipe() {
    let mut fake = Fake::new();
    let served = serve(&fake.handle);
    let answering = async {
        let Request::Logs {
            seat,
            tail,
            follow,
            reply,
            ..
        } = fake.request().await
        else {
            panic!("a log")
        };
        let (lines, stream) = mpsc::channel(4);
        reply.send(Ok(stream)).unwrap();
        lines.send(Ok(Bytes::from_static(b"\x1b[2Jhi\xff\r\n"))).await.unwrap();
        (seat.to_string(), tail, follow)
    };
    let (asked, output) = tokio::join!(answering, labtop(&served, "seat logs r/an"));
    assert_eq!(asked, ("r/an".to_owned(), 200, false));
    assert_eq!(output.stdout, b"\x1b[2Jhi\xff\r\n");
    assert_eq!(output.status.code(), Some(0));
}

#[tokio::test]
async fn looking_needs_an_agent_and_says_how_to_get_one() {
    let directory = tempfile::tempdir().unwrap();
    for line in ["ls", "ls --json", "archive ls", "seat logs r/an", "seat top r/an"] {
        let output = Process::new(env!("CARGO_BIN_EXE_labtop"))
            .args(line.split(' '))
            .env_clear()
            .env("LABTOP_STATE", directory.path())
            .output();
        let output = within(output).await.unwrap();
        assert_eq!(output.status.code(), Some(4), "{line}");
        let told = text(&output.stderr);
        assert!(told.contains("agent.sock") && told.contains("`labtop agent`"), "{told}");
    }
}

#[tokio::test]
async fn a_shell_without_a_terminal_is_refused() {
    let fake = Fake::new();
    let served = serve(&fake.handle);
    let output = labtop(&served, "seat shell r/an").await;
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("needs a terminal"));
}

#[tokio::test]
async fn bad_arguments_exit_with_two_and_one_line() {
    let fake = Fake::new();
    let served = serve(&fake.handle);
    let output = labtop(&served, "room open r --students a`b").await;
    assert_eq!(output.status.code(), Some(2));
    let told = text(&output.stderr);
    assert!(
        told.lines().count() == 1 && told.contains("student id \"a`b\" is not valid"),
        "{told}"
    );
    assert_eq!(labtop(&served, "room open --help").await.status.code(), Some(0));
}

#[tokio::test]
async fn a_socket_path_over_the_limit_and_an_empty_configuration_variable() {
    let fake = Fake::new();
    let served = serve(&fake.handle);
    let long = format!("/tmp/{}", "d".repeat(120));
    let output = within(program(&served, "ls").env("LABTOP_SOCKET", &long).output())
        .await
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains(&long));
    let output = within(program(&served, "ls").env("LABTOP_CONFIG", "").output())
        .await
        .unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
}
