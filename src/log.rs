//! The program's own log: a file that rotates by the day, never the terminal.

use std::path::Path;

use tracing_appender::non_blocking::WorkerGuard;
use tracing_appender::rolling::{RollingFileAppender, Rotation};
use tracing_subscriber::EnvFilter;

use crate::cli::{Exit, Problem};
use crate::paths::private_directory;

/// Days of logs that are kept.
const DAYS: usize = 14;
/// Which messages are kept unless `LABTOP_LOG` says otherwise.
const LEVEL: &str = "info";

/// Keeps the log alive; what is still in memory is written when it is dropped.
#[must_use]
pub struct Guard(#[expect(dead_code, reason = "held for its drop")] WorkerGuard);

/// Sends this process's messages to `<state>/log/<file>.<day>`.
///
/// # Errors
/// When the directory cannot be made or written.
pub fn to_file(state: &Path, file: &str) -> Result<Guard, Problem> {
    let directory = state.join("log");
    private_directory(&directory)?;
    let appender = RollingFileAppender::builder()
        .rotation(Rotation::DAILY)
        .filename_prefix(file)
        .max_log_files(DAYS)
        .build(&directory)
        .map_err(|error| {
            Problem::new(
                Exit::Failed,
                format!("cannot write a log in {}: {error}", directory.display()),
            )
        })?;
    let (writer, guard) = tracing_appender::non_blocking(appender);
    let filter = EnvFilter::try_from_env("LABTOP_LOG").unwrap_or_else(|_| EnvFilter::new(LEVEL));
    tracing_subscriber::fmt()
        .with_writer(writer)
        .with_ansi(false)
        .with_env_filter(filter)
        .init();
    Ok(Guard(guard))
}
