//! A socket before the real engine's, which passes every byte on and changes one answer: where the engine keeps its
//! files. What it says then exists nowhere, as if the engine were on another host.
#![allow(dead_code, reason = "each test uses a part of it")]

use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::thread;

const ENGINE: &str = "/var/run/docker.sock";
const TELLS: &[u8] = b"\"DockerRootDir\":\"/";

/// Listens until the process ends.
pub struct Relay {
    _dir: tempfile::TempDir,
    socket: PathBuf,
}

impl Relay {
    /// One that listens.
    pub fn start() -> Self {
        let dir = tempfile::Builder::new().prefix("labtop-relay-").tempdir().unwrap();
        let socket = dir.path().join("docker.sock");
        let listener = UnixListener::bind(&socket).unwrap();
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                thread::spawn(move || relay(&client));
            }
        });
        Self { _dir: dir, socket }
    }

    /// What `DOCKER_HOST` is to be.
    pub fn host(&self) -> String {
        format!("unix://{}", self.socket.display())
    }
}

fn relay(client: &UnixStream) {
    let engine = UnixStream::connect(ENGINE).unwrap();
    let (from, to) = (client.try_clone().unwrap(), engine.try_clone().unwrap());
    let up = thread::spawn(move || pass(from, to, |_| {}));
    pass(engine, client.try_clone().unwrap(), elsewhere);
    let _ = up.join();
}

fn pass(mut from: UnixStream, mut to: UnixStream, change: impl Fn(&mut [u8])) {
    let mut buffer = vec![0; 256 * 1024];
    while let Ok(count) = from.read(&mut buffer) {
        if count == 0 {
            break;
        }
        change(&mut buffer[..count]);
        if to.write_all(&buffer[..count]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Write);
    let _ = from.shutdown(Shutdown::Read);
}

/// The same length, so that nothing else in the answer changes.
fn elsewhere(bytes: &mut [u8]) {
    if let Some(at) = bytes.windows(TELLS.len()).position(|window| window == TELLS) {
        bytes[at + TELLS.len()] = b'?';
    }
}
