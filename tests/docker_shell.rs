//! Logs, shells and the process list of real seats.

#[path = "support/docker.rs"]
mod support;

use std::time::{Duration, Instant};

use bytes::Bytes;
use labtop::world::docker::demo::STUDENT;
use labtop::world::docker::{Shell, ShellInput};
use support::{Lab, docker};

async fn read_until(shell: &mut Shell, mark: &str) -> String {
    let mut text = String::new();
    let reading = async {
        while !text.contains(mark) {
            match shell.output.recv().await {
                Some(bytes) => text.push_str(&String::from_utf8_lossy(&bytes)),
                None => break,
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(20), reading)
        .await
        .expect("the shell answers");
    assert!(text.contains(mark), "{mark} in {text}");
    text
}

async fn type_in(shell: &Shell, text: &'static str) {
    shell
        .input
        .send(ShellInput::Data(Bytes::from_static(text.as_bytes())))
        .await
        .unwrap();
}

/// A program that reads nothing while much is typed must not keep anybody in.
#[tokio::test]
async fn a_shell_that_takes_nothing_can_be_left() {
    let lab = Lab::new().await;
    let id = lab.provision(&lab.order("a")).await.id;
    let mut shell = lab.docker.shell(&id, STUDENT, "/workspace", 80, 24).await.unwrap();
    type_in(&shell, "stty raw -echo; echo rea''dy; exec sleep 4321\n").await;
    read_until(&mut shell, "ready").await;
    let flood = async {
        for _ in 0..2_000 {
            let piece = Bytes::from_static(&[b'x'; 4096]);
            if shell.input.send(ShellInput::Data(piece)).await.is_err() {
                break;
            }
        }
    };
    // It stands still at some point; a terminal holds a few kilobytes.
    assert!(tokio::time::timeout(Duration::from_secs(2), flood).await.is_err());
    drop(shell);
    let begun = Instant::now();
    while docker(&["top", id.as_str(), "-o", "pid,args"]).contains("sleep 4321") {
        assert!(begun.elapsed() < Duration::from_secs(10), "the left shell runs on");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Bytes that would be a frame of four gigabytes where frames are expected.
#[tokio::test]
async fn what_looks_like_a_frame_in_a_shell_is_shown_as_it_is() {
    let lab = Lab::new().await;
    let id = lab.provision(&lab.order("a")).await.id;
    let mut shell = lab.docker.shell(&id, STUDENT, "/workspace", 80, 24).await.unwrap();
    type_in(&shell, "echo rea''dy\n").await;
    read_until(&mut shell, "ready").await;
    // The pause makes the bytes the beginning of what is read next.
    type_in(
        &shell,
        "sleep 1; printf '\\001\\000\\000\\000\\377\\377\\377\\377'; sleep 1; echo af''ter\n",
    )
    .await;
    let told = read_until(&mut shell, "after").await;
    assert!(told.contains("\u{1}\0\0\0"), "{told:?}");
}

#[tokio::test]
async fn a_shell_is_the_students_and_ends_when_it_is_left() {
    let lab = Lab::new().await;
    let id = lab.provision(&lab.order("a")).await.id;
    let mut shell = lab.docker.shell(&id, STUDENT, "/workspace", 101, 33).await.unwrap();
    type_in(&shell, "stty size; id -u; pwd; echo en''d\n").await;
    let told = read_until(&mut shell, "end").await;
    assert!(
        told.contains("33 101") && told.contains("1000") && told.contains("/workspace"),
        "{told}"
    );
    shell
        .input
        .send(ShellInput::Resize { cols: 55, rows: 22 })
        .await
        .unwrap();
    type_in(&shell, "stty size; echo en''d2\n").await;
    assert!(read_until(&mut shell, "end2").await.contains("22 55"));

    // It is left while a program runs that heeds neither ^C nor ^D.
    type_in(
        &shell,
        "trap '' INT; (trap '' INT HUP; echo go''ing; exec sleep 4321)\n",
    )
    .await;
    read_until(&mut shell, "going").await;
    drop(shell);
    let begun = Instant::now();
    while docker(&["top", id.as_str(), "-o", "pid,args"]).contains("/bin/sh") {
        assert!(begun.elapsed() < Duration::from_secs(10), "the left shell runs on");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }

    let mut shell = lab.docker.shell(&id, STUDENT, "/workspace", 80, 24).await.unwrap();
    type_in(&shell, "exit\n").await;
    while shell.output.recv().await.is_some() {}
}

#[tokio::test]
async fn logs_begin_at_their_tail_and_end_with_the_container() {
    let lab = Lab::new().await;
    let mut order = lab.order("a");
    let script = "for i in 1 2 3 4 5; do echo line $i; done; echo oops >&2; exec sleep 1000";
    order.template.command = ["sh", "-c", script].map(str::to_owned).to_vec();
    let id = lab.provision(&order).await.id;
    let mut log = lab.docker.logs(&id, Some(100), true).await.unwrap();
    let mut text = String::new();
    while !text.contains("oops") {
        text.push_str(&String::from_utf8_lossy(&log.recv().await.unwrap().unwrap()));
    }
    lab.docker.kill(&id).await.unwrap();
    while log.recv().await.is_some() {}
    let mut log = lab.docker.logs(&id, Some(3), false).await.unwrap();
    let mut tail = String::new();
    while let Some(line) = log.recv().await {
        tail.push_str(&String::from_utf8_lossy(&line.unwrap()));
    }
    assert_eq!(tail.lines().count(), 3, "{tail}");
    assert!(lab.docker.logs(&"ab".parse().unwrap(), Some(3), false).await.is_err());
}

#[tokio::test]
async fn the_process_list_has_titles_and_rows() {
    let lab = Lab::new().await;
    let seat = lab.provision(&lab.order("a")).await;
    let id = seat.id.clone();
    let (titles, rows) = lab.docker.top(&id).await.unwrap();
    assert_eq!(titles.first().map(String::as_str), Some("PID"));
    assert!(
        rows.iter()
            .any(|row| row.last().is_some_and(|command| command.contains("sleep 3600"))),
        "{rows:?}"
    );
    lab.docker.kill(&id).await.unwrap();
    assert!(lab.docker.top(&id).await.is_err());
    assert!(
        lab.docker.cpu_ns(&seat).await.is_err(),
        "a stopped seat has no CPU time"
    );
}
