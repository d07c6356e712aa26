//! The proxy before the seats: whether a seat's route answers through it.
//!
//! Knows: HTTP, and what the gateway says to somebody whom nobody knows. Must not know: how the proxy hears of routes.

use std::time::Duration;

use reqwest::redirect::Policy;
use reqwest::{Client, StatusCode};

use crate::domain::fault::{Fault, FaultCode};
use crate::domain::ids::SeatId;
use crate::domain::names::{Names, SEAT_HEADER};
use crate::domain::routes::host_of;
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

    /// Whether the seat's route leads to the seat: the gateway is asked for that very seat, or, where nobody guards it,
    /// something answers that is not the proxy itself.
    ///
    /// # Errors
    /// What was found instead, in words.
    pub async fn routes(&self, seat: &SeatId, route: &str) -> Result<(), String> {
        let asked = match host_of(route) {
            Some(host) => self.client.get(format!("{}/", self.url)).header("host", host),
            None => self.client.get(format!("{}{route}/", self.url)),
        };
        let answer = asked
            .send()
            .await
            .map_err(|error| format!("no answer: {}", cause(&error)))?;
        let status = answer.status();
        if !self.guarded {
            let is_proxys = [
                StatusCode::NOT_FOUND,
                StatusCode::BAD_GATEWAY,
                StatusCode::SERVICE_UNAVAILABLE,
                StatusCode::GATEWAY_TIMEOUT,
            ];
            // A seat's program has no reason to answer its own root like that either.
            return if is_proxys.contains(&status) {
                Err(format!("it answers {status}"))
            } else {
                Ok(())
            };
        }
        let told = answer.headers().get(SEAT_HEADER).and_then(|value| value.to_str().ok());
        match told {
            Some(name) if name == self.names.seat(seat) => Ok(()),
            Some(_) => Err("it leads to another seat".to_owned()),
            None if status == StatusCode::NOT_FOUND => Err("it has no route to it".to_owned()),
            None => Err(format!("it answers {status}, and the gateway is not asked")),
        }
    }
}

/// The innermost reason: the outer ones say the address again.
fn cause(error: &reqwest::Error) -> String {
    let mut inner: &dyn std::error::Error = error;
    while let Some(next) = inner.source() {
        inner = next;
    }
    inner.to_string()
}
