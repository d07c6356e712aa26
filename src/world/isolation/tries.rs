//! The single tries of a look: connections, datagrams, pings, questions for a name.

use std::collections::HashSet;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use futures_util::{StreamExt, TryStreamExt, stream};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, ipproto, socket_with};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::timeout;

use super::inside::{Ears, Inside, Nonce};
use super::{ENGINE_RESOLVER, Stand, Targets, addresses, host};
use crate::domain::fault::{Fault, FaultCode};
use crate::domain::isolation::Way;

/// A question for the address of example.com, as it goes over the wire: id, recursion wanted, one question.
const QUESTION: &[u8] = b"\x1a\xb7\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x07example\x03com\x00\x00\x01\x00\x01";
/// What a resolver says when it found nobody to ask.
const SERVER_FAILURE: u8 = 2;
/// What every answer begins with.
const HEADER_BYTES: usize = 12;
/// Where resolvers are.
const DNS: u16 = 53;
/// An echo request; the kernel fills in checksum and id.
const ECHO: [u8; 8] = [8, 0, 0, 0, 0, 0, 0, 1];
/// Datagrams that are sent, because one may be lost.
const DATAGRAMS: usize = 4;
/// Tries at once: each has a socket.
const AT_ONCE: usize = 256;
/// How long a datagram may be on its way after it was sent.
const ON_ITS_WAY: Duration = Duration::from_millis(200);

/// Who listens during a look.
pub(super) struct AllEars {
    nonce: Nonce,
    host: Ears,
    pub(super) seat: Ears,
    neighbour: Ears,
    stranger: Ears,
}

impl AllEars {
    pub(super) fn open(stand: &Stand) -> Result<Self, Fault> {
        Ok(Self {
            nonce: *uuid::Uuid::new_v4().as_bytes(),
            host: Ears::at(Ipv4Addr::UNSPECIFIED.into()).map_err(|error| broken(&error))?,
            seat: stand.seat.ears()?,
            neighbour: stand.neighbour.ears()?,
            stranger: stand.stranger.ears()?,
        })
    }

    /// What the datagrams say that are sent from such a place, or, of [`Way::Route`], from the seat.
    pub(super) fn nonce(&self, from: Way) -> Nonce {
        let mut nonce = self.nonce;
        nonce[0] ^= from as u8;
        nonce
    }

    pub(super) fn of(&self, way: Way) -> Option<&Ears> {
        match way {
            Way::Host => Some(&self.host),
            Way::Neighbour => Some(&self.neighbour),
            Way::OtherRoom => Some(&self.stranger),
            _ => None,
        }
    }
}

/// How one address is tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum How {
    /// By a connection that must come about.
    Connect,
    /// By a connection; also one that is refused shows that the way is open.
    Touch,
    /// By a datagram, which is heard or not at its other end.
    Send,
    /// By an echo request.
    Ping,
    /// By a question for a name, to which any answer shows that the way is open.
    Ask,
    /// The same of the engine's resolver, which is always there: only what it found out shows anything.
    AskEngine,
}

/// One try.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Try {
    pub(super) way: Way,
    pub(super) to: SocketAddr,
    pub(super) how: How,
}

/// What came of one.
#[derive(Debug, Clone, Copy)]
pub(super) struct Told {
    pub(super) of: Try,
    pub(super) answered: bool,
}

/// All tries of a look but that of the route.
pub(super) struct Plans {
    /// From the seat.
    out: Vec<Try>,
    /// From another of its room.
    from_neighbour: Vec<Try>,
    /// From one of another room.
    from_stranger: Vec<Try>,
    /// From this host: who does not answer here, either, proves nothing.
    from_here: Vec<Try>,
}

pub(super) struct AllTold {
    pub(super) out: Vec<Told>,
    pub(super) into: Vec<Told>,
    pub(super) from_here: Vec<Told>,
}

/// A connection, a datagram and a ping to somebody who listens.
fn to_ears(way: Way, ips: &[IpAddr], ears: &Ears) -> Result<Vec<Try>, Fault> {
    let (tcp, udp) = ears.ports().map_err(|error| broken(&error))?;
    let tries = ips.iter().flat_map(|ip| {
        let at = |port, how| Try {
            way,
            to: SocketAddr::new(*ip, port),
            how,
        };
        [at(tcp, How::Touch), at(udp, How::Send), at(0, How::Ping)]
    });
    Ok(tries.collect())
}

pub(super) fn plans(stand: &Stand, targets: &Targets, ears: &AllEars) -> Result<Plans, Fault> {
    let host = host::addresses(stand.host);
    let mut out = Vec::new();
    for (way, ips) in [
        (Way::Neighbour, vec![stand.neighbour.address]),
        (Way::OtherRoom, vec![stand.stranger.address]),
        (Way::Host, host.clone()),
    ] {
        if let Some(of) = ears.of(way) {
            out.extend(to_ears(way, &ips, of)?);
        }
    }
    // Whatever else the host serves; what has a line of its own is told of there.
    let named: Vec<u16> = targets.services.iter().map(|service| service.port).collect();
    let served = host::listening().into_iter().filter(|port| !named.contains(port));
    for port in served {
        out.extend(host.iter().map(|ip| Try {
            way: Way::Host,
            to: SocketAddr::new(*ip, port),
            how: How::Touch,
        }));
    }
    for service in &targets.services {
        let tries = addresses(service, &host, stand.egress).into_iter();
        out.extend(tries.map(|to| Try {
            way: service.way,
            to,
            how: How::Connect,
        }));
    }
    let beyond = beyond(targets);
    out.extend(&beyond);
    out.push(Try {
        way: Way::Dns,
        to: SocketAddr::new(ENGINE_RESOLVER, DNS),
        how: How::AskEngine,
    });
    out.extend(host.iter().map(|ip| Try {
        way: Way::Dns,
        to: SocketAddr::new(*ip, DNS),
        how: How::Ask,
    }));
    let mut seen = HashSet::new();
    out.retain(|one| seen.insert(*one));
    Ok(Plans {
        out,
        from_neighbour: to_ears(Way::Neighbour, &[stand.seat.address], &ears.seat)?,
        from_stranger: to_ears(Way::OtherRoom, &[stand.seat.address], &ears.seat)?,
        from_here: beyond,
    })
}

/// Who is not on this host.
fn beyond(targets: &Targets) -> Vec<Try> {
    let mut all = Vec::new();
    for (way, addresses) in [
        (Way::Metadata, &targets.metadata),
        (Way::Private, &targets.private),
        (Way::Internet, &targets.internet),
    ] {
        for to in addresses {
            all.push(Try {
                way,
                to: *to,
                how: How::Touch,
            });
            all.push(Try {
                way,
                to: SocketAddr::new(to.ip(), 0),
                how: How::Ping,
            });
        }
    }
    let resolvers = host::resolvers().into_iter().map(|ip| SocketAddr::new(ip, DNS));
    for to in resolvers.chain(targets.resolvers.iter().copied()) {
        all.extend([How::Ask, How::Touch].map(|how| Try { way: Way::Dns, to, how }));
    }
    all
}

/// Tries everything at once, each where it belongs.
pub(super) fn run(stand: &Stand, plans: Plans, ears: &AllEars, patience: Duration) -> Result<AllTold, Fault> {
    let Plans {
        out,
        from_neighbour,
        from_stranger,
        from_here,
    } = plans;
    std::thread::scope(|scope| {
        let inside = |place: &Inside, plan: Vec<Try>, from: Way| {
            let (place, nonce) = (place.clone(), ears.nonce(from));
            scope.spawn(move || {
                place
                    .run_async(move || all_told(plan, nonce, patience))?
                    .map_err(|error| broken(&error))
            })
        };
        let neighbour = inside(&stand.neighbour, from_neighbour, Way::Neighbour);
        let stranger = inside(&stand.stranger, from_stranger, Way::OtherRoom);
        let seat = inside(&stand.seat, out, Way::Route);
        let nonce = ears.nonce(Way::Route);
        let here = scope.spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(all_told(from_here, nonce, patience))
        });
        let ended = || Fault::new(FaultCode::NotIsolated, "a try ended early");
        let mut into = neighbour.join().map_err(|_| ended())??;
        into.extend(stranger.join().map_err(|_| ended())??);
        Ok(AllTold {
            out: seat.join().map_err(|_| ended())??,
            into,
            from_here: here.join().map_err(|_| ended())?.map_err(|error| broken(&error))?,
        })
    })
}

async fn all_told(plan: Vec<Try>, nonce: Nonce, patience: Duration) -> io::Result<Vec<Told>> {
    let tries = plan.into_iter().map(|one| async move {
        let answered = answered(one, nonce, patience).await?;
        Ok(Told { of: one, answered })
    });
    let told = stream::iter(tries).buffer_unordered(AT_ONCE).try_collect().await;
    tokio::time::sleep(ON_ITS_WAY).await;
    told
}

/// What came of a try that ended with an error: nobody answered, unless this process lacks something to try with, which
/// says nothing. That the seat itself has no way to such an address (of IPv6, say) is an answer, too.
fn silent(error: io::Error) -> io::Result<bool> {
    let own = [Errno::MFILE, Errno::NFILE, Errno::NOMEM, Errno::NOBUFS];
    match Errno::from_io_error(&error) {
        Some(code) if own.contains(&code) => Err(error),
        _ => Ok(false),
    }
}

async fn answered(one: Try, nonce: Nonce, patience: Duration) -> io::Result<bool> {
    let tried = match one.how {
        How::Connect | How::Touch => timeout(patience, connect(one)).await,
        // Whoever it was sent to tells.
        How::Send => timeout(patience, send(one.to, nonce)).await,
        How::Ping => timeout(patience, ping(one.to)).await,
        How::Ask | How::AskEngine => timeout(patience, ask(one.to, one.how == How::AskEngine)).await,
    };
    tried.unwrap_or(Ok(false)).or_else(silent)
}

async fn connect(one: Try) -> io::Result<bool> {
    match TcpStream::connect(one.to).await {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => Ok(one.how == How::Touch),
        result => result.map(|_| true),
    }
}

async fn send(to: SocketAddr, nonce: Nonce) -> io::Result<bool> {
    let socket = socket(to).await?;
    for _ in 0..DATAGRAMS {
        // That nobody is there is told at the next one.
        let _ = socket.send(&nonce).await;
        tokio::time::sleep(ON_ITS_WAY).await;
    }
    Ok(false)
}

async fn socket(to: SocketAddr) -> io::Result<UdpSocket> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).await?;
    socket.connect(to).await?;
    Ok(socket)
}

/// Waits for an echo.
async fn ping(to: SocketAddr) -> io::Result<bool> {
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let socket = socket_with(AddressFamily::INET, SocketType::DGRAM, flags, Some(ipproto::ICMP))?;
    let socket = UdpSocket::from_std(std::net::UdpSocket::from(socket))?;
    socket.connect(to).await?;
    socket.send(&ECHO).await?;
    let mut answer = [0; 64];
    socket.recv(&mut answer).await?;
    Ok(answer[0] == 0)
}

async fn ask(to: SocketAddr, is_engine: bool) -> io::Result<bool> {
    let socket = socket(to).await?;
    socket.send(QUESTION).await?;
    let mut answer = [0; 512];
    let length = socket.recv(&mut answer).await?;
    Ok(tells(&answer[..length], is_engine))
}

/// Whether an answer shows that somebody could be asked.
fn tells(answer: &[u8], is_engine: bool) -> bool {
    let is_mine = answer.len() >= HEADER_BYTES && answer[..2] == QUESTION[..2];
    is_mine && (!is_engine || answer[3] & 0x0f != SERVER_FAILURE)
}

pub(super) fn broken(error: &io::Error) -> Fault {
    Fault::new(
        FaultCode::NotIsolated,
        format!("what seats reach could not be tried: {error}"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_not_be_tried_is_no_silence() {
        for lacking in [Errno::MFILE, Errno::NFILE, Errno::NOMEM, Errno::NOBUFS] {
            assert!(silent(lacking.into()).is_err(), "{lacking}");
        }
        for closed in [
            Errno::ADDRNOTAVAIL,
            Errno::NETUNREACH,
            Errno::HOSTUNREACH,
            Errno::ACCESS,
        ] {
            assert!(matches!(silent(closed.into()), Ok(false)), "{closed}");
        }
    }

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
}
