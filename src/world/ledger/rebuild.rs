//! A ledger that was lost, made again: written beside its place, and put there whole.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, ErrorCode, params};

use super::apply::apply_all;
use super::trouble::{self, ledger_fault};
use super::{rows, schema};
use crate::domain::fault::Fault;
use crate::domain::ids::InstanceId;
use crate::domain::proof::{ArchiveClaim, VerifyMode};
use crate::domain::record::{AuditEntry, Change, RoomRecord, SeatRecord};

/// What SQLite keeps beside a ledger. They go where it goes: one that stays would be taken for the next one's.
const COMPANIONS: [&str; 3] = ["", "-wal", "-shm"];
/// How the unfinished ledger is named.
const UNFINISHED: &str = ".unfinished";
/// How a damaged ledger is named when it is kept aside; a number follows.
const ASIDE: &str = ".damaged-";

/// What stands in the ledger's place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// Nothing.
    Absent,
    /// A ledger that can be read.
    Sound,
    /// Something that cannot; the text says why.
    Damaged(String),
}

/// What a ledger is made of again.
#[derive(Debug, Clone)]
pub struct Remains {
    /// Its identity.
    pub instance: InstanceId,
    /// The identity of the engine that its rooms are on; may be empty.
    pub engine: String,
    /// All rooms, ended ones too.
    pub rooms: Vec<RoomRecord>,
    /// All seats.
    pub seats: Vec<SeatRecord>,
    /// Archives, and how each was proven just now, if it was.
    pub archives: Vec<(ArchiveClaim, Option<VerifyMode>)>,
    /// How those that were not are going to be.
    pub verify: VerifyMode,
    /// That it was made again, and by whom.
    pub audit: AuditEntry,
}

/// Looks at what stands in the ledger's place, and changes nothing.
///
/// # Errors
/// [`FaultCode::Ledger`](crate::domain::fault::FaultCode::Ledger) when that cannot be told now, or a newer labtop wrote
/// it.
pub fn examine(path: &Path) -> Result<Standing, Fault> {
    if !is_there(path) {
        return Ok(Standing::Absent);
    }
    let verdict = schema::open_reader(path).and_then(|db| match verdict(&db) {
        Ok(verdict) => Ok(verdict),
        Err(error) if is_out_of_reach(&error) => Err(ledger_fault(path, "read", &error)),
        Err(error) => Ok(Verdict::Damaged(error.to_string())),
    });
    match verdict? {
        Verdict::Sound => Ok(Standing::Sound),
        Verdict::Damaged(why) => Ok(Standing::Damaged(why)),
        Verdict::Newer(found) => Err(trouble::newer_schema(path, found, schema::newest())),
    }
}

enum Verdict {
    Sound,
    Damaged(String),
    Newer(i64),
}

/// Everything that an agent reads at its start, and every page.
fn verdict(db: &Connection) -> rusqlite::Result<Verdict> {
    let integrity = schema::integrity(db)?;
    if integrity != "ok" {
        return Ok(Verdict::Damaged(integrity));
    }
    let version = schema::version(db)?;
    if version == 0 {
        return Ok(Verdict::Damaged("it holds no ledger".to_owned()));
    }
    let known = usize::try_from(version).is_ok_and(|version| version <= schema::newest());
    if !known {
        return Ok(Verdict::Newer(version));
    }
    let instance: String = db.query_row("SELECT instance FROM meta", [], |row| row.get(0))?;
    if let Err(error) = instance.parse::<InstanceId>() {
        return Ok(Verdict::Damaged(error.to_string()));
    }
    rows::state(db)?;
    Ok(Verdict::Sound)
}

/// Whether it may be sound, and only cannot be read now, or by this user.
fn is_out_of_reach(error: &rusqlite::Error) -> bool {
    matches!(
        error.sqlite_error_code(),
        Some(
            ErrorCode::DatabaseBusy
                | ErrorCode::DatabaseLocked
                | ErrorCode::CannotOpen
                | ErrorCode::PermissionDenied
                | ErrorCode::OutOfMemory
        )
    )
}

/// Makes the ledger again. Whatever stands in its place is kept aside; the answer names it.
///
/// # Errors
/// [`FaultCode::Ledger`](crate::domain::fault::FaultCode::Ledger) when it cannot be written; what stood in its place then
/// stands there still, or aside.
pub fn make_again(path: &Path, remains: &Remains) -> Result<Option<PathBuf>, Fault> {
    let unfinished = with(path, UNFINISHED);
    discard(&unfinished).map_err(|error| trouble::of_file(&unfinished, &error))?;
    let mut db = schema::open(&unfinished)?;
    let written = write(&mut db, remains).and_then(|()| schema::settle(&db));
    written.map_err(|error| ledger_fault(path, "write", &error))?;
    drop(db);
    let aside = put_in_place(&unfinished, path);
    aside.map_err(|error| trouble::of_file(path, &error))
}

fn write(db: &mut Connection, remains: &Remains) -> rusqlite::Result<()> {
    let tx = db.transaction()?;
    let instance = remains.instance.as_str();
    tx.execute("INSERT INTO meta (only_row, instance) VALUES (1, ?1)", [instance])?;
    let mut changes: Vec<Change> = remains.rooms.iter().cloned().map(Change::PutRoom).collect();
    changes.push(Change::AddSeats(remains.seats.clone()));
    if !remains.engine.is_empty() {
        changes.push(Change::SetEngine(remains.engine.clone()));
    }
    for (claim, proven) in &remains.archives {
        changes.push(Change::AddArchive(claim.clone(), proven.unwrap_or(remains.verify)));
    }
    changes.push(Change::Audit(remains.audit.clone()));
    apply_all(&tx, &changes)?;
    let mut doubt = tx.prepare("UPDATE archives SET verified = 0 WHERE id = ?1")?;
    for (claim, _) in remains.archives.iter().filter(|(_, proven)| proven.is_none()) {
        doubt.execute(params![claim.id.as_str()])?;
    }
    drop(doubt);
    tx.commit()
}

fn put_in_place(unfinished: &Path, path: &Path) -> io::Result<Option<PathBuf>> {
    File::open(unfinished)?.sync_all()?;
    let aside = keep_aside(path)?;
    fs::rename(unfinished, path)?;
    discard(unfinished)?;
    File::open(path.parent().unwrap_or(Path::new("/")))?.sync_all()?;
    Ok(aside)
}

/// Gives what is there the first name that is free.
fn keep_aside(path: &Path) -> io::Result<Option<PathBuf>> {
    let there = |path: &Path| COMPANIONS.iter().any(|end| is_there(&with(path, end)));
    if !there(path) {
        return Ok(None);
    }
    let mut number = 1_u32;
    let mut aside = with(path, &format!("{ASIDE}{number}"));
    while there(&aside) {
        number += 1;
        aside = with(path, &format!("{ASIDE}{number}"));
    }
    // The ledger first: companions without one, left by an interruption, are nobody's.
    for end in COMPANIONS {
        let from = with(path, end);
        if is_there(&from) {
            fs::rename(from, with(&aside, end))?;
        }
    }
    Ok(Some(aside))
}

fn discard(path: &Path) -> io::Result<()> {
    for end in COMPANIONS {
        match fs::remove_file(with(path, end)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

fn is_there(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok()
}

fn with(path: &Path, end: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(end);
    name.into()
}
