//! The ledger: what is wanted, until when, which archives there are, who did what. An SQLite file of one agent.
//!
//! Knows: how the domain's records become rows. Must not know: why they change, or what time it is.

mod apply;
mod chain;
mod copy;
mod leases;
mod people;
mod rebuild;
mod rows;
mod schema;
mod trouble;
mod writer;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;

use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot};

use crate::domain::command::{ArchiveRow, AuditChain};
use crate::domain::fault::Fault;
use crate::domain::ids::{ArchiveId, InstanceId, RoomName, SeatId};
use crate::domain::proof::ArchiveClaim;
use crate::domain::record::{AuditEntry, Change, LedgerState};
use trouble::ledger_fault;
use writer::{Pending, Write};

pub use copy::sweep_copies;
pub use rebuild::{Remains, Standing, examine, make_again};

/// Writes that may wait for the thread before the next one waits for a place: a large room closing at once.
const QUEUE: usize = 1024;

/// One line of the audit trail as it stands in the ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditRow {
    /// Its place in the trail, from 1, without gaps.
    pub seq: u64,
    /// What it says.
    pub entry: AuditEntry,
    /// SHA-256 of this line and of the hash of the one before, in hexadecimal.
    pub hash: String,
}

/// A cheap, cloneable way to the ledger. The file is closed when the last handle is gone and all that waits is written.
#[derive(Debug, Clone)]
pub struct Ledger {
    path: Arc<PathBuf>,
    queue: mpsc::Sender<Pending>,
}

/// A write that has its place in the line.
#[derive(Debug)]
pub struct Begun {
    path: Arc<PathBuf>,
    done: oneshot::Receiver<Result<(), Fault>>,
}

impl Begun {
    /// Returns when the changes are on the disk.
    ///
    /// # Errors
    /// [`FaultCode::Ledger`](crate::domain::fault::FaultCode::Ledger) when they could not be made; then none was.
    pub async fn done(self) -> Result<(), Fault> {
        self.done.await.map_err(|_| trouble::closed(&self.path))?
    }
}

impl Ledger {
    /// Opens the ledger at `path`, making it and its directory unless they are there, and reads what it holds.
    /// The instance's identity is made at the first opening. Blocks; meant for the start of the agent.
    ///
    /// # Errors
    /// [`FaultCode::Ledger`](crate::domain::fault::FaultCode::Ledger) when the file cannot be made or read, is damaged,
    /// or was written by a newer labtop.
    pub fn open(path: &Path) -> Result<(Self, LedgerState, InstanceId), Fault> {
        let db = schema::open(path)?;
        let instance = schema::instance(&db, path)?;
        let state = rows::state(&db).map_err(|error| ledger_fault(path, "read", &error))?;
        let (queue, pending) = mpsc::channel(QUEUE);
        let file = path.to_path_buf();
        thread::Builder::new()
            .name("ledger".into())
            .spawn(move || writer::serve(db, file, pending))
            .map_err(|error| trouble::of_file(path, &error))?;
        let path = Arc::new(path.to_path_buf());
        Ok((Self { path, queue }, state, instance))
    }

    /// Makes all of `changes` or none, and returns when they are on the disk. Goes on when the caller does not wait.
    ///
    /// # Errors
    /// [`FaultCode::Ledger`](crate::domain::fault::FaultCode::Ledger) when it could not; then none was made.
    pub async fn write(&self, changes: Vec<Change>) -> Result<(), Fault> {
        self.begin(changes).await.done().await
    }

    /// The same, returning when the write has its place in the line: who begins one after the other has them made in
    /// that order.
    pub async fn begin(&self, changes: Vec<Change>) -> Begun {
        let (reply, done) = oneshot::channel();
        // When the thread is gone the reply is dropped, and that is the answer.
        let _ = self.queue.send(Pending::Write(Write { changes, reply })).await;
        Begun {
            path: Arc::clone(&self.path),
            done,
        }
    }

    /// The archives, oldest first, of one room or all.
    ///
    /// # Errors
    /// [`FaultCode::Ledger`](crate::domain::fault::FaultCode::Ledger) when the file cannot be read.
    pub async fn archives(&self, room: Option<RoomName>) -> Result<Vec<ArchiveRow>, Fault> {
        self.read(move |db| rows::archives(db, room.as_ref())).await
    }

    /// One archive as it was sent; none when there is none of that id.
    ///
    /// # Errors
    /// [`FaultCode::Ledger`](crate::domain::fault::FaultCode::Ledger) when the file cannot be read.
    pub async fn claim(&self, id: ArchiveId) -> Result<Option<ArchiveClaim>, Fault> {
        self.read(move |db| rows::claim(db, &id)).await
    }

    /// The snapshots of a seat in one opening of its room, newest first, but for those that a seat is to start with.
    ///
    /// # Errors
    /// [`FaultCode::Ledger`](crate::domain::fault::FaultCode::Ledger) when the file cannot be read.
    pub async fn snapshots(&self, seat: SeatId, session: u64) -> Result<Vec<ArchiveId>, Fault> {
        self.read(move |db| rows::snapshots(db, &seat, session)).await
    }

    /// The archives of one seat or all, as they were sent.
    ///
    /// # Errors
    /// [`FaultCode::Ledger`](crate::domain::fault::FaultCode::Ledger) when the file cannot be read.
    pub async fn claims(&self, seat: Option<SeatId>) -> Result<Vec<ArchiveClaim>, Fault> {
        self.read(move |db| rows::claims(db, seat.as_ref())).await
    }

    /// At most `limit` lines of the audit trail after line `after`, of what was done to a room or all, newest last.
    ///
    /// # Errors
    /// [`FaultCode::Ledger`](crate::domain::fault::FaultCode::Ledger) when the file cannot be read.
    pub async fn audit(&self, room: Option<RoomName>, after: u64, limit: usize) -> Result<Vec<AuditRow>, Fault> {
        self.read(move |db| rows::audit(db, room.as_ref(), after, limit)).await
    }

    /// Whether the audit trail is as it was written.
    ///
    /// # Errors
    /// [`FaultCode::Ledger`](crate::domain::fault::FaultCode::Ledger) when the file cannot be read.
    pub async fn audit_chain(&self) -> Result<AuditChain, Fault> {
        self.read(chain::check).await
    }

    /// Reads the whole file and says `ok`, or what is wrong with it, one finding a line.
    ///
    /// # Errors
    /// [`FaultCode::Ledger`](crate::domain::fault::FaultCode::Ledger) when the file cannot be read at all.
    pub async fn integrity(&self) -> Result<String, Fault> {
        self.read(schema::integrity).await
    }

    /// Runs a reading on a connection of its own, so that a long one delays no write.
    async fn read<T, F>(&self, read: F) -> Result<T, Fault>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    {
        let path = Arc::clone(&self.path);
        let task = tokio::task::spawn_blocking(move || {
            let db = schema::open_reader(&path)?;
            read(&db).map_err(|error| ledger_fault(&path, "read", &error))
        });
        task.await.map_err(|_| trouble::closed(&self.path))?
    }
}
