//! A laboratory for tests: the real binary with a state directory, a configuration and an instance of its own, on the
//! real engine. Whatever it made is removed when it is dropped, also after a panic.
#![allow(dead_code, reason = "each test uses a part of it")]

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

/// The binary under test.
pub const LABTOP: &str = env!("CARGO_BIN_EXE_labtop");

/// A template whose seats write their student's id and answer on port 8080.
pub const TEMPLATE: &str = r#"
default_template = "lab"
[templates.lab]
image = "labtop-demo:latest"
command = ["/bin/sh", "-c", "echo work of $LABTOP_STUDENT > /workspace/id.txt; exec /bin/busybox httpd -f -p 8080 -h /workspace"]
port = 8080
memory = "32MiB"
cpus = 0.5
pids = 32
network = "closed"
"#;

/// One laboratory.
pub struct Lab {
    dir: tempfile::TempDir,
}

/// What a run of the binary gave.
#[derive(Debug)]
pub struct Ran {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Ran {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// The same, after checking the exit code.
    #[track_caller]
    pub fn expect(self, code: i32) -> Self {
        assert_eq!(self.code, code, "stdout: {}\nstderr: {}", self.stdout, self.stderr);
        self
    }

    /// Standard output as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|e| panic!("not JSON ({e}): {}", self.stdout))
    }
}

impl Lab {
    /// A laboratory whose rooms open from [`TEMPLATE`].
    pub fn new() -> Self {
        Self::with_config(TEMPLATE)
    }

    /// A laboratory with a configuration of its own.
    pub fn with_config(config: &str) -> Self {
        need_engine();
        let dir = tempfile::Builder::new().prefix("labtop-").tempdir().unwrap();
        std::fs::write(dir.path().join("config.toml"), config).unwrap();
        Self { dir }
    }

    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    pub fn state(&self) -> PathBuf {
        self.dir.path().join("state")
    }

    pub fn archives(&self) -> PathBuf {
        self.state().join("archives")
    }

    pub fn socket(&self) -> PathBuf {
        self.state().join("agent.sock")
    }

    /// The environment that makes a process part of this laboratory.
    pub fn env(&self) -> Vec<(&'static str, PathBuf)> {
        vec![
            ("LABTOP_STATE", self.state()),
            ("LABTOP_CONFIG", self.dir.path().join("config.toml")),
        ]
    }

    /// The binary with arguments, ready to run in this laboratory.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(LABTOP);
        command.args(args).env_remove("LABTOP_SOCKET").stdin(Stdio::null());
        for (key, value) in self.env() {
            command.env(key, value);
        }
        command
    }

    /// Runs the binary to its end.
    pub fn run(&self, args: &[&str]) -> Ran {
        Ran::from(self.command(args).output().unwrap())
    }

    /// Runs the binary beside the test.
    pub fn spawn(&self, args: &[&str]) -> Child {
        self.command(args)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    }

    /// `labtop ls --json`, of all rooms.
    pub fn ls(&self) -> Vec<Value> {
        self.run(&["ls", "--json"]).expect(0).json().as_array().unwrap().clone()
    }

    /// The listed seat of a student.
    pub fn seat(&self, room: &str, student: &str) -> Value {
        let all = self.ls();
        all.into_iter()
            .find(|seat| seat["room"] == room && seat["student"] == student)
            .unwrap_or_else(|| panic!("no seat {room}/{student}"))
    }

    /// The archives of a room as (student, path of the file).
    pub fn archived(&self, room: &str) -> Vec<(String, PathBuf)> {
        let rows = self.run(&["archive", "ls", "--room", room, "--json"]).expect(0).json();
        rows.as_array()
            .unwrap()
            .iter()
            .map(|row| {
                assert_eq!(row["verified"], true, "{row}");
                (
                    row["student"].as_str().unwrap().to_owned(),
                    self.archives().join(row["key"].as_str().unwrap()),
                )
            })
            .collect()
    }

    /// The process id of the agent, if one holds the state directory.
    pub fn agent_pid(&self) -> Option<u32> {
        let pid: u32 = std::fs::read_to_string(self.state().join("agent.lock"))
            .ok()?
            .trim()
            .parse()
            .ok()?;
        Path::new(&format!("/proc/{pid}")).exists().then_some(pid)
    }

    /// Ends the agent with SIGKILL and waits until it is gone.
    pub fn kill_agent(&self) {
        let Some(pid) = self.agent_pid() else { return };
        if let Some(process) = i32::try_from(pid).ok().and_then(rustix::process::Pid::from_raw) {
            let _ = rustix::process::kill_process(process, rustix::process::Signal::KILL);
        }
        until("the agent is gone", || (!is_alive(pid)).then_some(()));
    }

    /// The UUID of this laboratory's ledger.
    pub fn instance(&self) -> Option<String> {
        let ledger = rusqlite::Connection::open_with_flags(
            self.state().join("ledger.db"),
            rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY,
        )
        .ok()?;
        ledger.query_row("SELECT instance FROM meta", [], |row| row.get(0)).ok()
    }

    /// Everything on the engine that bears this laboratory's label: containers, volumes, networks.
    pub fn left_on_engine(&self) -> Vec<String> {
        let Some(instance) = self.instance() else {
            return Vec::new();
        };
        left_of(&instance)
            .into_iter()
            .map(|(kind, id)| format!("{kind} {id}"))
            .collect()
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        self.kill_agent();
        if let Some(instance) = self.instance() {
            clean(&instance);
        }
    }
}

/// Whether a process runs (a zombie does not).
pub fn is_alive(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit(')')
        .next()
        .is_some_and(|rest| !rest.trim().is_empty() && !rest.trim().starts_with('Z'))
}

/// Waits until something is so. Asking again is all that can be done where nobody tells.
#[track_caller]
pub fn until<T>(what: &str, probe: impl FnMut() -> Option<T>) -> T {
    until_within(what, Duration::from_mins(1), probe)
}

/// The same with a limit of its own.
#[track_caller]
pub fn until_within<T>(what: &str, limit: Duration, mut probe: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(found) = probe() {
            return found;
        }
        assert!(start.elapsed() < limit, "not within {limit:?}: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Runs the docker client and gives its output.
pub fn docker(args: &[&str]) -> String {
    let output = Command::new("docker")
        .args(args)
        .output()
        .expect("install the Docker client: apt-get install docker.io");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

fn need_engine() {
    let output = Command::new("docker").arg("version").output();
    assert!(
        output.is_ok_and(|o| o.status.success()),
        "this test needs a Docker engine that answers: `make test` installs and starts one (docker.io)"
    );
    assert!(
        Path::new("/bin/busybox").exists(),
        "this test needs a static busybox: apt-get install busybox-static"
    );
}

fn left_of(instance: &str) -> Vec<(&'static str, String)> {
    let label = format!("label=io.labtop.instance={instance}");
    let mut left = Vec::new();
    for (kind, args) in [
        ("container", vec!["ps", "-aq", "--filter", &label]),
        ("volume", vec!["volume", "ls", "-q", "--filter", &label]),
        ("network", vec!["network", "ls", "-q", "--filter", &label]),
    ] {
        left.extend(docker(&args).lines().map(|id| (kind, id.to_owned())));
    }
    left
}

fn clean(instance: &str) {
    for (kind, id) in left_of(instance) {
        match kind {
            "container" => docker(&["rm", "-f", &id]),
            "volume" => docker(&["volume", "rm", &id]),
            _ => docker(&["network", "rm", &id]),
        };
    }
}

/// The files of an archive as (path, content), read with tar and zstd.
pub fn files_of(archive: &Path) -> Vec<(String, Vec<u8>)> {
    use std::io::Read;
    let file = std::fs::File::open(archive).unwrap_or_else(|e| panic!("{}: {e}", archive.display()));
    let mut tar = tar::Archive::new(zstd::Decoder::new(file).unwrap());
    let mut files = Vec::new();
    for entry in tar.entries().unwrap() {
        let mut entry = entry.unwrap();
        let path = entry.path().unwrap().display().to_string();
        let mut content = Vec::new();
        entry.read_to_end(&mut content).unwrap();
        if entry.header().entry_type().is_file() {
            files.push((path, content));
        }
    }
    files
}

/// The content of the file that ends with `name`.
#[track_caller]
pub fn file_in(archive: &Path, name: &str) -> String {
    let files = files_of(archive);
    let found = files.iter().find(|(path, _)| path.ends_with(name));
    let (_, content) = found.unwrap_or_else(|| panic!("no {name} in {}: {files:?}", archive.display()));
    String::from_utf8_lossy(content).into_owned()
}
