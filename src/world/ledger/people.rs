//! Students, rosters and sessions as rows.
//!
//! Knows: hashes of codes, never a code. Must not know: who may see them.

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::Ledger;
use super::apply::{number, run};
use super::rows::{count, id, optional_id};
use crate::domain::command::ArchiveRow;
use crate::domain::door::{Receipt, SessionRecord};
use crate::domain::fault::Fault;
use crate::domain::ids::{RoomName, SeatId, SessionId, StudentId};
use crate::domain::roster::{CodeHash, Email, PersonName, RosterLine, RosterRow};

/// Seats of open rooms that were archived in this opening and are gone; 0 is the epoch of no freezing.
pub(super) const COLLECTED: &str = "
    SELECT DISTINCT a.room, a.student FROM archives a JOIN rooms r ON r.name = a.room AND r.session = a.session
    WHERE NOT r.ended AND a.epoch <> 0
        AND NOT EXISTS (SELECT 1 FROM seats s WHERE s.room = a.room AND s.student = a.student)
    ORDER BY a.room, a.student";

impl Ledger {
    /// Who may sit in a room, by id.
    ///
    /// # Errors
    /// [`FaultCode::Ledger`](crate::domain::fault::FaultCode::Ledger) when the file cannot be read.
    pub async fn roster(&self, room: RoomName) -> Result<Vec<RosterLine>, Fault> {
        self.read(move |db| lines(db, &room)).await
    }

    /// The hash of a student's access code; none for who has none, or is not known.
    ///
    /// # Errors
    /// [`FaultCode::Ledger`](crate::domain::fault::FaultCode::Ledger) when the file cannot be read.
    pub async fn code_hash(&self, student: StudentId) -> Result<Option<CodeHash>, Fault> {
        let text: Option<String> = self.read(move |db| code(db, &student)).await?;
        // What nobody of labtop wrote opens nothing.
        Ok(text.and_then(|text| text.parse().ok()))
    }

    /// The proof of a seat's newest archive or snapshot in one opening of its room; none when there is none.
    ///
    /// # Errors
    /// [`FaultCode::Ledger`](crate::domain::fault::FaultCode::Ledger) when the file cannot be read.
    pub async fn receipt(&self, seat: SeatId, opening: u64) -> Result<Option<Receipt>, Fault> {
        let rows = self.archives(Some(seat.room.clone())).await?;
        let proven = |row: &ArchiveRow| row.student == seat.student && row.verified && row.session == opening;
        let newest = rows.into_iter().rfind(proven);
        Ok(newest.map(|row| Receipt {
            archive: row.id,
            digest: row.digest,
            bytes: row.bytes,
            created: row.created,
        }))
    }
}

pub(super) fn put(db: &Connection, room: &RoomName, row: &RosterRow) -> rusqlite::Result<()> {
    let name = row.name.as_ref().map(PersonName::as_str);
    let email = row.email.as_ref().map(Email::as_str);
    run(
        db,
        "INSERT INTO students (id, name, email) VALUES (?1, ?2, ?3)
         ON CONFLICT (id) DO UPDATE SET name = coalesce(?2, name), email = coalesce(?3, email)",
        params![row.student.as_str(), name, email],
    )?;
    run(
        db,
        "INSERT INTO rosters (room, student, minutes) VALUES (?1, ?2, ?3)
         ON CONFLICT (room, student) DO UPDATE SET minutes = ?3",
        params![room.as_str(), row.student.as_str(), row.minutes],
    )
}

pub(super) fn drop_from(db: &Connection, room: &RoomName, student: &StudentId) -> rusqlite::Result<()> {
    let sql = "DELETE FROM rosters WHERE room = ?1 AND student = ?2";
    run(db, sql, params![room.as_str(), student.as_str()])
}

pub(super) fn set_code(db: &Connection, student: &StudentId, hash: &CodeHash, unix_ms: u64) -> rusqlite::Result<()> {
    let sql = "UPDATE students SET code = ?2, code_unix_ms = ?3 WHERE id = ?1";
    run(db, sql, params![student.as_str(), hash.as_str(), number(unix_ms)?])
}

/// A student has one session: the new one.
pub(super) fn put_session(db: &Connection, session: &SessionRecord) -> rusqlite::Result<()> {
    let (room, student) = (session.seat.room.as_str(), session.seat.student.as_str());
    if session.onlooker.is_none() {
        run(
            db,
            "DELETE FROM sessions WHERE student = ?1 AND onlooker IS NULL",
            params![student],
        )?;
    }
    run(
        db,
        "INSERT OR REPLACE INTO sessions (id, room, student, began_unix_ms, ends_unix_ms, address, onlooker, opening)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        params![
            session.id.as_str(),
            room,
            student,
            number(session.began_unix_ms)?,
            number(session.ends_unix_ms)?,
            session.address,
            session.onlooker,
            number(session.opening)?,
        ],
    )
}

pub(super) fn end_session(db: &Connection, id: &SessionId) -> rusqlite::Result<()> {
    run(db, "DELETE FROM sessions WHERE id = ?1", params![id.as_str()])
}

/// Who may sit in which room, and for how many minutes where that is said.
pub(super) fn seating(row: &Row<'_>) -> rusqlite::Result<(RoomName, StudentId, Option<u32>)> {
    Ok((id(row, "room")?, id(row, "student")?, row.get("minutes")?))
}

pub(super) fn seat(row: &Row<'_>) -> rusqlite::Result<SeatId> {
    Ok(SeatId::new(id(row, "room")?, id(row, "student")?))
}

pub(super) fn session(row: &Row<'_>) -> rusqlite::Result<SessionRecord> {
    Ok(SessionRecord {
        id: id(row, "id")?,
        seat: seat(row)?,
        opening: count(row, "opening")?,
        began_unix_ms: count(row, "began_unix_ms")?,
        ends_unix_ms: count(row, "ends_unix_ms")?,
        address: row.get("address")?,
        onlooker: row.get("onlooker")?,
    })
}

fn lines(db: &Connection, room: &RoomName) -> rusqlite::Result<Vec<RosterLine>> {
    let mut rows = db.prepare(
        "SELECT s.id, s.name, s.email, r.minutes, s.code IS NOT NULL AS has_code
         FROM rosters r JOIN students s ON s.id = r.student WHERE r.room = ?1 ORDER BY s.id",
    )?;
    let line = |row: &Row<'_>| {
        Ok(RosterLine {
            row: RosterRow {
                student: id(row, "id")?,
                name: optional_id(row, "name")?,
                email: optional_id(row, "email")?,
                minutes: row.get("minutes")?,
            },
            has_code: row.get("has_code")?,
        })
    };
    rows.query_map([room.as_str()], line)?.collect()
}

fn code(db: &Connection, student: &StudentId) -> rusqlite::Result<Option<String>> {
    let mut rows = db.prepare("SELECT code FROM students WHERE id = ?1")?;
    let found: Option<Option<String>> = rows.query_row([student.as_str()], |row| row.get(0)).optional()?;
    Ok(found.flatten())
}
