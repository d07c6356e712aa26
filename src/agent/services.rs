//! What stands around the seats by the configuration, and must not be reached from one.

use crate::domain::isolation::Way;
use crate::domain::settings::{LeaseStore, Settings, StoreSettings};
use crate::world::isolation::Service;

/// Where Docker listens when it listens on the network, without and with TLS.
const DOCKER_PORTS: [u16; 2] = [2375, 2376];
/// Where Redis listens unless told otherwise.
const REDIS_PORT: u16 = 6379;
/// Where `MinIO` listens, and its console.
const STORE_PORTS: [u16; 2] = [9000, 9001];
/// Where Traefik serves its interface unless told otherwise.
const TRAEFIK_PORT: u16 = 8080;

/// The services, those of the configuration and those at their usual ports on this host.
pub(super) fn services(settings: &Settings) -> Vec<Service> {
    let here = |way, port| Service { way, host: None, port };
    let mut all: Vec<Service> = DOCKER_PORTS.map(|port| here(Way::Docker, port)).to_vec();
    all.extend(named(Way::Docker, &settings.docker.host));
    all.push(here(Way::Redis, REDIS_PORT));
    if let LeaseStore::Redis(redis) = &settings.leases.store {
        // The password, if there is one, stands before the host and is left out.
        all.extend(named(Way::Redis, &redis.url.to_string()));
    }
    all.extend(STORE_PORTS.map(|port| here(Way::Store, port)));
    if let StoreSettings::S3(s3) = &settings.archive.store {
        all.extend(named(Way::Store, &s3.endpoint));
    }
    all.push(here(Way::Gateway, settings.gateway.listen.port()));
    all.extend(named(Way::Gateway, &settings.routing.gateway_url));
    all.push(here(Way::Traefik, TRAEFIK_PORT));
    let mut seen = Vec::new();
    all.retain(|service| {
        let is_new = !seen.contains(service);
        seen.push(service.clone());
        is_new
    });
    all
}

/// The service at an address of the configuration's; none at a Unix socket, which no seat has.
fn named(way: Way, url: &str) -> Option<Service> {
    let (scheme, rest) = url.split_once("://")?;
    let default = match scheme {
        "http" => 80,
        "https" => 443,
        "tcp" => DOCKER_PORTS[0],
        "redis" | "rediss" => REDIS_PORT,
        _ => return None,
    };
    let place = rest.split(['/', '?']).next()?;
    let place = place.rsplit_once('@').map_or(place, |(_, place)| place);
    let split = place
        .rsplit_once(':')
        .filter(|(host, _)| !host.contains(':') || host.ends_with(']'));
    let (host, port) = match split {
        Some((host, port)) => (host, port.parse().ok()?),
        None => (place, default),
    };
    Some(Service {
        way,
        host: Some(host.to_owned()),
        port,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_and_ports_are_read_out_of_addresses() {
        let place = |url: &str| named(Way::Redis, url).map(|service| (service.host.unwrap(), service.port));
        let at = |host: &str, port| Some((host.to_owned(), port));
        assert_eq!(place("redis://u@lab.test:7000/3"), at("lab.test", 7000));
        assert_eq!(place("rediss://lab.test"), at("lab.test", 6379));
        assert_eq!(place("http://[::1]:9000"), at("[::1]", 9000));
        assert_eq!(place("https://[fd00::1]/x"), at("[fd00::1]", 443));
        assert_eq!(place("tcp://10.0.0.1:2376"), at("10.0.0.1", 2376));
        assert_eq!(place("unix:///run/redis.sock"), None);
        assert_eq!(place("redis://lab.test:port"), None);
    }
}
