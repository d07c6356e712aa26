//! Where the engine is: the file's word, or the environment's, which wins.
//!
//! Knows: addresses of engines and the variables of Docker's own client. Must not know: how to connect.

use std::net::IpAddr;
use std::path::PathBuf;

use crate::domain::settings::{DockerSettings, TlsSettings};

use super::Mistake;
use super::check::absolute;
use super::raw::{Section, harmless};

/// The engine of this machine.
const LOCAL: &str = "unix:///var/run/docker.sock";
/// What an address may look like.
const ADDRESS: &str = "must be unix:///PATH or tcp://HOST:PORT";
/// Why an engine on the network needs certificates.
const NEEDS_TLS: &str = "whoever reaches an engine without TLS is root on it: write [docker.tls] ca, cert and key";

/// The engine's settings and how they came to be.
pub(super) struct Engine {
    pub(super) settings: DockerSettings,
    pub(super) overrides: Vec<(&'static str, &'static str)>,
    pub(super) mistakes: Vec<Mistake>,
}

/// Reads `[docker]`, `DOCKER_HOST`, `DOCKER_TLS_VERIFY` and `DOCKER_CERT_PATH`.
pub(super) fn read(section: &Section<'_>, env: &dyn Fn(&str) -> Option<String>) -> Engine {
    let host = section.read("host", |text: String| address(&text));
    let tls = tls(section);
    section.end(&[]);
    let mut engine = Engine {
        settings: DockerSettings {
            host: host.unwrap_or_else(|| LOCAL.to_owned()),
            tls,
        },
        overrides: Vec::new(),
        mistakes: Vec::new(),
    };
    let set = |name| env(name).filter(|value| !value.is_empty());
    if set("DOCKER_TLS_VERIFY").is_some() {
        engine.tls_from_environment(set("DOCKER_CERT_PATH"), set("HOME"));
    }
    if let Some(host) = set("DOCKER_HOST") {
        engine.host_from_environment(host);
    } else if needs_tls(&engine.settings) {
        section.wrong("host", NEEDS_TLS);
    }
    if engine.settings.host.starts_with("unix://") {
        engine.settings.tls = None;
    }
    engine
}

impl Engine {
    fn host_from_environment(&mut self, host: String) {
        self.overrides.push(("docker.host", "DOCKER_HOST"));
        let shown = harmless(&host);
        match address(&host) {
            Ok(host) => self.settings.host = host,
            Err(rule) => return self.wrong("DOCKER_HOST", shown, rule),
        }
        if needs_tls(&self.settings) {
            let rule = format!("{NEEDS_TLS}, or set DOCKER_TLS_VERIFY and DOCKER_CERT_PATH");
            self.wrong("DOCKER_HOST", shown, rule);
        }
    }

    fn tls_from_environment(&mut self, directory: Option<String>, home: Option<String>) {
        self.overrides.push(("docker.tls", "DOCKER_CERT_PATH"));
        let home = || home.map(|home| PathBuf::from(home).join(".docker"));
        let Some(directory) = directory.map(PathBuf::from).or_else(home) else {
            let rule = "is needed, because DOCKER_TLS_VERIFY is set and HOME is not".to_owned();
            return self.wrong("DOCKER_CERT_PATH", String::new(), rule);
        };
        self.settings.tls = Some(TlsSettings {
            ca: directory.join("ca.pem"),
            cert: directory.join("cert.pem"),
            key: directory.join("key.pem"),
        });
    }

    fn wrong(&mut self, variable: &str, value: String, rule: String) {
        self.mistakes.push(Mistake {
            line: None,
            key: variable.to_owned(),
            value,
            rule,
        });
    }
}

fn tls(section: &Section<'_>) -> Option<TlsSettings> {
    let written = section.has("tls");
    let table = section.table("tls");
    let file = |key| {
        if written && !table.has(key) {
            table.wrong(key, "is missing: [docker.tls] needs ca, cert and key");
        }
        table.read(key, absolute)
    };
    let files = (file("ca"), file("cert"), file("key"));
    table.end(&[]);
    let (Some(ca), Some(cert), Some(key)) = files else {
        return None;
    };
    Some(TlsSettings { ca, cert, key })
}

fn address(text: &str) -> Result<String, String> {
    if let Some(path) = text.strip_prefix("unix://") {
        return if path.starts_with('/') && !path.contains('\0') {
            Ok(text.to_owned())
        } else {
            Err(ADDRESS.to_owned())
        };
    }
    if text.starts_with("ssh://") {
        return Err(format!(
            "{ADDRESS}; for ssh forward the socket (ssh -L /run/lab.sock:/var/run/docker.sock HOST)"
        ));
    }
    host_and_port(text)
        .map(|_| text.to_owned())
        .ok_or_else(|| ADDRESS.to_owned())
}

/// The host of a `tcp://` or `http://` address that has nothing but a host and a port.
fn host_and_port(text: &str) -> Option<&str> {
    let rest = text.strip_prefix("tcp://").or_else(|| text.strip_prefix("http://"))?;
    let (host, port) = rest.rsplit_once(':')?;
    let host = match host.strip_prefix('[') {
        Some(v6) => v6.strip_suffix(']')?,
        None => host,
    };
    let name = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_');
    let is_host = host.parse::<IpAddr>().is_ok() || (!host.is_empty() && host.bytes().all(name));
    let is_port = port.parse::<u16>().is_ok_and(|port| port != 0);
    (is_host && is_port).then_some(host)
}

/// Whether the address is on a network that others listen on, and nothing guards it.
fn needs_tls(settings: &DockerSettings) -> bool {
    let Some(host) = host_and_port(&settings.host) else {
        return false;
    };
    let loopback = host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback());
    let guarded = settings.tls.is_some() && settings.host.starts_with("tcp://");
    !loopback && !guarded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_held_to_their_form() {
        for good in [
            "unix:///run/docker.sock",
            "tcp://10.0.0.1:2376",
            "http://localhost:2375",
            "tcp://[::1]:2375",
        ] {
            assert_eq!(address(good).as_deref(), Ok(good));
        }
        for bad in [
            "",
            "docker",
            "unix://docker.sock",
            "tcp://h",
            "tcp://h:0",
            "tcp://:1",
            "tcp://h:2375/x",
            "tcp://u@h:1",
            "https://h:1",
            "npipe:////./pipe",
            "ssh://h",
            "tcp://h\n:1",
        ] {
            assert!(address(bad).unwrap_err().contains(ADDRESS), "{bad}");
        }
    }

    #[test]
    fn only_loopback_goes_without_tls() {
        let bare = |host: &str| DockerSettings {
            host: host.to_owned(),
            tls: None,
        };
        for safe in [
            "unix:///run/docker.sock",
            "tcp://127.0.0.1:2375",
            "tcp://localhost:1",
            "http://[::1]:2375",
        ] {
            assert!(!needs_tls(&bare(safe)), "{safe}");
        }
        for open in [
            "tcp://10.0.0.1:2375",
            "http://lab.example:2375",
            "tcp://127.0.0.1.example:1",
        ] {
            assert!(needs_tls(&bare(open)), "{open}");
        }
    }
}
