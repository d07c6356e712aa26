//! Why a seat's work may be removed: the chain from stillness through a stored copy to a warrant.
//!
//! Invariant 1 lives in these types. A removal takes a [`Warrant`]; a warrant is a [`VerifiedArchive`], which only
//! [`VerifiedArchive::prove`] makes out of a read-back, or a [`Discard`], which names the audit row of its order.

use serde::{Deserialize, Serialize};

use super::fault::{Fault, FaultCode};
use super::ids::{ArchiveId, ContainerId, SeatId};
use super::names::ArchivePart;
use super::seen::{ContainerSeen, RunState};
use super::template::Selection;

/// Evidence that nothing runs in a seat, taken when it was frozen. Whatever runs later leaves a trace that differs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stillness {
    /// Frozen: a thaw, also one that was undone again, moves the container's CPU time.
    Paused {
        /// The frozen container.
        container: ContainerId,
        /// The engine's start time of that container, verbatim.
        started_at: String,
        /// CPU time used until the freeze, nanoseconds, all tasks.
        cpu_ns: u64,
    },
    /// Not running: a start moves the start time, an end the finish time.
    Stopped {
        /// The stopped container.
        container: ContainerId,
        /// The engine's start time, verbatim.
        started_at: String,
        /// The engine's finish time, verbatim.
        finished_at: String,
    },
    /// There is no container; nothing but the workspace is left.
    Absent,
}

impl Stillness {
    /// Whether what is seen now does not contradict the evidence. The CPU time is compared by the removal itself.
    #[must_use]
    pub fn agrees_with(&self, seen: Option<&ContainerSeen>) -> bool {
        match (self, seen) {
            (
                Self::Paused {
                    container, started_at, ..
                },
                Some(now),
            ) => now.state == RunState::Paused && now.id == *container && now.started_at == *started_at,
            (
                Self::Stopped {
                    container,
                    started_at,
                    finished_at,
                },
                Some(now),
            ) => {
                now.state.is_down()
                    && now.id == *container
                    && now.started_at == *started_at
                    && now.finished_at == *finished_at
            }
            (Self::Absent, None) => true,
            _ => false,
        }
    }

    /// The container that the evidence is about.
    #[must_use]
    pub fn container(&self) -> Option<&ContainerId> {
        match self {
            Self::Paused { container, .. } | Self::Stopped { container, .. } => Some(container),
            Self::Absent => None,
        }
    }
}

/// Length and digest of an object as it lies in the store.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stored {
    /// Bytes.
    pub bytes: u64,
    /// SHA-256, lower-case hexadecimal.
    pub digest: String,
}

/// What an archive holds besides its first object.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Extent {
    /// Files, directories and links in it.
    pub entries: u64,
    /// Things that were left out, each named in the manifest.
    pub left_out: u64,
    /// Files that changed while they were read.
    pub torn: u64,
    /// Digest of the changed files outside the workspace; none when there are none.
    pub elsewhere_digest: Option<String>,
    /// `manifest.json` beside it.
    pub manifest: Stored,
    /// `container.log.zst` beside it; none when there was no container to ask.
    pub log: Option<Stored>,
    /// What was chosen of the work. A later reading must choose alike.
    pub selection: Selection,
}

/// What was sent to the store, computed on the way: not yet known to be there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArchiveClaim {
    /// The archive's id; also the attempt in its key.
    pub id: ArchiveId,
    /// Whose work it is.
    pub seat: SeatId,
    /// Which opening of the room.
    pub session: u64,
    /// The freeze epoch in which it was read.
    pub epoch: u64,
    /// Object key below the store's root.
    pub key: String,
    /// Stored (compressed) size, bytes.
    pub bytes: u64,
    /// SHA-256 of the stored bytes, lower-case hexadecimal.
    pub digest: String,
    /// Size of the tar stream before compression, bytes.
    pub content_bytes: u64,
    /// SHA-256 over the workspace's entries and their files' digests, lower-case hexadecimal.
    pub content_digest: String,
    /// When it was taken, Unix milliseconds.
    pub created_unix_ms: u64,
    /// What else it holds.
    #[serde(default)]
    pub extent: Extent,
}

/// Stands for a freeze epoch where nothing was frozen. The first freezing of a seat begins the epoch after it.
pub const SNAPSHOT_EPOCH: u64 = 0;

/// How a stored archive is proven.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum VerifyMode {
    /// Every object is read back, unpacked, and compared entry by entry with the manifest.
    #[default]
    Full,
    /// Every object is read back; its length and digest are compared.
    Checksum,
}

/// What unpacking a stored archive gave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Content {
    /// Bytes after decompression.
    pub bytes: u64,
    /// Digest of the workspace's entries.
    pub digest: String,
    /// Digest of the entries from elsewhere.
    pub elsewhere_digest: Option<String>,
}

/// What a store gave back when an archive's objects were read from beginning to end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Readback {
    /// `workspace.tar.zst`.
    pub workspace: Stored,
    /// `manifest.json`.
    pub manifest: Stored,
    /// `container.log.zst`, where one belongs to it.
    pub log: Option<Stored>,
    /// What is in it, when it was unpacked and every entry was as the manifest says.
    pub content: Option<Content>,
}

impl ArchiveClaim {
    /// Whether it is a snapshot, taken while the seat went on: it proves nothing about a later moment, and no warrant
    /// is ever made of it.
    #[must_use]
    pub fn is_snapshot(&self) -> bool {
        self.epoch == SNAPSHOT_EPOCH
    }

    /// What was sent of a part; none when there was nothing of it.
    #[must_use]
    pub fn sent(&self, part: ArchivePart) -> Option<Stored> {
        match part {
            ArchivePart::Workspace => Some(Stored {
                bytes: self.bytes,
                digest: self.digest.clone(),
            }),
            ArchivePart::Manifest => Some(self.extent.manifest.clone()),
            ArchivePart::Log => self.extent.log.clone(),
        }
    }

    /// Whether the objects that were read back are those that were sent, and how thoroughly that was looked at.
    ///
    /// # Errors
    /// [`FaultCode::Mismatch`] when anything differs.
    pub fn compare(&self, back: &Readback) -> Result<VerifyMode, Fault> {
        let stored = self.sent(ArchivePart::Workspace).as_ref() == Some(&back.workspace)
            && self.extent.manifest == back.manifest
            && self.extent.log == back.log;
        let content = back.content.as_ref().is_none_or(|content| {
            content.bytes == self.content_bytes
                && content.digest == self.content_digest
                && content.elsewhere_digest == self.extent.elsewhere_digest
        });
        if !(stored && content) {
            return Err(Fault::new(
                FaultCode::Mismatch,
                format!(
                    "archive {} of {} came back different: {} bytes sent, {} read",
                    self.id, self.seat, self.bytes, back.workspace.bytes
                ),
            )
            .hint("The workspace is kept and archived again; check the archive store"));
        }
        Ok(match back.content {
            Some(_) => VerifyMode::Full,
            None => VerifyMode::Checksum,
        })
    }
}

/// A stored copy that was read back and found equal to what left the seat, in one freeze epoch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedArchive {
    claim: ArchiveClaim,
    stillness: Stillness,
    mode: VerifyMode,
}

impl VerifiedArchive {
    /// The only way to one: the read-back equals the claim.
    ///
    /// # Errors
    /// [`FaultCode::Mismatch`] when the stored objects differ in length or digest.
    pub fn prove(claim: ArchiveClaim, stillness: Stillness, back: &Readback) -> Result<Self, Fault> {
        let mode = claim.compare(back)?;
        Ok(Self { claim, stillness, mode })
    }

    /// How thoroughly it was looked at.
    #[must_use]
    pub fn mode(&self) -> VerifyMode {
        self.mode
    }

    /// What was proven to be stored.
    #[must_use]
    pub fn claim(&self) -> &ArchiveClaim {
        &self.claim
    }

    /// The evidence of the epoch that it holds for.
    #[must_use]
    pub fn stillness(&self) -> &Stillness {
        &self.stillness
    }
}

/// An admin's order to remove a seat's work without an archive, already in the audit trail.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Discard {
    /// Whose work.
    pub seat: SeatId,
    /// Which opening of the room.
    pub session: u64,
    /// Who ordered it.
    pub by: String,
}

/// Permission to remove one seat's container and workspace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Warrant {
    /// The work is stored and proven.
    Verified(VerifiedArchive),
    /// An admin gave the work up.
    Discard(Discard),
}

impl Warrant {
    /// The seat that it is about.
    #[must_use]
    pub fn seat(&self) -> &SeatId {
        match self {
            Self::Verified(archive) => &archive.claim.seat,
            Self::Discard(order) => &order.seat,
        }
    }

    /// The opening of the room that it is about.
    #[must_use]
    pub fn session(&self) -> u64 {
        match self {
            Self::Verified(archive) => archive.claim.session,
            Self::Discard(order) => order.session,
        }
    }
}
