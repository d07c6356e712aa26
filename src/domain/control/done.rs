//! What the end of an operation changes.

use super::Control;
use super::drain::stopping;
use super::facts::exit_fault;
use super::state::{Accepted, Doing, Seat};
use crate::domain::command::Outcome;
use crate::domain::door::KnockAnswer;
use crate::domain::effect::{Effect, OpId, Task, Yield};
use crate::domain::fault::{Fault, FaultCode};
use crate::domain::ids::{RoomName, SeatId};
use crate::domain::notice::Notice;
use crate::domain::plan::Step;
use crate::domain::policy::{ATTEMPTS_BEFORE_TOLD, RETRY_CAP_MS};
use crate::domain::proof::{Stillness, VerifiedArchive};
use crate::domain::record::{Change, Closing, Wanted};
use crate::domain::seen::ContainerSeen;

impl Control {
    /// An operation ended. One that is not known (answered twice, or of an earlier life) changes nothing.
    pub(super) fn done(&mut self, op: OpId, result: Result<Yield, Fault>) {
        let Some(doing) = self.ops.remove(&op) else { return };
        for ticket in self.tickets.values_mut() {
            if ticket.write == Some(op) {
                ticket.write = None;
            }
        }
        match doing {
            Doing::List(stamp) => self.list_done(stamp, result),
            Doing::Preflight(opening) => match result {
                Ok(_) => self.write_opening(*opening),
                // Called off because the agent stops: nothing of it is written.
                Err(_) if self.is_draining() => {
                    let refusal = stopping(opening.command.verb());
                    self.reply(opening.ticket, Outcome::from(refusal));
                }
                Err(fault) => self.reply(opening.ticket, Outcome::from(fault)),
            },
            Doing::Accept(ticket, accepted) => match result {
                Ok(_) => self.take_effect(ticket, *accepted),
                Err(fault) => {
                    self.not_written(&accepted);
                    self.reply(ticket, Outcome::from(fault));
                }
            },
            Doing::FailOpen(changes) => self.fail_open_done(changes, result),
            Doing::Seat(id, step) => self.step_done(&id, step, result),
            Doing::Urgent(id, step) => self.urgent_done(&id, step, result),
            Doing::Snapshot(id) => self.snapshot_done(&id, result),
            Doing::Closing(id, closing) => self.closing_written(&id, closing, result),
            Doing::End(id) => self.seat_ended(&id, result),
            Doing::Network(room, made) => self.network_done(&room, made, result),
            Doing::EndRoom(room) => self.room_ended(&room, result),
            Doing::Admit(admission) => match result {
                Ok(_) => self.admitted(*admission),
                Err(fault) => self
                    .out
                    .push(Effect::Answer(admission.ticket, KnockAnswer::from(fault))),
            },
            Doing::Cut(seat) => self.cut_done(&seat, result),
            Doing::Reap | Doing::Absolve => {}
        }
    }

    fn fail_open_done(&mut self, changes: Vec<Change>, result: Result<Yield, Fault>) {
        let Err(fault) = result else { return };
        if self.unsaved.is_empty() {
            self.tell(Notice::warning(format!(
                "The ledger could not be written, which is tried again: {fault}"
            )));
        }
        self.note_written(&changes, false);
        // What seats should be is written again from memory, as it is by then.
        let others = changes
            .into_iter()
            .filter(|change| !matches!(change, Change::SetWanted { .. }));
        self.unsaved.extend(others);
        self.save_at_ms = self.now.mono_ms + RETRY_CAP_MS / 10;
    }

    /// The ledger still has what it was told before.
    fn not_written(&mut self, accepted: &Accepted) {
        for (_, seat) in self.seats.iter_mut().filter(|(id, _)| accepted.concerns(id)) {
            seat.written = None;
        }
    }

    fn step_done(&mut self, id: &SeatId, step: Step, result: Result<Yield, Fault>) {
        let stamp = self.fresh_stamp();
        let Some(seat) = self.seats.get_mut(id) else { return };
        seat.main = None;
        seat.stamp = stamp;
        match result {
            Ok(got) => self.step_succeeded(id, step, got),
            Err(fault) => self.step_failed(id, step, fault),
        }
    }

    fn step_succeeded(&mut self, id: &SeatId, step: Step, got: Yield) {
        let now_ms = self.now.mono_ms;
        let Some(seat) = self.seats.get_mut(id) else { return };
        // These two are done only when they are written.
        if !matches!(step, Step::Hold | Step::RemoveContainer) {
            seat.advanced(step);
        }
        match (step, got) {
            (Step::Hold, Yield::Held(seen, stillness)) => self.held(id, seen, stillness),
            (_, Yield::Seen(container)) => seen_after(seat, step, container, now_ms),
            (Step::Probe, Yield::Ready) => {
                seat.ready = true;
                seat.ready_since_ms = now_ms;
                self.room_works(&id.room);
            }
            (Step::Archive, Yield::Stored(claim)) if claim.epoch == seat.record.closing.epoch => {
                let bytes = claim.content_bytes;
                seat.claim = Some(claim);
                if let Some(room) = self.rooms.get_mut(&id.room) {
                    room.archived_bytes = room.archived_bytes.saturating_add(bytes);
                }
            }
            (Step::Verify, Yield::Verified(proof)) if is_current(seat, &proof) => {
                seat.claim = None;
                seat.verified = Some(proof);
            }
            (Step::RemoveContainer, _) => self.container_removed(id),
            (Step::RemoveVolume, _) => seat.volume = false,
            (Step::Start | Step::Restart | Step::Freeze | Step::Thaw | Step::Kill, Yield::Nothing) => seat.see(None),
            _ => {}
        }
    }

    /// A new freeze epoch begins: written before anything is read in it.
    fn held(&mut self, id: &SeatId, seen: Option<ContainerSeen>, stillness: Stillness) {
        let Some(seat) = self.seats.get_mut(id) else { return };
        seat.see(seen);
        seat.void_archive();
        let epoch = seat.record.closing.epoch + 1;
        let closing = Closing {
            epoch,
            stillness: Some(stillness),
            archive: None,
            container_removed: false,
        };
        self.write_closing(id, Step::Hold, closing);
    }

    fn container_removed(&mut self, id: &SeatId) {
        let Some(seat) = self.seats.get_mut(id) else { return };
        seat.see(None);
        if seat.record.discard_by.is_some() {
            return;
        }
        if seat.given_up {
            // Nobody looked whether it was still, and now its work is wanted after all: what is left is read anew.
            seat.lose_stillness();
        } else {
            let closing = Closing {
                container_removed: true,
                ..seat.record.closing.clone()
            };
            self.write_closing(id, Step::RemoveContainer, closing);
        }
    }

    fn write_closing(&mut self, id: &SeatId, step: Step, closing: Closing) {
        let task = Task::Write(vec![Change::SetClosing(id.clone(), closing.clone())]);
        let op = self.start(task, Doing::Closing(id.clone(), closing));
        if let Some(seat) = self.seats.get_mut(id) {
            seat.main = Some((op, step));
        }
    }

    fn closing_written(&mut self, id: &SeatId, closing: Closing, result: Result<Yield, Fault>) {
        let now_ms = self.now.mono_ms;
        let Some(seat) = self.seats.get_mut(id) else { return };
        let step = seat.main.take().map_or(Step::Hold, |(_, step)| step);
        match result {
            Ok(_) => {
                seat.advanced(step);
                seat.record.closing = closing;
                // Somebody may have disturbed the seat while this was being written: then it is not still any more.
                if seat.disturbed {
                    seat.lose_stillness();
                }
            }
            Err(fault) => seat.failed(step, fault, now_ms),
        }
    }

    fn step_failed(&mut self, id: &SeatId, step: Step, fault: Fault) {
        let now_ms = self.now.mono_ms;
        if matches!(
            fault.code,
            FaultCode::Unknown | FaultCode::Engine | FaultCode::EngineUnreachable
        ) {
            self.list_at_ms = now_ms;
        }
        if step == Step::Provision {
            self.list_at_ms = now_ms;
        }
        if step == Step::Provision && fault.is_of_room() {
            self.room_fails(&id.room, fault);
            return;
        }
        let Some(seat) = self.seats.get_mut(id) else { return };
        match (step, fault.code) {
            (_, FaultCode::Cancelled) => return,
            (Step::RemoveContainer | Step::RemoveVolume, FaultCode::Thawed) => {
                seat.lose_stillness();
                self.list_at_ms = now_ms;
                seat.failed(step, fault, now_ms);
                self.tell(
                    Notice::warning(format!(
                        "{id} may have changed after it was frozen; its work is archived again"
                    ))
                    .about(&id.room),
                );
                return;
            }
            // A proof that has waited through a failure is old: the stored copy is read back again.
            (Step::RemoveContainer | Step::RemoveVolume, _) => seat.verified = None,
            (Step::Verify, FaultCode::Mismatch) => forget_stored(seat),
            (Step::Verify, _) if seat.attempts + 1 >= ATTEMPTS_BEFORE_TOLD => forget_stored(seat),
            _ => {}
        }
        seat.failed(step, fault, now_ms);
    }

    fn urgent_done(&mut self, id: &SeatId, step: Step, result: Result<Yield, Fault>) {
        let (stamp, now_ms) = (self.fresh_stamp(), self.now.mono_ms);
        let Some(seat) = self.seats.get_mut(id) else { return };
        seat.urgent = None;
        seat.stamp = stamp;
        match result {
            Ok(Yield::Seen(container)) => seen_after(seat, step, container, now_ms),
            Ok(_) => seat.see(None),
            Err(fault) => seat.failed(step, fault, now_ms),
        }
    }

    fn seat_ended(&mut self, id: &SeatId, result: Result<Yield, Fault>) {
        match result {
            Ok(_) => {
                if let Some(seat) = self.seats.remove(id) {
                    self.seat_is_gone(&seat);
                }
            }
            Err(fault) => {
                let now_ms = self.now.mono_ms;
                if let Some(seat) = self.seats.get_mut(id) {
                    seat.main = None;
                    seat.failed(Step::End, fault, now_ms);
                }
            }
        }
    }

    /// Whose work is collected gets no new seat by signing in again.
    fn seat_is_gone(&mut self, seat: &Seat) {
        let id = &seat.record.id;
        if is_lost(seat) {
            self.lost.entry(id.room.clone()).or_default().push(id.clone());
        }
        if seat.record.closing.archive.is_some() {
            self.door.collected.insert(id.clone());
        }
    }

    fn room_works(&mut self, name: &RoomName) {
        if let Some(room) = self.rooms.get_mut(name) {
            room.succeeded();
        }
    }

    fn room_fails(&mut self, name: &RoomName, fault: Fault) {
        let now_ms = self.now.mono_ms;
        if let Some(room) = self.rooms.get_mut(name)
            && now_ms >= room.not_before_ms
        {
            room.failed(fault, now_ms);
        }
    }
}

/// The stored copy is not what it should be: the work is read again.
fn forget_stored(seat: &mut Seat) {
    seat.void_archive();
    seat.record.closing.archive = None;
}

/// Whether it had a workspace that went by another hand before it was archived.
pub(super) fn is_lost(seat: &Seat) -> bool {
    let record = &seat.record;
    record.made && record.closing.archive.is_none() && record.discard_by.is_none()
}

fn is_current(seat: &Seat, proof: &VerifiedArchive) -> bool {
    let closing = &seat.record.closing;
    proof.claim().epoch == closing.epoch && closing.stillness.as_ref() == Some(proof.stillness())
}

fn seen_after(seat: &mut Seat, step: Step, container: ContainerSeen, now_ms: u64) {
    if container.seat != seat.record.id || container.session != seat.record.session {
        return;
    }
    if matches!(step, Step::Provision | Step::Start | Step::Restart) {
        seat.ready = false;
        seat.restart = false;
        // A program that was started and is down already has ended by itself.
        if container.state.is_down() && seat.record.wanted == Wanted::Running {
            seat.exited(&container, exit_fault(&container), now_ms);
        }
    }
    seat.see(Some(container));
}
