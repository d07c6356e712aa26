//! What may be written after `labtop archive`.

use std::path::PathBuf;

use clap::{ArgGroup, Args, Subcommand};

use super::minutes;
use crate::domain::ids::{ArchiveId, RoomName, SeatId, TemplateName};

/// `labtop archive …`.
#[derive(Debug, Clone, Subcommand)]
pub enum ArchiveVerb {
    /// List archives, oldest first.
    Ls {
        /// Only those of this room.
        #[arg(long)]
        room: Option<RoomName>,
        /// An array of archives as JSON.
        #[arg(long)]
        json: bool,
    },
    /// Read stored archives back and compare them with what was sent.
    Verify(VerifyArgs),
    /// List what is in an archive, or print one of its files.
    #[command(after_help = "Examples:
  labtop archive show 20261124T034512Z-7f3a9c1b
  labtop archive show 20261124T034512Z-7f3a9c1b workspace/main.c
  labtop archive show 20261124T034512Z-7f3a9c1b --log")]
    Show(ShowArgs),
    /// Make a new seat of an archive, or take its whole work out into a new directory that only you can enter.
    #[command(
        after_help = "A seat is made for the same student, in a room that is opened unless it is open.

Examples:
  labtop archive restore 20261124T034512Z-7f3a9c1b --to resit/an
  labtop archive restore 20261124T034512Z-7f3a9c1b --to-dir an-final"
    )]
    Restore(RestoreArgs),
    /// Take the newest work of every student of a room out for marking: one folder a student.
    #[command(
        after_help = "What changed outside the workspaces is left out; `archive restore --to-dir` gives that, too.

Examples:
  labtop archive export final --out final-2026"
    )]
    Export(ExportArgs),
}

/// `labtop archive export`.
#[derive(Debug, Clone, Args)]
pub struct ExportArgs {
    /// The room.
    pub room: RoomName,
    /// Where to: a directory that is not there yet, or is empty.
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    /// Ask nothing.
    #[arg(long)]
    pub yes: bool,
}

/// `labtop archive restore`.
#[derive(Debug, Clone, Args)]
#[command(group = ArgGroup::new("target").required(true).args(["to", "to_dir"]))]
pub struct RestoreArgs {
    /// Which archive.
    pub id: ArchiveId,
    /// As which seat: of the same student, and not there yet.
    #[arg(long, value_name = "ROOM/STUDENT")]
    pub to: Option<SeatId>,
    /// Where to: a directory that is not there yet, or is empty.
    #[arg(long, value_name = "DIR")]
    pub to_dir: Option<PathBuf>,
    /// What the seat is made of, if its room is not open; else the configuration's default template.
    #[arg(long, short, requires = "to")]
    pub template: Option<TemplateName>,
    /// How long the seat is held, minutes; else the template's.
    #[arg(long, short, value_name = "M", value_parser = minutes(), requires = "to")]
    pub minutes: Option<u32>,
    /// Ask nothing.
    #[arg(long)]
    pub yes: bool,
}

/// `labtop archive verify`.
#[derive(Debug, Clone, Args)]
pub struct VerifyArgs {
    /// This archive.
    #[arg(required_unless_present_any = ["room", "all"])]
    pub id: Option<ArchiveId>,
    /// All of this room.
    #[arg(long, conflicts_with_all = ["id", "all"])]
    pub room: Option<RoomName>,
    /// All there are.
    #[arg(long, conflicts_with = "id")]
    pub all: bool,
}

/// `labtop archive show`.
#[derive(Debug, Clone, Args)]
pub struct ShowArgs {
    /// Which archive.
    pub id: ArchiveId,
    /// A file in it, named as in the list.
    pub path: Option<String>,
    /// What the seat printed.
    #[arg(long, conflicts_with = "path")]
    pub log: bool,
}
