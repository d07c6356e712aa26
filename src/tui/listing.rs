//! A list that the agent was asked for: of one room or of all, filtered, with a cursor that stays on its thing. Pure.

use std::fmt;

use crate::domain::ids::RoomName;

use super::field::Field;
use super::model::FILTER_MAX;
use super::port::StreamId;

/// Seconds after which a question that is still open is told of.
const SLOW_AFTER: u32 = 2;

/// How it stands with something that was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Asked {
    /// No answer yet.
    Waiting,
    /// It is here.
    Here,
    /// There is none, and why.
    Failed(String),
}

/// A thing that is listed.
pub trait Listed {
    /// What tells it from all others.
    type Id: Clone + PartialEq + fmt::Debug;

    /// Its id.
    fn id(&self) -> Self::Id;

    /// The room that it is of.
    fn room(&self) -> &RoomName;

    /// Whether a filter's word, in small letters, is in what the row shows.
    fn fits(&self, word: &str) -> bool;
}

/// The list.
#[derive(Debug)]
pub struct Listing<R: Listed> {
    /// Number of the question that it is, or will be, the answer to.
    pub stream: StreamId,
    /// The room whose things are shown unless all are.
    pub room: Option<RoomName>,
    /// Whether those of all rooms are shown.
    pub all: bool,
    /// How it stands with the answer.
    pub asked: Asked,
    /// Whether a question is open.
    pub open: bool,
    /// Seconds since the last question.
    pub age: u32,
    /// Which of them are listed.
    pub filter: Field,
    /// The row under the cursor.
    pub at: usize,
    /// The first row shown.
    pub top: usize,
    rows: Vec<R>,
    listed: Vec<usize>,
    cursor: Option<R::Id>,
}

impl<R: Listed> Listing<R> {
    /// A list of which nothing came yet: of a room, or of all when there is none.
    #[must_use]
    pub fn new(stream: StreamId, room: Option<RoomName>) -> Self {
        Self {
            stream,
            all: room.is_none(),
            room,
            asked: Asked::Waiting,
            open: true,
            age: 0,
            filter: Field::new("", FILTER_MAX),
            at: 0,
            top: 0,
            rows: Vec::new(),
            listed: Vec::new(),
            cursor: None,
        }
    }

    /// The room that is asked about; none for all.
    #[must_use]
    pub fn wanted(&self) -> Option<RoomName> {
        self.room.clone().filter(|_| !self.all)
    }

    /// Takes the answer, in the order in which it is shown.
    pub fn take(&mut self, rows: Result<Vec<R>, String>) {
        self.open = false;
        match rows {
            Ok(rows) => {
                self.rows = rows;
                self.asked = Asked::Here;
            }
            Err(why) => self.asked = Asked::Failed(why),
        }
        self.arrange();
    }

    /// Whether the answer is late.
    #[must_use]
    pub fn is_slow(&self) -> bool {
        self.open && self.age >= SLOW_AFTER
    }

    /// The thing with that id.
    #[must_use]
    pub fn find(&self, id: &R::Id) -> Option<&R> {
        self.rows.iter().find(|row| row.id() == *id)
    }

    /// The same, to note something about it.
    pub fn find_mut(&mut self, id: &R::Id) -> Option<&mut R> {
        self.rows.iter_mut().find(|row| row.id() == *id)
    }

    /// Leaves those out that are no more.
    pub fn retain(&mut self, lives: impl FnMut(&R) -> bool) {
        self.rows.retain(lives);
        self.arrange();
    }

    /// Whether there are any, whatever the filter says.
    #[must_use]
    pub fn has_any(&self) -> bool {
        !self.rows.is_empty()
    }

    /// The thing of a row.
    #[must_use]
    pub fn row(&self, at: usize) -> Option<&R> {
        self.rows.get(*self.listed.get(at)?)
    }

    /// The thing under the cursor.
    #[must_use]
    pub fn chosen(&self) -> Option<&R> {
        self.row(self.at)
    }

    /// All that are listed, in order.
    pub fn listed(&self) -> impl Iterator<Item = &R> {
        self.listed.iter().filter_map(|at| self.rows.get(*at))
    }
}

/// What keys do in a list, whatever is listed.
pub trait Rows {
    /// The row under the cursor.
    fn at(&self) -> usize;

    /// How many are listed.
    fn len(&self) -> usize;

    /// Puts the cursor on a row, or the nearest there is.
    fn go(&mut self, at: usize);

    /// Lists anew by the filter. The cursor stays on its thing, or takes the row where it was.
    fn arrange(&mut self);

    /// What is listed.
    fn filter(&self) -> &Field;

    /// The same, to be typed; [`Rows::arrange`] comes after it.
    fn filter_mut(&mut self) -> &mut Field;

    /// Shows those of all rooms, or of the room again; false when there is no room.
    fn toggle(&mut self) -> bool;

    /// Notes that it was asked for again: under that number when a person did it, who then waits for the answer; else
    /// unseen. Gives the number of a question that nobody waits for any more.
    fn ask_again(&mut self, stream: Option<StreamId>) -> Option<StreamId>;

    /// Number of the open question.
    fn waits_for(&self) -> Option<StreamId>;

    /// The first row shown becomes what `place` says of it, the cursor's row and their number.
    fn scroll(&mut self, place: &dyn Fn(usize, usize, usize) -> usize);

    /// A second has passed. Tells whether no question is open, and for how long there was none.
    fn tick(&mut self) -> Option<u32>;
}

impl<R: Listed> Rows for Listing<R> {
    fn at(&self) -> usize {
        self.at
    }

    fn len(&self) -> usize {
        self.listed.len()
    }

    fn go(&mut self, at: usize) {
        self.at = at.min(self.listed.len().saturating_sub(1));
        self.cursor = self.row(self.at).map(Listed::id);
    }

    fn arrange(&mut self) {
        let words: Vec<String> = self.filter.value().split_whitespace().map(str::to_lowercase).collect();
        let fits = |row: &R| words.iter().all(|word| row.fits(word));
        self.listed = (0..self.rows.len()).filter(|at| fits(&self.rows[*at])).collect();
        let found = self.listed().position(|row| Some(row.id()) == self.cursor);
        self.go(found.unwrap_or(self.at));
    }

    fn filter(&self) -> &Field {
        &self.filter
    }

    fn filter_mut(&mut self) -> &mut Field {
        &mut self.filter
    }

    fn toggle(&mut self) -> bool {
        self.all = !self.all || self.room.is_none();
        self.room.is_some()
    }

    fn ask_again(&mut self, stream: Option<StreamId>) -> Option<StreamId> {
        (self.open, self.age) = (true, 0);
        let stream = stream?;
        self.asked = Asked::Waiting;
        Some(std::mem::replace(&mut self.stream, stream))
    }

    fn waits_for(&self) -> Option<StreamId> {
        self.open.then_some(self.stream)
    }

    fn scroll(&mut self, place: &dyn Fn(usize, usize, usize) -> usize) {
        self.top = place(self.top, self.at, self.listed.len());
    }

    fn tick(&mut self) -> Option<u32> {
        self.age = self.age.saturating_add(1);
        (!self.open).then_some(self.age)
    }
}
