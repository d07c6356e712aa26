//! The real board at an agent of the test's own, which answers so much and no more: what waits for it is seen, holds up
//! no key, and is cancelled without a trace.

mod pty;
mod unpacking;
mod wire_support;

use std::path::Path;
use std::process::Command;

use labtop::domain::command::{Answer, ArchiveRow, Excerpt, Query};
use labtop::domain::fault::{Fault, FaultCode};
use labtop::domain::proof::VerifyMode;
use labtop::engine::handle::{LogStream, Request};
use pty::Terminal;
use tokio::sync::mpsc;
use unpacking::{Scratch, Tar};
use wire_support::{Fake, serve};

fn row(student: &str) -> ArchiveRow {
    ArchiveRow {
        kind: labtop::domain::command::ArchiveKind::Archive,
        session: 1,
        id: "20261124T034512Z-7f3a9c1b".parse().unwrap(),
        room: "r".parse().unwrap(),
        student: student.parse().unwrap(),
        created: "2026-11-24T03:45:12Z".to_owned(),
        bytes: 1,
        digest: String::new(),
        verified: true,
        key: String::new(),
        entries: 2,
        left_out: 0,
        torn: 0,
        verify: VerifyMode::Full,
    }
}

/// The first half of a tar, and nothing after it for as long as the sender lives.
fn half_a_tar() -> (mpsc::Sender<Result<bytes::Bytes, Fault>>, LogStream) {
    let tar = Tar::new()
        .dir("workspace")
        .file("workspace/big", vec![7; 1 << 16])
        .end();
    let (to, stream) = mpsc::channel(1);
    to.try_send(Ok(tar[..tar.len() / 2].to_vec().into())).unwrap();
    (to, stream)
}

/// Answers lists; begins everything else and ends none of it.
async fn answer(mut fake: Fake) {
    let (mut replies, mut streams) = (Vec::new(), Vec::new());
    while let Some(request) = fake.requests.recv().await {
        match request {
            Request::Ask {
                query: Query::Archives { .. },
                reply,
                ..
            } => {
                let rows = vec![row("bo"), row("an")];
                let _ = reply.send(Answer::Archives { rows });
            }
            Request::Ask { reply, .. } => replies.push(reply),
            Request::Fetch {
                excerpt: Excerpt::Work,
                reply,
                ..
            } => {
                let (to, stream) = half_a_tar();
                streams.push(to);
                let _ = reply.send(Ok(stream));
            }
            Request::Fetch { reply, .. } => {
                let _ = reply.send(Err(Fault::new(FaultCode::Store, "nothing of that here").into()));
            }
            other => panic!("{other:?}"),
        }
    }
}

fn board(socket: &Path, state: &Path) -> Terminal {
    std::fs::write(state.join("config.toml"), "").unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_labtop"));
    command.env("LABTOP_SOCKET", socket).env("LABTOP_STATE", state);
    command.env("LABTOP_CONFIG", state.join("config.toml"));
    let mut board = Terminal::start(&command);
    board.shows("No rooms");
    board.press("a");
    board.shows_line(&["▸", "an"]);
    board
}

/// Restores the archive under the cursor, until something of it is there.
fn restore(board: &mut Terminal, place: &Scratch) {
    board.press("R");
    board.shows("from archive");
    // Ctrl-U clears the field; the second Tab leads past Cancel.
    board.press(&format!("\x15{}\t\t", place.at("never").display()));
    board.shows("▸ Restore its files ◂");
    board.press("\r");
    board.shows("Under way: 1");
    while place.names().is_empty() {
        std::thread::yield_now();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_for_the_agent_is_cancelled_while_one_goes_on() {
    let fake = Fake::new();
    let served = serve(&fake.handle);
    let answering = tokio::spawn(answer(fake));
    let (state, place) = (tempfile::tempdir().unwrap(), Scratch::new());
    let mut board = board(&served.socket, state.path());

    board.press("V");
    board.shows_line(&["Verifying 2 archives", "0/2"]);
    restore(&mut board, &place);
    board.press("\x1b");
    board.shows_line(&["restore r/an", "x cancels"]);

    // Nothing of it holds up the keys.
    board.press("\r");
    board.shows("nothing of that here");
    board.press("\x1b");
    board.shows("Archives of all rooms");
    board.press("x");
    board.shows("Restoring r/an was cancelled; nothing of it is left");
    assert_eq!(place.names(), Vec::<String>::new());
    board.press("x");
    board.shows("Verifying was cancelled: 0 of 2");

    // Leaving is told what it costs, once.
    restore(&mut board, &place);
    board.press("\x1b");
    board.shows_line(&["restore r/an", "x cancels"]);
    board.press("\x1b");
    board.shows("No rooms");
    board.press("q");
    board.shows("Leaving cancels 1 task");
    board.press("q");
    assert_eq!(board.exit_code(), 0, "{}", board.screen());
    assert_eq!(place.names(), Vec::<String>::new(), "and nothing of it is left");
    answering.abort();
}
