//! The meter against the kernel: a control group of the test's own, with a busy program in it.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::{Duration, Instant};

use labtop::domain::ids::ContainerId;
use labtop::world::meter::{CgroupMeter, HostMeter};

const ROOT: &str = "/sys/fs/cgroup";

/// A program that waits for a line, then runs, inside a control group that only this test uses.
struct Seat {
    id: ContainerId,
    child: Child,
    stdin: ChildStdin,
    groups: Vec<PathBuf>,
}

impl Seat {
    fn new(script: &str) -> Self {
        let id = format!("{}{}", uuid::Uuid::new_v4().simple(), uuid::Uuid::new_v4().simple());
        let mut child = Command::new("sh")
            .args(["-c", &format!("read go; {script}")])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let stdin = child.stdin.take().unwrap();
        // From here on the guard cleans up, whatever fails.
        let mut seat = Self {
            id: id.parse().unwrap(),
            child,
            stdin,
            groups: Vec::new(),
        };
        for hierarchy in hierarchies() {
            seat.join(hierarchy.join(format!("labtop-test-{id}")));
        }
        seat
    }

    fn join(&mut self, group: PathBuf) {
        fs::create_dir(&group).unwrap_or_else(|error| {
            panic!(
                "cannot make {}: {error}; run the tests as root (`sudo make test`)",
                group.display()
            )
        });
        self.groups.push(group.clone());
        fs::write(group.join("cgroup.procs"), self.child.id().to_string()).unwrap();
    }

    fn go(&mut self) {
        self.stdin.write_all(b"go\n").unwrap();
    }

    /// Waits for a line that the program prints.
    fn heard(&mut self) {
        let mut line = String::new();
        BufReader::new(self.child.stdout.as_mut().unwrap())
            .read_line(&mut line)
            .unwrap();
        assert_eq!(line, "ready\n");
    }

    fn named(&self) -> [(ContainerId, u32); 1] {
        [(self.id.clone(), self.child.id())]
    }

    /// Time on a core by the scheduler's own book, nanoseconds.
    fn on_core_ns(&self) -> f64 {
        let text = fs::read_to_string(format!("/proc/{}/schedstat", self.child.id())).unwrap();
        text.split_whitespace().next().unwrap().parse().unwrap()
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        for group in &self.groups {
            // The kernel lets go of a dead program's group a moment later.
            let start = Instant::now();
            while fs::remove_dir(group).is_err() && group.exists() && start.elapsed() < Duration::from_secs(5) {
                std::thread::sleep(Duration::from_millis(5));
            }
        }
    }
}

/// Where groups are to be made: one place on version 2, one for each controller on version 1.
fn hierarchies() -> Vec<PathBuf> {
    let root = Path::new(ROOT);
    if root.join("cgroup.controllers").exists() {
        // Usually so already.
        let _ = fs::write(root.join("cgroup.subtree_control"), "+cpu +memory +pids");
        return vec![root.into()];
    }
    ["cpuacct", "memory", "pids"]
        .map(|controller| root.join(controller))
        .into()
}

#[test]
fn a_busy_program_takes_what_the_scheduler_says() {
    let mut meter = CgroupMeter::default();
    assert!(
        meter.usable(),
        "this host's control groups count no CPU, memory or processes"
    );
    let mut seat = Seat::new("echo ready; while :; do :; done");
    seat.go();
    seat.heard();
    let first = meter.sample(&seat.named())[&seat.id];
    assert_eq!(first.cpu_percent, None);
    assert_eq!(first.pids, 1);
    let (start, before) = (Instant::now(), seat.on_core_ns());
    std::thread::sleep(Duration::from_millis(600));
    let percent = meter.sample(&seat.named())[&seat.id].cpu_percent.unwrap();
    let expected = (seat.on_core_ns() - before) / start.elapsed().as_nanos() as f64 * 100.0;
    // About 100 where nothing else runs; a busy host gives it less, and the scheduler's book knows.
    assert!(
        (f64::from(percent) - expected).abs() < 5.0,
        "{percent} % metered, {expected} % by the scheduler"
    );
    assert!(percent > 20.0 && percent < 103.0, "{percent} %");
}

#[test]
fn file_cache_is_not_counted_as_memory() {
    // Beside the build, which is on a disk; /tmp may be memory, whose files are no cache.
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let file = dir.path().join("cached");
    let hold = "held=$(head -c 20000000 /dev/zero | tr '\\0' x)";
    let cache = format!("head -c 64000000 /dev/zero > '{}'", file.display());
    let mut seat = Seat::new(&format!("{hold}; {cache}; echo ready; read never"));
    seat.go();
    seat.heard();
    let figures = CgroupMeter::default().sample(&seat.named())[&seat.id];
    let usage: u64 = seat
        .groups
        .iter()
        .flat_map(|group| ["memory.usage_in_bytes", "memory.current"].map(|file| group.join(file)))
        .find_map(|path| fs::read_to_string(path).ok()?.trim().parse().ok())
        .unwrap();
    assert!(usage > 80_000_000, "the kernel counts {usage} with the cache");
    assert!(figures.memory_bytes >= 20_000_000, "{figures:?}");
    assert!(figures.memory_bytes < usage - 50_000_000, "{figures:?} of {usage}");
}

#[test]
fn a_program_that_ended_has_no_figures() {
    let mut meter = CgroupMeter::default();
    let seat = Seat::new("true");
    let named = seat.named();
    assert_eq!(meter.sample(&named).len(), 1);
    drop(seat);
    assert!(meter.sample(&named).is_empty());
}

#[test]
fn this_host_has_figures() {
    let mut meter = HostMeter::default();
    meter.sample(Some(Path::new("/")));
    std::thread::sleep(Duration::from_millis(100));
    let figures = meter.sample(Some(Path::new("/var/lib/labtop/not/made")));
    assert!((0.0..=100.0).contains(&figures.cpu_percent), "{figures:?}");
    assert!(figures.memory_used_bytes > 0 && figures.memory_used_bytes < figures.memory_total_bytes);
    assert!(figures.disk_free_bytes > 0 && figures.disk_free_bytes < figures.disk_total_bytes);
}
