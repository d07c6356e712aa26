//! The answer to Traefik: whether a request may go on to a seat. Decided by the signed cookie and the route alone.
//!
//! The route is in the address that Traefik asks at, which the seat's own label fixes; nothing that a browser sends can
//! change it. Headers that a browser may have sent only choose between a page and a bare refusal.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};

use super::Gateway;
use super::pages::{Word, guard, show};
use super::request::{other_cookies, session_cookie, wants_page, way_back};
use crate::domain::door::{DoorSeat, Knock};
use crate::domain::ids::SessionId;
use crate::domain::names::{ASK_HEADER, SEAT_HEADER};
use crate::domain::routes::{host_of, told_seat};

/// What is decided of a request.
enum Verdict {
    /// It goes on.
    Pass,
    /// Nobody has signed in, or not any more.
    Anonymous,
    /// Somebody has, to another seat.
    Foreign(SessionId),
    /// The seat is let into no more.
    Closed,
    /// Too little is known.
    Unsure,
}

/// Answers for a seat.
pub(super) async fn verify(
    State(gateway): State<Arc<Gateway>>,
    Path(name): Path<String>,
    headers: HeaderMap,
) -> Response {
    let seat = gateway.memory.named(&name);
    match judge(&gateway, seat.as_ref(), &headers) {
        Verdict::Pass => pass(&headers),
        Verdict::Anonymous => {
            let mut response = refuse(&gateway, StatusCode::UNAUTHORIZED, seat.as_ref(), &headers);
            // The agent finds out by this whether the route leads here.
            let asked = headers.get(ASK_HEADER).and_then(|value| value.to_str().ok());
            if let (Some(_), Some(asked)) = (seat, asked)
                && let Ok(told) = HeaderValue::try_from(told_seat(asked, &name))
            {
                response.headers_mut().insert(SEAT_HEADER, told);
            }
            response
        }
        Verdict::Closed => refuse(&gateway, StatusCode::FORBIDDEN, None, &headers),
        Verdict::Unsure => refuse(&gateway, StatusCode::SERVICE_UNAVAILABLE, None, &headers),
        Verdict::Foreign(session) => {
            if let Some(seat) = seat
                && gateway.memory.may_tell_of(&session)
            {
                let seat = seat.seat;
                let gateway = Arc::clone(&gateway);
                tokio::spawn(async move { gateway.port.ask(Knock::Trespass { session, seat }).await });
            }
            refuse(&gateway, StatusCode::FORBIDDEN, None, &headers)
        }
    }
}

fn judge(gateway: &Gateway, seat: Option<&DoorSeat>, headers: &HeaderMap) -> Verdict {
    let memory = &gateway.memory;
    let (true, Some(now_ms)) = (memory.is_fresh(), memory.now_unix_ms()) else {
        return Verdict::Unsure;
    };
    let session = session_cookie(headers).and_then(|token| gateway.keys.read(token, now_ms));
    let Some(visit) = session.and_then(|id| memory.visit(&id)) else {
        return Verdict::Anonymous;
    };
    match seat {
        Some(seat) if seat.seat == visit.session.seat && visit.is_open(now_ms) => Verdict::Pass,
        Some(seat) if seat.seat == visit.session.seat => Verdict::Closed,
        _ => Verdict::Foreign(visit.session.id),
    }
}

/// The request goes on without its session: what Traefik is told here replaces what the browser sent.
fn pass(headers: &HeaderMap) -> Response {
    let mut response = StatusCode::OK.into_response();
    if let Some(cookies) = other_cookies(headers).and_then(|text| HeaderValue::try_from(text).ok()) {
        response.headers_mut().insert(header::COOKIE, cookies);
    }
    response
}

fn refuse(gateway: &Gateway, status: StatusCode, back: Option<&DoorSeat>, headers: &HeaderMap) -> Response {
    let mut response = if wants_page(headers) {
        explain(gateway, status, back, headers)
    } else {
        status.into_response()
    };
    guard(response.headers_mut(), gateway);
    response
}

fn explain(gateway: &Gateway, status: StatusCode, back: Option<&DoorSeat>, headers: &HeaderMap) -> Response {
    match status {
        StatusCode::UNAUTHORIZED => {
            let wish = headers.get("x-forwarded-uri").and_then(|value| value.to_str().ok());
            let next = back.map(|seat| next(&gateway.address_of(seat), wish));
            let to = next.map_or_else(
                || "/login".to_owned(),
                |next| format!("/login?next={}", in_query(&next)),
            );
            if let Some(url) = &gateway.public_url {
                return Redirect::to(&format!("{url}{to}")).into_response();
            }
            // Traefik would make an absolute address of ours out of a redirect: so the page itself goes on.
            let page = Word {
                heading: "Sign in",
                words: "This seat is for its student alone.",
                link: &to,
                link_words: "Sign in",
                onward: &to,
            };
            show(status, &page)
        }
        StatusCode::FORBIDDEN => {
            let page = Word {
                heading: "Not your seat",
                words: "You are signed in, but this seat is not yours, or it is closed.",
                link: "/seat",
                link_words: "Your own seat",
                ..Word::default()
            };
            show(status, &page)
        }
        _ => {
            let page = Word {
                heading: "One moment",
                words: "The lab does not answer at the moment, so nobody is let in. Try again in a few seconds.",
                ..Word::default()
            };
            show(status, &page)
        }
    }
}

/// Where somebody goes on after signing in: what they asked for, when it is below the seat's address, else that.
fn next(address: &str, wish: Option<&str>) -> String {
    let wish = wish.map(|path| match host_of(address) {
        Some(_) => format!("{address}{path}"),
        None => path.to_owned(),
    });
    let back = wish.as_deref().and_then(|wish| way_back(wish, address));
    back.unwrap_or(address).to_owned()
}

/// A path as the value of a query.
fn in_query(path: &str) -> String {
    path.bytes()
        .map(|b| match b {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'.' | b'-' | b'_' | b'~' => char::from(b).to_string(),
            other => format!("%{other:02X}"),
        })
        .collect()
}
