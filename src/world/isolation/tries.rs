//! The single tries of a look: connections, datagrams, questions for a name.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use futures_util::future::join_all;
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::timeout;

use super::inside::{Ears, Inside};
use super::{ENGINE_RESOLVER, PATIENCE, Stand, Targets, addresses};
use crate::domain::fault::{Fault, FaultCode};
use crate::domain::isolation::{Reach, Way};

/// The kernel's routes, hexadecimal and in host byte order.
const ROUTES: &str = "/proc/net/route";
/// Where the host's own resolvers are named.
const RESOLVERS: &str = "/etc/resolv.conf";
/// A question for the address of example.com, as it goes over the wire: id, recursion wanted, one question.
const QUESTION: &[u8] = b"\x1a\xb7\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x07example\x03com\x00\x00\x01\x00\x01";
/// What a resolver says when it found nobody to ask.
const SERVER_FAILURE: u8 = 2;
/// What every answer begins with.
const HEADER_BYTES: usize = 12;
/// How long a datagram may be on its way after it was sent.
const ON_ITS_WAY: Duration = Duration::from_millis(200);

/// Who listens during a look.
pub(super) struct AllEars {
    host: Ears,
    seat: Ears,
    neighbour: Ears,
    stranger: Ears,
}

impl AllEars {
    pub(super) fn open(stand: &Stand) -> Result<Self, Fault> {
        Ok(Self {
            host: Ears::at(Ipv4Addr::UNSPECIFIED.into()).map_err(|error| broken(&error))?,
            seat: stand.seat.ears()?,
            neighbour: stand.neighbour.ears()?,
            stranger: stand.stranger.ears()?,
        })
    }

    fn of(&self, way: Way) -> Option<&Ears> {
        match way {
            Way::Host => Some(&self.host),
            Way::Neighbour => Some(&self.neighbour),
            Way::OtherRoom => Some(&self.stranger),
            _ => None,
        }
    }
}

/// How one address is tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum How {
    /// By a connection that must come about.
    Connect,
    /// By a connection; also one that is refused shows that the way is open.
    Touch,
    /// By a datagram, which is heard or not at its other end.
    Send,
    /// By a question for a name, to which any answer shows that the way is open.
    Ask,
    /// The same of the engine's resolver, which is always there: only what it found out shows anything.
    AskEngine,
}

/// One try.
#[derive(Debug, Clone, Copy)]
pub(super) struct Try {
    way: Way,
    to: SocketAddr,
    how: How,
}

/// What came of one.
pub(super) struct Told {
    of: Try,
    answered: bool,
}

/// All tries of a look but that of the route.
pub(super) fn plan(stand: &Stand, targets: &Targets, ears: &AllEars, host: &[IpAddr]) -> Result<Vec<Try>, Fault> {
    let mut all = Vec::new();
    let rooms = [
        (Way::Neighbour, vec![stand.neighbour.address]),
        (Way::OtherRoom, vec![stand.stranger.address]),
        (Way::Host, host.to_vec()),
    ];
    for (way, ips) in rooms {
        let Some(of) = ears.of(way) else { continue };
        let (tcp, udp) = of.ports().map_err(|error| broken(&error))?;
        for ip in ips {
            let (tcp, udp) = (SocketAddr::new(ip, tcp), SocketAddr::new(ip, udp));
            all.push((way, tcp, How::Touch));
            all.push((way, udp, How::Send));
        }
    }
    for service in &targets.services {
        let tries = addresses(service, host).into_iter();
        all.extend(tries.map(|to| (service.way, to, How::Connect)));
    }
    let beyond = [
        (Way::Metadata, &targets.metadata),
        (Way::Private, &targets.private),
        (Way::Internet, &targets.internet),
    ];
    for (way, addresses) in beyond {
        all.extend(addresses.iter().map(|to| (way, *to, How::Touch)));
    }
    all.push((Way::Dns, SocketAddr::new(ENGINE_RESOLVER, 53), How::AskEngine));
    let resolvers = host_resolvers().into_iter().chain(host.iter().copied());
    let resolvers = resolvers.map(|ip| SocketAddr::new(ip, 53));
    all.extend(
        resolvers
            .chain(targets.resolvers.iter().copied())
            .map(|to| (Way::Dns, to, How::Ask)),
    );
    Ok(all.into_iter().map(|(way, to, how)| Try { way, to, how }).collect())
}

/// Tries all at once, inside.
pub(super) fn run(seat: &Inside, plan: Vec<Try>) -> Result<Vec<Told>, Fault> {
    seat.run_async(move || async move {
        let tries = plan.into_iter().map(|one| async move {
            Told {
                of: one,
                answered: answered(one).await,
            }
        });
        let told = join_all(tries).await;
        tokio::time::sleep(ON_ITS_WAY).await;
        told
    })
}

async fn answered(one: Try) -> bool {
    match one.how {
        How::Connect => matches!(timeout(PATIENCE, TcpStream::connect(one.to)).await, Ok(Ok(_))),
        How::Touch => match timeout(PATIENCE, TcpStream::connect(one.to)).await {
            Ok(Ok(_)) => true,
            Ok(Err(error)) => error.kind() == io::ErrorKind::ConnectionRefused,
            Err(_) => false,
        },
        How::Send => {
            if let Ok(socket) = socket(one.to).await {
                let _ = socket.send(b"x").await;
            }
            // Whoever it was sent to tells.
            false
        }
        How::Ask | How::AskEngine => ask(one.to, one.how == How::AskEngine).await.unwrap_or(false),
    }
}

async fn socket(to: SocketAddr) -> io::Result<UdpSocket> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).await?;
    socket.connect(to).await?;
    Ok(socket)
}

async fn ask(to: SocketAddr, is_engine: bool) -> io::Result<bool> {
    let socket = socket(to).await?;
    socket.send(QUESTION).await?;
    let mut answer = [0; 512];
    let length = timeout(PATIENCE, socket.recv(&mut answer)).await??;
    Ok(tells(&answer[..length], is_engine))
}

/// Whether an answer shows that somebody could be asked.
fn tells(answer: &[u8], is_engine: bool) -> bool {
    let is_mine = answer.len() >= HEADER_BYTES && answer[..2] == QUESTION[..2];
    is_mine && (!is_engine || answer[3] & 0x0f != SERVER_FAILURE)
}

/// The lines of the report.
pub(super) fn report(stand: &Stand, ears: &AllEars, told: Vec<Told>) -> Result<Vec<Reach>, Fault> {
    let mut all: Vec<Reach> = Way::ALL
        .map(|way| Reach {
            way,
            tried: Vec::new(),
            answered: Vec::new(),
        })
        .to_vec();
    for Told { of, answered } in told {
        let Some(reach) = line(&mut all, of.way) else { continue };
        let name = match of.how {
            How::Send => format!("{} by datagram", of.to),
            _ => of.to.to_string(),
        };
        if answered {
            reach.answered.push(name.clone());
        }
        reach.tried.push(name);
    }
    for way in [Way::Neighbour, Way::OtherRoom, Way::Host] {
        let heard = ears.of(way).map(Ears::heard).unwrap_or_default();
        if let (Some(reach), true) = (
            line(&mut all, way),
            heard.iter().any(|from| from.ip() == stand.seat.address),
        ) {
            reach.answered.push("a datagram that came through".to_owned());
        }
    }
    if let Some(reach) = line(&mut all, Way::Route) {
        route(stand, &ears.seat, reach)?;
    }
    if let Some(reach) = line(&mut all, Way::Ipv6) {
        reach.answered = stand.seat.addresses6()?;
        reach.tried = vec!["any address of the seat".to_owned()];
    }
    Ok(all)
}

fn line(all: &mut [Reach], way: Way) -> Option<&mut Reach> {
    all.iter_mut().find(|reach| reach.way == way)
}

/// From here, which is where the proxy is.
fn route(stand: &Stand, seat: &Ears, reach: &mut Reach) -> Result<(), Fault> {
    let (port, _) = seat.ports().map_err(|error| broken(&error))?;
    let to = SocketAddr::new(stand.seat.address, port);
    reach.tried.push(to.to_string());
    if std::net::TcpStream::connect_timeout(&to, PATIENCE).is_ok() {
        reach.answered.push(to.to_string());
    }
    Ok(())
}

/// The host's own router, if it has one.
pub(super) fn router() -> Option<IpAddr> {
    router_in(&std::fs::read_to_string(ROUTES).unwrap_or_default())
}

fn router_in(table: &str) -> Option<IpAddr> {
    let gateway = |line: &str| {
        let columns: Vec<&str> = line.split_whitespace().collect();
        let is_default = columns.get(1) == Some(&"00000000");
        let raw = u32::from_str_radix(columns.get(2)?, 16).ok()?;
        let ip = Ipv4Addr::from(raw.to_ne_bytes());
        (is_default && !ip.is_unspecified()).then_some(IpAddr::V4(ip))
    };
    table.lines().skip(1).find_map(gateway)
}

/// The resolvers that the host itself uses; one on its loopback is not a seat's.
fn host_resolvers() -> Vec<IpAddr> {
    let text = std::fs::read_to_string(RESOLVERS).unwrap_or_default();
    let named = text
        .lines()
        .filter_map(|line| line.strip_prefix("nameserver")?.trim().parse().ok());
    named.filter(|ip: &IpAddr| ip.is_ipv4() && !ip.is_loopback()).collect()
}

fn broken(error: &io::Error) -> Fault {
    Fault::new(
        FaultCode::NotIsolated,
        format!("the host cannot listen for a probe: {error}"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_told_from_failures() {
        let answer = |code: u8| {
            let mut bytes = QUESTION.to_vec();
            bytes[2] |= 0x80;
            bytes[3] = 0x80 | code;
            bytes
        };
        for code in [0, 3] {
            assert!(tells(&answer(code), true) && tells(&answer(code), false));
        }
        assert!(!tells(&answer(SERVER_FAILURE), true), "the engine asked nobody");
        assert!(tells(&answer(SERVER_FAILURE), false), "somebody else is there");
        assert!(!tells(&answer(0)[..8], false) && !tells(b"something else, long enough", false));
    }

    #[test]
    fn the_router_is_found() {
        let table = "Iface\tDestination\tGateway\nlab-1\t0000D00A\t00000000\neth0\t00000000\t0100A8C0\n";
        assert_eq!(router_in(table), Some(IpAddr::from([192, 168, 0, 1])));
    }
}
