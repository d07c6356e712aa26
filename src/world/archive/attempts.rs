//! Notes of the archives that were begun, so that one that came to nothing leaves nothing in the store.
//!
//! A note is a small file in the scratch directory. It is written before the first object, and removed when the ledger
//! has the archive or its objects are gone. An archive that the ledger has is never taken away. An attempt is, when it is
//! not whole, or when an archive of the same freezing of the seat, or of a later one, is recorded: an unrecorded one may
//! be all that there is.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;

use rustix::fs::FlockOperation;
use serde::{Deserialize, Serialize};

use super::{Archives, Draft, trouble};
use crate::domain::fault::Fault;
use crate::domain::ids::{ArchiveId, SeatId};
use crate::domain::names::{ArchivePart, part_key};
use crate::domain::proof::{ArchiveClaim, SNAPSHOT_EPOCH};

/// How the files of notes end.
const SUFFIX: &str = ".attempt.json";
/// The objects of an archive in the order in which they go: what makes it whole goes first.
const PARTS: [ArchivePart; 3] = [ArchivePart::Manifest, ArchivePart::Workspace, ArchivePart::Log];

/// An archive that was begun.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Attempt {
    id: ArchiveId,
    seat: SeatId,
    session: u64,
    /// The freeze epoch in which it was read. Notes of an older form have none, and nothing is known to be later.
    #[serde(default = "last_epoch")]
    epoch: u64,
}

fn last_epoch() -> u64 {
    u64::MAX
}

impl Attempt {
    fn is_of(&self, seat: &SeatId, session: u64) -> bool {
        self.seat == *seat && self.session == session
    }

    /// Whether that archive has what this one would have had, or what was there later.
    fn is_superseded_by(&self, recorded: &ArchiveClaim) -> bool {
        self.is_of(&recorded.seat, recorded.session) && recorded.epoch >= self.epoch
    }
}

impl Archives {
    /// Notes that an archive is begun. The note is locked until the result is dropped, so that no sweep takes what is
    /// still being sent.
    ///
    /// An id that has objects already is refused before anything is touched: they may be all that there is.
    pub(super) async fn begin(&self, draft: &Draft) -> Result<File, Fault> {
        for part in PARTS {
            let key = part_key(&draft.seat, &draft.id, part);
            if self.store.length(&key).await?.is_some() {
                return Err(trouble::taken(&key));
            }
        }
        let attempt = Attempt {
            id: draft.id.clone(),
            seat: draft.seat.clone(),
            session: draft.session,
            epoch: draft.epoch,
        };
        self.write_note(&attempt)
    }

    fn write_note(&self, attempt: &Attempt) -> Result<File, Fault> {
        let path = self.note(&attempt.id);
        let write = || -> io::Result<File> {
            fs::create_dir_all(&self.manner.scratch)?;
            let mut file = OpenOptions::new()
                .write(true)
                .create(true)
                .truncate(true)
                .mode(0o600)
                .open(&path)?;
            rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive)?;
            file.write_all(&serde_json::to_vec(attempt)?)?;
            file.sync_all()?;
            Ok(file)
        };
        write().map_err(|error| trouble::of_place(&path, "write", &error))
    }

    /// Takes away what an attempt left, as well as it can; what cannot be reached now is taken by a later tidying.
    pub async fn abandon(&self, seat: &SeatId, id: &ArchiveId) {
        if let Err(fault) = self.remove(seat, id).await {
            tracing::debug!(%fault, archive = %id, "an attempt stays in the store for now");
            return;
        }
        let _ = fs::remove_file(self.note(id));
    }

    /// A seat's closing is done: earlier attempts at it are of no use any more. `recorded` is what the ledger has of it.
    pub async fn tidy(&self, seat: &SeatId, session: u64, recorded: &[ArchiveClaim]) {
        for attempt in self.attempts() {
            if attempt.is_of(seat, session) {
                self.settle(&attempt, recorded).await;
            }
        }
    }

    /// A snapshot is in the ledger. Attempts at archives of the seat stay: one may be all that there is of a later moment.
    pub fn settled(&self, recorded: &ArchiveId) {
        let _ = fs::remove_file(self.note(recorded));
    }

    /// Notes that a snapshot is about to be forgotten: should nobody come to [`Archives::abandon`] it, a later tidying or
    /// the next start does, once the ledger does not have it any more.
    ///
    /// # Errors
    /// When the note cannot be written.
    pub fn doom(&self, seat: &SeatId, session: u64, id: &ArchiveId) -> Result<(), Fault> {
        let attempt = Attempt {
            id: id.clone(),
            seat: seat.clone(),
            session,
            epoch: SNAPSHOT_EPOCH,
        };
        self.write_note(&attempt).map(drop)
    }

    /// Removes the objects of an attempt; what makes it whole goes first.
    async fn remove(&self, seat: &SeatId, id: &ArchiveId) -> Result<(), Fault> {
        for part in PARTS {
            self.store.remove(&part_key(seat, id, part)).await?;
        }
        Ok(())
    }

    /// At the start of an agent: forgets the notes of archives that the ledger has, and takes away what is of no use.
    /// Tells how many attempts went.
    pub async fn sweep(&self, now_unix_ms: u64, recorded: &[ArchiveClaim]) -> usize {
        let mut swept = self.store.sweep(now_unix_ms).await;
        for attempt in self.attempts() {
            swept += usize::from(self.settle(&attempt, recorded).await);
        }
        swept
    }

    /// Whether the attempt was taken away.
    async fn settle(&self, attempt: &Attempt, recorded: &[ArchiveClaim]) -> bool {
        if recorded.iter().any(|claim| claim.id == attempt.id) {
            let _ = fs::remove_file(self.note(&attempt.id));
            return false;
        }
        if self.is_live(&attempt.id) {
            return false;
        }
        if !recorded.iter().any(|claim| attempt.is_superseded_by(claim)) {
            let manifest = part_key(&attempt.seat, &attempt.id, ArchivePart::Manifest);
            if !matches!(self.store.length(&manifest).await, Ok(None)) {
                return false;
            }
        }
        self.abandon(&attempt.seat, &attempt.id).await;
        true
    }

    fn is_live(&self, id: &ArchiveId) -> bool {
        let note = File::open(self.note(id));
        note.is_ok_and(|note| rustix::fs::flock(&note, FlockOperation::NonBlockingLockShared).is_err())
    }

    fn note(&self, id: &ArchiveId) -> PathBuf {
        self.manner.scratch.join(format!("{id}{SUFFIX}"))
    }

    fn attempts(&self) -> Vec<Attempt> {
        let Ok(found) = fs::read_dir(&self.manner.scratch) else {
            // Not made yet: nothing was begun.
            return Vec::new();
        };
        let notes = found
            .flatten()
            .filter(|file| file.file_name().to_string_lossy().ends_with(SUFFIX));
        notes
            .filter_map(|file| serde_json::from_slice(&fs::read(file.path()).ok()?).ok())
            .collect()
    }
}
