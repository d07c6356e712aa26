//! What Traefik's HTTP provider reads: the gateway's own routes.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::extract::{ConnectInfo, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;

use super::Gateway;

/// The paths of the pages. What only Traefik and the host may ask is not among them.
const PAGES: [&str; 5] = ["/login", "/logout", "/seat", "/hand-in", "/labtop.css"];

/// The configuration; for this host alone, and not through the proxy.
pub(super) async fn config(
    State(gateway): State<Arc<Gateway>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    headers: HeaderMap,
) -> Response {
    if !peer.ip().is_loopback() || headers.contains_key("x-forwarded-for") {
        return StatusCode::NOT_FOUND.into_response();
    }
    let paths = PAGES.map(|path| format!("Path(`{path}`)"));
    let mut listen = gateway.listen;
    if listen.ip().is_unspecified() {
        listen.set_ip(std::net::Ipv4Addr::LOCALHOST.into());
    }
    let config = json!({
        "http": {
            "routers": { "labtop": { "rule": paths.join(" || "), "service": "labtop" } },
            "services": { "labtop": { "loadBalancer": { "servers": [ { "url": format!("http://{listen}") } ] } } },
        }
    });
    ([(header::CONTENT_TYPE, "application/json")], config.to_string()).into_response()
}
