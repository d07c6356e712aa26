//! What is on the engine: one container, or everything of this instance.

use std::collections::HashMap;

use bollard::models::{ContainerInspectResponse, ContainerState, ContainerStateStatusEnum as Status};
use bollard::query_parameters::{
    InspectContainerOptions, ListContainersOptionsBuilder, ListNetworksOptionsBuilder, ListVolumesOptionsBuilder,
};
use futures_util::{StreamExt, stream};

use super::Docker;
use super::errors::OrGone;
use super::spec::{identity, owner};
use crate::domain::fault::{Fault, FaultCode};
use crate::domain::ids::{ContainerId, RoomName, SeatId};
use crate::domain::names::{Kind, LABEL_INSTANCE, LABEL_KIND, LABEL_ROOM, LABEL_SPEC};
use crate::domain::seen::{ContainerSeen, Listing, RunState, VolumeSeen};

/// Inspections at the same time; the engine gains nothing from more.
const LOOKS_IN_FLIGHT: usize = 8;

impl Docker {
    /// Looks at one seat's container; `None` when it is gone or not this instance's.
    ///
    /// # Errors
    /// When the engine fails.
    pub async fn look(&self, id: &ContainerId) -> Result<Option<ContainerSeen>, Fault> {
        Ok(self.inspect(id.as_str()).await?.and_then(|found| self.seen(found)))
    }

    /// Everything on the engine that bears this instance's label. What vanishes meanwhile is left out.
    ///
    /// # Errors
    /// When the engine fails.
    pub async fn list(&self) -> Result<Listing, Fault> {
        let (seats, carriers) = self.list_ids().await?;
        let looks = stream::iter(seats).map(|(id, seat)| async move { (self.look(&id).await, seat) });
        let mut looks = looks.buffer_unordered(LOOKS_IN_FLIGHT);
        let (mut containers, mut hidden) = (Vec::new(), Vec::new());
        while let Some((looked, seat)) = looks.next().await {
            match looked {
                Ok(seen) => containers.extend(seen),
                // One container that hangs (somebody copies out of it) must not hide all the others.
                Err(fault) if fault.code != FaultCode::EngineUnreachable || self.ping().await.is_ok() => {
                    tracing::warn!(%seat, %fault, "a seat could not be looked at");
                    hidden.push((seat, fault));
                }
                Err(fault) => return Err(fault),
            }
        }
        Ok(Listing {
            containers,
            hidden,
            volumes: self.list_volumes().await?,
            networks: self.list_rooms().await?,
            carriers,
        })
    }

    /// The seats' containers, and the carriers that this process does not use.
    async fn list_ids(&self) -> Result<(Vec<(ContainerId, SeatId)>, Vec<ContainerId>), Fault> {
        let options = ListContainersOptionsBuilder::new()
            .all(true)
            .filters(&self.own())
            .build();
        let call = self.client()?.list_containers(Some(options));
        let (mut seats, mut carriers) = (Vec::new(), Vec::new());
        for found in self.read("listing containers", call).await? {
            let Some(id) = found.id.and_then(|id| id.parse().ok()) else {
                continue;
            };
            let labels = found.labels.unwrap_or_default();
            if let Some((seat, _)) = owner(&self.inner.options.instance, &labels, Kind::Seat) {
                seats.push((id, seat));
            } else if is_carrier(&labels) && !self.uses(&found.names.unwrap_or_default()) {
                carriers.push(id);
            }
        }
        Ok((seats, carriers))
    }

    /// The containers that bear a seat's labels, whatever their names.
    pub(super) async fn labelled(&self, seat: &SeatId, session: u64) -> Result<Vec<ContainerId>, Fault> {
        let labels = identity(&self.inner.options.instance, seat, session, Kind::Seat);
        let labels = labels.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let filters = HashMap::from([("label", labels)]);
        let options = ListContainersOptionsBuilder::new().all(true).filters(&filters).build();
        let call = self.client()?.list_containers(Some(options));
        let found = self.read(format!("looking for the container of {seat}"), call).await?;
        let ids = found.into_iter().filter_map(|container| container.id?.parse().ok());
        Ok(ids.collect())
    }

    fn uses(&self, names: &[String]) -> bool {
        let in_use = &self.inner.carriers;
        names.iter().any(|name| in_use.contains(name.trim_start_matches('/')))
    }

    async fn list_volumes(&self) -> Result<Vec<VolumeSeen>, Fault> {
        let options = ListVolumesOptionsBuilder::new().filters(&self.own()).build();
        let listed = self
            .read("listing volumes", self.client()?.list_volumes(Some(options)))
            .await?;
        let volumes = listed.volumes.unwrap_or_default();
        let seen = volumes.iter().filter_map(|volume| {
            let (seat, session) = owner(&self.inner.options.instance, &volume.labels, Kind::Volume)?;
            Some(VolumeSeen { seat, session })
        });
        Ok(seen.collect())
    }

    async fn list_rooms(&self) -> Result<Vec<RoomName>, Fault> {
        let options = ListNetworksOptionsBuilder::new().filters(&self.own()).build();
        let networks = self
            .read("listing networks", self.client()?.list_networks(Some(options)))
            .await?;
        let room = |labels: HashMap<String, String>| labels.get(LABEL_ROOM)?.parse().ok();
        Ok(networks
            .into_iter()
            .filter_map(|network| room(network.labels?))
            .collect())
    }

    /// The filter for things of this instance.
    pub(super) fn own(&self) -> HashMap<&'static str, Vec<String>> {
        HashMap::from([(
            "label",
            vec![format!("{LABEL_INSTANCE}={}", self.inner.options.instance)],
        )])
    }

    /// Everything the engine says of the container with this id or name, whosever it is.
    pub(super) async fn inspect(&self, id: &str) -> Result<Option<ContainerInspectResponse>, Fault> {
        let call = self.client()?.inspect_container(id, None::<InspectContainerOptions>);
        self.read(format!("looking at container {id}"), call).await.or_gone()
    }

    /// The facts of a seat's container; `None` unless it is a seat of this instance.
    pub(super) fn seen(&self, found: ContainerInspectResponse) -> Option<ContainerSeen> {
        let labels = found.config.and_then(|config| config.labels)?;
        let (seat, session) = owner(&self.inner.options.instance, &labels, Kind::Seat)?;
        let state = found.state?;
        let network = self.inner.names.network(&seat.room);
        let networks = found.network_settings.and_then(|settings| settings.networks);
        let address = networks
            .as_ref()
            .and_then(|of| of.get(&network)?.ip_address.as_ref()?.parse().ok());
        Some(ContainerSeen {
            id: found.id?.parse().ok()?,
            seat,
            session,
            state: run_state(&state),
            started_at: state.started_at.unwrap_or_default(),
            finished_at: state.finished_at.unwrap_or_default(),
            exit_code: state.exit_code.unwrap_or_default(),
            oom_killed: state.oom_killed.unwrap_or_default(),
            address,
            pid: state.pid.and_then(|pid| u32::try_from(pid).ok()).filter(|pid| *pid > 0),
            spec: labels.get(LABEL_SPEC).cloned().unwrap_or_default(),
        })
    }
}

fn is_carrier(labels: &HashMap<String, String>) -> bool {
    labels.get(LABEL_KIND).map(String::as_str) == Some(Kind::Carrier.as_str())
}

fn run_state(state: &ContainerState) -> RunState {
    match state.status {
        Some(Status::PAUSED) => RunState::Paused,
        Some(Status::CREATED) => RunState::Created,
        Some(Status::DEAD | Status::REMOVING) => RunState::Dead,
        Some(Status::EXITED) => RunState::Exited,
        // Without a state, or with one that is not known here, it counts as running: what might run must be frozen.
        Some(Status::RUNNING | Status::RESTARTING | Status::STOPPING | Status::EMPTY) | None => RunState::Running,
    }
}
