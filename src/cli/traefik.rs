//! `labtop traefik-config`: what Traefik is started with, so that it finds seats and door.

use crate::domain::settings::Settings;

/// The static configuration, as YAML. Traefik runs in the host's network, where it reaches the seats of every room.
#[must_use]
pub fn traefik_config(settings: &Settings) -> String {
    let docker = &settings.docker.host;
    let gateway = settings.routing.gateway_url.trim_end_matches('/');
    format!(
        "\
# Traefik in front of labtop: `traefik --configfile=FILE`, in the host's network.
entryPoints:
  web:
    address: \":80\"
providers:
  # The seats, by their labels. Whoever reads them may do everything on this engine.
  docker:
    endpoint: \"{docker}\"
    exposedByDefault: false
  # The students' door.
  http:
    endpoint: \"{gateway}/traefik/config\"
    pollInterval: \"5s\"
global:
  checkNewVersion: false
  sendAnonymousUsage: false
"
    )
}
