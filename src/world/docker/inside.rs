//! The processes of a seat as this host sees them, ended without the seat's help.
//!
//! Knows: process ids, their handles and their control groups. Must not know: why they are to end.

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use super::Docker;
use crate::domain::ids::ContainerId;
use crate::domain::seen::ContainerSeen;
use crate::world::meter::CgroupMeter;

impl Docker {
    /// Sends SIGKILL to every process of a frozen seat but its first one, which the engine ends. None of them runs
    /// again: a kill that finds a process frozen takes effect before it can do anything else.
    ///
    /// Only a help: on another host, or for a user who may not, nothing is sent, and what the processes still did
    /// after a thaw is found out otherwise.
    pub(super) fn doom(&self, seen: &ContainerSeen) {
        let Some(first) = seen.pid.filter(|_| self.is_local()) else {
            return;
        };
        let all = CgroupMeter::default().processes(&seen.id, first);
        for pid in all.into_iter().filter(|pid| *pid != first) {
            if let Err(why) = kill_in(&seen.id, pid) {
                tracing::debug!(why, pid, container = %seen.id, "a process of a seat is left to the engine");
            }
        }
    }
}

/// Ends one process on this host, if it belongs to that container.
pub(super) fn kill_in(container: &ContainerId, pid: u32) -> Result<(), String> {
    let process = i32::try_from(pid).ok().and_then(Pid::from_raw).ok_or("it has no pid")?;
    let handle = pidfd_open(process, PidfdFlags::empty()).map_err(|error| error.to_string())?;
    // The handle pins the process; its cgroup proves that the number was not used again.
    let cgroup = std::fs::read_to_string(format!("/proc/{pid}/cgroup"));
    if !cgroup.is_ok_and(|text| text.contains(container.as_str())) {
        return Err("it is not in the seat".into());
    }
    pidfd_send_signal(&handle, Signal::KILL).map_err(|error| error.to_string())
}
