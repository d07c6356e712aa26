//! A Docker engine of a test's own, which may be stopped and looked through, and a laboratory on it.
//!
//! It lives in a network and a mount namespace of its own, where `docker0`, the firewall and the mounts of this machine
//! are out of its reach. The laboratory's programs are started in that network, so that its seats can be asked.
#![allow(dead_code, reason = "each test uses a part of it")]

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::lab::{LABTOP, Lab, Ran, until};

/// How long an engine may take to stop: it gives each container 10 s.
const STOPS_WITHIN: Duration = Duration::from_secs(40);

/// A laboratory on an engine of its own. The laboratory is dropped first.
pub struct Machine {
    pub lab: Lab,
    pub engine: Engine,
}

impl Machine {
    /// A machine whose laboratory has this configuration, which must have no `[docker]`.
    pub fn new(config: &str) -> Self {
        let engine = Engine::start();
        let docker = format!("[docker]\nhost = \"{}\"\n", engine.host());
        Self {
            lab: Lab::with_config(&format!("{config}\n{docker}")),
            engine,
        }
    }

    /// The binary with arguments, ready to run on this machine.
    pub fn command(&self, args: &[&str]) -> Command {
        let there = self.lab.command(args);
        let mut command = Command::new("nsenter");
        command.arg(self.engine.network()).arg(LABTOP).args(args);
        command.env_remove("DOCKER_HOST").stdin(Stdio::null());
        for (key, value) in there.get_envs() {
            match value {
                Some(value) => command.env(key, value),
                None => command.env_remove(key),
            };
        }
        command
    }

    /// Runs the binary to its end.
    pub fn run(&self, args: &[&str]) -> Ran {
        let output = self.command(args).output().unwrap();
        Ran {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

/// The engine; ended with its containers when dropped.
pub struct Engine {
    dir: TempDir,
    /// Keeps the namespaces; ends when its standard input does.
    keeper: Child,
    daemon: Option<Child>,
}

impl Engine {
    /// An engine that answers.
    pub fn start() -> Self {
        let dir = tempfile::Builder::new().prefix("labtop-engine-").tempdir().unwrap();
        fs::write(dir.path().join("daemon.json"), "{}").unwrap();
        let mut keeper = Command::new("unshare")
            .args([
                "--net",
                "--mount",
                "sh",
                "-c",
                "ip link set lo up && echo up && exec cat",
            ])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("install unshare: apt-get install util-linux");
        let mut up = String::new();
        let _ = BufReader::new(keeper.stdout.take().unwrap()).read_line(&mut up);
        let mut engine = Self {
            dir,
            keeper,
            daemon: None,
        };
        assert_eq!(up, "up\n", "run the tests as root (`sudo make test`), with iproute2");
        engine.again();
        engine
    }

    /// Starts it after [`Engine::stop`], with everything that it had.
    pub fn again(&mut self) {
        let log = fs::File::create(self.path("log")).unwrap();
        let path = |name: &str| self.path(name).display().to_string();
        let daemon = Command::new("nsenter")
            .arg(self.network())
            .arg(format!("--mount=/proc/{}/ns/mnt", self.keeper.id()))
            .args([
                "dockerd",
                "-H",
                &self.host(),
                "--storage-driver",
                "vfs",
                "--bridge=none",
            ])
            .args(["--config-file", &path("daemon.json"), "--data-root", &path("data")])
            .args(["--exec-root", &path("exec"), "--pidfile", &path("pid")])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("install nsenter: apt-get install util-linux");
        self.daemon = Some(daemon);
        until("dockerd (`apt-get install docker.io`) listens", || {
            let log = fs::read_to_string(self.path("log")).unwrap();
            let ended = self.daemon.as_mut()?.try_wait().unwrap();
            assert!(ended.is_none(), "dockerd ended: {ended:?}\n{log}");
            log.contains("API listen on").then_some(())
        });
    }

    /// Stops it and all its containers, as `systemctl stop docker` does.
    pub fn stop(&mut self) {
        // A test that failed while it hung ends it all the same.
        self.resume();
        self.tell(Signal::TERM);
        let Some(mut daemon) = self.daemon.take() else { return };
        let end = Instant::now() + STOPS_WITHIN;
        while daemon.try_wait().is_ok_and(|status| status.is_none()) {
            if Instant::now() > end {
                let _ = daemon.kill();
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Makes it hang: its socket is there, and nobody answers.
    pub fn pause(&self) {
        self.tell(Signal::STOP);
    }

    /// Lets it go on after [`Engine::pause`].
    pub fn resume(&self) {
        self.tell(Signal::CONT);
    }

    fn tell(&self, signal: Signal) {
        if let Some(daemon) = &self.daemon {
            let _ = kill_process(Pid::from_child(daemon), signal);
        }
    }

    /// Its address.
    pub fn host(&self) -> String {
        format!("unix://{}", self.path("docker.sock").display())
    }

    /// Runs the docker client on it and gives its output.
    pub fn docker(&self, args: &[&str]) -> String {
        let output = Command::new("docker")
            .args(["-H", &self.host()])
            .args(args)
            .output()
            .unwrap();
        assert!(output.status.success(), "{args:?}: {output:?}");
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    /// All containers, volumes and networks.
    pub fn things(&self) -> Vec<String> {
        self.list(&[
            &["ps", "-a", "--format", "container {{.Names}}"],
            &["volume", "ls", "--format", "volume {{.Name}}"],
            &["network", "ls", "--format", "network {{.Name}}"],
        ])
    }

    /// All images, also those without a name.
    pub fn images(&self) -> Vec<String> {
        self.list(&[&["images", "-a", "--format", "{{.Repository}}:{{.Tag}}"]])
    }

    fn list(&self, queries: &[&[&str]]) -> Vec<String> {
        let mut all = Vec::new();
        for query in queries {
            all.extend(self.docker(query).lines().map(str::to_owned));
        }
        all.sort();
        all
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// What `nsenter` needs to be told to go into its network.
    fn network(&self) -> String {
        format!("--net=/proc/{}/ns/net", self.keeper.id())
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.stop();
        let _ = self.keeper.kill();
        let _ = self.keeper.wait();
    }
}
