//! The board's questions about the students' door: who is signed in, and codes for a look.

use tokio::sync::mpsc;

use super::shelf::other;
use crate::codes;
use crate::domain::command::{Answer, Command, Outcome, Query, SessionRow};
use crate::domain::door::PEEK_CODE_MS;
use crate::domain::ids::{RoomName, SeatId};
use crate::tui::port::{Inbound, Pass, StreamId};
use crate::wire::client::Client;

type News = mpsc::Sender<Inbound>;

/// Lists sessions.
pub(super) async fn list(client: Client, (stream, room): (StreamId, Option<RoomName>), news: News) {
    let rows = rows(&client, room).await;
    let _ = news.send(Inbound::Sessions { stream, rows }).await;
}

async fn rows(client: &Client, room: Option<RoomName>) -> Result<Vec<SessionRow>, String> {
    match client.ask(Query::Sessions { room }).await {
        Ok(Answer::Sessions { rows }) => Ok(rows),
        Ok(answer) => Err(other(answer).to_string()),
        Err(error) => Err(error.to_string()),
    }
}

/// Gets a code for one look into a seat, to be typed at `page`.
pub(super) async fn peek(client: Client, (stream, seat): (StreamId, SeatId), page: String, news: News) {
    let pass = pass(&client, seat, page).await;
    let _ = news.send(Inbound::Pass { stream, pass }).await;
}

async fn pass(client: &Client, seat: SeatId, page: String) -> Result<Pass, String> {
    let (code, digest) = codes::for_peek().map_err(|error| error.to_string())?;
    match client.run(Command::PeekSeat { seat, digest }, |_| ()).await {
        Ok(Outcome::Done { .. }) => Ok(Pass {
            code,
            seconds: PEEK_CODE_MS / 1_000,
            page,
        }),
        Ok(Outcome::Refused { refusal }) => Err(refusal.text),
        Ok(Outcome::Failed { fault }) => Err(fault.to_string()),
        Ok(Outcome::Partly { text, .. }) => Err(text),
        Err(error) => Err(error.to_string()),
    }
}
