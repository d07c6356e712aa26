//! The Docker engine, spoken to through bollard.
//!
//! Knows how a seat, a room and a workspace look on an engine, and acts only on things that bear this instance's
//! label. Must not know rooms' plans, ledgers or people. Every effect may be repeated, every call ends in bounded
//! time, and a changing call without an answer is a fault that says so.

mod act;
mod address;
mod capacity;
mod carrier;
mod connect;
pub mod demo;
mod elsewhere;
mod errors;
mod events;
mod evidence;
mod hold;
mod image;
mod inside;
mod list;
mod logs;
mod network;
mod probe;
mod provision;
mod raw;
mod refill;
mod remove;
pub mod rootfs;
mod shell;
mod spec;
mod starter;
mod stats;
mod survey;
mod work;
mod workspace_owner;

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use tokio::sync::Mutex;

use crate::domain::ids::InstanceId;
use crate::domain::names::Names;
use crate::domain::settings::{NetworkSettings, RoutingSettings, TlsSettings};

pub use carrier::{CARRIER_IMAGE, Workspace};
pub use events::EngineEvent;
pub use probe::PROBE_IMAGE;
pub use refill::Refill;
pub use shell::{Shell, ShellInput};
pub use stats::RawStats;
pub use work::{Parts, Work};

/// What the adapter needs to know.
#[derive(Debug, Clone)]
pub struct Options {
    /// `unix://PATH`, `tcp://HOST:PORT` (TLS when `tls` is given) or `http://HOST:PORT`.
    pub host: String,
    /// Client certificates.
    pub tls: Option<TlsSettings>,
    /// Whose things this adapter may touch.
    pub instance: InstanceId,
    /// The addresses that rooms are made in.
    pub network: NetworkSettings,
    /// What goes into the labels of a seat's route.
    pub routing: RoutingSettings,
}

/// One engine. Clones are cheap and share everything.
#[derive(Clone)]
pub struct Docker {
    inner: Arc<Inner>,
}

struct Inner {
    options: Options,
    names: Names,
    /// Made at the first call: the socket need not be there before.
    client: OnceLock<bollard::Docker>,
    /// Held from the choice of a subnet until its network is made.
    subnets: Mutex<()>,
    /// Which images bring a workspace that the seat's user owns.
    workspaces: Mutex<HashMap<workspace_owner::Question, bool>>,
    /// One lock an image, held while it is pulled or made, so that each is so once.
    images: Mutex<HashMap<String, Arc<Mutex<()>>>>,
    /// Held while probes are there.
    probing: Mutex<()>,
    /// Seats' addresses, by network.
    addresses: address::Addresses,
    /// Names of the carriers that are in use.
    carriers: carrier::InUse,
}

impl std::fmt::Debug for Docker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Docker")
            .field("host", &self.inner.options.host)
            .finish_non_exhaustive()
    }
}
