//! The real binary with a state directory and a configuration of its own, on a stub engine. Its agent is ended when it
//! is dropped, also after a panic. A test that uses it has the module `lab`, too.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use super::{Engine, Release};
use crate::lab::{LABTOP, Ran, is_alive, until};

/// The image of [`TEMPLATE`].
pub const IMAGE: &str = "stub/lesson:1";

/// Seats that are ready as soon as they run.
const TEMPLATE: &str = r#"
default_template = "lab"
[routing]
probe = "running"
[templates.lab]
image = "stub/lesson:1"
memory = "64MiB"
cpus = 0.5
network = "closed"
"#;

/// After this long a verb that was to end has not.
const VERB_LIMIT: Duration = Duration::from_mins(1);

/// One directory for the agent, its configuration and the engine's socket.
pub struct Site {
    dir: TempDir,
}

impl Site {
    pub fn new() -> Self {
        let dir = tempfile::Builder::new().prefix("labtop-").tempdir().unwrap();
        std::fs::write(dir.path().join("config.toml"), TEMPLATE).unwrap();
        Self { dir }
    }

    /// A site whose engine runs and has the image.
    pub fn with_engine(release: Release) -> (Self, Engine) {
        let site = Self::new();
        let engine = Engine::start(&site.docker_socket(), release);
        engine.with(|world| world.images.insert(IMAGE.to_owned()));
        (site, engine)
    }

    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    pub fn docker_socket(&self) -> PathBuf {
        self.path().join("docker.sock")
    }

    pub fn state(&self) -> PathBuf {
        self.path().join("state")
    }

    /// A program as part of this site, with arguments of labtop's.
    pub fn command_of(&self, program: &Path, args: &[&str]) -> Command {
        let mut command = Command::new(program);
        command
            .args(args)
            .env_clear()
            .env("LABTOP_STATE", self.state())
            .env("LABTOP_CONFIG", self.path().join("config.toml"))
            .env("DOCKER_HOST", format!("unix://{}", self.docker_socket().display()))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    /// Runs the binary beside the test.
    pub fn spawn(&self, args: &[&str]) -> Running {
        Running::of(self.command_of(Path::new(LABTOP), args))
    }

    /// Runs the binary to its end.
    pub fn run(&self, args: &[&str]) -> Ran {
        self.spawn(args).end()
    }

    /// The phase of a seat, as it is listed.
    pub fn phase(&self, room: &str, student: &str) -> Option<String> {
        let seats = self.run(&["ls", room, "--json"]).json();
        let is_it = |seat: &&serde_json::Value| seat["student"] == student;
        let seat = seats.as_array()?.iter().find(is_it)?;
        seat["phase"].as_str().map(str::to_owned)
    }

    fn agent(&self) -> Option<u32> {
        let pid = std::fs::read_to_string(self.state().join("agent.lock")).ok()?;
        pid.trim().parse().ok().filter(|pid| is_alive(*pid))
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        let Some(pid) = self.agent() else { return };
        kill(pid);
        until("the agent is gone", || (!is_alive(pid)).then_some(()));
    }
}

/// A run of the binary; ended when it is dropped.
pub struct Running(Option<Child>);

impl Running {
    pub fn of(mut command: Command) -> Self {
        Self(Some(command.spawn().unwrap()))
    }

    /// What it complains, line by line, as it comes; its end then has no more of it.
    pub fn complaints(&mut self) -> Complaints {
        let stderr = self.0.as_mut().unwrap().stderr.take().unwrap();
        let (sender, lines) = mpsc::channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                let _ = sender.send(line);
            }
        });
        Complaints(lines)
    }

    /// Waits for its end. One that does not end is killed, and fails the test.
    #[track_caller]
    pub fn end(mut self) -> Ran {
        let child = self.0.take().unwrap();
        let pid = child.id();
        let (ended, end) = mpsc::channel::<()>();
        let watching = std::thread::spawn(move || {
            let late = end.recv_timeout(VERB_LIMIT) == Err(mpsc::RecvTimeoutError::Timeout);
            if late {
                kill(pid);
            }
            late
        });
        let output = child.wait_with_output().unwrap();
        drop(ended);
        let ran = Ran {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        };
        assert!(
            !watching.join().unwrap(),
            "it did not end within {VERB_LIMIT:?}: {ran:?}"
        );
        ran
    }
}

/// The complaints of a run that goes on.
pub struct Complaints(mpsc::Receiver<String>);

impl Complaints {
    /// Waits for the next line with these words.
    #[track_caller]
    pub fn until(&self, words: &str) {
        loop {
            match self.0.recv_timeout(VERB_LIMIT) {
                Ok(line) if line.contains(words) => return,
                Ok(_) => {}
                Err(error) => panic!("nobody says {words:?}: {error}"),
            }
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(mut child) = self.0.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn kill(pid: u32) {
    if let Some(process) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
        let _ = kill_process(process, Signal::KILL);
    }
}
