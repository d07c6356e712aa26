//! `labtop archive restore`: the work of an archive becomes files of this host again.
//!
//! The agent sends a tar; it is unpacked by whoever asked, with no more rights than they have.

use std::io::{self, Read};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use tokio::sync::mpsc;

use super::clean::visible;
use super::exit::{Exit, Problem, complain, print};
use super::table::bytes;
use crate::domain::command::Excerpt;
use crate::domain::ids::ArchiveId;
use crate::pack::pieces::Pieces;
use crate::pack::unpack::{Owners, Unpacked, unpack};
use crate::wire::client::{CallError, Client, Logs};

/// Pieces of the tar that wait for the disk.
const PIECES: usize = 16;

/// A piece of the tar; its end; or that nothing more will come.
type Piece = Result<Option<Bytes>, ()>;

/// `labtop archive restore ID --to-dir DIR`.
///
/// # Errors
/// When the agent does not answer, there is no such archive, or the files cannot be made; nothing was restored then.
pub async fn to_dir(client: &Client, id: ArchiveId, directory: PathBuf) -> Result<Exit, Problem> {
    let owners = if rustix::process::geteuid().is_root() {
        Owners::Keep
    } else {
        Owners::Mine
    };
    let stream = client.fetch(id.clone(), Excerpt::Work).await?;
    // All of it: the directory itself has no entry, and so stays closed to everybody else.
    let done = make_files(stream, b"", directory.clone(), owners).await?;
    for notice in &done.notices {
        complain(&visible(notice));
    }
    print(&summary(&done, &id, &directory))?;
    Ok(Exit::Done)
}

/// Makes the files of an archive's tar that are below `from`.
///
/// # Errors
/// When the stream breaks off, or the files cannot be made; nothing was made then.
pub async fn make_files(
    stream: Logs,
    from: &'static [u8],
    target: PathBuf,
    owners: Owners,
) -> Result<Unpacked, Problem> {
    let (to, pieces) = mpsc::channel(PIECES);
    let unpacking = tokio::task::spawn_blocking(move || unpack(tar_of(pieces), from, &target, owners));
    let sent = forward(stream, to).await;
    let unpacked = unpacking.await.map_err(io::Error::other)?;
    // What the agent says of the archive comes before what was made of it.
    sent?;
    unpacked.map_err(|error| Problem::new(Exit::Failed, visible(&error.to_string())))
}

/// Hands everything on, and its end only when the agent says that it was whole.
async fn forward(mut stream: Logs, to: mpsc::Sender<Piece>) -> Result<(), CallError> {
    loop {
        let piece = stream.next().await;
        let last = !matches!(piece, Ok(Some(_)));
        let (piece, failed) = match piece {
            Ok(piece) => (Ok(piece), None),
            Err(error) => (Err(()), Some(error)),
        };
        let refused = to.send(piece).await.is_err();
        if let Some(error) = failed {
            return Err(error);
        }
        if last || refused {
            return Ok(());
        }
    }
}

fn tar_of(mut pieces: mpsc::Receiver<Piece>) -> impl Read {
    Pieces::new(move || match pieces.blocking_recv() {
        Some(Ok(piece)) => Ok(piece),
        Some(Err(())) | None => Err(io::Error::other("the agent broke off")),
    })
}

fn summary(done: &Unpacked, id: &ArchiveId, directory: &Path) -> String {
    format!(
        "{} files, {} directories and {} links ({}) of archive {} are in {}\n",
        done.files,
        done.directories,
        done.links,
        bytes(done.bytes),
        id,
        visible(&directory.display().to_string())
    )
}
