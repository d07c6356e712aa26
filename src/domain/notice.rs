//! Short news for people, shown on every board.

use serde::{Deserialize, Serialize};

use super::ids::RoomName;
use super::role::Rights;

/// How much a notice matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// Good to know.
    Info,
    /// Somebody should look.
    Warning,
    /// Somebody was at a door that is not theirs, or seems to have been: it is told of until somebody looked.
    Incident,
    /// Something failed.
    Error,
}

/// One piece of news.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notice {
    /// How much it matters.
    pub level: Level,
    /// Names the thing, the cause and the next step.
    pub text: String,
    /// The room that it is about, when it is about one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub room: Option<RoomName>,
    /// The host's time of day when it was told, `HH:MM:SS`; empty when that is not known.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub time: String,
}

impl Notice {
    fn new(level: Level, text: String) -> Self {
        Self {
            level,
            text,
            room: None,
            time: String::new(),
        }
    }

    /// Good to know.
    pub fn info(text: impl Into<String>) -> Self {
        Self::new(Level::Info, text.into())
    }

    /// Somebody should look.
    pub fn warning(text: impl Into<String>) -> Self {
        Self::new(Level::Warning, text.into())
    }

    /// Somebody was at a door that is not theirs, or seems to have been.
    pub fn incident(text: impl Into<String>) -> Self {
        Self::new(Level::Incident, text.into())
    }

    /// Something failed.
    pub fn error(text: impl Into<String>) -> Self {
        Self::new(Level::Error, text.into())
    }

    /// The same, for those who see that room.
    #[must_use]
    pub fn about(self, room: &RoomName) -> Self {
        Self {
            room: Some(room.clone()),
            ..self
        }
    }

    /// The same, told at that time of day.
    #[must_use]
    pub fn at(self, time: String) -> Self {
        Self { time, ..self }
    }

    /// Whether it tells of the same as `other`: an incident between two rooms is told of in each.
    #[must_use]
    pub fn is_same_event(&self, other: &Self) -> bool {
        (self.level, &self.text, &self.time) == (other.level, &other.text, &other.time)
    }

    /// Whether somebody with these rights is told.
    #[must_use]
    pub fn seen_by(&self, rights: &Rights) -> bool {
        self.room.as_ref().is_none_or(|room| rights.sees(room))
    }
}
