//! Rows read back into the domain's words. Whatever does not fit them is an error, never a guess.

use rusqlite::types::{FromSqlError, Type};
use rusqlite::{Connection, OptionalExtension, Row, params};
use serde::de::DeserializeOwned;

use super::apply::number;
use super::{AuditRow, people};
use crate::domain::command::{ArchiveKind, ArchiveRow};
use crate::domain::ids::{ArchiveId, RoomName, SeatId};
use crate::domain::proof::{ArchiveClaim, Extent, SNAPSHOT_EPOCH, VerifyMode};
use crate::domain::record::{AuditEntry, Closing, LedgerState, RoomRecord, RoomWanted, SeatRecord, Wanted};

/// How the ledger writes what a room should be.
pub(super) fn room_wanted(wanted: RoomWanted) -> &'static str {
    match wanted {
        RoomWanted::Open => "open",
        RoomWanted::Closed => "closed",
    }
}

/// How the ledger writes what a seat should be.
pub(super) fn seat_wanted(wanted: Wanted) -> &'static str {
    match wanted {
        Wanted::Running => "running",
        Wanted::Frozen => "frozen",
        Wanted::Stopped => "stopped",
        Wanted::Gone => "gone",
    }
}

/// How the ledger writes how an archive was proven.
pub(super) fn verify_mode(mode: VerifyMode) -> &'static str {
    match mode {
        VerifyMode::Full => "full",
        VerifyMode::Checksum => "checksum",
    }
}

/// All rooms and seats.
pub(super) fn state(db: &Connection) -> rusqlite::Result<LedgerState> {
    Ok(LedgerState {
        rooms: all(db, "SELECT * FROM rooms ORDER BY name", room)?,
        seats: all(db, "SELECT * FROM seats ORDER BY room, student", seat)?,
        engine: db.query_row("SELECT engine FROM meta", [], |row| row.get(0))?,
        rosters: all(db, "SELECT * FROM rosters ORDER BY room, student", people::seating)?,
        sessions: all(db, "SELECT * FROM sessions ORDER BY id", people::session)?,
        collected: all(db, people::COLLECTED, people::seat)?,
    })
}

/// At most `limit` records of the audit trail after one of them, of what was done to a room or all, newest last.
pub(super) fn audit(
    db: &Connection,
    room: Option<&RoomName>,
    after: u64,
    limit: usize,
) -> rusqlite::Result<Vec<AuditRow>> {
    // A target is a room, a seat of it, or begins with one of them. A room's name holds nothing that GLOB knows.
    let mut rows = db.prepare(
        "SELECT * FROM audit WHERE seq > ?1
             AND (?2 IS NULL OR target = ?2 OR target GLOB ?2 || '/*' OR target GLOB ?2 || ' *')
         ORDER BY seq LIMIT ?3",
    )?;
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let found = rows.query_map(params![number(after)?, room.map(RoomName::as_str), limit], audit_row)?;
    found.collect()
}

/// Shows every record of the audit trail, oldest first.
pub(super) fn each_audit(db: &Connection, mut show: impl FnMut(AuditRow)) -> rusqlite::Result<()> {
    let mut rows = db.prepare("SELECT * FROM audit ORDER BY seq")?;
    for row in rows.query_map([], audit_row)? {
        show(row?);
    }
    Ok(())
}

/// Archives, oldest first, of one room or all. A seat that ran again after it was frozen has one of each freezing: the
/// older may hold what the newer has lost, so none is left out.
pub(super) fn archives(db: &Connection, room: Option<&RoomName>) -> rusqlite::Result<Vec<ArchiveRow>> {
    let mut rows = db.prepare("SELECT * FROM archives WHERE ?1 IS NULL OR room = ?1 ORDER BY created_unix_ms, id")?;
    rows.query_map([room.map(RoomName::as_str)], archive)?.collect()
}

/// One archive as it was sent; none when there is none of that id.
pub(super) fn claim(db: &Connection, id: &ArchiveId) -> rusqlite::Result<Option<ArchiveClaim>> {
    let mut rows = db.prepare("SELECT * FROM archives WHERE id = ?1")?;
    rows.query_row([id.as_str()], claim_row).optional()
}

/// The snapshots of a seat in one opening of its room, newest first, but for those that a seat is to start with.
pub(super) fn snapshots(db: &Connection, seat: &SeatId, session: u64) -> rusqlite::Result<Vec<ArchiveId>> {
    let mut rows = db.prepare(
        "SELECT id FROM archives WHERE room = ?1 AND student = ?2 AND session = ?3 AND epoch = ?4
           AND id NOT IN (SELECT restore FROM seats WHERE restore IS NOT NULL)
         ORDER BY created_unix_ms DESC, id DESC",
    )?;
    let (session, epoch) = (number(session)?, number(SNAPSHOT_EPOCH)?);
    let values = params![seat.room.as_str(), seat.student.as_str(), session, epoch];
    rows.query_map(values, |row| id(row, "id"))?.collect()
}

/// The archives of one seat or all, as they were sent.
pub(super) fn claims(db: &Connection, seat: Option<&SeatId>) -> rusqlite::Result<Vec<ArchiveClaim>> {
    let Some(seat) = seat else {
        return db
            .prepare("SELECT * FROM archives")?
            .query_map([], claim_row)?
            .collect();
    };
    let mut rows = db.prepare("SELECT * FROM archives WHERE room = ?1 AND student = ?2")?;
    rows.query_map([seat.room.as_str(), seat.student.as_str()], claim_row)?
        .collect()
}

fn claim_row(row: &Row<'_>) -> rusqlite::Result<ArchiveClaim> {
    Ok(ArchiveClaim {
        id: id(row, "id")?,
        seat: SeatId::new(id(row, "room")?, id(row, "student")?),
        session: count(row, "session")?,
        epoch: count(row, "epoch")?,
        key: row.get("key")?,
        bytes: count(row, "bytes")?,
        digest: row.get("digest")?,
        content_bytes: count(row, "content_bytes")?,
        content_digest: row.get("content_digest")?,
        created_unix_ms: count(row, "created_unix_ms")?,
        extent: optional_json(row, "extent")?.unwrap_or_default(),
    })
}

fn all<T>(db: &Connection, sql: &str, read: fn(&Row<'_>) -> rusqlite::Result<T>) -> rusqlite::Result<Vec<T>> {
    db.prepare(sql)?.query_map([], read)?.collect()
}

fn room(row: &Row<'_>) -> rusqlite::Result<RoomRecord> {
    Ok(RoomRecord {
        name: id(row, "name")?,
        session: count(row, "session")?,
        template: json(row, "template")?,
        exam: row.get("exam")?,
        wanted: word(row, "wanted", &[RoomWanted::Open, RoomWanted::Closed], room_wanted)?,
        ended: row.get("ended")?,
        opened_unix_ms: count(row, "opened_unix_ms")?,
        opened_by: row.get("opened_by")?,
        minutes: row.get("minutes")?,
        on_demand: row.get("on_demand")?,
    })
}

fn seat(row: &Row<'_>) -> rusqlite::Result<SeatRecord> {
    const ALL: [Wanted; 4] = [Wanted::Running, Wanted::Frozen, Wanted::Stopped, Wanted::Gone];
    Ok(SeatRecord {
        id: SeatId::new(id(row, "room")?, id(row, "student")?),
        session: count(row, "session")?,
        wanted: word(row, "wanted", &ALL, seat_wanted)?,
        made: row.get("made")?,
        route: row.get("route")?,
        deadline_unix_ms: count(row, "deadline_unix_ms")?,
        discard_by: row.get("discard_by")?,
        held: row.get("held")?,
        restore: optional_id(row, "restore")?,
        closing: Closing {
            epoch: count(row, "epoch")?,
            stillness: optional_json(row, "stillness")?,
            archive: optional_json(row, "archive")?,
            container_removed: row.get("container_removed")?,
        },
    })
}

fn archive(row: &Row<'_>) -> rusqlite::Result<ArchiveRow> {
    let extent: Extent = optional_json(row, "extent")?.unwrap_or_default();
    Ok(ArchiveRow {
        id: id(row, "id")?,
        room: id(row, "room")?,
        student: id(row, "student")?,
        created: utc(row, "created_unix_ms")?,
        bytes: count(row, "bytes")?,
        digest: row.get("digest")?,
        // Only a verified archive is ever added; a later look may have found it damaged.
        verified: row.get("verified")?,
        key: row.get("key")?,
        entries: extent.entries,
        left_out: extent.left_out,
        torn: extent.torn,
        verify: word(row, "verify", &[VerifyMode::Full, VerifyMode::Checksum], verify_mode)?,
        session: count(row, "session")?,
        kind: if count(row, "epoch")? == SNAPSHOT_EPOCH {
            ArchiveKind::Snapshot
        } else {
            ArchiveKind::Archive
        },
    })
}

fn audit_row(row: &Row<'_>) -> rusqlite::Result<AuditRow> {
    Ok(AuditRow {
        seq: count(row, "seq")?,
        entry: AuditEntry {
            unix_ms: count(row, "unix_ms")?,
            uid: row.get("uid")?,
            user: row.get("user")?,
            origin: row.get("origin")?,
            verb: row.get("verb")?,
            target: row.get("target")?,
            outcome: row.get("outcome")?,
        },
        hash: row.get::<_, Option<String>>("hash")?.unwrap_or_default(),
    })
}

pub(super) fn count(row: &Row<'_>, column: &str) -> rusqlite::Result<u64> {
    let number: i64 = row.get(column)?;
    u64::try_from(number).map_err(|error| unfit(row, column, error))
}

pub(super) fn id<T>(row: &Row<'_>, column: &str) -> rusqlite::Result<T>
where
    T: TryFrom<String>,
    T::Error: std::error::Error + Send + Sync + 'static,
{
    T::try_from(row.get(column)?).map_err(|error| unfit(row, column, error))
}

pub(super) fn optional_id<T>(row: &Row<'_>, column: &str) -> rusqlite::Result<Option<T>>
where
    T: TryFrom<String>,
    T::Error: std::error::Error + Send + Sync + 'static,
{
    let text: Option<String> = row.get(column)?;
    let parsed = text.map(T::try_from).transpose();
    parsed.map_err(|error| unfit(row, column, error))
}

fn word<T: Copy>(row: &Row<'_>, column: &str, all: &[T], write: fn(T) -> &'static str) -> rusqlite::Result<T> {
    let text: String = row.get(column)?;
    let found = all.iter().copied().find(|value| write(*value) == text);
    found.ok_or_else(|| unfit(row, column, FromSqlError::InvalidType))
}

fn json<T: DeserializeOwned>(row: &Row<'_>, column: &str) -> rusqlite::Result<T> {
    let text: String = row.get(column)?;
    serde_json::from_str(&text).map_err(|error| unfit(row, column, error))
}

fn optional_json<T: DeserializeOwned>(row: &Row<'_>, column: &str) -> rusqlite::Result<Option<T>> {
    let text: Option<String> = row.get(column)?;
    let parsed = text.map(|text| serde_json::from_str(&text)).transpose();
    parsed.map_err(|error| unfit(row, column, error))
}

fn utc(row: &Row<'_>, column: &str) -> rusqlite::Result<String> {
    let time = jiff::Timestamp::from_millisecond(row.get(column)?);
    time.map(|time| time.strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string())
        .map_err(|error| unfit(row, column, error))
}

fn unfit(row: &Row<'_>, column: &str, error: impl std::error::Error + Send + Sync + 'static) -> rusqlite::Error {
    let index = row.as_ref().column_index(column).unwrap_or(0);
    rusqlite::Error::FromSqlConversionFailure(index, Type::Text, Box::new(error))
}
