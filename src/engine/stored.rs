//! Stored archives for people: whether they are as they were sent, and what is in them.

use tokio::sync::mpsc;

use super::clock;
use super::handle::LogStream;
use super::perform::cancelled;
use super::world::World;
use crate::domain::command::{Excerpt, Query};
use crate::domain::effect::Restore;
use crate::domain::fault::{Denial, Fault, FaultCode, Refusal};
use crate::domain::ids::{ArchiveId, SeatId};
use crate::domain::names::ArchivePart;
use crate::domain::proof::{ArchiveClaim, VerifyMode};
use crate::domain::record::{AuditEntry, Change};
use crate::domain::role::{Actor, Role};
use crate::world::archive::Pour;
use crate::world::docker::Refill;

/// Pieces of an archive that wait for a slow reader.
pub(super) const PIECES: usize = 16;

impl World {
    /// An archive for somebody who needs a role for it. Of what they may not see they learn nothing.
    async fn claim_for(
        &self,
        actor: &Actor,
        id: ArchiveId,
        (needs, verb): (Role, &str),
    ) -> Result<ArchiveClaim, Denial> {
        let found = self.ledger.claim(id.clone()).await?;
        let seen = found.filter(|claim| actor.rights.sees(&claim.seat.room));
        let missing = || Refusal::not_found(format!("There is no archive {id}; `labtop archive ls` lists them"));
        let claim = seen.ok_or_else(missing)?;
        actor.must(needs, Some(&claim.seat.room), verb)?;
        Ok(claim)
    }

    /// Reads an archive back and records what was found. A store that cannot be read says nothing about the archive.
    pub(super) async fn check_archive(&self, actor: &Actor, id: ArchiveId) -> Result<VerifyMode, Denial> {
        let query = Query::VerifyArchive { id: id.clone() };
        let claim = self.claim_for(actor, id.clone(), (query.needs(), query.verb())).await?;
        let _permit = self.transfers.acquire().await.map_err(|_| cancelled())?;
        let checked = self.archives.scrub(&claim).await;
        let differs = matches!(&checked, Err(fault) if fault.code == FaultCode::Mismatch);
        if checked.is_ok() || differs {
            let change = Change::CheckArchive {
                id,
                proven: checked.as_ref().ok().copied(),
                unix_ms: clock::unix_ms(),
            };
            let entry = touched(actor, &claim, query.verb());
            self.ledger.write(vec![change, entry]).await?;
        }
        // This work is not in a seat any more: nothing is archived again.
        Ok(checked.map_err(|fault| Fault::new(fault.code, fault.text).hint("Look into the archive store"))?)
    }

    /// The archive that a seat is to start with.
    ///
    /// # Errors
    /// When there is none of that id, or it is another student's work.
    pub(super) async fn refill(&self, id: &ArchiveId, seat: &SeatId) -> Result<Refill, Fault> {
        let found = self.ledger.claim(id.clone()).await?;
        let claim = found.ok_or_else(|| {
            let text = format!("there is no archive {id}");
            Fault::new(FaultCode::NoArchive, text).hint("`labtop archive ls` lists them")
        })?;
        if claim.seat.student != seat.student {
            let text = format!(
                "archive {id} is the work of {}, not of {}",
                claim.seat.student, seat.student
            );
            return Err(Fault::new(FaultCode::NoArchive, text).hint("An archive becomes a seat of the same student"));
        }
        Ok(Refill::new(self.archives.clone(), claim))
    }

    /// Whether the archive is that student's, and as it was sent: found out before anything is made for it.
    pub(super) async fn check_restore(&self, restore: &Restore) -> Result<(), Fault> {
        let refill = self.refill(&restore.archive, &restore.seat).await?;
        let _permit = self.transfers.acquire().await.map_err(|_| cancelled())?;
        let checked = self.archives.scrub(refill.claim()).await;
        checked.map_err(|fault| {
            Fault::new(fault.code, fault.text)
                .hint("Look into the archive store; `labtop archive ls` tells of older archives")
        })?;
        Ok(())
    }

    /// Opens a part of an archive as a stream. Whoever takes the whole work out of labtop's hands is written down first.
    pub(super) async fn open_archive(
        &self,
        actor: &Actor,
        id: ArchiveId,
        excerpt: Excerpt,
    ) -> Result<LogStream, Denial> {
        let claim = self.claim_for(actor, id, (excerpt.needs(), excerpt.verb())).await?;
        if matches!(excerpt, Excerpt::Work | Excerpt::Export) {
            self.ledger.write(vec![touched(actor, &claim, excerpt.verb())]).await?;
        }
        if excerpt == Excerpt::Log && claim.extent.log.is_none() {
            let text = format!("Archive {} holds no log: its seat had no container", claim.id);
            return Err(Refusal::not_found(text).into());
        }
        let (to, stream) = mpsc::channel(PIECES);
        let archives = self.archives.clone();
        tokio::spawn(async move {
            let out = Pour(to.clone());
            let copied = match excerpt {
                Excerpt::Work | Excerpt::Export => archives.copy(&claim, ArchivePart::Workspace, out).await,
                Excerpt::Manifest => archives.copy(&claim, ArchivePart::Manifest, out).await,
                Excerpt::Log => archives.copy(&claim, ArchivePart::Log, out).await,
                Excerpt::File { path } => archives.copy_file(&claim, path, out).await,
            };
            if let Err(fault) = copied {
                let _ = to.send(Err(fault)).await;
            }
        });
        Ok(stream)
    }
}

fn touched(actor: &Actor, claim: &ArchiveClaim, verb: &str) -> Change {
    let (target, outcome) = (claim.seat.to_string(), format!("archive {}", claim.id));
    Change::Audit(AuditEntry::of(actor, clock::unix_ms(), verb, target, outcome))
}
