//! Whether this engine can hold a seat to its limits, asked before anything is made.
//!
//! An engine takes a limit that its kernel cannot enforce with no more than a warning; labtop refuses instead.

use bollard::models::SystemInfo;

use super::Docker;
use crate::domain::fault::{Fault, FaultCode};
use crate::domain::template::Template;

/// This host's swap areas, under one line of titles.
const SWAPS: &str = "/proc/swaps";

impl Docker {
    /// Sees that the engine enforces every limit of the template and has what it asks for.
    ///
    /// # Errors
    /// [`FaultCode::BadTemplate`] naming the first limit that cannot be kept.
    pub(super) fn can_hold(&self, template: &Template, engine: &SystemInfo) -> Result<(), Fault> {
        match misfit(engine, template, self.is_local() && !has_swap()) {
            None => Ok(()),
            Some((why, hint)) => {
                Err(Fault::new(FaultCode::BadTemplate, format!("template {}: {why}", template.name)).hint(hint))
            }
        }
    }

    /// The limits that the engine's kernel does not enforce, in words; none when all are.
    ///
    /// # Errors
    /// When the engine fails.
    pub async fn unenforced(&self) -> Result<Vec<&'static str>, Fault> {
        let engine = self
            .read("asking the engine about itself", self.client()?.info())
            .await?;
        Ok(unenforced(&engine, self.is_local() && !has_swap())
            .map(|(what, _)| what)
            .collect())
    }
}

fn has_swap() -> bool {
    std::fs::read_to_string(SWAPS).map_or(true, |text| text.lines().count() > 1)
}

/// What an engine says that it cannot limit, and what to do. What it does not say it is believed to do.
fn unenforced(engine: &SystemInfo, swapless: bool) -> impl Iterator<Item = (&'static str, &'static str)> {
    const CGROUPS: &str = "Enable the controller in the kernel's control groups; see `docker info`";
    const SWAP: &str = "Boot the engine's host with swapaccount=1, or turn its swap off";
    let limits = [
        (engine.memory_limit, "memory", CGROUPS),
        (engine.swap_limit.filter(|_| !swapless), "swap", SWAP),
        (engine.cpu_cfs_quota, "CPU", CGROUPS),
        (engine.pids_limit, "processes", CGROUPS),
    ];
    limits
        .into_iter()
        .filter(|(enforced, ..)| *enforced == Some(false))
        .map(|(_, what, hint)| (what, hint))
}

fn misfit(engine: &SystemInfo, template: &Template, swapless: bool) -> Option<(String, String)> {
    if let Some((what, hint)) = unenforced(engine, swapless).next() {
        return Some((format!("this engine cannot limit {what}"), hint.into()));
    }
    let cores = engine
        .ncpu
        .and_then(|cores| u32::try_from(cores).ok())
        .filter(|cores| *cores > 0);
    if let Some(cores) = cores.filter(|cores| template.millicpus > cores.saturating_mul(1000)) {
        let wanted = f64::from(template.millicpus) / 1000.0;
        return Some((
            format!("it asks for {wanted} CPUs, and the engine has {cores}"),
            format!("Set cpus to {cores} or less"),
        ));
    }
    let memory = engine
        .mem_total
        .and_then(|bytes| u64::try_from(bytes).ok())
        .filter(|bytes| *bytes > 0);
    if let Some(bytes) = memory.filter(|bytes| template.memory_bytes > *bytes) {
        let (wanted, there) = (template.memory_bytes >> 20, bytes >> 20);
        return Some((
            format!("it asks for {wanted} MiB of memory, and the engine has {there}"),
            "Set memory to less".into(),
        ));
    }
    let runtimes = engine.runtimes.as_ref()?;
    let missing = template.runtime.as_ref().filter(|name| !runtimes.contains_key(*name))?;
    let mut known: Vec<&str> = runtimes.keys().map(String::as_str).collect();
    known.sort_unstable();
    Some((
        format!("the engine has no runtime {missing}; it has {}", known.join(", ")),
        format!("Install {missing} for the engine, or take `runtime` out of the template"),
    ))
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, HashMap};

    use bollard::models::Runtime;

    use super::*;
    use crate::domain::template::{Egress, Selection};
    use crate::world::docker::demo::STUDENT;

    fn template() -> Template {
        Template {
            name: "t".parse().unwrap(),
            image: "i".into(),
            command: Vec::new(),
            user: STUDENT,
            port: None,
            memory_bytes: 512 << 20,
            millicpus: 2000,
            pids: 10,
            nofile: 10,
            network: Egress::Open,
            workspace: "/workspace".into(),
            minutes: 10,
            starter: None,
            env: BTreeMap::new(),
            cap_add: Vec::new(),
            read_only: false,
            runtime: Some("runc".into()),
            archive: Selection::default(),
            autosave: None,
            idle_minutes: None,
            activity: Vec::new(),
            door: crate::domain::door::DoorPolicy::default(),
        }
    }

    fn engine() -> SystemInfo {
        SystemInfo {
            memory_limit: Some(true),
            swap_limit: Some(true),
            cpu_cfs_quota: Some(true),
            pids_limit: Some(true),
            ncpu: Some(2),
            mem_total: Some(1 << 30),
            runtimes: Some(HashMap::from([("runc".to_owned(), Runtime::default())])),
            ..Default::default()
        }
    }

    fn why(change: impl FnOnce(&mut SystemInfo, &mut Template)) -> Option<String> {
        let (mut engine, mut template) = (engine(), template());
        change(&mut engine, &mut template);
        misfit(&engine, &template, false).map(|(why, _)| why)
    }

    #[test]
    fn what_the_engine_cannot_keep_is_refused_by_name() {
        assert_eq!(why(|_, _| ()), None);
        for (found, words) in [
            (why(|engine, _| engine.memory_limit = Some(false)), "limit memory"),
            (why(|engine, _| engine.swap_limit = Some(false)), "limit swap"),
            (why(|engine, _| engine.cpu_cfs_quota = Some(false)), "limit CPU"),
            (why(|engine, _| engine.pids_limit = Some(false)), "limit processes"),
            (
                why(|_, template| template.millicpus = 2001),
                "2.001 CPUs, and the engine has 2",
            ),
            (why(|_, template| template.memory_bytes = 2 << 30), "2048 MiB"),
            (
                why(|_, template| template.runtime = Some("runsc".into())),
                "no runtime runsc; it has runc",
            ),
        ] {
            assert!(
                found.as_ref().is_some_and(|why| why.contains(words)),
                "{found:?} lacks {words:?}"
            );
        }
    }

    #[test]
    fn swap_that_is_not_there_needs_no_limit() {
        let engine = SystemInfo {
            swap_limit: Some(false),
            ..engine()
        };
        assert_eq!(misfit(&engine, &template(), true), None);
    }
}
