//! What a seat reaches, tried from inside its network.
//!
//! Knows: sockets. Must not know: how the containers are made ([`crate::world::docker`]), or what is permitted
//! ([`crate::domain::isolation`]). A look blocks, at most some seconds: to be called where that is allowed.

mod host;
mod inside;
mod report;
mod tries;

use std::net::{IpAddr, Ipv4Addr, SocketAddr, ToSocketAddrs};
use std::time::Duration;

use crate::domain::fault::Fault;
use crate::domain::isolation::{Reach, Way};
use crate::domain::template::Egress;

pub use inside::Inside;

/// How long something may take to answer. On a bridge an answer takes microseconds; beyond the host a lost packet is sent
/// again after a second, and a name that nobody has asked for lately takes as long.
const PATIENCE: Duration = Duration::from_secs(4);
/// The address at which an engine's resolver answers inside a container.
const ENGINE_RESOLVER: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 11));

/// The containers of one look, and where the host is.
#[derive(Debug)]
pub struct Stand {
    /// From where everything is tried.
    pub seat: Inside,
    /// Another one of the same room.
    pub neighbour: Inside,
    /// One of another room, which is open.
    pub stranger: Inside,
    /// The address of the host in the room's network.
    pub host: IpAddr,
    /// Where seats of the room may connect to.
    pub egress: Egress,
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
    /// Somebody in a private network.
    pub private: Vec<SocketAddr>,
    /// What a cloud tells its machines.
    pub metadata: Vec<SocketAddr>,
    /// Resolvers; the engine's, the host's and the bridge's are added.
    pub resolvers: Vec<SocketAddr>,
    /// How long each may take.
    pub patience: Duration,
}

impl Targets {
    /// Those services, and what is the same everywhere.
    #[must_use]
    pub fn new(services: Vec<Service>) -> Self {
        // Three well-known resolvers, which also answer over HTTPS.
        let known = [[1, 1, 1, 1], [8, 8, 8, 8], [9, 9, 9, 9]];
        let at = |port| known.map(|ip| SocketAddr::from((ip, port))).to_vec();
        let router = host::router().map(|ip| SocketAddr::new(ip, 443));
        let (private, public): (Vec<_>, Vec<_>) = router.into_iter().partition(|at| is_private(at.ip()));
        Self {
            services,
            internet: [at(443), public].concat(),
            private,
            metadata: vec![SocketAddr::from(([169, 254, 169, 254], 80))],
            resolvers: at(53),
            patience: PATIENCE,
        }
    }
}

/// Tries every way, and reports on each, in the order of [`Way::ALL`].
///
/// # Errors
/// When a network cannot be entered.
pub fn look(stand: &Stand, targets: &Targets) -> Result<Vec<Reach>, Fault> {
    let ears = tries::AllEars::open(stand)?;
    let plans = tries::plans(stand, targets, &ears)?;
    let told = tries::run(stand, plans, &ears, targets.patience)?;
    report::report(stand, &ears, told)
}

/// The addresses of a service as a seat would try them: the loopback is the seat's own there. A seat with the internet
/// reaches what is on it.
fn addresses(service: &Service, host: &[IpAddr], egress: Egress) -> Vec<SocketAddr> {
    let named = service
        .host
        .as_deref()
        .and_then(|name| (name.trim_matches(['[', ']']), service.port).to_socket_addrs().ok());
    let far = named.into_iter().flatten().filter(|address| {
        let ip = address.ip();
        let here = ip.is_loopback() || ip.is_unspecified() || host.contains(&ip);
        !here && (egress == Egress::Closed || is_private(ip))
    });
    let here = host.iter().map(|ip| SocketAddr::new(*ip, service.port));
    here.chain(far).collect()
}

/// Whether an address is of a private network, as the firewall's table has them.
fn is_private(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => {
            let octets = ip.octets();
            let shared = octets[0] == 100 && octets[1] & 0xc0 == 64;
            ip.is_private() || ip.is_link_local() || ip.is_loopback() || shared
        }
        IpAddr::V6(ip) => ip.is_unique_local() || ip.is_unicast_link_local() || ip.is_loopback(),
    }
}
