//! The proxy before the seats: whether a seat's route answers through it.
//!
//! Knows: HTTP, and what the gateway says to somebody whom nobody knows. Must not know: how the proxy hears of routes.

use std::time::Duration;

use reqwest::redirect::Policy;
use reqwest::{Client, StatusCode};

use crate::domain::fault::{Fault, FaultCode};
use crate::domain::ids::SeatId;
use crate::domain::names::{ASK_HEADER, Names, SEAT_HEADER};
use crate::domain::routes::{host_of, told_seat};
use crate::domain::settings::{RouteAuth, RoutingSettings};

/// How long one answer may take.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);

/// A proxy.
#[derive(Debug, Clone)]
pub struct Proxy {
    client: Client,
    url: String,
    names: Names,
    guarded: bool,
}

impl Proxy {
    /// The one of the configuration, before the seats of that instance.
    ///
    /// # Errors
    /// When this host's TLS cannot be set up.
    pub fn new(routing: &RoutingSettings, names: Names) -> Result<Self, Fault> {
        let client = Client::builder()
            .redirect(Policy::none())
            .timeout(ANSWER_WITHIN)
            .build();
        let client = client.map_err(|error| {
            Fault::new(
                FaultCode::NotReady,
                format!("cannot ask {}: {error}", routing.traefik_url),
            )
        })?;
        Ok(Self {
            client,
            url: routing.traefik_url.trim_end_matches('/').to_owned(),
            names,
            guarded: routing.auth == RouteAuth::Gateway,
        })
    }

    /// Where it is.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Whether the seat's route is there: the gateway is asked for that very seat, or, where nobody guards it, something
    /// answers that is not the proxy itself.
    pub async fn route(&self, seat: &SeatId, route: &str) -> Route {
        let asked = match host_of(route) {
            Some(host) => self.client.get(format!("{}/", self.url)).header("host", host),
            None => self.client.get(format!("{}{route}/", self.url)),
        };
        let number = uuid::Uuid::new_v4().simple().to_string();
        let answer = match asked.header(ASK_HEADER, &number).send().await {
            Ok(answer) => answer,
            Err(error) if error.is_connect() => return Route::Lost(format!("no answer: {}", cause(&error))),
            Err(error) => return Route::Unknown(format!("no answer: {}", cause(&error))),
        };
        let status = answer.status();
        let told = answer.headers().get(SEAT_HEADER).and_then(|value| value.to_str().ok());
        match told {
            Some(told) if told == told_seat(&number, &self.names.seat(seat)) => Route::There,
            Some(_) => Route::Lost("it leads to another seat".to_owned()),
            None if status == StatusCode::NOT_FOUND => Route::Lost("it has no route to it".to_owned()),
            None if status.is_server_error() => Route::Unknown(format!("it answers {status}")),
            None if status.is_redirection() => Route::Lost(format!(
                "it answers {status}, which leads elsewhere: `[gateway] traefik_url` is to be where routes answer"
            )),
            None if self.guarded => Route::Lost(format!("it answers {status}, and the gateway is not asked")),
            None => Route::There,
        }
    }
}

/// What was found of a route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Route {
    /// It is there.
    There,
    /// It is not, or leads elsewhere; what was found instead, in words.
    Lost(String),
    /// Nobody can tell at the moment, and why, in words: proxy, gateway or seat are busy or starting.
    Unknown(String),
}

/// The innermost reason: the outer ones say the address again.
fn cause(error: &reqwest::Error) -> String {
    let mut inner: &dyn std::error::Error = error;
    while let Some(next) = inner.source() {
        inner = next;
    }
    inner.to_string()
}
