//! Commands and tasks that this board started: how far they are, and what failed.

use crate::domain::command::{Command, Outcome, ProgressReport};
use crate::domain::ids::RoomName;

use super::human::count;
use super::port::{JobId, Kept, Task};

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

/// What is done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Work {
    /// The agent does it, also when this board is left.
    Command(Command),
    /// This program does it.
    Task(Task),
}

/// Something that was sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Job {
    /// Its number.
    pub id: JobId,
    /// What was asked.
    pub work: Work,
    /// Where it is.
    pub state: State,
    /// For how long it has been under way, seconds.
    pub seconds: u32,
    /// Whether it was told to stop.
    pub cancelled: bool,
}

impl Job {
    /// Something that was sent just now.
    #[must_use]
    pub fn new(id: JobId, work: Work) -> Self {
        Self {
            id,
            work,
            state: State::Running(None),
            seconds: 0,
            cancelled: false,
        }
    }

    /// The room that it opens or closes; nothing for verbs that are over in a moment.
    #[must_use]
    pub fn room(&self) -> Option<&RoomName> {
        match &self.work {
            Work::Command(Command::OpenRoom { room, .. } | Command::CloseRoom { room, .. }) => Some(room),
            _ => None,
        }
    }

    /// Its task, while it is under way.
    #[must_use]
    pub fn task(&self) -> Option<&Task> {
        match (&self.work, &self.state) {
            (Work::Task(task), State::Running(_)) => Some(task),
            _ => None,
        }
    }

    /// Whether it is a task under way about that archive.
    #[must_use]
    pub fn is_about(&self, archive: &Kept) -> bool {
        match self.task() {
            Some(Task::Verify(archives)) => archives.contains(archive),
            Some(Task::Restore { archive: one, .. }) => one == archive,
            Some(Task::Export { room, .. }) => *room == archive.seat.room,
            None => false,
        }
    }

    /// What it is, such as `kill demo/s07`.
    #[must_use]
    pub fn title(&self) -> String {
        match &self.work {
            Work::Command(command) => {
                let verb = command.verb();
                let short = verb.split_once(' ').map_or(verb, |(_, short)| short);
                format!("{short} {}", command.target())
            }
            Work::Task(task) => format!("{} {}", word(task), target(task)),
        }
    }
}

fn word(task: &Task) -> &'static str {
    match task {
        Task::Verify(_) => "verify",
        Task::Restore { .. } => "restore",
        Task::Export { .. } => "export",
    }
}

/// What a task is aimed at.
#[must_use]
pub fn target(task: &Task) -> String {
    match task {
        Task::Verify(archives) => match &archives[..] {
            [one] => one.seat.to_string(),
            many => count(many.len(), "archive"),
        },
        Task::Restore { archive, .. } => archive.seat.to_string(),
        Task::Export { room, .. } => room.to_string(),
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
