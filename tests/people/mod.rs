//! Users of the system that a test makes for itself, with a group of their own, and an agent that they ask. All is
//! removed when it is dropped.
#![allow(dead_code, reason = "each test uses a part of it")]

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use crate::lab::{LABTOP, Lab, TEMPLATE};

/// A user who is in no group but their own one.
pub struct Somebody {
    pub name: String,
    pub group: String,
    uid: u32,
    gid: u32,
}

impl Somebody {
    /// Makes a user and a group, both with names that nobody else has.
    pub fn new() -> Self {
        assert!(
            rustix::process::geteuid().is_root(),
            "this test makes users of the system: run `make test` as root"
        );
        let mark = uuid::Uuid::new_v4().simple().to_string();
        let (name, group) = (format!("lu{}", &mark[..10]), format!("lg{}", &mark[..10]));
        run("groupadd", &[&group]);
        run(
            "useradd",
            &["-M", "-N", "-s", "/bin/sh", "-d", "/", "-g", &group, &name],
        );
        let id = |flag: &str| -> u32 {
            let output = Command::new("id").args([flag, &name]).output().unwrap();
            String::from_utf8_lossy(&output.stdout).trim().parse().unwrap()
        };
        let (uid, gid) = (id("-u"), id("-g"));
        Self { name, group, uid, gid }
    }

    /// A program as this user, in their own group alone, with a clean environment.
    pub fn command(&self, program: &Path) -> Command {
        let mut command = Command::new("setpriv");
        command
            .arg(format!("--reuid={}", self.uid))
            .arg(format!("--regid={}", self.gid));
        command.arg("--clear-groups").arg(program);
        command
            .env_clear()
            .env("HOME", "/")
            .env("PATH", "/usr/bin:/bin")
            .current_dir("/");
        command
    }
}

impl Drop for Somebody {
    fn drop(&mut self) {
        for (program, name) in [("userdel", &self.name), ("groupdel", &self.group)] {
            let _ = Command::new(program).arg(name).output();
        }
    }
}

/// A laboratory whose socket everybody may knock at, and a copy of the program that everybody may run.
pub struct House {
    pub lab: Lab,
    program: PathBuf,
    socket: PathBuf,
}

/// What a run gave: exit code, standard output, standard error.
pub type Said = (i32, String, String);

impl House {
    /// With these lines about roles in its configuration.
    pub fn new(roles: &str) -> Self {
        let lab = Lab::with_config(&format!("{TEMPLATE}\n{roles}"));
        let open = |path: &Path| std::fs::set_permissions(path, PermissionsExt::from_mode(0o755)).unwrap();
        open(lab.path());
        let program = lab.path().join("labtop");
        std::fs::copy(LABTOP, &program).unwrap();
        open(&program);
        let socket = lab.path().join("run/agent.sock");
        Self { lab, program, socket }
    }

    /// A verb of the agent's owner; the first one starts the agent.
    pub fn of_owner(&self, line: &str) -> Command {
        let mut command = self.lab.command(&words(line));
        command.env("LABTOP_SOCKET", &self.socket);
        command
    }

    /// A verb of somebody; without one, their board.
    pub fn of(&self, who: &Somebody, line: &str) -> Command {
        let mut command = who.command(&self.program);
        command.env("HOME", self.home(who));
        command.args(words(line)).env("LABTOP_SOCKET", &self.socket);
        command
    }

    /// A home directory of somebody's.
    fn home(&self, who: &Somebody) -> PathBuf {
        let home = self.lab.path().join(&who.name);
        let _ = std::fs::create_dir(&home);
        std::os::unix::fs::chown(&home, Some(who.uid), Some(who.gid)).unwrap();
        home
    }

    /// Runs a verb as the agent's owner.
    pub fn owner(&self, line: &str) -> Said {
        said(&mut self.of_owner(line))
    }

    /// Runs a verb as somebody.
    pub fn run_as(&self, who: &Somebody, line: &str) -> Said {
        said(&mut self.of(who, line))
    }

    /// Runs a verb as somebody, and gives what it said.
    #[track_caller]
    pub fn expect(&self, who: &Somebody, line: &str, code: i32) -> String {
        let (found, out, err) = self.run_as(who, line);
        assert_eq!(found, code, "{line}: {out}{err}");
        out + &err
    }
}

fn words(line: &str) -> Vec<&str> {
    line.split_whitespace().collect()
}

fn said(command: &mut Command) -> Said {
    let output = command.stdin(Stdio::null()).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (
        output.status.code().unwrap_or(-1),
        text(&output.stdout),
        text(&output.stderr),
    )
}

/// The tables have one lock for all; another test may hold it.
fn run(program: &str, arguments: &[&str]) {
    let mut last = String::new();
    for _ in 0..100 {
        let output: Output = Command::new(program)
            .args(arguments)
            .output()
            .unwrap_or_else(|error| panic!("{program}: {error}: apt-get install passwd"));
        if output.status.success() {
            return;
        }
        last = String::from_utf8_lossy(&output.stderr).into_owned();
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    panic!("{program} {arguments:?}: {last}");
}
