//! A real Traefik in the host's network, as a lab runs it, in front of one laboratory's seats; and a stand-in for the
//! gateway that it asks. Both on ports of their own, and gone when they are dropped.
#![allow(dead_code, reason = "each test uses a part of it")]

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU16, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use rustix::fd::OwnedFd;
use rustix::net::{AddressFamily, SocketType};

use crate::lab::{Lab, until};

/// Ports that may turn out to be taken between our look and Traefik's.
const PORTS_TRIED: usize = 5;
/// A proxy answers within milliseconds; a seat behind it on a loaded host within seconds.
const ANSWER_WITHIN: Duration = Duration::from_secs(20);

/// A server that says whose seat it is, whatever is asked, and takes every upgrade to a WebSocket.
pub const SERVER: &str = r#"
cat >/tmp/answer <<END
read -r question
upgrade=no
while read -r header; do
    case \$header in
    [Uu]pgrade:*) upgrade=yes ;;
    [Cc]ookie:*) cookies=\$header ;;
    ?) break ;;
    esac
done
case \$upgrade in
yes) printf 'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n' ;;
no) printf 'HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n' ;;
esac
echo "seat $LABTOP_ROOM/$LABTOP_STUDENT heard \$question"
echo "with \$cookies"
END
exec nc -ll -p 8080 -e /bin/sh /tmp/answer
"#;

/// One proxy.
pub struct Traefik {
    child: Child,
    port: u16,
}

/// What a browser got.
#[derive(Debug, PartialEq, Eq)]
pub struct Page {
    pub status: u16,
    pub text: String,
}

impl Traefik {
    /// A proxy that routes to the seats of this laboratory and to nothing else on the engine.
    pub fn before(lab: &Lab) -> Self {
        Self::with(lab, &[])
    }

    /// The same with the pages of the gateway at this port, as a lab has it: one address for everything.
    pub fn before_all(lab: &Lab, gateway: u16) -> Self {
        let routes = format!("--providers.http.endpoint=http://127.0.0.1:{gateway}/traefik/config");
        let traefik = Self::with(lab, &[routes]);
        assert_eq!(traefik.get_routed("/login").status, 200);
        traefik
    }

    /// A proxy with what `labtop traefik-config` prints, at this port.
    pub fn by_config(lab: &Lab, port: u16) -> Self {
        let printed = lab.run(&["traefik-config"]).expect(0).stdout;
        let config = printed.replace("\":80\"", &format!("\"127.0.0.1:{port}\""));
        assert_ne!(config, printed);
        // The engine has containers of other laboratories, too.
        let only = format!(
            "    constraints: \"Label(`io.labtop.instance`,`{}`)\"\n",
            lab.instance().unwrap()
        );
        let config = config.replace("  docker:\n", &format!("  docker:\n{only}"));
        let file = lab.path().join("traefik.yaml");
        std::fs::write(&file, config).unwrap();
        let mut command = Command::new(program());
        command.arg(format!("--configfile={}", file.display()));
        let mut traefik = Self::spawned(command, port, &lab.path().join("traefik.log"));
        assert!(until("Traefik listens or has ended", || traefik.listens()));
        traefik
    }

    fn spawned(mut command: Command, port: u16, log: &std::path::Path) -> Self {
        let log = std::fs::File::create(log).unwrap();
        command
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log);
        Self {
            child: command.spawn().unwrap(),
            port,
        }
    }

    fn with(lab: &Lab, more: &[String]) -> Self {
        let instance = lab.instance().expect("the laboratory has no agent yet");
        let log = lab.path().join("traefik.log");
        for _ in 0..PORTS_TRIED {
            let mut traefik = Self::start(&instance, &log, more);
            if until("Traefik listens or has ended", || traefik.listens()) {
                return traefik;
            }
        }
        panic!("{}", std::fs::read_to_string(&log).unwrap_or_default());
    }

    fn start(instance: &str, log: &std::path::Path, more: &[String]) -> Self {
        let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = free.local_addr().unwrap().port();
        drop(free);
        let mut command = Command::new(program());
        command
            .args([
                "--global.checknewversion=false",
                "--global.sendanonymoususage=false",
                "--log.level=ERROR",
                &format!("--entrypoints.web.address=127.0.0.1:{port}"),
                "--providers.providersthrottleduration=100ms",
                "--providers.docker=true",
                "--providers.docker.exposedbydefault=false",
                &format!("--providers.docker.constraints=Label(`io.labtop.instance`,`{instance}`)"),
            ])
            .args(more);
        Self::spawned(command, port, log)
    }

    /// Whether it got its port; nothing while it is not known.
    fn listens(&mut self) -> Option<bool> {
        if self.child.try_wait().unwrap().is_some() {
            return Some(false);
        }
        TcpStream::connect(self.address()).is_ok().then_some(true)
    }

    /// Where browsers reach it.
    pub fn port(&self) -> u16 {
        self.port
    }

    fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }

    /// What a browser gets for a path.
    pub fn get(&self, path: &str) -> Page {
        self.ask(path, "Connection: close\r\n")
    }

    /// The same once there is a route: before, Traefik answers 404 to everything.
    #[track_caller]
    pub fn get_routed(&self, path: &str) -> Page {
        until(&format!("there is a route at {path}"), || {
            Some(self.get(path)).filter(|page| page.status != 404)
        })
    }

    /// What a browser gets that asks for a WebSocket.
    pub fn upgrade(&self, path: &str) -> Page {
        let ask = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
            Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
        self.ask(path, ask)
    }

    fn ask(&self, path: &str, headers: &str) -> Page {
        let mut stream = TcpStream::connect(self.address()).unwrap();
        stream.set_read_timeout(Some(ANSWER_WITHIN)).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nHost: lab.test\r\n{headers}\r\n").unwrap();
        let mut answer = Vec::new();
        // A refused upgrade leaves the connection open, so the end is not always seen: what came counts.
        let _ = read_answer(&mut stream, &mut answer);
        let text = String::from_utf8_lossy(&answer).into_owned();
        let status = text.split(' ').nth(1).and_then(|code| code.parse().ok());
        Page {
            status: status.unwrap_or_else(|| panic!("no answer at {path}: {text:?}")),
            text,
        }
    }
}

/// Reads to the end, or to the end of an answer that tells its length.
fn read_answer(stream: &mut TcpStream, answer: &mut Vec<u8>) -> std::io::Result<()> {
    let mut piece = [0; 4096];
    loop {
        let count = stream.read(&mut piece)?;
        answer.extend_from_slice(&piece[..count]);
        if count == 0 || is_whole(answer) {
            return Ok(());
        }
    }
}

fn is_whole(answer: &[u8]) -> bool {
    let text = String::from_utf8_lossy(answer);
    let Some((head, body)) = text.split_once("\r\n\r\n") else {
        return false;
    };
    let length = head
        .lines()
        .find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok());
    length.is_some_and(|length: usize| body.len() >= length)
}

impl Drop for Traefik {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn program() -> PathBuf {
    let path = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/target/tools/bin/traefik"));
    assert!(
        path.exists(),
        "this test needs Traefik at {}: `make test` fetches it (scripts/setup test)",
        path.display()
    );
    path
}

/// A port that is ours and at which nobody answers, until somebody does.
pub struct ClosedDoor {
    socket: OwnedFd,
    pub port: u16,
}

impl ClosedDoor {
    pub fn new() -> Self {
        let socket = rustix::net::socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
        rustix::net::bind(&socket, &SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).unwrap();
        let bound = SocketAddr::try_from(rustix::net::getsockname(&socket).unwrap()).unwrap();
        Self {
            socket,
            port: bound.port(),
        }
    }

    /// Begins to answer there.
    pub fn open(self) -> Doorman {
        rustix::net::listen(&self.socket, 16).unwrap();
        Doorman::new(TcpListener::from(self.socket))
    }
}

/// Answers in the gateway's place: one status for everybody, and every question is remembered.
pub struct Doorman {
    status: Arc<AtomicU16>,
    asked: Arc<Mutex<Vec<String>>>,
    ends: Arc<AtomicBool>,
    address: SocketAddr,
    thread: Option<JoinHandle<()>>,
}

impl Doorman {
    fn new(listener: TcpListener) -> Self {
        let status = Arc::new(AtomicU16::new(401));
        let asked = Arc::new(Mutex::new(Vec::new()));
        let ends = Arc::new(AtomicBool::new(false));
        let address = listener.local_addr().unwrap();
        let (code, questions, last) = (Arc::clone(&status), Arc::clone(&asked), Arc::clone(&ends));
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming() {
                if last.load(Ordering::SeqCst) {
                    return;
                }
                if let Ok(stream) = stream {
                    // A question that breaks off asks nothing.
                    let _ = answer(stream, code.load(Ordering::SeqCst), &questions);
                }
            }
        });
        Self {
            status,
            asked,
            ends,
            address,
            thread: Some(thread),
        }
    }

    /// From now on everybody gets this status.
    pub fn says(&self, status: u16) {
        self.status.store(status, Ordering::SeqCst);
    }

    /// The paths that were asked for since the last time.
    pub fn was_asked(&self) -> Vec<String> {
        std::mem::take(&mut *self.asked.lock().unwrap())
    }
}

impl Drop for Doorman {
    fn drop(&mut self) {
        self.ends.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.address);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Answers one question.
fn answer(mut stream: TcpStream, status: u16, questions: &Mutex<Vec<String>>) -> Option<()> {
    stream.set_read_timeout(Some(ANSWER_WITHIN)).ok()?;
    let mut question = Vec::new();
    let mut piece = [0; 4096];
    while !question.ends_with(b"\r\n\r\n") {
        match stream.read(&mut piece).ok()? {
            0 => return None,
            count => question.extend_from_slice(&piece[..count]),
        }
    }
    let text = String::from_utf8_lossy(&question);
    // Remembered before Traefik hears of it, which lets the browser go on.
    questions.lock().unwrap().push(text.split(' ').nth(1)?.to_owned());
    let reply = format!("HTTP/1.1 {status} Status\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    stream.write_all(reply.as_bytes()).ok()
}
