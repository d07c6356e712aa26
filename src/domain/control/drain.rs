//! The end of an agent's life: nothing new is begun, and what is under way ends, or can be gone on with.

use super::Control;
use super::state::{Doing, Seat};
use crate::domain::effect::{Effect, OpId};
use crate::domain::fault::Refusal;
use crate::domain::plan::Step;

impl Control {
    /// Begins nothing from now on, and calls off what only waits: nothing of it has changed anything.
    pub(super) fn drain(&mut self) {
        self.draining = true;
        let waits = |doing: &Doing| matches!(doing, Doing::Preflight(_) | Doing::Seat(_, Step::Probe));
        let waiting: Vec<OpId> = self
            .ops
            .iter()
            .filter_map(|(op, doing)| waits(doing).then_some(*op))
            .collect();
        self.out.extend(waiting.into_iter().map(Effect::Cancel));
    }

    pub(super) fn is_draining(&self) -> bool {
        self.draining
    }

    /// Whether the agent may end: nothing is under way, and all that the ledger is to know is written.
    #[must_use]
    pub fn is_drained(&self) -> bool {
        let known = |seat: &Seat| seat.written.as_ref() == Some(&seat.wish());
        self.draining && self.ops.is_empty() && self.unsaved.is_empty() && self.seats.values().all(known)
    }

    /// How many operations are under way.
    #[must_use]
    pub fn under_way(&self) -> usize {
        self.ops.len()
    }

    /// Whether a step may be begun. An agent that stops finishes the seats whose work it has just read, because the proof
    /// of it, and with it the reading, would be lost; and it still freezes and kills what it was told to.
    pub(super) fn may_begin(&self, seat: &Seat, step: Step) -> bool {
        let proves = seat.claim.is_some() || seat.verified.is_some();
        match step {
            _ if !self.draining => true,
            Step::Kill | Step::Freeze | Step::End => true,
            Step::Verify | Step::Record | Step::RemoveContainer | Step::RemoveVolume => proves,
            _ => false,
        }
    }

    /// Whether it is worth a list to know what is left of a seat.
    pub(super) fn may_look(&self, step: Step) -> bool {
        !self.draining || step == Step::End
    }
}

/// What is said to whoever asks for something now.
pub(super) fn stopping(verb: &str) -> Refusal {
    Refusal::conflict(format!(
        "The agent is stopping, so `{verb}` was not begun: ask again when it runs again"
    ))
}
