//! One-shot statistics and the process list of a container.

use bollard::models::ContainerStatsResponse;
use bollard::query_parameters::{StatsOptionsBuilder, TopOptionsBuilder};
use futures_util::TryStreamExt;

use super::Docker;
use crate::domain::fault::{Fault, FaultCode};
use crate::domain::ids::ContainerId;
use crate::domain::seen::ContainerSeen;
use crate::world::meter::CgroupMeter;

/// Columns of the process list: never the environment.
const TOP_COLUMNS: &str = "-o pid,user,pcpu,rss,time,args";

/// Most of one cell of the process list that is shown.
const CELL_BYTES: usize = 1024;

/// Counters of one container at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RawStats {
    /// CPU time used since the container was made, nanoseconds.
    pub cpu_ns: u64,
    /// Memory without reclaimable file cache, bytes.
    pub memory_bytes: u64,
    /// Processes and threads.
    pub pids: u64,
}

impl Docker {
    /// The counters of a running or frozen container.
    ///
    /// # Errors
    /// When the engine fails or the container is not there.
    pub async fn stats(&self, id: &ContainerId) -> Result<RawStats, Fault> {
        let found = self.one_shot(id).await?;
        Ok(RawStats {
            cpu_ns: cpu_time(&found, id)?,
            memory_bytes: working_set(&found),
            pids: found.pids_stats.and_then(|pids| pids.current).unwrap_or_default(),
        })
    }

    /// CPU time used since the container was made, nanoseconds: from the kernel when it is this host's, because the
    /// engine answers a second question about one container only after a second.
    ///
    /// # Errors
    /// When the engine fails, or the container is not there or does not run.
    pub async fn cpu_ns(&self, seen: &ContainerSeen) -> Result<u64, Fault> {
        let pid = seen.pid.filter(|_| self.is_local());
        match pid.and_then(|pid| CgroupMeter::default().reading(&seen.id, pid)) {
            Some(raw) => Ok(raw.cpu_ns),
            None => Ok(self.stats(&seen.id).await?.cpu_ns),
        }
    }

    /// The time on the engine's own clock, as it writes it.
    pub(super) async fn engine_time(&self) -> Result<String, Fault> {
        let info = self
            .read("asking the engine for its time", self.client()?.info())
            .await?;
        Ok(info.system_time.unwrap_or_default())
    }

    async fn one_shot(&self, id: &ContainerId) -> Result<ContainerStatsResponse, Fault> {
        let options = StatsOptionsBuilder::new().stream(false).one_shot(true).build();
        let mut stream = self.client()?.stats(id.as_str(), Some(options));
        let found = self
            .read(format!("reading the figures of container {id}"), stream.try_next())
            .await?;
        found.ok_or_else(|| unanswered(id))
    }

    /// The processes of a container: titles, then one row each.
    ///
    /// # Errors
    /// When the engine fails, or the container does not run.
    pub async fn top(&self, id: &ContainerId) -> Result<(Vec<String>, Vec<Vec<String>>), Fault> {
        let options = TopOptionsBuilder::new().ps_args(TOP_COLUMNS).build();
        let call = self.client()?.top_processes(id.as_str(), Some(options));
        let found = self
            .read(format!("listing the processes of container {id}"), call)
            .await?;
        let rows = found.processes.unwrap_or_default();
        let rows = rows.into_iter().map(|row| row.into_iter().map(cut).collect());
        Ok((found.titles.unwrap_or_default(), rows.collect()))
    }
}

/// A process's arguments are the student's to choose, up to 128 KiB each: what a person reads is far less.
fn cut(mut cell: String) -> String {
    if cell.len() > CELL_BYTES {
        cell.truncate(cell.floor_char_boundary(CELL_BYTES));
        cell.push('…');
    }
    cell
}

/// A container that does not run has no counters: the engine answers with an empty sample.
fn cpu_time(found: &ContainerStatsResponse, id: &ContainerId) -> Result<u64, Fault> {
    let usage = found
        .cpu_stats
        .as_ref()
        .and_then(|cpu| cpu.cpu_usage.as_ref()?.total_usage);
    usage.filter(|used| *used > 0).ok_or_else(|| unanswered(id))
}

fn unanswered(id: &ContainerId) -> Fault {
    Fault::new(
        FaultCode::Engine,
        format!("the engine has no figures of container {id}: it does not run"),
    )
}

/// Memory use less the file cache that the kernel would give up first; the key differs between cgroup v1 and v2.
fn working_set(found: &ContainerStatsResponse) -> u64 {
    let Some(memory) = &found.memory_stats else { return 0 };
    let used = memory.usage.unwrap_or_default();
    let stat = |key: &str| memory.stats.as_ref().and_then(|stats| stats.get(key).copied());
    let cache = stat("total_inactive_file")
        .or_else(|| stat("inactive_file"))
        .unwrap_or_default();
    used.saturating_sub(cache)
}
