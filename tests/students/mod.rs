//! Students at a laboratory's door: the real gateway as a process of its own, and browsers that speak plain HTTP.
#![allow(dead_code, reason = "each test uses a part of it")]

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use crate::lab::{Lab, until};

/// A page is made within milliseconds, a code is proven within a second even on a loaded host.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);

/// A port that nobody uses at this moment.
pub fn free_port() -> u16 {
    let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    free.local_addr().unwrap().port()
}

/// A laboratory whose gateway listens at this port, and whose seats run that program of the shell's; with more settings,
/// and more of its template.
pub fn lab_before(port: u16, program: &str, settings: &str, template: &str) -> Lab {
    Lab::with_config(&format!(
        "default_template = \"lab\"\n{settings}\n[templates.lab]\nimage = \"labtop-demo:latest\"\n\
         command = [\"/bin/sh\", \"-c\", '''{program}''']\nport = 8080\nmemory = \"32MiB\"\ncpus = 0.5\npids = 32\n\
         network = \"closed\"\n{template}\n[gateway]\nlisten = \"127.0.0.1:{port}\"\n"
    ))
}

/// A roster file of the laboratory's.
pub fn roster(lab: &Lab, text: &str) -> String {
    let path = lab.path().join("roster.csv");
    std::fs::write(&path, text).unwrap();
    path.display().to_string()
}

/// A laboratory with the room `r` open for these students, their codes, and its gateway.
pub fn class(students: &str, lab_at: impl FnOnce(u16) -> Lab) -> (Lab, BTreeMap<String, String>, Gateway) {
    let port = free_port();
    let lab = lab_at(port);
    lab.run(&["room", "open", "r", "--students", students]).expect(0);
    let codes = codes(&lab, "r");
    let gateway = Gateway::of(&lab, port);
    (lab, codes, gateway)
}

/// The name that a seat's route asks the gateway with.
pub fn verify(lab: &Lab, slug: &str) -> String {
    format!("/auth/verify/lab-{}_{slug}", &lab.instance().unwrap()[..8])
}

/// One gateway.
pub struct Gateway {
    child: Child,
    pub port: u16,
}

impl Gateway {
    /// The gateway of a laboratory whose configuration names this port.
    pub fn of(lab: &Lab, port: u16) -> Self {
        Self::started(lab.command(&["gateway"]), port)
    }

    /// The same of a command that starts it.
    pub fn started(mut command: Command, port: u16) -> Self {
        let child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let mut gateway = Self { child, port };
        until("the gateway has heard of the agent", || {
            if let Some(status) = gateway.child.try_wait().unwrap() {
                let mut words = String::new();
                let _ = gateway.child.stderr.take().unwrap().read_to_string(&mut words);
                panic!("the gateway ended with {status}: {words}");
            }
            TcpStream::connect(gateway.address()).ok()?;
            (Browser::new(port).get("/healthz").status == 200).then_some(())
        });
        gateway
    }

    pub fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// An answer.
#[derive(Debug, Clone)]
pub struct Answer {
    pub status: u16,
    /// By lower-case name; of several with one name the last.
    pub headers: BTreeMap<String, String>,
    pub text: String,
}

impl Answer {
    pub fn location(&self) -> &str {
        self.headers.get("location").map_or("", String::as_str)
    }

    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|e| panic!("{e}: {self:?}"))
    }
}

/// A browser with a cookie of ours, or none.
#[derive(Debug, Clone)]
pub struct Browser {
    port: u16,
    pub token: Option<String>,
}

impl Browser {
    pub fn new(port: u16) -> Self {
        Self { port, token: None }
    }

    /// The same visitor at another port of this host: the proxy's.
    pub fn at(&self, port: u16) -> Self {
        Self { port, ..self.clone() }
    }

    pub fn with(&self, token: &str) -> Self {
        Self {
            token: Some(token.to_owned()),
            ..self.clone()
        }
    }

    pub fn get(&self, path: &str) -> Answer {
        self.ask("GET", path, "", "")
    }

    pub fn get_with(&self, path: &str, headers: &str) -> Answer {
        self.ask("GET", path, headers, "")
    }

    /// What is at another host of the same proxy's.
    pub fn get_at(&self, host: &str, path: &str) -> Answer {
        self.ask_at(host, ("GET", path), "Accept: text/html\r\n", "")
    }

    /// Sends a form.
    pub fn post(&self, path: &str, form: &[(&str, &str)], headers: &str) -> Answer {
        let body: Vec<String> = form
            .iter()
            .map(|(name, value)| format!("{name}={}", encoded(value)))
            .collect();
        let head = format!("Content-Type: application/x-www-form-urlencoded\r\n{headers}");
        self.ask("POST", path, &head, &body.join("&"))
    }

    /// Signs in, and keeps the cookie when there is one.
    pub fn sign_in(&mut self, student: &str, code: &str) -> Answer {
        let answer = self.post("/login", &[("student", student), ("code", code)], "");
        if let Some(cookie) = answer.headers.get("set-cookie") {
            let token = cookie.split([';', '=']).nth(1).unwrap();
            self.token = (!token.is_empty()).then(|| token.to_owned());
        }
        answer
    }

    /// The student's own page, for programs.
    #[track_caller]
    pub fn seat(&self) -> Value {
        let answer = self.get_with("/seat", "Accept: application/json\r\n");
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.json()
    }

    /// A connection that was upgraded to a WebSocket: what follows its head.
    pub fn upgraded(&self, path: &str) -> TcpStream {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).unwrap();
        stream.set_read_timeout(Some(ANSWER_WITHIN)).unwrap();
        write!(
            stream,
            "GET {path} HTTP/1.1\r\nHost: lab.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
             Cookie: labtop_session={}\r\n\r\n",
            self.token.as_deref().unwrap_or_default()
        )
        .unwrap();
        let mut head = Vec::new();
        let mut byte = [0];
        while !head.ends_with(b"\r\n\r\n") {
            stream.read_exact(&mut byte).unwrap();
            head.push(byte[0]);
        }
        let head = String::from_utf8_lossy(&head);
        assert!(head.starts_with("HTTP/1.1 101"), "{head}");
        stream
    }

    fn ask(&self, method: &str, path: &str, headers: &str, body: &str) -> Answer {
        self.ask_at("lab.test", (method, path), headers, body)
    }

    fn ask_at(&self, host: &str, (method, path): (&str, &str), headers: &str, body: &str) -> Answer {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).unwrap();
        stream.set_read_timeout(Some(ANSWER_WITHIN)).unwrap();
        let cookie = self
            .token
            .as_ref()
            .map(|token| format!("Cookie: labtop_session={token}\r\n"));
        let length = if body.is_empty() {
            String::new()
        } else {
            format!("Content-Length: {}\r\n", body.len())
        };
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n{}{headers}{length}\r\n{body}",
            cookie.unwrap_or_default()
        )
        .unwrap();
        let mut bytes = Vec::new();
        let _ = stream.read_to_end(&mut bytes);
        answer(&String::from_utf8_lossy(&bytes))
    }
}

#[track_caller]
fn answer(text: &str) -> Answer {
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((text, ""));
    let status = head.split(' ').nth(1).and_then(|code| code.parse().ok());
    let headers = head.lines().skip(1).filter_map(|line| line.split_once(": "));
    Answer {
        status: status.unwrap_or_else(|| panic!("no answer: {text:?}")),
        headers: headers
            .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
            .collect(),
        text: body.to_owned(),
    }
}

fn encoded(text: &str) -> String {
    text.bytes()
        .map(|b| match b {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => char::from(b).to_string(),
            other => format!("%{other:02X}"),
        })
        .collect()
}

/// Gives everybody on a room's roster a code: student and code.
pub fn codes(lab: &Lab, room: &str) -> BTreeMap<String, String> {
    let cards = lab.run(&["roster", "cards", room, "--json"]).expect(0).json();
    cards
        .as_array()
        .unwrap()
        .iter()
        .map(|card| {
            (
                card["student"].as_str().unwrap().to_owned(),
                card["code"].as_str().unwrap().to_owned(),
            )
        })
        .collect()
}
