//! `labtop ledger rebuild`: a lost ledger is made again, out of the archives in the store and the labels on the engine.
//!
//! Takes the place of the agent meanwhile. Never touches a ledger that can be read.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::agent::{self, AgentError, Lock};
use crate::domain::fault::{Fault, FaultCode};
use crate::domain::ids::InstanceId;
use crate::domain::proof::{ArchiveClaim, VerifyMode};
use crate::domain::record::{AuditEntry, Wanted};
use crate::domain::relics::{self, Fallback, Rebuilt, Trace, TraceOf};
use crate::domain::settings::Settings;
use crate::engine::clock;
use crate::paths::{PathError, private_directory};
use crate::wire::server;
use crate::world::archive::{Archives, Survey};
use crate::world::ledger::{self, Remains, Standing};

/// Bears no label on any engine: an adapter of this instance only looks.
const NOBODY: &str = "00000000-0000-0000-0000-000000000000";

/// What is to be made again.
#[derive(Debug, Clone)]
pub struct Order {
    /// The state directory.
    pub state: PathBuf,
    /// Whose ledger it was, where that is not plain.
    pub instance: Option<InstanceId>,
    /// Whether every archive is read back at once.
    pub verify: bool,
}

/// What was made.
#[derive(Debug, Clone)]
pub struct Report {
    /// What was found, for people.
    pub summary: String,
    /// What is not certain, one thing a line.
    pub doubts: Vec<String>,
    /// Whether something in the store was skipped.
    pub skipped: bool,
}

/// Why nothing was made.
#[derive(Debug, thiserror::Error)]
pub enum RebuildError {
    /// It must not, or cannot, be; the text says why and what to do.
    #[error("{0}")]
    Refused(String),
    /// An agent runs, or its directory cannot be used.
    #[error(transparent)]
    Agent(#[from] AgentError),
    /// The state directory cannot be used.
    #[error(transparent)]
    Path(#[from] PathError),
    /// The engine, the store or the disk failed.
    #[error(transparent)]
    Fault(#[from] Fault),
}

/// Makes the ledger of a state directory again.
///
/// # Errors
/// When an agent runs, the ledger can be read, nothing or too much is found, or the engine or store fails. Then the
/// state directory is as it was.
pub async fn run(order: &Order, settings: &Settings) -> Result<Report, RebuildError> {
    private_directory(&order.state)?;
    let _lock = Lock::take(&order.state)?;
    let path = order.state.join("ledger.db");
    if ledger::examine(&path)? == Standing::Sound {
        return Err(RebuildError::Refused(sound(&path)));
    }
    let docker = agent::docker(settings, &nobody()?)?;
    let engine = docker.hello().await?;
    let traces = docker.traces().await?;
    let survey = agent::store(settings, &order.state)?.survey().await?;
    let instance = choose(order.instance.as_ref(), &traces, &survey)?;
    let found = Found::of(instance, traces, survey);
    let rebuilt = relics::rebuild(&found.traces, &found.archives, fallback(settings)?);
    let archives = agent::archives(settings, &found.instance, &order.state)?;
    let (archives, mut doubts) = prove(&archives, &found.archives, order.verify).await;
    let remains = Remains {
        instance: found.instance.clone(),
        engine: engine.id,
        rooms: rebuilt.rooms.clone(),
        seats: rebuilt.seats.clone(),
        archives,
        verify: settings.archive.verify,
        audit: audit(&found.instance, &rebuilt, found.archives.len()),
    };
    let aside = ledger::make_again(&path, &remains)?;
    tracing::info!(instance = %found.instance, "the ledger was made again");
    doubts.extend(rebuilt.notes.iter().cloned());
    doubts.extend(found.skipped.iter().map(|(key, why)| format!("skipped {key}: {why}")));
    Ok(Report {
        summary: summary(&path, &found, &remains, aside.as_deref()),
        doubts,
        skipped: !found.skipped.is_empty(),
    })
}

fn nobody() -> Result<InstanceId, RebuildError> {
    NOBODY
        .parse()
        .map_err(|error| RebuildError::Refused(format!("{error}")))
}

fn sound(path: &Path) -> String {
    format!(
        "the ledger {} can be read, so none is made again. If it is not the one that you want, move it and its -wal and \
         -shm companions away first",
        path.display()
    )
}

fn fallback(settings: &Settings) -> Result<Fallback<'_>, Fault> {
    let template = settings.templates.get(&settings.default_template).ok_or_else(|| {
        let text = format!("there is no template {}", settings.default_template);
        Fault::new(FaultCode::BadTemplate, text).hint("Correct default_template in the configuration")
    })?;
    Ok(Fallback {
        templates: &settings.templates,
        template,
        now_unix_ms: clock::unix_ms(),
    })
}

/// What belongs to the one instance, and what was seen besides.
struct Found {
    instance: InstanceId,
    traces: Vec<Trace>,
    archives: Vec<ArchiveClaim>,
    skipped: Vec<(String, String)>,
    /// Archives of other instances.
    others: usize,
}

impl Found {
    fn of(instance: InstanceId, traces: Vec<Trace>, survey: Survey) -> Self {
        let (mine, others): (Vec<_>, Vec<_>) = survey.found.into_iter().partition(|(of, _)| *of == instance);
        Self {
            traces: traces.into_iter().filter(|trace| trace.instance == instance).collect(),
            archives: mine.into_iter().map(|(_, claim)| claim).collect(),
            skipped: survey.skipped,
            others: others.len(),
            instance,
        }
    }
}

/// How much is there of an instance: things on the engine, archives.
type Shares = BTreeMap<InstanceId, (usize, usize)>;

fn choose(asked: Option<&InstanceId>, traces: &[Trace], survey: &Survey) -> Result<InstanceId, RebuildError> {
    let mut shares = Shares::new();
    for trace in traces {
        let seat = matches!(trace.of, TraceOf::Volume { .. });
        shares.entry(trace.instance.clone()).or_default().0 += usize::from(seat);
    }
    for (instance, _) in &survey.found {
        shares.entry(instance.clone()).or_default().1 += 1;
    }
    let mut found = shares.keys();
    match (asked, found.next(), found.next()) {
        (Some(asked), ..) if shares.contains_key(asked) => Ok(asked.clone()),
        (None, Some(only), None) => Ok(only.clone()),
        (_, None, _) => Err(RebuildError::Refused(
            "nothing on the engine and no archive in the store tells of a ledger, so there is nothing to make one of. \
             `labtop agent` begins a new one; or set DOCKER_HOST, [docker] host and [archive] as they were"
                .to_owned(),
        )),
        (Some(asked), ..) => Err(RebuildError::Refused(format!(
            "nothing is there of the instance {asked}. There is:\n{}",
            listed(&shares)
        ))),
        (None, ..) => Err(RebuildError::Refused(format!(
            "there are things of several instances; say whose ledger it was with --instance UUID:\n{}",
            listed(&shares)
        ))),
    }
}

fn listed(shares: &Shares) -> String {
    let line = |(instance, (workspaces, archives)): (&InstanceId, &(usize, usize))| {
        format!("  {instance}  {workspaces} workspaces on the engine, {archives} archives in the store")
    };
    shares.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// An archive, and how it was proven just now, if it was.
type Proven = (ArchiveClaim, Option<VerifyMode>);

async fn prove(archives: &Archives, claims: &[ArchiveClaim], at_once: bool) -> (Vec<Proven>, Vec<String>) {
    let (mut proven, mut doubts) = (Vec::new(), Vec::new());
    for claim in claims {
        let mode = if at_once {
            archives
                .scrub(claim)
                .await
                .map_err(|fault| doubts.push(fault.text))
                .ok()
        } else {
            None
        };
        proven.push((claim.clone(), mode));
    }
    (proven, doubts)
}

fn audit(instance: &InstanceId, rebuilt: &Rebuilt, archives: usize) -> AuditEntry {
    let actor = server::own();
    let outcome = format!("{} seats, {archives} archives", rebuilt.seats.len());
    AuditEntry::of(
        &actor,
        clock::unix_ms(),
        "ledger rebuild",
        instance.to_string(),
        outcome,
    )
}

fn summary(path: &Path, found: &Found, remains: &Remains, aside: Option<&Path>) -> String {
    let mut lines = vec![format!(
        "The ledger of instance {} was made again: {}",
        found.instance,
        path.display()
    )];
    if let Some(aside) = aside {
        lines.push(format!("What stood in its place is kept as {}", aside.display()));
    }
    for room in remains.rooms.iter().filter(|room| !room.ended) {
        let mine = remains.seats.iter().filter(|seat| seat.id.room == room.name);
        let (mut running, mut frozen, mut stopped) = (0, 0, 0);
        for seat in mine {
            match seat.wanted {
                Wanted::Running => running += 1,
                Wanted::Frozen => frozen += 1,
                Wanted::Stopped | Wanted::Gone => stopped += 1,
            }
        }
        lines.push(format!(
            "Room {}: {running} seats running, {frozen} frozen, {stopped} stopped; leases begin anew with {} minutes",
            room.name, room.template.minutes
        ));
    }
    let closed = remains.rooms.iter().filter(|room| room.ended).count();
    let proven = remains.archives.iter().filter(|(_, mode)| mode.is_some()).count();
    lines.push(format!("Closed rooms: {closed}"));
    lines.push(format!("Archives: {}, {proven} of them proven", remains.archives.len()));
    if proven < remains.archives.len() {
        lines.push("`labtop archive verify --all` reads the others back, and marks them as verified".to_owned());
    }
    if !found.skipped.is_empty() {
        lines.push(format!(
            "Skipped in the store: {}, each named above",
            found.skipped.len()
        ));
    }
    if found.others > 0 {
        lines.push(format!("Archives of other instances, left alone: {}", found.others));
    }
    lines.push("`labtop agent` goes on from here; so does any other verb".to_owned());
    lines.join("\n")
}
