//! The kernel's text files as numbers: pure, and total on any input.

/// Which hierarchies of control groups a process is in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Membership {
    /// One for each controller.
    V1 { cpuacct: Group, memory: Group, pids: Group },
    /// One for all.
    V2 { path: String },
}

/// A group of a version 1 hierarchy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Group {
    /// The hierarchy's controllers as the kernel lists them, often also the name of its mount (`cpu,cpuacct`).
    pub(super) controllers: String,
    /// Path below the mount, beginning with `/`.
    pub(super) path: String,
}

/// Reads `/proc/PID/cgroup`: lines `ID:CONTROLLERS:PATH`; the unified hierarchy has no controllers there.
pub(super) fn membership(text: &str) -> Option<Membership> {
    let of = |wanted: &str| {
        lines(text)
            .find(|(controllers, _)| controllers.split(',').any(|name| name == wanted))
            .map(|(controllers, path)| Group {
                controllers: controllers.to_owned(),
                path: path.to_owned(),
            })
    };
    if let (Some(cpuacct), Some(memory), Some(pids)) = (of("cpuacct"), of("memory"), of("pids")) {
        return Some(Membership::V1 { cpuacct, memory, pids });
    }
    let (_, path) = lines(text).find(|(controllers, _)| controllers.is_empty())?;
    Some(Membership::V2 { path: path.to_owned() })
}

fn lines(text: &str) -> impl Iterator<Item = (&str, &str)> {
    text.lines().filter_map(|line| line.split_once(':')?.1.split_once(':'))
}

/// The part of a group's path that ends with the container's own group. The container's first program may have moved
/// itself further down (an init system does), and a process id that was given to another program is none of it.
pub(super) fn down_to(path: &str, container: &str) -> Option<String> {
    let mut kept = String::new();
    for part in path.split('/').filter(|part| !part.is_empty()) {
        if part == ".." {
            return None;
        }
        kept.push('/');
        kept.push_str(part);
        if part.contains(container) {
            return Some(kept);
        }
    }
    None
}

/// A file with one number in it.
pub(super) fn number(text: &str) -> Option<u64> {
    text.trim().parse().ok()
}

/// The number of a key in a file of lines `KEY NUMBER` (`memory.stat`, `cpu.stat`) or `KEY: NUMBER kB` (`meminfo`).
pub(super) fn keyed(text: &str, key: &str) -> Option<u64> {
    text.lines()
        .filter_map(|line| line.strip_prefix(key)?.strip_prefix([' ', ':']))
        .find_map(|rest| rest.split_whitespace().next()?.parse().ok())
}

/// Time of all cores together since the host started, in clock ticks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct HostTicks {
    pub(super) busy: u64,
    pub(super) total: u64,
}

/// Reads the first line of `/proc/stat`: user, nice, system, idle, iowait, irq, softirq, steal. The guest times that
/// follow are already in user and nice.
pub(super) fn host_ticks(text: &str) -> Option<HostTicks> {
    let line = text.lines().next()?.strip_prefix("cpu ")?;
    let ticks: Vec<u64> = line
        .split_whitespace()
        .take(8)
        .map_while(|tick| tick.parse().ok())
        .collect();
    let (idle, iowait) = (*ticks.get(3)?, ticks.get(4).copied().unwrap_or(0));
    let total = ticks.iter().sum::<u64>();
    Some(HostTicks {
        busy: total.saturating_sub(idle + iowait),
        total,
    })
}

/// Bytes received and sent on all interfaces but the loopback, out of the kernel's `net/dev`.
pub(super) fn crossed(table: &str) -> Option<u64> {
    let mut sum = 0_u64;
    for line in table.lines().skip(2) {
        let (name, counters) = line.split_once(':')?;
        if name.trim() == "lo" {
            continue;
        }
        let counters: Vec<u64> = counters.split_whitespace().filter_map(|n| n.parse().ok()).collect();
        sum = sum.checked_add(*counters.first()?)?.checked_add(*counters.get(SENT)?)?;
    }
    Some(sum)
}

/// Where the sent bytes stand among the counters of a line.
const SENT: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_crosses_the_network_is_both_ways_without_the_loopback() {
        let table = "Inter-|   Receive                                                |  Transmit\n \
             face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs\n    \
             lo:     100       1    0    0    0     0          0         0      100       1    0 0 0 0 0 0\n  \
             eth0:    2000      20    0    0    0     0          0         0      300       3    0 0 0 0 0 0\n";
        assert_eq!(crossed(table), Some(2_300));
        assert_eq!(crossed("a\nb\n"), Some(0));
        assert_eq!(crossed("a\nb\neth0: 1 2 3\n"), None);
        assert_eq!(crossed("a\nb\nno colon\n"), None);
    }
    use proptest::prelude::*;

    const ID: &str = "4c01db0b339c4c01db0b339c4c01db0b339c4c01db0b339c4c01db0b339c0000";

    #[test]
    fn a_version_1_host_lists_its_controllers() {
        let text = format!(
            "12:pids:/docker/{ID}\n11:cpu,cpuacct:/docker/{ID}\n5:memory:/docker/{ID}\n1:name=systemd:/docker/{ID}\n0::/x\n"
        );
        let Some(Membership::V1 { cpuacct, memory, pids }) = membership(&text) else {
            panic!("{text}")
        };
        assert_eq!(cpuacct.controllers, "cpu,cpuacct");
        for group in [cpuacct, memory, pids] {
            assert_eq!(group.path, format!("/docker/{ID}"));
        }
    }

    #[test]
    fn a_version_2_host_has_one_line() {
        let path = format!("/system.slice/docker-{ID}.scope/init: a");
        let found = membership(&format!("0::{path}\n"));
        assert_eq!(found, Some(Membership::V2 { path: path.clone() }));
        assert_eq!(down_to(&path, ID), Some(format!("/system.slice/docker-{ID}.scope")));
    }

    #[test]
    fn a_hybrid_host_without_the_controllers_is_version_2() {
        let text = "1:name=systemd:/a\n0::/a\n";
        assert_eq!(membership(text), Some(Membership::V2 { path: "/a".into() }));
        assert_eq!(membership(""), None);
    }

    #[test]
    fn a_group_of_somebody_else_is_none() {
        assert_eq!(down_to("/user.slice/session-3.scope", ID), None);
        assert_eq!(down_to(&format!("/../../docker/{ID}"), ID), None);
        assert_eq!(down_to("/", ID), None);
    }

    #[test]
    fn numbers_are_found_by_their_whole_key() {
        let stat = "cache 1\ninactive_file 2\ntotal_cache 3\ntotal_inactive_file 4096\ntotal_inactive_file_x 9\n";
        assert_eq!(keyed(stat, "inactive_file"), Some(2));
        assert_eq!(keyed(stat, "total_inactive_file"), Some(4096));
        assert_eq!(keyed(stat, "total"), None);
        let cpu = "usage_usec 2500000\nuser_usec 1\nsystem_usec 2\n";
        assert_eq!(keyed(cpu, "usage_usec"), Some(2_500_000));
        let memory = "MemTotal:        8052000 kB\nMemFree:  1 kB\nMemAvailable:    6000000 kB\n";
        assert_eq!(keyed(memory, "MemAvailable"), Some(6_000_000));
        assert_eq!(number("18446744073709551615\n"), Some(u64::MAX));
        assert_eq!(number("max\n"), None);
    }

    #[test]
    fn the_host_is_busy_when_it_neither_idles_nor_waits() {
        let text = "cpu  10 20 30 100 40 1 2 3 500 600\ncpu0 1 2 3 4\n";
        assert_eq!(host_ticks(text), Some(HostTicks { busy: 66, total: 206 }));
        assert_eq!(host_ticks("cpu  1 2"), None);
        assert_eq!(host_ticks("intr 1"), None);
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "(cpu |[0-9:/a,. \n]){0,60}", key in "[a-z]{0,3}") {
            let _ = membership(&text);
            let _ = down_to(&text, &key);
            let _ = keyed(&text, &key);
            let _ = number(&text);
        }
    }
}
