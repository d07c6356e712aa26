//! A Redis server of a test's own, on a free port, in a directory of its own; it may be stopped, paused and emptied.
#![allow(dead_code, reason = "each test uses a part of it")]

use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// How long a server may take to start.
const UP_WITHIN: Duration = Duration::from_secs(20);

/// The server; ended when dropped.
pub struct Server {
    dir: TempDir,
    port: u16,
    arguments: Vec<String>,
    child: Option<Child>,
}

impl Server {
    pub fn start() -> Self {
        Self::with(&[])
    }

    /// With more arguments for the server.
    pub fn with(arguments: &[&str]) -> Self {
        // A port that nobody has now; the server takes it a moment later.
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut server = Self {
            dir: tempfile::Builder::new().prefix("labtop-redis-").tempdir().unwrap(),
            port,
            arguments: arguments.iter().map(ToString::to_string).collect(),
            child: None,
        };
        server.again();
        server
    }

    /// Starts it after [`Server::stop`], with nothing in it.
    pub fn again(&mut self) {
        let port = self.port.to_string();
        let child = Command::new("redis-server")
            .args([
                "--port",
                &port,
                "--bind",
                "127.0.0.1",
                "--save",
                "",
                "--appendonly",
                "no",
            ])
            .arg("--dir")
            .arg(self.dir.path())
            .args(&self.arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("install Redis: apt-get install redis-server");
        self.child = Some(child);
        let start = Instant::now();
        while std::net::TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            assert!(start.elapsed() < UP_WITHIN, "redis-server does not listen");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Ends it; what was in it is gone.
    pub fn stop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/3", self.port)
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// Runs `redis-cli` in the database of [`Server::url`], and gives what it printed.
    pub fn cli(&self, arguments: &[&str]) -> String {
        let port = self.port.to_string();
        let output = Command::new("redis-cli")
            .args(["-p", &port, "-n", "3"])
            .args(arguments)
            .output()
            .expect("install Redis: apt-get install redis-server");
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}
