//! A room's own bridge, on a subnet that nothing else uses.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr};

use bollard::models::{Ipam, IpamConfig, Network, NetworkCreateRequest};
use bollard::query_parameters::ListNetworksOptions;
use sha2::{Digest, Sha256};

use super::Docker;
use super::address::dynamic_range;
use super::errors::{OrGone, Trouble};
use super::hold::foreign;
use crate::domain::fault::{Fault, FaultCode};
use crate::domain::hex::hex;
use crate::domain::ids::RoomName;
use crate::domain::names::{Kind, LABEL_INSTANCE, LABEL_KIND, LABEL_ROOM, LABEL_SESSION};
use crate::domain::template::Egress;

/// An interface name holds 15 bytes; four are the prefix that the host's firewall rules match.
const BRIDGE_DIGITS: usize = 11;
/// The kernel's routes, hexadecimal and in host byte order.
const ROUTES: &str = "/proc/net/route";

/// A subnet as its first address and prefix length.
pub(super) type Subnet = (Ipv4Addr, u8);

/// A network that is to be made: a room's, or one like it.
pub(super) struct NewNetwork {
    pub name: String,
    pub egress: Egress,
    pub labels: HashMap<String, String>,
    /// What it is, for people.
    pub what: String,
}

impl Docker {
    /// Makes the room's network unless it is there already as it should be.
    ///
    /// # Errors
    /// [`FaultCode::NameTaken`] when something foreign bears its name, [`FaultCode::NoSubnet`] when the pool is used
    /// up, otherwise when the engine fails.
    pub async fn ensure_network(&self, room: &RoomName, session: u64, egress: Egress) -> Result<(), Fault> {
        let _choosing = self.inner.subnets.lock().await;
        let networks = self.networks().await?;
        if let Some(found) = self.room_network(&networks, room)? {
            if found.internal.unwrap_or_default() == (egress == Egress::Closed) {
                return Ok(());
            }
            self.remove_network_by_id(room, found).await?;
        }
        match self.make_in(&self.new_network(room, session, egress), &networks).await {
            Ok(()) => Ok(()),
            Err(Some(trouble)) if trouble.mentions("same bridge name") || trouble.is_conflict() => {
                self.made_by_another(room, trouble).await
            }
            Err(Some(trouble)) => Err(trouble.into()),
            Err(None) => Err(self.no_subnet()),
        }
    }

    /// Makes a network on a subnet that nothing else uses.
    ///
    /// # Errors
    /// As [`Docker::ensure_network`].
    pub(super) async fn make_network(&self, new: &NewNetwork) -> Result<(), Fault> {
        let _choosing = self.inner.subnets.lock().await;
        let made = self.make_in(new, &self.networks().await?).await;
        made.map_err(|trouble| trouble.map_or_else(|| self.no_subnet(), Fault::from))
    }

    /// Makes it beside those that there are; what went wrong, or nothing when no subnet is free.
    async fn make_in(&self, new: &NewNetwork, networks: &[Network]) -> Result<(), Option<Trouble>> {
        let used = self.used(networks);
        let mut subnets = self.inner.options.network.subnets();
        while let Some(subnet) = subnets.find(|subnet| !used.iter().any(|other| overlap(*other, *subnet))) {
            match self.create_network(new, subnet).await {
                // Somebody else took it between our look and now, or the engine knows of a use that we do not see.
                Err(trouble) if trouble.mentions("overlap") => {}
                result => return result.map_err(Some),
            }
        }
        Err(None)
    }

    /// The host's address in a network.
    ///
    /// # Errors
    /// When there is no such network, or the engine fails.
    pub(super) async fn bridge_address(&self, network: &str) -> Result<IpAddr, Fault> {
        let networks = self.networks().await?;
        let found = networks
            .into_iter()
            .find(|found| found.name.as_deref() == Some(network));
        let config = found.and_then(|found| found.ipam?.config?.into_iter().next());
        let told = config
            .as_ref()
            .and_then(|config| config.gateway.as_deref()?.parse().ok());
        // An engine that tells none has taken the first address.
        let first = || parse_subnet(config.as_ref()?.subnet.as_deref()?).map(|(ip, _)| u32::from(ip) + 1);
        told.or_else(|| first().map(|ip| Ipv4Addr::from(ip).into()))
            .ok_or_else(|| {
                Fault::new(
                    FaultCode::Engine,
                    format!("network {network} tells no address of the host"),
                )
            })
    }

    /// Removes the room's network unless it is gone.
    ///
    /// # Errors
    /// [`FaultCode::NameTaken`] when it is not this instance's, otherwise when the engine fails or seats still use it.
    pub async fn remove_network(&self, room: &RoomName) -> Result<(), Fault> {
        let networks = self.networks().await?;
        match self.room_network(&networks, room)? {
            Some(found) => match self.remove_network_by_id(room, found).await {
                Err(trouble) if trouble.mentions("active endpoints") => {
                    // A look is under way, or left its probes behind.
                    let _alone = self.probing().await;
                    self.sweep_probes().await?;
                    Ok(self.remove_network_by_id(room, found).await?)
                }
                result => Ok(result?),
            },
            None => Ok(()),
        }
    }

    /// How many rooms' subnets of the pool are free, and how many there are.
    ///
    /// # Errors
    /// When the engine fails.
    pub async fn subnets_free(&self) -> Result<(usize, usize), Fault> {
        let used = self.used(&self.networks().await?);
        let pool = self.inner.options.network;
        let free = pool
            .subnets()
            .filter(|subnet| !used.iter().any(|other| overlap(*other, *subnet)));
        Ok((free.count(), pool.subnets().count()))
    }

    pub(super) async fn networks(&self) -> Result<Vec<Network>, Fault> {
        let call = self.client()?.list_networks(None::<ListNetworksOptions>);
        Ok(self.read("listing networks", call).await?)
    }

    /// The room's network among all; a foreign one of its name is a fault.
    pub(super) fn room_network<'a>(
        &self,
        networks: &'a [Network],
        room: &RoomName,
    ) -> Result<Option<&'a Network>, Fault> {
        let name = self.inner.names.network(room);
        let mut named = networks
            .iter()
            .filter(|network| network.name.as_deref() == Some(&name))
            .peekable();
        if named.peek().is_none() {
            return Ok(None);
        }
        named
            .find(|network| self.is_rooms(network, room))
            .map(Some)
            .ok_or_else(|| foreign(Kind::Network, &name))
    }

    fn is_rooms(&self, network: &Network, room: &RoomName) -> bool {
        let label = |name: &str| {
            network
                .labels
                .as_ref()
                .and_then(|labels| labels.get(name))
                .map(String::as_str)
        };
        label(LABEL_INSTANCE) == Some(self.inner.options.instance.as_str())
            && label(LABEL_ROOM) == Some(room.as_str())
            && label(LABEL_KIND) == Some(Kind::Network.as_str())
    }

    async fn remove_network_by_id(&self, room: &RoomName, network: &Network) -> Result<(), Trouble> {
        let call = self.client()?.remove_network(network.id.as_deref().unwrap_or_default());
        self.change(format!("removing the network of room {room}"), call)
            .await
            .or_gone()?;
        self.forget_addresses(&self.inner.names.network(room)).await;
        Ok(())
    }

    fn new_network(&self, room: &RoomName, session: u64, egress: Egress) -> NewNetwork {
        NewNetwork {
            name: self.inner.names.network(room),
            egress,
            labels: HashMap::from([
                (LABEL_INSTANCE.into(), self.inner.options.instance.to_string()),
                (LABEL_ROOM.into(), room.to_string()),
                (LABEL_SESSION.into(), session.to_string()),
                (LABEL_KIND.into(), Kind::Network.as_str().into()),
            ]),
            what: format!("the network of room {room}"),
        }
    }

    async fn create_network(&self, new: &NewNetwork, (address, prefix): Subnet) -> Result<(), Trouble> {
        let request = NetworkCreateRequest {
            name: new.name.clone(),
            driver: Some("bridge".into()),
            internal: Some(new.egress == Egress::Closed),
            attachable: Some(false),
            enable_ipv6: Some(false),
            ipam: Some(Ipam {
                driver: Some("default".into()),
                config: Some(vec![IpamConfig {
                    subnet: Some(format!("{address}/{prefix}")),
                    gateway: Some(Ipv4Addr::from(u32::from(address) + 1).to_string()),
                    ip_range: dynamic_range((address, prefix)).map(|(first, length)| format!("{first}/{length}")),
                    ..Default::default()
                }]),
                ..Default::default()
            }),
            options: Some(HashMap::from([
                ("com.docker.network.bridge.name".into(), self.bridge(new)),
                ("com.docker.network.bridge.enable_icc".into(), "false".into()),
            ])),
            labels: Some(new.labels.clone()),
            ..Default::default()
        };
        let call = self.client()?.create_network(request);
        self.change(format!("making {}", new.what), call).await?;
        // Of one of that name that went by another hand.
        self.forget_addresses(&new.name).await;
        Ok(())
    }

    /// The engine knows the name or the bridge already: our own earlier attempt, or something foreign.
    async fn made_by_another(&self, room: &RoomName, trouble: Trouble) -> Result<(), Fault> {
        let networks = self.networks().await?;
        match self.room_network(&networks, room)? {
            Some(_) => Ok(()),
            None => Err(trouble.fault),
        }
    }

    /// The firewall's rules know bridges by these names, and closed rooms among them by an `x`, which is no digit.
    fn bridge(&self, new: &NewNetwork) -> String {
        let digest = hex(&Sha256::digest(format!("{}/{}", self.inner.options.instance, new.name)));
        match new.egress {
            Egress::Open => format!("lab-{}", &digest[..BRIDGE_DIGITS]),
            Egress::Closed => format!("lab-x{}", &digest[..BRIDGE_DIGITS - 1]),
        }
    }

    /// What rooms must not overlap: the engine's networks, and this host's routes when the engine is here.
    fn used(&self, networks: &[Network]) -> Vec<Subnet> {
        let configs = networks
            .iter()
            .filter_map(|network| network.ipam.as_ref()?.config.as_ref())
            .flatten();
        let mut used: Vec<Subnet> = configs
            .filter_map(|config| parse_subnet(config.subnet.as_deref()?))
            .collect();
        if self.is_local() {
            used.extend(routes(&std::fs::read_to_string(ROUTES).unwrap_or_default()));
        }
        used
    }

    fn no_subnet(&self) -> Fault {
        let pool = self.inner.options.network;
        Fault::new(
            FaultCode::NoSubnet,
            format!(
                "no /{} of the pool {}/{} is free for a room",
                pool.prefix, pool.pool, pool.pool_prefix
            ),
        )
        .hint("Close a room, or set another [network] pool that no network or route of the host overlaps")
    }
}

pub(super) fn parse_subnet(text: &str) -> Option<Subnet> {
    let (address, prefix) = text.split_once('/')?;
    Some((
        address.parse().ok()?,
        prefix.parse().ok().filter(|prefix| *prefix <= 32)?,
    ))
}

fn overlap(a: Subnet, b: Subnet) -> bool {
    let shorter = a.1.min(b.1);
    let mask = u32::MAX.checked_shl(32 - u32::from(shorter)).unwrap_or(0);
    u32::from(a.0) & mask == u32::from(b.0) & mask
}

/// The subnets in a kernel routing table, the default route left out.
fn routes(table: &str) -> Vec<Subnet> {
    let number = |text: &&str| {
        u32::from_str_radix(text, 16)
            .ok()
            .map(|raw| u32::from_be_bytes(raw.to_ne_bytes()))
    };
    let route = |line: &str| {
        let columns: Vec<&str> = line.split_whitespace().collect();
        let mask = number(columns.get(7)?)?;
        let prefix = u8::try_from(mask.leading_ones()).ok()?;
        (prefix != 0).then_some((Ipv4Addr::from(number(columns.get(1)?)?), prefix))
    };
    table.lines().skip(1).filter_map(route).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subnets_overlap_when_one_holds_the_other() {
        let subnet = |text| parse_subnet(text).unwrap();
        assert!(overlap(subnet("10.0.0.0/8"), subnet("10.208.4.0/22")));
        assert!(overlap(subnet("10.208.4.0/22"), subnet("10.208.4.128/25")));
        assert!(!overlap(subnet("10.208.4.0/22"), subnet("10.208.8.0/22")));
        assert!(overlap(subnet("0.0.0.0/0"), subnet("10.208.8.0/22")));
    }

    #[test]
    fn the_kernels_table_is_understood() {
        let table = "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\tWindow\tIRTT\n\
            eth0\t00000000\t0100A8C0\t0003\t0\t0\t0\t00000000\t0\t0\t0\n\
            eth0\t0000D00A\t00000000\t0001\t0\t0\t0\t00FCFFFF\t0\t0\t0\n";
        assert_eq!(routes(table), [(Ipv4Addr::new(10, 208, 0, 0), 22)]);
    }
}
