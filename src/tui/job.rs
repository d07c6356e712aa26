//! Commands that this board started: how far they are, and what failed.

use crate::domain::command::{Command, Outcome, ProgressReport};
use crate::domain::ids::RoomName;

use super::human::count;
use super::port::JobId;

/// Failures kept for reading; older ones are in the notices.
pub const FAILURES_KEPT: usize = 20;

/// Where a job is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// Under way.
    Running(Option<ProgressReport>),
    /// It failed, wholly or partly; the text says how.
    Failed(String),
}

/// A command that was sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Job {
    /// Its number.
    pub id: JobId,
    /// What was asked.
    pub command: Command,
    /// Where it is.
    pub state: State,
}

impl Job {
    /// The room that it opens or closes; nothing for verbs that are over in a moment.
    #[must_use]
    pub fn room(&self) -> Option<&RoomName> {
        match &self.command {
            Command::OpenRoom { room, .. } | Command::CloseRoom { room, .. } => Some(room),
            _ => None,
        }
    }

    /// What it is, such as `kill demo/s07`.
    #[must_use]
    pub fn title(&self) -> String {
        let verb = self.command.verb();
        let short = verb.split_once(' ').map_or(verb, |(_, short)| short);
        format!("{short} {}", self.command.target())
    }
}

/// What an outcome says to people: all right, or what failed.
///
/// # Errors
/// The text of the failure.
pub fn verdict(outcome: &Outcome) -> Result<String, String> {
    match outcome {
        Outcome::Done { text } => Ok(text.clone()),
        Outcome::Failed { fault } => Err(fault.to_string()),
        Outcome::Refused { refusal } => Err(refusal.to_string()),
        Outcome::Partly { text, left } => Err(match left.first() {
            Some(first) => format!(
                "{text}; {} left: {}: {}",
                count(left.len(), "seat"),
                first.seat,
                first.fault
            ),
            None => text.clone(),
        }),
    }
}
