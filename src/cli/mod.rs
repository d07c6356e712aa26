//! The command line: arguments, and the verbs that ask an agent.
//!
//! Knows: the client's side of the wire, text and JSON for people and scripts, exit codes. Must not know: the engine,
//! Docker, the ledger. `labtop`, `agent`, `demo`, `config` and `ledger rebuild` are glued together in `main`.

mod archive;
mod args;
pub mod attach;
mod audit;
mod backup;
mod clean;
mod doctor;
mod exit;
pub mod export;
pub mod list;
mod logs;
pub mod outcome;
mod parse;
mod progress;
pub mod restore;
mod roster;
mod seats;
mod sessions;
pub mod shell;
mod table;
mod traefik;
mod verbs;

use std::path::Path;
use std::process::ExitCode;

pub use args::{
    AgentArgs, ArchiveVerb, AuditArgs, BackupArgs, Cli, ClientVerb, CloseArgs, ConfigVerb, DemoArgs, ExtendArgs,
    LedgerVerb, LogsArgs, OpenArgs, RebuildArgs, RoomVerb, RosterVerb, SeatVerb, SessionsVerb, Verb,
};
pub use backup::backup;
pub use clean::{Cleaner, visible};
pub use exit::{Exit, Problem, complain, print};
pub use list::archives_json;
pub use parse::{parse, parse_from};
pub use seats::{seats_json, seats_table};
pub use traefik::traefik_config;

/// Runs a verb that asks an agent, prints what came of it, and tells the exit code.
pub async fn run(verb: ClientVerb, config: Option<&Path>) -> ExitCode {
    match verbs::run(verb, config).await {
        Ok(exit) => exit.into(),
        Err(problem) => problem.tell(),
    }
}
