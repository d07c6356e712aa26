//! `labtop demo`: a room of simulated students, opened, watched and closed like any other.

use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use crate::board;
use crate::cli::{DemoArgs, Exit, Problem, attach, list, outcome};
use crate::config::{DEMO_IMAGE, DEMO_TEMPLATE, Loaded};
use crate::domain::command::{Command, Seats};
use crate::domain::ids::{BadId, RoomName, SeatId, TemplateName};
use crate::domain::snapshot::Snapshot;
use crate::tui::draw_text;
use crate::wire::client::Client;
use crate::world::docker::{CARRIER_IMAGE, Docker, Options};

/// The demo's room.
const ROOM: &str = "demo";
/// How long figures are gathered before the board is printed again.
const WATCH: Duration = Duration::from_secs(10);
/// How long the first page waits for figures, which come once a second.
const FIGURES_WITHIN: Duration = Duration::from_secs(3);
/// CPU that no student at work needs all the time, as a part of what the seat may use.
const RUNAWAY_PART: f32 = 0.6;
/// Columns of the page that stands for the board where there is no terminal, and its rows besides those of the seats.
const PAGE_COLUMNS: u16 = 100;
const PAGE_ROWS: u16 = 18;
/// The student whose program never ends; see the image's `lab.sh`.
const SPINNER: &str = "s07";

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
        let exit = board::show(client, config, &loaded.settings).await;
        let exit = exit.map_err(|error| Problem::new(Exit::Failed, error.to_string()))?;
        // There may be no terminal any more to say it on.
        let _ = say("The demo goes on; `labtop` shows it again, `labtop demo --down` archives and removes it.");
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
        on_demand: false,
        overrides: false,
        dry_run: false,
    };
    obey(client, command).await
}

/// Open is done: look, watch, kill the runaway, close, show what is stored.
async fn whole_job(client: &Client) -> Result<(), Problem> {
    let mut watch = client.watch().await?;
    let mut first = watch.snapshot().await.ok_or_else(gone)?;
    let end = Instant::now() + FIGURES_WITHIN;
    while !has_figures(&first)
        && let Ok(next) = timeout_at(end, watch.snapshot()).await
    {
        first = next.ok_or_else(gone)?;
    }
    print_page(&first)?;
    let mut last = first;
    let end = Instant::now() + WATCH;
    while let Ok(next) = timeout_at(end, watch.snapshot()).await {
        last = next.ok_or_else(gone)?;
    }
    print_page(&last)?;
    match runaway(&last)? {
        Some(seat) => obey(client, Command::KillSeat { seat, container: None }).await?,
        None if spins(&last) => return Err(Problem::new(Exit::Failed, "no seat runs away, but one should")),
        None => say("No seat runs away")?,
    }
    close(client).await?;
    list::archives(client, Some(room()?), false).await?;
    Ok(())
}

fn has_figures(snapshot: &Snapshot) -> bool {
    snapshot.seats().all(|seat| seat.memory_bytes.is_some())
}

fn print_page(snapshot: &Snapshot) -> Result<(), Problem> {
    let seats = u16::try_from(snapshot.seats().count()).unwrap_or(u16::MAX);
    let page = draw_text(snapshot, PAGE_COLUMNS, seats.saturating_add(PAGE_ROWS));
    Ok(io::stdout().lock().write_all(page.as_bytes())?)
}

fn say(line: &str) -> Result<(), Problem> {
    Ok(writeln!(io::stdout().lock(), "{line}")?)
}

/// Whether the student is there whose program never ends.
fn spins(snapshot: &Snapshot) -> bool {
    snapshot
        .seats()
        .any(|seat| seat.room.as_str() == ROOM && seat.student.as_str() == SPINNER)
}

/// The seat that uses the most of its CPU, if that is more than a student at work would.
fn runaway(snapshot: &Snapshot) -> Result<Option<SeatId>, Problem> {
    let room = room()?;
    let busiest = snapshot
        .seats()
        .filter(|seat| seat.room == room)
        .filter_map(|seat| Some((seat, average(&seat.cpu_history)? / seat.cpu_limit_percent)))
        .max_by(|a, b| a.1.total_cmp(&b.1))
        .filter(|(_, part)| *part >= RUNAWAY_PART);
    Ok(busiest.map(|(seat, _)| SeatId::new(seat.room.clone(), seat.student.clone())))
}

/// The usual CPU of a seat: bursts do not count much.
fn average(history: &[u16]) -> Option<f32> {
    let sum: f32 = history.iter().copied().map(f32::from).sum();
    (!history.is_empty()).then(|| sum / history.len() as f32)
}

async fn down(client: &Client, loaded: &Loaded) -> Result<ExitCode, Problem> {
    if let Some(template) = template_of_room(client).await? {
        if template.as_str() != DEMO_TEMPLATE {
            let text = format!(
                "room {ROOM} was opened from template {template}, so it is not the demo's: `labtop room close {ROOM}` closes it"
            );
            return Err(Problem::new(Exit::Failed, text));
        }
        close(client).await?;
    }
    let images = remove_images(loaded).await?;
    say(&format!(
        "{images}; the archives are kept in {}",
        loaded.settings.archive.store.place()
    ))?;
    Ok(ExitCode::SUCCESS)
}

/// There may be no demo, and its image still be there.
async fn template_of_room(client: &Client) -> Result<Option<TemplateName>, Problem> {
    let room = room()?;
    let snapshot = client.watch().await?.snapshot().await.ok_or_else(gone)?;
    let open = snapshot.rooms.iter().find(|open| open.name == room);
    Ok(open.map(|open| open.template.clone()))
}

/// The images are no room's and so no agent's business: they were made on the spot and go with the demo, unless another
/// room uses them. Tells what became of them.
async fn remove_images(loaded: &Loaded) -> Result<&'static str, Problem> {
    let settings = &loaded.settings;
    let docker = Docker::new(Options {
        host: settings.docker.host.clone(),
        tls: settings.docker.tls.clone(),
        instance: NOBODY.parse().map_err(|e: BadId| usage(&e))?,
        network: settings.network,
        routing: settings.routing.clone(),
    })?;
    docker.hello().await?;
    // What reads workspaces is made again when it is needed; seats in use keep the demo's own.
    docker.remove_image_unless_used(CARRIER_IMAGE).await?;
    let removed = docker.remove_image_unless_used(DEMO_IMAGE).await?;
    docker.prune_own_images().await?;
    Ok(if removed {
        "The demo's images are removed"
    } else {
        "The demo's image is kept, because other seats use it"
    })
}

/// An instance that owns nothing.
const NOBODY: &str = "00000000-0000-0000-0000-000000000000";

async fn close(client: &Client) -> Result<(), Problem> {
    let room = room()?;
    obey(client, Command::CloseRoom { room, discard: false }).await
}

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
