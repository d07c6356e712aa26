//! What this person may do, as far as the board can tell beforehand. The agent decides; here keys are greyed, and say why.

use crate::domain::ids::RoomName;
use crate::domain::role::{Rights, Role};

use super::keys::{Intent, Scope};
use super::layer::Layer;
use super::model::Model;

/// The least role that what a key does takes.
fn needs(scope: Scope, intent: Intent) -> Option<Role> {
    match (scope, intent) {
        (
            Scope::Board,
            Intent::Open
            | Intent::Close
            | Intent::Extend
            | Intent::Freeze
            | Intent::Thaw
            | Intent::Hold
            | Intent::Release
            | Intent::Restart
            | Intent::Kill
            | Intent::Shell
            | Intent::Sessions
            | Intent::Peek,
        )
        | (Scope::Sessions, Intent::Revoke)
        | (Scope::Archives, Intent::Accept | Intent::Log | Intent::Verify | Intent::VerifyAll)
        | (Scope::Tree, Intent::Accept | Intent::Log | Intent::Verify) => Some(Role::Proctor),
        (Scope::Archives | Scope::Tree, Intent::Restore | Intent::Export) => Some(Role::Admin),
        _ => None,
    }
}

/// Why a key would be refused; none when it would not, or when the board does not know.
#[must_use]
pub fn refusal(model: &Model, scope: Scope, intent: Intent) -> Option<String> {
    let needs = needs(scope, intent)?;
    let rights = model.rights.as_ref()?;
    if intent == Intent::Open {
        let why = || format!("You may open no room: it takes {}", needs.one());
        return (rights.best() < Some(needs)).then(why);
    }
    let rooms = rooms(model, intent);
    let not_there = rooms.iter().find(|room| rights.role(Some(room)) < Some(needs));
    let why = |room| {
        let (takes, you) = (needs.one(), you(rights, room));
        format!("You may not do that in room {room}: it takes {takes}, and {you}")
    };
    not_there.map(why)
}

fn you(rights: &Rights, room: &RoomName) -> String {
    rights.role(Some(room)).map_or_else(
        || "you have no role there".to_owned(),
        |role| format!("you are {} there", role.one()),
    )
}

/// The rooms that a key would act on.
fn rooms(model: &Model, intent: Intent) -> Vec<RoomName> {
    match model.layers.last() {
        Some(Layer::Sessions(list)) => list.chosen().map(|row| row.room.clone()).into_iter().collect(),
        Some(Layer::Archives(list)) => list.chosen().map(|row| row.room.clone()).into_iter().collect(),
        Some(Layer::Tree(tree)) => vec![tree.archive.seat.room.clone()],
        // These are about the seat under the cursor, or the room shown, whatever is marked.
        _ if matches!(intent, Intent::Shell | Intent::Peek) => {
            model.cursor.iter().map(|seat| seat.room.clone()).collect()
        }
        _ if model.marks.is_empty() || intent == Intent::Sessions => model.room_meant().into_iter().collect(),
        _ => model.marks.keys().map(|seat| seat.room.clone()).collect(),
    }
}
