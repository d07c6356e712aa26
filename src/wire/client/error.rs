//! Why an agent could not be asked, in words for people.

use std::io;
use std::path::{Path, PathBuf};

use crate::domain::fault::{Fault, Refusal};
use crate::wire::message::UnwelcomeCode;

/// Why no agent let this client in.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// Nobody listens.
    #[error("no agent listens at {}", .0.display())]
    Absent(PathBuf),
    /// This user may not.
    #[error("{0}")]
    Refused(String),
    /// The two sides do not speak alike.
    #[error("{0}")]
    Protocol(String),
    /// The agent has no place left.
    #[error("{0}")]
    Busy(String),
    /// The socket failed.
    #[error("the agent's socket {} failed: {cause}", .socket.display())]
    Io {
        /// Which.
        socket: PathBuf,
        /// How.
        cause: io::Error,
    },
}

impl ConnectError {
    pub(super) fn io(socket: &Path, cause: io::Error) -> Self {
        match cause.kind() {
            // A socket that was left behind by a killed agent refuses.
            io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused | io::ErrorKind::NotADirectory => {
                Self::Absent(socket.to_owned())
            }
            io::ErrorKind::PermissionDenied => Self::Refused(format!(
                "the agent's socket {} belongs to another user: run labtop as that user (`sudo -u USER labtop`), \
                 or set LABTOP_STATE to a directory of your own to run another agent",
                socket.display()
            )),
            _ => Self::Io {
                socket: socket.to_owned(),
                cause,
            },
        }
    }

    pub(super) fn unwelcome(code: UnwelcomeCode, text: String) -> Self {
        match code {
            UnwelcomeCode::Refused => Self::Refused(text),
            UnwelcomeCode::Protocol => Self::Protocol(text),
            UnwelcomeCode::Busy => Self::Busy(text),
        }
    }

    pub(super) fn no_greeting(socket: &Path, cause: &io::Error) -> Self {
        use io::ErrorKind::{BrokenPipe, ConnectionReset, UnexpectedEof};
        match cause.kind() {
            // An agent that is going away closes what nobody has accepted.
            BrokenPipe | ConnectionReset | UnexpectedEof => Self::Absent(socket.to_owned()),
            _ => Self::Protocol(format!(
                "what listens at {} does not answer like a labtop agent: {cause}",
                socket.display()
            )),
        }
    }
}

/// Why a call to an agent has no result.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// The agent could not be reached.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The agent went away in the middle. A changing call may have happened.
    #[error("the agent went away before it answered ({0}): look with `labtop ls` what was done, and ask again")]
    Lost(String),
    /// The agent could not do it.
    #[error(transparent)]
    Fault(#[from] Fault),
    /// The agent did not accept it.
    #[error(transparent)]
    Refusal(#[from] Refusal),
}

impl CallError {
    pub(super) fn lost(cause: impl ToString) -> Self {
        Self::Lost(cause.to_string())
    }

    pub(super) fn out_of_turn() -> Self {
        ConnectError::Protocol("the agent answered something that was not asked".to_owned()).into()
    }
}
