//! Starting the next step of a seat, at most one at a time, with kill and freeze beside it.

use super::Control;
use super::done::is_lost;
use super::state::{Doing, Seat};
use super::tickets::has_arrived;
use crate::domain::effect::{ArchiveOrder, Effect, SeatOrder, Task};
use crate::domain::ids::SeatId;
use crate::domain::plan::{Step, next};
use crate::domain::proof::{Discard, Warrant};
use crate::domain::record::{Change, Closing, Wanted};
use crate::domain::seen::{ContainerSeen, RunState};

impl Control {
    /// Compares one seat's wanted and seen state and starts what is missing.
    pub(super) fn plan_seat(&mut self, id: &SeatId) {
        let Some(seat) = self.seats.get(id) else { return };
        let step = next(&seat.view());
        let beside = is_urgent(step) && seat.urgent.is_none();
        if step == Step::RemoveVolume && seat.saving.is_under_way() {
            // It was called off, and holds the workspace for a moment.
            return;
        }
        let (unseen, stamp) = (seat.container.is_none() && !seat.looked, seat.stamp);
        if let Some((_, running)) = seat.main {
            if is_overtaken(running, seat) {
                self.call_off(id);
            }
            if beside && running != step && self.is_due(id) {
                self.begin(id, step, true);
            }
            return;
        }
        // One that was made before is made again only when it is known what is left of it.
        let remade = step == Step::Provision && seat.record.made;
        if unseen && (remade || matches!(step, Step::Rest | Step::End)) {
            if self.is_due(id) && self.may_look(step) {
                self.look_again(stamp);
            }
            return;
        }
        if step == Step::Rest && seat.urgent.is_none() && seat.attempts > 0 && has_arrived(seat) {
            // A deed whose answer was lost had happened all the same.
            return self.seat_arrived(id);
        }
        let may = seat.urgent.is_none() && step != Step::Rest && self.may_begin(seat, step);
        if may && self.is_due(id) && self.room_allows(id, step) {
            self.begin(id, step, false);
        }
    }

    fn seat_arrived(&mut self, id: &SeatId) {
        if let Some(seat) = self.seats.get_mut(id) {
            seat.succeeded();
        }
    }

    fn is_due(&self, id: &SeatId) -> bool {
        self.seats
            .get(id)
            .is_some_and(|seat| self.now.mono_ms >= seat.not_before_ms)
    }

    /// A seat is made only in a room whose network is there and that nothing holds back.
    fn room_allows(&self, id: &SeatId, step: Step) -> bool {
        let room = self.rooms.get(&id.room);
        step != Step::Provision || room.is_some_and(|r| r.network && self.now.mono_ms >= r.not_before_ms)
    }

    fn call_off(&mut self, id: &SeatId) {
        let Some(seat) = self.seats.get_mut(id) else { return };
        if let (Some((op, _)), false) = (seat.main, seat.called_off) {
            seat.called_off = true;
            self.out.push(Effect::Cancel(op));
        }
    }

    fn begin(&mut self, id: &SeatId, step: Step, urgent: bool) {
        let Some((task, doing)) = self.task_of(id, step, urgent) else {
            return;
        };
        let op = self.start(task, doing);
        let Some(seat) = self.seats.get_mut(id) else { return };
        if urgent {
            seat.urgent = Some((op, step));
        } else {
            seat.main = Some((op, step));
            seat.called_off = false;
        }
        match step {
            Step::Hold => seat.disturbed = false,
            Step::Provision => seat.looked = false,
            Step::RemoveContainer => seat.given_up = seat.record.discard_by.is_some(),
            _ => {}
        }
    }

    fn task_of(&self, id: &SeatId, step: Step, urgent: bool) -> Option<(Task, Doing)> {
        let seat = self.seats.get(id)?;
        let doing = if urgent {
            Doing::Urgent(id.clone(), step)
        } else {
            Doing::Seat(id.clone(), step)
        };
        let session = seat.record.session;
        let of_container = |make: fn(SeatId, _) -> Task| Some(make(id.clone(), container_of(seat)?.id.clone()));
        let task = match step {
            Step::Rest => None,
            Step::Provision => Some(Task::Provision(self.order(seat)?)),
            Step::Probe => Some(Task::Probe(self.order(seat)?, container_of(seat)?.clone())),
            Step::Start => of_container(Task::Start),
            Step::Restart => of_container(Task::Restart),
            Step::Freeze => of_container(Task::Freeze),
            Step::Thaw => of_container(Task::Thaw),
            Step::Kill => of_container(Task::Kill),
            Step::Hold => Some(Task::Hold {
                seat: id.clone(),
                session,
            }),
            Step::Archive => Some(Task::Archive(ArchiveOrder {
                seat: id.clone(),
                session,
                epoch: seat.record.closing.epoch,
                selection: self.rooms.get(&id.room)?.record.template.archive.clone(),
            })),
            Step::Verify => verify_task(seat),
            Step::Record => return self.record_write(seat),
            Step::RemoveContainer => warrant(seat).map(Task::RemoveContainer),
            Step::RemoveVolume => warrant(seat).map(Task::RemoveVolume),
            Step::End => return Some((Task::Write(self.end_of(seat)), Doing::End(id.clone()))),
        };
        task.map(|task| (task, doing))
    }

    /// The row of a seat goes; a loss is written down with it.
    fn end_of(&self, seat: &Seat) -> Vec<Change> {
        let id = &seat.record.id;
        let mut changes = vec![Change::EndSeat(id.clone())];
        if is_lost(seat) {
            changes.push(self.loss_of(id));
        }
        changes
    }

    /// The archive, and that what it holds is removed now: nothing is before that is written.
    fn record_write(&self, seat: &Seat) -> Option<(Task, Doing)> {
        let verified = seat.verified.as_ref()?;
        let (claim, mode) = (verified.claim().clone(), verified.mode());
        let id = seat.record.id.clone();
        let closing = Closing {
            archive: Some(claim.clone()),
            ..seat.record.closing.clone()
        };
        let mut entry = self.own_entry("seat remove", id.to_string());
        entry.outcome = format!("archive {} is stored and verified", claim.id);
        let changes = vec![
            Change::AddArchive(claim, mode),
            Change::SetClosing(id.clone(), closing.clone()),
            Change::Audit(entry),
        ];
        Some((Task::Write(changes), Doing::Closing(id, closing)))
    }

    pub(super) fn loss_of(&self, id: &SeatId) -> Change {
        let mut entry = self.own_entry("seat lost", id.to_string());
        entry.outcome = "its workspace was gone before it was archived".into();
        Change::Audit(entry)
    }

    /// Every seat that has a container, as it would be made today, and the container that it has; none as long as nobody
    /// has looked.
    #[must_use]
    pub fn made(&self) -> Option<Vec<(SeatOrder, ContainerSeen)>> {
        if !self.listed {
            return None;
        }
        let wanted = self.seats.values().filter(|seat| seat.record.wanted < Wanted::Gone);
        let made = wanted.filter_map(|seat| Some((self.order(seat)?, seat.container.clone()?)));
        Some(made.collect())
    }

    fn order(&self, seat: &Seat) -> Option<SeatOrder> {
        let room = self.rooms.get(&seat.record.id.room)?;
        Some(SeatOrder {
            seat: seat.record.id.clone(),
            session: seat.record.session,
            template: room.record.template.clone(),
            route: seat.record.route.clone(),
            restore: seat.record.restore.clone(),
            exam: room.record.exam,
            opened_unix_ms: room.record.opened_unix_ms,
            opened_by: room.record.opened_by.clone(),
        })
    }
}

fn container_of(seat: &Seat) -> Option<&ContainerSeen> {
    seat.container.as_ref()
}

fn is_urgent(step: Step) -> bool {
    matches!(step, Step::Kill | Step::Freeze)
}

/// Whether what runs is no longer wanted and should not be waited for.
fn is_overtaken(running: Step, seat: &Seat) -> bool {
    let wanted = seat.record.wanted;
    match running {
        Step::Provision => wanted > Wanted::Frozen,
        Step::Probe => wanted != Wanted::Running || seat.restart || !runs(seat),
        Step::Archive | Step::Verify => seat.record.discard_by.is_some(),
        _ => false,
    }
}

fn runs(seat: &Seat) -> bool {
    container_of(seat).is_some_and(|container| container.state == RunState::Running)
}

fn verify_task(seat: &Seat) -> Option<Task> {
    let closing = &seat.record.closing;
    let claim = seat.claim.clone().or_else(|| closing.archive.clone())?;
    Some(Task::Verify {
        claim,
        stillness: closing.stillness.clone()?,
    })
}

/// Permission to remove: proven in this epoch, or ordered by an admin.
fn warrant(seat: &Seat) -> Option<Warrant> {
    if let Some(by) = &seat.record.discard_by {
        let (seat, session, by) = (seat.record.id.clone(), seat.record.session, by.clone());
        return Some(Warrant::Discard(Discard { seat, session, by }));
    }
    seat.verified.clone().map(Warrant::Verified)
}
