//! All that a student may have written, as sources of an archive: the workspace, changed files elsewhere, the log.
//!
//! The workspace is read directly where the engine's own files prove that it lies on this host, because the engine's
//! archive endpoint leaves out sockets and very deep trees, cuts moments to seconds and breaks off when a file shrinks;
//! else through a carrier. Changed files elsewhere are asked of the seat's own container, which answers nothing else
//! meanwhile: only a seat that is still is asked.

use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bollard::models::Volume;
use bollard::query_parameters::DownloadFromContainerOptionsBuilder;
use futures_util::StreamExt;
use rustix::fs::{CWD, Mode, OFlags};
use tokio::sync::mpsc;

use super::carrier::{Carrier, Workspace};
use super::errors::OrGone;
use super::{Docker, elsewhere};
use crate::domain::fault::{Fault, FaultCode};
use crate::domain::ids::{ContainerId, SeatId};
use crate::domain::template::Selection;
use crate::world::archive::{PIECES, Piece, Source, Supply};

use crate::pack::rules::{Part, Selector};
use crate::pack::tree::{fingerprint, size};

/// A seat's work that is about to be read. Its carrier keeps the workspace from being removed meanwhile.
pub struct Work {
    docker: Docker,
    /// None when the workspace is not read.
    carrier: Option<Carrier>,
    tree: Option<OwnedFd>,
    container: Option<ContainerId>,
    seat: SeatId,
    parts: Parts,
}

impl std::fmt::Debug for Work {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Work").field("seat", &self.seat).finish_non_exhaustive()
    }
}

/// The engine's (Go's) bit of a mode for a directory.
const DIRECTORY: u32 = 1 << 31;

/// Which parts of the work are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Parts {
    /// The workspace alone.
    Workspace,
    /// What changed elsewhere alone.
    Elsewhere,
    /// Both.
    All,
}

impl Docker {
    /// Opens a seat's work for reading.
    ///
    /// # Errors
    /// When there is no workspace, or the engine fails.
    pub async fn work(&self, seat: &SeatId, session: u64, parts: Parts) -> Result<Work, Fault> {
        let (mut carrier, mut tree) = (None, None);
        if parts != Parts::Elsewhere {
            let made = self.workspace_carrier(seat, session).await?;
            tree = self.tree(seat, session, &made.id).await;
            carrier = Some(made);
        }
        let container = self.seat_container(seat, session).await?.map(|seen| seen.id);
        Ok(Work {
            docker: self.clone(),
            carrier,
            tree,
            container,
            seat: seat.clone(),
            parts,
        })
    }

    /// The workspace as an open directory of this host; none when it lies elsewhere, or may not be read.
    async fn tree(&self, seat: &SeatId, session: u64, carrier: &ContainerId) -> Option<OwnedFd> {
        let place = self.workspace_here(seat, session, carrier.as_str()).await?;
        open_tree(&place)
    }

    /// Where a workspace lies on this host; none when it lies elsewhere. `container` is one that the engine has.
    pub(super) async fn workspace_here(&self, seat: &SeatId, session: u64, container: &str) -> Option<PathBuf> {
        let name = self.inner.names.volume(seat, session);
        let client = self.client().ok()?;
        let about = client.info().await.ok()?;
        let remapped = about
            .security_options
            .iter()
            .flatten()
            .any(|option| option.contains("userns"));
        let root = about.docker_root_dir?;
        // The engine's name for a container is drawn by chance: a directory of that name here is its own.
        if remapped || !Path::new(&root).join("containers").join(container).is_dir() {
            return None;
        }
        let volume = client.inspect_volume(&name).await.ok()?;
        place_of(&volume, &root)
    }

    /// Stands for a workspace as it is now, found out without opening a file; none when it lies elsewhere, or it could
    /// not be told.
    pub async fn fingerprint(
        &self,
        seat: &SeatId,
        session: u64,
        container: &ContainerId,
        selection: &Selection,
    ) -> Option<[u8; 32]> {
        let place = self.workspace_here(seat, session, container.as_str()).await?;
        let told = look(open_tree(&place)?, selection, fingerprint).await?;
        told.inspect_err(|error| tracing::debug!(%error, %seat, "a workspace has no fingerprint now"))
            .ok()
    }

    /// The whole log of a container; what cannot be read of it is told in its place.
    pub(super) async fn whole_log(&self, id: &ContainerId) -> mpsc::Receiver<Piece> {
        let (sender, pieces) = mpsc::channel(PIECES);
        let lines = self.logs(id, None, false).await;
        tokio::spawn(async move {
            let broken =
                |fault: Fault| Piece::Bytes(format!("\nlabtop: the log could not be read further: {fault}\n").into());
            match lines {
                Ok(mut lines) => {
                    while let Some(line) = lines.recv().await {
                        let piece = line.map_or_else(broken, Piece::Bytes);
                        if sender.send(piece).await.is_err() {
                            return;
                        }
                    }
                }
                Err(fault) => {
                    let _ = sender.send(broken(fault)).await;
                }
            }
            let _ = sender.send(Piece::End).await;
        });
        pieces
    }
}

/// How a tree is looked at: the tree, what is skipped, and whether anybody still waits.
type Look<T> = fn(OwnedFd, &dyn Fn(&[u8], bool) -> bool, &dyn Fn() -> bool) -> io::Result<T>;

/// Looks at a tree without what is left out of its archive, on a thread that ends when nobody waits any more.
async fn look<T: Send + 'static>(tree: OwnedFd, selection: &Selection, how: Look<T>) -> Option<io::Result<T>> {
    let selector = Selector::new(selection).ok()?;
    let skip = move |path: &[u8], is_directory| selector.left_out(Part::Workspace, path, is_directory).is_some();
    let waited = Arc::new(());
    let waits = Arc::downgrade(&waited);
    let told = tokio::task::spawn_blocking(move || how(tree, &skip, &|| waits.strong_count() > 0)).await;
    drop(waited);
    told.ok()
}

fn place_of(volume: &Volume, root: &str) -> Option<PathBuf> {
    let plain = volume.driver == "local" && volume.options.is_empty();
    let path = Path::new(&volume.mountpoint);
    (plain && path.starts_with(root)).then(|| path.to_path_buf())
}

fn open_tree(path: &Path) -> Option<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat(CWD, path, flags, Mode::empty()).ok()
}

impl Work {
    /// How many bytes the workspace's files have, once it is asked for; none when it lies elsewhere.
    pub fn size(&self, selection: &Selection) -> impl Future<Output = Option<u64>> + use<> {
        let tree = self.tree.as_ref().and_then(|tree| tree.try_clone().ok());
        let selection = selection.clone();
        async move { look(tree?, &selection, size).await?.ok() }
    }

    /// What the seat printed; none without a container.
    pub async fn log(&self) -> Option<mpsc::Receiver<Piece>> {
        match &self.container {
            Some(id) => Some(self.docker.whole_log(id).await),
            None => None,
        }
    }

    /// Hands the work to whoever packs it, and removes the carrier. Ends early when nobody takes it any more.
    ///
    /// # Errors
    /// Never for the work's own sake: what fails is said to the packing. When the carrier stays.
    pub async fn supply(self, selection: &Selection, to: mpsc::Sender<Supply>) -> Result<(), Fault> {
        let result = self.send(selection, &to).await;
        match result {
            Ok(true) => {
                let _ = to.send(Supply::End).await;
            }
            Ok(false) => {}
            Err(fault) => {
                let _ = to.send(Supply::Failed(fault)).await;
            }
        }
        // Whoever packs is done when the channel closes, not before.
        to.closed().await;
        match self.carrier {
            Some(carrier) => carrier.remove().await,
            None => Ok(()),
        }
    }

    /// False when nobody takes it any more.
    async fn send(&self, selection: &Selection, to: &mpsc::Sender<Supply>) -> Result<bool, Fault> {
        if let Some(carrier) = &self.carrier
            && !self.send_workspace(carrier, to).await?
        {
            return Ok(false);
        }
        if self.parts != Parts::Workspace
            && let Some(id) = &self.container
        {
            for path in self.docker.changed_elsewhere(id, selection).await? {
                if !self.send_path(id, &path, to).await? {
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }

    async fn send_workspace(&self, carrier: &Carrier, to: &mpsc::Sender<Supply>) -> Result<bool, Fault> {
        if let Some(tree) = &self.tree {
            let again = tree.try_clone().map_err(|error| {
                let text = format!("the workspace of {} cannot be opened: {error}", self.seat);
                Fault::new(FaultCode::Engine, text)
            })?;
            return Ok(to.send(Supply::Source(Source::Tree(again))).await.is_ok());
        }
        let stream = Workspace::download(&self.docker, carrier)?;
        self.forward(stream, Part::Workspace, Vec::new(), to).await
    }

    async fn send_path(&self, id: &ContainerId, path: &str, to: &mpsc::Sender<Supply>) -> Result<bool, Fault> {
        let options = DownloadFromContainerOptionsBuilder::new().path(path).build();
        let bytes = self
            .docker
            .client()?
            .download_from_container(id.as_str(), Some(options));
        let stream = Workspace::stream(&self.docker, Box::pin(bytes));
        self.forward(stream, Part::Elsewhere, elsewhere::below(path), to).await
    }

    async fn forward(
        &self,
        mut stream: Workspace,
        part: Part,
        below: Vec<u8>,
        to: &mpsc::Sender<Supply>,
    ) -> Result<bool, Fault> {
        let (sender, pieces) = mpsc::channel(PIECES);
        if to
            .send(Supply::Source(Source::Tar { pieces, part, below }))
            .await
            .is_err()
        {
            return Ok(false);
        }
        while let Some(next) = stream.next().await {
            let piece = next.map_or_else(Piece::Failed, Piece::Bytes);
            if sender.send(piece).await.is_err() {
                return Ok(false);
            }
        }
        Ok(sender.send(Piece::End).await.is_ok())
    }
}

impl Docker {
    /// A workspace that is not there is a fault.
    pub(super) async fn need_volume(&self, seat: &SeatId, session: u64) -> Result<(), Fault> {
        if self.has_volume(seat, session).await? {
            return Ok(());
        }
        Err(Fault::new(
            FaultCode::Engine,
            format!("{seat} has no workspace: its volume is gone"),
        ))
    }

    /// What changed in a container outside its mounts.
    pub(super) async fn changed_elsewhere(
        &self,
        id: &ContainerId,
        selection: &Selection,
    ) -> Result<Vec<String>, Fault> {
        let call = self.client()?.container_changes(id.as_str());
        let changes = self.read("asking what changed in a seat", call).await.or_gone()?;
        let found = elsewhere::paths(&changes.flatten().unwrap_or_default(), selection);
        let mut paths = Vec::new();
        for candidate in found {
            if !candidate.may_be_directory || !self.is_directory(id, &candidate.path).await? {
                paths.push(candidate.path);
            }
        }
        Ok(paths)
    }

    async fn is_directory(&self, id: &ContainerId, path: &str) -> Result<bool, Fault> {
        let options = bollard::query_parameters::ContainerArchiveInfoOptionsBuilder::new()
            .path(path)
            .build();
        let call = self.client()?.get_container_archive_info(id.as_str(), Some(options));
        // One that is not found is no reason to pass it over: reading it tells.
        let stat = self.read("looking at a changed file", call).await.or_gone()?;
        Ok(stat.is_some_and(|stat| stat.file_mode & DIRECTORY != 0))
    }
}
