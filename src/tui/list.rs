//! Which seats are listed, and in what order. Pure.

use std::cmp::{Ordering, Reverse};

use crate::domain::ids::{RoomName, SeatId};
use crate::domain::snapshot::{Phase, SeatView, Snapshot};

/// What the rows are ordered by. Equal rows are ordered by room and student, so that rows do not dance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sort {
    /// Student, numbers counted as numbers.
    Student,
    /// Most CPU first.
    Cpu,
    /// Most memory first.
    Memory,
    /// Troubles first, then along a seat's life.
    Phase,
    /// The soonest end first.
    Lease,
}

impl Sort {
    /// The next one in the cycle.
    #[must_use]
    pub fn next(self) -> Self {
        match self {
            Self::Student => Self::Cpu,
            Self::Cpu => Self::Memory,
            Self::Memory => Self::Phase,
            Self::Phase => Self::Lease,
            Self::Lease => Self::Student,
        }
    }

    /// The word for people.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Student => "student",
            Self::Cpu => "cpu",
            Self::Memory => "memory",
            Self::Phase => "phase",
            Self::Lease => "lease",
        }
    }
}

/// Where a listed seat is in the snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Row {
    room: usize,
    seat: usize,
}

impl Row {
    /// The seat, in the snapshot that the row was made from.
    #[must_use]
    pub fn of(self, snapshot: &Snapshot) -> Option<&SeatView> {
        snapshot.rooms.get(self.room)?.seats.get(self.seat)
    }
}

/// The id of a seat that is shown.
#[must_use]
pub fn id_of(seat: &SeatView) -> SeatId {
    SeatId::new(seat.room.clone(), seat.student.clone())
}

/// The seats of one room or all that match the filter, in order.
#[must_use]
pub fn arrange(snapshot: &Snapshot, room: Option<&RoomName>, filter: &str, sort: Sort) -> Vec<Row> {
    let words: Vec<String> = filter.split_whitespace().map(str::to_lowercase).collect();
    let mut rows: Vec<(Row, &SeatView)> = snapshot
        .rooms
        .iter()
        .enumerate()
        .filter(|(_, view)| room.is_none_or(|name| *name == view.name))
        .flat_map(|(room, view)| {
            view.seats
                .iter()
                .enumerate()
                .map(move |(seat, v)| (Row { room, seat }, v))
        })
        .filter(|(_, seat)| words.iter().all(|word| matches(seat, word)))
        .collect();
    rows.sort_by(|(_, a), (_, b)| compare(sort, a, b).then_with(|| by_name(a, b)));
    rows.into_iter().map(|(row, _)| row).collect()
}

fn matches(seat: &SeatView, word: &str) -> bool {
    [seat.student.as_str(), seat.room.as_str(), seat.phase.word()]
        .iter()
        .any(|text| text.to_lowercase().contains(word))
}

fn compare(sort: Sort, a: &SeatView, b: &SeatView) -> Ordering {
    match sort {
        Sort::Student => Ordering::Equal,
        Sort::Cpu => Reverse(whole_percent(a)).cmp(&Reverse(whole_percent(b))),
        Sort::Memory => Reverse(a.memory_bytes).cmp(&Reverse(b.memory_bytes)),
        Sort::Phase => urgency(a.phase).cmp(&urgency(b.phase)),
        Sort::Lease => lease(a).cmp(&lease(b)),
    }
}

/// CPU in whole percents: rows do not change places for a tenth.
#[expect(
    clippy::cast_possible_truncation,
    reason = "a float cast saturates, and NaN becomes 0"
)]
fn whole_percent(seat: &SeatView) -> Option<i64> {
    seat.cpu_percent.map(|cpu| cpu.round() as i64)
}

fn lease(seat: &SeatView) -> u64 {
    seat.lease_seconds_left.unwrap_or(u64::MAX)
}

fn urgency(phase: Phase) -> (u8, Phase) {
    let rank = match phase {
        Phase::Failed => 0,
        Phase::Stopped => 1,
        Phase::Frozen => 2,
        _ => 3,
    };
    (rank, phase)
}

fn by_name(a: &SeatView, b: &SeatView) -> Ordering {
    natural(a.room.as_str(), b.room.as_str()).then_with(|| natural(a.student.as_str(), b.student.as_str()))
}

/// Text order in which runs of digits count as numbers: `s9` before `s10`. Never equal for different texts.
fn natural(a: &str, b: &str) -> Ordering {
    let (mut x, mut y) = (a, b);
    while !x.is_empty() && !y.is_empty() {
        let (head_x, rest_x) = split_run(x);
        let (head_y, rest_y) = split_run(y);
        let order = compare_runs(head_x, head_y);
        if order != Ordering::Equal {
            return order;
        }
        (x, y) = (rest_x, rest_y);
    }
    x.len().cmp(&y.len()).then_with(|| a.cmp(b))
}

fn compare_runs(a: &str, b: &str) -> Ordering {
    let digits = |text: &str| text.starts_with(|c: char| c.is_ascii_digit());
    if !digits(a) || !digits(b) {
        return a.cmp(b);
    }
    let (a, b) = (a.trim_start_matches('0'), b.trim_start_matches('0'));
    a.len().cmp(&b.len()).then_with(|| a.cmp(b))
}

/// The leading run of digits or of other characters, and the rest.
fn split_run(text: &str) -> (&str, &str) {
    let digits = text.starts_with(|c: char| c.is_ascii_digit());
    let end = text.find(|c: char| c.is_ascii_digit() != digits).unwrap_or(text.len());
    text.split_at(end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_count_as_numbers() {
        let mut names = ["s100", "s2", "s10", "s09", "an", "s9", "s"];
        names.sort_by(|a, b| natural(a, b));
        assert_eq!(names, ["an", "s", "s2", "s09", "s9", "s10", "s100"]);
    }
}
