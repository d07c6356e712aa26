//! What the kernel tells of this host: its addresses, its router, its resolvers, and where its services listen.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};

use nix::ifaddrs::getifaddrs;

/// The kernel's routes, hexadecimal and in host byte order.
const ROUTES: &str = "/proc/net/route";
/// Where the host's own resolvers are named.
const RESOLVERS: &str = "/etc/resolv.conf";
/// Sockets of connections.
const SOCKETS: [&str; 2] = ["/proc/net/tcp", "/proc/net/tcp6"];
/// The state of one that listens.
const LISTENS: &str = "0A";

/// The host's addresses that a seat could try: its bridge's first. Those of other rooms' bridges are as good as its own.
pub(super) fn addresses(bridge: IpAddr) -> Vec<IpAddr> {
    let others = getifaddrs().into_iter().flatten().filter_map(|interface| {
        let ip = interface.address?.as_sockaddr_in()?.ip();
        (!ip.is_loopback() && !interface.interface_name.starts_with("lab-")).then_some(IpAddr::V4(ip))
    });
    let mut all: Vec<IpAddr> = std::iter::once(bridge).chain(others).collect();
    let mut seen = BTreeSet::new();
    all.retain(|ip| seen.insert(*ip));
    all
}

/// The ports at which this host takes connections from elsewhere.
pub(super) fn listening() -> BTreeSet<u16> {
    let tables = SOCKETS.map(|table| std::fs::read_to_string(table).unwrap_or_default());
    tables.iter().flat_map(|table| listening_in(table)).collect()
}

fn listening_in(table: &str) -> impl Iterator<Item = u16> {
    table.lines().skip(1).filter_map(|line| {
        let mut columns = line.split_whitespace().skip(1);
        let (local, _, state) = (columns.next()?, columns.next()?, columns.next()?);
        let (address, port) = local.split_once(':')?;
        // In host byte order: 127.x.y.z ends with 7F on a small-endian machine; ::1 is three words of nothing and a one.
        let first = u32::from_str_radix(address.get(..8)?, 16).ok()?.to_ne_bytes()[0];
        let loopback = match address.len() {
            8 => first == 127,
            _ => address.starts_with(&"0".repeat(24)) && address != "0".repeat(32),
        };
        (state == LISTENS && !loopback).then(|| u16::from_str_radix(port, 16).ok())?
    })
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
pub(super) fn resolvers() -> Vec<IpAddr> {
    let text = std::fs::read_to_string(RESOLVERS).unwrap_or_default();
    let named = text
        .lines()
        .filter_map(|line| line.strip_prefix("nameserver")?.trim().parse().ok());
    named.filter(|ip: &IpAddr| ip.is_ipv4() && !ip.is_loopback()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_router_is_found() {
        let table = "Iface\tDestination\tGateway\nlab-1\t0000D00A\t00000000\neth0\t00000000\t0100A8C0\n";
        assert_eq!(router_in(table), Some(IpAddr::from([192, 168, 0, 1])));
    }

    #[test]
    fn what_listens_for_others_is_told_from_what_does_not() {
        let four = "  sl  local_address rem_address   st\n\
            0: 00000000:0016 00000000:0000 0A 00\n\
            1: 0100007F:18EB 00000000:0000 0A 00\n\
            2: 020200C0:0050 00000000:0000 0A 00\n\
            3: 020200C0:C350 010200C0:0050 01 00\n";
        assert_eq!(listening_in(four).collect::<Vec<_>>(), [22, 80]);
        let six = "  sl  local_address                         remote_address                        st\n\
            0: 00000000000000000000000000000000:01BB 00000000000000000000000000000000:0000 0A 00\n\
            1: 00000000000000000000000001000000:1F90 00000000000000000000000000000000:0000 0A 00\n";
        assert_eq!(listening_in(six).collect::<Vec<_>>(), [443]);
    }

    #[test]
    fn an_ear_of_this_process_is_seen() {
        let ear = std::net::TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)).unwrap();
        assert!(listening().contains(&ear.local_addr().unwrap().port()));
    }
}
