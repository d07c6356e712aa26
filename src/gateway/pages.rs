//! The pages, and what every answer with one bears. Texts are escaped by the templates; nothing here runs a script.

use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};

use super::Gateway;
use crate::domain::door::Receipt;

const STYLE: &str = include_str!("../../assets/gateway/labtop.css");
/// Nothing but the page itself and its style: no script, no frame around it, forms to us alone.
const POLICY: &str =
    "default-src 'none'; style-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// The login page.
#[derive(Debug, Default, Template)]
#[template(path = "login.html")]
pub(super) struct Login<'p> {
    pub(super) words: &'p str,
    pub(super) tone: &'static str,
    pub(super) student: &'p str,
    pub(super) next: &'p str,
    pub(super) rooms: &'p [String],
}

/// A student's own page.
#[derive(Debug, Template)]
#[template(path = "seat.html")]
pub(super) struct Seat<'p> {
    pub(super) heading: &'static str,
    pub(super) room: &'p str,
    pub(super) student: &'p str,
    pub(super) onlooker: bool,
    pub(super) words: &'p str,
    pub(super) tone: &'static str,
    pub(super) link: &'p str,
    pub(super) left: &'p str,
    /// Whether that is little enough to be warned of.
    pub(super) soon: bool,
    pub(super) receipt: Option<&'p Receipt>,
    /// When its archive was taken, for people.
    pub(super) stored: &'p str,
    pub(super) mark: &'p str,
    pub(super) hand_in: bool,
    pub(super) hand_in_words: &'static str,
    pub(super) leave_words: &'static str,
    /// Seconds until the page is asked for again; 0 for never.
    pub(super) refresh: u32,
}

/// A page that says one thing.
#[derive(Debug, Default, Template)]
#[template(path = "word.html")]
pub(super) struct Word<'p> {
    pub(super) heading: &'p str,
    pub(super) words: &'p str,
    pub(super) link: &'p str,
    pub(super) link_words: &'p str,
    /// Where the browser goes by itself; empty for nowhere.
    pub(super) onward: &'p str,
}

/// An answer with a page.
pub(super) fn show(status: StatusCode, page: &impl Template) -> Response {
    match page.render() {
        Ok(text) => (status, Html(text)).into_response(),
        Err(error) => {
            tracing::error!(%error, "a page could not be made");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

/// The pages' style.
pub(super) async fn style() -> Response {
    ([(header::CONTENT_TYPE, "text/css; charset=utf-8")], STYLE).into_response()
}

/// Where a seat's route would lead that is not there: before it is made, and after it is closed.
pub(super) async fn nowhere(State(gateway): State<Arc<Gateway>>) -> Response {
    // It may be asked for at a seat's own host.
    let link = format!("{}/seat", gateway.public_url.as_deref().unwrap_or_default());
    let page = Word {
        heading: "No seat here",
        words: "There is no seat at this address, or not any more. Your own page tells more.",
        link: &link,
        link_words: "Your page",
        ..Word::default()
    };
    show(StatusCode::NOT_FOUND, &page)
}

/// What every page bears.
pub(super) async fn guarded(State(gateway): State<Arc<Gateway>>, response: Response) -> Response {
    let mut response = response;
    guard(response.headers_mut(), &gateway);
    response
}

/// The same for an answer that is no page of its own.
pub(super) fn guard(headers: &mut HeaderMap, gateway: &Gateway) {
    let fixed = [
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::REFERRER_POLICY, "same-origin"),
        (header::CACHE_CONTROL, "no-store"),
    ];
    for (name, value) in fixed {
        headers.insert(name, HeaderValue::from_static(value));
    }
    // Whoever signs in goes on to their seat, which may be on a host of its own.
    let seats = gateway.routing.rule.domain();
    let seats = seats.map(|domain| format!(" *.{domain}:*")).unwrap_or_default();
    let policy = POLICY.replace("form-action 'self'", &format!("form-action 'self'{seats}"));
    if let Ok(policy) = HeaderValue::try_from(policy) {
        headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    if gateway
        .public_url
        .as_deref()
        .is_some_and(|url| url.starts_with("https://"))
    {
        let value = HeaderValue::from_static("max-age=31536000");
        headers.insert(header::STRICT_TRANSPORT_SECURITY, value);
    }
}
