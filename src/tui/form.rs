//! The form that opens a room, checked while it is typed.

use std::collections::BTreeSet;

use crossterm::event::KeyEvent;

use crate::domain::command::{Command, Seats};
use crate::domain::ids::{RoomName, StudentId, TemplateName};
use crate::domain::policy::{LEASE_MINUTES_MAX, SEATS_PER_ROOM_MAX};

use super::field::Field;
use super::keys::Intent;
use super::port::JobId;

/// Longest list of students that can be typed or pasted: the largest room with long ids.
const SEATS_TEXT_MAX: usize = 64 * 1024;

/// What the keys act on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Focus {
    /// The room's name.
    Room,
    /// The template.
    Template,
    /// How many, or who.
    Seats,
    /// For how long.
    Minutes,
    /// Whether it is an exam.
    Exam,
    /// The button that opens.
    Open,
    /// The button that gives up.
    Cancel,
}

impl Focus {
    /// All of them, in order.
    pub const ALL: [Self; 7] = [
        Self::Room,
        Self::Template,
        Self::Seats,
        Self::Minutes,
        Self::Exam,
        Self::Open,
        Self::Cancel,
    ];

    fn step(self, by: usize) -> Self {
        let at = Self::ALL.iter().position(|f| *f == self).unwrap_or(0);
        Self::ALL[(at + by) % Self::ALL.len()]
    }
}

/// What the form asks of the board.
#[derive(Debug, PartialEq, Eq)]
pub enum Asked {
    /// Nothing.
    Nothing,
    /// To go away.
    Leave,
    /// To run this.
    Run(Command),
}

/// The form.
#[derive(Debug)]
pub struct Form {
    /// The room's name.
    pub room: Field,
    /// Templates to choose from, the default one first.
    pub templates: Vec<TemplateName>,
    /// Which one is chosen.
    pub template: usize,
    /// A number, or students with commas between them.
    pub seats: Field,
    /// Minutes; empty means the template's.
    pub minutes: Field,
    /// Whether it is an exam.
    pub exam: bool,
    /// What the keys act on.
    pub focus: Focus,
    /// Somebody tried to open: empty fields now say what they miss.
    pub pressed: bool,
    /// The running attempt.
    pub job: Option<JobId>,
    /// Why the last attempt failed.
    pub failure: Option<String>,
}

impl Form {
    /// An empty form.
    #[must_use]
    pub fn new(templates: Vec<TemplateName>) -> Self {
        Self {
            room: Field::new("", 64),
            templates,
            template: 0,
            seats: Field::new("", SEATS_TEXT_MAX),
            minutes: Field::new("", 8),
            exam: false,
            focus: Focus::Room,
            pressed: false,
            job: None,
            failure: None,
        }
    }

    /// The chosen template.
    #[must_use]
    pub fn chosen(&self) -> Option<&TemplateName> {
        self.templates.get(self.template)
    }

    /// What is wrong with a field, if anything is.
    #[must_use]
    pub fn problem(&self, focus: Focus) -> Option<String> {
        match focus {
            Focus::Room => room_of(self.room.value()).err(),
            Focus::Seats => seats_of(self.seats.value()).err(),
            Focus::Minutes => minutes_of(self.minutes.value()).err(),
            _ => None,
        }
    }

    /// The command, when everything is right.
    #[must_use]
    pub fn command(&self) -> Option<Command> {
        Some(Command::OpenRoom {
            room: room_of(self.room.value()).ok()?,
            template: self.chosen().cloned(),
            seats: seats_of(self.seats.value()).ok()?,
            minutes: minutes_of(self.minutes.value()).ok()?,
            exam: self.exam,
            on_demand: false,
            overrides: false,
            dry_run: false,
        })
    }

    /// The text field in focus.
    pub fn field(&mut self) -> Option<&mut Field> {
        match self.focus {
            Focus::Room => Some(&mut self.room),
            Focus::Seats => Some(&mut self.seats),
            Focus::Minutes => Some(&mut self.minutes),
            _ => None,
        }
    }

    /// Takes a key that means `intent`, if it means anything.
    pub fn key(&mut self, key: KeyEvent, intent: Option<Intent>) -> Asked {
        match intent {
            Some(Intent::Back) => return Asked::Leave,
            Some(Intent::Next) => self.focus = self.focus.step(1),
            Some(Intent::Previous) => self.focus = self.focus.step(Focus::ALL.len() - 1),
            Some(Intent::Accept) => return self.accept(),
            other => self.edit(key, other),
        }
        Asked::Nothing
    }

    /// Arrows move between templates and buttons; in a text they move, and everything else is typed.
    fn edit(&mut self, key: KeyEvent, intent: Option<Intent>) {
        let count = self.templates.len().max(1);
        match (self.focus, intent) {
            (Focus::Template, Some(Intent::Right | Intent::Mark)) => self.template = (self.template + 1) % count,
            (Focus::Template, Some(Intent::Left)) => self.template = (self.template + count - 1) % count,
            (Focus::Exam, Some(Intent::Left | Intent::Right | Intent::Mark)) => self.exam = !self.exam,
            (Focus::Open, Some(Intent::Left | Intent::Right)) => self.focus = Focus::Cancel,
            (Focus::Cancel, Some(Intent::Left | Intent::Right)) => self.focus = Focus::Open,
            _ => {
                if let Some(field) = self.field() {
                    field.key(key);
                }
            }
        }
    }

    fn accept(&mut self) -> Asked {
        match self.focus {
            Focus::Cancel => Asked::Leave,
            Focus::Open => self.open(),
            other => {
                self.focus = other.step(1);
                Asked::Nothing
            }
        }
    }

    /// The command; or the focus on the first field that is wrong.
    fn open(&mut self) -> Asked {
        self.pressed = true;
        self.failure = None;
        if self.job.is_some() {
            return Asked::Nothing;
        }
        if let Some(command) = self.command() {
            return Asked::Run(command);
        }
        let wrong = Focus::ALL.into_iter().find(|f| self.problem(*f).is_some());
        self.focus = wrong.unwrap_or(self.focus);
        Asked::Nothing
    }
}

fn room_of(text: &str) -> Result<RoomName, String> {
    text.parse()
        .map_err(|_| "1 to 32 of a-z, 0-9 and -; the first a letter or digit".to_owned())
}

fn minutes_of(text: &str) -> Result<Option<u32>, String> {
    if text.is_empty() {
        return Ok(None);
    }
    minutes(text).map(Some)
}

/// A number of minutes that a lease may have or be given.
///
/// # Errors
/// What is wrong, for people.
pub fn minutes(text: &str) -> Result<u32, String> {
    let number = text.parse().ok().filter(|n| (1..=LEASE_MINUTES_MAX).contains(n));
    number.ok_or_else(|| format!("a number from 1 to {LEASE_MINUTES_MAX}"))
}

fn seats_of(text: &str) -> Result<Seats, String> {
    if text.is_empty() {
        return Err("how many seats, or students with commas: an,bo,eve".to_owned());
    }
    if text.bytes().all(|b| b.is_ascii_digit()) {
        let number = text.parse().ok().filter(|n| (1..=SEATS_PER_ROOM_MAX).contains(n));
        return number
            .map(Seats::Numbered)
            .ok_or_else(|| format!("a room has 1 to {SEATS_PER_ROOM_MAX} seats"));
    }
    students_of(text).map(Seats::Students)
}

fn students_of(text: &str) -> Result<Vec<StudentId>, String> {
    let mut seen = BTreeSet::new();
    let mut students = Vec::new();
    for name in text.split(',').map(str::trim).filter(|name| !name.is_empty()) {
        let student: StudentId = name
            .parse()
            .map_err(|_| format!("{name:.20}: 1 to 64 letters, digits, . _ -; not first . _ -"))?;
        if !seen.insert(student.clone()) {
            return Err(format!("{student:.20} is there twice"));
        }
        students.push(student);
    }
    let most = SEATS_PER_ROOM_MAX as usize;
    match students.len() {
        0 => Err("no student is named".to_owned()),
        n if n > most => Err(format!("{n} students; a room has at most {most} seats")),
        _ => Ok(students),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seats_are_a_number_or_students() {
        assert_eq!(seats_of("30"), Ok(Seats::Numbered(30)));
        assert!(matches!(seats_of("an, bo,"), Ok(Seats::Students(list)) if list.len() == 2));
        for bad in ["", ",", "0", "901", "99999999999", "an,an", "a b", "-x", "é"] {
            assert!(seats_of(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn minutes_may_be_left_out() {
        assert_eq!(minutes_of(""), Ok(None));
        assert_eq!(minutes_of("90"), Ok(Some(90)));
        assert!(
            ["0", "-1", "1.5", "10081", "x"]
                .iter()
                .all(|bad| minutes_of(bad).is_err())
        );
    }
}
