//! `labtop ledger backup`: a copy of the ledger becomes a file of this host, whole or not at all.

use std::fs::File;
use std::io::{self, IsTerminal, Seek, Write};
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use super::args::BackupArgs;
use super::attach::attach;
use super::exit::{Exit, Problem, print};
use super::logs;
use super::table::bytes;
use crate::pack::sum::{Sum, Summed};
use crate::signals::Ends;
use crate::wire::client::Logs;

/// What stands for standard output.
const STANDARD_OUTPUT: &str = "-";

/// `labtop ledger backup FILE`.
///
/// # Errors
/// When the file is there already or cannot be written, or the agent cannot make a copy; then nothing is left of it.
pub async fn backup(args: BackupArgs, config: Option<&Path>) -> Result<Exit, Problem> {
    if args.file.as_os_str() == STANDARD_OUTPUT {
        return to_standard_output(config).await;
    }
    // Before anything is asked: a backup that cannot be kept need not be in the audit trail.
    let mut ends = Ends::new()?;
    let target = Target::new(&args.file)?;
    let sum = tokio::select! {
        // The file goes with the target.
        signal = ends.next() => return Err(Problem::new(Exit::Signal(signal), "interrupted: there is no backup")),
        sum = fill(target, config) => sum?,
    };
    print(&format!(
        "The ledger is in {} ({}, SHA-256 {})\n",
        super::visible(&args.file.display().to_string()),
        bytes(sum.bytes),
        sum.digest
    ))?;
    Ok(Exit::Done)
}

async fn to_standard_output(config: Option<&Path>) -> Result<Exit, Problem> {
    if io::stdout().is_terminal() {
        let text = "a ledger is no text for a terminal: name a file, or send it into a pipe";
        return Err(Problem::new(Exit::Usage, text));
    }
    logs::copy(attach(config).await?.backup().await?).await
}

async fn fill(mut target: Target, config: Option<&Path>) -> Result<Sum, Problem> {
    let client = attach(config).await?;
    let received = target.receive(client.backup().await?).await?;
    target.keep(&received)?;
    Ok(received)
}

/// A file beside the one that is to be; removed unless it is kept.
struct Target {
    place: PathBuf,
    file: NamedTempFile,
}

impl Target {
    fn new(place: &Path) -> Result<Self, Problem> {
        if place.symlink_metadata().is_ok() {
            return Err(is_there(place));
        }
        // Such a file is this user's alone.
        let file = tempfile::Builder::new()
            .prefix(".labtop-backup-")
            .tempfile_in(directory(place))
            .map_err(|error| failed(place, &error))?;
        let place = place.to_path_buf();
        Ok(Self { place, file })
    }

    /// Takes everything, and its end only when the agent says that it was whole.
    async fn receive(&mut self, mut copy: Logs) -> Result<Sum, Problem> {
        let mut out = Summed::new(&mut self.file);
        while let Some(piece) = copy.next().await? {
            out.write_all(&piece).map_err(|error| failed(&self.place, &error))?;
        }
        Ok(out.finish())
    }

    /// Gives the file its name once it is on the disk as it came.
    fn keep(mut self, received: &Sum) -> Result<(), Problem> {
        let read = self.read_back().map_err(|error| failed(&self.place, &error))?;
        if read != *received {
            let why = io::Error::other("what was written came back different; look at the disk");
            return Err(failed(&self.place, &why));
        }
        let kept = self.file.persist_noclobber(&self.place);
        kept.map_err(|error| match error.error.kind() {
            io::ErrorKind::AlreadyExists => is_there(&self.place),
            _ => failed(&self.place, &error.error),
        })?;
        let synced = File::open(directory(&self.place)).and_then(|directory| directory.sync_all());
        synced.map_err(|error| failed(&self.place, &error))
    }

    fn read_back(&mut self) -> io::Result<Sum> {
        let file = self.file.as_file_mut();
        file.sync_all()?;
        file.rewind()?;
        let mut back = Summed::new(file);
        io::copy(&mut back, &mut io::sink())?;
        Ok(back.finish())
    }
}

fn directory(place: &Path) -> &Path {
    match place.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

fn is_there(place: &Path) -> Problem {
    let text = format!(
        "{} is there already, and no backup is overwritten: name another file",
        place.display()
    );
    Problem::new(Exit::Failed, text)
}

fn failed(place: &Path, error: &io::Error) -> Problem {
    let text = format!("the backup {} could not be written: {error}", place.display());
    Problem::new(Exit::Failed, text)
}
