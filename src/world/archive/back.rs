//! Reading back: the proof that an archive is stored, and its content for people.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, Write};

use super::object::Stop;
use super::{Archives, trouble};
use crate::domain::fault::Fault;
use crate::domain::names::{ArchivePart, part_key};
use crate::domain::proof::{ArchiveClaim, Readback, Stillness, Stored, VerifiedArchive, VerifyMode};
use crate::pack::check::{Compared, compare};
use crate::pack::entry::{Kind, shown};
use crate::pack::manifest::{self, Head};
use crate::pack::reader::{TarError, TarReader};
use crate::pack::sum::Summed;

impl Archives {
    /// Reads every object of an archive from beginning to end, and compares it with what was sent.
    ///
    /// # Errors
    /// [`FaultCode::Mismatch`](crate::domain::fault::FaultCode::Mismatch) when an object is missing or not what was
    /// sent, [`FaultCode::Store`](crate::domain::fault::FaultCode::Store) when one cannot be read.
    pub async fn verify(&self, claim: ArchiveClaim, stillness: Stillness) -> Result<VerifiedArchive, Fault> {
        let back = self.read_back(&claim).await?;
        VerifiedArchive::prove(claim, stillness, &back)
    }

    /// The same without a freeze, for archives of seats that are gone.
    ///
    /// # Errors
    /// As [`Archives::verify`].
    pub async fn scrub(&self, claim: &ArchiveClaim) -> Result<VerifyMode, Fault> {
        claim.compare(&self.read_back(claim).await?)
    }

    async fn read_back(&self, claim: &ArchiveClaim) -> Result<Readback, Fault> {
        if part_key(&claim.seat, &claim.id, ArchivePart::Workspace) != claim.key {
            return Err(trouble::mismatch(claim, "is recorded under another archive's key"));
        }
        let log = match claim.extent.log {
            Some(_) => Some(self.sum_of(claim, ArchivePart::Log).await?),
            None => None,
        };
        let (workspace, manifest, content) = match self.manner.verify {
            // The first form of archives had no manifest to compare with.
            _ if claim.extent.manifest == Stored::default() => {
                let workspace = self.sum_of(claim, ArchivePart::Workspace).await?;
                (workspace, Stored::default(), None)
            }
            VerifyMode::Checksum => {
                let workspace = self.sum_of(claim, ArchivePart::Workspace).await?;
                (workspace, self.sum_of(claim, ArchivePart::Manifest).await?, None)
            }
            VerifyMode::Full => {
                let (file, manifest) = self.fetch_manifest(claim).await?;
                if manifest != claim.extent.manifest {
                    return Err(trouble::mismatch(
                        claim,
                        "came back different: its manifest is not the one that was sent",
                    ));
                }
                let compared = self.unpack(claim, file).await?;
                (compared.stored.into(), manifest, Some(compared.content))
            }
        };
        Ok(Readback {
            workspace,
            manifest,
            log,
            content,
        })
    }

    /// Sees that every object of a proven archive is still there in its length. It is cheap, and the last look before the
    /// work itself goes.
    ///
    /// # Errors
    /// [`FaultCode::Mismatch`](crate::domain::fault::FaultCode::Mismatch) when one is not,
    /// [`FaultCode::Store`](crate::domain::fault::FaultCode::Store) when that cannot be told.
    pub async fn confirm(&self, claim: &ArchiveClaim) -> Result<(), Fault> {
        for part in [ArchivePart::Workspace, ArchivePart::Manifest, ArchivePart::Log] {
            // The first form of archives had no manifest.
            let Some(sent) = claim.sent(part).filter(|sent| *sent != Stored::default()) else {
                continue;
            };
            let there = self.store.length(&part_key(&claim.seat, &claim.id, part)).await?;
            if there != Some(sent.bytes) {
                let name = part.file_name();
                return Err(trouble::mismatch(
                    claim,
                    &format!("is not in the store any more ({name})"),
                ));
            }
        }
        Ok(())
    }

    /// Length and digest of one object.
    async fn sum_of(&self, claim: &ArchiveClaim, part: ArchivePart) -> Result<Stored, Fault> {
        let work = |bytes: &mut dyn Read| {
            let mut summed = Summed::new(bytes);
            io::copy(&mut summed, &mut io::sink())?;
            Ok(Stored::from(summed.finish()))
        };
        Self::need(
            claim,
            part,
            self.store.read(&part_key(&claim.seat, &claim.id, part), work).await,
        )
    }

    /// The manifest as a file without a name, at its beginning.
    async fn fetch_manifest(&self, claim: &ArchiveClaim) -> Result<(File, Stored), Fault> {
        let mut spool = self.spool()?;
        let work = move |bytes: &mut dyn Read| {
            let mut summed = Summed::new(bytes);
            io::copy(&mut summed, &mut spool)?;
            spool.rewind()?;
            Ok((spool, Stored::from(summed.finish())))
        };
        let key = part_key(&claim.seat, &claim.id, ArchivePart::Manifest);
        Self::need(claim, ArchivePart::Manifest, self.store.read(&key, work).await)
    }

    async fn unpack(&self, claim: &ArchiveClaim, manifest: File) -> Result<Compared, Fault> {
        let about = claim.clone();
        let work = move |bytes: &mut dyn Read| {
            let mut manifest = manifest::Reader::new(BufReader::new(manifest))
                .map_err(|error| trouble::mismatch(&about, &format!("came back different: {error}")))?;
            let head = Head::of(&about, &manifest.head().instance);
            if *manifest.head() != head {
                return Err(
                    trouble::mismatch(&about, "came back different: its manifest tells of another archive").into(),
                );
            }
            compare(bytes, &mut manifest, about.content_bytes)
                .map_err(|what| Stop::Fault(trouble::mismatch(&about, &what)))
        };
        Self::need(claim, ArchivePart::Workspace, self.store.read(&claim.key, work).await)
    }

    fn need<T>(claim: &ArchiveClaim, part: ArchivePart, read: Result<Option<T>, Fault>) -> Result<T, Fault> {
        read?.ok_or_else(|| {
            let name = part.file_name();
            trouble::mismatch(claim, &format!("is missing from the store ({name})"))
        })
    }
}

impl Archives {
    /// Runs `work` over the tar of an archive. When what the store gives is not what was sent, reading fails before the
    /// tar's end.
    ///
    /// # Errors
    /// [`FaultCode::Mismatch`](crate::domain::fault::FaultCode::Mismatch) when it is missing or not what was sent; the
    /// work's own fault; when the store fails.
    pub async fn unpacked<T, F>(&self, claim: &ArchiveClaim, work: F) -> Result<T, Fault>
    where
        T: Send + 'static,
        F: FnOnce(&mut dyn Read) -> Result<T, Fault> + Send + 'static,
    {
        let about = claim.clone();
        let over = move |bytes: &mut dyn Read| {
            let decoder = zstd::Decoder::new(Summed::new(bytes))?;
            let mut tar = Proven {
                decoder: Some(decoder),
                claim: &about,
                differs: false,
            };
            let done = work(&mut tar);
            if tar.differs {
                return Err(trouble::mismatch(&about, "is not what was sent").into());
            }
            Ok(done?)
        };
        Self::need(claim, ArchivePart::Workspace, self.store.read(&claim.key, over).await)
    }

    /// Copies one object of an archive to `out`, unpacked where it is packed. When it is not what was sent, that is told
    /// after the last byte.
    ///
    /// # Errors
    /// [`FaultCode::Mismatch`](crate::domain::fault::FaultCode::Mismatch) when it is missing or not what was sent; when
    /// the store or `out` fails.
    pub async fn copy<W>(&self, claim: &ArchiveClaim, part: ArchivePart, mut out: W) -> Result<(), Fault>
    where
        W: Write + Send + 'static,
    {
        let about = claim.clone();
        let work = move |bytes: &mut dyn Read| {
            let mut summed = Summed::new(bytes);
            match part {
                ArchivePart::Manifest => io::copy(&mut summed, &mut out)?,
                ArchivePart::Workspace | ArchivePart::Log => io::copy(&mut zstd::Decoder::new(&mut summed)?, &mut out)?,
            };
            out.flush()?;
            if Some(Stored::from(summed.finish())) != about.sent(part) {
                return Err(trouble::mismatch(&about, "is not what was sent").into());
            }
            Ok(())
        };
        Self::need(
            claim,
            part,
            self.store.read(&part_key(&claim.seat, &claim.id, part), work).await,
        )
    }

    /// Copies the content of one file of an archive to `out`. Its path is that of the manifest.
    ///
    /// # Errors
    /// When there is no such file in it, or the store or `out` fails.
    pub async fn copy_file<W>(&self, claim: &ArchiveClaim, path: String, mut out: W) -> Result<(), Fault>
    where
        W: Write + Send + 'static,
    {
        let about = claim.clone();
        let work = move |bytes: &mut dyn Read| {
            let mut tar = TarReader::new(zstd::Decoder::new(bytes)?);
            let damaged = |error: TarError| Stop::Fault(trouble::mismatch(&about, &format!("cannot be read: {error}")));
            while let Some(entry) = tar.next_entry().map_err(damaged)? {
                if shown(&entry.path) == path {
                    return match entry.kind {
                        Kind::File => Ok(io::copy(&mut tar, &mut out).and_then(|_| out.flush())?),
                        kind => Err(trouble::no_file(&about, &path, kind.word()).into()),
                    };
                }
            }
            Err(trouble::no_file(&about, &path, "not in it").into())
        };
        Self::need(claim, ArchivePart::Workspace, self.store.read(&claim.key, work).await)
    }
}

/// The unpacked work, whose end is only told when all of it was what was sent.
struct Proven<'a, R: Read> {
    /// None after the end.
    decoder: Option<zstd::Decoder<'static, BufReader<Summed<R>>>>,
    claim: &'a ArchiveClaim,
    differs: bool,
}

impl<R: Read> Read for Proven<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Some(decoder) = &mut self.decoder else {
            return Ok(0);
        };
        let count = decoder.read(buffer)?;
        if count > 0 || buffer.is_empty() {
            return Ok(count);
        }
        let sum = self
            .decoder
            .take()
            .map(|decoder| decoder.finish().into_inner().finish());
        self.differs = sum.map(Stored::from) != self.claim.sent(ArchivePart::Workspace);
        if self.differs {
            return Err(io::Error::other("the archive is not what was sent"));
        }
        Ok(0)
    }
}
