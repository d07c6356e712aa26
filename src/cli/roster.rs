//! `labtop roster`: who may sit in a room, and their access codes.
//!
//! Codes are made and hashed here, in the process of the person who prints them; the agent gets the hashes alone.

mod cards;
mod csv;

use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;

use serde::Serialize;

use super::args::{CardsArgs, ImportArgs, MoveArgs, ReissueArgs, RosterVerb, StudentArgs};
use super::attach::{attach, find};
use super::exit::{Exit, Problem, complain, print};
use super::list::{ask, json, odd_answer};
use super::outcome;
use super::table::{self, Align};
use crate::codes::{self, CodeError};
use crate::domain::command::{Answer, Command, Outcome, Query};
use crate::domain::ids::{RoomName, StudentId};
use crate::domain::roster::{CodeHash, Email, PersonName, RosterLine, RosterRow};
use crate::paths::Paths;
use crate::wire::client::Client;
use cards::Card;

/// Largest file that is read as a roster: far more than 900 long lines.
const FILE_MAX: u64 = 4 << 20;

/// One student in `roster ls --json`: a stable contract with scripts.
#[derive(Debug, Serialize)]
struct LineJson<'a> {
    student: &'a StudentId,
    name: Option<&'a PersonName>,
    email: Option<&'a Email>,
    minutes: Option<u32>,
    has_code: bool,
}

/// Runs a verb.
pub async fn run(verb: RosterVerb, config: Option<&Path>) -> Result<Exit, Problem> {
    match verb {
        RosterVerb::Import(args) => import(args, config).await,
        RosterVerb::Add(args) => {
            let row = RosterRow {
                student: args.student,
                name: args.name,
                email: args.email,
                minutes: args.minutes,
            };
            let command = Command::ImportRoster {
                room: args.room,
                rows: vec![row],
                whole: false,
            };
            outcome::run(&attach(config).await?, command).await
        }
        RosterVerb::Remove(StudentArgs { room, student, .. }) => {
            outcome::run(&attach(config).await?, Command::RemoveFromRoster { room, student }).await
        }
        RosterVerb::Move(MoveArgs { room, student, to, .. }) => {
            outcome::run(&attach(config).await?, Command::MoveStudent { room, student, to }).await
        }
        RosterVerb::Ls { room, json } => ls(&find().await?, room, json).await,
        RosterVerb::Cards(args) => {
            print_cards(&attach(config).await?, (args, address(config)), |line| !line.has_code).await
        }
        RosterVerb::Reissue(args) => reissue(&attach(config).await?, args, address(config)).await,
    }
}

/// The rows of a file, or every mistake in it.
///
/// # Errors
/// When it cannot be read, or a line of it is wrong.
pub fn read(file: &Path) -> Result<Vec<RosterRow>, Problem> {
    let shown = file.display();
    let unread = |error: std::io::Error| Problem::new(Exit::Failed, format!("{shown} cannot be read: {error}"));
    let mut bytes = Vec::new();
    if file == Path::new("-") {
        std::io::stdin()
            .take(FILE_MAX + 1)
            .read_to_end(&mut bytes)
            .map_err(unread)?;
    } else {
        let opened = std::fs::File::open(file).map_err(unread)?;
        opened.take(FILE_MAX + 1).read_to_end(&mut bytes).map_err(unread)?;
    }
    if bytes.len() as u64 > FILE_MAX {
        return Err(Problem::new(Exit::Usage, format!("{shown} is too large for a roster")));
    }
    csv::parse(&bytes).map_err(|mistakes| {
        let lines: Vec<String> = mistakes.iter().map(|mistake| format!("{shown}: {mistake}")).collect();
        Problem::new(Exit::Usage, format!("nothing was changed:\n{}", lines.join("\n")))
    })
}

async fn import(args: ImportArgs, config: Option<&Path>) -> Result<Exit, Problem> {
    let rows = read(&args.file)?;
    let client = attach(config).await?;
    if args.dry_run {
        let known = roster(&client, args.room.clone()).await?;
        print(&what_would_change(&args.room, &rows, &known))?;
        return Ok(Exit::Done);
    }
    outcome::run(&client, whole(args.room, rows)).await
}

/// The order that makes the rows of a file the room's roster.
pub fn whole(room: RoomName, rows: Vec<RosterRow>) -> Command {
    Command::ImportRoster {
        room,
        rows,
        whole: true,
    }
}

fn what_would_change(room: &RoomName, rows: &[RosterRow], known: &[RosterLine]) -> String {
    let known: BTreeMap<&StudentId, &RosterRow> = known.iter().map(|line| (&line.row.student, &line.row)).collect();
    let is_new = |row: &&RosterRow| !known.contains_key(&row.student);
    let is_same = |row: &&RosterRow| {
        known.get(&row.student).is_some_and(|old| {
            let name = row.name.is_none() || row.name == old.name;
            let email = row.email.is_none() || row.email == old.email;
            name && email && row.minutes == old.minutes
        })
    };
    let (new, same) = (rows.iter().filter(is_new).count(), rows.iter().filter(is_same).count());
    let gone = known.len() - (rows.len() - new);
    format!(
        "Would put {new} new students on the roster of {room}, change {}, and take {gone} off that the file does not name; \
         {same} are as they are\n",
        rows.len() - new - same
    )
}

async fn roster(client: &Client, room: RoomName) -> Result<Vec<RosterLine>, Problem> {
    match ask(client, Query::Roster { room }).await? {
        Answer::Roster { lines } => Ok(lines),
        _ => Err(odd_answer()),
    }
}

async fn ls(client: &Client, room: RoomName, as_json: bool) -> Result<Exit, Problem> {
    let lines = roster(client, room.clone()).await?;
    if as_json {
        let rows: Vec<_> = lines.iter().map(line_json).collect();
        print(&json(&rows)?)?;
    } else if lines.is_empty() {
        complain(&format!(
            "Room {room} has no roster. `labtop roster import {room} FILE.csv` gives it one."
        ));
    } else {
        print(&lines_table(&lines))?;
    }
    Ok(Exit::Done)
}

fn line_json(line: &RosterLine) -> LineJson<'_> {
    LineJson {
        student: &line.row.student,
        name: line.row.name.as_ref(),
        email: line.row.email.as_ref(),
        minutes: line.row.minutes,
        has_code: line.has_code,
    }
}

fn lines_table(lines: &[RosterLine]) -> String {
    let columns = [
        ("STUDENT", Align::Left),
        ("CODE", Align::Left),
        ("MINUTES", Align::Right),
        ("NAME", Align::Left),
        ("EMAIL", Align::Left),
    ];
    let cells = |line: &RosterLine| {
        let row = &line.row;
        vec![
            row.student.to_string(),
            if line.has_code { "yes" } else { "NO" }.to_owned(),
            row.minutes
                .map_or_else(|| "-".to_owned(), |minutes| minutes.to_string()),
            row.name.as_ref().map(ToString::to_string).unwrap_or_default(),
            row.email.as_ref().map(ToString::to_string).unwrap_or_default(),
        ]
    };
    table::render(&columns, &lines.iter().map(cells).collect::<Vec<_>>())
}

async fn reissue(client: &Client, args: ReissueArgs, address: Option<String>) -> Result<Exit, Problem> {
    let ReissueArgs { cards, students, all } = args;
    let lines = roster(client, cards.room.clone()).await?;
    let stranger = |student: &&StudentId| !lines.iter().any(|line| line.row.student == **student);
    if let Some(stranger) = students.iter().find(stranger) {
        let text = format!(
            "{stranger} is not on the roster of {0}; `labtop roster ls {0}` lists it",
            cards.room
        );
        return Err(Problem::new(Exit::Failed, text));
    }
    let chosen = |line: &RosterLine| all || students.contains(&line.row.student);
    deal(
        client,
        (cards, address),
        lines.into_iter().filter(chosen).collect(),
        |_| true,
    )
    .await
}

async fn print_cards(
    client: &Client,
    (args, address): (CardsArgs, Option<String>),
    new: fn(&RosterLine) -> bool,
) -> Result<Exit, Problem> {
    let lines = roster(client, args.room.clone()).await?;
    deal(client, (args, address), lines, new).await
}

/// Gives codes to those of the lines that are to have new ones, and prints a card for each line.
async fn deal(
    client: &Client,
    (args, address): (CardsArgs, Option<String>),
    lines: Vec<RosterLine>,
    new: fn(&RosterLine) -> bool,
) -> Result<Exit, Problem> {
    let room = &args.room;
    if lines.is_empty() {
        let text = format!("room {room} has no roster: `labtop roster import {room} FILE.csv` gives it one");
        return Err(Problem::new(Exit::Failed, text));
    }
    let failed = |error: CodeError| Problem::new(Exit::Failed, error.to_string());
    // The page has its place before any code is in force: nobody can lose what was just printed.
    let page = args.out.as_deref().map(cards::reserve).transpose()?;
    let mut dealt = Vec::new();
    for line in lines {
        let code = new(&line).then(codes::for_student).transpose().map_err(failed)?;
        dealt.push(Card {
            row: line.row,
            room: room.clone(),
            address: address.clone(),
            code,
        });
    }
    let hashes = hash_all(&dealt).map_err(failed)?;
    if !hashes.is_empty() {
        let (room, codes) = (room.clone(), hashes);
        match client.run(Command::SetCodes { room, codes }, |_| {}).await? {
            Outcome::Done { text } => complain(&text),
            Outcome::Refused { refusal } => return Err(refusal.into()),
            Outcome::Failed { fault } => return Err(fault.into()),
            Outcome::Partly { text, .. } => return Err(Problem::new(Exit::Failed, text)),
        }
    }
    match page {
        Some(page) => page.write(&cards::page(room, &dealt))?,
        None if args.json => print(&cards::json(&dealt)?)?,
        None => print(&cards::table(&dealt))?,
    }
    Ok(Exit::Done)
}

/// Where students sign in, by the configuration. One that cannot be read is told of by the agent; cards go without.
fn address(config: Option<&Path>) -> Option<String> {
    let paths = Paths::of_process().ok()?;
    let root = rustix::process::geteuid().is_root();
    let loaded = crate::config::load(config, |name| std::env::var(name).ok(), &paths.state, root).ok()?;
    loaded.settings.gateway.public_url
}

/// Hashing takes 20 ms a code, on every processor.
fn hash_all(cards: &[Card]) -> Result<Vec<(StudentId, CodeHash)>, CodeError> {
    let new: Vec<(&StudentId, &String)> = cards
        .iter()
        .filter_map(|card| Some((&card.row.student, card.code.as_ref()?)))
        .collect();
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let share = new.len().div_ceil(threads).max(1);
    std::thread::scope(|scope| {
        let each = |part: &[(&StudentId, &String)]| {
            let hashed = part
                .iter()
                .map(|(student, code)| Ok(((*student).clone(), codes::hash(code)?)));
            hashed.collect::<Result<Vec<_>, CodeError>>()
        };
        let parts: Vec<_> = new.chunks(share).map(|part| scope.spawn(move || each(part))).collect();
        let mut all = Vec::new();
        for part in parts {
            all.extend(part.join().unwrap_or_else(|_| Ok(Vec::new()))?);
        }
        Ok(all)
    })
}
