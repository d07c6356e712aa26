//! `[routing]` and `[gateway]`: how students reach seats, and their door.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::domain::routes::{RouteRule, site_host};
use crate::domain::settings::{DockerSettings, GatewaySettings, Probe, Provider, RouteAuth, RoutingSettings, TRAEFIK};

use super::check::one_of;
use super::raw::Section;

/// Where the gateway will listen unless told otherwise.
const GATEWAY: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8091);

/// Reads `[routing]`.
pub(super) fn read(
    section: &Section<'_>,
    docker: &DockerSettings,
    gateway: &Door,
    warnings: &mut Vec<String>,
) -> RoutingSettings {
    let rule = route_rule(section, gateway.settings.public_url.as_deref());
    let providers = [("docker", Provider::Docker), ("http", Provider::Http)];
    let provider = section.read("provider", |text: String| one_of(&text, &providers, &[]));
    let probes = [
        ("direct", Probe::Direct),
        ("running", Probe::Running),
        ("traefik", Probe::Traefik),
    ];
    let probe = section.read("probe", |text: String| one_of(&text, &probes, &[]));
    let guards = [("gateway", RouteAuth::Gateway), ("none", RouteAuth::None)];
    let auth = section.read("auth", |text: String| one_of(&text, &guards, &[]));
    let strip_prefix = section.plain("strip_prefix").unwrap_or(false);
    section.end(&[]);
    if auth == Some(RouteAuth::None) {
        warnings
            .push("routing.auth = \"none\": whoever reaches the proxy reaches every seat; not for exams".to_owned());
    }
    RoutingSettings {
        rule,
        provider: provider.unwrap_or(Provider::Docker),
        probe: probe.unwrap_or(if docker.host.starts_with("unix://") {
            Probe::Direct
        } else {
            Probe::Running
        }),
        auth: auth.unwrap_or(RouteAuth::Gateway),
        strip_prefix,
        gateway_url: gateway_url(gateway.settings.listen),
        traefik_url: gateway.traefik_url.clone(),
    }
}

/// Seats with hosts of their own need a domain, below which the students' own pages are, too: their browsers keep one
/// cookie for all of it.
fn route_rule(section: &Section<'_>, public_url: Option<&str>) -> RouteRule {
    let by_host = section.read("rule", |text: String| {
        one_of(&text, &[("path", false), ("host", true)], &[])
    });
    let domain = section.read("domain", domain);
    if by_host != Some(true) {
        if domain.is_some() {
            section.wrong("domain", "only has a meaning with rule = \"host\"");
        }
        return RouteRule::Path;
    }
    let Some(domain) = domain else {
        if !section.has("domain") {
            section.wrong(
                "domain",
                "rule = \"host\" needs one, such as \"lab.example.org\": seats are below it",
            );
        }
        return RouteRule::Path;
    };
    let host = public_url.map(site_host);
    let below = |host: &str| host == domain || host.ends_with(&format!(".{domain}"));
    if !host.is_some_and(below) {
        let rule =
            format!("rule = \"host\" needs [gateway] public_url at {domain} or below it, where students sign in");
        section.wrong("domain", rule);
    }
    RouteRule::Host(domain)
}

/// A domain below which hosts can be named.
fn domain(text: String) -> Result<String, String> {
    const LENGTH_MAX: usize = 180;
    let label = |label: &str| {
        let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        !label.is_empty()
            && label.len() <= 63
            && label.bytes().all(plain)
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let is_domain = text.len() <= LENGTH_MAX && text.contains('.') && text.split('.').all(label);
    let is_address = text.parse::<IpAddr>().is_ok();
    if is_domain && !is_address {
        return Ok(text);
    }
    Err("must be a domain in small letters, such as \"lab.example.org\"".to_owned())
}

/// The students' door, and the proxy before it.
pub(super) struct Door {
    pub(super) settings: GatewaySettings,
    traefik_url: String,
}

/// Reads `[gateway]`.
pub(super) fn gateway(section: &Section<'_>) -> Door {
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
    let traefik_url = section.read("traefik_url", web_address);
    section.end(&[]);
    Door {
        settings,
        traefik_url: traefik_url.unwrap_or_else(|| TRAEFIK.to_owned()),
    }
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
