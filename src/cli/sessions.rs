//! `labtop sessions`: who is signed in.

use std::path::Path;

use super::args::SessionsVerb;
use super::attach::{attach, find};
use super::exit::{Exit, Problem, complain, print};
use super::list::{ask, json, odd_answer};
use super::outcome;
use super::table::{self, Align, seconds};
use crate::domain::command::{Answer, Command, Query, SessionRow};
use crate::domain::ids::RoomName;
use crate::wire::client::Client;

/// Runs a verb.
pub async fn run(verb: SessionsVerb, config: Option<&Path>) -> Result<Exit, Problem> {
    match verb {
        SessionsVerb::Ls { room, json } => ls(&find().await?, room, json).await,
        SessionsVerb::Revoke(args) => {
            let (room, student) = (args.seat.room, args.seat.student);
            let command = Command::RevokeSession {
                room,
                student,
                session: None,
            };
            outcome::run(&attach(config).await?, command).await
        }
    }
}

async fn ls(client: &Client, room: Option<RoomName>, as_json: bool) -> Result<Exit, Problem> {
    let Answer::Sessions { rows } = ask(client, Query::Sessions { room }).await? else {
        return Err(odd_answer());
    };
    if as_json {
        // The row is plain data made for this list: its fields are the contract.
        print(&json(&rows)?)?;
    } else if rows.is_empty() {
        complain("Nobody is signed in.");
    } else {
        print(&rows_table(&rows))?;
    }
    Ok(Exit::Done)
}

fn rows_table(rows: &[SessionRow]) -> String {
    let columns = [
        ("ROOM", Align::Left),
        ("STUDENT", Align::Left),
        ("BEGAN", Align::Left),
        ("LEFT", Align::Right),
        ("FROM", Align::Left),
        ("LOOKING IN", Align::Left),
    ];
    let cells = |row: &SessionRow| {
        vec![
            row.room.to_string(),
            row.student.to_string(),
            row.began.clone(),
            seconds(row.seconds_left),
            row.address.clone(),
            row.onlooker.clone().unwrap_or_default(),
        ]
    };
    table::render(&columns, &rows.iter().map(cells).collect::<Vec<_>>())
}
