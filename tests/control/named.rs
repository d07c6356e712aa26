//! Which rooms tasks and changes name, for the property that one room's closing touches no other.

use labtop::domain::effect::{ArchiveOrder, Task};
use labtop::domain::ids::RoomName;
use labtop::domain::record::Change;

/// Which rooms a task names.
pub fn names_of(task: &Task) -> Vec<RoomName> {
    match task {
        Task::Write(changes) => changes.iter().flat_map(names_in).collect(),
        Task::List | Task::Reap(_) | Task::Absolve(_) | Task::Cut(..) => Vec::new(),
        Task::Preflight { room, .. } | Task::EnsureNetwork { room, .. } | Task::RemoveNetwork(room) => {
            vec![room.clone()]
        }
        Task::Provision(order) | Task::Probe(order, _) => vec![order.seat.room.clone()],
        Task::Start(seat, _)
        | Task::Freeze(seat, _)
        | Task::Thaw(seat, _)
        | Task::Kill(seat, _)
        | Task::Restart(seat, _)
        | Task::Hold { seat, .. }
        | Task::Archive(ArchiveOrder { seat, .. }) => vec![seat.room.clone()],
        Task::Snapshot(order) => vec![order.seat.room.clone()],
        Task::Verify { claim, .. } => vec![claim.seat.room.clone()],
        Task::RemoveContainer(warrant) | Task::RemoveVolume(warrant) => vec![warrant.seat().room.clone()],
    }
}

fn names_in(change: &Change) -> Vec<RoomName> {
    match change {
        Change::PutRoom(row) => vec![row.name.clone()],
        Change::AddSeats(rows) => rows.iter().map(|row| row.id.room.clone()).collect(),
        Change::SetEngine(_)
        | Change::CheckArchive { .. }
        | Change::DropSnapshot(_)
        | Change::SetCodes(..)
        | Change::EndSessions(_) => Vec::new(),
        Change::PutRoster(room, _) | Change::DropFromRoster(room, _) => vec![room.clone()],
        Change::PutSession(session) => vec![session.seat.room.clone()],
        Change::SetMade(seats) | Change::SetWanted { seats, .. } => seats.iter().map(|id| id.room.clone()).collect(),
        Change::SetHeld(seats, _) => seats.iter().map(|id| id.room.clone()).collect(),
        Change::SetDeadlines(ends) => ends.iter().map(|(id, _)| id.room.clone()).collect(),
        Change::SetClosing(id, _) | Change::EndSeat(id) => vec![id.room.clone()],
        Change::AddArchive(claim, _) => vec![claim.seat.room.clone()],
        Change::Audit(entry) => vec![entry.target.split('/').next().unwrap().parse().unwrap()],
    }
}
