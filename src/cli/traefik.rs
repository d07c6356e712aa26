//! `labtop traefik-config`: what Traefik is started with, so that it finds seats and door.

use crate::domain::settings::{Provider, Settings};

/// The static configuration, as YAML. Traefik runs in the host's network, where it reaches the seats of every room.
#[must_use]
pub fn traefik_config(settings: &Settings) -> String {
    let gateway = settings.routing.gateway_url.trim_end_matches('/');
    let (labels, interval) = match settings.routing.provider {
        Provider::Docker => (
            format!(
                "  # The seats, by their labels. Whoever reads them may do everything on this engine: see `[routing] provider`.
  docker:
    endpoint: \"{}\"
    exposedByDefault: false
",
                settings.docker.host
            ),
            "5s",
        ),
        Provider::Http => (String::new(), "1s"),
    };
    let door = match settings.routing.provider {
        Provider::Docker => "The students' door.",
        Provider::Http => "The students' door, and the seats: a second after they change.",
    };
    let hosts = match settings.routing.rule.domain() {
        Some(domain) => format!("# Names: {domain} and *.{domain} must lead here.\n"),
        None => String::new(),
    };
    format!(
        "\
# Traefik in front of labtop: `traefik --configfile=FILE`, in the host's network.
{hosts}entryPoints:
  web:
    address: \":80\"
providers:
{labels}  # {door}
  http:
    endpoint: \"{gateway}/traefik/config\"
    pollInterval: \"{interval}\"
global:
  checkNewVersion: false
  sendAnonymousUsage: false
"
    )
}
