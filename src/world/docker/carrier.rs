//! Reading a workspace from outside the seat, by a container that is never started.
//!
//! The engine's archive endpoint holds the lock of the container that it reads; a carrier of its own leaves the seat
//! responsive, and no program of the student's takes part. Carriers are made of an empty image of labtop's own, so
//! that they need no image of a template and can never run anything.

use std::collections::HashSet;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bollard::errors::Error;
use bollard::models::{ContainerCreateBody, HostConfig, Mount, MountType, MountVolumeOptions};
use bollard::query_parameters::{
    CreateContainerOptionsBuilder, DownloadFromContainerOptionsBuilder, RemoveContainerOptionsBuilder,
};
use bytes::Bytes;
use futures_util::{FutureExt, Stream, StreamExt};
use tokio::time::{Instant, Sleep};
use uuid::Uuid;

use super::Docker;
use super::errors::{OrGone, Trouble};
use super::image::or_missing;
use super::rootfs::RootFs;
use super::spec::identity;
use crate::domain::fault::{Fault, FaultCode};
use crate::domain::ids::{ContainerId, SeatId};
use crate::domain::names::Kind;

/// The empty image that carriers are made of; it is left on the engine until somebody removes it.
pub const CARRIER_IMAGE: &str = "labtop-carrier:1";
/// Where a carrier mounts the workspace; also the first component of every path in the archive.
const MOUNT: &str = "/workspace";
/// How long the engine may send nothing before a reading is given up: its disk may be busy with other seats.
const IDLE_LIMIT: Duration = Duration::from_mins(1);

/// A tar ends with two blocks of zeros.
const END_MARK_BYTES: usize = 1024;

/// Bytes of the engine as they come.
pub(super) type Download = Pin<Box<dyn Stream<Item = Result<Bytes, Error>> + Send>>;

/// A tree that is being read as a tar stream. Dropping it removes its carrier, if it has one of its own, as well as it
/// can; [`Workspace::finish`] does it for certain.
pub struct Workspace {
    docker: Docker,
    bytes: Download,
    idle: Pin<Box<Sleep>>,
    end: EndMark,
    carrier: Option<Carrier>,
}

impl std::fmt::Debug for Workspace {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Workspace")
            .field("carrier", &self.carrier.as_ref().map(|carrier| &carrier.id))
            .finish_non_exhaustive()
    }
}

impl Workspace {
    /// Reads what comes, watching for silence and for the end.
    pub(super) fn stream(docker: &Docker, bytes: Download) -> Self {
        Self {
            docker: docker.clone(),
            bytes,
            idle: Box::pin(tokio::time::sleep(IDLE_LIMIT)),
            end: EndMark::default(),
            carrier: None,
        }
    }

    /// Reads the workspace that a carrier mounts; its paths begin with `workspace/`.
    pub(super) fn download(docker: &Docker, carrier: &Carrier) -> Result<Self, Fault> {
        let options = DownloadFromContainerOptionsBuilder::new().path(MOUNT).build();
        let bytes = docker
            .client()?
            .download_from_container(carrier.id.as_str(), Some(options));
        Ok(Self::stream(docker, Box::pin(bytes)))
    }

    /// Ends the reading and removes the carrier.
    ///
    /// # Errors
    /// When the engine fails; the carrier is then reaped at the next start.
    pub async fn finish(self) -> Result<(), Fault> {
        let Self { bytes, carrier, .. } = self;
        drop(bytes);
        match carrier {
            Some(carrier) => carrier.remove().await,
            None => Ok(()),
        }
    }
}

impl Stream for Workspace {
    type Item = Result<Bytes, Fault>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        match this.bytes.poll_next_unpin(cx) {
            Poll::Ready(Some(Ok(chunk))) => {
                this.idle.as_mut().reset(Instant::now() + IDLE_LIMIT);
                this.end.pass(&chunk);
                Poll::Ready(Some(Ok(chunk)))
            }
            Poll::Ready(Some(Err(error))) => Poll::Ready(Some(Err(this.docker.broken("reading a workspace", error)))),
            Poll::Ready(None) => Poll::Ready(this.end.missing().map(Err)),
            Poll::Pending => this.idle.poll_unpin(cx).map(|()| Some(Err(stalled()))),
        }
    }
}

fn stalled() -> Fault {
    let seconds = IDLE_LIMIT.as_secs();
    Fault::new(
        FaultCode::Engine,
        format!("reading a workspace: the engine sent nothing for {seconds} s"),
    )
}

/// Watches for the two zero blocks that end a tar. The engine closes the stream without an error when it stumbles
/// over a file that changes under its hands.
#[derive(Default)]
struct EndMark {
    zeros: usize,
    told: bool,
}

impl EndMark {
    fn pass(&mut self, chunk: &[u8]) {
        let trailing = chunk.iter().rev().take_while(|byte| **byte == 0).count();
        self.zeros = if trailing == chunk.len() {
            self.zeros + trailing
        } else {
            trailing
        };
    }

    /// The fault of a stream that ended without it, once.
    fn missing(&mut self) -> Option<Fault> {
        if self.zeros >= END_MARK_BYTES || std::mem::replace(&mut self.told, true) {
            return None;
        }
        Some(Fault::new(
            FaultCode::Engine,
            "reading a workspace: the engine broke off in the middle",
        ))
    }
}

/// The names of the carriers that this process uses: a list leaves them out, so that none is reaped under a reading.
#[derive(Debug, Clone, Default)]
pub(super) struct InUse(Arc<Mutex<HashSet<String>>>);

impl InUse {
    /// Holds the name until the claim is dropped.
    fn claim(&self, name: String) -> Claim {
        self.names().insert(name.clone());
        Claim { of: self.clone(), name }
    }

    pub(super) fn contains(&self, name: &str) -> bool {
        self.names().contains(name)
    }

    fn names(&self) -> MutexGuard<'_, HashSet<String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A carrier's name in use.
struct Claim {
    of: InUse,
    name: String,
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.of.names().remove(&self.name);
    }
}

/// A never-started container; removed when it is dropped.
pub(super) struct Carrier {
    pub docker: Docker,
    pub id: ContainerId,
    removed: bool,
    _claim: Claim,
}

impl Carrier {
    /// Removes it, with the unnamed volumes that its image may have declared.
    pub(super) async fn remove(mut self) -> Result<(), Fault> {
        let result = remove(&self.docker, &self.id).await;
        self.removed = result.is_ok();
        result
    }
}

impl Drop for Carrier {
    fn drop(&mut self) {
        if self.removed {
            return;
        }
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            let (docker, id) = (self.docker.clone(), self.id.clone());
            runtime.spawn(async move {
                if let Err(fault) = remove(&docker, &id).await {
                    tracing::warn!(%fault, carrier = %id, "a carrier is left until the next start");
                }
            });
        }
    }
}

/// Removes a container that was never started, with the unnamed volumes that its image may have declared. Gone
/// already, or on its way, is as good.
pub(super) async fn remove(docker: &Docker, id: &ContainerId) -> Result<(), Fault> {
    let options = RemoveContainerOptionsBuilder::new().v(true).build();
    let call = docker.client()?.remove_container(id.as_str(), Some(options));
    match docker.change("removing a carrier", call).await {
        Err(trouble) if trouble.mentions("already in progress") => Ok(()),
        result => result.or_gone().map(drop),
    }
}

impl Docker {
    /// Opens a seat's workspace for reading, whatever its container does.
    ///
    /// # Errors
    /// When there is no such workspace, or the engine fails.
    pub async fn workspace(&self, seat: &SeatId, session: u64) -> Result<Workspace, Fault> {
        let carrier = self.workspace_carrier(seat, session).await?;
        let mut workspace = Workspace::download(self, &carrier)?;
        workspace.carrier = Some(carrier);
        Ok(workspace)
    }

    /// A carrier that mounts a seat's workspace, to be read only.
    pub(super) async fn workspace_carrier(&self, seat: &SeatId, session: u64) -> Result<Carrier, Fault> {
        self.need_volume(seat, session).await?;
        let volume = Mount {
            typ: Some(MountType::VOLUME),
            source: Some(self.inner.names.volume(seat, session)),
            target: Some(MOUNT.into()),
            read_only: Some(true),
            volume_options: Some(MountVolumeOptions {
                no_copy: Some(true),
                ..Default::default()
            }),
            ..Default::default()
        };
        self.carrier(seat, session, CARRIER_IMAGE, Some(volume)).await
    }

    /// Makes a carrier, and the image for it when that is what is missing.
    pub(super) async fn carrier(
        &self,
        seat: &SeatId,
        session: u64,
        image: &str,
        mount: Option<Mount>,
    ) -> Result<Carrier, Fault> {
        let nonce = Uuid::new_v4().simple().to_string();
        let name = self.inner.names.carrier(seat, &nonce[..12]);
        // Before it is made, so that no list ever shows it without.
        let claim = self.inner.carriers.claim(name.clone());
        let body = ContainerCreateBody {
            image: Some(image.into()),
            cmd: Some(vec!["never-started".into()]),
            labels: Some(identity(&self.inner.options.instance, seat, session, Kind::Carrier)),
            host_config: Some(HostConfig {
                network_mode: Some("none".into()),
                mounts: mount.map(|mount| vec![mount]),
                ..Default::default()
            }),
            ..Default::default()
        };
        let create = || async {
            let options = CreateContainerOptionsBuilder::new().name(&name).build();
            let call = self.client()?.create_container(Some(options), body.clone());
            self.change(format!("making a carrier for {seat}"), call).await
        };
        let mut made = create().await;
        if image == CARRIER_IMAGE && made.as_ref().is_err_and(Trouble::is_gone) {
            self.import_once(CARRIER_IMAGE, RootFs::new().finish()?, &[]).await?;
            made = create().await;
        }
        let id = made.map_err(|trouble| or_missing(image, trouble))?.id.parse();
        let id = id.map_err(|error| Fault::new(FaultCode::Engine, format!("making a carrier for {seat}: {error}")))?;
        Ok(Carrier {
            docker: self.clone(),
            id,
            removed: false,
            _claim: claim,
        })
    }
}
