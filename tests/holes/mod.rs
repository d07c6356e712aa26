//! Holes in the walls around rooms: each opened for one bridge alone, and closed again at the end, also after a panic.
#![allow(dead_code, reason = "each test opens its own")]

use std::net::{IpAddr, Ipv4Addr, TcpListener, UdpSocket};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Runs a program of the system's, and gives what it prints.
pub fn system(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program)
        .args(arguments)
        .output()
        .unwrap_or_else(|error| panic!("cannot run {program}: {error}; run `scripts/setup test` as root"));
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {arguments:?}: {error}");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// A rule before labtop's own, in its own table.
pub struct Rule {
    chain: &'static str,
    handle: String,
}

impl Rule {
    /// In that chain (`input` or `forward`), in nft's words.
    pub fn new(chain: &'static str, words: &str) -> Self {
        let rule = format!("insert rule inet labtop {chain} {words}");
        let told = system("nft", &["--echo", "--handle", &rule]);
        let (_, handle) = told.rsplit_once("# handle ").expect("nft tells the rule's handle");
        Self {
            chain,
            handle: handle.trim().to_owned(),
        }
    }
}

impl Drop for Rule {
    fn drop(&mut self) {
        let arguments = ["delete", "rule", "inet", "labtop", self.chain, "handle", &self.handle];
        let _ = Command::new("nft").args(arguments).status();
    }
}

/// A rule of the site's before Docker's own.
pub struct SiteRule(Vec<String>);

impl SiteRule {
    /// Lets through what comes in at one bridge and goes out at another.
    pub fn through(from: &str, to: &str) -> Self {
        let words = ["-i", from, "-o", to, "-j", "ACCEPT"];
        system("iptables", &[&["-w", "-I", "DOCKER-USER"], words.as_slice()].concat());
        Self(words.map(str::to_owned).to_vec())
    }
}

impl Drop for SiteRule {
    fn drop(&mut self) {
        let mut delete = Command::new("iptables");
        let _ = delete.args(["-w", "-D", "DOCKER-USER"]).args(&self.0).status();
    }
}

/// A host elsewhere that has some addresses, and answers every connection with a refusal.
pub struct FarHost {
    name: String,
}

impl FarHost {
    pub fn with(addresses: &[Ipv4Addr]) -> Self {
        let mark = &uuid::Uuid::new_v4().simple().to_string()[..8];
        let host = Self {
            name: format!("lt{mark}"),
        };
        let (name, inner) = (host.name.as_str(), format!("{mark}-in"));
        system("ip", &["netns", "add", name]);
        let pair = ["link", "add", name, "type", "veth", "peer", "name", &inner];
        system("ip", &[pair.as_slice(), &["netns", name]].concat());
        system("ip", &["link", "set", name, "up"]);
        // Of a range for tests of networks; this end is where its answers go.
        system("ip", &["address", "add", "198.18.77.1/30", "dev", name]);
        let inside = |words: &[&str]| system("ip", &[["-n", name].as_slice(), words].concat());
        inside(&["link", "set", "lo", "up"]);
        inside(&["address", "add", "198.18.77.2/30", "dev", &inner]);
        inside(&["link", "set", &inner, "up"]);
        inside(&["route", "add", "default", "via", "198.18.77.1"]);
        for address in addresses {
            inside(&["address", "add", &format!("{address}/32"), "dev", "lo"]);
            system("ip", &["route", "add", &format!("{address}/32"), "via", "198.18.77.2"]);
        }
        host
    }
}

impl Drop for FarHost {
    fn drop(&mut self) {
        // Its end of the pair, and with it this one and the routes over it, go at once with the link.
        let _ = Command::new("ip").args(["link", "delete", &self.name]).status();
        let _ = Command::new("ip").args(["netns", "delete", &self.name]).status();
    }
}

/// A service of the host's that listens everywhere.
pub fn service() -> (TcpListener, u16) {
    let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    (listener, port)
}

/// Somebody who answers every question for a name with the question.
pub struct Resolver {
    over: Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Resolver {
    pub fn at(ip: IpAddr) -> Self {
        let socket = UdpSocket::bind((ip, 53)).unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
        let over = Arc::new(AtomicBool::new(false));
        let until = Arc::clone(&over);
        let thread = std::thread::spawn(move || {
            let mut question = [0; 512];
            while !until.load(Ordering::Relaxed) {
                if let Ok((length, from)) = socket.recv_from(&mut question) {
                    let _ = socket.send_to(&question[..length], from);
                }
            }
        });
        Self {
            over,
            thread: Some(thread),
        }
    }
}

impl Drop for Resolver {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
