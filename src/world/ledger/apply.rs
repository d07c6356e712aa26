//! One change of the ledger as SQL. Each but the audit may be done twice with the same end.

use rusqlite::{Connection, ToSql, params};
use serde::Serialize;

use super::rows::{room_wanted, seat_wanted, verify_mode};
use super::{chain, people};
use crate::domain::ids::{ArchiveId, SeatId};
use crate::domain::proof::{ArchiveClaim, SNAPSHOT_EPOCH, VerifyMode};
use crate::domain::record::{Change, Closing, RoomRecord, SeatRecord, Wanted};

/// Makes the changes of one write; the caller sees to it that they hold together.
pub(super) fn apply_all(db: &Connection, changes: &[Change]) -> rusqlite::Result<()> {
    changes.iter().try_for_each(|change| apply(db, change))
}

fn apply(db: &Connection, change: &Change) -> rusqlite::Result<()> {
    match change {
        Change::PutRoom(room) => put_room(db, room),
        Change::AddSeats(seats) => seats.iter().try_for_each(|seat| add_seat(db, seat)),
        Change::SetWanted {
            seats,
            wanted,
            discard_by,
        } => seats
            .iter()
            .try_for_each(|seat| set_wanted(db, seat, *wanted, discard_by.as_deref())),
        Change::SetMade(seats) => seats.iter().try_for_each(|seat| set_made(db, seat)),
        Change::SetDeadlines(ends) => ends.iter().try_for_each(|(seat, end)| set_deadline(db, seat, *end)),
        Change::SetHeld(seats, held) => seats.iter().try_for_each(|seat| set_held(db, seat, *held)),
        Change::SetClosing(seat, closing) => set_closing(db, seat, closing),
        Change::AddArchive(claim, mode) => add_archive(db, claim, *mode),
        Change::DropSnapshot(id) => drop_snapshot(db, id),
        Change::CheckArchive { id, proven, unix_ms } => check_archive(db, id, *proven, *unix_ms),
        Change::EndSeat(seat) => end_seat(db, seat),
        Change::Audit(entry) => chain::add(db, entry),
        Change::SetEngine(id) => run(db, "UPDATE meta SET engine = ?1", params![id]),
        Change::PutRoster(room, rows) => rows.iter().try_for_each(|row| people::put(db, room, row)),
        Change::DropFromRoster(room, student) => people::drop_from(db, room, student),
        Change::SetCodes(codes, unix_ms) => codes
            .iter()
            .try_for_each(|(student, hash)| people::set_code(db, student, hash, *unix_ms)),
        Change::PutSession(session) => people::put_session(db, session),
        Change::EndSessions(ids) => ids.iter().try_for_each(|id| people::end_session(db, id)),
    }
}

fn put_room(db: &Connection, room: &RoomRecord) -> rusqlite::Result<()> {
    run(
        db,
        "INSERT INTO rooms (name, session, template, exam, wanted, ended, opened_unix_ms, opened_by, minutes, on_demand)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)
         ON CONFLICT (name) DO UPDATE SET session = ?2, template = ?3, exam = ?4, wanted = ?5, ended = ?6,
             opened_unix_ms = ?7, opened_by = ?8, minutes = ?9, on_demand = ?10",
        params![
            room.name.as_str(),
            number(room.session)?,
            json(&room.template)?,
            room.exam,
            room_wanted(room.wanted),
            room.ended,
            number(room.opened_unix_ms)?,
            room.opened_by,
            room.minutes,
            room.on_demand,
        ],
    )
}

/// A row of the same opening is left alone, one that an earlier opening left behind is replaced.
fn add_seat(db: &Connection, seat: &SeatRecord) -> rusqlite::Result<()> {
    let closing = &seat.closing;
    run(
        db,
        "INSERT INTO seats (room, student, session, wanted, route, deadline_unix_ms, discard_by, epoch, stillness,
             archive, container_removed, made, restore, held)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)
         ON CONFLICT (room, student) DO UPDATE SET session = ?3, wanted = ?4, route = ?5, deadline_unix_ms = ?6,
             discard_by = ?7, epoch = ?8, stillness = ?9, archive = ?10, container_removed = ?11, made = ?12,
             restore = ?13, held = ?14
         WHERE session < ?3",
        params![
            seat.id.room.as_str(),
            seat.id.student.as_str(),
            number(seat.session)?,
            seat_wanted(seat.wanted),
            seat.route,
            number(seat.deadline_unix_ms)?,
            seat.discard_by,
            number(closing.epoch)?,
            optional_json(closing.stillness.as_ref())?,
            optional_json(closing.archive.as_ref())?,
            closing.container_removed,
            seat.made,
            seat.restore.as_ref().map(ArchiveId::as_str),
            seat.held,
        ],
    )
}

fn set_made(db: &Connection, seat: &SeatId) -> rusqlite::Result<()> {
    run(
        db,
        "UPDATE seats SET made = 1 WHERE room = ?1 AND student = ?2",
        params![seat.room.as_str(), seat.student.as_str()],
    )
}

fn set_wanted(db: &Connection, seat: &SeatId, wanted: Wanted, discard_by: Option<&str>) -> rusqlite::Result<()> {
    run(
        db,
        "UPDATE seats SET wanted = ?3, discard_by = ?4 WHERE room = ?1 AND student = ?2",
        params![
            seat.room.as_str(),
            seat.student.as_str(),
            seat_wanted(wanted),
            discard_by
        ],
    )
}

fn set_deadline(db: &Connection, seat: &SeatId, end_unix_ms: u64) -> rusqlite::Result<()> {
    run(
        db,
        "UPDATE seats SET deadline_unix_ms = ?3 WHERE room = ?1 AND student = ?2",
        params![seat.room.as_str(), seat.student.as_str(), number(end_unix_ms)?],
    )
}

fn set_held(db: &Connection, seat: &SeatId, held: bool) -> rusqlite::Result<()> {
    run(
        db,
        "UPDATE seats SET held = ?3 WHERE room = ?1 AND student = ?2",
        params![seat.room.as_str(), seat.student.as_str(), held],
    )
}

fn set_closing(db: &Connection, seat: &SeatId, closing: &Closing) -> rusqlite::Result<()> {
    run(
        db,
        "UPDATE seats SET epoch = ?3, stillness = ?4, archive = ?5, container_removed = ?6
         WHERE room = ?1 AND student = ?2",
        params![
            seat.room.as_str(),
            seat.student.as_str(),
            number(closing.epoch)?,
            optional_json(closing.stillness.as_ref())?,
            optional_json(closing.archive.as_ref())?,
            closing.container_removed,
        ],
    )
}

/// How it was first proven stays; one that was in doubt is proven anew.
fn check_archive(db: &Connection, id: &ArchiveId, proven: Option<VerifyMode>, unix_ms: u64) -> rusqlite::Result<()> {
    run(
        db,
        "UPDATE archives SET verify = CASE WHEN verified THEN verify ELSE coalesce(?2, verify) END,
             verified = ?2 IS NOT NULL, checked_unix_ms = ?3 WHERE id = ?1",
        params![id.as_str(), proven.map(verify_mode), number(unix_ms)?],
    )
}

fn drop_snapshot(db: &Connection, id: &ArchiveId) -> rusqlite::Result<()> {
    run(
        db,
        "DELETE FROM archives WHERE id = ?1 AND epoch = ?2",
        params![id.as_str(), number(SNAPSHOT_EPOCH)?],
    )
}

fn add_archive(db: &Connection, claim: &ArchiveClaim, mode: VerifyMode) -> rusqlite::Result<()> {
    run(
        db,
        "INSERT INTO archives (id, room, student, session, epoch, key, bytes, digest, content_bytes, content_digest,
             created_unix_ms, extent, verify)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13) ON CONFLICT (id) DO NOTHING",
        params![
            claim.id.as_str(),
            claim.seat.room.as_str(),
            claim.seat.student.as_str(),
            number(claim.session)?,
            number(claim.epoch)?,
            claim.key,
            number(claim.bytes)?,
            claim.digest,
            number(claim.content_bytes)?,
            claim.content_digest,
            number(claim.created_unix_ms)?,
            json(&claim.extent)?,
            verify_mode(mode),
        ],
    )
}

fn end_seat(db: &Connection, seat: &SeatId) -> rusqlite::Result<()> {
    run(
        db,
        "DELETE FROM seats WHERE room = ?1 AND student = ?2",
        params![seat.room.as_str(), seat.student.as_str()],
    )
}

pub(super) fn run(db: &Connection, sql: &str, values: &[&dyn ToSql]) -> rusqlite::Result<()> {
    db.prepare_cached(sql)?.execute(values)?;
    Ok(())
}

/// SQLite's integers have 63 bits; a larger number is refused instead of turning negative.
pub(super) fn number(value: u64) -> rusqlite::Result<i64> {
    i64::try_from(value).map_err(|error| rusqlite::Error::ToSqlConversionFailure(Box::new(error)))
}

fn json<T: Serialize>(value: &T) -> rusqlite::Result<String> {
    serde_json::to_string(value).map_err(|error| rusqlite::Error::ToSqlConversionFailure(Box::new(error)))
}

fn optional_json<T: Serialize>(value: Option<&T>) -> rusqlite::Result<Option<String>> {
    value.map(json).transpose()
}
