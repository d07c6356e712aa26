//! The whole file, section by section, into settings.
//!
//! Knows: which sections there are and what holds between them. Must not know: where the text came from.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};

use crate::domain::ids::TemplateName;
use crate::domain::settings::{
    AgentSettings, DockerSettings, GatewaySettings, LimitSettings, MetricsPlace, Probe, RouteAuth, RoutingSettings,
    Settings, UiSettings,
};
use crate::domain::template::Template;

use super::raw::{Document, LATER, Section};
use super::{Loaded, Mistakes, Surroundings, archive, docker, leases, network, roles, templates, units};

/// Tables and keys of the design that come with later versions.
const LATER_SECTIONS: [&str; 1] = ["guard"];
/// The template that is taken when none is named anywhere.
const DEFAULT_TEMPLATE: &str = "node";
/// Where the gateway will listen unless told otherwise.
const GATEWAY: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8091);
/// Creations in flight: the knee of an engine's rate on two cores.
const CREATIONS: u32 = 8;
/// Archives read at once: each takes a core for compression.
const ARCHIVES: u32 = 4;
/// Snapshots of a seat that are kept.
const SNAPSHOTS: u32 = 3;
/// Seconds of grace: enough to read, store and prove the work of a few full seats.
const GRACE: u32 = 90;
/// Longest grace, seconds: an hour; a service manager must be told to wait longer than that.
const GRACE_MAX: u32 = 3_600;
/// The word for "nowhere", where a path may stand.
pub(super) const NOWHERE: &str = "none";
/// Most of either: beyond it the engine only queues.
const IN_FLIGHT_MAX: u32 = 256;

/// Checks `text`, the content of `source`; no source means the built-in defaults.
pub(super) fn check(source: Option<&Path>, text: &str, around: &Surroundings<'_>) -> Result<Loaded, Mistakes> {
    let document = Document::parse(text);
    let root = document.root();
    let mut warnings = Vec::new();
    let all = templates::read(&root, &mut warnings);
    let engine = docker::read(&root.table("docker"), around.env);
    let gateway = gateway(&root.table("gateway"));
    let settings = Settings {
        default_template: default_template(&root, &all.templates),
        archive: archive::read(&root.table("archive"), around.state_dir),
        network: network::read(&root.table("network")),
        routing: routing(&root, &engine.settings, gateway.listen, &mut warnings),
        gateway,
        leases: leases::read(&root.table("leases"), &mut warnings),
        roles: roles::read(&root),
        limits: limits(&root.table("limits")),
        agent: agent(&root.table("agent")),
        ui: ui(&root.table("ui")),
        docker: engine.settings,
        templates: all.templates,
    };
    root.end(&LATER_SECTIONS);
    let mut mistakes = document.into_mistakes();
    mistakes.extend(engine.mistakes);
    let source = source.map(Path::to_owned);
    if mistakes.is_empty() {
        Ok(Loaded {
            settings,
            source,
            warnings,
            overrides: engine.overrides,
            from_file: all.from_file,
        })
    } else {
        Err(Mistakes { source, all: mistakes })
    }
}

/// Holds a text to a list of words, some of which come later.
pub(super) fn one_of<T: Copy>(text: &str, words: &[(&str, T)], later: &[&str]) -> Result<T, String> {
    if later.contains(&text) {
        return Err(LATER.to_owned());
    }
    let word = words.iter().find(|(word, _)| *word == text).map(|(_, value)| *value);
    word.ok_or_else(|| {
        let words: Vec<_> = words.iter().map(|(word, _)| format!("{word:?}")).collect();
        format!("must be {}", words.join(" or "))
    })
}

fn default_template(root: &Section<'_>, templates: &BTreeMap<TemplateName, Template>) -> TemplateName {
    let named = root.read("default_template", |text: String| {
        let name: TemplateName = text.parse().map_err(|error| format!("{error}"))?;
        let known: Vec<_> = templates.keys().map(TemplateName::as_str).collect();
        if templates.contains_key(&name) {
            Ok(name)
        } else {
            Err(format!("no such template; there are {}", known.join(", ")))
        }
    });
    named.unwrap_or_else(|| templates::built_in_name(DEFAULT_TEMPLATE))
}

/// Holds a text to being an absolute path.
pub(super) fn absolute(text: String) -> Result<PathBuf, String> {
    if text.starts_with('/') && !text.contains('\0') {
        Ok(PathBuf::from(text))
    } else {
        Err("must be an absolute path".to_owned())
    }
}

fn routing(
    root: &Section<'_>,
    docker: &DockerSettings,
    gateway: SocketAddr,
    warnings: &mut Vec<String>,
) -> RoutingSettings {
    let section = root.table("routing");
    section.read("rule", |text: String| one_of(&text, &[("path", ())], &[]));
    let probes = [("direct", Probe::Direct), ("running", Probe::Running)];
    let probe = section.read("probe", |text: String| one_of(&text, &probes, &["traefik"]));
    let guards = [("gateway", RouteAuth::Gateway), ("none", RouteAuth::None)];
    let auth = section.read("auth", |text: String| one_of(&text, &guards, &[]));
    let strip_prefix = section.plain("strip_prefix").unwrap_or(false);
    section.end(&[]);
    if auth == Some(RouteAuth::None) {
        warnings
            .push("routing.auth = \"none\": whoever reaches the proxy reaches every seat; not for exams".to_owned());
    }
    RoutingSettings {
        probe: probe.unwrap_or(if docker.host.starts_with("unix://") {
            Probe::Direct
        } else {
            Probe::Running
        }),
        auth: auth.unwrap_or(RouteAuth::Gateway),
        strip_prefix,
        gateway_url: gateway_url(gateway),
    }
}

fn gateway(section: &Section<'_>) -> GatewaySettings {
    let listen = section.read("listen", |text: String| {
        text.parse::<SocketAddr>()
            .ok()
            .filter(|address| address.port() != 0)
            .ok_or_else(|| "must be an address and a port, such as \"127.0.0.1:8091\"".to_owned())
    });
    let settings = GatewaySettings {
        listen: listen.unwrap_or(GATEWAY),
        public_url: section.read("public_url", web_address),
    };
    section.end(&["traefik_url"]);
    settings
}

/// The address of a site, without anything after the host.
fn web_address(text: String) -> Result<String, String> {
    let text = text.trim_end_matches('/');
    let host = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | ':' | '[' | ']');
    match host {
        Some(host) if !host.is_empty() && host.chars().all(plain) => Ok(text.to_owned()),
        _ => Err("must be the address of a site, such as \"https://lab.example.org\"".to_owned()),
    }
}

fn gateway_url(mut address: SocketAddr) -> String {
    // A gateway that listens everywhere is reached on this machine; nobody can connect to "everywhere".
    match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => address.set_ip(Ipv4Addr::LOCALHOST.into()),
        IpAddr::V6(ip) if ip.is_unspecified() => address.set_ip(Ipv6Addr::LOCALHOST.into()),
        _ => {}
    }
    format!("http://{address}")
}

fn limits(section: &Section<'_>) -> LimitSettings {
    let bound = |key, usual| {
        let read = section.read(key, |number: i64| units::within(number, 1, IN_FLIGHT_MAX));
        read.unwrap_or(usual) as usize
    };
    let limits = LimitSettings {
        creations_in_flight: bound("creations_in_flight", CREATIONS),
        archives_in_flight: bound("archives_in_flight", ARCHIVES),
        snapshots_kept: bound("snapshots_kept", SNAPSHOTS),
    };
    section.end(&["overcommit"]);
    limits
}

fn agent(section: &Section<'_>) -> AgentSettings {
    let grace = section.read("grace_seconds", |number: i64| units::within(number, 1, GRACE_MAX));
    let metrics = section.read("metrics_socket", |text: String| match text.as_str() {
        NOWHERE => Ok(MetricsPlace::Nowhere),
        _ => absolute(text)
            .map(MetricsPlace::Socket)
            .map_err(|rule| format!("{rule}, or \"{NOWHERE}\"")),
    });
    section.end(&[]);
    AgentSettings {
        grace_seconds: grace.unwrap_or(GRACE),
        metrics: metrics.unwrap_or(MetricsPlace::Usual),
    }
}

fn ui(section: &Section<'_>) -> UiSettings {
    let ui = UiSettings {
        ascii: section.plain("ascii").unwrap_or(false),
        slow: section.plain("slow").unwrap_or(false),
    };
    section.end(&["theme", "keys"]);
    ui
}
