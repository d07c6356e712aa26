//! `labtop demo`: a room of simulated students, opened, watched and closed like any other.

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use crate::board;
use crate::cli::{DemoArgs, Exit, Problem, attach, list, outcome};
use crate::config::{DEMO_IMAGE, DEMO_TEMPLATE, Loaded};
use crate::domain::command::{Command, Seats};
use crate::domain::ids::{BadId, RoomName, SeatId};
use crate::domain::snapshot::Snapshot;
use crate::tui::draw_text;
use crate::wire::client::Client;
use crate::world::docker::{Docker, Options};

/// The demo's room.
const ROOM: &str = "demo";
/// How long figures are gathered before the board is printed again.
const WATCH: Duration = Duration::from_secs(10);
/// CPU that no student at work needs all the time, percent of one core.
const RUNAWAY_PERCENT: f32 = 60.0;
/// The page that stands for the board where there is no terminal.
const PAGE: (u16, u16) = (100, 30);

/// Opens the demo and shows the board; without a terminal runs the whole job once; with `--down` takes it away.
///
/// # Errors
/// When a step of it fails; what was made stays, and `labtop demo --down` takes it away.
pub async fn run(args: &DemoArgs, config: Option<&Path>, loaded: &Loaded, terminal: bool) -> Result<ExitCode, Problem> {
    let client = attach::attach(config).await?;
    if args.down {
        return down(&client, loaded).await;
    }
    open(&client, args.seats).await?;
    if terminal {
        let exit = board::show(client, config, loaded.settings.ui).await;
        let exit = exit.map_err(|error| Problem::new(Exit::Failed, error.to_string()))?;
        println!("The demo goes on; `labtop` shows it again, `labtop demo --down` archives and removes it.");
        return Ok(exit.code().into());
    }
    whole_job(&client).await?;
    Ok(ExitCode::SUCCESS)
}

async fn open(client: &Client, seats: u32) -> Result<(), Problem> {
    let command = Command::OpenRoom {
        room: room()?,
        template: Some(DEMO_TEMPLATE.parse().map_err(|e: BadId| usage(&e))?),
        seats: Seats::Numbered(seats),
        minutes: None,
        exam: false,
        dry_run: false,
    };
    obey(client, command).await
}

/// Open is done: look, watch, kill the runaway, close, show what is stored.
async fn whole_job(client: &Client) -> Result<(), Problem> {
    let mut watch = client.watch().await?;
    let first = watch.snapshot().await.ok_or_else(gone)?;
    print!("{}", draw_text(&first, PAGE.0, PAGE.1));
    let mut last = first;
    let end = Instant::now() + WATCH;
    while let Ok(next) = timeout_at(end, watch.snapshot()).await {
        last = next.ok_or_else(gone)?;
    }
    print!("{}", draw_text(&last, PAGE.0, PAGE.1));
    match runaway(&last)? {
        Some(seat) => obey(client, Command::KillSeat { seat, container: None }).await?,
        None => println!("No seat runs away"),
    }
    obey(
        client,
        Command::CloseRoom {
            room: room()?,
            discard: false,
        },
    )
    .await?;
    list::archives(client, Some(room()?), false).await?;
    Ok(())
}

/// The seat that uses the most CPU, if that is more than a student at work would.
fn runaway(snapshot: &Snapshot) -> Result<Option<SeatId>, Problem> {
    let room = room()?;
    let busiest = snapshot
        .seats()
        .filter(|seat| seat.room == room)
        .filter_map(|seat| Some((seat, average(&seat.cpu_history)?)))
        .max_by(|a, b| a.1.total_cmp(&b.1))
        .filter(|(_, cpu)| *cpu >= RUNAWAY_PERCENT);
    Ok(busiest.map(|(seat, _)| SeatId::new(seat.room.clone(), seat.student.clone())))
}

/// The usual CPU of a seat: bursts do not count much.
fn average(history: &[u16]) -> Option<f32> {
    let sum: f32 = history.iter().copied().map(f32::from).sum();
    (!history.is_empty()).then(|| sum / history.len() as f32)
}

async fn down(client: &Client, loaded: &Loaded) -> Result<ExitCode, Problem> {
    if is_open(client).await? {
        obey(
            client,
            Command::CloseRoom {
                room: room()?,
                discard: false,
            },
        )
        .await?;
    }
    remove_image(loaded).await?;
    println!(
        "The demo's image is removed; the archives are kept in {}",
        loaded.settings.archive.directory.display()
    );
    Ok(ExitCode::SUCCESS)
}

/// There may be no demo, and its image still be there.
async fn is_open(client: &Client) -> Result<bool, Problem> {
    let room = room()?;
    let snapshot = client.watch().await?.snapshot().await.ok_or_else(gone)?;
    Ok(snapshot.rooms.iter().any(|open| open.name == room))
}

/// The image is no room's and so no agent's business: it was made for the demo and goes with it.
async fn remove_image(loaded: &Loaded) -> Result<(), Problem> {
    let settings = &loaded.settings;
    let docker = Docker::new(Options {
        host: settings.docker.host.clone(),
        tls: settings.docker.tls.clone(),
        instance: NOBODY.parse().map_err(|e: BadId| usage(&e))?,
        network: settings.network,
        routing: settings.routing.clone(),
    })?;
    docker.hello().await?;
    docker.remove_image(DEMO_IMAGE).await?;
    Ok(())
}

/// An instance that owns nothing.
const NOBODY: &str = "00000000-0000-0000-0000-000000000000";

/// Runs a command with its progress told; whatever is not all of it ends the demo.
async fn obey(client: &Client, command: Command) -> Result<(), Problem> {
    match outcome::run(client, command).await? {
        Exit::Done => Ok(()),
        exit => Err(Problem::new(exit, "")),
    }
}

fn room() -> Result<RoomName, Problem> {
    ROOM.parse().map_err(|error: BadId| usage(&error))
}

fn usage(error: &BadId) -> Problem {
    Problem::new(Exit::Usage, error.to_string())
}

fn gone() -> Problem {
    Problem::new(Exit::Unreachable, "the agent went away")
}
