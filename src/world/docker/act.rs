//! The small verbs on a seat's container: start, thaw, freeze, kill, restart. Each may be repeated.

use bollard::query_parameters::{KillContainerOptionsBuilder, RestartContainerOptionsBuilder, StartContainerOptions};

use super::Docker;
use super::errors::Trouble;
use crate::domain::fault::Fault;
use crate::domain::ids::ContainerId;
use crate::domain::seen::{ContainerSeen, RunState};

/// Seconds a restart waits for the program to end by itself before it is killed.
const RESTART_GRACE_S: i32 = 2;

/// How often a freeze is tried before it is a fault.
const FREEZE_ATTEMPTS: u32 = 4;

impl Docker {
    /// Starts a stopped seat. Running already is as good; `None` when it is gone.
    ///
    /// # Errors
    /// When the engine fails or refuses.
    pub async fn start(&self, id: &ContainerId) -> Result<Option<ContainerSeen>, Fault> {
        let Some(seen) = self.look(id).await? else {
            return Ok(None);
        };
        if seen.state.is_down() {
            let call = self
                .client()?
                .start_container(id.as_str(), None::<StartContainerOptions>);
            let started = self.change(format!("starting {}", seen.seat), call).await;
            let now = self.look(id).await?;
            // "No such thing" may mean its network: then it is still there, and down.
            if let (Err(trouble), Some(down)) = (started, &now)
                && down.state.is_down()
            {
                return Err(trouble.fault);
            }
            return Ok(now);
        }
        Ok(Some(seen))
    }

    /// Lets a frozen seat run. `None` when it is gone.
    ///
    /// # Errors
    /// When the engine fails or refuses.
    pub async fn thaw(&self, id: &ContainerId) -> Result<Option<ContainerSeen>, Fault> {
        let Some(seen) = self.look(id).await? else {
            return Ok(None);
        };
        if seen.state == RunState::Paused {
            let call = self.client()?.unpause_container(id.as_str());
            settled(self.change(format!("thawing {}", seen.seat), call).await)?;
        }
        self.look(id).await
    }

    /// Freezes a running seat. `None` when it is gone.
    ///
    /// # Errors
    /// When the engine fails or refuses.
    pub async fn freeze(&self, id: &ContainerId) -> Result<Option<ContainerSeen>, Fault> {
        let Some(seen) = self.look(id).await? else {
            return Ok(None);
        };
        if seen.state == RunState::Running {
            self.pause(&seen).await?;
        }
        self.look(id).await
    }

    /// On cgroup v1 the runtime gives up on a seat whose tasks all run; the next attempt mostly succeeds.
    async fn pause(&self, seen: &ContainerSeen) -> Result<(), Fault> {
        for _ in 1..FREEZE_ATTEMPTS {
            let call = self.client()?.pause_container(seen.id.as_str());
            match self.change(format!("freezing {}", seen.seat), call).await {
                Err(trouble) if trouble.mentions("unable to freeze") => {}
                result => return settled(result),
            }
        }
        let call = self.client()?.pause_container(seen.id.as_str());
        settled(self.change(format!("freezing {}", seen.seat), call).await)
    }

    /// Ends a seat's program at once, frozen or not. `None` when the container is gone.
    ///
    /// # Errors
    /// When the engine fails or refuses.
    pub async fn kill(&self, id: &ContainerId) -> Result<Option<ContainerSeen>, Fault> {
        let Some(seen) = self.look(id).await? else {
            return Ok(None);
        };
        if !seen.state.is_down() {
            self.kill_seen(&seen).await?;
        }
        self.look(id).await
    }

    /// SIGKILL; a frozen container is thawed by the engine only after the signal is set.
    pub(super) async fn kill_seen(&self, seen: &ContainerSeen) -> Result<(), Fault> {
        let options = KillContainerOptionsBuilder::new().signal("SIGKILL").build();
        let call = self.client()?.kill_container(seen.id.as_str(), Some(options));
        settled(self.change(format!("killing {}", seen.seat), call).await)
    }

    /// Ends a seat's program and starts it again, thawing it before. `None` when the container is gone.
    ///
    /// # Errors
    /// When the engine fails or refuses.
    pub async fn restart(&self, id: &ContainerId) -> Result<Option<ContainerSeen>, Fault> {
        let Some(seen) = self.thaw(id).await? else {
            return Ok(None);
        };
        let options = RestartContainerOptionsBuilder::new().t(RESTART_GRACE_S).build();
        let call = self.client()?.restart_container(id.as_str(), Some(options));
        let restarted = self.change(format!("restarting {}", seen.seat), call).await;
        if restarted.as_ref().is_err_and(Trouble::is_gone) {
            return Ok(None);
        }
        restarted?;
        self.look(id).await
    }
}

/// Gone meanwhile, or in the wished state meanwhile, is no failure: the look that follows tells.
fn settled(result: Result<(), Trouble>) -> Result<(), Fault> {
    match result {
        Err(trouble) if !trouble.is_gone() && !trouble.is_conflict() => Err(trouble.fault),
        _ => Ok(()),
    }
}
