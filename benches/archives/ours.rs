//! labtop's own archive of a seat, as its engine makes it, with its phases told apart.

use std::sync::Arc;
use std::time::{Duration, Instant};

use labtop::domain::ids::SeatId;
use labtop::domain::proof::{Stillness, VerifyMode};
use labtop::domain::settings::{NetworkSettings, RoutingSettings};
use labtop::domain::template::Selection;
use labtop::pack::squeeze::Compression;
use labtop::world::archive::{Archives, Draft, Manner, Store};
use labtop::world::docker::{Docker, Options, Parts};
use tokio::runtime::Runtime;
use tokio::sync::mpsc;

use crate::Scene;

/// A room's first opening.
const SESSION: u64 = 1;

/// Until the work is stored, and until it is proven too.
pub struct Times {
    pub stored: Duration,
    pub verified: Duration,
}

/// The adapters of an agent.
pub struct Ours {
    runtime: Runtime,
    docker: Docker,
    archives: Archives,
    seat: SeatId,
}

impl Ours {
    pub fn new(scene: &Scene) -> Self {
        let instance = scene.lab.instance().unwrap();
        let scratch = scene.lab.path().join("scratch");
        // As a configuration without a word about it has it.
        let mut settings = scene.keys.settings(scene.server.address);
        (settings.idle_seconds, settings.retries) = (30, 4);
        let manner = Manner {
            instance: instance.parse().unwrap(),
            compression: Compression { level: 3, threads: 0 },
            verify: VerifyMode::Full,
            scratch: scratch.clone(),
        };
        Self {
            runtime: Runtime::new().unwrap(),
            docker: docker(&instance),
            archives: Archives::new(Store::s3(&settings, &scratch).unwrap(), manner),
            seat: "r/s01".parse().unwrap(),
        }
    }

    /// Archives the seat and proves it.
    pub fn archive(&self, n: usize) -> Times {
        self.runtime.block_on(async {
            let start = Instant::now();
            let draft = Draft {
                id: format!("20261124T034512Z-{n:08x}").parse().unwrap(),
                seat: self.seat.clone(),
                session: SESSION,
                epoch: 1,
                created_unix_ms: 1_790_000_000_000,
                selection: Selection {
                    workspace: "/workspace".into(),
                    ..Selection::default()
                },
            };
            let selection = draft.selection.clone();
            let work = self.docker.work(&self.seat, SESSION, Parts::All).await.unwrap();
            let log = work.log().await;
            let (to, supply) = mpsc::channel(1);
            let put = self.archives.put(draft, log, supply, Arc::default());
            let (claim, supplied) = tokio::join!(put, work.supply(&selection, to));
            supplied.unwrap();
            let claim = claim.unwrap();
            let stored = start.elapsed();
            self.archives.verify(claim, Stillness::Absent).await.unwrap();
            let verified = start.elapsed();
            Times { stored, verified }
        })
    }
}

fn docker(instance: &str) -> Docker {
    let options = Options {
        host: "unix:///var/run/docker.sock".into(),
        tls: None,
        instance: instance.parse().unwrap(),
        network: NetworkSettings {
            pool: [10, 208, 0, 0].into(),
            pool_prefix: 12,
            prefix: 24,
        },
        routing: RoutingSettings::of_gateway("http://127.0.0.1:8091/".into()),
    };
    Docker::new(options).unwrap()
}
