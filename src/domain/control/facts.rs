//! What the world tells by itself: events of the engine, samples, progress.

use super::Control;
use super::state::{Doing, Seat};
use super::tickets::seats;
use crate::domain::effect::{Fact, OpId};
use crate::domain::fault::{Fault, FaultCode};
use crate::domain::ids::{ContainerId, SeatId};
use crate::domain::notice::Notice;
use crate::domain::plan::Step;
use crate::domain::policy::{HISTORY_SAMPLES, OOM_TOLD_EVERY_MS, STABLE_AFTER_MS};
use crate::domain::record::{Change, Wanted};
use crate::domain::seen::{ContainerSeen, EngineState, FiguresOf, HostFigures, RunState};

impl Control {
    /// Takes in one fact.
    pub(super) fn learn(&mut self, fact: Fact) {
        match fact {
            Fact::Done(op, result) => self.done(op, result),
            Fact::Progress(op, words) => self.progress(op, words),
            Fact::Seen(container) => self.seen(container),
            Fact::Unclear(_) => self.list_at_ms = self.now.mono_ms,
            Fact::Vanished(id) => self.vanished(&id),
            Fact::Disturbed(id) => self.disturbed(&id),
            Fact::OutOfMemory(id) => self.out_of_memory(&id),
            Fact::Unrouted(seats) => self.unrouted(&seats),
            Fact::WallsLost(why) => self.walls_lost(why.as_deref()),
            Fact::Engine(state) => self.engine_changed(state),
            Fact::LeaseStore(state) => self.lease_store_changed(state),
            Fact::Figures(of, host) => self.figures(&of, host),
        }
    }

    fn seat_of(&mut self, id: &ContainerId) -> Option<&mut Seat> {
        self.seats
            .values_mut()
            .find(|seat| seat.container.as_ref().is_some_and(|c| c.id == *id))
    }

    fn seen(&mut self, container: ContainerSeen) {
        let (stamp, now_ms) = (self.fresh_stamp(), self.now.mono_ms);
        let Some(seat) = self.seats.get_mut(&container.seat) else {
            return;
        };
        if seat.record.session != container.session {
            return;
        }
        if is_removed(seat, &container) {
            // Looked at just before it was removed. Should it be there all the same, a list will show it.
            self.list_at_ms = now_ms;
            return;
        }
        seat.stamp = stamp;
        note_exit(seat, &container, now_ms);
        notice_life(seat, Some(&container));
        seat.see(Some(container));
    }

    fn vanished(&mut self, id: &ContainerId) {
        let stamp = self.fresh_stamp();
        let Some(seat) = self.seat_of(id) else { return };
        seat.stamp = stamp;
        // Whether its workspace went with it, only a list can tell.
        seat.looked = false;
        notice_life(seat, None);
        seat.see(None);
    }

    /// A removal under way looks for itself and knows its own kill; everything else must begin again.
    fn disturbed(&mut self, id: &ContainerId) {
        let Some(seat) = self.seat_of(id) else { return };
        let removing = matches!(seat.main, Some((_, Step::RemoveContainer)));
        if seat.record.wanted == Wanted::Gone && !removing {
            seat.disturbed = true;
            seat.lose_stillness();
        }
    }

    fn out_of_memory(&mut self, id: &ContainerId) {
        let now_ms = self.now.mono_ms;
        let Some(seat) = self.seat_of(id) else { return };
        seat.oom_kills += 1;
        // A seat that fills its memory again and again must not drown what else there is to tell.
        if seat.oom_told_ms.is_some_and(|at| now_ms < at + OOM_TOLD_EVERY_MS) {
            return;
        }
        seat.oom_told_ms = Some(now_ms);
        let (id, kills) = (seat.record.id.clone(), seat.oom_kills);
        self.tell(Notice::warning(format!("{id}: the kernel killed a program for memory ({kills})")).about(&id.room));
        let mut entry = self.own_entry("oom kill", id.to_string());
        entry.outcome = format!("{kills} since the agent started");
        self.write_fail_open(vec![Change::Audit(entry)]);
    }

    fn walls_lost(&mut self, why: Option<&str>) {
        let outcome = match why {
            None => "loaded again".to_owned(),
            Some(why) => format!("NOT loaded again: {why}"),
        };
        let text = format!(
            "The host's firewall is without labtop's table while an exam goes on: {outcome}. `labtop doctor --room` says what \
             seats reach"
        );
        self.tell(Notice::incident(text));
        let mut entry = self.own_entry("firewall lost", "host".to_owned());
        entry.outcome = outcome;
        self.write_fail_open(vec![Change::Audit(entry)]);
    }

    /// They are asked for again until they answer; who is in a seat already notices little of it.
    fn unrouted(&mut self, lost: &[SeatId]) {
        let mut count = 0;
        for id in lost {
            if let Some(seat) = self.seats.get_mut(id).filter(|seat| seat.ready) {
                seat.ready = false;
                count += 1;
            }
        }
        if count > 0 {
            let text = format!(
                "{} no longer answer through Traefik; they are asked again",
                seats(count)
            );
            self.tell(Notice::warning(text));
        }
    }

    fn engine_changed(&mut self, state: EngineState) {
        let state = self.recognised(state);
        match (&self.engine, &state) {
            (EngineState::Up(_) | EngineState::Unknown, EngineState::Down(why)) => {
                let text = format!("Docker does not answer: {why}");
                self.engine_down_since_ms = Some(self.now.mono_ms);
                self.tell(Notice::error(text));
            }
            (EngineState::Down(_), EngineState::Up(_)) => {
                self.tell(Notice::info("Docker answers again"));
                self.listed = false;
            }
            (EngineState::Unknown, EngineState::Up(_)) => self.listed = false,
            _ => {}
        }
        if let EngineState::Up(_) = state {
            self.engine_down_since_ms = None;
            self.list_at_ms = self.now.mono_ms;
        }
        self.engine = state;
    }

    fn figures(&mut self, of: &FiguresOf, host: HostFigures) {
        let now_ms = self.now.mono_ms;
        self.host = host;
        for seat in self.seats.values_mut() {
            let sample = seat.container.as_ref().and_then(|c| of.get(&c.id));
            seat.figures = sample.copied();
            if let Some(template) = self.rooms.get(&seat.record.id.room).map(|room| &room.record.template)
                && template.idle_minutes.is_some()
            {
                Self::note_activity(seat, sample, |kind| template.counts(kind), now_ms);
            }
            if let Some(cpu) = sample.and_then(|s| s.cpu_percent) {
                if seat.history.len() == HISTORY_SAMPLES {
                    seat.history.pop_front();
                }
                seat.history.push_back(whole_percent(cpu));
            }
            if seat.ready && now_ms.saturating_sub(seat.ready_since_ms) >= STABLE_AFTER_MS {
                seat.exits = 0;
            }
        }
    }

    fn progress(&mut self, op: OpId, words: String) {
        match self.ops.get(&op) {
            Some(Doing::Seat(id, _)) => {
                let id: SeatId = id.clone();
                if let Some(seat) = self.seats.get_mut(&id) {
                    seat.doing = words;
                }
            }
            Some(Doing::Preflight(opening)) => self.report_words(opening.ticket, words),
            _ => {}
        }
    }
}

/// Whether we have removed that very container, which was down, in this epoch.
fn is_removed(seat: &Seat, container: &ContainerSeen) -> bool {
    let closing = &seat.record.closing;
    let being_written = matches!(seat.main, Some((_, Step::RemoveContainer))) && seat.container.is_none();
    let evidence = closing.stillness.as_ref().and_then(|evidence| evidence.container());
    (closing.container_removed || being_written) && container.state.is_down() && evidence == Some(&container.id)
}

/// What contradicts the evidence of a closing ends its epoch for good, even when it is as before a moment later: something
/// may have been written in between. A removal under way looks for itself and knows its own kill.
fn notice_life(seat: &mut Seat, seen: Option<&ContainerSeen>) {
    let removing = matches!(seat.main, Some((_, Step::RemoveContainer)));
    if !removing && seat.contradicts(seen) {
        seat.disturbed = true;
        seat.lose_stillness();
    }
}

/// The program of a seat that should run has ended by itself.
fn note_exit(seat: &mut Seat, now: &ContainerSeen, now_ms: u64) {
    let was_up = seat.container.as_ref().is_some_and(|c| c.state == RunState::Running);
    let by_us = matches!(seat.main, Some((_, Step::Restart | Step::Kill)));
    if seat.record.wanted != Wanted::Running || by_us || !was_up || now.state != RunState::Exited {
        return;
    }
    seat.exited(now, exit_fault(now), now_ms);
}

pub(super) fn exit_fault(container: &ContainerSeen) -> Fault {
    let seat = &container.seat;
    if container.oom_killed {
        return Fault::new(
            FaultCode::OutOfMemory,
            format!("{seat}: the kernel killed its program for memory"),
        )
        .hint("It is started again; its work is kept");
    }
    Fault::new(
        FaultCode::Exited,
        format!("{seat}: its program ended with status {}", container.exit_code),
    )
    .hint("It is started again; its log says why it ended")
}

/// CPU percent as a small whole number for the history.
fn whole_percent(cpu: f32) -> u16 {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "clamped to the range of u16"
    )]
    let whole = cpu.round().clamp(0.0, f32::from(u16::MAX)) as u16;
    whole
}
