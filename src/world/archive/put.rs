//! Storing: the log, then the work, then the manifest. Where the manifest is, everything is.

use std::fs::File;
use std::io::{self, BufReader, Write};
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::mpsc;

use super::blocking::blocking;
use super::feed::feed;
use super::object::Stop;
use super::{Archives, Draft, Piece, Source, Supply, trouble};
use crate::domain::fault::{Fault, FaultCode};
use crate::domain::ids::SeatId;
use crate::domain::names::{ArchivePart, part_key};
use crate::domain::proof::{ArchiveClaim, Extent, SNAPSHOT_EPOCH, Stored};
use crate::domain::template::Selection;
use crate::pack::manifest::{self, Head};
use crate::pack::packer::{Orders, PackError, Packed, Packer};
use crate::pack::rules::Selector;
use crate::pack::squeeze::squeeze;
use crate::pack::sum::{Sum, Summed};

/// What was packed, the lines of its manifest, and what came of it in the store.
type Work = ((Packed, Option<BufReader<File>>), Sum);

impl From<Sum> for Stored {
    fn from(sum: Sum) -> Self {
        Self {
            bytes: sum.bytes,
            digest: sum.digest,
        }
    }
}

impl Archives {
    /// Stores a seat's work and tells what was sent. `progress` is told how many bytes were read.
    /// When it fails, nothing of it is left; when it is dropped, a later [`Archives::tidy`] takes what is.
    ///
    /// # Errors
    /// The source's own fault; [`FaultCode::Store`] when a source is no whole tar, or the store cannot be written;
    /// [`FaultCode::TooBig`] when there is more than the selection allows.
    pub async fn put(
        &self,
        draft: Draft,
        log: Option<mpsc::Receiver<Piece>>,
        supply: mpsc::Receiver<Supply>,
        progress: Arc<AtomicU64>,
    ) -> Result<ArchiveClaim, Fault> {
        let _note = self.begin(&draft).await?;
        let sent = self.send(&draft, log, supply, progress).await;
        if sent.is_err() {
            self.abandon(&draft.seat, &draft.id).await;
        }
        sent
    }

    async fn send(
        &self,
        draft: &Draft,
        log: Option<mpsc::Receiver<Piece>>,
        supply: mpsc::Receiver<Supply>,
        progress: Arc<AtomicU64>,
    ) -> Result<ArchiveClaim, Fault> {
        let log = match log {
            Some(pieces) => Some(self.put_log(draft, pieces).await?),
            None => None,
        };
        let ((packed, lines), stored) = self.put_work(draft, supply, progress).await?;
        let mut claim = claim(draft, packed, stored, log);
        claim.extent.manifest = self.put_manifest(&claim, lines).await?;
        Ok(claim)
    }

    async fn put_log(&self, draft: &Draft, pieces: mpsc::Receiver<Piece>) -> Result<Stored, Fault> {
        let level = self.manner.compression.level;
        let key = part_key(&draft.seat, &draft.id, ArchivePart::Log);
        let work = move |out: &mut dyn Write| {
            let failed = Arc::default();
            let mut feed = feed(pieces, &failed);
            let mut encoder = zstd::Encoder::new(Summed::new(out), level)?;
            encoder.include_checksum(true)?;
            if let Err(error) = io::copy(&mut feed, &mut encoder) {
                return Err(source_fault(&failed).map_or(Stop::Io(error), Stop::Fault));
            }
            Ok(Stored::from(encoder.finish()?.finish()))
        };
        self.store.write(&key, work).await
    }

    async fn put_work(
        &self,
        draft: &Draft,
        supply: mpsc::Receiver<Supply>,
        progress: Arc<AtomicU64>,
    ) -> Result<Work, Fault> {
        let key = part_key(&draft.seat, &draft.id, ArchivePart::Workspace);
        let spool = self.spool()?;
        let compression = self.manner.compression;
        let mut orders = orders(&draft.selection, progress)?;
        orders.running = draft.epoch == SNAPSHOT_EPOCH;
        let seat = draft.seat.clone();
        let work = move |out: &mut dyn Write| {
            let failed = Arc::default();
            let packed = squeeze(out, compression, |into| {
                let mut packer = Packer::new(into, spool, orders);
                take_all(&mut packer, supply, &failed)?;
                packer.finish()
            });
            packed.map_err(|error| stop(error, &failed, &seat))
        };
        self.store.write(&key, work).await
    }

    async fn put_manifest(&self, claim: &ArchiveClaim, lines: Option<BufReader<File>>) -> Result<Stored, Fault> {
        let head = Head::of(claim, &self.manner.instance);
        let key = part_key(&claim.seat, &claim.id, ArchivePart::Manifest);
        let work = move |out: &mut dyn Write| {
            let mut summed = Summed::new(io::BufWriter::new(out));
            match lines {
                Some(lines) => manifest::write(&head, lines, &mut summed)?,
                None => manifest::write(&head, io::empty(), &mut summed)?,
            }
            summed.flush()?;
            Ok(Stored::from(summed.finish()))
        };
        self.store.write(&key, work).await
    }

    /// A file without a name for the lines of a manifest.
    pub(super) fn spool(&self) -> Result<File, Fault> {
        let dir = &self.manner.scratch;
        let made = std::fs::create_dir_all(dir).and_then(|()| tempfile::tempfile_in(dir));
        made.map_err(|error| trouble::of_place(dir, "make a file in", &error))
    }
}

fn claim(draft: &Draft, packed: Packed, stored: Sum, log: Option<Stored>) -> ArchiveClaim {
    ArchiveClaim {
        key: part_key(&draft.seat, &draft.id, ArchivePart::Workspace),
        id: draft.id.clone(),
        seat: draft.seat.clone(),
        session: draft.session,
        epoch: draft.epoch,
        bytes: stored.bytes,
        digest: stored.digest,
        content_bytes: packed.content_bytes,
        content_digest: packed.content_digest,
        created_unix_ms: draft.created_unix_ms,
        extent: Extent {
            entries: packed.entries,
            left_out: packed.left_out,
            torn: packed.torn,
            elsewhere_digest: packed.elsewhere_digest,
            manifest: Stored::default(),
            log,
            selection: draft.selection.clone(),
        },
    }
}

fn orders(selection: &Selection, progress: Arc<AtomicU64>) -> Result<Orders, Fault> {
    let selector = Selector::new(selection)
        .map_err(|error| Fault::new(FaultCode::BadTemplate, format!("the archive's patterns: {error}")))?;
    Ok(Orders {
        selector,
        max_bytes: selection.max_bytes,
        progress,
        running: false,
        // The store's own writer fails when nobody waits any more.
        wanted: Box::new(|| true),
    })
}

/// The digests that an archive of this work would have, of the workspace and of what changed elsewhere. `running` tells
/// whether the work goes on meanwhile.
///
/// # Errors
/// As [`Archives::put`], but for the store.
pub async fn digest(
    seat: &SeatId,
    selection: &Selection,
    running: bool,
    supply: mpsc::Receiver<Supply>,
) -> Result<(String, Option<String>), Fault> {
    let (mut orders, seat) = (orders(selection, Arc::default())?, seat.clone());
    orders.running = running;
    let waited = Arc::new(());
    let waits = Arc::downgrade(&waited);
    orders.wanted = Box::new(move || waits.strong_count() > 0);
    let digested = blocking(move |_| {
        let failed = Arc::default();
        let mut packer = Packer::digesting(orders);
        let packed = take_all(&mut packer, supply, &failed).and_then(|()| packer.finish());
        packed.map_err(|error| match stop(error, &failed, &seat) {
            Stop::Fault(fault) => fault,
            Stop::Io(error) => trouble::unreadable(&seat, &error),
        })
    });
    let (packed, _) = digested.await?;
    drop(waited);
    Ok((packed.content_digest, packed.elsewhere_digest))
}

/// Packs every source that comes, until the word that these were all.
fn take_all<W: Write>(
    packer: &mut Packer<W>,
    mut supply: mpsc::Receiver<Supply>,
    failed: &Arc<Mutex<Option<Fault>>>,
) -> Result<(), PackError> {
    loop {
        match supply.blocking_recv() {
            Some(Supply::Source(Source::Tar { pieces, part, below })) => {
                packer.tar(feed(pieces, failed), part, &below)?;
            }
            Some(Supply::Source(Source::Tree(root))) => packer.tree(root)?,
            Some(Supply::Failed(fault)) => {
                *failed.lock().unwrap_or_else(PoisonError::into_inner) = Some(fault);
                return Err(PackError::CalledOff);
            }
            Some(Supply::End) => return Ok(()),
            None => return Err(PackError::CalledOff),
        }
    }
}

fn source_fault(failed: &Arc<Mutex<Option<Fault>>>) -> Option<Fault> {
    failed.lock().unwrap_or_else(PoisonError::into_inner).take()
}

/// Why the packing stopped, in the words of whoever caused it.
fn stop(error: PackError, failed: &Arc<Mutex<Option<Fault>>>, seat: &SeatId) -> Stop {
    if let Some(fault) = source_fault(failed) {
        return fault.into();
    }
    match error {
        PackError::Out(error) => Stop::Io(error),
        PackError::Tar(why, bytes) => trouble::bad_stream(seat, why, bytes).into(),
        PackError::TooBig(max) => trouble::too_big(seat, max).into(),
        PackError::Tangled(name) => trouble::tangled(seat, &name).into(),
        PackError::Source(error) => trouble::unreadable(seat, &error).into(),
        PackError::CalledOff => trouble::called_off().into(),
    }
}
