//! The checked settings of the agent: what `config.rs` makes of a file, as plain data.
//!
//! Adapters read their own part and nothing else.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use serde::Serialize;

use super::ids::TemplateName;
use super::proof::VerifyMode;
use super::role::RoleSettings;
use super::routes::RouteRule;
use super::template::Template;

/// Everything that the agent needs to know.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Settings {
    /// The template that `room open` takes when none is named.
    pub default_template: TemplateName,
    /// All templates by name.
    pub templates: BTreeMap<TemplateName, Template>,
    /// The engine.
    pub docker: DockerSettings,
    /// The archive store.
    pub archive: ArchiveSettings,
    /// Addresses of rooms.
    pub network: NetworkSettings,
    /// How students reach seats.
    pub routing: RoutingSettings,
    /// The students' door.
    pub gateway: GatewaySettings,
    /// The ends of leases.
    pub leases: LeaseSettings,
    /// Who may do what.
    pub roles: RoleSettings,
    /// Bounds.
    pub limits: LimitSettings,
    /// The agent's process.
    pub agent: AgentSettings,
    /// The board.
    pub ui: UiSettings,
}

/// Where the engine is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DockerSettings {
    /// `unix://PATH`, `tcp://HOST:PORT` (TLS when `tls` is given) or `http://HOST:PORT`. `DOCKER_HOST` has already
    /// been taken into account.
    pub host: String,
    /// Client certificates.
    pub tls: Option<TlsSettings>,
}

/// PEM files of a TLS client.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TlsSettings {
    /// The authority that signed the engine's certificate.
    pub ca: PathBuf,
    /// The client's certificate.
    pub cert: PathBuf,
    /// The client's private key.
    pub key: PathBuf,
}

/// How leases end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LeaseSettings {
    /// Minutes before the end at which it is announced, the most first; a minute before it always is.
    pub warn_minutes: Vec<u32>,
    /// Where they are mirrored.
    pub store: LeaseStore,
}

/// Where leases are mirrored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub enum LeaseStore {
    /// In the ledger: the agent is alone.
    Embedded,
    /// In Redis, which other agents and programs may share.
    Redis(RedisSettings),
}

/// A Redis server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RedisSettings {
    /// `redis://`, `rediss://` (TLS) or `unix://`, with user and database; the password may be in it.
    pub url: SecretUrl,
    /// File with the password; it wins over the address.
    pub password_file: Option<PathBuf>,
    /// Stands before every key.
    pub prefix: String,
    /// The authority that signed the server's certificate; none means the system's.
    pub ca_file: Option<PathBuf>,
}

/// An address that may hold a password, which is never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretUrl(String);

impl SecretUrl {
    /// An address.
    #[must_use]
    pub fn new(url: String) -> Self {
        Self(url)
    }

    /// With the password, for connecting.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Display for SecretUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Some((scheme, rest)) = self.0.split_once("://") else {
            return f.write_str(&self.0);
        };
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        match rest[..end].rfind('@') {
            None => f.write_str(&self.0),
            Some(at) => {
                let user = rest[..at].split(':').next().unwrap_or_default();
                write!(f, "{scheme}://{user}{}", &rest[at..])
            }
        }
    }
}

impl std::fmt::Debug for SecretUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "\"{self}\"")
    }
}

impl Serialize for SecretUrl {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Where archives go and how they are made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ArchiveSettings {
    /// Where they go.
    pub store: StoreSettings,
    /// How they are proven.
    pub verify: VerifyMode,
    /// How hard zstd tries, 1 to 19.
    pub level: u32,
    /// Threads of zstd's own; 0 for none.
    pub threads: u32,
}

/// The store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub enum StoreSettings {
    /// Files below this directory of the host; absolute.
    Directory(PathBuf),
    /// A bucket.
    S3(S3Settings),
}

impl StoreSettings {
    /// Where archives go, for people.
    #[must_use]
    pub fn place(&self) -> String {
        match self {
            Self::Directory(path) => path.display().to_string(),
            Self::S3(s3) => format!("{}/{}/{}", s3.endpoint, s3.bucket, s3.prefix),
        }
    }
}

/// A bucket of an S3 store. Keys are in files, or in the agent's environment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct S3Settings {
    /// `http://HOST[:PORT]` or `https://HOST[:PORT]`.
    pub endpoint: String,
    /// Region, for the signature.
    pub region: String,
    /// The bucket's name.
    pub bucket: String,
    /// Stands before every key; empty or with a slash at its end.
    pub prefix: String,
    /// Whether the bucket stands in the path; else it is the first part of the host's name.
    pub path_style: bool,
    /// File with the access key; none means `AWS_ACCESS_KEY_ID`.
    pub access_key_file: Option<PathBuf>,
    /// File with the secret key; none means `AWS_SECRET_ACCESS_KEY`.
    pub secret_key_file: Option<PathBuf>,
    /// Bytes of one part of an upload.
    pub part_bytes: u64,
    /// Parts of one upload that are sent at the same time.
    pub parts_in_flight: u32,
    /// Seconds without a byte after which a transfer is given up.
    pub idle_seconds: u32,
    /// How often a call is tried again.
    pub retries: u32,
}

/// The addresses that rooms are made in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct NetworkSettings {
    /// First address of the pool.
    pub pool: Ipv4Addr,
    /// Prefix length of the pool.
    pub pool_prefix: u8,
    /// Prefix length of one room's subnet.
    pub prefix: u8,
}

impl NetworkSettings {
    /// The subnets of the pool in order, as (first address, prefix length).
    pub fn subnets(&self) -> impl Iterator<Item = (Ipv4Addr, u8)> + use<> {
        let base = u32::from(self.pool);
        let size = 1_u32 << (32 - self.prefix);
        let count = 1_u32 << (self.prefix - self.pool_prefix);
        let prefix = self.prefix;
        (0..count).map(move |i| (Ipv4Addr::from(base + i * size), prefix))
    }
}

/// When a seat counts as ready.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Probe {
    /// Its port answers from this host.
    Direct,
    /// Its container runs.
    Running,
    /// Its port answers, and its route does through the proxy.
    Traefik,
}

/// Where Traefik hears of seats' routes: in one place for all of them, never in both.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Provider {
    /// In the labels of their containers, for which it needs the engine's socket.
    Docker,
    /// At the gateway, for which it does not.
    Http,
}

/// Who guards the routes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RouteAuth {
    /// Every route asks the gateway; with none running it answers nobody.
    Gateway,
    /// Nobody. Not for exams.
    None,
}

/// How students reach seats.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RoutingSettings {
    /// What makes a seat's address its own.
    pub rule: RouteRule,
    /// Where Traefik hears of routes.
    pub provider: Provider,
    /// When a seat is ready.
    pub probe: Probe,
    /// Who guards the routes.
    pub auth: RouteAuth,
    /// Whether a seat's program is asked for paths without its route before them.
    pub strip_prefix: bool,
    /// Base address of the gateway's ForwardAuth endpoint, as Traefik reaches it.
    pub gateway_url: String,
    /// Base address of Traefik, as the agent reaches it.
    pub traefik_url: String,
}

impl RoutingSettings {
    /// What holds unless told otherwise, with a gateway there.
    #[must_use]
    pub fn of_gateway(gateway_url: String) -> Self {
        Self {
            rule: RouteRule::Path,
            provider: Provider::Docker,
            probe: Probe::Direct,
            auth: RouteAuth::Gateway,
            strip_prefix: false,
            gateway_url,
            traefik_url: TRAEFIK.to_owned(),
        }
    }
}

/// Where Traefik is unless told otherwise.
pub const TRAEFIK: &str = "http://127.0.0.1";

/// The students' door.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct GatewaySettings {
    /// Where it listens.
    pub listen: SocketAddr,
    /// The address that students type, `https://HOST`; none means whichever they typed.
    pub public_url: Option<String>,
}

/// Bounds on what runs at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct LimitSettings {
    /// Creations in flight on the engine.
    pub creations_in_flight: usize,
    /// Archives read at the same time.
    pub archives_in_flight: usize,
    /// Snapshots of a seat that are kept; older ones make room.
    pub snapshots_kept: usize,
}

/// The agent's process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AgentSettings {
    /// Seconds in which what is under way may come to its end when the agent is told to stop.
    pub grace_seconds: u32,
    /// Where its figures are served.
    pub metrics: MetricsPlace,
}

/// Where an agent's figures are served.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub enum MetricsPlace {
    /// Beside the socket of the system's agent; nowhere for a user's own.
    Usual,
    /// Nowhere.
    Nowhere,
    /// At a socket with this absolute path.
    Socket(PathBuf),
}

/// How the board looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct UiSettings {
    /// Only ASCII on the screen.
    pub ascii: bool,
    /// For slow lines: at most one draw a second, no sparklines.
    pub slow: bool,
}
