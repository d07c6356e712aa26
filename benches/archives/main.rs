//! Archives against what an administrator has without labtop, in the same run, on the same server:
//! `docker cp SEAT:/workspace - | zstd -3 -T1 | rclone rcat`. And the memory that the agent takes for them.
//!
//! `make bench` prints them. A smaller run: `LABTOP_BENCH_MIB` (of the large file), `LABTOP_BENCH_FILES`, `LABTOP_BENCH_PAIRS`.

#[path = "../../tests/bucket/mod.rs"]
mod bucket;
#[path = "../figures/mod.rs"]
mod figures;
#[path = "../../tests/lab/mod.rs"]
mod lab;
mod memory;
mod ours;
mod peer;
mod work;

use std::time::Duration;

use bucket::{BUCKET, Keys, Rclone};
use figures::spread;
use lab::{Lab, TEMPLATE};
use work::Work;

/// Interleaved pairs of archives.
const PAIRS: usize = 5;
/// Size of the large file.
const MIB: u64 = 1024;
/// How many small files there are.
const FILES: u64 = 50_000;
/// Seats that are archived at once.
const AT_ONCE: usize = 8;
/// The peak that the agent may add, MiB, for one archive and for [`AT_ONCE`].
const ONE_MIB: u64 = 64;
const ALL_MIB: u64 = 256;

fn main() {
    // `cargo test --benches` only wants to know that it builds.
    if !std::env::args().any(|arg| arg == "--bench") {
        return;
    }
    let mib = asked("MIB", MIB);
    let large = Work::Incompressible { mib };
    let small = Work::SmallFiles {
        files: asked("FILES", FILES),
    };
    let pairs = usize::try_from(asked("PAIRS", PAIRS as u64)).unwrap().max(1);
    for work in [large, small] {
        speed(work, pairs);
    }
    for (work, seats, goal) in [
        (large, 1, ONE_MIB),
        (small, 1, ONE_MIB),
        (Work::Incompressible { mib: mib / 4 }, AT_ONCE, ALL_MIB),
    ] {
        memory::print(work, seats, goal);
    }
}

/// A number of the environment.
fn asked(name: &str, otherwise: u64) -> u64 {
    let value = std::env::var(format!("LABTOP_BENCH_{name}")).ok();
    value.map_or(otherwise, |text| {
        text.parse()
            .unwrap_or_else(|_| panic!("LABTOP_BENCH_{name} is no whole number: {text}"))
    })
}

/// A laboratory whose archives go to a server of its own.
struct Scene {
    lab: Lab,
    server: Rclone,
    keys: Keys,
}

impl Scene {
    fn new(seats: usize, work: Work) -> Self {
        let (server, keys) = (Rclone::start(), Keys::new());
        let config = format!(
            "archive.store = \"s3\"\n{TEMPLATE}\n[limits]\narchives_in_flight = {AT_ONCE}\n[archive.s3]\n\
             endpoint = \"http://{}\"\nbucket = \"{BUCKET}\"\naccess_key_file = \"{}\"\nsecret_key_file = \"{}\"\n",
            server.address,
            keys.access().display(),
            keys.secret().display()
        );
        let lab = Lab::with_config(&config);
        lab.run(&["room", "open", "r", "--seats", &seats.to_string()]).expect(0);
        for n in 1..=seats {
            let seat = lab.seat("r", &format!("s{n:02}"));
            work.fill(seat["container_id"].as_str().unwrap());
        }
        Self { lab, server, keys }
    }

    /// Removes what was stored, and waits until the disk is at rest.
    fn settle(&self) {
        let bucket = self.server.dir.path().join(BUCKET);
        std::fs::remove_dir_all(&bucket).unwrap();
        std::fs::create_dir(&bucket).unwrap();
        rustix::fs::sync();
    }
}

/// How fast a seat's work is stored, and proven too, beside the peer's pipeline.
fn speed(work: Work, pairs: usize) {
    let scene = Scene::new(1, work);
    let container = scene.lab.seat("r", "s01")["container_id"].as_str().unwrap().to_owned();
    // Only the archive is timed, so that its phases can be told apart.
    scene.lab.kill_agent();
    let ours = ours::Ours::new(&scene);
    let (mut stored, mut verified, mut peers) = (Vec::new(), Vec::new(), Vec::new());
    for pair in 0..=pairs {
        let (times, peer) = if pair % 2 == 0 {
            let times = ours.archive(pair);
            scene.settle();
            (times, peer::archive(&scene, &container))
        } else {
            let peer = peer::archive(&scene, &container);
            scene.settle();
            (ours.archive(pair), peer)
        };
        scene.settle();
        // The first pair warms the page cache.
        if pair > 0 {
            stored.push(times.stored);
            verified.push(times.verified);
            peers.push(peer);
        }
    }
    println!("archive of {work} to rclone's S3 server, {pairs} interleaved pairs, seconds");
    println!("  labtop, stored                {}", spread(&seconds(&stored), " s"));
    println!("  labtop, stored and read back  {}", spread(&seconds(&verified), " s"));
    println!("  docker cp | zstd | rclone     {}", spread(&seconds(&peers), " s"));
    println!(
        "  speed ratio, stored           {} (goal: at least 1.00)",
        spread(&ratios(&stored, &peers), "")
    );
    println!(
        "  speed ratio, read back too    {} (goal: at least 0.80)",
        spread(&ratios(&verified, &peers), "")
    );
}

fn seconds(times: &[Duration]) -> Vec<f64> {
    times.iter().map(Duration::as_secs_f64).collect()
}

/// Our speed ÷ the peer's, pair by pair.
fn ratios(ours: &[Duration], peers: &[Duration]) -> Vec<f64> {
    let pairs = ours.iter().zip(peers);
    pairs
        .map(|(ours, peer)| peer.as_secs_f64() / ours.as_secs_f64())
        .collect()
}
