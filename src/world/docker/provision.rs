//! Making a seat: its workspace, its container, what the workspace starts with, its start. Finishes what an earlier,
//! interrupted making began.
//!
//! Files are uploaded only into a workspace that nobody has worked in. Whether it is such a one is found out before
//! the container is made and written on the container, so that a crash in between loses neither files nor work.

use std::collections::HashMap;
use std::io::Cursor;

use bollard::models::{ContainerCreateBody, VolumeCreateRequest};
use bollard::query_parameters::{
    CreateContainerOptionsBuilder, RemoveContainerOptions, StartContainerOptions, UploadToContainerOptionsBuilder,
};
use futures_util::TryStreamExt;
use tar::Archive;
use tokio_util::sync::CancellationToken;

use super::Docker;
use super::address::is_misplaced;
use super::carrier::{CARRIER_IMAGE, Carrier};
use super::hold::foreign;
use super::image::or_missing;
use super::refill::{Place, Refill, is_half_filled};
use super::spec::{LABEL_WORKSPACE, WORKSPACE_KEPT, WORKSPACE_NEW, identity, owner, volume_mount};
use super::starter::{Upload, upload};
use super::survey::origin_label;
use crate::domain::effect::SeatOrder;
use crate::domain::fault::{Fault, FaultCode};
use crate::domain::names::Kind;
use crate::domain::seen::{ContainerSeen, RunState};

/// Where an upload carrier mounts the workspace: its parent is a directory that is in no image.
const UPLOAD_PARENT: &str = "/labtop";
/// How much of a workspace is read to see whether there is anything in it: a directory's headers and one more.
const GLANCE_BYTES: usize = 32 * 1024;

impl Docker {
    /// Makes and starts a seat, or finishes making it. A seat that was started before is only looked at.
    ///
    /// `cancel` is heeded between calls; none is ever dropped in flight.
    ///
    /// # Errors
    /// [`FaultCode::NameTaken`] when something foreign bears one of its names; [`FaultCode::ImageMissing`];
    /// [`FaultCode::Cancelled`]; otherwise when the engine fails.
    pub async fn provision(&self, order: &SeatOrder, cancel: &CancellationToken) -> Result<ContainerSeen, Fault> {
        Box::pin(self.provision_from(order, None, cancel)).await
    }

    /// The same for a seat whose workspace starts with the work of an archive, if one is given. Why that cannot be had only
    /// matters as long as the workspace is not filled.
    ///
    /// # Errors
    /// As [`Docker::provision`]; when the archive cannot be read, or is not what was sent.
    pub async fn provision_from(
        &self,
        order: &SeatOrder,
        refill: Option<Result<Refill, Fault>>,
        cancel: &CancellationToken,
    ) -> Result<ContainerSeen, Fault> {
        let start = match refill {
            Some(refill) => Start::Archive(refill),
            None if order.template.starter.is_none() && self.brings_workspace(order).await? => Start::Image,
            None => Start::Files(upload(&order.template, split(order).1).await?),
        };
        goes_on(order, cancel)?;
        let seen = Box::pin(self.container(order, start, cancel)).await?;
        goes_on(order, cancel)?;
        self.first_start(order, seen).await
    }

    /// The seat's container with its workspace filled: made, or found.
    async fn container(&self, order: &SeatOrder, start: Start, cancel: &CancellationToken) -> Result<Made, Fault> {
        let state = match &start {
            Start::Image => WORKSPACE_NEW,
            Start::Files(_) | Start::Archive(_) => self.workspace_state(order, &start).await?,
        };
        self.claim_volume(order).await?;
        goes_on(order, cancel)?;
        let digest = match &start {
            Start::Files(upload) => upload.digest.as_str(),
            Start::Image | Start::Archive(_) => "",
        };
        let mut body = self.seat_body(order, digest, state)?;
        if matches!(start, Start::Archive(_)) {
            keep_image_out(&mut body);
        }
        let made = self.create_or_adopt(order, body).await?;
        goes_on(order, cancel)?;
        if let Made::Fresh { id, new: true } | Made::Unstarted { id, new: true } = &made {
            match start {
                Start::Image => {}
                Start::Files(upload) => self.fill(order, id, &upload).await?,
                Start::Archive(refill) => {
                    let refilled = Box::pin(self.refill(order, id, refill?));
                    tokio::select! {
                        () = cancel.cancelled() => goes_on(order, cancel)?,
                        done = refilled => done?,
                    }
                }
            }
        }
        Ok(made)
    }

    /// Puts the work of an archive where it was. May be repeated until the seat is started.
    async fn refill(&self, order: &SeatOrder, id: &str, refill: Refill) -> Result<(), Fault> {
        if refill.has_elsewhere() && !order.template.read_only {
            let place = Place::Elsewhere(order.template.workspace.clone());
            self.upload_part(&refill, place, id, "/").await?;
        }
        if let Some(directory) = self.workspace_here(&order.seat, order.session, id).await
            && refill.make_in(directory).await?
        {
            return Ok(());
        }
        let (parent, name) = split(order);
        let place = Place::Workspace(name.to_owned());
        if !order.template.read_only {
            return self.upload_part(&refill, place, id, parent).await;
        }
        let carrier = self.upload_carrier(order, name).await?;
        let put = self
            .upload_part(&refill, place, carrier.id.as_str(), UPLOAD_PARENT)
            .await;
        carrier.remove().await?;
        put
    }

    /// The engine writes nothing to the root of a read-only container, not even to start with.
    async fn upload_carrier(&self, order: &SeatOrder, name: &str) -> Result<Carrier, Fault> {
        let volume = self.inner.names.volume(&order.seat, order.session);
        let mount = volume_mount(volume, &format!("{UPLOAD_PARENT}/{name}"));
        self.carrier(&order.seat, order.session, CARRIER_IMAGE, Some(mount))
            .await
    }

    /// Whether anybody may have worked in the seat's volume, asked before a container is made.
    async fn workspace_state(&self, order: &SeatOrder, start: &Start) -> Result<&'static str, Fault> {
        if !self.has_volume(&order.seat, order.session).await? {
            return Ok(WORKSPACE_NEW);
        }
        let mut workspace = self.workspace(&order.seat, order.session).await?;
        let mut glance: Vec<u8> = Vec::new();
        while glance.len() < GLANCE_BYTES
            && let Some(chunk) = workspace.try_next().await?
        {
            glance.extend_from_slice(&chunk);
        }
        workspace.finish().await?;
        let mut archive = Archive::new(Cursor::new(glance));
        let mut entries = archive.entries().ok();
        let root = entries.as_mut().and_then(|entries| entries.next()?.ok());
        let half = matches!(start, Start::Archive(_)) && root.is_some_and(|root| is_half_filled(root.header()));
        let files = entries.is_some_and(|mut entries| entries.next().is_some());
        Ok(if files && !half { WORKSPACE_KEPT } else { WORKSPACE_NEW })
    }

    /// Creating a volume that exists answers with the labels of whoever made it first.
    async fn claim_volume(&self, order: &SeatOrder) -> Result<(), Fault> {
        let name = self.inner.names.volume(&order.seat, order.session);
        let instance = &self.inner.options.instance;
        let mut labels = identity(instance, &order.seat, order.session, Kind::Volume);
        labels.extend([origin_label(order)?]);
        let request = VolumeCreateRequest {
            name: Some(name.clone()),
            labels: Some(labels),
            ..Default::default()
        };
        let call = self.client()?.create_volume(request);
        let volume = self
            .change(format!("making the workspace of {}", order.seat), call)
            .await?;
        match owner(instance, &volume.labels, Kind::Volume) {
            Some(of) if of == (order.seat.clone(), order.session) => Ok(()),
            _ => Err(foreign(Kind::Volume, &name)),
        }
    }

    async fn create_or_adopt(&self, order: &SeatOrder, mut body: ContainerCreateBody) -> Result<Made, Fault> {
        self.give_address(order, &mut body).await?;
        let name = self.inner.names.seat(&order.seat);
        let new = is_new(body.labels.as_ref());
        let options = CreateContainerOptionsBuilder::new().name(&name).build();
        let call = self.client()?.create_container(Some(options), body);
        match self
            .change(format!("making the container of {}", order.seat), call)
            .await
        {
            Ok(made) => Ok(Made::Fresh { id: made.id, new }),
            Err(trouble) if trouble.is_conflict() => self.adopt(order, &name).await,
            Err(trouble) => Err(or_missing(&order.template.image, trouble)),
        }
    }

    /// The name is taken: by this very seat, or by something that must not be touched.
    async fn adopt(&self, order: &SeatOrder, name: &str) -> Result<Made, Fault> {
        let Some(found) = self.inspect(name).await? else {
            return Err(Fault::new(
                FaultCode::Engine,
                format!("the container {name} vanished while it was looked at"),
            ));
        };
        let new = is_new(found.config.as_ref().and_then(|config| config.labels.as_ref()));
        match self.seen(found) {
            Some(seen) if seen.seat == order.seat && seen.session == order.session => Ok(match seen.state {
                RunState::Created => Made::Unstarted {
                    id: seen.id.to_string(),
                    new,
                },
                _ => Made::Started(Box::new(seen)),
            }),
            Some(seen) if seen.seat == order.seat => Err(Fault::new(
                FaultCode::NameTaken,
                format!("{} still has a container of opening {}", order.seat, seen.session),
            )
            .hint("It is archived and removed first")),
            _ => Err(foreign(Kind::Seat, name)),
        }
    }

    /// Uploads what a new workspace starts with. May be repeated until the seat is started.
    async fn fill(&self, order: &SeatOrder, id: &str, upload: &Upload) -> Result<(), Fault> {
        let (parent, name) = split(order);
        if !order.template.read_only {
            return self.put(order, id, parent, upload).await;
        }
        let carrier = self.upload_carrier(order, name).await?;
        let put = self.put(order, carrier.id.as_str(), UPLOAD_PARENT, upload).await;
        carrier.remove().await?;
        put
    }

    async fn put(&self, order: &SeatOrder, id: &str, parent: &str, upload: &Upload) -> Result<(), Fault> {
        let options = UploadToContainerOptionsBuilder::new().path(parent).build();
        let body = bollard::body_full(upload.tar.clone().into());
        let call = self.client()?.upload_to_container(id, Some(options), body);
        Ok(self
            .change(format!("filling the workspace of {}", order.seat), call)
            .await?)
    }

    async fn first_start(&self, order: &SeatOrder, made: Made) -> Result<ContainerSeen, Fault> {
        let id = match made {
            Made::Started(seen) => return Ok(*seen),
            Made::Fresh { id, .. } | Made::Unstarted { id, .. } => id,
        };
        let call = self.client()?.start_container(&id, None::<StartContainerOptions>);
        let started = self.change(format!("starting {}", order.seat), call).await;
        // What was put into the container of a restored seat is only there: it is started again as it is.
        if started.as_ref().is_err_and(is_misplaced) && order.restore.is_none() {
            // Of a network that is there no more, or somebody else's by now: the next try makes it anew.
            self.forget_address(order).await;
            let call = self.client()?.remove_container(&id, None::<RemoveContainerOptions>);
            self.change(format!("removing what was made of {}", order.seat), call)
                .await?;
        }
        started?;
        let seen = self.inspect(&id).await?.and_then(|found| self.seen(found));
        seen.ok_or_else(|| {
            Fault::new(
                FaultCode::Engine,
                format!("{} vanished when it was started", order.seat),
            )
        })
    }
}

/// What a new workspace starts with.
enum Start {
    /// What the image brings.
    Image,
    /// Files.
    Files(Upload),
    /// The work of an archive, and nothing else.
    Archive(Result<Refill, Fault>),
}

/// Nothing of the image comes into the workspace.
fn keep_image_out(body: &mut ContainerCreateBody) {
    let mounts = body.host_config.as_mut().and_then(|config| config.mounts.as_mut());
    for mount in mounts.into_iter().flatten() {
        mount.volume_options.get_or_insert_default().no_copy = Some(true);
    }
}

/// A seat's container on its way; `new` tells whether its workspace was.
enum Made {
    /// Made just now.
    Fresh { id: String, new: bool },
    /// Left by an interrupted making.
    Unstarted { id: String, new: bool },
    /// Started once before: nothing is left to do.
    Started(Box<ContainerSeen>),
}

/// The workspace's parent and its own name. The upload goes to the parent, because the engine leaves the owner of the
/// directory that it extracts to alone.
pub(super) fn split(order: &SeatOrder) -> (&str, &str) {
    match order.template.workspace.trim_end_matches('/').rsplit_once('/') {
        Some(("", name)) => ("/", name),
        Some(parts) => parts,
        None => ("/", &order.template.workspace),
    }
}

fn is_new(labels: Option<&HashMap<String, String>>) -> bool {
    labels
        .and_then(|labels| labels.get(LABEL_WORKSPACE))
        .is_some_and(|state| state == WORKSPACE_NEW)
}

fn goes_on(order: &SeatOrder, cancel: &CancellationToken) -> Result<(), Fault> {
    if cancel.is_cancelled() {
        return Err(Fault::new(
            FaultCode::Cancelled,
            format!("the making of {} was called off", order.seat),
        ));
    }
    Ok(())
}
