//! `labtop archive restore`: the work of an archive becomes files of this host again.
//!
//! The agent sends a tar; it is unpacked by whoever asked, with no more rights than they have.

use std::io;
use std::path::PathBuf;

use bytes::Bytes;
use tokio::sync::mpsc;

use super::args::RestoreArgs;
use super::clean::visible;
use super::exit::{Exit, Problem, complain, print};
use super::table::bytes;
use crate::domain::command::Excerpt;
use crate::pack::pieces::Pieces;
use crate::pack::unpack::{Owners, UnpackError, Unpacked, unpack};
use crate::wire::client::{CallError, Client, Logs};

/// Pieces of the tar that wait for the disk.
const PIECES: usize = 16;

/// A piece of the tar; its end; or that nothing more will come.
type Piece = Result<Option<Bytes>, ()>;

/// `labtop archive restore ID --to-dir DIR`.
///
/// # Errors
/// When the agent does not answer, there is no such archive, or the files cannot be made; nothing was restored then.
pub async fn to_dir(client: &Client, args: RestoreArgs) -> Result<Exit, Problem> {
    let stream = client.fetch(args.id.clone(), Excerpt::Work).await?;
    let (to, pieces) = mpsc::channel(PIECES);
    let target = args.to_dir.clone();
    let unpacking = tokio::task::spawn_blocking(move || unpack_pieces(pieces, target));
    let sent = forward(stream, to).await;
    let unpacked = unpacking.await.map_err(io::Error::other)?;
    // What the agent says of the archive comes before what was made of it.
    sent?;
    let done = unpacked.map_err(|error| Problem::new(Exit::Failed, visible(&error.to_string())))?;
    for notice in &done.notices {
        complain(&visible(notice));
    }
    print(&summary(&done, &args))?;
    Ok(Exit::Done)
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

fn unpack_pieces(mut pieces: mpsc::Receiver<Piece>, target: PathBuf) -> Result<Unpacked, UnpackError> {
    let tar = Pieces::new(move || match pieces.blocking_recv() {
        Some(Ok(piece)) => Ok(piece),
        Some(Err(())) | None => Err(io::Error::other("the agent broke off")),
    });
    let owners = if rustix::process::geteuid().is_root() {
        Owners::Keep
    } else {
        Owners::Mine
    };
    // All of it: the directory itself has no entry, and so stays closed to everybody else.
    unpack(tar, b"", &target, owners)
}

fn summary(done: &Unpacked, args: &RestoreArgs) -> String {
    format!(
        "{} files, {} directories and {} links ({}) of archive {} are in {}\n",
        done.files,
        done.directories,
        done.links,
        bytes(done.bytes),
        args.id,
        visible(&args.to_dir.display().to_string())
    )
}
