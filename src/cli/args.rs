//! What may be written on the command line.
//!
//! Knows: words, and the domain's rules for ids. Must not know: what the verbs do.
#![expect(
    clippy::doc_markdown,
    reason = "these comments are the help on the terminal, where backticks would show"
)]

mod archive;
mod people;

use std::path::PathBuf;

use clap::{ArgGroup, Args, Parser, Subcommand, value_parser};

pub use archive::{ArchiveVerb, ExportArgs, RestoreArgs, ShowArgs, VerifyArgs};
pub use people::{CardsArgs, ImportArgs, MoveArgs, ReissueArgs, RosterVerb, SessionsVerb, StudentArgs};

use crate::domain::command::Seats;
use crate::domain::ids::{InstanceId, RoomName, SeatId, StudentId, TemplateName};
use crate::domain::policy::{LEASE_MINUTES_MAX, SEATS_PER_ROOM_MAX};

const EXAMPLES: &str = "\
Examples:
  labtop demo                                  a room of twelve seats to look at
  labtop                                       the board
  labtop room open algebra --seats 30 --minutes 90
  labtop ls algebra
  labtop seat kill algebra/s07
  labtop room close algebra                    archive, verify, tear down

Exit codes: 0 done, 1 failed, 2 wrong usage, 3 refused, 4 no agent or no Docker, 5 partly done.
State is kept in $LABTOP_STATE, else /var/lib/labtop for root, else $XDG_STATE_HOME/labtop.";

/// top for computer labs: rooms of student containers, watched, archived and closed.
///
/// Without a verb it shows the board.
#[derive(Debug, Clone, Parser)]
#[command(name = "labtop", version, after_help = EXAMPLES)]
pub struct Cli {
    /// Configuration file; else $LABTOP_CONFIG, $XDG_CONFIG_HOME/labtop/config.toml, /etc/labtop/config.toml.
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// What to do; nothing means the board.
    #[command(subcommand)]
    pub verb: Option<Verb>,
}

/// What to do.
#[derive(Debug, Clone, Subcommand)]
pub enum Verb {
    /// Verbs that ask an agent.
    #[command(flatten)]
    Client(ClientVerb),
    /// Run the agent in the foreground: it owns Docker, leases, archives and ledger.
    #[command(
        after_help = "SIGTERM or SIGINT: it begins nothing new, lets archives under way come to their end within
[agent] grace_seconds (90), and exits 0; a second one ends it at once. Another agent of the same
state directory: it says which, and exits 1. Under systemd (the unit labtop-agent) it reports when
it is ready, how it stands and that it lives, and logs to the journal; else to log/agent.log in the
state directory ($LABTOP_LOG: error, warn, info, debug, trace). Figures for Prometheus:
[agent] metrics_socket."
    )]
    Agent(AgentArgs),
    /// Run the students' door: login pages, and the answers to Traefik.
    #[command(
        after_help = "It has no way to Docker, the ledger or the archives, and asks the agent over its socket, which knows its
user by [roles] gateway. Its signing key is made at the first start, in $STATE_DIRECTORY, else in
the directory gateway/ of the state directory. SIGTERM or SIGINT ends it; without the agent it
serves what it knows for 30 s, and then lets nobody in."
    )]
    Gateway,
    /// Open a room of simulated students and show the board; without a terminal, run the whole job once.
    #[command(
        after_help = "Examples:\n  labtop demo\n  labtop demo --seats 30\n  labtop demo --down    archive and remove it"
    )]
    Demo(DemoArgs),
    /// Copy the ledger, or make a lost one again.
    Ledger {
        /// Which.
        #[command(subcommand)]
        verb: LedgerVerb,
    },
    /// Print a static configuration for Traefik that fits this one.
    TraefikConfig,
    /// Show or check the configuration.
    Config {
        /// Which.
        #[command(subcommand)]
        verb: ConfigVerb,
    },
}

/// Verbs that ask an agent.
#[derive(Debug, Clone, Subcommand)]
pub enum ClientVerb {
    /// Open, close, extend, freeze and thaw rooms.
    Room {
        /// Which.
        #[command(subcommand)]
        verb: RoomVerb,
    },
    /// Kill, restart and look into one seat.
    Seat {
        /// Which.
        #[command(subcommand)]
        verb: SeatVerb,
    },
    /// List the seats of all open rooms, or of one.
    #[command(after_help = "Examples:\n  labtop ls\n  labtop ls algebra --json")]
    Ls {
        /// Only this room.
        room: Option<RoomName>,
        /// An array of seats as JSON.
        #[arg(long)]
        json: bool,
    },
    /// Look at stored work.
    Archive {
        /// Which.
        #[command(subcommand)]
        verb: ArchiveVerb,
    },
    /// Who may sit in a room, and their access codes.
    Roster {
        /// Which.
        #[command(subcommand)]
        verb: RosterVerb,
    },
    /// Students who are signed in.
    Sessions {
        /// Which.
        #[command(subcommand)]
        verb: SessionsVerb,
    },
    /// Who did what, when and from where; oldest first.
    Audit(AuditArgs),
    /// Check the installation and say what is missing.
    #[command(after_help = "Examples:
  labtop doctor
  labtop doctor --room final     try from inside what the room's seats reach
  sudo labtop doctor --fix       load labtop's part of the host's firewall

Exit codes: 0 nothing failed, 1 something did, 4 the engine does not answer.")]
    Doctor(DoctorArgs),
}

/// `labtop doctor`.
#[derive(Debug, Clone, Args)]
pub struct DoctorArgs {
    /// Try from inside this room's network what its seats reach, line by line; takes a few seconds.
    #[arg(long, value_name = "ROOM")]
    pub room: Option<RoomName>,
    /// Load the host's firewall table first; as root, on the engine's host.
    #[arg(long)]
    pub fix: bool,
    /// An array of checks as JSON.
    #[arg(long)]
    pub json: bool,
    /// Ask nothing.
    #[arg(long, short)]
    pub yes: bool,
}

/// `labtop agent`.
#[derive(Debug, Clone, Args)]
pub struct AgentArgs {
    /// End by itself when no room is open and nobody is attached.
    #[arg(long, hide = true)]
    pub detached: bool,
    /// Take the open rooms to this engine although they were opened on another one: once, after the engine was
    /// installed anew. Seats are made again there; what was in them on the other engine stays there.
    #[arg(long)]
    pub accept_engine: bool,
}

/// `labtop demo`.
#[derive(Debug, Clone, Args)]
pub struct DemoArgs {
    /// How many seats.
    #[arg(long, value_name = "N", default_value_t = 12, value_parser = seat_count())]
    pub seats: u32,
    /// Archive and remove the demo.
    #[arg(long)]
    pub down: bool,
    /// Ask nothing.
    #[arg(long, short)]
    pub yes: bool,
}

/// `labtop config …`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Subcommand)]
pub enum ConfigVerb {
    /// Print the configuration in force, secrets left out.
    Print,
    /// Check the configuration and name every mistake in it.
    Check,
}

/// `labtop ledger …`.
#[derive(Debug, Clone, Subcommand)]
pub enum LedgerVerb {
    /// Copy the ledger into a new file while the agent goes on.
    #[command(after_help = "Examples:
  labtop ledger backup /var/backups/labtop-monday.db
  labtop ledger backup - | gzip > ledger.db.gz

To use a backup: stop the agent, move ledger.db, ledger.db-wal and ledger.db-shm in the state directory away, and copy
the backup to ledger.db there.")]
    Backup(BackupArgs),
    /// Make a lost or damaged ledger again, out of the archives in the store and the labels on the engine.
    #[command(after_help = "Examples:
  labtop ledger rebuild
  labtop ledger rebuild --instance 6f1b7a52-9a34-4c0e-8d7e-0c7c1f9f7b11 --verify

No agent may run. A ledger that can be read is never touched, one that cannot is kept beside the new one. What is lost
for good: the audit trail, rosters, access codes, the ends of leases (each begins anew), and who was
closing which room.")]
    Rebuild(RebuildArgs),
}

/// `labtop ledger backup`.
#[derive(Debug, Clone, Args)]
pub struct BackupArgs {
    /// A file that is not there yet; - for standard output.
    pub file: PathBuf,
    /// Ask nothing.
    #[arg(long, short)]
    pub yes: bool,
}

/// `labtop ledger rebuild`.
#[derive(Debug, Clone, Args)]
pub struct RebuildArgs {
    /// Whose ledger it was; needed when things of several are found.
    #[arg(long, value_name = "UUID")]
    pub instance: Option<InstanceId>,
    /// Read every archive back at once, instead of leaving that to `labtop archive verify --all`.
    #[arg(long)]
    pub verify: bool,
    /// Ask nothing.
    #[arg(long, short)]
    pub yes: bool,
}

/// `labtop audit`.
#[derive(Debug, Clone, Args)]
pub struct AuditArgs {
    /// Only what was done to this room.
    #[arg(long, conflicts_with = "verify")]
    pub room: Option<RoomName>,
    /// Say whether every record is as it was written, and the hash of the last one: noted elsewhere, it tells later
    /// whether any is gone.
    #[arg(long)]
    pub verify: bool,
    /// An array of records as JSON.
    #[arg(long)]
    pub json: bool,
}

/// `labtop room …`.
#[derive(Debug, Clone, Subcommand)]
pub enum RoomVerb {
    /// Open a room, or add seats to an open one; return when every seat is ready or has failed.
    #[command(after_help = "Examples:
  labtop room open algebra --seats 30
  labtop room open lab-2 --template python --students ann,bob --minutes 90
  labtop room open lab-3 --roster class.csv --on-demand
  labtop room open final --students ann,bob --exam --dry-run")]
    Open(OpenArgs),
    /// Archive every seat's work, verify it, and tear the room down.
    #[command(
        after_help = "A seat whose work cannot be archived stays, and is named; repeat the verb when the cause is gone."
    )]
    Close(CloseArgs),
    /// Give a room, or one student, more time.
    Extend(ExtendArgs),
    /// Freeze the programs of a room, or of one student.
    Freeze(ScopeArgs),
    /// Let frozen programs run again.
    Thaw(ScopeArgs),
    /// Exempt a room, or one student, from the end of the lease until `room release`.
    Hold(ScopeArgs),
    /// Let leases of held seats end again; one that is over is announced first.
    Release(ScopeArgs),
    /// Save the workspaces of a room, or of one student, now; they go on meanwhile.
    Snapshot(ScopeArgs),
}

/// `labtop room open`.
#[derive(Debug, Clone, Args)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a flag of its own on the command line"
)]
#[command(group = ArgGroup::new("who").required(true).multiple(true).args(["seats", "students", "roster", "on_demand"]))]
pub struct OpenArgs {
    /// The room: 1 to 32 of a-z, 0-9 and -.
    pub room: RoomName,
    /// What its seats are made of; else the configuration's default template.
    #[arg(long, short)]
    pub template: Option<TemplateName>,
    /// So many seats, named s01, s02, ….
    #[arg(long, value_name = "N", value_parser = seat_count(), conflicts_with_all = ["students", "roster", "on_demand"])]
    pub seats: Option<u32>,
    /// One seat for each of these students, who are put on the room's roster.
    #[arg(long, value_name = "A,B,C", value_delimiter = ',', conflicts_with = "roster")]
    pub students: Vec<StudentId>,
    /// One seat for each student of this file, which becomes the room's roster; without a file, of the roster it has. Who is put on it later gets a seat by signing in.
    #[arg(long, value_name = "FILE.csv", num_args = 0..=1)]
    pub roster: Option<Option<PathBuf>>,
    /// Make no seat until its student signs in.
    #[arg(long)]
    pub on_demand: bool,
    /// How long the seats are held, minutes; else the template's.
    #[arg(long, short, value_name = "M", value_parser = minutes())]
    pub minutes: Option<u32>,
    /// An exam: a closed network, guarded routes, and proof that seats reach nothing.
    #[arg(long)]
    pub exam: bool,
    /// Open the exam without that proof. Only admins may; the audit trail says so.
    #[arg(long = "override", requires = "exam")]
    pub overrides: bool,
    /// Say what would be opened; make nothing, and do not look for the image.
    #[arg(long)]
    pub dry_run: bool,
    /// Return as soon as the agent has accepted.
    #[arg(long)]
    pub detach: bool,
    /// Ask nothing.
    #[arg(long, short)]
    pub yes: bool,
}

impl OpenArgs {
    /// Who is to sit there.
    ///
    /// # Errors
    /// When a student is named twice: a typing mistake that would leave somebody without a seat.
    pub fn who(&self) -> Result<Seats, String> {
        if let Some(count) = self.seats {
            return Ok(Seats::Numbered(count));
        }
        if self.students.is_empty() {
            return Ok(Seats::Roster);
        }
        let mut sorted: Vec<_> = self.students.iter().collect();
        sorted.sort();
        match sorted.windows(2).find(|pair| pair[0] == pair[1]) {
            Some(pair) => Err(format!("--students names {} twice", pair[0])),
            None => Ok(Seats::Students(self.students.clone())),
        }
    }
}

/// `labtop room close`.
#[derive(Debug, Clone, Args)]
pub struct CloseArgs {
    /// The room.
    pub room: RoomName,
    /// Give all work in the room up instead of archiving it. Asks for the room's name, unless --yes.
    #[arg(long)]
    pub discard: bool,
    /// Ask nothing.
    #[arg(long, short)]
    pub yes: bool,
}

/// `labtop room extend`.
#[derive(Debug, Clone, Args)]
pub struct ExtendArgs {
    /// The room.
    pub room: RoomName,
    /// Only this student.
    #[arg(long)]
    pub student: Option<StudentId>,
    /// By how much, minutes.
    #[arg(long, short, value_name = "M", value_parser = minutes())]
    pub minutes: u32,
    /// Ask nothing.
    #[arg(long, short)]
    pub yes: bool,
}

/// `labtop room freeze|thaw`.
#[derive(Debug, Clone, Args)]
pub struct ScopeArgs {
    /// The room.
    pub room: RoomName,
    /// Only this student.
    #[arg(long)]
    pub student: Option<StudentId>,
    /// Ask nothing.
    #[arg(long, short)]
    pub yes: bool,
}

/// `labtop seat …`.
#[derive(Debug, Clone, Subcommand)]
pub enum SeatVerb {
    /// End a seat's program; its work stays, and it starts again only by `seat restart`.
    Kill(SeatArgs),
    /// Start a seat's program again, ending it first if it runs.
    Restart(SeatArgs),
    /// Print a seat's log; on a terminal, control bytes are made visible.
    Logs(LogsArgs),
    /// Open a shell in a seat; Ctrl-] leaves it.
    Shell {
        /// The seat.
        #[arg(value_name = "ROOM/STUDENT")]
        seat: SeatId,
    },
    /// Get a code with which to look into a seat through the students' door: once, within two minutes.
    Peek(SeatArgs),
    /// List the processes of a seat.
    Top {
        /// The seat.
        #[arg(value_name = "ROOM/STUDENT")]
        seat: SeatId,
        /// An array of processes as JSON.
        #[arg(long)]
        json: bool,
    },
}

/// A verb that changes one seat.
#[derive(Debug, Clone, Args)]
pub struct SeatArgs {
    /// The seat.
    #[arg(value_name = "ROOM/STUDENT")]
    pub seat: SeatId,
    /// Ask nothing.
    #[arg(long, short)]
    pub yes: bool,
}

/// `labtop seat logs`.
#[derive(Debug, Clone, Args)]
pub struct LogsArgs {
    /// The seat.
    #[arg(value_name = "ROOM/STUDENT")]
    pub seat: SeatId,
    /// How many of the last lines.
    #[arg(long, short = 'n', value_name = "N", default_value_t = 200)]
    pub tail: u32,
    /// Go on with new lines.
    #[arg(long, short)]
    pub follow: bool,
}

fn seat_count() -> clap::builder::RangedI64ValueParser<u32> {
    value_parser!(u32).range(1..=i64::from(SEATS_PER_ROOM_MAX))
}

fn minutes() -> clap::builder::RangedI64ValueParser<u32> {
    value_parser!(u32).range(1..=i64::from(LEASE_MINUTES_MAX))
}
