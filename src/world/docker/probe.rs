//! Containers of a moment in a room's network, from which it is tried what its seats reach.
//!
//! They are made of an image of labtop's own, so that they need no template's, and run one program of a few
//! instructions, which waits. Nothing of them is a seat's: no route, no workspace, no student.

use std::collections::HashMap;
use std::net::IpAddr;

use bollard::models::{ContainerCreateBody, HostConfig};
use bollard::query_parameters::{
    CreateContainerOptionsBuilder, ListContainersOptionsBuilder, ListNetworksOptionsBuilder,
    RemoveContainerOptionsBuilder, StartContainerOptions,
};
use tokio::sync::MutexGuard;

use super::Docker;
use super::errors::{OrGone, Trouble};
use super::image::or_missing;
use super::network::NewNetwork;
use super::rootfs::{ROOT, RootFs};
use super::spec::NO_RESOLVER;
use crate::domain::fault::{Fault, FaultCode};
use crate::domain::ids::RoomName;
use crate::domain::names::{Kind, LABEL_INSTANCE, LABEL_KIND};
use crate::domain::template::Egress;
use crate::world::isolation::{Inside, Stand};

/// The image that probes are made of; it is left on the engine until somebody removes it.
pub const PROBE_IMAGE: &str = "labtop-probe:1";
/// Its program.
const PROGRAM: &str = "wait";
/// Nobody.
const USER: &str = "65534:65534";
/// Enough for the engine's own start of it, which counts, too, with all its threads.
const MEMORY_BYTES: i64 = 64 << 20;
const PROCESSES: i64 = 64;

impl Docker {
    /// Puts two probes into a room's network and one into another, open one. A room that has no network yet, or
    /// none any more, gets one alike for the moment.
    ///
    /// [`Docker::sweep_probes`] takes away what this makes, also when it fails.
    ///
    /// # Errors
    /// When the engine is not on this host or fails, or this processor is none that labtop knows.
    pub async fn probe_stand(&self, room: &RoomName, egress: Egress) -> Result<Stand, Fault> {
        if !self.is_local() {
            let text = "the engine is not at a unix:// socket, so it may be on another host, where labtop cannot try what \
                        seats reach";
            return Err(Fault::new(FaultCode::NotIsolated, text));
        }
        let own = self.probed_network(room, egress).await?;
        let other = self.inner.names.probe("other");
        // An open one: from there somebody would help with an exam.
        self.make_network(&self.probe_network(&other, Egress::Open)).await?;
        let (seat, host) = self.probe("a", &own, egress).await?;
        let (neighbour, _) = self.probe("b", &own, egress).await?;
        let (stranger, _) = self.probe("c", &other, Egress::Open).await?;
        Ok(Stand {
            seat,
            neighbour,
            stranger,
            host,
            egress,
        })
    }

    /// Held while a look is taken: one at a time, because each begins and ends with a sweep.
    pub async fn probing(&self) -> MutexGuard<'_, ()> {
        self.inner.probing.lock().await
    }

    /// Removes all probes of this instance; to be called with [`Docker::probing`] held, or before anybody looks.
    ///
    /// # Errors
    /// When the engine fails.
    pub async fn sweep_probes(&self) -> Result<(), Fault> {
        let filters = self.probes();
        let options = ListContainersOptionsBuilder::new().all(true).filters(&filters).build();
        let call = self.client()?.list_containers(Some(options));
        let containers = self.read("listing probes", call).await?;
        for id in containers.into_iter().filter_map(|container| container.id) {
            let options = RemoveContainerOptionsBuilder::new().force(true).v(true).build();
            let call = self.client()?.remove_container(&id, Some(options));
            self.change("removing a probe", call).await.or_gone()?;
        }
        let options = ListNetworksOptionsBuilder::new().filters(&filters).build();
        let call = self.client()?.list_networks(Some(options));
        let networks = self.read("listing the networks of probes", call).await?;
        for id in networks.into_iter().filter_map(|network| network.id) {
            let call = self.client()?.remove_network(&id);
            self.change("removing the network of a probe", call).await.or_gone()?;
        }
        Ok(())
    }

    fn probes(&self) -> HashMap<&'static str, Vec<String>> {
        let mut filters = self.own();
        let kind = format!("{LABEL_KIND}={}", Kind::Probe.as_str());
        filters.entry("label").or_default().push(kind);
        filters
    }

    /// The room's network, or one that is made as it would be.
    async fn probed_network(&self, room: &RoomName, egress: Egress) -> Result<String, Fault> {
        let networks = self.networks().await?;
        if self.room_network(&networks, room)?.is_some() {
            return Ok(self.inner.names.network(room));
        }
        let name = self.inner.names.probe("room");
        self.make_network(&self.probe_network(&name, egress)).await?;
        Ok(name)
    }

    fn probe_network(&self, name: &str, egress: Egress) -> NewNetwork {
        NewNetwork {
            name: name.to_owned(),
            egress,
            labels: self.probe_labels(),
            what: "the network of a probe".to_owned(),
        }
    }

    fn probe_labels(&self) -> HashMap<String, String> {
        HashMap::from([
            (LABEL_INSTANCE.into(), self.inner.options.instance.to_string()),
            (LABEL_KIND.into(), Kind::Probe.as_str().into()),
        ])
    }

    /// One that runs, and the address of the host beside it.
    async fn probe(&self, which: &str, network: &str, egress: Egress) -> Result<(Inside, IpAddr), Fault> {
        let id = self.create_probe(which, network, egress).await?;
        let call = self.client()?.start_container(&id, None::<StartContainerOptions>);
        self.change("starting a probe", call).await?;
        let found = self.inspect(&id).await?;
        let pid = found.as_ref().and_then(|found| found.state.as_ref()?.pid);
        let settings = found.and_then(|found| found.network_settings);
        let endpoint = settings.and_then(|settings| settings.networks?.remove(network));
        let address = |text: Option<String>| text?.parse::<IpAddr>().ok();
        let endpoint = endpoint.and_then(|of| Some((address(of.ip_address)?, address(of.gateway))));
        let (Some(pid), Some((ip, gateway))) = (pid.and_then(|pid| u32::try_from(pid).ok()), endpoint) else {
            return Err(Fault::new(
                FaultCode::NotIsolated,
                "a probe ended before anything was tried",
            ));
        };
        let host = match gateway {
            Some(gateway) => gateway,
            // Of an internal network the engine tells no gateway to its containers.
            None => self.bridge_address(network).await?,
        };
        Ok((Inside::of(pid, ip)?, host))
    }

    async fn create_probe(&self, which: &str, network: &str, egress: Egress) -> Result<String, Fault> {
        let body = ContainerCreateBody {
            image: Some(PROBE_IMAGE.into()),
            cmd: Some(vec![format!("/{PROGRAM}")]),
            user: Some(USER.into()),
            labels: Some(self.probe_labels()),
            host_config: Some(HostConfig {
                network_mode: Some(network.into()),
                memory: Some(MEMORY_BYTES),
                memory_swap: Some(MEMORY_BYTES),
                pids_limit: Some(PROCESSES),
                cap_drop: Some(vec!["ALL".into()]),
                security_opt: Some(vec!["no-new-privileges".into()]),
                readonly_rootfs: Some(true),
                dns: (egress == Egress::Closed).then(|| vec![NO_RESOLVER.into()]),
                ..Default::default()
            }),
            ..Default::default()
        };
        let name = self.inner.names.probe(which);
        let create = || async {
            let options = CreateContainerOptionsBuilder::new().name(&name).build();
            let call = self.client()?.create_container(Some(options), body.clone());
            self.change("making a probe", call).await
        };
        let mut made = create().await;
        if made.as_ref().is_err_and(Trouble::is_gone) {
            let program = waiting_program(std::env::consts::ARCH)?;
            let root = RootFs::new().file(PROGRAM, 0o755, ROOT, &program).finish()?;
            self.import_once(PROBE_IMAGE, root, &[]).await?;
            made = create().await;
        }
        Ok(made.map_err(|trouble| or_missing(PROBE_IMAGE, trouble))?.id)
    }
}

/// An executable of Linux that does nothing but wait, for a processor as Rust names it. The engine's own `pause` would
/// have to be pulled.
fn waiting_program(processor: &str) -> Result<Vec<u8>, Fault> {
    /// Where the file is in the process's memory, and how long its head is: both by the form of such files (ELF64).
    const BASE: u64 = 0x40_0000;
    const HEAD: u64 = 64 + 56;
    let (machine, code): (u16, Vec<u8>) = match processor {
        // pause() for ever: mov eax, 34; syscall; jmp back.
        "x86_64" => (62, b"\xb8\x22\0\0\0\x0f\x05\xeb\xf7".to_vec()),
        // ppoll(0, 0, 0, 0) for ever: mov x0 to x3, 0; mov x8, 73; svc; b back.
        "aarch64" => {
            let words = [
                0xd280_0000_u32,
                0xd280_0001,
                0xd280_0002,
                0xd280_0003,
                0xd280_0928,
                0xd400_0001,
                0x17ff_fffa,
            ];
            (183, words.into_iter().flat_map(u32::to_le_bytes).collect())
        }
        other => {
            let text = format!("what seats reach cannot be tried on a processor of the kind {other}");
            return Err(Fault::new(FaultCode::NotIsolated, text));
        }
    };
    let length = HEAD + code.len() as u64;
    let mut file = b"\x7fELF\x02\x01\x01".to_vec();
    file.resize(16, 0);
    // An executable of the first version; then where it begins, where the one segment is told of, and where sections are.
    file.extend([2_u16, machine].into_iter().flat_map(u16::to_le_bytes));
    file.extend(1_u32.to_le_bytes());
    file.extend([BASE + HEAD, 64, 0].into_iter().flat_map(u64::to_le_bytes));
    file.extend(0_u32.to_le_bytes());
    file.extend([64_u16, 56, 1, 0, 0, 0].into_iter().flat_map(u16::to_le_bytes));
    // The segment: loaded, read and executed, all of the file.
    file.extend([1_u32, 5].into_iter().flat_map(u32::to_le_bytes));
    file.extend(
        [0, BASE, BASE, length, length, 0x1_0000]
            .into_iter()
            .flat_map(u64::to_le_bytes),
    );
    file.extend(code);
    Ok(file)
}
