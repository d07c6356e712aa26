//! S3 servers of a test's own: the real `rclone serve s3`, and one in this process whose faults are scripted.
#![allow(dead_code, reason = "each test uses a part of it")]

pub mod faulty;
pub mod scene;

use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use labtop::domain::settings::S3Settings;

pub const ACCESS: &str = "AKLABTOPTEST";
pub const SECRET: &str = "not-a-secret-but-looked-for-in-logs";
pub const BUCKET: &str = "labtop-test";
/// The smallest part that S3 takes.
pub const PART: usize = 5 << 20;

/// Files with the keys, as an administrator has them.
pub struct Keys {
    dir: tempfile::TempDir,
}

impl Keys {
    pub fn new() -> Self {
        Self::with(ACCESS, SECRET)
    }

    pub fn with(access: &str, secret: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        for (name, value) in [("access", access), ("secret", secret)] {
            let mut options = std::fs::OpenOptions::new();
            let file = options.write(true).create(true).mode(0o600).open(dir.path().join(name));
            std::io::Write::write_all(&mut file.unwrap(), value.as_bytes()).unwrap();
        }
        Self { dir }
    }

    pub fn access(&self) -> PathBuf {
        self.dir.path().join("access")
    }

    pub fn secret(&self) -> PathBuf {
        self.dir.path().join("secret")
    }

    /// Settings for a server on this host.
    pub fn settings(&self, address: SocketAddr) -> S3Settings {
        S3Settings {
            endpoint: format!("http://{address}"),
            region: "us-east-1".into(),
            bucket: BUCKET.into(),
            prefix: String::new(),
            path_style: true,
            access_key_file: Some(self.access()),
            secret_key_file: Some(self.secret()),
            part_bytes: PART as u64,
            parts_in_flight: 2,
            idle_seconds: 1,
            retries: 2,
        }
    }
}

/// Garage, or another server that somebody has, by `LABTOP_TEST_S3_*`.
pub fn elsewhere(keys: &mut Option<Keys>) -> Option<S3Settings> {
    let variable = |name: &str| std::env::var(format!("LABTOP_TEST_S3_{name}")).ok();
    let endpoint = variable("ENDPOINT")?;
    let need = |name: &str| variable(name).unwrap_or_else(|| panic!("set LABTOP_TEST_S3_{name} beside _ENDPOINT"));
    let made = keys.insert(Keys::with(&need("ACCESS_KEY"), &need("SECRET_KEY")));
    let mut settings = made.settings(SocketAddr::from((Ipv4Addr::LOCALHOST, 1)));
    settings.endpoint = endpoint;
    settings.bucket = need("BUCKET");
    settings.region = variable("REGION").unwrap_or_else(|| "garage".into());
    settings.prefix = format!("test-{}/", uuid::Uuid::new_v4().simple());
    settings.idle_seconds = 30;
    Some(settings)
}

/// A port that nobody listens on at the moment.
pub fn free_address() -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    listener.local_addr().unwrap()
}

/// `rclone serve s3` over a directory; killed when it is dropped.
pub struct Rclone {
    pub dir: tempfile::TempDir,
    pub address: SocketAddr,
    child: Child,
}

/// The binary that `scripts/setup test` fetched.
pub fn rclone_binary() -> PathBuf {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/tools/bin/rclone");
    assert!(path.exists(), "rclone is missing: run `scripts/setup test`");
    path
}

impl Rclone {
    pub fn start() -> Self {
        Self::with(&[])
    }

    /// With more arguments, such as a certificate.
    pub fn with(more: &[&str]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join(BUCKET)).unwrap();
        let address = free_address();
        let child = Command::new(rclone_binary())
            .args(["serve", "s3", "--config", "/dev/null", "--addr", &address.to_string()])
            .args(["--auth-key", &format!("{ACCESS},{SECRET}"), "--vfs-cache-mode", "off"])
            .args(more)
            .arg(dir.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let start = Instant::now();
        while TcpStream::connect(address).is_err() {
            assert!(
                start.elapsed() < Duration::from_secs(20),
                "rclone does not listen on {address}"
            );
            std::thread::sleep(Duration::from_millis(20));
        }
        Self { dir, address, child }
    }

    pub fn process(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Rclone {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
