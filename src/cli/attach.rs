//! Finding an agent, or starting one that outlives this terminal.
//!
//! Knows: sockets, the agent's command line, how its start may fail. Must not know: what is asked of it.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read, Seek};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tokio::process::{Child, Command};
use tokio::time::Instant;

use super::exit::{Exit, Problem};
use crate::paths::{self, PathError, Paths};
use crate::wire::client::{Client, ConnectError};

/// How long a started agent may take until it answers: it opens its ledger and its socket, and asks Docker later.
const START_TIMEOUT: Duration = Duration::from_secs(10);
/// First pause between two tries; a warm start takes some ten milliseconds.
const TRY_FIRST: Duration = Duration::from_millis(5);
/// Longest pause between two tries.
const TRY_CAP: Duration = Duration::from_millis(200);
/// Most of a failed agent's last words that are shown, bytes.
const WORDS_MAX: u64 = 8 * 1024;

impl From<PathError> for Problem {
    fn from(error: PathError) -> Self {
        let exit = match error {
            PathError::NoHome | PathError::SocketTooLong(_) => Exit::Usage,
            PathError::Directory { .. } | PathError::Shared(_) => Exit::Failed,
        };
        Self::new(exit, error.to_string())
    }
}

/// The agent that runs, for verbs that only look.
///
/// # Errors
/// When none runs (exit code 4), or it does not let us in.
pub async fn find() -> Result<Client, Problem> {
    Ok(find_at(&Paths::of_process()?).await?)
}

/// The agent that runs, or else a new detached one.
///
/// # Errors
/// When the running one does not let us in, or a new one cannot start; the text then has its reasons.
pub async fn attach(config: Option<&Path>) -> Result<Client, Problem> {
    attach_or_start(&Paths::of_process()?, &AgentProgram::ours(config)?).await
}

/// Makes this process a session of its own, so that the end of the terminal that started it is not its end.
///
/// A detached agent calls this first. A process that leads a group already cannot, and needs not.
pub fn become_detached() {
    if let Err(error) = rustix::process::setsid() {
        tracing::debug!(%error, "no session of its own");
    }
}

/// What is run as the agent.
#[derive(Debug, Clone)]
pub struct AgentProgram {
    /// The program.
    pub program: PathBuf,
    /// Its arguments.
    pub arguments: Vec<OsString>,
}

impl AgentProgram {
    /// This very program as a detached agent with the same configuration.
    ///
    /// # Errors
    /// When the system does not say which file this program is.
    pub fn ours(config: Option<&Path>) -> Result<Self, Problem> {
        let program = std::env::current_exe().map_err(|error| cannot_start(&error))?;
        let mut arguments: Vec<OsString> = vec!["agent".into(), "--detached".into()];
        if let Some(config) = config {
            let config = std::path::absolute(config).unwrap_or_else(|_| config.to_owned());
            arguments.extend(["--config".into(), config.into()]);
        }
        Ok(Self { program, arguments })
    }
}

/// The first agent among the candidates. An agent of the system that is closed to this user does not hide the
/// user's own; when there is none of these either, the refusal is told.
///
/// # Errors
/// When none answers.
pub async fn find_at(paths: &Paths) -> Result<Client, ConnectError> {
    let mut refused = None;
    for socket in &paths.candidates {
        match Client::connect(socket).await {
            Err(ConnectError::Absent(_)) => {}
            Err(error @ ConnectError::Refused(_)) => refused = refused.or(Some(error)),
            answer => return answer,
        }
    }
    Err(refused.unwrap_or_else(|| ConnectError::Absent(paths.socket.clone())))
}

/// The first agent among the candidates, or else a new one.
///
/// # Errors
/// When the running one does not let us in, or a new one cannot start.
pub async fn attach_or_start(paths: &Paths, agent: &AgentProgram) -> Result<Client, Problem> {
    match find_at(paths).await {
        Ok(client) => Ok(client),
        Err(ConnectError::Absent(_)) => start(paths, agent).await,
        Err(error) => Err(error.into()),
    }
}

async fn start(paths: &Paths, agent: &AgentProgram) -> Result<Client, Problem> {
    let deadline = Instant::now() + START_TIMEOUT;
    let mut pause = TRY_FIRST;
    let mut starting = Some(Starting::spawn(paths, agent)?);
    loop {
        match Client::connect(&paths.socket).await {
            Err(ConnectError::Absent(_)) if Instant::now() < deadline => {}
            Err(ConnectError::Absent(_)) => return Err(too_slow(paths)),
            answer => return Ok(answer?),
        }
        tokio::select! {
            status = died(&mut starting) => match (status, starting.take()) {
                (Ok(status), Some(mut dead)) if !status.success() => {
                    // Another client's agent may have won meanwhile.
                    return Client::connect(&paths.socket).await.map_err(|_| dead.reason(status));
                }
                // It left quietly: another agent holds the lock. That one answers soon, or is about to end.
                _ => pause = TRY_CAP,
            },
            () = tokio::time::sleep(pause) => {
                pause = (pause * 2).min(TRY_CAP);
                if starting.is_none() {
                    starting = Some(Starting::spawn(paths, agent)?);
                }
            }
        }
    }
}

async fn died(starting: &mut Option<Starting>) -> io::Result<ExitStatus> {
    match starting {
        Some(starting) => starting.child.wait().await,
        None => std::future::pending().await,
    }
}

/// An agent that has not answered yet. It lives on when this is dropped.
struct Starting {
    child: Child,
    words: File,
}

impl Starting {
    fn spawn(paths: &Paths, agent: &AgentProgram) -> Result<Self, Problem> {
        let (writer, words) = last_words(&paths.state)?;
        let child = Command::new(&agent.program)
            .args(&agent.arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(writer)
            .spawn()
            .map_err(|error| cannot_start(&error))?;
        Ok(Self { child, words })
    }

    fn reason(&mut self, status: ExitStatus) -> Problem {
        let mut words = Vec::new();
        let read = self
            .words
            .rewind()
            .and_then(|()| (&self.words).take(WORDS_MAX).read_to_end(&mut words));
        let words = String::from_utf8_lossy(&words);
        let text = match (read, words.trim()) {
            (Err(_), _) | (_, "") => format!("the agent ended at once ({status}): run `labtop agent` to see why"),
            (Ok(_), words) => format!("the agent did not start: {}", words.trim_start_matches("labtop: ")),
        };
        Problem::new(Exit::of_code(status.code()), text)
    }
}

/// A file without a name for what the agent says before it dies. A pipe would break under an agent that lives on.
fn last_words(state: &Path) -> Result<(File, File), Problem> {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    paths::private_directory(state)?;
    let name = format!(
        ".starting-{}-{}",
        std::process::id(),
        COUNT.fetch_add(1, Ordering::Relaxed)
    );
    let path = state.join(name);
    let open = || {
        let writer = File::options().write(true).create_new(true).mode(0o600).open(&path)?;
        let reader = File::open(&path)?;
        std::fs::remove_file(&path)?;
        Ok((writer, reader))
    };
    open().map_err(|error: io::Error| {
        Problem::new(
            Exit::Failed,
            format!("cannot write in the state directory {}: {error}", state.display()),
        )
    })
}

fn cannot_start(error: &io::Error) -> Problem {
    Problem::new(Exit::Failed, format!("an agent cannot be started: {error}"))
}

fn too_slow(paths: &Paths) -> Problem {
    Problem::new(
        Exit::Unreachable,
        format!(
            "an agent holds the state directory {}, but none answers at {} within {} s: if it is \
             stopping it finishes what is under way first, so try again; else look into its log there",
            paths.state.display(),
            paths.socket.display(),
            START_TIMEOUT.as_secs()
        ),
    )
}
