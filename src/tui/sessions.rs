//! Sessions as a list, by seat, and what keys do in it.

use crate::domain::command::{Command, SessionRow};
use crate::domain::ids::{RoomName, SessionId};
use crate::domain::notice::Notice;

use super::ask::Ask;
use super::keys::{Intent, Scope};
use super::layer::Layer;
use super::listing::{Listed, Listing};
use super::model::Model;
use super::port::Outbound;
use super::{lists, rights};

/// The list.
pub type Sessions = Listing<SessionRow>;

impl Listed for SessionRow {
    type Id = SessionId;

    fn id(&self) -> SessionId {
        self.id.clone()
    }

    fn room(&self) -> &RoomName {
        &self.room
    }

    /// Student, room, time, address, and who looks in.
    fn fits(&self, word: &str) -> bool {
        let names = [self.student.as_str(), self.room.as_str(), &self.began, &self.address];
        let texts = names.into_iter().chain(self.onlooker.as_deref());
        texts.map(str::to_lowercase).any(|text| text.contains(word))
    }
}

/// Whether a key would do something now; the footer shows only those.
#[must_use]
pub fn applies(list: &Sessions, intent: Intent) -> bool {
    match intent {
        Intent::Everything => list.room.is_some(),
        Intent::Filter => list.has_any(),
        Intent::Revoke => list.chosen().is_some(),
        _ => true,
    }
}

/// Does what a key means in the list.
pub fn on_sessions(model: &mut Model, intent: Intent) -> Vec<Outbound> {
    if let Some(why) = rights::refusal(model, Scope::Sessions, intent) {
        model.tell(Notice::warning(why));
        return Vec::new();
    }
    let chosen = match model.layers.last() {
        Some(Layer::Sessions(list)) => list.chosen().cloned(),
        _ => None,
    };
    match (intent, chosen) {
        (Intent::Revoke, Some(session)) => {
            model.layers.push(Layer::Ask(Box::new(Ask::revoke(session))));
            Vec::new()
        }
        (intent, _) => lists::on_list(model, intent),
    }
}

/// A session was ended from here: it is listed no more.
pub fn revoked(model: &mut Model, command: &Command) {
    let Command::RevokeSession { session, .. } = command else {
        return;
    };
    for layer in &mut model.layers {
        if let Layer::Sessions(list) = layer {
            list.retain(|row| Some(&row.id) != session.as_ref());
        }
    }
}
