//! A fake engine loop behind the real handle, and a real socket before it.
#![allow(dead_code, reason = "each test program uses its own part of this")]

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use labtop::domain::ids::InstanceId;
use labtop::domain::notice::Notice;
use labtop::domain::role::{Actor, Rights, Role, RoleSettings};
use labtop::domain::seen::{EngineInfo, EngineState, HostFigures};
use labtop::domain::snapshot::{Phase, RoomPhase, RoomView, SeatView, Snapshot};
use labtop::engine::handle::{Handle, Request};
use labtop::wire::server::{self, Host, Peers};
use tokio::sync::{broadcast, mpsc, watch};
use tokio_util::sync::CancellationToken;

/// Nothing here takes longer on a healthy machine; a test that hangs fails instead.
pub const PATIENCE: Duration = Duration::from_secs(30);

pub async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future)
        .await
        .expect("this takes far too long")
}

pub fn instance() -> InstanceId {
    "0123abcd-0000-4000-8000-000000000000".parse().unwrap()
}

pub fn actor() -> Actor {
    Actor {
        uid: 0,
        name: "root".to_owned(),
        origin: None,
        rights: Rights::of(Role::Admin),
    }
}

pub fn seat(room: &str, student: &str) -> SeatView {
    SeatView {
        room: room.parse().unwrap(),
        student: student.parse().unwrap(),
        phase: Phase::Ready,
        container_id: Some("0123456789abcdef".parse().unwrap()),
        cpu_percent: Some(12.5),
        cpu_history: vec![1, 2, 3],
        cpu_limit_percent: 100.0,
        memory_bytes: Some(50 << 20),
        memory_limit_bytes: Some(512 << 20),
        pids: Some(3),
        lease_seconds_left: Some(3600),
        held: false,
        route: format!("/api/r/{student}"),
        archive_id: None,
        fault: None,
        oom_kills: 0,
        doing: String::new(),
    }
}

pub fn room(name: &str, seats: Vec<SeatView>) -> RoomView {
    RoomView {
        name: name.parse().unwrap(),
        template: "node".parse().unwrap(),
        exam: false,
        phase: RoomPhase::Open,
        lease_seconds_left: Some(3600),
        seats_total: seats.len(),
        closing_seconds_left: None,
        closing_bytes: 0,
        closing_rate: 0,
        seats,
        fault: None,
    }
}

pub fn snapshot(serial: u64, rooms: Vec<RoomView>) -> Arc<Snapshot> {
    Arc::new(Snapshot {
        serial,
        instance: instance(),
        clock: "10:00:00".to_owned(),
        engine: EngineState::Up(EngineInfo {
            version: "20.10.24".to_owned(),
            api: "1.41".to_owned(),
            id: "ENGINE".into(),
        }),
        host: HostFigures::default(),
        rooms,
        templates: vec!["node".parse().unwrap()],
    })
}

/// What stands behind the handle.
pub struct Fake {
    pub handle: Handle,
    pub requests: mpsc::Receiver<Request>,
    pub snapshots: watch::Sender<Arc<Snapshot>>,
    pub notices: broadcast::Sender<Notice>,
}

/// Notices that may wait for a slow client.
pub const NOTICES: usize = 4;

impl Fake {
    pub fn new() -> Self {
        let (to_loop, requests) = mpsc::channel(8);
        let (snapshots, seen) = watch::channel(snapshot(1, vec![]));
        let notices = broadcast::Sender::new(NOTICES);
        Self {
            handle: Handle::new(to_loop, seen, notices.clone()),
            requests,
            snapshots,
            notices,
        }
    }

    pub fn host(&self) -> Host {
        Host {
            handle: self.handle.clone(),
            instance: instance(),
            shutdown: CancellationToken::new(),
        }
    }

    pub async fn request(&mut self) -> Request {
        within(self.requests.recv()).await.expect("the server is gone")
    }
}

/// An agent of the test's own at a socket of its own.
pub struct Served {
    pub socket: PathBuf,
    pub shutdown: CancellationToken,
    pub done: tokio::task::JoinHandle<()>,
    pub directory: tempfile::TempDir,
}

pub fn serve(handle: &Handle) -> Served {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("run/agent.sock");
    let listener = server::bind(&socket).unwrap();
    let shutdown = CancellationToken::new();
    let done = tokio::spawn(server::serve(
        listener,
        Peers::new(RoleSettings::default()),
        (handle.clone(), instance()),
        shutdown.clone(),
    ));
    Served {
        socket,
        shutdown,
        done,
        directory,
    }
}
