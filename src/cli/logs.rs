//! A seat's log on standard output: visible on a terminal, untouched in a pipe.

use std::io::{self, IsTerminal, Write};

use super::args::LogsArgs;
use super::clean::Cleaner;
use super::exit::{Exit, Problem};
use crate::wire::client::{Client, Logs};

/// `labtop seat logs`.
pub async fn print(client: &Client, args: LogsArgs) -> Result<Exit, Problem> {
    copy(client.logs(args.seat, args.tail, args.follow).await?).await
}

/// Copies a stream to standard output.
pub(super) async fn copy(logs: Logs) -> Result<Exit, Problem> {
    let out = io::stdout();
    if out.is_terminal() {
        cleaned(logs, out.lock()).await?;
    } else {
        raw(logs, out.lock()).await?;
    }
    Ok(Exit::Done)
}

async fn raw(mut logs: Logs, mut out: impl Write) -> Result<(), Problem> {
    while let Some(piece) = logs.next().await? {
        out.write_all(&piece)?;
        out.flush()?;
    }
    Ok(())
}

async fn cleaned(mut logs: Logs, mut out: impl Write) -> Result<(), Problem> {
    let mut cleaner = Cleaner::default();
    while let Some(piece) = logs.next().await? {
        out.write_all(cleaner.clean(&piece).as_bytes())?;
        out.flush()?;
    }
    out.write_all(cleaner.finish().as_bytes())?;
    Ok(())
}
