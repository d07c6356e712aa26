//! The address of every seat, its own for as long as its room is open.
//!
//! Left to the engine, addresses move: after a restart of the engine one student's seat would have the address that
//! another's had, and a proxy that has not heard of it yet would lead one student into the other's seat.

use std::collections::{HashMap, HashSet};
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use bollard::models::{ContainerCreateBody, ContainerSummary, EndpointIpamConfig, EndpointSettings, NetworkingConfig};
use bollard::query_parameters::ListContainersOptionsBuilder;
use sha2::{Digest, Sha256};
use tokio::sync::Mutex;

use super::Docker;
use super::errors::Trouble;
use super::network::{Subnet, parse_subnet};
use crate::domain::effect::SeatOrder;
use crate::domain::fault::{Fault, FaultCode};

/// Prefix length of the part of a subnet in which the engine chooses addresses itself, for probes.
const DYNAMIC_PREFIX: u8 = 28;
/// Longest prefix of a subnet that is large enough to be divided.
const DIVIDED_PREFIX_MAX: u8 = 26;

/// What is given out, by network.
#[derive(Debug, Default)]
pub(super) struct Addresses(Mutex<HashMap<String, Given>>);

#[derive(Debug)]
struct Given {
    subnet: Subnet,
    /// By the seat's name.
    to: HashMap<String, Promise>,
    /// Whether the engine is to be asked again.
    stale: bool,
}

/// An address; and when it was given, as long as the container may not be there yet.
type Promise = (Ipv4Addr, Option<Instant>);

/// How long a seat may take from its address to its container: a call to the engine is given up before.
const UNTIL_MADE: Duration = Duration::from_mins(5);

impl Docker {
    /// Gives the seat of a request its address. One whose network is not there is left to the engine's complaint.
    ///
    /// # Errors
    /// When the engine fails, or no address is free.
    pub(super) async fn give_address(&self, order: &SeatOrder, body: &mut ContainerCreateBody) -> Result<(), Fault> {
        let network = self.inner.names.network(&order.seat.room);
        let Some(address) = self.address_of(order, &network).await? else {
            return Ok(());
        };
        let endpoint = EndpointSettings {
            ipam_config: Some(EndpointIpamConfig {
                ipv4_address: Some(address.to_string()),
                ..Default::default()
            }),
            ..Default::default()
        };
        body.networking_config = Some(NetworkingConfig {
            endpoints_config: Some(HashMap::from([(network, endpoint)])),
        });
        Ok(())
    }

    async fn address_of(&self, order: &SeatOrder, network: &str) -> Result<Option<Ipv4Addr>, Fault> {
        let seat = self.inner.names.seat(&order.seat);
        let mut all = self.inner.addresses.0.lock().await;
        if all.get(network).is_none_or(|given| given.stale) && !self.look_again(&mut all, network).await? {
            return Ok(None);
        }
        if let Some(address) = all.get_mut(network).and_then(|given| given.give(&seat)) {
            return Ok(Some(address));
        }
        // Those of seats that are gone are free again.
        self.look_again(&mut all, network).await?;
        let given = all.get_mut(network).and_then(|given| given.give(&seat));
        given.map(Some).ok_or_else(|| {
            let text = format!("no address is free for {} in its room's network", order.seat);
            Fault::new(FaultCode::NoSubnet, text).hint("Give rooms larger subnets: `[network] prefix`")
        })
    }

    /// Makes the table of a network anew; what seats were given that are just being made stays. False when there is no such
    /// network.
    async fn look_again(&self, all: &mut HashMap<String, Given>, network: &str) -> Result<bool, Fault> {
        let Some(mut given) = self.given_in(network).await? else {
            return Ok(false);
        };
        given.keep(all.remove(network).map(Given::coming).unwrap_or_default());
        all.insert(network.to_owned(), given);
        Ok(true)
    }

    /// What the containers of a network have, also those that do not run; none when there is no such network.
    async fn given_in(&self, network: &str) -> Result<Option<Given>, Fault> {
        let networks = self.networks().await?;
        let found = networks
            .into_iter()
            .find(|found| found.name.as_deref() == Some(network));
        let config = found.and_then(|found| found.ipam?.config?.into_iter().next());
        let Some(subnet) = config.and_then(|config| parse_subnet(config.subnet.as_deref()?)) else {
            return Ok(None);
        };
        // Whosever they are.
        let filters = HashMap::from([("network", vec![network.to_owned()])]);
        let options = ListContainersOptionsBuilder::new().all(true).filters(&filters).build();
        let call = self.client()?.list_containers(Some(options));
        let containers = self.read("listing the addresses of seats", call).await?;
        let there = containers.into_iter().filter_map(|found| own_address(found, network));
        let to = there.map(|(seat, address)| (seat, (address, None))).collect();
        Ok(Some(Given {
            subnet,
            to,
            stale: false,
        }))
    }

    /// The engine refused what the seat was given: somebody has it of whom the table does not know.
    pub(super) async fn forget_address(&self, order: &SeatOrder) {
        let network = self.inner.names.network(&order.seat.room);
        let seat = self.inner.names.seat(&order.seat);
        if let Some(given) = self.inner.addresses.0.lock().await.get_mut(&network) {
            given.to.remove(&seat);
            given.stale = true;
        }
    }

    /// The network is gone, and with it what was given out in it.
    pub(super) async fn forget_addresses(&self, network: &str) {
        self.inner.addresses.0.lock().await.remove(network);
    }
}

/// Whether the engine refuses a container's address.
pub(super) fn is_misplaced(trouble: &Trouble) -> bool {
    trouble.mentions("Address already in use") || trouble.mentions("Invalid address")
}

/// The name of a container and the address that it was made with, else the one that it has.
fn own_address(found: ContainerSummary, network: &str) -> Option<(String, Ipv4Addr)> {
    let name = found.names?.into_iter().next()?;
    let endpoint = found.network_settings?.networks?.remove(network)?;
    let made_with = endpoint.ipam_config.and_then(|config| config.ipv4_address);
    let address = made_with.or(endpoint.ip_address)?.parse().ok()?;
    Some((name.trim_start_matches('/').to_owned(), address))
}

impl Given {
    /// The seat's address: the one that it has, else the first free one from a place that its name chooses, so that an
    /// address that somebody leaves is hardly ever the next one's.
    fn give(&mut self, seat: &str) -> Option<Ipv4Addr> {
        if let Some((address, _)) = self.to.get(seat) {
            return Some(*address);
        }
        let (first, count) = seats_of(self.subnet);
        let digest = Sha256::digest(seat);
        let from = u32::from_be_bytes([digest[0], digest[1], digest[2], digest[3]]);
        let taken: HashSet<Ipv4Addr> = self.to.values().map(|(address, _)| *address).collect();
        let mut places = (0..count).map(|i| Ipv4Addr::from(first + (from % count + i) % count));
        let free = places.find(|address| !taken.contains(address))?;
        self.to.insert(seat.to_owned(), (free, Some(Instant::now())));
        Some(free)
    }

    /// What was given to seats whose containers may not be there yet.
    fn coming(self) -> Vec<(String, Promise)> {
        let recent = |(_, since): &Promise| since.is_some_and(|since| since.elapsed() < UNTIL_MADE);
        self.to.into_iter().filter(|(_, given)| recent(given)).collect()
    }

    fn keep(&mut self, coming: Vec<(String, Promise)>) {
        for (seat, given) in coming {
            self.to.entry(seat).or_insert(given);
        }
    }
}

/// The first address of a subnet that a seat may have, and how many there are: after the subnet's own and the host's,
/// before those in which the engine chooses.
fn seats_of((base, prefix): Subnet) -> (u32, u32) {
    let size = 1_u32 << (32 - u32::from(prefix).clamp(1, 31));
    let kept = dynamic_range((base, prefix)).map_or(1, |(_, prefix)| 1 << (32 - u32::from(prefix)));
    (u32::from(base) + 2, size.saturating_sub(2 + kept).max(1))
}

/// Where the engine chooses addresses itself; none where the subnet is too small to be divided.
pub(super) fn dynamic_range((base, prefix): Subnet) -> Option<Subnet> {
    let end = u32::from(base).checked_add(1_u32.checked_shl(32 - u32::from(prefix))?)?;
    let size = 1 << (32 - DYNAMIC_PREFIX);
    (prefix <= DIVIDED_PREFIX_MAX).then(|| (Ipv4Addr::from(end - size), DYNAMIC_PREFIX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(subnet: &str) -> Given {
        Given {
            subnet: parse_subnet(subnet).unwrap(),
            to: HashMap::new(),
            stale: false,
        }
    }

    #[test]
    fn everybody_has_an_address_of_their_own_and_keeps_it() {
        let mut small = given("10.208.4.0/29");
        let all: HashSet<Ipv4Addr> = (0..5).map(|n| small.give(&format!("s{n}")).unwrap()).collect();
        assert_eq!(all.len(), 5);
        assert!(all.iter().all(|ip| (2..=6).contains(&ip.octets()[3])), "{all:?}");
        assert_eq!(small.give("s5"), None);
        let first = small.give("s0");
        assert_eq!(first, small.give("s0"));
    }

    #[test]
    fn a_seat_that_is_just_being_made_keeps_its_address_when_the_table_is_made_anew() {
        let mut old = given("10.208.4.0/29");
        let promised = old.give("coming").unwrap();
        old.to.insert("gone".into(), (Ipv4Addr::new(10, 208, 4, 6), None));
        let mut new = given("10.208.4.0/29");
        new.keep(old.coming());
        assert_eq!(new.to.len(), 1);
        assert_eq!(new.give("coming"), Some(promised));
    }

    #[test]
    fn a_full_room_leaves_the_engines_own_part_alone() {
        let mut room = given("10.208.4.0/22");
        assert_eq!(dynamic_range(room.subnet), Some((Ipv4Addr::new(10, 208, 7, 240), 28)));
        let all: HashSet<Ipv4Addr> = (0..1_006).filter_map(|n| room.give(&format!("s{n}"))).collect();
        assert_eq!(all.len(), 1_006);
        assert!(all.iter().all(|ip| *ip < Ipv4Addr::new(10, 208, 7, 240)));
        assert_eq!(room.give("another"), None);
    }
}
