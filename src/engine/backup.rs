//! A copy of the ledger for whoever may have one.

use std::io;

use tokio::sync::mpsc;

use super::clock;
use super::handle::LogStream;
use super::stored::PIECES;
use super::world::World;
use crate::domain::command::{BACKUP_NEEDS, BACKUP_VERB};
use crate::domain::fault::{Denial, Fault, FaultCode};
use crate::domain::record::{AuditEntry, Change};
use crate::domain::role::Actor;
use crate::world::archive::Pour;

/// Bytes of one piece.
const PIECE_BYTES: usize = 64 * 1024;

impl World {
    /// Opens a copy of the ledger as a stream. It is written down first, so the copy tells of itself.
    pub(super) async fn open_backup(&self, actor: &Actor) -> Result<LogStream, Denial> {
        actor.must(BACKUP_NEEDS, None, BACKUP_VERB)?;
        self.ledger.write(vec![taken(actor)]).await?;
        let copy = self.ledger.copy(self.archives.scratch()).await?;
        let (to, stream) = mpsc::channel(PIECES);
        tokio::task::spawn_blocking(move || {
            let mut copy = io::BufReader::with_capacity(PIECE_BYTES, copy);
            if let Err(error) = io::copy(&mut copy, &mut Pour(to.clone())) {
                tracing::warn!(%error, "a copy of the ledger was not sent to its end");
                let text = format!("the copy of the ledger cannot be read: {error}");
                let _ = to.blocking_send(Err(Fault::new(FaultCode::Ledger, text).hint("Try again")));
            }
        });
        Ok(stream)
    }
}

fn taken(actor: &Actor) -> Change {
    let entry = AuditEntry::of(actor, clock::unix_ms(), BACKUP_VERB, "ledger".to_owned(), "accepted");
    Change::Audit(entry)
}
