//! The agent's process: one for a state directory. Lock, ledger, engine, socket, signals, end.

mod ending;
mod services;

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use rustix::fs::OFlags;
use tokio_util::sync::CancellationToken;

use crate::domain::control::{Control, Rules};
use crate::domain::fault::Fault;
use crate::domain::ids::InstanceId;
use crate::domain::names::Names;
use crate::domain::settings::{LeaseStore, MetricsPlace, Probe, Settings, StoreSettings};
use crate::engine::handle::Handle;
use crate::engine::{self, World, clock};
use crate::metrics::{self, Page};
use crate::pack::squeeze::Compression;
use crate::paths::private_directory;
use crate::service;
use crate::wire::server::{self, Peers};
use crate::world::archive::{Archives, Manner, Store};
use crate::world::docker::{Docker, Options};
use crate::world::leases::{Embedded, Leases, Redis};
use crate::world::ledger::{Ledger, sweep_copies};
use crate::world::proxy::Proxy;
use ending::Signals;

/// Where the system's own agent has its sockets.
const SYSTEM_RUN: &str = "/run/labtop";
/// How long a start waits for the archive store. Clients wait ten seconds for an agent that they started.
const SWEEP_LIMIT: Duration = Duration::from_secs(4);

/// Where an agent lives, and how.
#[derive(Debug, Clone)]
pub struct Home {
    /// Its state directory.
    pub state: PathBuf,
    /// Its socket.
    pub socket: PathBuf,
    /// Whether it ends by itself when nobody needs it.
    pub detached: bool,
    /// Whether open rooms are taken to another engine than the one that they were opened on.
    pub accept_engine: bool,
}

/// Why an agent did not run.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    /// Another agent serves the state directory; the text says which.
    #[error("{0}")]
    Held(String),
    /// Something failed.
    #[error("{0:#}")]
    Failed(#[from] anyhow::Error),
}

/// Runs the agent until it is told to stop, or, when detached, until nobody needs it.
///
/// # Errors
/// When the state directory is held by another agent, or cannot be used.
pub async fn run(home: &Home, settings: &Settings) -> Result<(), AgentError> {
    private_directory(&home.state).map_err(anyhow::Error::new)?;
    let _lock = Lock::take(&home.state)?;
    Ok(serve(home, settings).await?)
}

async fn serve(home: &Home, settings: &Settings) -> anyhow::Result<()> {
    let mut signals = Signals::listen()?;
    let (ledger, state, instance) = Ledger::open(&home.state.join("ledger.db"))?;
    let world = world(settings, &instance, ledger, &home.state)?;
    sweep(&world).await;
    let control = Control::restore(rules(settings, home.accept_engine), state);
    // The lock is held, so whatever is at the socket's path is left over.
    let listener = server::bind(&home.socket)?;
    let shutdown = CancellationToken::new();
    let mut engine = engine::start(control, instance.clone(), world, shutdown.clone());
    tracing::info!(%instance, socket = %home.socket.display(), "the agent is up");
    let served = tokio::spawn(server::serve(
        listener,
        Peers::new(settings.roles.clone()),
        (engine.handle.clone(), instance),
        shutdown.clone(),
    ));
    let metrics = metrics_socket(&settings.agent.metrics, &home.socket);
    if let Some(socket) = &metrics {
        serve_metrics(socket, &engine.handle, shutdown.clone());
    }
    // Whoever started a detached agent asks it itself, and its own service manager knows nothing of it.
    let reports = (!home.detached).then(|| {
        service::ready();
        tokio::spawn(service::report(engine.handle.clone()))
    });
    let mut over = ending::until_over(&mut engine, &mut signals, home.detached).await;
    // The socket goes first, so that a client that comes now starts a new agent instead of asking a dying one.
    server::unbind(&home.socket);
    if over.is_ok() {
        let grace = Duration::from_secs(settings.agent.grace_seconds.into());
        if reports.is_some() {
            service::stopping(grace);
        }
        over = ending::drain(&mut engine, &mut signals, grace).await;
    }
    shutdown.cancel();
    let _ = served.await;
    if let Some(socket) = &metrics {
        metrics::unbind(socket);
    }
    over?;
    let _ = engine.task.await;
    tracing::info!("the agent is down");
    Ok(())
}

/// Where the figures of an agent with this socket are served.
fn metrics_socket(place: &MetricsPlace, socket: &Path) -> Option<PathBuf> {
    match place {
        MetricsPlace::Nowhere => None,
        MetricsPlace::Socket(path) => Some(path.clone()),
        MetricsPlace::Usual => {
            let beside = socket.parent().filter(|place| *place == Path::new(SYSTEM_RUN));
            beside.map(|place| place.join("metrics.sock"))
        }
    }
}

/// Serves figures. A place that cannot be used is told of, and no reason to look after no room.
fn serve_metrics(socket: &Path, handle: &Handle, shutdown: CancellationToken) {
    match metrics::bind(socket) {
        Ok(listener) => {
            let page = Page::new(handle.counts(), handle.snapshots());
            tokio::spawn(metrics::serve(listener, page, shutdown));
        }
        Err(error) => {
            let socket = socket.display();
            tracing::error!(%error, %socket, "no figures are served: see `[agent] metrics_socket` in the configuration");
        }
    }
}

fn world(settings: &Settings, instance: &InstanceId, ledger: Ledger, state: &Path) -> anyhow::Result<World> {
    let docker = docker(settings, instance)?;
    let disk = match &settings.archive.store {
        StoreSettings::Directory(path) => Some(path.clone()),
        StoreSettings::S3(_) => None,
    };
    let archives = archives(settings, instance, state)?;
    let probe = settings.routing.probe;
    let leases = leases(settings, instance, &ledger)?;
    let mut world = World::new(docker, ledger, archives, leases, disk, probe, settings.limits);
    world.services = services::services(settings).into();
    if probe == Probe::Traefik {
        world.proxy = Some(Proxy::new(&settings.routing, Names::new(instance))?);
    }
    Ok(world)
}

fn leases(settings: &Settings, instance: &InstanceId, ledger: &Ledger) -> Result<Leases, Fault> {
    Ok(match &settings.leases.store {
        LeaseStore::Embedded => Leases::Embedded(Embedded::new(ledger.clone(), Arc::new(clock::unix_ms))),
        LeaseStore::Redis(redis) => Leases::Redis(Redis::new(redis, instance.clone())?),
    })
}

pub(crate) fn docker(settings: &Settings, instance: &InstanceId) -> Result<Docker, Fault> {
    Docker::new(Options {
        host: settings.docker.host.clone(),
        tls: settings.docker.tls.clone(),
        instance: instance.clone(),
        network: settings.network,
        routing: settings.routing.clone(),
    })
}

pub(crate) fn store(settings: &Settings, state: &Path) -> Result<Store, Fault> {
    match &settings.archive.store {
        StoreSettings::Directory(path) => Ok(Store::directory(path.clone())),
        StoreSettings::S3(s3) => Store::s3(s3, &scratch(state)),
    }
}

/// Where what is on its way is kept.
fn scratch(state: &Path) -> PathBuf {
    state.join("scratch")
}

pub(crate) fn archives(settings: &Settings, instance: &InstanceId, state: &Path) -> Result<Archives, Fault> {
    let store = store(settings, state)?;
    let settings = &settings.archive;
    let manner = Manner {
        instance: instance.clone(),
        compression: Compression {
            level: settings.level.cast_signed(),
            threads: settings.threads,
        },
        verify: settings.verify,
        scratch: scratch(state),
    };
    Ok(Archives::new(store, manner))
}

/// What an earlier life of the agent left half-stored goes, before anything new is begun. Rooms do not wait for a store
/// that is away: what is left then goes at a later start.
async fn sweep(world: &World) {
    let docker = world.docker.clone();
    tokio::spawn(async move {
        let _alone = docker.probing().await;
        if let Err(fault) = docker.sweep_probes().await {
            tracing::warn!(%fault, "probes of an earlier life are left until the next look");
        }
    });
    sweep_copies(world.archives.scratch());
    match world.ledger.claims(None).await {
        Ok(recorded) => {
            let swept = world.archives.sweep(clock::unix_ms(), &recorded);
            let swept = tokio::time::timeout(SWEEP_LIMIT, swept).await;
            if let Ok(swept) = swept {
                tracing::debug!(swept, "the archive store was swept");
            } else {
                tracing::warn!("the archive store was not swept to the end: it is slow or away");
            }
        }
        // Then nothing is known to be of no use.
        Err(fault) => tracing::warn!(%fault, "the archive store was not swept"),
    }
}

fn rules(settings: &Settings, accept_engine: bool) -> Rules {
    Rules {
        templates: settings.templates.clone(),
        default_template: settings.default_template.clone(),
        auth: settings.routing.auth,
        rule: settings.routing.rule.clone(),
        warn_minutes: settings.leases.warn_minutes.clone(),
        accept_engine,
    }
}

/// The mark that this process is the one agent of its state directory. The kernel drops it with the process.
pub(crate) struct Lock {
    _file: File,
}

impl Lock {
    pub(crate) fn take(state: &Path) -> Result<Self, AgentError> {
        let path = state.join("agent.lock");
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            // A link that somebody put there must not choose the file that is written.
            .custom_flags(OFlags::NOFOLLOW.bits().cast_signed())
            .open(&path)
            .with_context(|| format!("cannot open {}", path.display()))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(AgentError::Held(held(&mut file, state))),
            Err(TryLockError::Error(error)) => {
                return Err(anyhow::Error::new(error)
                    .context(format!("cannot lock {}", path.display()))
                    .into());
            }
        }
        sign(&mut file).with_context(|| format!("cannot write {}", path.display()))?;
        Ok(Self { _file: file })
    }
}

/// Writes who holds the lock, for people.
fn sign(file: &mut File) -> std::io::Result<()> {
    file.set_len(0)?;
    file.rewind()?;
    writeln!(file, "{}", std::process::id())
}

fn held(file: &mut File, state: &Path) -> String {
    let mut pid = String::new();
    let _ = file.read_to_string(&mut pid);
    let pid: String = pid.chars().filter(char::is_ascii_digit).collect();
    format!(
        "another agent (process {pid}) holds {}; one agent serves one state directory",
        state.display()
    )
}
