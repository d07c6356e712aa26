//! The program's own log: files that rotate themselves, or the journal of a service manager; never the terminal.

mod journal;
mod rotating;

use std::path::Path;

use tracing_appender::non_blocking::WorkerGuard;
use tracing_subscriber::EnvFilter;

use crate::cli::{Exit, Problem};
use crate::paths::private_directory;
use rotating::{Bounds, RotatingFile};

/// What is kept of each log: some weeks of a busy agent at the usual level, and never more than 64 MiB.
const KEPT: Bounds = Bounds {
    bytes: 8 << 20,
    files: 8,
};
/// Which messages are kept unless `LABTOP_LOG` says otherwise.
const LEVEL: &str = "info";

/// Keeps the log alive; what is still in memory is written when it is dropped.
#[must_use]
pub struct Guard(#[expect(dead_code, reason = "held for its drop")] WorkerGuard);

/// Sends an agent's messages to the journal when a service manager runs it, else to a file.
///
/// # Errors
/// When the file cannot be made or written.
pub fn of_agent(state: &Path, detached: bool) -> Result<Guard, Problem> {
    if detached {
        return to_file(state, "agent.log");
    }
    of_service(state, "agent.log")
}

/// Sends a gateway's messages to the journal when a service manager runs it, else to a file.
///
/// # Errors
/// When the file cannot be made or written.
pub fn of_gateway(state: &Path) -> Result<Guard, Problem> {
    of_service(state, "gateway.log")
}

fn of_service(state: &Path, file: &str) -> Result<Guard, Problem> {
    if !journal::is_there() {
        return to_file(state, file);
    }
    let (writer, guard) = tracing_appender::non_blocking(std::io::stderr());
    tracing_subscriber::fmt()
        .with_writer(journal::Journal(writer))
        .without_time()
        .with_ansi(false)
        .with_env_filter(filter())
        .init();
    Ok(Guard(guard))
}

/// Sends this process's messages to `<state>/log/<file>`, and its older ones to `<file>.1` and so on.
///
/// # Errors
/// When the directory cannot be made or written.
pub fn to_file(state: &Path, file: &str) -> Result<Guard, Problem> {
    let directory = state.join("log");
    private_directory(&directory)?;
    let file = RotatingFile::open(directory.join(file), KEPT).map_err(|error| {
        let text = format!("cannot write a log in {}: {error}", directory.display());
        Problem::new(Exit::Failed, text)
    })?;
    let (writer, guard) = tracing_appender::non_blocking(file);
    tracing_subscriber::fmt()
        .with_writer(writer)
        .with_ansi(false)
        .with_env_filter(filter())
        .init();
    Ok(Guard(guard))
}

fn filter() -> EnvFilter {
    EnvFilter::try_from_env("LABTOP_LOG").unwrap_or_else(|_| EnvFilter::new(LEVEL))
}
