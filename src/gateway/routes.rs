//! What Traefik's HTTP provider reads: the gateway's own routes, and the seats' where it reads no labels.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::extract::{ConnectInfo, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value, json};

use super::Gateway;
use crate::domain::door::DoorSeat;
use crate::domain::routes::{ProxyRoute, site_host};
use crate::domain::settings::{Provider, RoutingSettings};

/// What the pages are called there; no seat's name has no `_`.
const PAGES_NAME: &str = "labtop";
/// The page of routes that lead nowhere, and what its own is called.
pub(super) const NOWHERE: &str = "/nowhere";
const NOWHERE_NAME: &str = "labtop-nowhere";
/// Their paths. What only Traefik and the host may ask is not among them.
const PAGES: [&str; 6] = ["/", "/login", "/logout", "/seat", "/hand-in", "/labtop.css"];

/// The configuration; for this host alone, and not through the proxy.
pub(super) async fn config(
    State(gateway): State<Arc<Gateway>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    headers: HeaderMap,
) -> Response {
    if !peer.ip().is_loopback() || headers.contains_key("x-forwarded-for") {
        return StatusCode::NOT_FOUND.into_response();
    }
    let mut table = Table::default();
    table.add_pages(&gateway);
    if gateway.routing.provider == Provider::Http {
        // Before the agent was heard of, what the proxy knows already is better: on an error it goes on with that.
        let Some(seats) = gateway.memory.seats() else {
            return StatusCode::SERVICE_UNAVAILABLE.into_response();
        };
        for (name, seat) in seats {
            table.add_seat(&name, &seat, &gateway.routing);
        }
    }
    let config = json!({ "http": table.parts() }).to_string();
    ([(header::CONTENT_TYPE, "application/json")], config).into_response()
}

/// Routers, services and middlewares, each by its name.
#[derive(Default)]
struct Table {
    routers: Map<String, Value>,
    services: Map<String, Value>,
    middlewares: Map<String, Value>,
}

impl Table {
    fn add_pages(&mut self, gateway: &Gateway) {
        let paths = PAGES.map(|path| format!("Path(`{path}`)")).join(" || ");
        let hosts = gateway.routing.rule.domain().zip(gateway.public_url.as_deref());
        let (pages, seats) = match hosts {
            None => (paths, "PathPrefix(`/api/r/`)".to_owned()),
            // A seat's own host is the seat's alone, whatever is asked of it.
            Some((domain, url)) => {
                let seats = domain.replace('.', "\\.");
                (
                    format!("Host(`{}`) && ({paths})", site_host(url)),
                    format!("HostRegexp(`^[a-z0-9-]+\\.{seats}$`)"),
                )
            }
        };
        let router = json!({ "rule": pages, "service": PAGES_NAME });
        // After every seat's own route, which is longer than a priority of 1.
        let nowhere = json!({ "rule": seats, "priority": 1, "service": PAGES_NAME, "middlewares": [NOWHERE_NAME] });
        self.routers.insert(PAGES_NAME.into(), router);
        self.routers.insert(NOWHERE_NAME.into(), nowhere);
        self.middlewares
            .insert(NOWHERE_NAME.into(), json!({ "replacePath": { "path": NOWHERE } }));
        self.services
            .insert(PAGES_NAME.into(), service(&gateway.routing.gateway_url));
    }

    /// What the labels of the seat would say.
    fn add_seat(&mut self, name: &str, seat: &DoorSeat, routing: &RoutingSettings) {
        let Some(target) = seat.target else { return };
        let route = ProxyRoute::of(name, &seat.route, routing);
        let mut through = Vec::new();
        if let Some(address) = route.auth {
            through.push(format!("{name}-auth"));
            let auth = json!({ "forwardAuth": { "address": address, "authResponseHeaders": ["Cookie"] } });
            self.middlewares.insert(format!("{name}-auth"), auth);
        }
        if let Some(prefix) = route.strip {
            through.push(format!("{name}-strip"));
            let strip = json!({ "stripPrefix": { "prefixes": [prefix] } });
            self.middlewares.insert(format!("{name}-strip"), strip);
        }
        let router = json!({ "rule": route.rule, "service": name, "middlewares": through });
        self.routers.insert(name.to_owned(), router);
        self.services
            .insert(name.to_owned(), service(&format!("http://{target}")));
    }

    /// Traefik refuses a part that is there and empty.
    fn parts(self) -> Map<String, Value> {
        let parts = [
            ("routers", self.routers),
            ("services", self.services),
            ("middlewares", self.middlewares),
        ];
        let full = parts.into_iter().filter(|(_, part)| !part.is_empty());
        full.map(|(name, part)| (name.to_owned(), Value::Object(part)))
            .collect()
    }
}

fn service(url: &str) -> Value {
    json!({ "loadBalancer": { "servers": [ { "url": url } ] } })
}
