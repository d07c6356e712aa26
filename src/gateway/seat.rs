//! A student's own page: the way to the seat, the time left, the receipt.

use std::sync::Arc;

use axum::extract::rejection::{FormRejection, QueryRejection};
use axum::extract::{Form, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use serde::{Deserialize, Serialize};

use super::Gateway;
use super::login::{AWAY, Marked};
use super::memory::Visit;
use super::pages::{Seat, Word, show};
use super::request::wants_json;
use crate::domain::door::{DoorSeat, Knock, KnockAnswer, Leaving, Receipt};
use crate::domain::ids::{RoomName, StudentId};
use crate::domain::snapshot::Phase;

/// How often a page that waits is asked for again, seconds.
const WAITING: u32 = 3;
/// The same for a page that only counts down.
const COUNTING: u32 = 30;

/// What the address of the page may say.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Asked {
    took_over: Option<String>,
}

/// The page as JSON, for programs.
#[derive(Debug, Serialize)]
struct SeatJson<'a> {
    room: &'a RoomName,
    student: &'a StudentId,
    phase: Option<Phase>,
    open: bool,
    route: Option<&'a str>,
    seconds_left: Option<u64>,
    place: Option<usize>,
    receipt: Option<&'a Receipt>,
}

/// The page.
pub(super) async fn page(
    State(gateway): State<Arc<Gateway>>,
    asked: Result<Query<Asked>, QueryRejection>,
    headers: HeaderMap,
) -> Response {
    let asked = asked.map(|Query(asked)| asked).unwrap_or_default();
    let json = wants_json(&headers);
    let session = gateway.session_of(&headers);
    let Some(visit) = session.as_ref().and_then(|id| gateway.memory.visit(id)) else {
        if json {
            return StatusCode::UNAUTHORIZED.into_response();
        }
        return Redirect::to("/login").into_response();
    };
    let now_ms = gateway.memory.now_unix_ms().unwrap_or(u64::MAX);
    let is_open = gateway.memory.is_fresh() && visit.is_open(now_ms);
    let receipt = receipt(&gateway, &visit).await;
    if json {
        let route = visit.seat.as_ref().map(|seat| gateway.address_of(seat));
        return as_json(&visit, route.as_deref(), is_open, now_ms, receipt.as_ref());
    }
    let mark = gateway.keys.mark(&visit.session.id).unwrap_or_default();
    let view = View::of(&visit, is_open, receipt.is_some());
    let seconds = seconds_left(&visit, now_ms);
    let left = seconds.map(minutes).unwrap_or_default();
    let words = if asked.took_over.is_some() && view.words.is_empty() {
        "You were signed in elsewhere; that session is over now."
    } else {
        &view.words
    };
    let policy = visit.seat.as_ref().map(|seat| seat.policy).unwrap_or_default();
    let is_student = visit.session.onlooker.is_none();
    let link = visit
        .seat
        .as_ref()
        .filter(|_| view.link)
        .map(|seat| format!("{}/", gateway.address_of(seat)));
    let page = Seat {
        heading: view.heading,
        room: visit.session.seat.room.as_str(),
        student: visit.session.seat.student.as_str(),
        onlooker: !is_student,
        words,
        tone: view.tone,
        link: link.as_deref().unwrap_or_default(),
        left: if is_open { &left } else { "" },
        soon: is_open && seconds.is_some_and(|seconds| seconds <= gateway.warn_seconds),
        receipt: receipt.as_ref(),
        stored: &receipt.as_ref().map(|one| moment(&one.created)).unwrap_or_default(),
        mark: &mark,
        hand_in: is_open && is_student && policy.hand_in.is_some(),
        hand_in_words: match policy.hand_in {
            Some(Leaving::Collect) => "Hand in and end",
            _ => "Hand in",
        },
        leave_words: match policy.logout {
            Leaving::Collect if is_student && is_open => "Sign out and hand in",
            _ => "Sign out",
        },
        refresh: view.refresh,
    };
    show(StatusCode::OK, &page)
}

/// What the page says of a seat.
struct View {
    heading: &'static str,
    words: String,
    tone: &'static str,
    link: bool,
    refresh: u32,
}

impl View {
    fn of(visit: &Visit, is_open: bool, has_receipt: bool) -> Self {
        let say = |heading, words: &str, tone, link, refresh| Self {
            heading,
            words: words.to_owned(),
            tone,
            link,
            refresh,
        };
        let Some(seat) = &visit.seat else {
            return if has_receipt {
                say(
                    "Your work is stored",
                    "It was read back and compared.",
                    "good",
                    false,
                    0,
                )
            } else {
                say(
                    "Your seat is closed",
                    "There is no archive of it here yet.",
                    "quiet",
                    false,
                    WAITING,
                )
            };
        };
        if !is_open {
            return say(
                "Your seat is closed",
                "Your work is being collected.",
                "quiet",
                false,
                WAITING,
            );
        }
        match seat.phase {
            Phase::Ready => say("Your seat is ready", "", "good", true, COUNTING),
            Phase::Frozen => {
                let words = "Your supervisor has paused it. It goes on where it stopped.";
                say("Your seat is paused", words, "quiet", false, WAITING)
            }
            Phase::Stopped => {
                let words = "Your supervisor has stopped it. Your work is kept; ask them.";
                say("Your seat is stopped", words, "bad", false, WAITING)
            }
            _ if seat.trouble => {
                let words = "Something does not work, and is tried again. Tell your supervisor if it stays so.";
                say("Your seat is not ready", words, "bad", false, WAITING)
            }
            _ => {
                let words = match seat.place {
                    Some(place) => format!("It is being made; its place in the line is {place}."),
                    None => "It is being made.".to_owned(),
                };
                say("Your seat is coming", &words, "quiet", false, WAITING)
            }
        }
    }
}

/// Asked of the agent only when there may be one: the work is stored, or may be handed in while it goes on. A whole exam
/// waits for its receipts at the same moment.
async fn receipt(gateway: &Gateway, visit: &Visit) -> Option<Receipt> {
    if visit.session.onlooker.is_some() {
        return None;
    }
    let saved = |seat: &DoorSeat| seat.open && seat.policy.hand_in == Some(Leaving::Keep);
    let stored = |seat: &DoorSeat| !seat.open && matches!(seat.phase, Phase::Verified | Phase::Removing | Phase::Gone);
    let (session, seat) = (visit.session.id.clone(), visit.seat.as_ref());
    if seat.is_some_and(|seat| !saved(seat) && !stored(seat)) {
        return None;
    }
    if let (None, Some(kept)) = (seat, gateway.memory.receipt(&session)) {
        return Some(kept);
    }
    let asked = Knock::Receipt {
        session: session.clone(),
    };
    let Some(KnockAnswer::Receipt { receipt }) = gateway.port.ask(asked).await else {
        return None;
    };
    if let (None, Some(receipt)) = (seat, &receipt) {
        gateway.memory.keep_receipt(&session, receipt);
    }
    receipt
}

fn seconds_left(visit: &Visit, now_ms: u64) -> Option<u64> {
    let end = visit.seat.as_ref()?.ends_unix_ms?;
    Some(end.saturating_sub(now_ms) / 1_000)
}

fn minutes(seconds: u64) -> String {
    match (seconds / 3_600, seconds / 60 % 60) {
        (0, 0) => "less than a minute".to_owned(),
        (0, minutes) => format!("{minutes} min"),
        (hours, minutes) => format!("{hours} h {minutes} min"),
    }
}

/// A moment in RFC 3339 and UTC, to the second and for people; anything else stays as it is.
fn moment(told: &str) -> String {
    let parts = told.strip_suffix('Z').and_then(|text| text.split_once('T'));
    let Some((day, time)) = parts else {
        return told.to_owned();
    };
    let seconds = time.split_once('.').map_or(time, |(seconds, _)| seconds);
    format!("{day} {seconds} UTC")
}

fn as_json(visit: &Visit, route: Option<&str>, open: bool, now_ms: u64, receipt: Option<&Receipt>) -> Response {
    let seat = visit.seat.as_ref();
    let row = SeatJson {
        room: &visit.session.seat.room,
        student: &visit.session.seat.student,
        phase: seat.map(|seat| seat.phase),
        open,
        route,
        seconds_left: seconds_left(visit, now_ms),
        place: seat.and_then(|seat| seat.place),
        receipt,
    };
    match serde_json::to_string(&row) {
        Ok(text) => ([(header::CONTENT_TYPE, "application/json")], text).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

/// A student hands in.
pub(super) async fn hand_in(
    State(gateway): State<Arc<Gateway>>,
    headers: HeaderMap,
    form: Result<Form<Marked>, FormRejection>,
) -> Response {
    let session = match gateway.sender(&headers, form) {
        Ok(session) => session,
        Err(response) => return response,
    };
    let (status, heading, words) = match gateway.port.ask(Knock::HandIn { session }).await {
        Some(KnockAnswer::Done { text }) => (StatusCode::OK, "Handed in", format!("{text}.")),
        Some(KnockAnswer::Refused { refusal }) => (StatusCode::CONFLICT, "Not handed in", format!("{}.", refusal.text)),
        _ => (StatusCode::SERVICE_UNAVAILABLE, "Not handed in", AWAY.to_owned()),
    };
    let page = Word {
        heading,
        words: &words,
        link: "/seat",
        link_words: "Your seat and its receipt",
        ..Word::default()
    };
    show(status, &page)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_told_to_the_second() {
        for (told, shown) in [
            ("2026-11-26T02:55:21.82Z", "2026-11-26 02:55:21 UTC"),
            ("2026-11-26T02:55:21Z", "2026-11-26 02:55:21 UTC"),
            ("2026-11-26T02:55:21+01:00", "2026-11-26T02:55:21+01:00"),
            ("", ""),
        ] {
            assert_eq!(moment(told), shown);
        }
    }
}
