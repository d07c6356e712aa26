//! Seats' figures out of the kernel's control group files, versions 1 and 2, for an engine on this host.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::parse::{Group, Membership, crossed, down_to, keyed, membership, number};
use super::{Raw, figures};
use crate::domain::ids::ContainerId;
use crate::domain::seen::FiguresOf;

/// How often a container's network is read: each takes longer than all its other figures, and nobody shows it.
const NETWORK_EVERY: Duration = Duration::from_secs(5);

/// Where the figures of one container are. Paths, not open files: 900 seats would need more of those than a process
/// is usually allowed.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Places {
    V1 {
        cpuacct: PathBuf,
        memory: PathBuf,
        pids: PathBuf,
    },
    V2(PathBuf),
}

#[derive(Debug)]
struct Known {
    pid: u32,
    places: Places,
    previous: Option<Raw>,
    /// When the network was last read, and its bytes.
    network: Option<(Instant, Option<u64>)>,
}

/// Reads control groups and remembers the last reading of each container.
#[derive(Debug)]
pub struct CgroupMeter {
    proc: PathBuf,
    cgroup: PathBuf,
    known: BTreeMap<ContainerId, Known>,
}

impl Default for CgroupMeter {
    fn default() -> Self {
        Self::new("/proc".into(), "/sys/fs/cgroup".into())
    }
}

impl CgroupMeter {
    /// A meter that reads below these mounts of `proc` and of the control groups.
    #[must_use]
    pub fn new(proc: PathBuf, cgroup: PathBuf) -> Self {
        let known = BTreeMap::new();
        Self { proc, cgroup, known }
    }

    /// Whether this host's control groups count CPU, memory and processes, and this user can read them.
    #[must_use]
    pub fn usable(&self) -> bool {
        let Some(found) = self.membership_of("self") else {
            return false;
        };
        if self.is_walled_in() {
            return false;
        }
        match found {
            Membership::V1 { cpuacct, memory, pids } => [
                (cpuacct, "cpuacct", "cpuacct.usage"),
                (memory, "memory", "memory.stat"),
                (pids, "pids", "tasks"),
            ]
            .iter()
            .all(|(group, controller, file)| self.mount(group, controller).join(file).is_file()),
            Membership::V2 { .. } => {
                let path = self.cgroup.join("cgroup.controllers");
                let controllers = fs::read_to_string(path).unwrap_or_default();
                ["cpu", "memory", "pids"]
                    .iter()
                    .all(|name| controllers.split_whitespace().any(|c| c == *name))
            }
        }
    }

    /// Reads the given containers, each with the process id of its first program. Those that cannot be read (just
    /// ended, not on this host) are left out; those that are not given are forgotten.
    pub fn sample(&mut self, seats: &[(ContainerId, u32)]) -> FiguresOf {
        let mut last = std::mem::take(&mut self.known);
        let mut found = FiguresOf::new();
        for (id, pid) in seats {
            let known = last.remove(id).filter(|known| known.pid == *pid);
            let Some(mut known) = known.or_else(|| self.resolve(id, *pid)) else {
                continue;
            };
            let Some(mut now) = read(&known.places) else { continue };
            let (read_at, bytes) = known
                .network
                .filter(|(at, _)| now.at.duration_since(*at) < NETWORK_EVERY)
                .unwrap_or_else(|| (now.at, self.network_of(*pid)));
            known.network = Some((read_at, bytes));
            now.network_bytes = bytes;
            found.insert(id.clone(), figures(known.previous.replace(now), now));
            self.known.insert(id.clone(), known);
        }
        found
    }

    /// What has crossed the network that a process is in, both ways, without its loopback.
    fn network_of(&self, pid: u32) -> Option<u64> {
        let table = fs::read_to_string(self.proc.join(pid.to_string()).join("net/dev")).ok()?;
        crossed(&table)
    }

    /// One reading of a container without any memory of it; none when its files are not on this host.
    #[must_use]
    pub fn reading(&self, id: &ContainerId, pid: u32) -> Option<Raw> {
        read(&self.resolve(id, pid)?.places)
    }

    /// The processes of a container that runs or is frozen, by their ids on this host; empty when they cannot be read.
    #[must_use]
    pub fn processes(&self, id: &ContainerId, pid: u32) -> Vec<u32> {
        let Some(known) = self.resolve(id, pid) else {
            return Vec::new();
        };
        let (Places::V1 { pids: group, .. } | Places::V2(group)) = &known.places;
        let listed = text(group, "cgroup.procs").unwrap_or_default();
        listed.lines().filter_map(|line| line.trim().parse().ok()).collect()
    }

    fn resolve(&self, id: &ContainerId, pid: u32) -> Option<Known> {
        let places = match self.membership_of(&pid.to_string())? {
            Membership::V1 { cpuacct, memory, pids } => Places::V1 {
                cpuacct: self.own(&cpuacct, "cpuacct", id)?,
                memory: self.own(&memory, "memory", id)?,
                pids: self.own(&pids, "pids", id)?,
            },
            Membership::V2 { path } => Places::V2(below(&self.cgroup, &down_to(&path, id.as_str())?)),
        };
        Some(Known {
            pid,
            places,
            previous: None,
            network: None,
        })
    }

    /// Whether control groups of others are seen from inside a namespace of one's own, as in a container without
    /// `cgroup: host`: their paths then lead up and out of it.
    fn is_walled_in(&self) -> bool {
        let first = fs::read_to_string(self.proc.join("1/cgroup")).unwrap_or_default();
        first.lines().any(|line| line.contains(":/.."))
    }

    fn membership_of(&self, process: &str) -> Option<Membership> {
        let text = fs::read_to_string(self.proc.join(process).join("cgroup")).ok()?;
        membership(&text)
    }

    fn own(&self, group: &Group, controller: &str, id: &ContainerId) -> Option<PathBuf> {
        let path = down_to(&group.path, id.as_str())?;
        Some(below(&self.mount(group, controller), &path))
    }

    /// Distributions mount a hierarchy under all its controllers' names, or under each one's.
    fn mount(&self, group: &Group, controller: &str) -> PathBuf {
        let joint = self.cgroup.join(&group.controllers);
        if joint.is_dir() {
            joint
        } else {
            self.cgroup.join(controller)
        }
    }
}

fn below(mount: &Path, path: &str) -> PathBuf {
    mount.join(path.trim_start_matches('/'))
}

fn read(places: &Places) -> Option<Raw> {
    match places {
        Places::V1 { cpuacct, memory, pids } => {
            let cpu_ns = number(&text(cpuacct, "cpuacct.usage")?)?;
            let at = Instant::now();
            let usage = number(&text(memory, "memory.usage_in_bytes")?)?;
            let cache = keyed(&text(memory, "memory.stat")?, "total_inactive_file")?;
            Some(raw(cpu_ns, at, usage, cache, number(&text(pids, "pids.current")?)?))
        }
        Places::V2(group) => {
            let cpu_us = keyed(&text(group, "cpu.stat")?, "usage_usec")?;
            let at = Instant::now();
            let usage = number(&text(group, "memory.current")?)?;
            let cache = keyed(&text(group, "memory.stat")?, "inactive_file")?;
            let pids = number(&text(group, "pids.current")?)?;
            Some(raw(cpu_us.saturating_mul(1000), at, usage, cache, pids))
        }
    }
}

fn text(group: &Path, file: &str) -> Option<String> {
    fs::read_to_string(group.join(file)).ok()
}

/// The two memory counters are read one after the other, so the cache may seem larger than the whole.
fn raw(cpu_ns: u64, at: Instant, usage: u64, cache: u64, pids: u64) -> Raw {
    Raw {
        network_bytes: None,
        cpu_ns,
        memory_bytes: usage.saturating_sub(cache),
        pids: u32::try_from(pids).unwrap_or(u32::MAX),
        at,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "4c01db0b339c4c01db0b339c4c01db0b339c4c01db0b339c4c01db0b339c0000";

    struct Host {
        dir: tempfile::TempDir,
        id: ContainerId,
    }

    impl Host {
        fn new() -> Self {
            Self {
                dir: tempfile::tempdir().unwrap(),
                id: ID.parse().unwrap(),
            }
        }

        fn meter(&self) -> CgroupMeter {
            CgroupMeter::new(self.dir.path().join("proc"), self.dir.path().join("cgroup"))
        }

        fn file(&self, path: &str, text: &str) -> &Self {
            let path = self.dir.path().join(path.replace("ID", ID));
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text.replace("ID", ID)).unwrap();
            self
        }

        fn v1(&self) -> &Self {
            self.file(
                "proc/7/cgroup",
                "4:pids:/docker/ID\n3:memory:/docker/ID\n2:cpu,cpuacct:/docker/ID\n0::/\n",
            )
            .file("cgroup/cpu,cpuacct/docker/ID/cpuacct.usage", "1000000\n")
            .file("cgroup/memory/docker/ID/memory.usage_in_bytes", "10000\n")
            .file(
                "cgroup/memory/docker/ID/memory.stat",
                "cache 9\ntotal_inactive_file 4000\n",
            )
            .file("cgroup/pids/docker/ID/pids.current", "12\n")
        }

        fn v2(&self) -> &Self {
            self.file("proc/7/cgroup", "0::/system.slice/docker-ID.scope/init\n")
                .file(
                    "cgroup/system.slice/docker-ID.scope/cpu.stat",
                    "usage_usec 1000\nuser_usec 1\n",
                )
                .file("cgroup/system.slice/docker-ID.scope/memory.current", "10000\n")
                .file(
                    "cgroup/system.slice/docker-ID.scope/memory.stat",
                    "file 9\ninactive_file 4000\n",
                )
                .file("cgroup/system.slice/docker-ID.scope/pids.current", "12\n")
        }
    }

    #[test]
    fn both_versions_give_the_same_figures() {
        for prepare in [Host::v1, Host::v2] {
            let host = Host::new();
            prepare(&host);
            let mut meter = host.meter();
            let seats = [(host.id.clone(), 7)];
            let first = meter.sample(&seats)[&host.id];
            assert_eq!((first.cpu_percent, first.memory_bytes, first.pids), (None, 6000, 12));
            assert_eq!(meter.sample(&seats)[&host.id].cpu_percent, Some(0.0));
            host.file("cgroup/cpu,cpuacct/docker/ID/cpuacct.usage", "9000000000000\n")
                .file(
                    "cgroup/system.slice/docker-ID.scope/cpu.stat",
                    "usage_usec 9000000000\n",
                );
            assert!(meter.sample(&seats)[&host.id].cpu_percent.unwrap() > 1000.0);
        }
    }

    #[test]
    fn controllers_may_be_mounted_one_by_one() {
        let host = Host::new();
        host.v1();
        let cgroup = host.dir.path().join("cgroup");
        fs::rename(cgroup.join("cpu,cpuacct"), cgroup.join("cpuacct")).unwrap();
        assert_eq!(host.meter().sample(&[(host.id.clone(), 7)]).len(), 1);
    }

    #[test]
    fn memory_never_goes_below_nothing() {
        let host = Host::new();
        host.v1()
            .file("cgroup/memory/docker/ID/memory.stat", "total_inactive_file 99999999\n");
        assert_eq!(host.meter().sample(&[(host.id.clone(), 7)])[&host.id].memory_bytes, 0);
    }

    #[test]
    fn a_restart_begins_anew() {
        let host = Host::new();
        host.v1();
        let mut meter = host.meter();
        meter.sample(&[(host.id.clone(), 7)]);
        host.file(
            "proc/8/cgroup",
            "4:pids:/docker/ID\n3:memory:/docker/ID\n2:cpu,cpuacct:/docker/ID\n",
        );
        assert_eq!(meter.sample(&[(host.id.clone(), 8)])[&host.id].cpu_percent, None);
        assert_eq!(meter.sample(&[(host.id.clone(), 8)])[&host.id].cpu_percent, Some(0.0));
        host.file("cgroup/cpu,cpuacct/docker/ID/cpuacct.usage", "5\n");
        assert_eq!(meter.sample(&[(host.id.clone(), 8)])[&host.id].cpu_percent, None);
    }

    #[test]
    fn what_ended_or_was_never_ours_is_left_out() {
        let host = Host::new();
        host.v2().file("proc/9/cgroup", "0::/user.slice\n");
        let mut meter = host.meter();
        let other: ContainerId = "ab".parse().unwrap();
        assert!(meter.sample(&[(host.id.clone(), 9), (other, 7)]).is_empty());
        assert_eq!(meter.sample(&[(host.id.clone(), 7)]).len(), 1);
        fs::remove_dir_all(host.dir.path().join("cgroup")).unwrap();
        assert!(meter.sample(&[(host.id.clone(), 7)]).is_empty());
        assert!(meter.known.is_empty());
    }

    #[test]
    fn a_host_that_counts_too_little_is_not_usable() {
        let host = Host::new();
        assert!(!host.meter().usable());
        host.file("proc/self/cgroup", "0::/\n")
            .file("cgroup/cgroup.controllers", "cpuset cpu memory\n");
        assert!(!host.meter().usable());
        host.file("cgroup/cgroup.controllers", "cpuset cpu io memory pids\n");
        assert!(host.meter().usable());
        // In a container with a namespace of its own, the groups of others are out of sight.
        host.file("proc/1/cgroup", "0::/../../init.scope\n");
        assert!(!host.meter().usable());
        host.file("proc/1/cgroup", "0::/init.scope\n");
        assert!(host.meter().usable());
    }
}
