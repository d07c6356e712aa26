//! Turns what can go wrong with the engine into faults for people.
//!
//! Knows bollard's errors and HTTP's status codes. Must not know what the calls are for: it is told in words.

use std::error::Error as _;
use std::fmt;
use std::future::Future;
use std::io;
use std::time::Duration;

use bollard::errors::Error;

use super::Docker;
use crate::domain::fault::{Fault, FaultCode};

/// How long a call that changes nothing may take. A busy two-core host answers in milliseconds; a hung one never.
pub(super) const READ_LIMIT: Duration = Duration::from_secs(20);
/// How long a changing call may take: creating and starting a seat on a host that opens sixty rooms takes seconds.
pub(super) const CHANGE_LIMIT: Duration = Duration::from_secs(90);

/// A failed call: the fault for people, and the status that code decides by.
#[derive(Debug)]
pub(super) struct Trouble {
    /// HTTP status, when the engine answered at all.
    pub status: Option<u16>,
    /// What people are told.
    pub fault: Fault,
}

impl Trouble {
    /// The engine says that there is no such thing.
    pub(super) fn is_gone(&self) -> bool {
        self.status == Some(404)
    }

    /// The engine says that the thing is not in the state for it.
    pub(super) fn is_conflict(&self) -> bool {
        self.status == Some(409)
    }

    /// Whether the engine's answer mentions `words`.
    pub(super) fn mentions(&self, words: &str) -> bool {
        self.fault.text.contains(words)
    }
}

impl From<Trouble> for Fault {
    fn from(trouble: Trouble) -> Self {
        trouble.fault
    }
}

impl From<Fault> for Trouble {
    fn from(fault: Fault) -> Self {
        Self { status: None, fault }
    }
}

/// Reads "no such thing" as an answer.
pub(super) trait OrGone<T> {
    /// `None` when the thing is not there.
    fn or_gone(self) -> Result<Option<T>, Fault>;
}

impl<T> OrGone<T> for Result<T, Trouble> {
    fn or_gone(self) -> Result<Option<T>, Fault> {
        match self {
            Ok(value) => Ok(Some(value)),
            Err(trouble) if trouble.is_gone() => Ok(None),
            Err(trouble) => Err(trouble.fault),
        }
    }
}

/// Whether a call changes something: without an answer to such a call nobody knows whether it happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Effect {
    Reads,
    Changes,
}

impl Docker {
    /// Waits for a call that changes nothing. `doing` reads like "looking at room/s01".
    pub(super) async fn read<T>(
        &self,
        doing: impl fmt::Display,
        call: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Trouble> {
        self.wait(Effect::Reads, READ_LIMIT, doing, call).await
    }

    /// Waits for a call that changes something.
    pub(super) async fn change<T>(
        &self,
        doing: impl fmt::Display,
        call: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Trouble> {
        self.wait(Effect::Changes, CHANGE_LIMIT, doing, call).await
    }

    /// The same for a call that may take long.
    pub(super) async fn change_within<T>(
        &self,
        limit: Duration,
        doing: impl fmt::Display,
        call: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Trouble> {
        self.wait(Effect::Changes, limit, doing, call).await
    }

    async fn wait<T>(
        &self,
        effect: Effect,
        limit: Duration,
        doing: impl fmt::Display,
        call: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Trouble> {
        match tokio::time::timeout(limit, call).await {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(error)) => Err(self.trouble(effect, limit, &doing, error)),
            Err(_) => Err(self.trouble(effect, limit, &doing, Error::RequestTimeoutError)),
        }
    }

    /// The fault of a stream that broke.
    pub(super) fn broken(&self, doing: impl fmt::Display, error: Error) -> Fault {
        self.trouble(Effect::Reads, READ_LIMIT, &doing, error).fault
    }

    fn trouble(&self, effect: Effect, limit: Duration, doing: &dyn fmt::Display, error: Error) -> Trouble {
        let status = match &error {
            Error::DockerResponseServerError { status_code, .. } => Some(*status_code),
            _ => None,
        };
        if status.is_none() {
            tracing::debug!(doing = %doing, error = %chain(&error), "the engine failed");
        }
        let fault = match &error {
            Error::DockerResponseServerError { message, .. } => engine_said(doing, message),
            Error::DockerStreamError { error } => engine_said(doing, error),
            error if never_sent(error) => unreachable(&self.inner.options.host, error),
            _ if effect == Effect::Changes => Fault::new(
                FaultCode::Unknown,
                format!(
                    "{doing}: no answer from the engine ({}), it may have happened",
                    brief(&error, limit)
                ),
            )
            .hint("labtop looks again"),
            error => Fault::new(
                FaultCode::EngineUnreachable,
                format!("{doing}: {}", brief(error, limit)),
            )
            .hint("See whether the Docker engine is well: `systemctl status docker`"),
        };
        Trouble { status, fault }
    }
}

fn engine_said(doing: &dyn fmt::Display, message: &str) -> Fault {
    Fault::new(
        FaultCode::Engine,
        format!("{doing}: the engine says: {}", message.trim()),
    )
}

/// Whether no byte of the request can have reached the engine.
fn never_sent(error: &Error) -> bool {
    match error {
        Error::SocketNotFoundError(_) => true,
        Error::HyperLegacyError { err } => err.is_connect(),
        _ => false,
    }
}

/// Why nobody answers at `host`, and what to do.
fn unreachable(host: &str, error: &Error) -> Fault {
    let kind = io_kind(error);
    let (why, hint) = match kind {
        Some(io::ErrorKind::PermissionDenied) => (
            "this user may not open its socket".to_owned(),
            "Add the user to the group `docker` (`sudo usermod -aG docker $USER`, then log in again) or run as root",
        ),
        _ if matches!(error, Error::SocketNotFoundError(_)) || kind == Some(io::ErrorKind::NotFound) => (
            "its socket does not exist".to_owned(),
            "Start Docker (`sudo systemctl start docker`), or name another engine with DOCKER_HOST",
        ),
        Some(io::ErrorKind::ConnectionRefused) => (
            "nothing listens there".to_owned(),
            "Start Docker (`sudo systemctl start docker`), or name another engine with DOCKER_HOST",
        ),
        _ => (
            chain(error),
            "See that the engine runs there, and that address and certificates are right",
        ),
    };
    Fault::new(
        FaultCode::EngineUnreachable,
        format!("the Docker engine at {host} cannot be reached: {why}"),
    )
    .hint(hint)
}

fn io_kind(error: &Error) -> Option<io::ErrorKind> {
    if let Error::IOError { err } = error {
        return Some(err.kind());
    }
    let mut source = error.source();
    while let Some(cause) = source {
        if let Some(io) = cause.downcast_ref::<io::Error>() {
            return Some(io.kind());
        }
        source = cause.source();
    }
    None
}

fn brief(error: &Error, limit: Duration) -> String {
    match error {
        Error::RequestTimeoutError => format!("nothing within {} s", limit.as_secs()),
        Error::HyperLegacyError { .. } | Error::HyperResponseError { .. } => "the connection broke off".to_owned(),
        other => chain(other),
    }
}

/// The error with all its causes.
fn chain(error: &Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text
}
