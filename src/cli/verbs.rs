//! Each verb: which agent it needs, what it asks.

use std::io::{self, BufRead, IsTerminal};
use std::path::Path;

use super::args::{ArchiveVerb, ClientVerb, CloseArgs, OpenArgs, RestoreArgs, RoomVerb, ScopeArgs, SeatVerb};
use super::attach::{attach, find};
use super::exit::{Exit, Problem, complain, print};
use super::{archive, audit, doctor, export, list, logs, outcome, restore, roster, seats, sessions, shell};
use crate::codes;
use crate::domain::command::{Command, Seats};
use crate::domain::ids::{RoomName, SeatId};

/// Runs a verb. Listing asks the agent that is there; changing starts one when none is.
pub async fn run(verb: ClientVerb, config: Option<&Path>) -> Result<Exit, Problem> {
    match verb {
        ClientVerb::Room { verb } => room(verb, config).await,
        ClientVerb::Seat { verb } => seat(verb, config).await,
        ClientVerb::Ls { room, json } => seats::ls(&find().await?, room.as_ref(), json).await,
        ClientVerb::Archive { verb } => archive(verb, config).await,
        ClientVerb::Roster { verb } => roster::run(verb, config).await,
        ClientVerb::Sessions { verb } => sessions::run(verb, config).await,
        ClientVerb::Audit(args) => audit::audit(&find().await?, args).await,
        ClientVerb::Doctor(args) => doctor::doctor(args, config).await,
    }
}

async fn archive(verb: ArchiveVerb, config: Option<&Path>) -> Result<Exit, Problem> {
    match verb {
        ArchiveVerb::Ls { room, json } => list::archives(&find().await?, room, json).await,
        ArchiveVerb::Verify(args) => archive::verify(&attach(config).await?, args).await,
        ArchiveVerb::Restore(args) => restore(args, config).await,
        ArchiveVerb::Export(args) => export::room(&attach(config).await?, args).await,
        ArchiveVerb::Show(args) => archive::show(&attach(config).await?, args).await,
    }
}

async fn restore(args: RestoreArgs, config: Option<&Path>) -> Result<Exit, Problem> {
    let client = attach(config).await?;
    match (args.to, args.to_dir) {
        (Some(seat), _) => {
            let command = Command::RestoreSeat {
                archive: args.id,
                seat,
                template: args.template,
                minutes: args.minutes,
            };
            outcome::run(&client, command).await
        }
        (None, Some(directory)) => restore::to_dir(&client, args.id, directory).await,
        (None, None) => Err(Problem::new(
            Exit::Usage,
            "say where to: --to ROOM/STUDENT or --to-dir DIR",
        )),
    }
}

async fn room(verb: RoomVerb, config: Option<&Path>) -> Result<Exit, Problem> {
    let command = match verb {
        RoomVerb::Open(args) => return open(args, config).await,
        RoomVerb::Close(args) => close(args)?,
        RoomVerb::Extend(args) => Command::ExtendRoom {
            room: args.room,
            student: args.student,
            minutes: args.minutes,
        },
        RoomVerb::Freeze(ScopeArgs { room, student, .. }) => Command::FreezeRoom { room, student },
        RoomVerb::Thaw(ScopeArgs { room, student, .. }) => Command::ThawRoom { room, student },
        RoomVerb::Hold(ScopeArgs { room, student, .. }) => Command::HoldRoom { room, student },
        RoomVerb::Release(ScopeArgs { room, student, .. }) => Command::ReleaseRoom { room, student },
        RoomVerb::Snapshot(ScopeArgs { room, student, .. }) => Command::SnapshotRoom { room, student },
    };
    outcome::run(&attach(config).await?, command).await
}

async fn open(args: OpenArgs, config: Option<&Path>) -> Result<Exit, Problem> {
    let rows = match &args.roster {
        Some(Some(file)) => roster::read(file)?,
        _ => Vec::new(),
    };
    let order = |seats, dry_run| Command::OpenRoom {
        room: args.room.clone(),
        template: args.template.clone(),
        seats,
        minutes: args.minutes,
        exam: args.exam,
        on_demand: args.on_demand,
        overrides: args.overrides,
        dry_run,
    };
    let client = attach(config).await?;
    if !rows.is_empty() {
        // What cannot be opened leaves no roster behind.
        let named = rows.iter().map(|row| row.student.clone()).collect();
        let checked = outcome::run(&client, order(Seats::Students(named), true)).await?;
        if args.dry_run || checked != Exit::Done {
            return Ok(checked);
        }
        outcome::run(&client, roster::whole(args.room.clone(), rows)).await?;
    }
    let command = order(
        args.who().map_err(|text| Problem::new(Exit::Usage, text))?,
        args.dry_run,
    );
    if args.detach {
        return outcome::detach(&client, command, &args.room).await;
    }
    outcome::run(&client, command).await
}

fn close(args: CloseArgs) -> Result<Command, Problem> {
    if args.discard && !args.yes {
        confirm_discard(&args.room)?;
    }
    Ok(Command::CloseRoom {
        room: args.room,
        discard: args.discard,
    })
}

/// Work is given up only by who types the room's name, or says so beforehand.
fn confirm_discard(room: &RoomName) -> Result<(), Problem> {
    if !io::stdin().is_terminal() {
        let text = format!("closing {room} with --discard gives all work in it up: add --yes if that is wanted");
        return Err(Problem::new(Exit::Usage, text));
    }
    complain(&format!(
        "All work in room {room} will be lost. Type the room's name to go on."
    ));
    let mut typed = String::new();
    io::stdin().lock().read_line(&mut typed)?;
    if typed.trim() == room.as_str() {
        return Ok(());
    }
    Err(Problem::new(
        Exit::Failed,
        "that is not the room's name: nothing was done",
    ))
}

async fn seat(verb: SeatVerb, config: Option<&Path>) -> Result<Exit, Problem> {
    let command = match verb {
        SeatVerb::Logs(args) => return logs::print(&find().await?, args).await,
        SeatVerb::Top { seat, json } => return list::processes(&find().await?, seat, json).await,
        SeatVerb::Shell { seat } => {
            shell::shell_session(&attach(config).await?, &seat).await?;
            return Ok(Exit::Done);
        }
        SeatVerb::Peek(args) => return peek(args.seat, config).await,
        // Nobody has seen a container here: whichever is the seat's now.
        SeatVerb::Kill(args) => Command::KillSeat {
            seat: args.seat,
            container: None,
        },
        SeatVerb::Restart(args) => Command::RestartSeat {
            seat: args.seat,
            container: None,
        },
    };
    outcome::run(&attach(config).await?, command).await
}

async fn peek(seat: SeatId, config: Option<&Path>) -> Result<Exit, Problem> {
    let (code, digest) = codes::for_peek().map_err(|error| Problem::new(Exit::Failed, error.to_string()))?;
    let exit = outcome::run(&attach(config).await?, Command::PeekSeat { seat, digest }).await?;
    print(&format!("{}\n", code.expose()))?;
    Ok(exit)
}
