//! What a seat reaches, tried from inside its network.
//!
//! Knows: sockets. Must not know: how the containers are made ([`crate::world::docker`]), or what is permitted
//! ([`crate::domain::isolation`]). Blocks, at most a few seconds: to be called where that is allowed.

mod firewall;
mod inside;
mod tries;

use std::net::{IpAddr, Ipv4Addr, SocketAddr, ToSocketAddrs};
use std::time::Duration;

use nix::ifaddrs::getifaddrs;

use crate::domain::fault::Fault;
use crate::domain::isolation::{Reach, Way};

pub use firewall::firewall;
pub use inside::Inside;

/// How long something may take to answer. On a bridge an answer takes microseconds.
pub const PATIENCE: Duration = Duration::from_secs(1);
/// Addresses of the host that are tried, at most, besides the bridge's.
const HOST_ADDRESSES_MAX: usize = 8;

/// The containers of one look, and where the host is.
#[derive(Debug)]
pub struct Stand {
    /// From where everything is tried.
    pub seat: Inside,
    /// Another one of the same room.
    pub neighbour: Inside,
    /// One of another room.
    pub stranger: Inside,
    /// The address of the host in the room's network.
    pub host: IpAddr,
}

/// A service of the host's, or beyond.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Service {
    /// What it is.
    pub way: Way,
    /// Its host as the configuration writes it; none means this host.
    pub host: Option<String>,
    /// Its port.
    pub port: u16,
}

/// What is tried besides the room itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Targets {
    /// Services, each tried at its own address and at all of the host's.
    pub services: Vec<Service>,
    /// Somebody on the internet.
    pub internet: Vec<SocketAddr>,
    /// Somebody in a private network; the host's own router is added.
    pub private: Vec<SocketAddr>,
    /// What a cloud tells its machines.
    pub metadata: Vec<SocketAddr>,
    /// Resolvers; the engine's, the host's and the bridge's are added.
    pub resolvers: Vec<SocketAddr>,
}

impl Targets {
    /// Those services, and what is the same everywhere.
    #[must_use]
    pub fn new(services: Vec<Service>) -> Self {
        // Three well-known resolvers, which also answer over HTTPS.
        let known = [[1, 1, 1, 1], [8, 8, 8, 8], [9, 9, 9, 9]];
        let at = |port| known.map(|ip| SocketAddr::from((ip, port))).to_vec();
        Self {
            services,
            internet: at(443),
            private: tries::router().map(|ip| (ip, 443).into()).into_iter().collect(),
            metadata: vec![SocketAddr::from(([169, 254, 169, 254], 80))],
            resolvers: at(53),
        }
    }
}

/// Tries every way, and reports on each, in the order of [`Way::ALL`].
///
/// # Errors
/// When a network cannot be entered.
pub fn look(stand: &Stand, targets: &Targets) -> Result<Vec<Reach>, Fault> {
    let ears = tries::AllEars::open(stand)?;
    let plan = tries::plan(stand, targets, &ears, &host_addresses(stand.host))?;
    let told = tries::run(&stand.seat, plan)?;
    tries::report(stand, &ears, told)
}

/// The host's addresses that a seat could try: its bridge's first. Those of other rooms' bridges are as good as its own.
fn host_addresses(bridge: IpAddr) -> Vec<IpAddr> {
    let others = getifaddrs().into_iter().flatten().filter_map(|interface| {
        let ip = interface.address?.as_sockaddr_in()?.ip();
        (!ip.is_loopback() && !interface.interface_name.starts_with("lab-")).then_some(IpAddr::V4(ip))
    });
    std::iter::once(bridge).chain(others.take(HOST_ADDRESSES_MAX)).collect()
}

/// The addresses of a service as a seat would try them: the loopback is the seat's own there.
fn addresses(service: &Service, host: &[IpAddr]) -> Vec<SocketAddr> {
    let named = service
        .host
        .as_deref()
        .and_then(|name| (name.trim_matches(['[', ']']), service.port).to_socket_addrs().ok());
    let far = named.into_iter().flatten().filter(|address| {
        let ip = address.ip();
        !ip.is_loopback() && !ip.is_unspecified() && !host.contains(&ip)
    });
    let here = host.iter().map(|ip| SocketAddr::new(*ip, service.port));
    here.chain(far).collect()
}

/// The address at which an engine's resolver answers inside a container.
const ENGINE_RESOLVER: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 11));
