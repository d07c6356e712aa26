//! A code for one look into a seat, as long as it can be used. Whoever sees it may look: it is shown nowhere else.

use crate::domain::ids::SeatId;

use super::port::{Pass, StreamId};

/// The dialog.
#[derive(Debug)]
pub struct Peek {
    /// Number of the question that brings the code.
    pub stream: StreamId,
    /// The seat, as it was at the key press.
    pub seat: SeatId,
    /// How it stands.
    pub state: State,
}

/// How it stands with a code.
#[derive(Debug)]
pub enum State {
    /// It is asked for.
    Waiting,
    /// It is here, and can be used for so many seconds.
    Given(Pass),
    /// There is none, and why.
    Failed(String),
}

impl Peek {
    /// A code of which nothing came yet.
    #[must_use]
    pub fn new(stream: StreamId, seat: SeatId) -> Self {
        let state = State::Waiting;
        Self { stream, seat, state }
    }

    /// Takes the answer.
    pub fn take(&mut self, pass: Result<Pass, String>) {
        self.state = pass.map_or_else(State::Failed, State::Given);
    }

    /// A second has passed. A code that cannot be used any more is forgotten.
    pub fn tick(&mut self) {
        if let State::Given(pass) = &mut self.state {
            pass.seconds = pass.seconds.saturating_sub(1);
            if pass.seconds == 0 {
                self.state = State::Failed("The code cannot be used any more: press P for a new one".to_owned());
            }
        }
    }
}
