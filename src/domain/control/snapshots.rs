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
    /// Whether somebody asked for one that has not begun yet.
    wished: bool,
    /// Why the last one failed.
    fault: Option<Fault>,
}

impl Saving {
    pub fn is_under_way(&self) -> bool {
        self.op.is_some()
    }

    /// Whether one is under way or wished for.
    pub fn is_awaited(&self) -> bool {
        self.wished || self.op.is_some()
    }

    /// Why the last one failed, if it did.
    pub fn fault(&self) -> Option<&Fault> {
        self.fault.as_ref()
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

    /// Somebody wants them saved now: one that is under way began before that, and is followed by another.
    pub(super) fn wish_snapshots(&mut self, seats: &[SeatId]) {
        for id in seats {
            if let Some(seat) = self.seats.get_mut(id) {
                seat.saving.wished = true;
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
        saving.wished = false;
        if let (Some(op), false) = (saving.op, saving.called_off) {
            saving.called_off = true;
            self.out.push(Effect::Cancel(op));
        }
    }

    /// Whether its time has come. The first time lies within one interval after the seat was first seen, and not at the
    /// same moment for all of a room.
    fn is_to_be_saved(&mut self, id: &SeatId) -> bool {
        let now_ms = self.now.mono_ms;
        let every_ms = self.autosave_ms(id);
        let Some(seat) = self.seats.get_mut(id) else {
            return false;
        };
        if seat.container.is_none() {
            seat.saving.due_ms = None;
            give_up(seat);
            return false;
        }
        if is_being_filled(seat) {
            give_up(seat);
            return false;
        }
        if seat.saving.op.is_some() {
            return false;
        }
        let Some(half) = every_ms.map(|every_ms| every_ms / 2) else {
            return seat.saving.wished;
        };
        let first = || now_ms + half + salt(&id.to_string()) % half.max(1);
        let due = *seat.saving.due_ms.get_or_insert_with(first);
        seat.saving.wished || now_ms >= due
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
            seat.saving.wished = false;
        }
    }

    pub(super) fn snapshot_done(&mut self, id: &SeatId, result: Result<Yield, Fault>) {
        let next_ms = self.autosave_ms(id).map(|every_ms| self.now.mono_ms + every_ms);
        let Some(saving) = self.seats.get_mut(id).map(|seat| &mut seat.saving) else {
            return;
        };
        *saving = Saving {
            due_ms: next_ms,
            wished: saving.wished,
            fault: saving.fault.take(),
            ..Saving::default()
        };
        match result {
            Ok(got) => {
                saving.fault = None;
                self.looked_at_files(id, Some(got == Yield::Saved));
            }
            Err(fault) if fault.code == FaultCode::Cancelled => {}
            Err(fault) => {
                self.looked_at_files(id, None);
                if !self.has_unsaved(id) {
                    self.tell(
                        Notice::warning(format!(
                            "{id} could not be saved while it runs, which is tried again: {fault}"
                        ))
                        .about(&id.room),
                    );
                }
                if let Some(seat) = self.seats.get_mut(id) {
                    seat.saving.fault = Some(fault);
                }
            }
        }
    }

    /// Whether it was told already that snapshots fail in this room: a store that is away fails them all.
    fn has_unsaved(&self, id: &SeatId) -> bool {
        let mut mine = self.seats.iter().filter(|(other, _)| other.room == id.room);
        mine.any(|(_, seat)| seat.saving.fault.is_some())
    }
}

/// There is nothing to save any more: whoever waits for it is told.
fn give_up(seat: &mut Seat) {
    if std::mem::take(&mut seat.saving.wished) {
        let id = &seat.record.id;
        let fault = Fault::new(FaultCode::Engine, format!("{id} is being made anew: nothing was saved"));
        seat.saving.fault = Some(fault.hint("Try again when it runs"));
    }
}

/// A workspace that is only half filled is nobody's work.
fn is_being_filled(seat: &Seat) -> bool {
    let never_started = seat.container.as_ref().is_some_and(|c| c.state == RunState::Created);
    never_started || matches!(seat.main, Some((_, Step::Provision)))
}
