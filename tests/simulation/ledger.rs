//! The model of the ledger: committed rows, and writes that wait their turn in one line.
//!
//! Knows what each change does to the rows, as the real ledger's statements do it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use labtop::domain::effect::OpId;
use labtop::domain::ids::{RoomName, SeatId};
use labtop::domain::proof::ArchiveClaim;
use labtop::domain::record::{AuditEntry, Change, LedgerState, RoomRecord, SeatRecord};

use crate::rows::People;

#[derive(Debug, Default)]
pub struct Ledger {
    pub rooms: BTreeMap<RoomName, RoomRecord>,
    pub seats: BTreeMap<SeatId, SeatRecord>,
    pub archives: Vec<ArchiveClaim>,
    pub audit: Vec<AuditEntry>,
    pub engine: Option<String>,
    pub people: People,
    pub line: VecDeque<(OpId, Vec<Change>)>,
}

impl Ledger {
    /// What an agent starts with.
    pub fn state(&self) -> LedgerState {
        let state = LedgerState {
            rooms: self.rooms.values().cloned().collect(),
            seats: self.seats.values().cloned().collect(),
            engine: self.engine.clone(),
            collected: self.collected(),
            ..LedgerState::default()
        };
        self.people.clone().into_state(state)
    }

    /// Seats that are gone, and whose work was archived in the present opening of their room.
    fn collected(&self) -> Vec<SeatId> {
        let of_now = |claim: &&ArchiveClaim| {
            let room = self.rooms.get(&claim.seat.room);
            room.is_some_and(|room| room.session == claim.session && !room.ended) && claim.epoch != 0
        };
        let seats = self.archives.iter().filter(of_now).map(|claim| &claim.seat);
        let gone: BTreeSet<&SeatId> = seats.filter(|seat| !self.seats.contains_key(seat)).collect();
        gone.into_iter().cloned().collect()
    }

    pub fn apply(&mut self, change: Change) {
        let Some(change) = self.people.apply(change) else {
            return;
        };
        match change {
            Change::PutRoom(room) => {
                self.rooms.insert(room.name.clone(), room);
            }
            Change::AddSeats(seats) => seats.into_iter().for_each(|seat| self.add(seat)),
            Change::SetWanted {
                seats,
                wanted,
                discard_by,
            } => {
                for id in seats {
                    if let Some(row) = self.seats.get_mut(&id) {
                        row.wanted = wanted;
                        row.discard_by.clone_from(&discard_by);
                    }
                }
            }
            Change::SetDeadlines(ends) => {
                for (id, end) in ends {
                    if let Some(row) = self.seats.get_mut(&id) {
                        row.deadline_unix_ms = end;
                    }
                }
            }
            Change::SetHeld(seats, held) => {
                for id in seats {
                    if let Some(row) = self.seats.get_mut(&id) {
                        row.held = held;
                    }
                }
            }
            Change::SetClosing(id, closing) => {
                if let Some(row) = self.seats.get_mut(&id) {
                    row.closing = closing;
                }
            }
            Change::AddArchive(claim, _) => {
                self.archives.retain(|a| a.id != claim.id);
                self.archives.push(claim);
            }
            Change::EndSeat(id) => {
                self.seats.remove(&id);
            }
            Change::Audit(entry) => self.audit.push(entry),
            Change::SetMade(seats) => {
                for id in seats {
                    if let Some(row) = self.seats.get_mut(&id) {
                        row.made = true;
                    }
                }
            }
            Change::SetEngine(id) => self.engine = Some(id),
            _ => {}
        }
    }

    /// A row of the same opening is left alone, one of an earlier opening is replaced.
    fn add(&mut self, seat: SeatRecord) {
        let there = self.seats.get(&seat.id).is_some_and(|row| row.session >= seat.session);
        if !there {
            self.seats.insert(seat.id.clone(), seat);
        }
    }
}
