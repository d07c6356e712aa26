//! A question before a verb runs. It pins what the person saw when the key was pressed: the seat and its container.
//!
//! Cancel has the focus at first, so Enter does nothing. What fails is told in the dialog that started it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crossterm::event::{KeyCode, KeyEvent};

use crate::domain::command::{Command, SessionRow};
use crate::domain::ids::{ContainerId, RoomName, SeatId, StudentId};
use crate::domain::snapshot::{SeatView, Snapshot};

use super::field::Field;
use super::form::minutes;
use super::job::Work;
use super::keys::Intent;
use super::list::id_of;
use super::port::{JobId, Kept, Task};

/// Minutes that an extension offers at first: half a lesson's overrun.
const EXTEND_OFFERED: &str = "30";
/// Longest path that can be typed, characters: the kernel takes no longer one.
const PATH_CHARS: usize = 4096;

/// A seat as it was at the key press.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pin {
    /// Which.
    pub seat: SeatId,
    /// The container that the person saw.
    pub container: Option<ContainerId>,
}

/// What has become of a pinned seat.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It is as it was.
    Same,
    /// It has another container now.
    Changed,
    /// It is no more.
    Gone,
}

impl Pin {
    /// Pins a seat.
    #[must_use]
    pub fn new(seat: &SeatView) -> Self {
        Self {
            seat: id_of(seat),
            container: seat.container_id.clone(),
        }
    }

    /// What has become of it.
    #[must_use]
    pub fn fate(&self, snapshot: Option<&Snapshot>) -> Fate {
        let seat = snapshot.and_then(|s| find(s, &self.seat));
        match seat {
            None => Fate::Gone,
            Some(seat) if seat.container_id == self.container => Fate::Same,
            Some(_) => Fate::Changed,
        }
    }
}

/// The seat with that id.
#[must_use]
pub fn find<'a>(snapshot: &'a Snapshot, id: &SeatId) -> Option<&'a SeatView> {
    let room = snapshot.rooms.iter().find(|room| room.name == id.room)?;
    room.seats.iter().find(|seat| seat.student == id.student)
}

/// A verb that waits for its yes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    /// Kill.
    Kill,
    /// Restart.
    Restart,
    /// Freeze.
    Freeze,
    /// Thaw.
    Thaw,
    /// Hold.
    Hold,
    /// Release.
    Release,
    /// Extend by the minutes in the field.
    Extend,
    /// Close the room whose name is in the field.
    Close,
    /// Restore an archive to the directory in the field.
    Restore,
    /// Export a room's work to the directory in the field.
    Export,
    /// End a session.
    Revoke,
}

impl Verb {
    /// The word on the button.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Kill => "Kill",
            Self::Restart => "Restart",
            Self::Freeze => "Freeze",
            Self::Thaw => "Thaw",
            Self::Hold => "Hold",
            Self::Release => "Release",
            Self::Extend => "Extend",
            Self::Close => "Close",
            Self::Restore => "Restore",
            Self::Export => "Export",
            Self::Revoke => "Revoke",
        }
    }

    /// What it will do, in one sentence.
    #[must_use]
    pub fn consequence(self) -> &'static str {
        match self {
            Self::Kill => "The program ends at once and stays stopped. Files are kept.",
            Self::Restart => "The program ends and starts again. Files are kept.",
            Self::Freeze => "Everything stands still until it is thawed.",
            Self::Thaw => "Frozen programs go on where they stood.",
            Self::Hold => "No lease ends until it is released.",
            Self::Release => "Leases end again; one that is over is announced first.",
            Self::Extend => "Every lease ends that much later.",
            Self::Close => "Every seat is frozen, archived, verified, then removed.",
            Self::Revoke => "That browser is signed out at once. The seat goes on, and a student may sign in again.",
            Self::Restore => "Its files are written on this host, into this new directory, which only you can enter:",
            Self::Export => {
                "Each student's newest work is written on this host, a folder each, into this new directory:"
            }
        }
    }
}

/// What a button is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Choice {
    /// Do nothing.
    Cancel,
    /// To the pinned seats.
    Seats,
    /// To the whole room.
    Room(RoomName),
    /// Make the files in the directory.
    Files,
    /// End the session.
    Session,
}

/// What has the focus.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Focus {
    /// The text field.
    Field,
    /// A button, by its place.
    Button(usize),
}

/// The question.
#[derive(Debug)]
pub struct Ask {
    /// What is asked.
    pub verb: Verb,
    /// The seats it is about, as they were at the key press.
    pub pins: Vec<Pin>,
    /// The room it is about.
    pub room: Option<RoomName>,
    /// The archive it is about.
    pub archive: Option<Kept>,
    /// The session that it is about, as it was at the key press.
    pub session: Option<SessionRow>,
    /// The directory that a path in the field begins at.
    pub here: PathBuf,
    /// A text that the verb needs.
    pub field: Option<Field>,
    /// The buttons; the first one is Cancel.
    pub choices: Vec<Choice>,
    /// What has the focus.
    pub focus: Focus,
    /// Commands that are under way.
    pub jobs: BTreeSet<JobId>,
    /// What failed.
    pub failures: Vec<String>,
    /// Whether it was confirmed: from then on it only shows what comes of it.
    pub sent: bool,
}

/// What a dialog asks of the board.
#[derive(Debug, PartialEq, Eq)]
pub enum Asked {
    /// Nothing.
    Nothing,
    /// To go away.
    Leave,
    /// To run these.
    Run(Vec<Work>),
}

impl Ask {
    /// A question about seats, and about their room when they are in one and the verb has a form for rooms.
    #[must_use]
    pub fn seats(verb: Verb, pins: Vec<Pin>) -> Self {
        let room = common_room(&pins);
        let mut choices = vec![Choice::Cancel, Choice::Seats];
        if let (Verb::Freeze | Verb::Thaw | Verb::Hold | Verb::Release | Verb::Extend, Some(room)) = (verb, &room) {
            choices.push(Choice::Room(room.clone()));
        }
        let field = (verb == Verb::Extend).then(|| Field::new(EXTEND_OFFERED, 8));
        Self::new(verb, pins, room, field, choices)
    }

    /// The question before a room is closed: its name is to be typed.
    #[must_use]
    pub fn close(room: RoomName) -> Self {
        let choices = vec![Choice::Cancel, Choice::Room(room.clone())];
        Self::new(Verb::Close, Vec::new(), Some(room), Some(Field::new("", 64)), choices)
    }

    /// The question before an archive is restored: the directory is to be named. `here` is where paths begin.
    #[must_use]
    pub fn restore(archive: Kept, here: PathBuf) -> Self {
        let offered = format!("{}-{}-{}", archive.seat.room, archive.seat.student, archive.id);
        let choices = vec![Choice::Cancel, Choice::Files];
        let field = Field::new(&offered, PATH_CHARS);
        let ask = Self::new(Verb::Restore, Vec::new(), None, Some(field), choices);
        Self {
            archive: Some(archive),
            here,
            ..ask
        }
    }

    /// The question before a room's work is exported: the directory is to be named. `here` is where paths begin.
    #[must_use]
    pub fn export(room: RoomName, here: PathBuf) -> Self {
        let field = Field::new(&format!("{room}-work"), PATH_CHARS);
        let choices = vec![Choice::Cancel, Choice::Files];
        let ask = Self::new(Verb::Export, Vec::new(), Some(room), Some(field), choices);
        Self { here, ..ask }
    }

    /// The question before a session is ended.
    #[must_use]
    pub fn revoke(session: SessionRow) -> Self {
        let choices = vec![Choice::Cancel, Choice::Session];
        Self {
            session: Some(session),
            ..Self::new(Verb::Revoke, Vec::new(), None, None, choices)
        }
    }

    /// The directory that files are made in, as it is now.
    #[must_use]
    pub fn target(&self) -> Option<PathBuf> {
        let field = self
            .field
            .as_ref()
            .filter(|_| matches!(self.verb, Verb::Restore | Verb::Export))?;
        Some(self.here.join(Path::new(field.value())))
    }

    fn new(verb: Verb, pins: Vec<Pin>, room: Option<RoomName>, field: Option<Field>, choices: Vec<Choice>) -> Self {
        let focus = if field.is_some() {
            Focus::Field
        } else {
            Focus::Button(0)
        };
        Self {
            verb,
            pins,
            room,
            archive: None,
            session: None,
            here: PathBuf::new(),
            field,
            choices,
            focus,
            jobs: BTreeSet::new(),
            failures: Vec::new(),
            sent: false,
        }
    }

    /// What is wrong with the text, if anything is.
    #[must_use]
    pub fn problem(&self) -> Option<String> {
        let typed = self.field.as_ref()?.value();
        match (self.verb, &self.room) {
            (Verb::Extend, _) => minutes(typed).err(),
            (Verb::Restore | Verb::Export, _) if typed.is_empty() => {
                Some("type a directory that is not there yet".to_owned())
            }
            (Verb::Restore | Verb::Export, _) if typed.starts_with('~') => {
                Some("~ means nothing here: type the whole path".to_owned())
            }
            (Verb::Close, Some(room)) if typed != room.as_str() => Some(format!("type {room} to close it")),
            _ => None,
        }
    }

    /// Takes a key that means `intent`, if it means anything.
    pub fn key(&mut self, key: KeyEvent, intent: Option<Intent>) -> Asked {
        if self.sent {
            let leave = matches!(intent, Some(Intent::Back | Intent::Accept));
            return if leave { Asked::Leave } else { Asked::Nothing };
        }
        let moves_in_text = matches!(key.code, KeyCode::Char(_) | KeyCode::Left | KeyCode::Right);
        if self.focus == Focus::Field && (moves_in_text || intent.is_none()) {
            return self.typed(key);
        }
        self.meant(intent)
    }

    fn typed(&mut self, key: KeyEvent) -> Asked {
        if let Some(field) = &mut self.field {
            field.key(key);
        }
        Asked::Nothing
    }

    fn meant(&mut self, intent: Option<Intent>) -> Asked {
        match intent {
            Some(Intent::Back) => return Asked::Leave,
            Some(Intent::Next) => self.step(1),
            Some(Intent::Previous) => self.step(self.stops() - 1),
            Some(Intent::Yes) if self.field.is_none() => return self.confirm(1),
            Some(Intent::Accept) => return self.accept(),
            _ => {}
        }
        Asked::Nothing
    }

    /// Places that the focus can be at.
    fn stops(&self) -> usize {
        self.choices.len() + usize::from(self.field.is_some())
    }

    fn step(&mut self, by: usize) {
        let fields = usize::from(self.field.is_some());
        let at = match self.focus {
            Focus::Field => 0,
            Focus::Button(button) => button + fields,
        };
        let next = (at + by) % self.stops();
        self.focus = if next < fields {
            Focus::Field
        } else {
            Focus::Button(next - fields)
        };
    }

    fn accept(&mut self) -> Asked {
        match self.focus {
            Focus::Field => {
                self.step(1);
                Asked::Nothing
            }
            Focus::Button(button) => self.confirm(button),
        }
    }

    /// Presses a button.
    fn confirm(&mut self, button: usize) -> Asked {
        let Some(choice) = self.choices.get(button).cloned() else {
            return Asked::Nothing;
        };
        if choice == Choice::Cancel {
            return Asked::Leave;
        }
        if self.problem().is_some() {
            self.focus = Focus::Field;
            return Asked::Nothing;
        }
        self.sent = true;
        Asked::Run(self.works(&choice))
    }

    fn works(&self, choice: &Choice) -> Vec<Work> {
        match (choice, self.task()) {
            (Choice::Files, Some(task)) => vec![Work::Task(task)],
            _ => self.commands(choice).into_iter().map(Work::Command).collect(),
        }
    }

    fn task(&self) -> Option<Task> {
        let to = self.target()?;
        match (&self.archive, &self.room) {
            (Some(archive), _) => {
                let archive = archive.clone();
                Some(Task::Restore { archive, to })
            }
            (None, Some(room)) => {
                let room = room.clone();
                Some(Task::Export { room, to })
            }
            (None, None) => None,
        }
    }

    fn commands(&self, choice: &Choice) -> Vec<Command> {
        match choice {
            Choice::Cancel | Choice::Files => Vec::new(),
            Choice::Session => self.session.as_ref().map(revocation).into_iter().collect(),
            Choice::Room(room) => self.for_room(room.clone(), None).into_iter().collect(),
            Choice::Seats => self.pins.iter().filter_map(|pin| self.for_pin(pin)).collect(),
        }
    }

    fn for_pin(&self, pin: &Pin) -> Option<Command> {
        let (seat, container) = (pin.seat.clone(), pin.container.clone());
        match self.verb {
            Verb::Kill => Some(Command::KillSeat { seat, container }),
            Verb::Restart => Some(Command::RestartSeat { seat, container }),
            Verb::Close | Verb::Restore | Verb::Export | Verb::Revoke => None,
            Verb::Freeze | Verb::Thaw | Verb::Hold | Verb::Release | Verb::Extend => {
                self.for_room(seat.room, Some(seat.student))
            }
        }
    }

    fn for_room(&self, room: RoomName, student: Option<StudentId>) -> Option<Command> {
        match self.verb {
            Verb::Freeze => Some(Command::FreezeRoom { room, student }),
            Verb::Thaw => Some(Command::ThawRoom { room, student }),
            Verb::Hold => Some(Command::HoldRoom { room, student }),
            Verb::Release => Some(Command::ReleaseRoom { room, student }),
            Verb::Close => Some(Command::CloseRoom { room, discard: false }),
            Verb::Extend => {
                let minutes = minutes(self.field.as_ref()?.value()).ok()?;
                Some(Command::ExtendRoom { room, student, minutes })
            }
            Verb::Kill | Verb::Restart | Verb::Restore | Verb::Export | Verb::Revoke => None,
        }
    }
}

/// Ends the session that the person saw, and no later one of the same seat.
fn revocation(session: &SessionRow) -> Command {
    Command::RevokeSession {
        room: session.room.clone(),
        student: session.student.clone(),
        session: Some(session.id.clone()),
    }
}

fn common_room(pins: &[Pin]) -> Option<RoomName> {
    let room = &pins.first()?.seat.room;
    pins.iter().all(|pin| pin.seat.room == *room).then(|| room.clone())
}
