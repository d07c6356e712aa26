//! The socket that figures are served on: made for the agent's user and group, taken away at the end.
//!
//! Its mode is 0660. The page names rooms, so it is not for everybody; a collector of its own user is let in through a
//! directory that bears the set-group-id bit and the collector's group, which the socket then inherits.

use std::io;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::Path;

use tokio::net::UnixListener;

use crate::paths::{self, check_socket, private_directory};

const MODE: u32 = 0o660;

/// Makes the socket in place of one that nobody listens at any more.
///
/// # Errors
/// When its place cannot be used, or somebody else listens there.
pub fn bind(socket: &Path) -> io::Result<UnixListener> {
    check_socket(socket).map_err(io::Error::other)?;
    if let Some(directory) = socket.parent() {
        private_directory(directory).map_err(io::Error::other)?;
    }
    if std::os::unix::net::UnixStream::connect(socket).is_ok() {
        return Err(io::Error::new(
            io::ErrorKind::AddrInUse,
            "somebody listens there already",
        ));
    }
    remove(socket)?;
    let listener = UnixListener::bind(socket)?;
    std::fs::set_permissions(socket, std::fs::Permissions::from_mode(MODE))?;
    Ok(listener)
}

/// Takes the socket away, and its directory when that held nothing else.
pub fn unbind(socket: &Path) {
    if let Err(error) = remove(socket) {
        tracing::warn!(%error, socket = %socket.display(), "the metrics socket stays behind");
    }
    if let Some(directory) = socket.parent() {
        paths::remove_own_directory(directory, paths::PRIVATE);
    }
}

fn remove(socket: &Path) -> io::Result<()> {
    match std::fs::symlink_metadata(socket) {
        Ok(found) if !found.file_type().is_socket() => Err(io::Error::new(
            io::ErrorKind::AlreadyExists,
            "something that is not a socket is in the way",
        )),
        Ok(_) => std::fs::remove_file(socket),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}
