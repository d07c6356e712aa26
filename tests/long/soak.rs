//! A lab's days in minutes: rooms open, close and expire one after the other, 40 seats at a time; the agent stays as it
//! was, and nothing is left over. `make soak` takes 20 minutes.

use std::fs;
use std::time::{Duration, Instant};

use crate::lab::{Lab, TEMPLATE, until, until_within};

/// Seats of each of the two rooms that come and go side by side.
const SEATS: &str = "20";
/// Cycles that warm the agent up, and what they may take, KiB.
const WARM_CYCLES: usize = 16;
const WARM_UP_KIB: u64 = 48 << 10;
/// How much resident memory may grow after the warm-up, KiB.
const GROWTH_KIB: u64 = 5 << 10;
/// Connections to the ledger: one that writes, and readings at once.
const READINGS_MAX: usize = 16;
/// A lease of a minute ends after so long at the most; none is begun that would outlast the rest.
const EXPIRES_AFTER: Duration = Duration::from_secs(130);
/// A lease of a minute, announced a minute before its end, and the closing of a room.
const EXPIRES_WITHIN: Duration = Duration::from_mins(5);

fn duration() -> Duration {
    let seconds = std::env::var("LABTOP_SOAK_SECONDS")
        .ok()
        .and_then(|text| text.parse().ok());
    Duration::from_secs(seconds.unwrap_or(120))
}

/// What a process holds.
#[derive(Debug, Clone, Copy)]
struct Held {
    resident_kib: u64,
    descriptors: usize,
}

fn held(pid: u32) -> Held {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    let all = fs::read_dir(format!("/proc/{pid}/fd")).unwrap().flatten();
    let (of_ledger, others): (Vec<_>, Vec<_>) = all.partition(is_of_ledger);
    assert!(of_ledger.len() <= READINGS_MAX, "{of_ledger:?}");
    Held {
        resident_kib: line.split_whitespace().nth(1).unwrap().parse().unwrap(),
        descriptors: others.len(),
    }
}

/// `SQLite` keeps the descriptors of connections that ended for the next ones: as many as there ever were readings at once.
fn is_of_ledger(descriptor: &fs::DirEntry) -> bool {
    fs::read_link(descriptor.path()).is_ok_and(|file| file.ends_with("ledger.db"))
}

/// Caches, pools and the allocator's arenas fill at first; from then on memory is to stay where it is. A short run is over
/// before, and can only find what leaks by the megabyte.
fn judge(samples: &[Held]) {
    let resident = |held: &Held| held.resident_kib;
    println!("{} cycles: {samples:?}", samples.len());
    if samples.len() < 2 * WARM_CYCLES {
        let grown = samples.iter().map(resident).max().unwrap() - samples[0].resident_kib;
        assert!(grown <= WARM_UP_KIB, "memory grows by {grown} KiB: {samples:?}");
        return;
    }
    let (early, late) = samples[WARM_CYCLES..].split_at((samples.len() - WARM_CYCLES) / 2);
    let (then, now) = (
        median(early.iter().map(resident).collect()),
        late.iter().map(resident).max().unwrap(),
    );
    assert!(
        now <= then + GROWTH_KIB,
        "memory grows from {then} to {now} KiB: {samples:?}"
    );
}

fn median(mut values: Vec<u64>) -> u64 {
    values.sort_unstable();
    values[values.len() / 2]
}

/// Whether the agent has forgotten a room whose leases ran out.
fn is_gone(lab: &Lab, room: &str) -> bool {
    lab.ls().iter().all(|seat| seat["room"] != room)
}

#[test]
fn rooms_that_come_and_go_leave_nothing_behind() {
    let lab = Lab::with_config(TEMPLATE);
    lab.run(&["room", "open", "stays", "--seats", "1"]).expect(0);
    let pid = lab.agent_pid().unwrap();
    let end = Instant::now() + duration();
    let (mut samples, mut expiring, mut cycle) = (Vec::new(), None::<String>, 0);
    while Instant::now() < end || samples.len() < 6 {
        cycle += 1;
        let is_over = expiring.as_ref().is_none_or(|room| is_gone(&lab, room));
        let in_time = cycle == 1 || Instant::now() + EXPIRES_AFTER < end;
        if is_over && in_time {
            let room = format!("expires-{cycle}");
            lab.run(&["room", "open", &room, "--seats", SEATS, "--minutes", "1", "--detach"])
                .expect(0);
            expiring = Some(room);
        }
        let room = format!("closes-{cycle}");
        lab.run(&["room", "open", &room, "--seats", SEATS]).expect(0);
        lab.run(&["room", "close", &room]).expect(0);
        samples.push(held(pid));
    }
    let last = expiring.unwrap();
    until_within("the last leases run out", EXPIRES_WITHIN, || {
        is_gone(&lab, &last).then_some(())
    });

    assert_eq!(lab.agent_pid(), Some(pid), "it is the same agent");
    let left = lab.left_on_engine();
    assert_eq!(
        left.len(),
        3,
        "a container, a volume and a network of the room that stays: {left:?}"
    );
    judge(&samples);
    let least = samples.iter().map(|held| held.descriptors).min().unwrap();
    until("no descriptor is left over", || {
        (held(pid).descriptors <= least).then_some(())
    });
    lab.run(&["room", "close", "stays"]).expect(0);
    assert_eq!(lab.left_on_engine(), Vec::<String>::new());
}
