//! How the engine is reached, and whether it is one that labtop can use.

use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bollard::models::SystemInfo;
use bollard::{API_DEFAULT_VERSION, Docker as Client};
use tokio::sync::Mutex;

use super::carrier::InUse;
use super::{Docker, Inner, Options};
use crate::domain::fault::{Fault, FaultCode};
use crate::domain::names::Names;
use crate::domain::seen::EngineInfo;

/// bollard's own limit up to the headers of an answer, seconds: above the limits of [`super::errors`], which are the
/// ones that act.
const CLIENT_LIMIT_S: u64 = 120;
/// How long the idle watch waits for an answer.
const PING_LIMIT: Duration = Duration::from_secs(3);
/// The oldest API that has what labtop needs (one-shot statistics came with it).
const OLDEST_API: (u32, u32) = (1, 41);

impl Docker {
    /// An adapter for the engine at `options.host`. Nothing is connected before the first call.
    ///
    /// # Errors
    /// When the address is none that labtop understands.
    pub fn new(options: Options) -> Result<Self, Fault> {
        let known = ["unix://", "tcp://", "http://", "https://"];
        if !known.iter().any(|scheme| options.host.starts_with(scheme)) {
            return Err(Fault::new(
                FaultCode::EngineUnreachable,
                format!("the engine's address {:?} is not understood", options.host),
            )
            .hint("Write unix:///PATH, tcp://HOST:PORT or http://HOST:PORT in [docker] host or DOCKER_HOST"));
        }
        Ok(Self {
            inner: Arc::new(Inner {
                names: Names::new(&options.instance),
                options,
                client: OnceLock::new(),
                subnets: Mutex::default(),
                workspaces: Mutex::default(),
                images: Mutex::default(),
                probing: Mutex::default(),
                addresses: super::address::Addresses::default(),
                carriers: InUse::default(),
            }),
        })
    }

    /// Whether the engine runs on this host.
    #[must_use]
    pub fn is_local(&self) -> bool {
        self.inner.options.host.starts_with("unix://")
    }

    /// Asks the engine who it is, and settles the API version.
    ///
    /// # Errors
    /// [`FaultCode::EngineUnreachable`] when nobody answers, [`FaultCode::EngineVersion`] when it is too old.
    pub async fn hello(&self) -> Result<EngineInfo, Fault> {
        Ok(self.greet().await?.0)
    }

    /// The same, with all that the engine tells about itself.
    pub(super) async fn greet(&self) -> Result<(EngineInfo, SystemInfo), Fault> {
        let client = self.client()?.clone();
        let client = self
            .read("asking the engine who it is", client.negotiate_version())
            .await?;
        let told = self.read("asking the engine for its version", client.version()).await?;
        let version = told.version.unwrap_or_default();
        let api = told.api_version.unwrap_or_default();
        if parse_version(&api).is_none_or(|found| found < OLDEST_API) {
            return Err(Fault::new(
                FaultCode::EngineVersion,
                format!("the Docker engine {version} speaks API {api}, labtop needs 1.41 or newer"),
            )
            .hint("Install Docker 20.10 or newer"));
        }
        let spoken = client.client_version().to_string();
        let about = self.read("asking the engine about itself", client.info()).await?;
        let info = EngineInfo {
            version,
            api: spoken,
            id: about.id.clone().unwrap_or_default(),
        };
        Ok((info, about))
    }

    /// Whether the engine still answers; a hung one does not tell by itself.
    ///
    /// # Errors
    /// [`FaultCode::EngineUnreachable`] after three seconds of silence.
    pub async fn ping(&self) -> Result<(), Fault> {
        let client = self.client()?;
        match tokio::time::timeout(PING_LIMIT, self.read("pinging the engine", client.ping())).await {
            Ok(answer) => Ok(answer.map(drop)?),
            Err(_) => Err(Fault::new(
                FaultCode::EngineUnreachable,
                format!(
                    "the Docker engine hangs: no answer to a ping within {} s",
                    PING_LIMIT.as_secs()
                ),
            )
            .hint("See `systemctl status docker` and `journalctl -u docker`")),
        }
    }

    /// The connection; made when it is first needed, tried anew until then.
    pub(super) fn client(&self) -> Result<&Client, Fault> {
        if let Some(client) = self.inner.client.get() {
            return Ok(client);
        }
        let client = self.connect()?;
        Ok(self.inner.client.get_or_init(|| client))
    }

    fn connect(&self) -> Result<Client, Fault> {
        let host = &self.inner.options.host;
        let made = match &self.inner.options.tls {
            _ if host.starts_with("unix://") => Client::connect_with_unix(host, CLIENT_LIMIT_S, API_DEFAULT_VERSION),
            Some(tls) => {
                for file in [&tls.ca, &tls.cert, &tls.key] {
                    readable(file)?;
                }
                let host = host.trim_end_matches('/');
                Client::connect_with_ssl(host, &tls.key, &tls.cert, &tls.ca, CLIENT_LIMIT_S, API_DEFAULT_VERSION)
            }
            None if host.starts_with("https://") => {
                return Err(Fault::new(
                    FaultCode::EngineUnreachable,
                    format!("the engine at {host} needs client certificates"),
                )
                .hint("Set ca, cert and key in [docker.tls]"));
            }
            None => Client::connect_with_http(host.trim_end_matches('/'), CLIENT_LIMIT_S, API_DEFAULT_VERSION),
        };
        made.map_err(|error| self.broken("connecting to the engine", error))
    }
}

/// bollard reads the certificate at each handshake and keeps its failures to itself, so they are found here.
fn readable(file: &Path) -> Result<(), Fault> {
    match std::fs::File::open(file) {
        Ok(_) => Ok(()),
        Err(error) => Err(Fault::new(
            FaultCode::EngineUnreachable,
            format!(
                "the engine's certificate file {} cannot be read: {error}",
                file.display()
            ),
        )
        .hint("Correct ca, cert and key in [docker.tls]")),
    }
}

fn parse_version(text: &str) -> Option<(u32, u32)> {
    let (major, minor) = text.split_once('.')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}
