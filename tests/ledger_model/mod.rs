//! What the ledger should hold, as plain maps.

use std::collections::BTreeMap;

use labtop::domain::ids::{RoomName, SeatId};
use labtop::domain::proof::ArchiveClaim;
use labtop::domain::record::{AuditEntry, Change, LedgerState, RoomRecord, SeatRecord};

use crate::rows::People;

/// What the ledger should hold after changes, the plainest way.
#[derive(Debug, Default)]
pub struct Model {
    pub rooms: BTreeMap<RoomName, RoomRecord>,
    pub seats: BTreeMap<SeatId, SeatRecord>,
    pub archives: BTreeMap<String, ArchiveClaim>,
    pub audit: Vec<AuditEntry>,
    pub engine: Option<String>,
    pub people: People,
}

impl Model {
    /// Whether the ledger accepts the write: a seat needs its room.
    pub fn accepts(&self, changes: &[Change]) -> bool {
        let mut rooms: Vec<&RoomName> = self.rooms.keys().collect();
        changes.iter().all(|change| match change {
            Change::PutRoom(room) => {
                rooms.push(&room.name);
                true
            }
            Change::AddSeats(seats) => seats.iter().all(|seat| rooms.contains(&&seat.id.room)),
            _ => true,
        })
    }

    pub fn apply(&mut self, change: &Change) {
        let Some(change) = self.people.apply(change.clone()) else {
            return;
        };
        match change {
            Change::PutRoom(room) => drop(self.rooms.insert(room.name.clone(), room)),
            Change::AddSeats(seats) => seats.into_iter().for_each(|seat| self.add(seat)),
            Change::SetWanted {
                seats,
                wanted,
                discard_by,
            } => self.each(&seats, |seat| {
                seat.wanted = wanted;
                seat.discard_by.clone_from(&discard_by);
            }),
            Change::SetDeadlines(ends) => {
                for (id, end) in ends {
                    self.each(&[id], |seat| seat.deadline_unix_ms = end);
                }
            }
            Change::SetClosing(id, closing) => self.each(&[id], |seat| seat.closing = closing.clone()),
            Change::AddArchive(claim, _) => drop(self.archives.entry(claim.id.to_string()).or_insert(claim)),
            Change::EndSeat(id) => drop(self.seats.remove(&id)),
            Change::Audit(entry) => self.audit.push(entry),
            Change::SetMade(seats) => self.each(&seats, |seat| seat.made = true),
            Change::SetHeld(seats, held) => self.each(&seats, |seat| seat.held = held),
            Change::SetEngine(id) => self.engine = Some(id),
            _ => {}
        }
    }

    fn add(&mut self, seat: SeatRecord) {
        let newer = self.seats.get(&seat.id).is_none_or(|old| old.session < seat.session);
        if newer {
            self.seats.insert(seat.id.clone(), seat);
        }
    }

    fn each(&mut self, ids: &[SeatId], set: impl Fn(&mut SeatRecord)) {
        for id in ids {
            if let Some(seat) = self.seats.get_mut(id) {
                set(seat);
            }
        }
    }

    pub fn state(&self) -> LedgerState {
        let state = LedgerState {
            rooms: self.rooms.values().cloned().collect(),
            seats: self.seats.values().cloned().collect(),
            engine: self.engine.clone(),
            collected: self.collected(),
            ..LedgerState::default()
        };
        let mut people = self.people.clone();
        people.sessions.sort_by(|a, b| a.id.cmp(&b.id));
        people.into_state(state)
    }

    /// Seats that are gone, and whose work was archived in the present opening of their room.
    fn collected(&self) -> Vec<SeatId> {
        let of_now = |claim: &&ArchiveClaim| {
            let room = self.rooms.get(&claim.seat.room);
            room.is_some_and(|room| room.session == claim.session && !room.ended) && claim.epoch != 0
        };
        let gone = |seat: &SeatId| !self.seats.contains_key(seat);
        let seats = self.archives.values().filter(of_now).map(|claim| claim.seat.clone());
        seats
            .filter(gone)
            .collect::<std::collections::BTreeSet<_>>()
            .into_iter()
            .collect()
    }
}
