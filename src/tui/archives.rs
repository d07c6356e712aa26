//! A list of archives: of one room or of all, the newest first, filtered, with a cursor that stays on its archive. Pure.

use crate::domain::command::ArchiveRow;
use crate::domain::ids::{ArchiveId, RoomName, SeatId};
use crate::domain::proof::VerifyMode;

use super::field::Field;
use super::model::FILTER_MAX;
use super::port::{Kept, StreamId};

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

/// The list.
#[derive(Debug)]
pub struct Archives {
    /// Number of the question that it is, or will be, the answer to.
    pub stream: StreamId,
    /// The room whose archives are shown unless all are.
    pub room: Option<RoomName>,
    /// Whether those of all rooms are shown.
    pub all: bool,
    /// How it stands with the answer.
    pub asked: Asked,
    /// Which of them are listed.
    pub filter: Field,
    /// The row under the cursor.
    pub at: usize,
    /// The first row shown.
    pub top: usize,
    rows: Vec<ArchiveRow>,
    listed: Vec<usize>,
    cursor: Option<ArchiveId>,
}

/// An archive's name, as tasks and trees need it.
#[must_use]
pub fn kept(row: &ArchiveRow) -> Kept {
    Kept {
        id: row.id.clone(),
        seat: SeatId::new(row.room.clone(), row.student.clone()),
    }
}

impl Archives {
    /// A list of which nothing came yet: of a room, or of all when there is none.
    #[must_use]
    pub fn new(stream: StreamId, room: Option<RoomName>) -> Self {
        Self {
            stream,
            all: room.is_none(),
            room,
            asked: Asked::Waiting,
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

    /// Takes the answer, which is oldest first.
    pub fn take(&mut self, rows: Result<Vec<ArchiveRow>, String>) {
        match rows {
            Ok(mut rows) => {
                rows.reverse();
                rows.sort_by(|a, b| b.created.cmp(&a.created));
                self.rows = rows;
                self.asked = Asked::Here;
            }
            Err(why) => self.asked = Asked::Failed(why),
        }
        self.arrange();
    }

    /// Notes what a look at an archive found.
    pub fn checked(&mut self, id: &ArchiveId, good: bool) {
        if let Some(row) = self.rows.iter_mut().find(|row| row.id == *id) {
            row.verified = good;
        }
    }

    /// Lists anew by the filter. The cursor stays on its archive, or takes the row where it was.
    pub fn arrange(&mut self) {
        let words: Vec<String> = self.filter.value().split_whitespace().map(str::to_lowercase).collect();
        let fits = |row: &ArchiveRow| words.iter().all(|word| matches(row, word));
        self.listed = (0..self.rows.len()).filter(|at| fits(&self.rows[*at])).collect();
        let found = self.listed().position(|row| Some(&row.id) == self.cursor.as_ref());
        self.go(found.unwrap_or(self.at));
    }

    /// Puts the cursor on a row, or the nearest there is.
    pub fn go(&mut self, at: usize) {
        self.at = at.min(self.listed.len().saturating_sub(1));
        self.cursor = self.row(self.at).map(|row| row.id.clone());
    }

    /// How many are listed.
    #[must_use]
    pub fn len(&self) -> usize {
        self.listed.len()
    }

    /// Whether there are any, whatever the filter says.
    #[must_use]
    pub fn has_any(&self) -> bool {
        !self.rows.is_empty()
    }

    /// The archive of a row.
    #[must_use]
    pub fn row(&self, at: usize) -> Option<&ArchiveRow> {
        self.rows.get(*self.listed.get(at)?)
    }

    /// The archive under the cursor.
    #[must_use]
    pub fn chosen(&self) -> Option<&ArchiveRow> {
        self.row(self.at)
    }

    /// All that are listed, in order.
    pub fn listed(&self) -> impl Iterator<Item = &ArchiveRow> {
        self.listed.iter().filter_map(|at| self.rows.get(*at))
    }
}

/// How it was proven, or that it is not as it was sent: the row's word.
#[must_use]
pub fn proof(row: &ArchiveRow) -> &'static str {
    match (row.verified, row.verify) {
        (false, _) => "DAMAGED",
        (true, VerifyMode::Full) => "full",
        (true, VerifyMode::Checksum) => "checksum",
    }
}

/// Student, room, time, id, and the words that the row shows.
fn matches(row: &ArchiveRow, word: &str) -> bool {
    let marks = [
        Some(proof(row)),
        (row.torn > 0).then_some("torn"),
        (row.left_out > 0).then_some("left out"),
    ];
    let names = [row.student.as_str(), row.room.as_str(), &row.created, row.id.as_str()];
    let texts = names.into_iter().chain(marks.into_iter().flatten());
    texts.map(str::to_lowercase).any(|text| text.contains(word))
}
