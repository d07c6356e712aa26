//! Rooms: a network before the first seat, none after the last.

use super::Control;
use super::state::{Doing, Room, Seat};
use crate::domain::effect::{Task, Yield};
use crate::domain::fault::Fault;
use crate::domain::ids::RoomName;
use crate::domain::notice::Notice;
use crate::domain::pace;
use crate::domain::record::{Change, RoomRecord, RoomWanted, Wanted};

/// Seats of a closing that must be archived before the time left is estimated.
const SEATS_THAT_TELL: u64 = 4;
/// What the steps of a closing take of its time, about: reading and packing, reading back, removing.
const ARCHIVED: u64 = 6;
const VERIFIED: u64 = ARCHIVED + 4;
const HALF_REMOVED: u64 = VERIFIED + 1;
const WHOLE: u64 = HALF_REMOVED + 1;

impl Control {
    pub(super) fn plan_room(&mut self, name: &RoomName) {
        let Some(room) = self.rooms.get(name) else { return };
        if room.op.is_some() || self.now.mono_ms < room.not_before_ms {
            return;
        }
        let record = &room.record;
        let (task, doing) = match record.wanted {
            RoomWanted::Open if !room.network && !self.draining && self.is_inhabited(name) => {
                let (session, egress) = (record.session, record.template.network);
                let task = Task::EnsureNetwork {
                    room: name.clone(),
                    session,
                    egress,
                };
                (task, Doing::Network(name.clone(), true))
            }
            RoomWanted::Closed if self.has_seats(name) || self.is_being_filled(name) => return,
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

    /// How long a room's closing will still take, judged by what is done of it. Several seats are closed at once and
    /// side by side, so that their steps count and the first few say little; one that failed waits for its cause to go,
    /// which nobody can foresee.
    pub(super) fn closing_seconds_left(&self, room: &Room) -> Option<u64> {
        let (since_ms, then) = room.closing_from?;
        let mine = || {
            self.seats
                .values()
                .filter(|seat| seat.record.id.room == room.record.name)
        };
        let gone = then.saturating_sub(mine().count()) as u64;
        let done = gone * WHOLE + mine().map(share_done).sum::<u64>();
        let going = mine().filter(|seat| seat.fault.is_none());
        let left: u64 = going.map(|seat| WHOLE - share_done(seat)).sum();
        if room.record.wanted != RoomWanted::Closed || done < SEATS_THAT_TELL * ARCHIVED || left == 0 {
            return None;
        }
        pace::seconds_left(done, left, self.now.mono_ms.saturating_sub(since_ms))
    }

    /// How many bytes of work a second a room's closing has archived so far.
    pub(super) fn closing_rate(&self, room: &Room) -> u64 {
        let since_ms = room.closing_from.map_or(self.now.mono_ms, |(since, _)| since);
        pace::per_second(room.archived_bytes, self.now.mono_ms.saturating_sub(since_ms))
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
                    self.door.collected.retain(|seat| seat.room != *name);
                }
                self.tell(self.farewell(name).about(name));
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

/// How much of a seat's closing is done, of [`WHOLE`].
fn share_done(seat: &Seat) -> u64 {
    let closing = &seat.record.closing;
    if closing.container_removed {
        HALF_REMOVED
    } else if seat.verified.is_some() || closing.archive.is_some() {
        VERIFIED
    } else if seat.claim.is_some() {
        ARCHIVED
    } else {
        0
    }
}
