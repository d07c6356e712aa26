//! Signing in and out.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::extract::rejection::{FormRejection, QueryRejection};
use axum::extract::{ConnectInfo, Form, Query, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use serde::Deserialize;

use super::Gateway;
use super::pages::{Login, Word, show};
use super::request::{COOKIE, address, is_same_site, is_secure, session_cookie, way_back};
use crate::domain::door::{AccessCode, Ended, Knock, KnockAnswer, SessionRecord};
use crate::domain::fault::RefusalCode;
use crate::domain::ids::{RoomName, SessionId};

/// What the address of the login page may say.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Asked {
    #[serde(default)]
    next: String,
}

/// The login form.
#[derive(Deserialize)]
pub(super) struct Credentials {
    #[serde(default)]
    student: String,
    #[serde(default)]
    code: String,
    #[serde(default)]
    room: String,
    #[serde(default)]
    next: String,
}

/// A form of a signed-in person's.
#[derive(Deserialize)]
pub(super) struct Marked {
    #[serde(default)]
    mark: String,
}

impl Gateway {
    /// The session that a request's cookie names, whether it is over or not.
    pub(super) fn session_of(&self, headers: &HeaderMap) -> Option<SessionId> {
        self.keys.read(session_cookie(headers)?, self.memory.now_unix_ms()?)
    }

    /// The session of a form that changes something, or what is answered instead: it must come from our own page. A
    /// browser must bring the mark of its session.
    #[expect(clippy::result_large_err, reason = "the other side is an answer, made once")]
    pub(super) fn sender(
        &self,
        headers: &HeaderMap,
        form: Result<Form<Marked>, FormRejection>,
    ) -> Result<SessionId, Response> {
        let mark = form.map(|Form(form)| form.mark).unwrap_or_default();
        let session = self.session_of(headers);
        let session = session.ok_or_else(|| Redirect::to("/login").into_response())?;
        let is_browser = headers.contains_key(header::ORIGIN) || headers.contains_key("sec-fetch-site");
        let same_site = is_same_site(headers, self.public_url.as_deref());
        if same_site && (!is_browser || self.keys.is_marked(&session, &mark)) {
            return Ok(session);
        }
        Err(another_site())
    }

    /// The cookie of a session that begins.
    fn cookie(&self, session: &SessionRecord, headers: &HeaderMap) -> Option<HeaderValue> {
        let token = self.keys.sign(session)?;
        let seconds = session.ends_unix_ms.saturating_sub(session.began_unix_ms) / 1_000;
        HeaderValue::try_from(format!(
            "{COOKIE}={token}; Max-Age={seconds}{}",
            self.attributes(headers)
        ))
        .ok()
    }

    /// No scripts, no other hosts, no forms of other sites.
    fn attributes(&self, headers: &HeaderMap) -> String {
        let secure = is_secure(headers, self.public_url.as_deref());
        // Seats with hosts of their own are asked for with the same session.
        let domain = self.routing.rule.domain();
        format!(
            "; Path=/; HttpOnly; SameSite=Lax{}{}",
            domain.map(|domain| format!("; Domain={domain}")).unwrap_or_default(),
            if secure { "; Secure" } else { "" }
        )
    }

    fn no_cookie(&self, headers: &HeaderMap) -> Option<HeaderValue> {
        HeaderValue::try_from(format!("{COOKIE}=; Max-Age=0{}", self.attributes(headers))).ok()
    }
}

/// The login page; whoever is signed in goes to their seat.
pub(super) async fn page(
    State(gateway): State<Arc<Gateway>>,
    asked: Result<Query<Asked>, QueryRejection>,
    headers: HeaderMap,
) -> Response {
    let asked = asked.map(|Query(asked)| asked).unwrap_or_default();
    let session = gateway.session_of(&headers);
    if let Some(visit) = session.as_ref().and_then(|id| gateway.memory.visit(id)) {
        let route = visit.seat.as_ref().map(|seat| gateway.address_of(seat));
        let back = route.and_then(|route| way_back(&asked.next, &route));
        return Redirect::to(back.unwrap_or("/seat")).into_response();
    }
    let why = session.and_then(|id| gateway.memory.ended(&id));
    let words = match why {
        Some(Ended::TakenOver) => "You signed in elsewhere, which ended this session.",
        Some(Ended::Revoked) => "A supervisor ended your session. Sign in again, or ask them.",
        Some(Ended::Expired) => "Your session is over. Sign in again.",
        Some(Ended::SignedOut) | None => "",
    };
    let page = Login {
        words,
        tone: "bad",
        next: &asked.next,
        ..Login::default()
    };
    show(StatusCode::OK, &page)
}

/// Whoever brings a student's id and code gets a session.
pub(super) async fn sign_in(
    State(gateway): State<Arc<Gateway>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    headers: HeaderMap,
    form: Result<Form<Credentials>, FormRejection>,
) -> Response {
    let Ok(Form(form)) = form else {
        return again(StatusCode::BAD_REQUEST, "That was no login form.", &Credentials::none());
    };
    if !is_same_site(&headers, gateway.public_url.as_deref()) {
        let words = "That form came from another site. Type the address of the lab yourself.";
        return again(StatusCode::FORBIDDEN, words, &Credentials::none());
    }
    let Some(knock) = knock(&form, address(peer, &headers).to_string()) else {
        return again(StatusCode::UNAUTHORIZED, WRONG, &form);
    };
    let Some(answer) = gateway.port.ask(knock).await else {
        return again(StatusCode::SERVICE_UNAVAILABLE, AWAY, &form);
    };
    match answer {
        KnockAnswer::In { session, over } => let_in(&gateway, *session, &over, &form, &headers),
        answer => not_in(answer, &form),
    }
}

const WRONG: &str = "Student and code do not belong together. Look at your card and try again.";
pub(super) const AWAY: &str = "The lab does not answer at the moment. Try again in a few seconds.";

impl Credentials {
    fn none() -> Self {
        Self {
            student: String::new(),
            code: String::new(),
            room: String::new(),
            next: String::new(),
        }
    }
}

/// What the agent is asked; none when it cannot be right.
fn knock(form: &Credentials, address: String) -> Option<Knock> {
    let code = AccessCode::new(form.code.trim().to_owned());
    if form.student.trim().is_empty() {
        return Some(Knock::LookIn { code, address });
    }
    let room = match form.room.trim() {
        "" => None,
        room => Some(room.parse::<RoomName>().ok()?),
    };
    Some(Knock::SignIn {
        student: form.student.trim().parse().ok()?,
        code,
        room,
        address,
    })
}

fn let_in(
    gateway: &Gateway,
    session: SessionRecord,
    over: &[SessionId],
    form: &Credentials,
    headers: &HeaderMap,
) -> Response {
    let Some(cookie) = gateway.cookie(&session, headers) else {
        return again(StatusCode::INTERNAL_SERVER_ERROR, AWAY, form);
    };
    gateway.memory.expect(session.clone(), over);
    let seat = gateway.memory.visit(&session.id).and_then(|visit| visit.seat);
    let route = seat.as_ref().map(|seat| gateway.address_of(seat));
    let back = route.and_then(|route| way_back(&form.next, &route));
    let to = match (back, over.is_empty()) {
        (_, false) => "/seat?took_over=1",
        (Some(back), true) => back,
        (None, true) => "/seat",
    };
    ([(header::SET_COOKIE, cookie)], Redirect::to(to)).into_response()
}

fn not_in(answer: KnockAnswer, form: &Credentials) -> Response {
    let (status, words) = match answer {
        KnockAnswer::Locked { seconds } => {
            let words = format!(
                "Too many wrong codes. Wait {} minutes, or ask your supervisor.",
                seconds.div_ceil(60)
            );
            return again(StatusCode::TOO_MANY_REQUESTS, &words, form);
        }
        KnockAnswer::Choose { rooms } => {
            let rooms: Vec<String> = rooms.iter().map(ToString::to_string).collect();
            let page = Login {
                words: "You have a seat in several rooms. Choose one, and type your code again.",
                tone: "good",
                student: form.student.trim(),
                next: "",
                rooms: &rooms,
            };
            return show(StatusCode::CONFLICT, &page);
        }
        KnockAnswer::Taken => (
            StatusCode::CONFLICT,
            "You are signed in elsewhere. Sign out there, or ask your supervisor.",
        ),
        KnockAnswer::NoRoom => (
            StatusCode::FORBIDDEN,
            "The code is right, but no room is open for you now. Try again when it begins.",
        ),
        KnockAnswer::Wrong => (StatusCode::UNAUTHORIZED, WRONG),
        KnockAnswer::Refused { refusal } if refusal.code == RefusalCode::Conflict => {
            // A supervisor ended it meanwhile, or the agent is about to stop.
            let words = "That did not work this time. Sign in again in a moment, or ask your supervisor.";
            return again(StatusCode::CONFLICT, words, form);
        }
        KnockAnswer::Refused { refusal } => {
            tracing::error!(%refusal, "the agent refuses this gateway");
            (StatusCode::SERVICE_UNAVAILABLE, AWAY)
        }
        KnockAnswer::Failed { fault } => {
            tracing::warn!(%fault, "a sign-in failed");
            (StatusCode::SERVICE_UNAVAILABLE, AWAY)
        }
        KnockAnswer::In { .. } | KnockAnswer::Done { .. } | KnockAnswer::Receipt { .. } => {
            (StatusCode::SERVICE_UNAVAILABLE, AWAY)
        }
    };
    again(status, words, form)
}

/// The login page once more, without the code.
fn again(status: StatusCode, words: &str, form: &Credentials) -> Response {
    let page = Login {
        words,
        tone: "bad",
        student: form.student.trim(),
        next: &form.next,
        rooms: &[],
    };
    show(status, &page)
}

/// Ends the session of whoever asks; one that is over already is as good.
pub(super) async fn sign_out(
    State(gateway): State<Arc<Gateway>>,
    headers: HeaderMap,
    form: Result<Form<Marked>, FormRejection>,
) -> Response {
    let session = match gateway.sender(&headers, form) {
        Ok(session) => session,
        Err(response) => return response,
    };
    let asked = Knock::SignOut {
        session: session.clone(),
    };
    // Whatever else the agent says, it has not ended the session.
    let Some(KnockAnswer::Done { text }) = gateway.port.ask(asked).await else {
        let page = Word {
            heading: "Not signed out",
            words: AWAY,
            link: "/seat",
            link_words: "Back to your seat",
            ..Word::default()
        };
        return show(StatusCode::SERVICE_UNAVAILABLE, &page);
    };
    gateway.memory.forget(&session);
    let page = Word {
        heading: "Signed out",
        words: &format!("{text}."),
        link: "/login",
        link_words: "Sign in",
        ..Word::default()
    };
    let mut response = show(StatusCode::OK, &page);
    if let Some(cookie) = gateway.no_cookie(&headers) {
        response.headers_mut().insert(header::SET_COOKIE, cookie);
    }
    response
}

/// A form that one of our pages did not send.
fn another_site() -> Response {
    let page = Word {
        heading: "Not done",
        words: "That form did not come from your own page. Go back there and try again.",
        link: "/seat",
        link_words: "Your seat",
        ..Word::default()
    };
    show(StatusCode::FORBIDDEN, &page)
}
