//! What may lie over the board. A stack of these stands where other programs have flags.

use super::ask::Ask;
use super::form::Form;
use super::keys::Scope;
use super::log::Log;
use super::port::JobId;

/// A text that is only read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Topic {
    /// All keys.
    Help,
    /// All notices.
    News,
}

/// A layer; the topmost one gets the keys.
#[derive(Debug)]
pub enum Layer {
    /// A question before a verb.
    Ask(Box<Ask>),
    /// The form that opens a room.
    Form(Box<Form>),
    /// A seat's log.
    Log(Box<Log>),
    /// A text, scrolled down by so many lines.
    Page(Topic, usize),
    /// The filter is being typed.
    Filter,
}

impl Layer {
    /// Which keys apply.
    #[must_use]
    pub fn scope(&self) -> Scope {
        match self {
            Self::Ask(_) => Scope::Dialog,
            Self::Form(_) => Scope::Form,
            Self::Log(_) => Scope::Log,
            Self::Page(..) => Scope::Page,
            Self::Filter => Scope::Filter,
        }
    }

    /// Whether a command was started here, so that its failure is told here.
    #[must_use]
    pub fn owns(&self, job: JobId) -> bool {
        match self {
            Self::Ask(ask) => ask.jobs.contains(&job),
            Self::Form(form) => form.job == Some(job),
            _ => false,
        }
    }
}
