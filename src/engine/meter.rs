//! Figures once a second: from cgroup files when the engine is on this host, else from one-shot statistics.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use futures_util::{StreamExt, stream};
use tokio::sync::{mpsc, watch};
use tokio::time::{Interval, MissedTickBehavior};

use super::world::World;
use crate::domain::effect::Fact;
use crate::domain::ids::ContainerId;
use crate::domain::seen::{ContainerSeen, FiguresOf};
use crate::world::meter::{CgroupMeter, HostMeter, Raw, figures};

/// One sample of every seat a second: a runaway is seen before a person could act.
const EVERY: Duration = Duration::from_secs(1);
/// From the very first sample of seats to the second one: long enough for a figure, short enough for a person who waits.
const SECOND_SAMPLE_AFTER: Duration = Duration::from_millis(250);
/// Statistics asked for at once.
const ASKED_AT_ONCE: usize = 16;

/// Measures until nobody listens.
pub(super) async fn measure(world: World, mut live: watch::Receiver<Vec<ContainerSeen>>, facts: mpsc::Sender<Fact>) {
    let mut pace = Pace::new();
    let mut files = Files {
        cgroup: CgroupMeter::default(),
        host: HostMeter::default(),
    };
    let mut asked = BTreeMap::new();
    let local = world.docker.is_local() && files.cgroup.usable();
    while pace.next(&mut live).await {
        let seats = live.borrow().clone();
        let pids = if local { with_pid(&seats) } else { Vec::new() };
        let disk = world.disk.clone();
        let Ok((back, mut of, host)) = tokio::task::spawn_blocking(move || files.sample(&pids, disk.as_deref())).await
        else {
            return;
        };
        files = back;
        if !local {
            of = ask(&world, &seats, &mut asked).await;
        }
        if facts.send(Fact::Figures(of, host)).await.is_err() {
            return;
        }
    }
}

/// When to sample: once a second, and a little sooner when there are seats for the first time, because a figure of CPU
/// needs two samples and somebody has just opened a board.
struct Pace {
    ticks: Interval,
    samples: u32,
}

impl Pace {
    fn new() -> Self {
        let mut ticks = tokio::time::interval(EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self { ticks, samples: 0 }
    }

    /// Waits until it is time; false when nobody listens any more.
    async fn next(&mut self, live: &mut watch::Receiver<Vec<ContainerSeen>>) -> bool {
        match self.samples {
            // The host's own figures do not wait for seats.
            0 => {
                tokio::select! {
                    _ = self.ticks.tick() => {}
                    seats = live.wait_for(|seats| !seats.is_empty()) => if seats.is_err() { return false },
                }
                self.samples = u32::from(!live.borrow().is_empty());
            }
            1 => {
                self.ticks.reset_after(SECOND_SAMPLE_AFTER);
                self.ticks.tick().await;
                self.samples = 2;
            }
            _ => {
                self.ticks.tick().await;
            }
        }
        true
    }
}

struct Files {
    cgroup: CgroupMeter,
    host: HostMeter,
}

impl Files {
    fn sample(
        mut self,
        pids: &[(ContainerId, u32)],
        disk: Option<&std::path::Path>,
    ) -> (Self, FiguresOf, crate::domain::seen::HostFigures) {
        let of = self.cgroup.sample(pids);
        let host = self.host.sample(disk);
        (self, of, host)
    }
}

fn with_pid(seats: &[ContainerSeen]) -> Vec<(ContainerId, u32)> {
    seats
        .iter()
        .filter_map(|seat| Some((seat.id.clone(), seat.pid?)))
        .collect()
}

async fn ask(world: &World, seats: &[ContainerSeen], before: &mut BTreeMap<ContainerId, Raw>) -> FiguresOf {
    let ids: Vec<ContainerId> = seats.iter().map(|seat| seat.id.clone()).collect();
    let answers: Vec<(ContainerId, Raw)> = stream::iter(ids)
        .map(|id| async move {
            let stats = world.docker.stats(&id).await.ok()?;
            let raw = Raw {
                at: Instant::now(),
                cpu_ns: stats.cpu_ns,
                memory_bytes: stats.memory_bytes,
                pids: u32::try_from(stats.pids).unwrap_or(u32::MAX),
                network_bytes: None,
            };
            Some((id, raw))
        })
        .buffer_unordered(ASKED_AT_ONCE)
        .filter_map(std::future::ready)
        .collect()
        .await;
    let present: BTreeSet<&ContainerId> = answers.iter().map(|(id, _)| id).collect();
    before.retain(|id, _| present.contains(id));
    let mut of = FiguresOf::new();
    for (id, raw) in answers {
        of.insert(id.clone(), figures(before.get(&id).copied(), raw));
        before.insert(id, raw);
    }
    of
}
