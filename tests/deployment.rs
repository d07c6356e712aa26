//! The complete deployment in `assets/`: its parts fit each other and this labtop, and nobody has more than they need.

use std::collections::BTreeMap;
use std::path::Path;

use labtop::cli::traefik_config;
use labtop::config;
use labtop::domain::settings::{Provider, Settings};

const COMPOSE: &str = include_str!("../assets/compose.yaml");
const TRAEFIK: &str = include_str!("../assets/compose/traefik.yaml");
const DOCKERFILE: &str = include_str!("../assets/Dockerfile");

fn settings() -> Settings {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/compose/labtop.toml");
    let state = Path::new("/var/lib/labtop");
    config::load(Some(&file), |_| None, state, false).unwrap().settings
}

/// The text of every service.
fn services() -> BTreeMap<&'static str, String> {
    let (_, rest) = COMPOSE.split_once("\nservices:\n").unwrap();
    let (all, _) = rest.split_once("\nsecrets:\n").unwrap();
    let mut services: BTreeMap<&str, String> = BTreeMap::new();
    let mut name = "";
    for line in all.lines() {
        let own = line.strip_prefix("  ").filter(|line| !line.starts_with([' ', '#']));
        if let Some(service) = own.and_then(|line| line.strip_suffix(':')) {
            name = service;
        } else {
            let text = services.entry(name).or_default();
            text.push_str(line);
            text.push('\n');
        }
    }
    services
}

#[test]
fn traefik_is_started_with_what_the_configuration_asks_for() {
    let settings = settings();
    assert_eq!(settings.routing.provider, Provider::Http);
    assert_eq!(TRAEFIK, traefik_config(&settings));
}

#[test]
fn nobody_but_the_agent_has_the_engine() {
    let services = services();
    let names: Vec<&str> = services.keys().copied().filter(|name| !name.is_empty()).collect();
    assert_eq!(names, ["agent", "bucket", "gateway", "minio", "redis", "traefik"]);
    // What agent and gateway have in common gives neither anything.
    let (_, shared) = COMPOSE.split_once("\nx-labtop: &labtop\n").unwrap();
    let (shared, _) = shared.split_once("\n\n").unwrap();
    let keys: Vec<&str> = shared
        .lines()
        .filter(|line| !line.starts_with("   "))
        .map(str::trim)
        .collect();
    assert_eq!(
        keys,
        [
            "image: labtop",
            "build:",
            "network_mode: host",
            "restart: unless-stopped",
            "logging: &logging"
        ]
    );
    for (name, text) in &services {
        assert_eq!(text.contains("docker.sock:"), *name == "agent", "{name}");
        assert_eq!(text.contains("pid: host"), *name == "agent", "{name}");
        assert!(!text.contains("privileged"), "{name}");
    }
    for name in ["gateway", "traefik"] {
        let text = &services[name];
        assert!(
            text.contains("cap_drop: [ALL]") && text.contains("no-new-privileges"),
            "{name}"
        );
        assert!(!text.contains("secrets:"), "{name}");
    }
    assert!(services["gateway"].contains("user: labtop-gateway") && !services["gateway"].contains("cap_add"));
}

#[test]
fn what_listens_listens_on_the_loopback() {
    for (name, text) in services() {
        let published = text.lines().filter(|line| line.trim_start().starts_with("ports:"));
        for line in published {
            assert!(line.contains("[\"127.0.0.1:"), "{name}: {line}");
        }
    }
    assert!(settings().gateway.listen.ip().is_loopback());
}

#[test]
fn the_agent_has_what_its_unit_has() {
    let unit = include_str!("../assets/systemd/labtop-agent.service");
    let bounds = unit
        .lines()
        .find_map(|line| line.strip_prefix("CapabilityBoundingSet="))
        .unwrap();
    let of_unit: Vec<&str> = bounds.split(' ').map(|name| name.trim_start_matches("CAP_")).collect();
    let agent = services().remove("agent").unwrap();
    assert!(agent.contains(&format!("cap_add: [{}]", of_unit.join(", "))), "{agent}");
    let rules = "/usr/local/share/labtop/labtop.nft";
    assert!(COMPOSE.contains(rules) && DOCKERFILE.contains(rules) && unit.contains(rules));
}

#[test]
fn no_secret_is_in_the_files_or_in_an_argument() {
    for (name, text) in services() {
        for line in text.lines().filter(|line| line.contains("/run/secrets/")) {
            let reads = line.contains("$$(cat ") || line.contains("_FILE: ");
            assert!(reads && !line.contains("--requirepass"), "{name}: {line}");
        }
    }
    let ignored = include_str!("../.gitignore").to_owned() + include_str!("../.dockerignore");
    assert_eq!(ignored.matches("assets/secrets").count(), 2);
}
