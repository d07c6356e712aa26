//! Which engine the rooms are on. Another one shows none of their seats, and would make a closing look done.

use super::Control;
use crate::domain::notice::Notice;
use crate::domain::record::Change;
use crate::domain::seen::{EngineInfo, EngineState};

impl Control {
    /// Why the engine that answers is not acted on, if it is not the rooms' own.
    #[must_use]
    pub fn strange_engine(&self) -> Option<&str> {
        self.strange.as_deref()
    }

    /// What the engine's word is worth: one that is not the rooms' own counts as away.
    pub(super) fn recognised(&mut self, state: EngineState) -> EngineState {
        self.strange = None;
        let EngineState::Up(info) = &state else { return state };
        // An engine without an identity of its own cannot be told apart.
        if info.id.is_empty() || self.home.as_ref() == Some(&info.id) {
            return state;
        }
        if self.home.is_some() && !self.rooms.is_empty() && !self.rules.accept_engine {
            let why = stranger(info);
            self.strange = Some(why.clone());
            return EngineState::Down(why);
        }
        if self.home.is_some() && !self.rooms.is_empty() {
            self.tell(Notice::warning(
                "The open rooms are taken to this engine, as it was ordered",
            ));
        }
        self.home = Some(info.id.clone());
        self.write_fail_open(vec![Change::SetEngine(info.id.clone())]);
        state
    }
}

fn stranger(info: &EngineInfo) -> String {
    format!(
        "this is another engine (Docker {}, {}) than the one that the open rooms are on. Set DOCKER_HOST or [docker] host \
         back; if the engine was installed anew and the work is lost, start `labtop agent --accept-engine` once",
        info.version, info.id
    )
}
