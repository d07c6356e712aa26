//! What may be written after `labtop roster` and `labtop sessions`.

use std::path::PathBuf;

use clap::{ArgGroup, Args, Subcommand};

use super::{SeatArgs, minutes};
use crate::domain::ids::{RoomName, StudentId};
use crate::domain::roster::{Email, PersonName};

/// `labtop roster …`.
#[derive(Debug, Clone, Subcommand)]
pub enum RosterVerb {
    /// Make the students of a file the room's roster. All of it, or, when a line is wrong, nothing.
    #[command(
        after_help = "The file is UTF-8 with commas or semicolons: id, name, email, minutes; only the id must be there. A first
line with these words names the columns, in any order. Minutes are a student's own, when they are
not the room's. Who is not in the file is taken off the roster; their name and code stay for other
rooms, and a seat that they have stays until its lease ends or the room closes.

Example:
  labtop roster import exam-1 class.csv --dry-run"
    )]
    Import(ImportArgs),
    /// Put one student on a room's roster, or change what it says of them.
    Add(AddArgs),
    /// Take a student off a room's roster; their seat stays until its lease ends or the room closes.
    Remove(StudentArgs),
    /// Move a student to another room's roster.
    Move(MoveArgs),
    /// List a room's roster.
    Ls {
        /// The room.
        room: RoomName,
        /// An array of students as JSON.
        #[arg(long)]
        json: bool,
    },
    /// Give access codes to those who have none, and print a card for each student.
    #[command(
        after_help = "Codes are stored as hashes, so that a card with an older code cannot be printed again: it says so, and
`labtop roster reissue` gives a new one.

Examples:
  labtop roster cards exam-1 --out cards.html
  labtop roster cards exam-1 --json > codes.json"
    )]
    Cards(CardsArgs),
    /// Give students new access codes in place of those that they have; whoever is signed in with an old one is out.
    Reissue(ReissueArgs),
}

/// `labtop roster import`.
#[derive(Debug, Clone, Args)]
pub struct ImportArgs {
    /// The room; it need not be open.
    pub room: RoomName,
    /// The file; - for standard input.
    pub file: PathBuf,
    /// Only check, and say what would change.
    #[arg(long)]
    pub dry_run: bool,
    /// Ask nothing.
    #[arg(long, short)]
    pub yes: bool,
}

/// `labtop roster add`.
#[derive(Debug, Clone, Args)]
pub struct AddArgs {
    /// The room; it need not be open.
    pub room: RoomName,
    /// The student.
    pub student: StudentId,
    /// Their name.
    #[arg(long)]
    pub name: Option<PersonName>,
    /// Their mail address.
    #[arg(long)]
    pub email: Option<Email>,
    /// How long their seat is held, minutes; else as the room's.
    #[arg(long, short, value_name = "M", value_parser = minutes())]
    pub minutes: Option<u32>,
    /// Ask nothing.
    #[arg(long, short)]
    pub yes: bool,
}

/// One student of a room.
#[derive(Debug, Clone, Args)]
pub struct StudentArgs {
    /// The room.
    pub room: RoomName,
    /// The student.
    pub student: StudentId,
    /// Ask nothing.
    #[arg(long, short)]
    pub yes: bool,
}

/// `labtop roster move`.
#[derive(Debug, Clone, Args)]
pub struct MoveArgs {
    /// From this room.
    pub room: RoomName,
    /// The student.
    pub student: StudentId,
    /// To this one.
    pub to: RoomName,
    /// Ask nothing.
    #[arg(long, short)]
    pub yes: bool,
}

/// `labtop roster cards`.
#[derive(Debug, Clone, Args)]
pub struct CardsArgs {
    /// The room.
    pub room: RoomName,
    /// A page to print, in a file that is not there yet; without it, a table here.
    #[arg(long, value_name = "FILE.html")]
    pub out: Option<PathBuf>,
    /// An array of cards as JSON.
    #[arg(long, conflicts_with = "out")]
    pub json: bool,
    /// Ask nothing.
    #[arg(long, short)]
    pub yes: bool,
}

/// `labtop roster reissue`.
#[derive(Debug, Clone, Args)]
#[command(group = ArgGroup::new("whose").required(true).args(["students", "all"]))]
pub struct ReissueArgs {
    /// What is printed, and where to.
    #[command(flatten)]
    pub cards: CardsArgs,
    /// These students.
    pub students: Vec<StudentId>,
    /// Everybody on the roster.
    #[arg(long)]
    pub all: bool,
}

/// `labtop sessions …`.
#[derive(Debug, Clone, Subcommand)]
pub enum SessionsVerb {
    /// List who is signed in.
    Ls {
        /// Only in this room.
        room: Option<RoomName>,
        /// An array of sessions as JSON.
        #[arg(long)]
        json: bool,
    },
    /// Sign a student out, and forget their wrong codes; the seat goes on.
    Revoke(SeatArgs),
}
