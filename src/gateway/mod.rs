//! The students' door: login pages, a student's own page, and the answers to Traefik.
//!
//! Knows: HTTP, signed cookies, and the agent's socket in the gateway's role. Must not know: Docker, the ledger, archives.
//! Whether a seat is let into is answered from memory (`memory.rs`), which the agent keeps fresh; when it has not been
//! heard of for half a minute, nobody is let in.

mod hs256;
mod keys;
mod login;
mod memory;
mod pages;
mod port;
mod request;
mod routes;
mod seat;
mod verify;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::StatusCode;
use axum::middleware::{from_fn, map_response_with_state};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{any, get, post};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::domain::door::DoorSeat;
use crate::domain::routes::host_of;
use crate::domain::settings::RoutingSettings;
use crate::paths::PathError;
use crate::signals::Ends;
use keys::{KeyError, Keys};
use memory::Memory;
use port::Port;

/// Longest body that is read: a login form has a hundred bytes.
const BODY_MAX: usize = 16 * 1024;
/// How long requests may still take when the gateway is told to stop.
const LAST_REQUESTS: Duration = Duration::from_secs(5);
/// How often it is looked whether a new key is due.
const ROTATION_EVERY: Duration = Duration::from_mins(10);

/// Where a gateway lives, and how.
#[derive(Debug, Clone)]
pub struct Place {
    /// Where it listens.
    pub listen: SocketAddr,
    /// The address that students type; none means whichever they typed.
    pub public_url: Option<String>,
    /// How students reach seats.
    pub routing: RoutingSettings,
    /// How long before the end of a lease its student is warned, seconds.
    pub warn_seconds: u64,
    /// Where its key is kept.
    pub state: PathBuf,
    /// Where an agent may listen, in the order in which they are tried.
    pub agents: Vec<PathBuf>,
}

/// Why a gateway does not run.
#[derive(Debug, thiserror::Error)]
pub enum GatewayError {
    /// Its state directory cannot be used.
    #[error(transparent)]
    Path(#[from] PathError),
    /// Its key cannot be used.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// It cannot listen.
    #[error("cannot listen at {place}: {cause}; [gateway] listen names another address")]
    Listen {
        /// Where.
        place: SocketAddr,
        /// Why.
        cause: std::io::Error,
    },
    /// The system does not let it run.
    #[error("the gateway cannot run: {0}")]
    System(#[from] std::io::Error),
}

/// What every request is answered from.
struct Gateway {
    memory: Memory,
    keys: Keys,
    port: Port,
    public_url: Option<String>,
    routing: RoutingSettings,
    warn_seconds: u64,
}

impl Gateway {
    /// A seat's address as its student's pages name it: a path, or `//` and a host with the port of our own pages.
    fn address_of(&self, seat: &DoorSeat) -> String {
        if host_of(&seat.route).is_none() {
            return seat.route.clone();
        }
        let place = self.public_url.as_deref().and_then(|url| url.split_once("://"));
        let port = place
            .and_then(|(_, place)| place.rsplit_once(':'))
            .map(|(_, port)| port);
        port.map_or_else(|| seat.route.clone(), |port| format!("{}:{port}", seat.route))
    }
}

/// Runs the gateway until it is told to stop.
///
/// # Errors
/// When its key cannot be used, or its address is taken.
pub async fn run(place: &Place, ready: impl FnOnce(SocketAddr)) -> Result<(), GatewayError> {
    let mut ends = Ends::new()?;
    crate::paths::private_directory(&place.state)?;
    let keys = Keys::open(&place.state)?;
    let listener = TcpListener::bind(place.listen).await;
    let listener = listener.map_err(|cause| GatewayError::Listen {
        place: place.listen,
        cause,
    })?;
    let listen = listener.local_addr()?;
    let gateway = Arc::new(Gateway {
        memory: Memory::default(),
        keys,
        port: Port::new(place.agents.clone()),
        public_url: place.public_url.clone(),
        routing: place.routing.clone(),
        warn_seconds: place.warn_seconds,
    });
    let shutdown = CancellationToken::new();
    let _feed = tokio::spawn(port::feed(Arc::clone(&gateway)));
    let _rotation = tokio::spawn(rotate(Arc::clone(&gateway)));
    let router = router(gateway).into_make_service_with_connect_info::<SocketAddr>();
    let served = axum::serve(listener, router).with_graceful_shutdown(shutdown.clone().cancelled_owned());
    let mut served = tokio::spawn(async move { served.await });
    tracing::info!(%listen, "the gateway is up");
    ready(listen);
    tokio::select! {
        ended = &mut served => return Ok(ended.map_err(std::io::Error::other)??),
        _ = ends.next() => {}
    }
    shutdown.cancel();
    let _ = tokio::time::timeout(LAST_REQUESTS, served).await;
    tracing::info!("the gateway is down");
    Ok(())
}

fn router(gateway: Arc<Gateway>) -> Router {
    let pages = Router::new()
        .route("/", get(|| async { Redirect::to("/seat") }))
        .route(routes::NOWHERE, any(pages::nowhere))
        .route("/login", get(login::page).post(login::sign_in))
        .route("/logout", post(login::sign_out))
        .route("/seat", get(seat::page))
        .route("/hand-in", post(seat::hand_in))
        .route("/labtop.css", get(pages::style))
        .layer(map_response_with_state(Arc::clone(&gateway), pages::guarded));
    Router::new()
        .merge(pages)
        .route("/auth/verify/{seat}", any(verify::verify))
        .route("/traefik/config", get(routes::config))
        .route("/healthz", get(health))
        .fallback(|| async { StatusCode::NOT_FOUND })
        .layer(DefaultBodyLimit::max(BODY_MAX))
        .layer(from_fn(request::plain_head))
        .with_state(gateway)
}

async fn health(State(gateway): State<Arc<Gateway>>) -> Response {
    if gateway.memory.is_fresh() {
        return "ok\n".into_response();
    }
    (StatusCode::SERVICE_UNAVAILABLE, "the agent has not been heard of\n").into_response()
}

async fn rotate(gateway: Arc<Gateway>) {
    loop {
        if let Some(now_unix_ms) = gateway.memory.now_unix_ms()
            && let Err(error) = gateway.keys.rotate(now_unix_ms)
        {
            tracing::error!(%error, "the signing key stays as it is");
        }
        tokio::time::sleep(ROTATION_EVERY).await;
    }
}
