//! Archives as a list: the newest first.

use crate::domain::command::ArchiveRow;
use crate::domain::ids::{ArchiveId, RoomName, SeatId};
use crate::domain::proof::VerifyMode;

use super::listing::{Listed, Listing};
use super::port::Kept;

/// The list.
pub type Archives = Listing<ArchiveRow>;

/// An archive's name, as tasks and trees need it.
#[must_use]
pub fn kept(row: &ArchiveRow) -> Kept {
    Kept {
        id: row.id.clone(),
        seat: SeatId::new(row.room.clone(), row.student.clone()),
    }
}

/// The newest first, of an answer that is oldest first.
#[must_use]
pub fn newest_first(mut rows: Vec<ArchiveRow>) -> Vec<ArchiveRow> {
    rows.reverse();
    rows.sort_by(|a, b| b.created.cmp(&a.created));
    rows
}

impl Listed for ArchiveRow {
    type Id = ArchiveId;

    fn id(&self) -> ArchiveId {
        self.id.clone()
    }

    fn room(&self) -> &RoomName {
        &self.room
    }

    /// Student, room, time, id, and the words that the row shows.
    fn fits(&self, word: &str) -> bool {
        let marks = [
            Some(proof(self)),
            (self.torn > 0).then_some("torn"),
            (self.left_out > 0).then_some("left out"),
        ];
        let names = [
            self.student.as_str(),
            self.room.as_str(),
            &self.created,
            self.id.as_str(),
        ];
        let texts = names.into_iter().chain(marks.into_iter().flatten());
        texts.map(str::to_lowercase).any(|text| text.contains(word))
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
