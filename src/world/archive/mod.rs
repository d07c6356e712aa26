//! The archive store: takes a seat's work as a tar stream, keeps it compressed, proves that it is there.
//!
//! Knows: streams, digests and where objects lie. Must not know: Docker, rooms' lives, or what a student's file means.

mod directory;
mod pack;
mod shape;
mod tree;
mod trouble;
mod verify;

use std::path::PathBuf;

use bytes::Bytes;
use futures_util::Stream;

use crate::domain::fault::Fault;
use crate::domain::ids::{ArchiveId, SeatId};
use crate::domain::names::archive_key;
use crate::domain::proof::{ArchiveClaim, Stillness, VerifiedArchive};
use directory::Directory;

/// What an archive is about, before it is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Draft {
    /// The archive's id, never used before; also the attempt in its key.
    pub id: ArchiveId,
    /// Whose work it is.
    pub seat: SeatId,
    /// Which opening of the room.
    pub session: u64,
    /// The freeze epoch in which it is read.
    pub epoch: u64,
    /// When it is taken, Unix milliseconds.
    pub created_unix_ms: u64,
}

impl Draft {
    fn claim(self, sums: pack::Sums) -> ArchiveClaim {
        ArchiveClaim {
            key: archive_key(&self.seat, &self.id),
            id: self.id,
            seat: self.seat,
            session: self.session,
            epoch: self.epoch,
            bytes: sums.stored.bytes,
            digest: sums.stored.digest,
            content_bytes: sums.content.bytes,
            content_digest: sums.content.digest,
            created_unix_ms: self.created_unix_ms,
        }
    }
}

/// Room in the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Space {
    /// Bytes that this user may still write.
    pub free_bytes: u64,
    /// Bytes in all.
    pub total_bytes: u64,
}

/// Where archives go.
#[derive(Debug, Clone)]
pub enum Store {
    /// Files below a directory of this host.
    Directory(Directory),
}

impl Store {
    /// A store of files below `root`, which is made when it is first needed.
    #[must_use]
    pub fn directory(root: PathBuf) -> Self {
        Self::Directory(Directory::new(root))
    }

    /// Stores a tar stream and tells what was sent. `progress` hears how many bytes of tar have come, often.
    /// When it fails, or is dropped before it ends, nothing is left at the key.
    ///
    /// # Errors
    /// The stream's own fault; [`FaultCode::Store`](crate::domain::fault::FaultCode::Store) when the stream is not a
    /// whole tar, the key is taken, or the store cannot be written.
    pub async fn put<S>(&self, draft: Draft, tar: S, progress: impl Fn(u64)) -> Result<ArchiveClaim, Fault>
    where
        S: Stream<Item = Result<Bytes, Fault>> + Send + Unpin,
    {
        match self {
            Self::Directory(store) => store.put(draft, tar, progress).await,
        }
    }

    /// Reads the stored object from beginning to end and compares it with the claim.
    ///
    /// # Errors
    /// [`FaultCode::Mismatch`](crate::domain::fault::FaultCode::Mismatch) when it is missing or not what was sent,
    /// [`FaultCode::Store`](crate::domain::fault::FaultCode::Store) when it cannot be read.
    pub async fn verify(&self, claim: ArchiveClaim, stillness: Stillness) -> Result<VerifiedArchive, Fault> {
        match self {
            Self::Directory(store) => store.verify(claim, stillness).await,
        }
    }

    /// Writes and removes a small file, and tells how much room there is.
    ///
    /// # Errors
    /// [`FaultCode::Store`](crate::domain::fault::FaultCode::Store) when the store cannot be written.
    pub async fn check(&self) -> Result<Space, Fault> {
        match self {
            Self::Directory(store) => store.check().await,
        }
    }

    /// Removes what an agent that was killed left half-written, and tells how many files that were. Blocks.
    pub fn sweep(&self) -> usize {
        match self {
            Self::Directory(store) => store.sweep(),
        }
    }
}
