//! Archives: takes a seat's work, keeps it packed in a store, proves that it is there, gives it back.
//!
//! Knows: streams, manifests, and where objects lie. Must not know: Docker, or rooms' lives.

mod attempts;
mod back;
mod blocking;
mod directory;
mod feed;
mod object;
mod put;
mod s3;
mod store;
mod survey;
mod tree;
mod trouble;

use std::path::{Path, PathBuf};

pub use feed::{PIECES, Piece, Pour, Source, Supply};
pub use object::{Object, Stop};
pub use put::digest;
pub use store::Store;
pub use survey::Survey;

use crate::domain::ids::{ArchiveId, InstanceId, SeatId};
use crate::domain::proof::VerifyMode;
use crate::domain::template::Selection;
use crate::pack::squeeze::Compression;

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
    /// What of the work belongs to it.
    pub selection: Selection,
}

/// Room in the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Space {
    /// Bytes that this user may still write.
    pub free_bytes: u64,
    /// Bytes in all.
    pub total_bytes: u64,
}

/// How archives are made.
#[derive(Debug, Clone)]
pub struct Manner {
    /// Whose archives they are.
    pub instance: InstanceId,
    /// How hard zstd tries.
    pub compression: Compression,
    /// How they are proven.
    pub verify: VerifyMode,
    /// A private directory for manifests on their way and for notes of what was begun.
    pub scratch: PathBuf,
}

/// The archives of one instance in one store.
#[derive(Debug, Clone)]
pub struct Archives {
    store: Store,
    manner: Manner,
}

impl Archives {
    /// Archives of this manner in that store.
    #[must_use]
    pub fn new(store: Store, manner: Manner) -> Self {
        Self { store, manner }
    }

    /// The store itself.
    #[must_use]
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// The private directory for what is on its way.
    #[must_use]
    pub fn scratch(&self) -> &Path {
        &self.manner.scratch
    }
}
