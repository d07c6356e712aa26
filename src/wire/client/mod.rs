//! The client's side: finds an agent at a socket and asks it one thing a connection.
//!
//! Knows: frames and the words of the wire. Must not know: who uses it (a board, a verb), or how an agent is started.

mod calls;
mod doors;
mod error;
mod shell;
mod watch;

use std::path::{Path, PathBuf};

use tokio::net::UnixStream;

use super::message::{Greeting, Hello, PROTOCOL, Request};
use super::stream::Connection;

pub use super::message::Welcome;
pub use calls::{Logs, RunEvent, Running};
pub use doors::Doors;
pub use error::{CallError, ConnectError};
pub use shell::{ShellReader, ShellWriter};
pub use watch::{Watch, WatchEvent};

/// An agent that answered. Every call opens a connection of its own, so that none waits for another, and a client
/// that outlives its agent finds the next one at the same socket.
#[derive(Debug, Clone)]
pub struct Client {
    socket: PathBuf,
    welcome: Welcome,
}

impl Client {
    /// Greets the agent that listens at `socket`.
    ///
    /// # Errors
    /// When nobody listens there, or the agent does not let this client in.
    pub async fn connect(socket: &Path) -> Result<Self, ConnectError> {
        let (_, welcome) = greet(socket).await?;
        Ok(Self {
            socket: socket.to_owned(),
            welcome,
        })
    }

    /// Where the agent listens.
    #[must_use]
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// What the agent said of itself when it was first met.
    #[must_use]
    pub fn welcome(&self) -> &Welcome {
        &self.welcome
    }

    async fn open(&self, request: &Request) -> Result<Connection<UnixStream>, ConnectError> {
        let (mut connection, _) = greet(&self.socket).await?;
        let sent = connection.writer.message(request).await;
        sent.map_err(|cause| ConnectError::io(&self.socket, cause))?;
        Ok(connection)
    }
}

/// Whom a client tells what its user types: an agent of the same user, or the system's.
fn is_trusted(uid: u32) -> bool {
    const ROOT: u32 = 0;
    uid == ROOT || uid == rustix::process::geteuid().as_raw()
}

async fn greet(socket: &Path) -> Result<(Connection<UnixStream>, Welcome), ConnectError> {
    let io_error = |cause| ConnectError::io(socket, cause);
    let stream = UnixStream::connect(socket).await.map_err(io_error)?;
    let owner = stream.peer_cred().map_err(io_error)?.uid();
    if !is_trusted(owner) {
        return Err(ConnectError::Refused(format!(
            "what listens at {} belongs to the user {owner}: it would hear every command and key",
            socket.display()
        )));
    }
    let mut connection = Connection::new(stream);
    // An agent that refuses may have closed its end already; what it said can still be read.
    let sent = connection.writer.message(&Hello::ours()).await;
    let greeting = connection.reader.next_promptly().await;
    match (greeting, sent) {
        (Ok(Greeting::Welcome(welcome)), Ok(())) if welcome.protocol == PROTOCOL => {
            connection.reader.trust();
            Ok((connection, welcome))
        }
        (Ok(Greeting::Welcome(welcome)), Ok(())) => Err(ConnectError::Protocol(format!(
            "the agent at {} speaks protocol {}, this labtop speaks {PROTOCOL}",
            socket.display(),
            welcome.protocol
        ))),
        (Ok(Greeting::Unwelcome { code, text }), _) => Err(ConnectError::unwelcome(code, text)),
        (Ok(_), Err(cause)) | (Err(cause), _) => Err(ConnectError::no_greeting(socket, &cause)),
    }
}
