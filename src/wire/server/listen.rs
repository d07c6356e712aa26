//! The socket itself: made private, accepted from within bounds, drained at the end.

use std::collections::HashMap;
use std::io;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::net::unix::UCred;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::peer::{self, Peers, Stranger};
use super::talk::{Host, refuse, talk};
use crate::domain::ids::InstanceId;
use crate::engine::handle::Handle;
use crate::metrics::Turned;
use crate::paths::{self, PathError};
use crate::wire::message::UnwelcomeCode;

/// Most connections at a time: several boards, logs and shells for every supervisor of a lab, and far below the
/// usual limit of 1,024 open files.
pub const CONNECTIONS_MAX: usize = 256;
/// Most connections of one user who does not own the agent: nobody takes all the places.
pub const EACH_MAX: usize = 64;
/// Places that only root and the agent's own user take.
const KEPT_FOR_OWNERS: usize = 32;
/// How long connections may take to say goodbye when the agent stops; service managers wait much longer.
const DRAIN_GRACE: Duration = Duration::from_secs(2);
/// Pause after a failed accept (out of file descriptors), so that the failure does not spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Why the socket cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// The path cannot be used.
    #[error(transparent)]
    Path(#[from] PathError),
    /// Something that is not a socket is in the way; it is left alone.
    #[error("{} is not a socket: move it away, or set LABTOP_SOCKET to another path", .0.display())]
    InTheWay(PathBuf),
    /// An agent of another state directory listens there.
    #[error("another agent listens at {}: set LABTOP_SOCKET to another path", .0.display())]
    Taken(PathBuf),
    /// The system refused.
    #[error("cannot listen at {}: {cause}", .socket.display())]
    Io {
        /// Where.
        socket: PathBuf,
        /// Why.
        cause: io::Error,
    },
}

/// Makes the socket at `socket` in place of one that an earlier agent left behind. Everybody may knock there who may
/// enter its directory: who is let in is decided by the user id that the kernel tells, before anything is said.
///
/// Only the holder of the state directory's lock may call this: it takes the name from whoever had it.
///
/// # Errors
/// When the path is too long, its directory cannot be made, or something else or another agent is in the way.
pub fn bind(socket: &Path) -> Result<UnixListener, BindError> {
    paths::check_socket(socket)?;
    if let Some(directory) = socket.parent() {
        paths::open_directory(directory)?;
    }
    let io_error = |cause| BindError::Io {
        socket: socket.to_owned(),
        cause,
    };
    // The lock is on the state directory; the socket may be shared with an agent of another one.
    if std::os::unix::net::UnixStream::connect(socket).is_ok() {
        return Err(BindError::Taken(socket.to_owned()));
    }
    remove_stale(socket)?;
    let listener = UnixListener::bind(socket).map_err(io_error)?;
    std::fs::set_permissions(socket, std::fs::Permissions::from_mode(0o666)).map_err(io_error)?;
    Ok(listener)
}

/// Takes the socket's name away, so that clients see at once that nobody listens. Call it before the lock is let go.
pub fn unbind(socket: &Path) {
    if let Err(error) = remove_stale(socket) {
        tracing::warn!(%error, "the socket stays behind");
    }
    // A directory that held nothing else must not keep other users from their own agents.
    if let Some(directory) = socket.parent() {
        paths::remove_own_directory(directory, paths::OPEN);
    }
}

fn remove_stale(socket: &Path) -> Result<(), BindError> {
    match std::fs::symlink_metadata(socket) {
        Ok(found) if !found.file_type().is_socket() => Err(BindError::InTheWay(socket.to_owned())),
        Ok(_) => std::fs::remove_file(socket).or_else(|cause| ignore_absent(socket, cause)),
        Err(cause) => ignore_absent(socket, cause),
    }
}

fn ignore_absent(socket: &Path, cause: io::Error) -> Result<(), BindError> {
    if cause.kind() == io::ErrorKind::NotFound {
        return Ok(());
    }
    Err(BindError::Io {
        socket: socket.to_owned(),
        cause,
    })
}

/// Serves clients until `shutdown`; then lets open conversations end within a short grace.
pub async fn serve(
    listener: UnixListener,
    peers: Peers,
    (handle, instance): (Handle, InstanceId),
    shutdown: CancellationToken,
) {
    let door = Arc::new(Door::new(peers));
    let host = Arc::new(Host {
        handle,
        instance,
        shutdown: shutdown.clone(),
    });
    let tasks = TaskTracker::new();
    loop {
        let accepted = tokio::select! {
            () = shutdown.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, _)) => admit(stream, &door, &host, &tasks).await,
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    tasks.close();
    tasks.wait().await;
}

/// The places for connections.
struct Door {
    peers: Peers,
    places: Arc<Semaphore>,
    /// Connections of each user.
    each: Mutex<HashMap<u32, usize>>,
}

impl Door {
    fn new(peers: Peers) -> Self {
        Self {
            peers,
            places: Arc::new(Semaphore::new(CONNECTIONS_MAX)),
            each: Mutex::default(),
        }
    }

    fn place(self: &Arc<Self>, uid: u32) -> Result<Place, String> {
        let full = || format!("{CONNECTIONS_MAX} clients are connected already: close some boards or logs");
        if !peer::is_owner(uid) && self.places.available_permits() <= KEPT_FOR_OWNERS {
            return Err(full());
        }
        let Ok(permit) = Arc::clone(&self.places).try_acquire_owned() else {
            return Err(full());
        };
        let mut each = self.each.lock().unwrap_or_else(PoisonError::into_inner);
        let count = each.entry(uid).or_default();
        if *count >= EACH_MAX && !peer::is_owner(uid) {
            return Err(format!(
                "{EACH_MAX} clients of this user are connected already: close some boards or logs"
            ));
        }
        *count += 1;
        Ok(Place {
            door: Arc::clone(self),
            uid,
            _permit: permit,
        })
    }
}

/// A connection's place; it is free again when this is gone.
struct Place {
    door: Arc<Door>,
    uid: u32,
    _permit: OwnedSemaphorePermit,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut each = self.door.each.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = each.get_mut(&self.uid) {
            *count -= 1;
            if *count == 0 {
                each.remove(&self.uid);
            }
        }
    }
}

/// Gives a connection a task of its own, or says at once why not. The answer fits a fresh socket's buffer, so
/// writing it does not wait for the peer.
async fn admit(stream: UnixStream, door: &Arc<Door>, host: &Arc<Host>, tasks: &TaskTracker) {
    let credentials = match stream.peer_cred() {
        Ok(credentials) => credentials,
        Err(error) => {
            tracing::warn!(%error, "a connection without credentials was closed");
            return;
        }
    };
    let place = match door.place(credentials.uid()) {
        Ok(place) => place,
        Err(text) => {
            host.handle.counts().turned_away(Turned::Full);
            return refuse(stream, UnwelcomeCode::Busy, &text).await;
        }
    };
    tasks.spawn(converse(stream, credentials, place, Arc::clone(host)));
}

async fn converse(stream: UnixStream, credentials: UCred, place: Place, host: Arc<Host>) {
    let actor = match place.door.peers.actor(credentials).await {
        Ok(actor) => actor,
        Err(Stranger::NoRole(text)) => {
            tracing::warn!(uid = credentials.uid(), "somebody without a role was refused");
            host.handle.counts().turned_away(Turned::Unwelcome);
            return refuse(stream, UnwelcomeCode::Refused, &text).await;
        }
        Err(Stranger::Unknown(text)) => {
            tracing::warn!(uid = credentials.uid(), text, "somebody was refused");
            host.handle.counts().turned_away(Turned::Unwelcome);
            return refuse(stream, UnwelcomeCode::Busy, &text).await;
        }
    };
    let overdue = async {
        host.shutdown.cancelled().await;
        tokio::time::sleep(DRAIN_GRACE).await;
    };
    tokio::select! {
        ended = talk(stream, actor, &host) => {
            if let Err(error) = ended {
                tracing::debug!(%error, "a connection ended");
            }
        }
        () = overdue => {}
    }
}
