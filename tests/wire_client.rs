//! The real client against the real server at a real socket, with a fake loop behind the handle.

mod wire_support;

use std::os::unix::fs::PermissionsExt;

use bytes::Bytes;
use labtop::domain::command::{Answer, Command, Outcome, ProgressReport, Query};
use labtop::domain::fault::{Fault, FaultCode};
use labtop::domain::ids::RoomName;
use labtop::domain::notice::Notice;
use labtop::engine::handle::{CommandEvent, Request, ShellInput, ShellSession};
use labtop::wire::client::{CallError, Client, ConnectError, RunEvent, WatchEvent};
use labtop::wire::server;
use tokio::sync::mpsc;
use wire_support::{Fake, NOTICES, room, seat, serve, snapshot, within};

fn freeze() -> Command {
    Command::FreezeRoom {
        room: "demo".parse::<RoomName>().unwrap(),
        student: None,
    }
}

fn report(done: usize) -> ProgressReport {
    ProgressReport {
        done,
        failed: 0,
        total: 3,
        text: "freezing".to_owned(),
    }
}

#[tokio::test]
async fn the_socket_is_private_and_a_stale_one_is_replaced() {
    let fake = Fake::new();
    let served = serve(&fake.handle);
    let mode = |path: &std::path::Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&served.socket), 0o666);
    assert_eq!(mode(served.socket.parent().unwrap()), 0o755);
    served.shutdown.cancel();
    within(served.done).await.unwrap();
    assert!(matches!(
        Client::connect(&served.socket).await,
        Err(ConnectError::Absent(_))
    ));

    let again = server::bind(&served.socket).unwrap();
    drop(again);
    server::unbind(&served.socket);
    assert!(
        !served.socket.parent().unwrap().exists(),
        "nor a directory that others cannot enter"
    );
    std::fs::create_dir(served.socket.parent().unwrap()).unwrap();
    std::fs::write(&served.socket, "precious").unwrap();
    let error = server::bind(&served.socket).unwrap_err().to_string();
    assert!(error.contains("not a socket"), "{error}");
    assert_eq!(std::fs::read(&served.socket).unwrap(), b"precious");
}

#[tokio::test]
async fn nobody_there_and_somebody_strange_are_told_apart() {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("s");
    assert!(matches!(Client::connect(&socket).await, Err(ConnectError::Absent(_))));
    let listener = tokio::net::UnixListener::bind(&socket).unwrap();
    let stranger = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        tokio::io::AsyncWriteExt::write_all(&mut stream, b"220 mail.example ESMTP\r\n")
            .await
            .unwrap();
        stream
    });
    let error = within(Client::connect(&socket)).await.unwrap_err();
    assert!(matches!(error, ConnectError::Protocol(_)), "{error}");
    drop(stranger.await);
}

#[tokio::test]
async fn a_watcher_sees_snapshots_and_notices_and_counts_as_attached() {
    let fake = Fake::new();
    let served = serve(&fake.handle);
    let client = Client::connect(&served.socket).await.unwrap();
    let mut watch = client.watch().await.unwrap();
    assert_eq!(within(watch.snapshot()).await.unwrap().serial, 1);
    assert_eq!(*fake.handle.attached().borrow(), 1);

    let full = snapshot(2, vec![room("demo", vec![seat("demo", "an"), seat("demo", "Bo.b")])]);
    fake.snapshots.send_replace(full.clone());
    assert_eq!(within(watch.next()).await, Some(WatchEvent::Snapshot(full)));
    fake.notices.send(Notice::warning("look")).unwrap();
    assert_eq!(
        within(watch.next()).await,
        Some(WatchEvent::Notice(Notice::warning("look")))
    );

    drop(watch);
    within(fake.handle.attached().wait_for(|count| *count == 0))
        .await
        .unwrap();
}

#[tokio::test]
async fn a_slow_reader_skips_and_slows_nobody() {
    const LAST: u64 = 40;
    let fake = Fake::new();
    let served = serve(&fake.handle);
    let client = Client::connect(&served.socket).await.unwrap();
    let mut slow = client.watch().await.unwrap();
    let mut quick = client.watch().await.unwrap();
    within(quick.snapshot()).await.unwrap();

    // Far more than a socket holds: the slow one's server side stands still, the quick one's goes on.
    let students = |serial: u64| (0..300).map(move |n| seat("demo", &format!("s{serial}-{n}"))).collect();
    for serial in 2..=LAST {
        fake.snapshots
            .send_replace(snapshot(serial, vec![room("demo", students(serial))]));
        assert_eq!(within(quick.snapshot()).await.unwrap().serial, serial);
    }
    let mut seen = Vec::new();
    while seen.last() != Some(&LAST) {
        seen.push(within(slow.snapshot()).await.unwrap().serial);
    }
    assert!(seen.is_sorted() && (seen.len() as u64) < LAST / 2, "{seen:?}");
}

#[tokio::test]
async fn missed_notices_are_counted() {
    let fake = Fake::new();
    let served = serve(&fake.handle);
    let client = Client::connect(&served.socket).await.unwrap();
    let mut watch = client.watch().await.unwrap();
    within(watch.snapshot()).await.unwrap();
    // The test and the server share one thread, so that nothing is read in between.
    let sent = NOTICES as u64 * 3;
    for n in 0..sent {
        fake.notices.send(Notice::info(n.to_string())).unwrap();
    }
    assert_eq!(
        within(watch.next()).await,
        Some(WatchEvent::Missed(sent - NOTICES as u64))
    );
    let expected = Notice::info((sent - NOTICES as u64).to_string());
    assert_eq!(within(watch.next()).await, Some(WatchEvent::Notice(expected)));
}

#[tokio::test]
async fn a_command_tells_its_progress_and_its_outcome() {
    let mut fake = Fake::new();
    let served = serve(&fake.handle);
    let client = Client::connect(&served.socket).await.unwrap();
    let asked = tokio::spawn(async move {
        let mut reports = Vec::new();
        let outcome = client.run(freeze(), |report| reports.push(report.done)).await;
        (outcome.unwrap(), reports)
    });
    let Request::Command { actor, command, events } = fake.request().await else {
        panic!("a command")
    };
    assert_eq!(command, freeze());
    assert_eq!(actor.uid, rustix::process::geteuid().as_raw());
    for done in 0..3 {
        events.send(CommandEvent::Progress(report(done))).await.unwrap();
    }
    events
        .send(CommandEvent::Done(Outcome::done("3 seats are frozen")))
        .await
        .unwrap();
    let (outcome, reports) = within(asked).await.unwrap();
    assert_eq!(outcome, Outcome::done("3 seats are frozen"));
    assert_eq!(reports, [0, 1, 2]);
}

#[tokio::test]
async fn a_command_goes_on_and_holds_the_agent_when_its_client_leaves() {
    let mut fake = Fake::new();
    let served = serve(&fake.handle);
    let client = Client::connect(&served.socket).await.unwrap();
    let mut running = client.start(freeze()).await.unwrap();
    let Request::Command { events, .. } = fake.request().await else {
        panic!("a command")
    };
    events.send(CommandEvent::Progress(report(1))).await.unwrap();
    assert_eq!(within(running.next()).await.unwrap(), RunEvent::Progress(report(1)));
    drop(running);
    // Other conversations on the same thread: by their end the server has seen that one leave.
    for _ in 0..5 {
        Client::connect(&served.socket).await.unwrap();
    }
    assert!(!events.is_closed());
    // Reports are still taken: the engine is not told that nobody listens.
    for done in 0..500 {
        within(events.send(CommandEvent::Progress(report(done)))).await.unwrap();
    }
    assert_eq!(*fake.handle.attached().borrow(), 1);
    events.send(CommandEvent::Done(Outcome::done("all"))).await.unwrap();
    within(fake.handle.attached().wait_for(|count| *count == 0))
        .await
        .unwrap();
}

#[tokio::test]
async fn an_agent_that_stops_says_so_to_who_waits() {
    let mut fake = Fake::new();
    let served = serve(&fake.handle);
    let client = Client::connect(&served.socket).await.unwrap();
    let mut watch = client.watch().await.unwrap();
    within(watch.snapshot()).await.unwrap();
    let mut running = client.start(freeze()).await.unwrap();
    let _request = fake.request().await;
    served.shutdown.cancel();
    let RunEvent::Done(Outcome::Failed { fault }) = within(running.next()).await.unwrap() else {
        panic!("an outcome")
    };
    assert_eq!(fault.code, FaultCode::Cancelled);
    assert_eq!(within(watch.next()).await, None);
    within(served.done).await.unwrap();
    assert!(matches!(client.watch().await, Err(ConnectError::Absent(_))));
}

#[tokio::test]
async fn questions_are_answered() {
    let mut fake = Fake::new();
    let served = serve(&fake.handle);
    let client = Client::connect(&served.socket).await.unwrap();
    let asked = tokio::spawn(async move { client.ask(Query::Doctor).await.unwrap() });
    let Request::Ask { query, reply, .. } = fake.request().await else {
        panic!("a question")
    };
    assert_eq!(query, Query::Doctor);
    reply.send(Answer::Doctor { checks: vec![] }).unwrap();
    assert_eq!(within(asked).await.unwrap(), Answer::Doctor { checks: vec![] });
}

#[tokio::test]
async fn a_log_is_bytes_until_its_end() {
    let mut fake = Fake::new();
    let served = serve(&fake.handle);
    let client = Client::connect(&served.socket).await.unwrap();
    let big = Bytes::from(vec![0x1b_u8; 300_000]);
    let expected = big.clone();
    let engine = tokio::spawn(async move {
        let Request::Logs {
            tail, follow, reply, ..
        } = fake.request().await
        else {
            panic!("a log")
        };
        assert_eq!((tail, follow), (7, true));
        let (lines, stream) = mpsc::channel(1);
        reply.send(Ok(stream)).unwrap();
        lines.send(Ok(big)).await.unwrap();
        lines.send(Ok(Bytes::from_static(b"\xff end"))).await.unwrap();
        fake
    });
    let mut logs = within(client.logs("demo/an".parse().unwrap(), 7, true)).await.unwrap();
    let mut got = Vec::new();
    while let Some(bytes) = within(logs.next()).await.unwrap() {
        got.extend_from_slice(&bytes);
    }
    assert_eq!(got, [&expected[..], b"\xff end"].concat());

    let mut fake = engine.await.unwrap();
    let asked = tokio::spawn(async move { client.logs("demo/nobody".parse().unwrap(), 1, false).await.err() });
    let Request::Logs { reply, .. } = fake.request().await else {
        panic!("a log")
    };
    reply
        .send(Err(Fault::new(FaultCode::Engine, "no such seat").into()))
        .unwrap();
    assert!(matches!(within(asked).await.unwrap(), Some(CallError::Fault(fault)) if fault.text == "no such seat"));
}

#[tokio::test]
async fn a_shell_carries_bytes_both_ways_and_ends_when_the_person_leaves() {
    let mut fake = Fake::new();
    let served = serve(&fake.handle);
    let client = Client::connect(&served.socket).await.unwrap();
    let opened = tokio::spawn(async move { client.shell("demo/an".parse().unwrap(), 80, 24).await.unwrap() });
    let Request::Shell { cols, rows, reply, .. } = fake.request().await else {
        panic!("a shell")
    };
    assert_eq!((cols, rows), (80, 24));
    let (printed, output) = mpsc::channel(4);
    let (input, mut typed) = mpsc::channel(4);
    reply.send(Ok(ShellSession { output, input })).unwrap();
    let (mut reader, mut writer) = within(opened).await.unwrap();

    writer.data(Bytes::from_static(b"ls\n")).await.unwrap();
    assert_eq!(
        within(typed.recv()).await,
        Some(ShellInput::Data(Bytes::from_static(b"ls\n")))
    );
    writer.resize(100, 30).await.unwrap();
    assert_eq!(
        within(typed.recv()).await,
        Some(ShellInput::Resize { cols: 100, rows: 30 })
    );
    printed.send(Bytes::from_static(b"\x1b[1mfile\r\n")).await.unwrap();
    assert_eq!(within(reader.next()).await.unwrap().unwrap(), &b"\x1b[1mfile\r\n"[..]);

    writer.end().await.unwrap();
    assert_eq!(within(typed.recv()).await, None);
    within(printed.closed()).await;
}

#[tokio::test]
async fn a_shell_that_ends_tells_the_person() {
    let mut fake = Fake::new();
    let served = serve(&fake.handle);
    let client = Client::connect(&served.socket).await.unwrap();
    let opened = tokio::spawn(async move { client.shell("demo/an".parse().unwrap(), 80, 24).await.unwrap() });
    let Request::Shell { reply, .. } = fake.request().await else {
        panic!("a shell")
    };
    let (printed, output) = mpsc::channel(4);
    let (input, typed) = mpsc::channel(4);
    reply.send(Ok(ShellSession { output, input })).unwrap();
    let (mut reader, _writer) = within(opened).await.unwrap();
    drop(typed);
    printed.send(Bytes::from_static(b"logout")).await.unwrap();
    drop(printed);
    assert_eq!(within(reader.next()).await.unwrap().unwrap(), &b"logout"[..]);
    assert!(within(reader.next()).await.unwrap().is_none());
}

#[tokio::test]
async fn connections_are_bounded_and_a_place_is_free_again_afterwards() {
    let fake = Fake::new();
    let served = serve(&fake.handle);
    let client = Client::connect(&served.socket).await.unwrap();
    let mut watches = Vec::new();
    for _ in 0..server::CONNECTIONS_MAX {
        let mut watch = client.watch().await.unwrap();
        within(watch.snapshot()).await.unwrap();
        watches.push(watch);
    }
    let error = within(client.watch()).await.err().unwrap();
    assert!(
        matches!(&error, ConnectError::Busy(text) if text.contains("256")),
        "{error}"
    );
    watches.pop();
    let expected = server::CONNECTIONS_MAX - 1;
    within(fake.handle.attached().wait_for(|count| *count == expected))
        .await
        .unwrap();
    while client.watch().await.is_err() {
        tokio::task::yield_now().await;
    }
}

/// Runs the real program as another user against a socket that everybody may knock at.
#[tokio::test]
async fn somebody_without_a_role_is_refused_before_anything_is_said() {
    const NOBODY: u32 = 65534;
    assert!(
        rustix::process::geteuid().is_root(),
        "this test runs a program as another user: run `make test` as root"
    );
    let fake = Fake::new();
    let served = serve(&fake.handle);
    std::fs::set_permissions(served.directory.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let program = served.directory.path().join("labtop");
    std::fs::copy(env!("CARGO_BIN_EXE_labtop"), &program).unwrap();

    for line in ["ls", "room freeze r"] {
        let mut process = tokio::process::Command::new(&program);
        process.args(line.split(' ')).uid(NOBODY).gid(NOBODY).current_dir("/");
        process
            .env_clear()
            .env("LABTOP_SOCKET", &served.socket)
            .env("HOME", "/")
            .kill_on_drop(true);
        let output = within(process.output()).await.unwrap();
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(3), "{told}");
        assert!(told.contains("has no role here"), "{told}");
    }
    assert_eq!(*fake.handle.attached().borrow(), 0);
}
