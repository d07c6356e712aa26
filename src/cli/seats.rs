//! The seats of open rooms, as a table or as JSON.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use super::clean::visible;
use super::exit::{Exit, Problem, complain, print};
use super::list::json;
use super::table::{self, Align, bytes, seconds};
use crate::domain::fault::Fault;
use crate::domain::ids::{ArchiveId, ContainerId, RoomName, StudentId};
use crate::domain::seen::EngineState;
use crate::domain::snapshot::{Phase, SeatView, Snapshot};
use crate::wire::client::Client;

/// How long an agent may take to show what it knows: some tens of milliseconds, unless the engine hangs.
const SNAPSHOT_TIMEOUT: Duration = Duration::from_secs(5);

/// One seat in `ls --json`: a stable contract with scripts.
#[derive(Debug, Serialize)]
struct SeatRow<'a> {
    room: &'a RoomName,
    student: &'a StudentId,
    phase: Phase,
    container_id: Option<&'a ContainerId>,
    cpu_percent: Option<f32>,
    memory_bytes: Option<u64>,
    memory_limit_bytes: Option<u64>,
    pids: Option<u32>,
    lease_seconds_left: Option<u64>,
    route: &'a str,
    archive_id: Option<&'a ArchiveId>,
    fault: Option<&'a Fault>,
    oom_kills: u32,
    held: bool,
}

impl<'a> From<&'a SeatView> for SeatRow<'a> {
    fn from(seat: &'a SeatView) -> Self {
        Self {
            room: &seat.room,
            student: &seat.student,
            phase: seat.phase,
            container_id: seat.container_id.as_ref(),
            cpu_percent: seat.cpu_percent,
            memory_bytes: seat.memory_bytes,
            memory_limit_bytes: seat.memory_limit_bytes,
            pids: seat.pids,
            lease_seconds_left: seat.lease_seconds_left,
            route: &seat.route,
            archive_id: seat.archive_id.as_ref(),
            fault: seat.fault.as_ref(),
            oom_kills: seat.oom_kills,
            held: seat.held,
        }
    }
}

/// `labtop ls`.
pub async fn ls(client: &Client, room: Option<&RoomName>, as_json: bool) -> Result<Exit, Problem> {
    let snapshot = snapshot(client).await?;
    if let Some(name) = room
        && !snapshot.rooms.iter().any(|open| open.name == *name)
    {
        return Err(Problem::new(Exit::Failed, unknown_room(name, &snapshot)));
    }
    let seats: Vec<_> = snapshot
        .seats()
        .filter(|seat| room.is_none_or(|name| seat.room == *name))
        .collect();
    if as_json {
        print(&seats_json(&seats)?)?;
    } else if snapshot.rooms.is_empty() {
        complain("No room is open. `labtop room open ROOM --seats N` opens one.");
    } else {
        print(&seats_table(&seats))?;
        room_faults(&snapshot, room);
    }
    engine_is_up(&snapshot)
}

/// The snapshot that stands now. An agent that has just started is given a moment to look at the engine: before that it
/// knows only what is wanted.
pub(super) async fn snapshot(client: &Client) -> Result<Arc<Snapshot>, Problem> {
    let mut watch = client.watch().await?;
    let mut last = None;
    let looked = async {
        while let Some(snapshot) = watch.snapshot().await {
            let known = snapshot.engine != EngineState::Unknown;
            last = Some(snapshot);
            if known {
                break;
            }
        }
    };
    let _ = tokio::time::timeout(SNAPSHOT_TIMEOUT, looked).await;
    last.ok_or_else(|| {
        let pid = client.welcome().pid;
        Problem::new(
            Exit::Failed,
            format!("the agent (pid {pid}) does not tell what it sees: look into its log"),
        )
    })
}

fn unknown_room(name: &RoomName, snapshot: &Snapshot) -> String {
    let open: Vec<_> = snapshot.rooms.iter().map(|room| room.name.as_str()).collect();
    let open = match open.as_slice() {
        [] => "none is".to_owned(),
        names => names.join(", "),
    };
    format!("no room called {name} is open (open: {open}). `labtop archive ls` lists the work of closed ones")
}

fn room_faults(snapshot: &Snapshot, only: Option<&RoomName>) {
    for room in snapshot
        .rooms
        .iter()
        .filter(|room| only.is_none_or(|name| room.name == *name))
    {
        if let Some(fault) = &room.fault {
            complain(&format!("labtop: {}: {}", room.name, visible(&fault.to_string())));
        }
    }
}

/// A listing without an engine behind it is old: said after it, with the exit code.
pub(super) fn engine_is_up(snapshot: &Snapshot) -> Result<Exit, Problem> {
    match &snapshot.engine {
        EngineState::Down(text) => Err(Problem::new(Exit::Unreachable, text.clone())),
        EngineState::Unknown => Err(Problem::new(
            Exit::Unreachable,
            "Docker has not answered yet, so this is only what is wanted: `labtop doctor` says more",
        )),
        EngineState::Up(_) => Ok(Exit::Done),
    }
}

/// Seats as a JSON array.
///
/// # Errors
/// When they cannot be written as JSON.
pub fn seats_json(seats: &[&SeatView]) -> io::Result<String> {
    json(&seats.iter().map(|seat| SeatRow::from(*seat)).collect::<Vec<_>>())
}

/// Seats as an aligned table.
#[must_use]
pub fn seats_table(seats: &[&SeatView]) -> String {
    let columns = [
        ("ROOM", Align::Left),
        ("STUDENT", Align::Left),
        ("PHASE", Align::Left),
        ("CPU%", Align::Right),
        ("MEMORY", Align::Right),
        ("LIMIT", Align::Right),
        ("PIDS", Align::Right),
        ("LEASE", Align::Right),
        ("ROUTE", Align::Left),
        ("NOTE", Align::Left),
    ];
    let rows: Vec<_> = seats.iter().map(|seat| seat_cells(seat)).collect();
    table::render(&columns, &rows)
}

fn seat_cells(seat: &SeatView) -> Vec<String> {
    let known = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
    vec![
        seat.room.to_string(),
        seat.student.to_string(),
        seat.phase.word().to_owned(),
        known(seat.cpu_percent.map(|percent| format!("{percent:.1}"))),
        known(seat.memory_bytes.map(bytes)),
        known(seat.memory_limit_bytes.map(bytes)),
        known(seat.pids.map(|count| count.to_string())),
        if seat.held {
            "held".to_owned()
        } else {
            known(seat.lease_seconds_left.map(seconds))
        },
        seat.route.clone(),
        note(seat),
    ]
}

fn note(seat: &SeatView) -> String {
    let mut notes = Vec::new();
    if !seat.doing.is_empty() {
        notes.push(seat.doing.clone());
    }
    if seat.oom_kills > 0 {
        notes.push(format!("out of memory {}×", seat.oom_kills));
    }
    notes.extend(seat.fault.as_ref().map(ToString::to_string));
    notes.join("; ")
}
