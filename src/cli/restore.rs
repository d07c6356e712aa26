//! `labtop archive restore`: the work of an archive becomes files of this host again.
//!
//! The agent sends a tar; it is unpacked by whoever asked, with no more rights than they have. The board does the same.

use std::io::{self, IsTerminal, Read};
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::clean::visible;
use super::exit::{Exit, Problem, complain, print};
use super::progress::Progress;
use super::table::bytes;
use crate::domain::command::{Excerpt, ProgressReport};
use crate::domain::ids::ArchiveId;
use crate::domain::pace;
use crate::pack::manifest::Reader;
use crate::pack::pieces::Pieces;
use crate::pack::unpack::{Owners, Unpacked, unpack};
use crate::wire::client::{CallError, Client, Logs};

/// Pieces of the tar that wait for the disk.
const PIECES: usize = 16;
/// How often it is told how far it is.
const TELL_EVERY: Duration = Duration::from_millis(500);
/// Longest first line of a manifest that is waited for.
const HEAD_MAX: usize = 1 << 20;

/// A piece of the tar; its end; or that nothing more will come.
type Piece = Result<Option<Bytes>, ()>;

/// How far a restore has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// Bytes that came.
    pub bytes: u64,
    /// Bytes that there are, when the manifest tells.
    pub total: Option<u64>,
    /// How long it took, milliseconds.
    pub elapsed_ms: u64,
}

impl Pace {
    /// Rate and time left, for people.
    #[must_use]
    pub fn words(&self) -> String {
        let rate = format!("{}/s", bytes(pace::per_second(self.bytes, self.elapsed_ms)));
        let left = self.total.map(|total| total.saturating_sub(self.bytes));
        let left = left.and_then(|left| pace::seconds_left(self.bytes, left, self.elapsed_ms));
        left.map_or_else(|| rate.clone(), |left| format!("{rate}, {}", pace::about(left)))
    }
}

/// `labtop archive restore ID --to-dir DIR`.
///
/// # Errors
/// When the agent does not answer, there is no such archive, or the files cannot be made; nothing was restored then.
pub async fn to_dir(client: &Client, id: ArchiveId, directory: PathBuf) -> Result<Exit, Problem> {
    // In a pipe the figures would be a line each.
    let mut progress = io::stderr().is_terminal().then(Progress::on_stderr);
    let never = CancellationToken::new();
    let done = into_dir(client, (&id, &directory), &never, |pace| {
        if let Some(progress) = &mut progress {
            progress.show(&report(pace));
        }
    })
    .await;
    if let Some(progress) = &mut progress {
        progress.clear();
    }
    if let Some(done) = done? {
        for notice in &done.notices {
            complain(&visible(notice));
        }
        print(&(summary(&done, &id, &directory) + "\n"))?;
    }
    Ok(Exit::Done)
}

fn report(pace: Pace) -> ProgressReport {
    let total = pace.total.map(|total| format!(" of {}", bytes(total)));
    ProgressReport {
        done: 0,
        failed: 0,
        total: 0,
        text: format!("{}{}, {}", bytes(pace.bytes), total.unwrap_or_default(), pace.words()),
    }
}

/// Unpacks the work of an archive into a directory of this host, and tells now and then how far it is. None when `stop`
/// came before the end; nothing was restored then.
///
/// # Errors
/// When the agent does not answer, there is no such archive, or the files cannot be made; nothing was restored then.
pub async fn into_dir(
    client: &Client,
    (id, target): (&ArchiveId, &Path),
    stop: &CancellationToken,
    tell: impl FnMut(Pace),
) -> Result<Option<Unpacked>, Problem> {
    let opened = async {
        (
            content_bytes(client, id).await,
            client.fetch(id.clone(), Excerpt::Work).await,
        )
    };
    let (total, stream) = tokio::select! {
        biased;
        () = stop.cancelled() => return Ok(None),
        (total, stream) = opened => (total, stream?),
    };
    let owners = if rustix::process::geteuid().is_root() {
        Owners::Keep
    } else {
        Owners::Mine
    };
    // All of it: the directory itself has no entry, and so stays closed to everybody else.
    let place = Place {
        from: b"",
        target: target.to_owned(),
        owners,
    };
    make_files(stream, place, stop, total, tell).await
}

/// How long the work's tar is, as the head of the manifest says. Without it only the time left is not told.
async fn content_bytes(client: &Client, id: &ArchiveId) -> Option<u64> {
    let mut stream = client.fetch(id.clone(), Excerpt::Manifest).await.ok()?;
    let mut head = Vec::new();
    while !head.contains(&b'\n') && head.len() < HEAD_MAX {
        head.extend_from_slice(&stream.next().await.ok()??);
    }
    let reader = Reader::new(head.as_slice()).ok()?;
    Some(reader.head().content_bytes)
}

/// Hands everything on, and its end only when the agent says that it was whole.
async fn forward(
    (mut stream, to): (Logs, mpsc::Sender<Piece>),
    stop: &CancellationToken,
    total: Option<u64>,
    mut tell: impl FnMut(Pace),
) -> Result<(), CallError> {
    let (began, mut told, mut came) = (Instant::now(), Duration::ZERO, 0);
    loop {
        let piece = tokio::select! {
            biased;
            () = stop.cancelled() => return Ok(()),
            piece = stream.next() => piece,
        };
        let (piece, failed) = match piece {
            Ok(piece) => (Ok(piece), None),
            Err(error) => (Err(()), Some(error)),
        };
        let length = piece.as_ref().ok().and_then(Option::as_ref).map(Bytes::len);
        let refused = to.send(piece).await.is_err();
        if let Some(error) = failed {
            return Err(error);
        }
        let (Some(length), false) = (length, refused) else {
            return Ok(());
        };
        came += length as u64;
        let elapsed = began.elapsed();
        if elapsed >= told + TELL_EVERY {
            told = elapsed;
            let elapsed_ms = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX);
            tell(Pace {
                bytes: came,
                total,
                elapsed_ms,
            });
        }
    }
}

fn tar_of(mut pieces: mpsc::Receiver<Piece>) -> impl Read {
    Pieces::new(move || match pieces.blocking_recv() {
        Some(Ok(piece)) => Ok(piece),
        Some(Err(())) | None => Err(io::Error::other("the agent broke off")),
    })
}

/// What of an archive's tar becomes files, where and whose.
#[derive(Debug)]
pub struct Place {
    /// The part of the tar; empty for all of it.
    pub from: &'static [u8],
    /// The directory that is made.
    pub target: PathBuf,
    /// Whose the files are.
    pub owners: Owners,
}

/// Makes the files of an archive's tar. None when `stop` came before the end; nothing was made then.
///
/// # Errors
/// When the stream breaks off, or the files cannot be made; nothing was made then.
pub async fn make_files(
    stream: Logs,
    place: Place,
    stop: &CancellationToken,
    total: Option<u64>,
    tell: impl FnMut(Pace),
) -> Result<Option<Unpacked>, Problem> {
    let (to, pieces) = mpsc::channel(PIECES);
    let unpacking =
        tokio::task::spawn_blocking(move || unpack(tar_of(pieces), place.from, &place.target, place.owners));
    let sent = forward((stream, to), stop, total, tell).await;
    // It is waited for also when the stream broke: then it takes away what it had made.
    let unpacked = unpacking.await.map_err(io::Error::other)?;
    // What the agent says of the archive comes before what was made of it.
    sent?;
    match unpacked {
        Ok(done) => Ok(Some(done)),
        Err(_) if stop.is_cancelled() => Ok(None),
        Err(error) => Err(Problem::new(Exit::Failed, visible(&error.to_string()))),
    }
}

/// What was restored, in one line for people.
#[must_use]
pub fn summary(done: &Unpacked, id: &ArchiveId, target: &Path) -> String {
    format!(
        "{} files, {} directories and {} links ({}) of archive {id} are in {}",
        done.files,
        done.directories,
        done.links,
        bytes(done.bytes),
        visible(&target.display().to_string())
    )
}
