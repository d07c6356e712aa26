//! Archives and processes, each as a table or as JSON.

use std::io;

use serde::Serialize;

use super::clean::escaped;
use super::exit::{Exit, Problem, complain, print};
use super::table::{self, Align, bytes};
use crate::domain::command::{Answer, ArchiveKind, ArchiveRow, Query};
use crate::domain::ids::{ArchiveId, RoomName, SeatId, StudentId};
use crate::domain::proof::VerifyMode;
use crate::wire::client::Client;

/// One archive in `archive ls --json`: a stable contract with scripts.
#[derive(Debug, Serialize)]
struct ArchiveJson<'a> {
    id: &'a ArchiveId,
    room: &'a RoomName,
    student: &'a StudentId,
    created: &'a str,
    bytes: u64,
    digest: &'a str,
    verified: bool,
    key: &'a str,
    entries: u64,
    left_out: u64,
    torn: u64,
    verify: VerifyMode,
    kind: ArchiveKind,
    session: u64,
}

/// `labtop archive ls`.
///
/// # Errors
/// When the agent does not answer, or the output cannot be written.
pub async fn archives(client: &Client, room: Option<RoomName>, as_json: bool) -> Result<Exit, Problem> {
    let Answer::Archives { rows } = ask(client, Query::Archives { room }).await? else {
        return Err(odd_answer());
    };
    if as_json {
        print(&archives_json(&rows)?)?;
    } else if rows.is_empty() {
        complain("No archive is stored. Closing a room makes them.");
    } else {
        print(&archives_table(&rows))?;
    }
    Ok(Exit::Done)
}

/// Archives as a JSON array.
///
/// # Errors
/// When they cannot be written as JSON.
pub fn archives_json(rows: &[ArchiveRow]) -> io::Result<String> {
    let rows: Vec<_> = rows
        .iter()
        .map(|row| ArchiveJson {
            id: &row.id,
            room: &row.room,
            student: &row.student,
            created: &row.created,
            bytes: row.bytes,
            digest: &row.digest,
            verified: row.verified,
            key: &row.key,
            entries: row.entries,
            left_out: row.left_out,
            torn: row.torn,
            verify: row.verify,
            kind: row.kind,
            session: row.session,
        })
        .collect();
    json(&rows)
}

fn archives_table(rows: &[ArchiveRow]) -> String {
    let columns = [
        ("ID", Align::Left),
        ("ROOM", Align::Left),
        ("STUDENT", Align::Left),
        ("CREATED", Align::Left),
        ("KIND", Align::Left),
        ("SIZE", Align::Right),
        ("VERIFIED", Align::Left),
        ("KEY", Align::Left),
    ];
    let cells = |row: &ArchiveRow| {
        vec![
            row.id.to_string(),
            row.room.to_string(),
            row.student.to_string(),
            row.created.clone(),
            row.kind.word().to_owned(),
            bytes(row.bytes),
            if row.verified { "yes" } else { "NO" }.to_owned(),
            row.key.clone(),
        ]
    };
    table::render(&columns, &rows.iter().map(cells).collect::<Vec<_>>())
}

/// `labtop seat top`.
///
/// # Errors
/// When the seat does not run, the agent does not answer, or the output cannot be written.
pub async fn processes(client: &Client, seat: SeatId, as_json: bool) -> Result<Exit, Problem> {
    let Answer::Top { titles, rows } = ask(client, Query::Top { seat }).await? else {
        return Err(odd_answer());
    };
    if as_json {
        let objects: Vec<serde_json::Map<_, _>> = rows
            .into_iter()
            .map(|row| titles.iter().cloned().zip(row.into_iter().map(Into::into)).collect())
            .collect();
        print(&json(&objects)?)?;
    } else {
        let columns: Vec<_> = titles.iter().map(|title| (title.as_str(), Align::Left)).collect();
        print(&table::render(&columns, &rows))?;
    }
    Ok(Exit::Done)
}

pub(super) async fn ask(client: &Client, query: Query) -> Result<Answer, Problem> {
    match client.ask(query).await? {
        Answer::Refused { refusal } => Err(refusal.into()),
        Answer::Failed { fault } => Err(fault.into()),
        answer => Ok(answer),
    }
}

pub(super) fn odd_answer() -> Problem {
    Problem::new(
        Exit::Failed,
        "the agent answered another question: is it of the same version?",
    )
}

/// JSON that a terminal shows as it is: what a terminal would obey, or hide, is escaped.
pub(super) fn json(value: &impl Serialize) -> io::Result<String> {
    Ok(escaped(&serde_json::to_string_pretty(value)?) + "\n")
}
