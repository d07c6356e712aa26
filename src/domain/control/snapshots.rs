//! Snapshots of seats that go on: each when its time has come, beside whatever else happens to it.

use super::Control;
use super::state::{Doing, Seat, salt};
use crate::domain::effect::{Effect, OpId, SnapshotOrder, Task, Yield};
use crate::domain::fault::{Fault, FaultCode};
use crate::domain::ids::SeatId;
use crate::domain::notice::Notice;
use crate::domain::plan::Step;
use crate::domain::record::Wanted;
use crate::domain::seen::RunState;

/// How it stands with a seat's snapshots.
#[derive(Debug, Default)]
pub(super) struct Saving {
    op: Option<OpId>,
    called_off: bool,
    /// When the next one is due, monotonic; none while there is nothing to save.
    due_ms: Option<u64>,
    /// Whether the last one failed.
    failed: bool,
}

impl Saving {
    pub fn is_under_way(&self) -> bool {
        self.op.is_some()
    }
}

impl Control {
    pub(super) fn plan_snapshots(&mut self) {
        for id in self.seats.keys().cloned().collect::<Vec<_>>() {
            if self.is_closing(&id) {
                self.call_snapshot_off(&id);
            } else if self.is_to_be_saved(&id) {
                self.begin_snapshot(&id);
            }
        }
    }

    fn is_closing(&self, id: &SeatId) -> bool {
        self.seats
            .get(id)
            .is_some_and(|seat| seat.record.wanted == Wanted::Gone)
    }

    fn call_snapshot_off(&mut self, id: &SeatId) {
        let Some(saving) = self.seats.get_mut(id).map(|seat| &mut seat.saving) else {
            return;
        };
        if let (Some(op), false) = (saving.op, saving.called_off) {
            saving.called_off = true;
            self.out.push(Effect::Cancel(op));
        }
    }

    /// Whether its time has come. The first time lies within one interval after the seat was first seen, and not at the
    /// same moment for all of a room.
    fn is_to_be_saved(&mut self, id: &SeatId) -> bool {
        let now_ms = self.now.mono_ms;
        let Some(every_ms) = self.autosave_ms(id) else {
            return false;
        };
        let Some(seat) = self.seats.get_mut(id) else {
            return false;
        };
        if seat.container.is_none() {
            seat.saving.due_ms = None;
            return false;
        }
        let half = every_ms / 2;
        let first = || now_ms + half + salt(&id.to_string()) % half.max(1);
        let due = *seat.saving.due_ms.get_or_insert_with(first);
        now_ms >= due && seat.saving.op.is_none() && !is_being_filled(seat)
    }

    fn autosave_ms(&self, id: &SeatId) -> Option<u64> {
        let room = &self.rooms.get(&id.room)?.record;
        room.template.autosave_ms(room.exam)
    }

    fn begin_snapshot(&mut self, id: &SeatId) {
        let (Some(seat), Some(room)) = (self.seats.get(id), self.rooms.get(&id.room)) else {
            return;
        };
        let Some(container) = &seat.container else { return };
        let order = SnapshotOrder {
            seat: id.clone(),
            session: seat.record.session,
            container: container.id.clone(),
            selection: room.record.template.archive.clone(),
        };
        let op = self.start(Task::Snapshot(order), Doing::Snapshot(id.clone()));
        if let Some(seat) = self.seats.get_mut(id) {
            seat.saving.op = Some(op);
        }
    }

    pub(super) fn snapshot_done(&mut self, id: &SeatId, result: Result<Yield, Fault>) {
        let next_ms = self.autosave_ms(id).map(|every_ms| self.now.mono_ms + every_ms);
        let Some(saving) = self.seats.get_mut(id).map(|seat| &mut seat.saving) else {
            return;
        };
        *saving = Saving {
            due_ms: next_ms,
            failed: saving.failed,
            ..Saving::default()
        };
        match result {
            Ok(_) => saving.failed = false,
            Err(fault) if fault.code == FaultCode::Cancelled => {}
            Err(fault) => {
                let known = self.has_unsaved(id);
                if let Some(seat) = self.seats.get_mut(id) {
                    seat.saving.failed = true;
                }
                if !known {
                    self.tell(Notice::warning(format!(
                        "{id} could not be saved while it runs, which is tried again: {fault}"
                    )));
                }
            }
        }
    }

    /// Whether it was told already that snapshots fail in this room: a store that is away fails them all.
    fn has_unsaved(&self, id: &SeatId) -> bool {
        let mut mine = self.seats.iter().filter(|(other, _)| other.room == id.room);
        mine.any(|(_, seat)| seat.saving.failed)
    }
}

/// A workspace that is only half filled is nobody's work.
fn is_being_filled(seat: &Seat) -> bool {
    let never_started = seat.container.as_ref().is_some_and(|c| c.state == RunState::Created);
    never_started || matches!(seat.main, Some((_, Step::Provision)))
}
