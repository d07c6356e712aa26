//! What may lie over the board. A stack of these stands where other programs have flags.

use super::archives::Archives;
use super::ask::Ask;
use super::browse::Browse;
use super::form::Form;
use super::keys::Scope;
use super::listing::Rows;
use super::log::Log;
use super::peek::Peek;
use super::port::JobId;
use super::sessions::Sessions;

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
    /// Archives.
    Archives(Box<Archives>),
    /// What is in an archive.
    Tree(Box<Browse>),
    /// Who is signed in.
    Sessions(Box<Sessions>),
    /// A code for one look into a seat.
    Peek(Box<Peek>),
    /// A seat's log, or a part of an archive.
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
            Self::Archives(_) => Scope::Archives,
            Self::Tree(_) => Scope::Tree,
            Self::Sessions(_) => Scope::Sessions,
            Self::Peek(_) => Scope::Peek,
            Self::Log(log) if log.is_live() => Scope::Log,
            Self::Log(_) => Scope::Text,
            Self::Page(..) => Scope::Page,
            Self::Filter => Scope::Filter,
        }
    }

    /// The list that it is, if it is one.
    pub fn list_mut(&mut self) -> Option<&mut dyn Rows> {
        match self {
            Self::Archives(list) => Some(list.as_mut()),
            Self::Sessions(list) => Some(list.as_mut()),
            _ => None,
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
