//! The snapshot: what is known, as a screen shows it.

use super::Control;
use super::state::{Room, Seat};
use crate::domain::ids::{InstanceId, RoomName, SeatId, TemplateName};
use crate::domain::plan::{Step, next};
use crate::domain::record::{RoomWanted, Wanted};
use crate::domain::seen::{ContainerSeen, EngineState, RunState};
use crate::domain::snapshot::{Phase, RoomPhase, RoomView, SeatView, Snapshot};
use crate::domain::template::{Egress, Template};

impl Control {
    /// Everything that a board shows. `clock` is the host's time of day as text.
    #[must_use]
    pub fn snapshot(&self, serial: u64, instance: &InstanceId, clock: String) -> Snapshot {
        Snapshot {
            serial,
            instance: instance.clone(),
            clock,
            engine: self.engine_as_seen(),
            host: self.host,
            lease_store: self.lease_store.clone(),
            rooms: self.rooms.values().map(|room| self.room_view(room)).collect(),
            templates: self.templates_in_order(),
        }
    }

    /// An engine whose things nobody has looked at yet is not known: what is said of seats then is only what is wanted.
    fn engine_as_seen(&self) -> EngineState {
        match (&self.engine, self.blindness()) {
            (EngineState::Up(_), Some(fault)) => EngineState::Down(fault.to_string()),
            (EngineState::Up(_), None) if !self.listed => EngineState::Unknown,
            (state, _) => state.clone(),
        }
    }

    /// Every lease: its seat, the opening, and its end in Unix milliseconds, none while it is held.
    pub fn leases(&self) -> impl Iterator<Item = (&SeatId, u64, Option<u64>)> {
        let records = self.seats.values().map(|seat| &seat.record);
        let wanted = records.filter(|record| record.wanted < Wanted::Gone);
        wanted.map(|record| {
            let end = (!record.held).then_some(record.deadline_unix_ms);
            (&record.id, record.session, end)
        })
    }

    /// The live containers, for the meter: id and first process.
    #[must_use]
    pub fn running(&self) -> Vec<ContainerSeen> {
        let containers = self.seats.values().filter_map(|seat| seat.container.as_ref());
        containers.filter(|c| !c.state.is_down()).cloned().collect()
    }

    /// A seat's container, if it has one.
    #[must_use]
    pub fn container(&self, seat: &SeatId) -> Option<&ContainerSeen> {
        self.seats.get(seat)?.container.as_ref()
    }

    /// The template that a seat was made from.
    #[must_use]
    pub fn template(&self, seat: &SeatId) -> Option<&Template> {
        self.rooms.get(&seat.room).map(|room| &room.record.template)
    }

    /// Where the seats of an open room may connect to.
    #[must_use]
    pub fn egress(&self, room: &RoomName) -> Option<Egress> {
        self.rooms.get(room).map(|room| room.record.template.network)
    }

    /// Whether a seat is in the ledger.
    #[must_use]
    pub fn has_seat(&self, seat: &SeatId) -> bool {
        self.seats.contains_key(seat)
    }

    fn templates_in_order(&self) -> Vec<TemplateName> {
        let default = &self.rules.default_template;
        let others = self.rules.templates.keys().filter(|name| *name != default);
        std::iter::once(default).chain(others).cloned().collect()
    }

    fn room_view(&self, room: &Room) -> RoomView {
        let mine = self
            .seats
            .values()
            .filter(|seat| seat.record.id.room == room.record.name);
        let seats: Vec<SeatView> = mine.map(|seat| self.seat_view(room, seat)).collect();
        RoomView {
            name: room.record.name.clone(),
            template: room.record.template.name.clone(),
            exam: room.record.exam,
            phase: room_phase(room, &seats),
            lease_seconds_left: seats.iter().filter_map(|seat| seat.lease_seconds_left).max(),
            seats_total: room.total.max(seats.len()),
            closing_seconds_left: self.closing_seconds_left(room),
            closing_bytes: room.archived_bytes,
            closing_rate: self.closing_rate(room),
            seats,
            fault: room.fault.clone(),
        }
    }

    /// What is under way. A kill is told of until it is done: a hung engine may take long.
    fn doing(&self, seat: &Seat) -> String {
        let up = seat.container.as_ref().is_some_and(|c| !c.state.is_down());
        if seat.record.wanted == Wanted::Stopped && up {
            return "being killed".into();
        }
        match self.idle_seconds_left(seat) {
            Some(left) if seat.doing.is_empty() => format!("idle, ends in {left} s"),
            _ => seat.doing.clone(),
        }
    }

    fn seat_view(&self, room: &Room, seat: &Seat) -> SeatView {
        let template = &room.record.template;
        let left_ms = seat.record.deadline_unix_ms.saturating_sub(self.now.unix_ms);
        #[expect(
            clippy::cast_precision_loss,
            reason = "a limit in thousandths of a core is a small number"
        )]
        let cpu_limit_percent = template.millicpus as f32 / 10.0;
        SeatView {
            room: seat.record.id.room.clone(),
            student: seat.record.id.student.clone(),
            phase: phase(seat),
            container_id: seat.container.as_ref().map(|c| c.id.clone()),
            cpu_percent: seat.figures.and_then(|f| f.cpu_percent),
            cpu_history: seat.history.iter().copied().collect(),
            cpu_limit_percent,
            memory_bytes: seat.figures.map(|f| f.memory_bytes),
            memory_limit_bytes: Some(template.memory_bytes),
            pids: seat.figures.map(|f| f.pids),
            lease_seconds_left: Some(left_ms.div_ceil(1_000)),
            held: seat.record.held,
            route: seat.record.route.clone(),
            archive_id: seat.record.closing.archive.as_ref().map(|claim| claim.id.clone()),
            fault: seat.fault.clone(),
            oom_kills: seat.oom_kills,
            doing: self.doing(seat),
        }
    }
}

fn room_phase(room: &Room, seats: &[SeatView]) -> RoomPhase {
    // One that failed is told of by itself; the others are there.
    let arrived = |seat: &SeatView| {
        matches!(
            seat.phase,
            Phase::Ready | Phase::Frozen | Phase::Stopped | Phase::Failed
        )
    };
    match room.record.wanted {
        RoomWanted::Closed => RoomPhase::Closing,
        RoomWanted::Open if seats.iter().all(arrived) => RoomPhase::Open,
        RoomWanted::Open => RoomPhase::Opening,
    }
}

/// The one word for a seat. A fault shows until the step that failed succeeds.
pub(super) fn phase(seat: &Seat) -> Phase {
    if seat.fault.is_some() {
        return Phase::Failed;
    }
    if seat.record.wanted == Wanted::Gone {
        let step = seat.main.map_or_else(|| next(&seat.view()), |(_, step)| step);
        return closing_phase(step);
    }
    match seat.container.as_ref().map(|c| c.state) {
        state if seat.record.wanted == Wanted::Stopped && state.is_none_or(RunState::is_down) => Phase::Stopped,
        None if seat.main.is_some() => Phase::Creating,
        None => Phase::Wanted,
        Some(RunState::Created) => Phase::Creating,
        Some(RunState::Running) if seat.ready => Phase::Ready,
        Some(RunState::Paused) => Phase::Frozen,
        Some(RunState::Running | RunState::Exited | RunState::Dead) => Phase::Starting,
    }
}

fn closing_phase(step: Step) -> Phase {
    match step {
        Step::Archive | Step::Verify => Phase::Archiving,
        Step::Record => Phase::Verified,
        Step::RemoveContainer | Step::RemoveVolume | Step::End => Phase::Removing,
        _ => Phase::Closing,
    }
}
