//! Rooms: a network before the first seat, none after the last.

use super::Control;
use super::state::{Doing, Room};
use crate::domain::effect::{Task, Yield};
use crate::domain::fault::Fault;
use crate::domain::ids::RoomName;
use crate::domain::notice::Notice;
use crate::domain::pace;
use crate::domain::record::{Change, RoomRecord, RoomWanted, Wanted};

/// Seats of a closing that must be gone before the time left is estimated.
const SEATS_THAT_TELL: usize = 4;

impl Control {
    pub(super) fn plan_room(&mut self, name: &RoomName) {
        let Some(room) = self.rooms.get(name) else { return };
        if room.op.is_some() || self.now.mono_ms < room.not_before_ms {
            return;
        }
        let record = &room.record;
        let (task, doing) = match record.wanted {
            RoomWanted::Open if !room.network && self.is_inhabited(name) => {
                let (session, egress) = (record.session, record.template.network);
                let task = Task::EnsureNetwork {
                    room: name.clone(),
                    session,
                    egress,
                };
                (task, Doing::Network(name.clone(), true))
            }
            RoomWanted::Closed if self.has_seats(name) => return,
            RoomWanted::Closed if !room.network && !room.looked => return self.look_again(room.stamp),
            RoomWanted::Closed if room.network => {
                (Task::RemoveNetwork(name.clone()), Doing::Network(name.clone(), false))
            }
            RoomWanted::Closed => {
                let row = RoomRecord {
                    ended: true,
                    ..record.clone()
                };
                (Task::Write(vec![Change::PutRoom(row)]), Doing::EndRoom(name.clone()))
            }
            RoomWanted::Open => return,
        };
        let keeps = !matches!(doing, Doing::Network(_, true));
        let op = self.start(task, doing);
        if let Some(room) = self.rooms.get_mut(name) {
            room.op = Some(op);
            room.looked &= keeps;
        }
    }

    /// Notes since when rooms close whose closing no verb began, or an earlier agent.
    pub(super) fn watch_closings(&mut self) {
        let now_ms = self.now.mono_ms;
        for (name, room) in &mut self.rooms {
            if room.record.wanted == RoomWanted::Closed && room.closing_from.is_none() {
                let seats = self.seats.keys().filter(|id| id.room == *name).count();
                room.closing_from = Some((now_ms, seats));
            }
        }
    }

    /// How long a room's closing will still take, judged by its seats that are gone. Several are closed at once, so
    /// that the first few say little; one that failed waits for its cause to go, which nobody can foresee.
    pub(super) fn closing_seconds_left(&self, room: &Room) -> Option<u64> {
        let (since_ms, then) = room.closing_from?;
        let mine = || {
            self.seats
                .values()
                .filter(|seat| seat.record.id.room == room.record.name)
        };
        let done = then.saturating_sub(mine().count());
        let left = mine().filter(|seat| seat.fault.is_none()).count();
        if room.record.wanted != RoomWanted::Closed || done < SEATS_THAT_TELL || left == 0 {
            return None;
        }
        pace::seconds_left(done as u64, left as u64, self.now.mono_ms.saturating_sub(since_ms))
    }

    fn has_seats(&self, name: &RoomName) -> bool {
        self.seats.keys().any(|id| id.room == *name)
    }

    fn is_inhabited(&self, name: &RoomName) -> bool {
        self.seats
            .values()
            .any(|seat| seat.record.id.room == *name && seat.record.wanted < Wanted::Stopped)
    }

    pub(super) fn network_done(&mut self, name: &RoomName, made: bool, result: Result<Yield, Fault>) {
        let now_ms = self.now.mono_ms;
        let stamp = self.fresh_stamp();
        let Some(room) = self.rooms.get_mut(name) else { return };
        room.op = None;
        room.stamp = stamp;
        match result {
            Ok(_) => {
                room.network = made;
                room.succeeded();
            }
            Err(fault) => room.failed(fault, now_ms),
        }
    }

    fn farewell(&self, name: &RoomName) -> Notice {
        match self.lost.get(name) {
            None => Notice::info(format!("Room {name} is closed")),
            Some(lost) => Notice::error(format!(
                "Room {name} is closed; the workspaces of {} seats were gone before they were archived",
                lost.len()
            )),
        }
    }

    pub(super) fn room_ended(&mut self, name: &RoomName, result: Result<Yield, Fault>) {
        let now_ms = self.now.mono_ms;
        match result {
            Ok(_) => {
                if let Some(room) = self.rooms.remove(name) {
                    self.ended.insert(name.clone(), room.record.session);
                }
                self.tell(self.farewell(name));
            }
            Err(fault) => {
                if let Some(room) = self.rooms.get_mut(name) {
                    room.op = None;
                    room.failed(fault, now_ms);
                }
            }
        }
    }
}
