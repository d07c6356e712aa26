//! The agent's figures for Prometheus, on the real binary: every line of the page is held to the format, and the figures
//! are what was done.

mod lab;
mod openmetrics;

use std::io::{Read, Write};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use lab::{Lab, TEMPLATE, until};
use openmetrics::Page;

fn site() -> (Lab, PathBuf, tempfile::TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("figures/metrics.sock");
    let lab = Lab::with_config(&format!(
        "{TEMPLATE}\n[agent]\nmetrics_socket = \"{}\"\n",
        socket.display()
    ));
    (lab, socket, dir)
}

/// Asks as a collector does; status line, head and body.
fn get(socket: &Path, path: &str) -> (String, String, String) {
    let mut stream = UnixStream::connect(socket).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: labtop\r\nConnection: close\r\n\r\n"
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let (status, head) = head.split_once("\r\n").unwrap();
    (status.to_owned(), head.to_owned(), body.to_owned())
}

fn page(socket: &Path) -> Page {
    let (status, head, body) = get(socket, "/metrics");
    assert_eq!(status, "HTTP/1.1 200 OK");
    assert!(
        head.to_ascii_lowercase()
            .contains("content-type: application/openmetrics-text"),
        "{head}"
    );
    Page::parse(&body).unwrap_or_else(|wrong| panic!("{wrong}\n{body}"))
}

#[test]
fn the_figures_are_what_was_done_and_every_line_is_well_formed() {
    let (lab, socket, _dir) = site();
    lab.run(&["room", "open", "r", "--students", "zo.1,zo.2,zo.3"])
        .expect(0);
    let found = std::fs::symlink_metadata(&socket).unwrap();
    assert!(
        found.file_type().is_socket() && found.mode() & 0o777 == 0o660,
        "{:o}",
        found.mode()
    );

    let open = page(&socket);
    assert_eq!(open.value("labtop_rooms", &[("phase", "open")]), Some(1.0));
    assert_eq!(open.value("labtop_seats", &[("phase", "ready")]), Some(3.0));
    assert_eq!(open.value("labtop_seats", &[("phase", "failed")]), Some(0.0));
    assert_eq!(open.value("labtop_leases", &[]), Some(3.0));
    let left = open.value("labtop_room_lease_left_seconds", &[("room", "r")]).unwrap();
    assert!((10_000.0..=10_800.0).contains(&left), "{left}");
    assert_eq!(open.value("labtop_engine_up", &[]), Some(1.0));
    let done = [("verb", "room open"), ("outcome", "done")];
    assert_eq!(open.value("labtop_commands_total", &done), Some(1.0));
    assert_eq!(
        open.value("labtop_archives_stored_total", &[("kind", "closing")]),
        Some(0.0)
    );
    assert_eq!(
        open.value("labtop_connections_refused_total", &[("reason", "user")]),
        Some(0.0)
    );
    assert!(open.value("labtop_ledger_write_seconds_count", &[]).unwrap() >= 1.0);
    assert!(open.value("labtop_snapshot_age_seconds", &[]).unwrap() < 10.0);
    assert!(open.value("process_resident_memory_bytes", &[]).unwrap() > 1e6);
    let fds = open.value("process_open_fds", &[]).unwrap();
    assert!((5.0..500.0).contains(&fds), "{fds}");

    lab.run(&["room", "close", "nowhere"]).expect(1);
    lab.run(&["room", "close", "r"]).expect(0);
    let closed = page(&socket);
    for name in ["labtop_archives_stored_total", "labtop_archives_verified_total"] {
        assert_eq!(closed.value(name, &[("kind", "closing")]), Some(3.0), "{name}");
    }
    let bytes = closed
        .value("labtop_archived_bytes_total", &[("kind", "closing")])
        .unwrap();
    assert!(bytes >= 3.0 * "work of zo.1\n".len() as f64, "{bytes}");
    let failed = [("kind", "closing"), ("stage", "store")];
    assert_eq!(closed.value("labtop_archives_failed_total", &failed), Some(0.0));
    assert_eq!(closed.value("labtop_seats", &[("phase", "ready")]), Some(0.0));
    assert_eq!(closed.value("labtop_leases", &[]), Some(0.0));
    let refused = [("verb", "room close"), ("outcome", "refused")];
    assert_eq!(closed.value("labtop_commands_total", &refused), Some(1.0));

    for (page, when) in [(&open, "open"), (&closed, "closed")] {
        for student in ["zo.1", "zo.2", "zo.3"] {
            assert!(!page.text.contains(student), "{student} is named while it is {when}");
        }
    }
}

#[test]
fn other_pages_are_not_there_and_the_socket_goes_with_the_agent() {
    let (lab, socket, _dir) = site();
    let mut agent = lab.spawn(&["agent"]);
    until("the agent serves figures", || socket.exists().then_some(()));
    assert_eq!(get(&socket, "/").0, "HTTP/1.1 404 Not Found");
    let pid = i32::try_from(agent.id()).ok().and_then(rustix::process::Pid::from_raw);
    rustix::process::kill_process(pid.unwrap(), rustix::process::Signal::TERM).unwrap();
    assert!(agent.wait().unwrap().success());
    assert!(!socket.exists());
}

/// Collectors that hang take all places, for a while; nobody else notices.
#[test]
fn collectors_that_hang_hold_up_nobody_and_are_thrown_out() {
    let (lab, socket, _dir) = site();
    lab.run(&["room", "open", "r", "--seats", "1"]).expect(0);
    let hanging: Vec<UnixStream> = (0..20).map(|_| UnixStream::connect(&socket).unwrap()).collect();
    let begin = Instant::now();
    lab.run(&["ls"]).expect(0);
    assert!(begin.elapsed() < Duration::from_secs(5), "{:?}", begin.elapsed());
    drop(page(&socket));
    assert!(
        begin.elapsed() > Duration::from_secs(5),
        "the places were not bounded: {:?}",
        begin.elapsed()
    );
    drop(hanging);
}

#[test]
fn a_users_own_agent_serves_none_and_a_bad_place_is_no_reason_to_fail() {
    let lab = Lab::with_config(&format!("{TEMPLATE}\n[agent]\nmetrics_socket = \"/dev/null/no\"\n"));
    lab.run(&["room", "open", "r", "--seats", "1"]).expect(0);
    let log = std::fs::read_to_string(lab.state().join("log/agent.log")).unwrap();
    assert!(
        log.contains("no figures are served") && log.contains("metrics_socket"),
        "{log}"
    );
    let own = Lab::new();
    own.run(&["room", "open", "r", "--seats", "1"]).expect(0);
    let sockets = std::fs::read_dir(own.state()).unwrap().flatten();
    let sockets: Vec<_> = sockets.filter(|entry| entry.file_type().unwrap().is_socket()).collect();
    assert_eq!(sockets.len(), 1, "{sockets:?}");
}
