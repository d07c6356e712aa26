//! The floor: a bare driver of the engine's API that makes what labtop makes, and nothing more.
//!
//! It copies a seat, its network and its volume from what labtop made, so that both make the same things: volume,
//! container, start, a look for the address, and the wait for an answer on the seat's port.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use bollard::Docker;
use bollard::models::{
    ContainerCreateBody, ContainerInspectResponse, Ipam, IpamConfig, NetworkCreateRequest, NetworkInspect,
    VolumeCreateRequest,
};
use bollard::query_parameters::{CreateContainerOptionsBuilder, RemoveContainerOptionsBuilder, RemoveVolumeOptions};
use futures_util::{StreamExt, TryStreamExt, stream};
use tokio::net::TcpStream;

use crate::lab::Lab;

/// The port of the seats of the laboratory's template.
const PORT: u16 = 8080;
/// A subnet that labtop's pool does not hold.
const SUBNET: &str = "10.199.0.0/22";
const NETWORK: &str = "bench-floor";

/// What labtop made, to be copied.
pub struct Model {
    seat: ContainerInspectResponse,
    network: NetworkInspect,
}

impl Model {
    /// The seat `warm/s01` of a laboratory.
    pub fn of(lab: &Lab) -> Self {
        let id = lab.seat("warm", "s01")["container_id"].as_str().unwrap().to_owned();
        runtime().block_on(async {
            let docker = connect().await;
            let seat = docker.inspect_container(&id, None).await.unwrap();
            let name = seat.host_config.as_ref().and_then(|h| h.network_mode.clone()).unwrap();
            let network = docker.inspect_network(&name, None).await.unwrap();
            Self { seat, network }
        })
    }
}

/// Makes `seats` seats with `in_flight` at a time and returns how long that took until the last one answered. What it
/// made is removed again, outside the measured time.
pub fn open(model: &Model, seats: usize, in_flight: usize) -> Duration {
    runtime().block_on(async {
        let docker = connect().await;
        remove(&docker, seats).await;
        let start = Instant::now();
        make_network(&docker, model).await;
        let made: Vec<()> = stream::iter(1..=seats)
            .map(|n| make_seat(&docker, model, n))
            .buffer_unordered(in_flight)
            .try_collect()
            .await
            .unwrap();
        let took = start.elapsed();
        assert_eq!(made.len(), seats);
        remove(&docker, seats).await;
        took
    })
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap()
}

async fn connect() -> Docker {
    let docker = Docker::connect_with_unix_defaults().unwrap();
    docker.negotiate_version().await.unwrap()
}

async fn make_network(docker: &Docker, model: &Model) {
    let mut options = model.network.options.clone().unwrap_or_default();
    options.insert("com.docker.network.bridge.name".into(), "bench-floor".into());
    let config = IpamConfig {
        subnet: Some(SUBNET.into()),
        ..Default::default()
    };
    let request = NetworkCreateRequest {
        name: NETWORK.into(),
        driver: model.network.driver.clone(),
        internal: model.network.internal,
        ipam: Some(Ipam {
            config: Some(vec![config]),
            ..Default::default()
        }),
        options: Some(options),
        ..Default::default()
    };
    docker.create_network(request).await.unwrap();
}

async fn make_seat(docker: &Docker, model: &Model, n: usize) -> Result<(), bollard::errors::Error> {
    let name = format!("bench-floor-{n}");
    docker
        .create_volume(VolumeCreateRequest {
            name: Some(name.clone()),
            ..Default::default()
        })
        .await?;
    let options = CreateContainerOptionsBuilder::new().name(&name).build();
    let made = docker.create_container(Some(options), body(model, &name)).await?;
    docker.start_container(&made.id, None).await?;
    let seen = docker.inspect_container(&made.id, None).await?;
    answers(address(&seen)).await;
    Ok(())
}

/// The same request as labtop's, under another name, without the labels that would make it labtop's own.
fn body(model: &Model, name: &str) -> ContainerCreateBody {
    let config = model.seat.config.clone().unwrap();
    let mut host = model.seat.host_config.clone().unwrap();
    host.network_mode = Some(NETWORK.into());
    for mount in host.mounts.iter_mut().flatten() {
        mount.source = Some(name.to_owned());
    }
    let labels: HashMap<String, String> = config.labels.unwrap_or_default();
    let labels = labels
        .into_iter()
        .map(|(key, value)| (format!("bench.{key}"), value))
        .collect();
    ContainerCreateBody {
        hostname: config.hostname,
        user: config.user,
        env: config.env,
        cmd: config.cmd,
        image: config.image,
        working_dir: config.working_dir,
        labels: Some(labels),
        host_config: Some(host),
        ..Default::default()
    }
}

fn address(seen: &ContainerInspectResponse) -> IpAddr {
    let networks = seen
        .network_settings
        .as_ref()
        .and_then(|s| s.networks.as_ref())
        .unwrap();
    networks[NETWORK].ip_address.as_ref().unwrap().clone().parse().unwrap()
}

async fn answers(address: IpAddr) {
    while TcpStream::connect(SocketAddr::new(address, PORT)).await.is_err() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

async fn remove(docker: &Docker, seats: usize) {
    let force = RemoveContainerOptionsBuilder::new().force(true).build();
    stream::iter(1..=seats)
        .for_each_concurrent(8, |n| {
            let force = force.clone();
            async move {
                let name = format!("bench-floor-{n}");
                let _ = docker.remove_container(&name, Some(force)).await;
                let _ = docker.remove_volume(&name, None::<RemoveVolumeOptions>).await;
            }
        })
        .await;
    let _ = docker.remove_network(NETWORK).await;
}
