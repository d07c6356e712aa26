//! Archives in a store of a test's own, fed with tar streams.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use labtop::domain::fault::Fault;
use labtop::domain::proof::{ArchiveClaim, Stillness, VerifiedArchive, VerifyMode};
use labtop::domain::template::Selection;
use labtop::pack::rules::Part;
use labtop::pack::squeeze::Compression;
use labtop::world::archive::{Archives, Draft, Manner, Piece, Source, Store, Supply};
use tokio::sync::mpsc;

/// What archive number `n` of one seat is about.
pub fn draft(n: u64) -> Draft {
    Draft {
        id: format!("20261124T034512Z-{n:08x}").parse().unwrap(),
        seat: "exam-1/An.2".parse().unwrap(),
        session: 7,
        epoch: 3,
        created_unix_ms: 1_790_000_000_000,
        selection: Selection::default(),
    }
}

/// Archives as an agent has them.
#[derive(Clone)]
pub struct Shelf {
    pub archives: Archives,
}

impl Shelf {
    /// In that store, with notes in `scratch`.
    pub fn new(store: Store, scratch: &Path, verify: VerifyMode) -> Self {
        let manner = Manner {
            instance: "6f1b7a52-0000-4000-8000-000000000000".parse().unwrap(),
            compression: Compression { level: 3, threads: 0 },
            verify,
            scratch: scratch.to_path_buf(),
        };
        Self {
            archives: Archives::new(store, manner),
        }
    }

    /// Stores a tar stream as a workspace. The work is fed by a task of its own, which ends with it.
    pub async fn put<S>(&self, draft: Draft, mut tar: S, progress: impl Fn(u64)) -> Result<ArchiveClaim, Fault>
    where
        S: Stream<Item = Result<Bytes, Fault>> + Send + Unpin,
    {
        let (to, supply) = mpsc::channel(1);
        let (sender, pieces) = mpsc::channel(4);
        let read = Arc::new(AtomicU64::new(0));
        let feed = async {
            let source = Source::Tar {
                pieces,
                part: Part::Workspace,
                below: Vec::new(),
            };
            let _ = to.send(Supply::Source(source)).await;
            while let Some(piece) = tar.next().await {
                if sender
                    .send(piece.map_or_else(Piece::Failed, Piece::Bytes))
                    .await
                    .is_err()
                {
                    return;
                }
                progress(read.load(Ordering::Relaxed));
            }
            let _ = sender.send(Piece::End).await;
            let _ = to.send(Supply::End).await;
            to.closed().await;
        };
        let put = self.archives.put(draft, None, supply, Arc::clone(&read));
        tokio::join!(put, feed).0
    }

    pub async fn verify(&self, claim: ArchiveClaim, stillness: Stillness) -> Result<VerifiedArchive, Fault> {
        self.archives.verify(claim, stillness).await
    }
}
