//! A laboratory on the real engine: an instance of its own, an image made on the spot, and everything removed at the
//! end, also after a panic.
#![allow(dead_code)] // Each test file uses its own part.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use futures_util::TryStreamExt;
use labtop::domain::effect::SeatOrder;
use labtop::domain::ids::{ContainerId, InstanceId, RoomName, SeatId};
use labtop::domain::names::{LABEL_INSTANCE, Names, route};
use labtop::domain::proof::{ArchiveClaim, Extent, Readback, Stillness, Stored, VerifiedArchive, Warrant};
use labtop::domain::seen::ContainerSeen;
use labtop::domain::settings::{NetworkSettings, RoutingSettings, TlsSettings};
use labtop::domain::template::{Egress, Selection, Template};
use labtop::world::archive::digest;
use labtop::world::docker::rootfs::{RootFs, short_digest};
use labtop::world::docker::{Docker, Options, Parts, demo};
use serde_json::Value;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// Where Debian's `busybox-static` puts it.
pub const BUSYBOX: &str = "/bin/busybox";
/// The engine of this machine.
const LOCAL: &str = "unix:///var/run/docker.sock";
/// The opening that tests use.
pub const SESSION: u64 = 7;

/// Options for the local engine and a new instance.
pub fn options(host: &str, tls: Option<TlsSettings>) -> Options {
    Options {
        host: host.to_owned(),
        tls,
        instance: uuid::Uuid::new_v4().to_string().parse().unwrap(),
        network: NetworkSettings {
            pool: [10, 208, 0, 0].into(),
            pool_prefix: 12,
            prefix: 24,
        },
        routing: RoutingSettings::of_gateway("http://127.0.0.1:8091/".into()),
    }
}

/// One instance on the local engine.
pub struct Lab {
    pub docker: Docker,
    pub instance: InstanceId,
    pub names: Names,
    pub image: String,
    pub room: RoomName,
}

impl Lab {
    /// A lab with the demo image and an open room called `lab`.
    pub async fn new() -> Self {
        let lab = Self::bare().await;
        lab.docker
            .ensure_network(&lab.room, SESSION, Egress::Open)
            .await
            .unwrap();
        lab
    }

    /// Options for another adapter of the same instance, as the next agent would have it.
    pub fn options(&self) -> Options {
        Options {
            instance: self.instance.clone(),
            ..options(LOCAL, None)
        }
    }

    /// The same without the room's network.
    pub async fn bare() -> Self {
        let options = options(LOCAL, None);
        let instance = options.instance.clone();
        let docker = Docker::new(options).unwrap();
        docker
            .hello()
            .await
            .expect("the tests need a running Docker engine: `apt-get install docker.io`");
        docker.demo_image(|_| ()).await.unwrap();
        let image = demo::IMAGE.to_owned();
        Self {
            docker,
            names: Names::new(&instance),
            instance,
            image,
            room: "lab".parse().unwrap(),
        }
    }

    /// The seat of `student` in the lab's room.
    pub fn seat(&self, student: &str) -> SeatId {
        SeatId::new(self.room.clone(), student.parse().unwrap())
    }

    /// An order for a seat that sleeps.
    pub fn order(&self, student: &str) -> SeatOrder {
        let seat = self.seat(student);
        SeatOrder {
            route: route(&seat.room, &seat.student, false),
            seat,
            session: SESSION,
            template: self.template(&["sleep", "3600"]),
            restore: None,
            exam: true,
            opened_unix_ms: 1_790_000_000_000,
            opened_by: "ann".into(),
        }
    }

    /// A small closed template.
    pub fn template(&self, command: &[&str]) -> Template {
        Template {
            name: "test".parse().unwrap(),
            image: self.image.clone(),
            command: command.iter().map(ToString::to_string).collect(),
            user: demo::STUDENT,
            port: Some(demo::PORT),
            memory_bytes: 64 * 1024 * 1024,
            millicpus: 500,
            pids: 64,
            nofile: 512,
            network: Egress::Open,
            workspace: "/workspace".into(),
            minutes: 10,
            starter: None,
            env: BTreeMap::new(),
            cap_add: Vec::new(),
            read_only: false,
            runtime: None,
            archive: Selection::default(),
            autosave: None,
            idle_minutes: None,
            activity: Vec::new(),
            door: labtop::domain::door::DoorPolicy::default(),
        }
    }

    /// Makes a seat.
    pub async fn provision(&self, order: &SeatOrder) -> ContainerSeen {
        self.docker.provision(order, &CancellationToken::new()).await.unwrap()
    }

    /// An image of the demo's base and something more.
    pub async fn variant(&self, change: impl FnOnce(RootFs) -> RootFs, changes: &[&str]) -> String {
        let tar = change(demo::base(Path::new(BUSYBOX)).unwrap()).finish().unwrap();
        let mut content = tar.clone();
        content.extend(changes.concat().bytes());
        let tag = format!("labtop-test:{}", short_digest(&content));
        if !self.docker.image_exists(&tag).await.unwrap() {
            let mut all = vec!["ENV PATH=/bin"];
            all.extend(changes);
            self.docker.import_image(&tag, tar, &all).await.unwrap();
        }
        tag
    }

    /// The tar stream of a seat's workspace.
    pub async fn workspace(&self, student: &str) -> Vec<u8> {
        let mut workspace = self.docker.workspace(&self.seat(student), SESSION).await.unwrap();
        let mut bytes = Vec::new();
        while let Some(chunk) = workspace.try_next().await.unwrap() {
            bytes.extend_from_slice(&chunk);
        }
        workspace.finish().await.unwrap();
        bytes
    }

    /// A warrant for the workspace as it is now, as the archive would give it for `stillness`.
    pub async fn warrant(&self, student: &str, stillness: Stillness) -> Warrant {
        let selection = Selection::default();
        let seat = self.seat(student);
        let work = self.docker.work(&seat, SESSION, Parts::All).await.unwrap();
        let (to, supply) = mpsc::channel(1);
        let (digests, supplied) = tokio::join!(digest(&seat, &selection, false, supply), work.supply(&selection, to));
        supplied.unwrap();
        let (content_digest, elsewhere_digest) = digests.unwrap();
        let claim = ArchiveClaim {
            id: "20261124T000000Z-0".parse().unwrap(),
            seat,
            session: SESSION,
            epoch: 1,
            key: "k".into(),
            bytes: 1,
            digest: "d".into(),
            content_bytes: 1,
            content_digest,
            created_unix_ms: 0,
            extent: Extent {
                elsewhere_digest,
                ..Extent::default()
            },
        };
        let back = Readback {
            workspace: Stored {
                bytes: 1,
                digest: "d".into(),
            },
            manifest: Stored::default(),
            log: None,
            content: None,
        };
        Warrant::Verified(VerifiedArchive::prove(claim, stillness, &back).unwrap())
    }

    /// What the engine says of a seat's container.
    pub fn inspect(&self, student: &str) -> Value {
        let found = docker(&["inspect", &self.names.seat(&self.seat(student))]);
        serde_json::from_str::<Value>(&found).unwrap()[0].take()
    }

    /// The carriers on the engine, in use or not.
    pub fn carriers(&self) -> Vec<ContainerId> {
        let instance = format!("label={LABEL_INSTANCE}={}", self.instance);
        let found = docker(&[
            "ps",
            "-aq",
            "--no-trunc",
            "--filter",
            &instance,
            "--filter",
            "label=io.labtop.kind=carrier",
        ]);
        found.lines().map(|id| id.parse().unwrap()).collect()
    }

    /// Runs a command inside a seat.
    pub fn exec(&self, student: &str, script: &str) -> String {
        docker(&[
            "exec",
            &self.names.seat(&self.seat(student)),
            "/bin/busybox",
            "sh",
            "-c",
            script,
        ])
    }

    /// Whether a seat's workspace exists.
    pub fn has_volume(&self, student: &str) -> bool {
        let name = self.names.volume(&self.seat(student), SESSION);
        try_docker(&["volume", "inspect", &name]).is_ok()
    }

    /// Waits for a file in a running seat's workspace to appear, by reading the workspace from outside. A reading
    /// that stumbles over a file that changes meanwhile is repeated.
    pub async fn await_file(&self, student: &str, path: &str) -> Vec<u8> {
        for _ in 0..200 {
            let mut workspace = self.docker.workspace(&self.seat(student), SESSION).await.unwrap();
            let chunks: Result<Vec<bytes::Bytes>, _> = (&mut workspace).try_collect().await;
            workspace.finish().await.unwrap();
            if let Some(content) = chunks.ok().and_then(|chunks| file_in(&chunks.concat(), path)) {
                return content;
            }
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
        panic!("{student} never wrote {path}");
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        remove_all(&self.instance);
    }
}

/// Removes everything that bears an instance's label, without the adapter.
pub fn remove_all(instance: &InstanceId) {
    let label = format!("label={LABEL_INSTANCE}={instance}");
    for (list, remove) in [
        (&["ps", "-aq", "--filter", &label][..], &["rm", "-fv"][..]),
        (&["volume", "ls", "-q", "--filter", &label], &["volume", "rm", "-f"]),
        (&["network", "ls", "-q", "--filter", &label], &["network", "rm"]),
    ] {
        let found = try_docker(list).unwrap_or_default();
        let ids: Vec<&str> = found.split_whitespace().collect();
        if !ids.is_empty() {
            let _ = try_docker(&[remove, &ids].concat());
        }
    }
}

/// Removes foreign things of a test by name at its end.
pub struct Foreign(pub &'static str, pub String);

impl Drop for Foreign {
    fn drop(&mut self) {
        let _ = match self.0 {
            "container" => try_docker(&["rm", "-fv", &self.1]),
            kind => try_docker(&[kind, "rm", &self.1]),
        };
    }
}

/// Runs the Docker command line; the tests' own eyes and hands, apart from the adapter.
pub fn docker(arguments: &[&str]) -> String {
    try_docker(arguments).unwrap_or_else(|error| panic!("docker {arguments:?}: {error}"))
}

/// The same, with its failure.
pub fn try_docker(arguments: &[&str]) -> Result<String, String> {
    let output = Command::new("docker")
        .args(arguments)
        .output()
        .map_err(|error| error.to_string())?;
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    } else {
        Err(String::from_utf8_lossy(&output.stderr).into_owned())
    }
}

/// The content of one file in a tar stream.
pub fn file_in(tar: &[u8], path: &str) -> Option<Vec<u8>> {
    let mut archive = tar::Archive::new(tar);
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        if entry.path_bytes().as_ref() == path.as_bytes() {
            let mut content = Vec::new();
            std::io::Read::read_to_end(&mut entry, &mut content).unwrap();
            return Some(content);
        }
    }
    None
}
