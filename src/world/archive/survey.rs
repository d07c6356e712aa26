//! Whatever archives are in the store, by their manifests: what a lost ledger is made of again.
//!
//! Anybody who may write in the store may have written a manifest: one that does not fit its place, its own content or
//! the ledger's columns is named and skipped. What is stored beside it is not looked at; that is a verification's work.

use std::collections::BTreeSet;
use std::io::{self, BufReader, Read};

use futures_util::{StreamExt, TryStreamExt, stream};

use super::Store;
use crate::domain::fault::Fault;
use crate::domain::ids::InstanceId;
use crate::domain::names::{ArchivePart, SESSION_MAX, SUBMISSIONS, part_key};
use crate::domain::policy::MOMENT_MAX_UNIX_MS;
use crate::domain::proof::{ArchiveClaim, Stored};
use crate::pack::manifest::{Head, Reader};
use crate::pack::sum::Summed;

/// Manifests read at the same time: a bucket answers each only after a while.
const READS_IN_FLIGHT: usize = 8;
/// The ledger's integers have 63 bits.
const NUMBER_MAX: u64 = i64::MAX.unsigned_abs();

/// What is in a store.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Survey {
    /// Whole manifests, in the order of keys, as what was sent; none was compared with what is stored.
    pub found: Vec<(InstanceId, ArchiveClaim)>,
    /// Keys of what is no archive, and why.
    pub skipped: Vec<(String, String)>,
}

impl Store {
    /// Reads every manifest in the store.
    ///
    /// # Errors
    /// [`FaultCode::Store`](crate::domain::fault::FaultCode::Store) when the store, or an object in it, cannot be read.
    pub async fn survey(&self) -> Result<Survey, Fault> {
        let objects = self.list(&format!("{SUBMISSIONS}/")).await?;
        let keys: BTreeSet<String> = objects.into_iter().map(|object| object.key).collect();
        let manifests: Vec<String> = keys
            .iter()
            .filter(|key| is(key, ArchivePart::Manifest))
            .cloned()
            .collect();
        let mut survey = Survey::default();
        let reads = manifests.into_iter().map(|key| async move {
            let read = self.read(&key, |bytes| Ok(take(bytes))).await?;
            Ok::<_, Fault>((key, read))
        });
        let read: Vec<_> = stream::iter(reads).buffered(READS_IN_FLIGHT).try_collect().await?;
        let mut ids = BTreeSet::new();
        for (key, read) in read {
            // One that went since it was listed was another agent's attempt.
            let Some(read) = read else { continue };
            let checked = read.and_then(|(instance, claim)| fits(&key, &claim).map(|()| (instance, claim)));
            match checked {
                Ok((_, claim)) if !ids.insert(claim.id.clone()) => {
                    let why = format!("an archive of another seat has the same id, {}", claim.id);
                    survey.skipped.push((key, why));
                }
                Ok(found) => survey.found.push(found),
                Err(why) => survey.skipped.push((key, why)),
            }
        }
        survey.skipped.extend(without_manifest(&keys));
        Ok(survey)
    }
}

fn is(key: &str, part: ArchivePart) -> bool {
    key.rsplit_once('/').is_some_and(|(_, name)| name == part.file_name())
}

fn without_manifest(keys: &BTreeSet<String>) -> Vec<(String, String)> {
    let works = keys.iter().filter(|key| is(key, ArchivePart::Workspace));
    let bare = works.filter(|key| {
        let place = key.trim_end_matches(ArchivePart::Workspace.file_name());
        !keys.contains(&format!("{place}{}", ArchivePart::Manifest.file_name()))
    });
    bare.map(|key| (key.clone(), "it has no manifest".to_owned())).collect()
}

/// Reads a manifest from beginning to end; why it is none, else.
fn take(bytes: &mut dyn Read) -> Result<(InstanceId, ArchiveClaim), String> {
    whole(bytes).map_err(|error| error.to_string())
}

fn whole(bytes: &mut dyn Read) -> io::Result<(InstanceId, ArchiveClaim)> {
    let bad = |what: &str| io::Error::new(io::ErrorKind::InvalidData, format!("the manifest is damaged: {what}"));
    let mut lines = BufReader::new(Summed::new(bytes));
    let mut manifest = Reader::new(&mut lines)?;
    let head: Head = manifest.head().clone();
    let (mut stored, mut left_out, mut torn) = (0, 0, 0);
    while let Some(line) = manifest.next_line()? {
        torn += u64::from(line.torn);
        match line.left_out {
            None => stored += 1,
            Some(_) => left_out += 1,
        }
    }
    if io::copy(&mut lines, &mut io::sink())? > 0 {
        return Err(bad("something follows its end"));
    }
    if (stored, left_out, torn) != (head.stored_entries, head.left_out, head.torn) {
        return Err(bad("it does not list what its head says"));
    }
    let manifest = Stored::from(lines.into_inner().finish());
    Ok((head.instance.clone(), head.claim(manifest)))
}

/// Whether an archive may stand in the ledger under that key.
fn fits(key: &str, claim: &ArchiveClaim) -> Result<(), String> {
    if part_key(&claim.seat, &claim.id, ArchivePart::Manifest) != key {
        return Err(format!(
            "it is that of archive {} of {}, at another place",
            claim.id, claim.seat
        ));
    }
    if claim.session > SESSION_MAX || claim.created_unix_ms > MOMENT_MAX_UNIX_MS {
        return Err("its opening or its time is out of all bounds".to_owned());
    }
    let numbers = [claim.epoch, claim.bytes, claim.content_bytes];
    if numbers.into_iter().any(|number| number >= NUMBER_MAX) {
        return Err("a number in it is out of all bounds".to_owned());
    }
    let log = claim.extent.log.as_ref().map(|log| &log.digest);
    let digests = [
        Some(&claim.digest),
        Some(&claim.content_digest),
        claim.extent.elsewhere_digest.as_ref(),
        log,
    ];
    if !digests.into_iter().flatten().all(|digest| is_digest(digest)) {
        return Err("a digest in it is none".to_owned());
    }
    Ok(())
}

fn is_digest(text: &str) -> bool {
    const HEX_DIGITS: usize = 64;
    text.len() == HEX_DIGITS && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}
