//! Rooms' networks on the real engine.

#[path = "support/docker.rs"]
mod support;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use labtop::domain::fault::FaultCode;
use labtop::domain::ids::RoomName;
use labtop::domain::names::Names;
use labtop::domain::settings::NetworkSettings;
use labtop::domain::template::Egress;
use labtop::world::docker::{Docker, demo};
use serde_json::Value;
use support::{Foreign, Lab, SESSION, docker, options, remove_all, try_docker};

fn network(lab: &Lab, room: &RoomName) -> Value {
    let found = docker(&["network", "inspect", &lab.names.network(room)]);
    serde_json::from_str::<Value>(&found).unwrap()[0].take()
}

/// Reads the page of a seat from the host, waiting for its server to come up.
fn page(address: SocketAddr) -> String {
    let begun = Instant::now();
    loop {
        if let Ok(mut stream) = TcpStream::connect_timeout(&address, Duration::from_secs(1)) {
            stream.write_all(b"GET / HTTP/1.0\r\n\r\n").unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).unwrap();
            return answer;
        }
        assert!(begun.elapsed() < Duration::from_secs(20), "{address} never answered");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[tokio::test]
async fn neighbours_cannot_connect_yet_the_host_can() {
    let lab = Lab::bare().await;
    for (room, egress) in [("open", Egress::Open), ("closed", Egress::Closed)] {
        let room: RoomName = room.parse().unwrap();
        lab.docker.ensure_network(&room, SESSION, egress).await.unwrap();
        let mut seats = Vec::new();
        for student in ["a", "b"] {
            let mut order = lab.order(student);
            order.seat.room = room.clone();
            order.template.command = Vec::new();
            seats.push(lab.provision(&order).await);
        }
        let address = SocketAddr::new(seats[0].address.unwrap(), demo::PORT);
        assert!(page(address).contains("labtop demo"));
        let get = format!("http://{address}/");
        let from =
            |seat: usize| ["exec", seats[seat].id.as_str(), "timeout", "3", "wget", "-qO-", &get].map(str::to_owned);
        let own: Vec<String> = from(0).to_vec();
        assert!(docker(&own.iter().map(String::as_str).collect::<Vec<_>>()).contains("labtop demo"));
        let neighbour: Vec<String> = from(1).to_vec();
        assert!(
            try_docker(&neighbour.iter().map(String::as_str).collect::<Vec<_>>()).is_err(),
            "a neighbour got through"
        );
    }
}

#[tokio::test]
async fn a_rooms_network_is_as_ordered_and_made_once() {
    let lab = Lab::bare().await;
    for _ in 0..2 {
        lab.docker
            .ensure_network(&lab.room, SESSION, Egress::Open)
            .await
            .unwrap();
    }
    let made = network(&lab, &lab.room);
    let bridge = made["Options"]["com.docker.network.bridge.name"].as_str().unwrap();
    assert!(bridge.starts_with("lab-") && bridge.len() == 15, "{bridge}");
    assert_eq!(made["Options"]["com.docker.network.bridge.enable_icc"], "false");
    assert_eq!(
        (&made["Internal"], &made["EnableIPv6"], &made["Driver"]),
        (&false.into(), &false.into(), &"bridge".into())
    );
    let subnet = made["IPAM"]["Config"][0]["Subnet"].as_str().unwrap();
    assert!(subnet.starts_with("10.2") && subnet.ends_with("/24"), "{subnet}");

    // Another egress policy needs another network.
    lab.docker
        .ensure_network(&lab.room, SESSION, Egress::Closed)
        .await
        .unwrap();
    assert_eq!(network(&lab, &lab.room)["Internal"], true);
    for _ in 0..2 {
        lab.docker.remove_network(&lab.room).await.unwrap();
    }
    assert_eq!(lab.docker.list().await.unwrap().networks, []);
}

#[tokio::test]
async fn rooms_that_open_together_get_subnets_of_their_own() {
    let lab = Lab::bare().await;
    // A second agent on the same engine, with the same pool.
    let other = options("unix:///var/run/docker.sock", None);
    let (theirs, rival) = (other.instance.clone(), Docker::new(other).unwrap());
    let rooms: Vec<RoomName> = (0..6).map(|i| format!("r{i}").parse().unwrap()).collect();
    let open = rooms
        .iter()
        .flat_map(|room| [&lab.docker, &rival].map(|docker| docker.ensure_network(room, SESSION, Egress::Open)));
    for result in futures_util::future::join_all(open).await {
        result.unwrap();
    }
    let names = [&lab.instance, &theirs].map(Names::new);
    let mut subnets: Vec<String> = Vec::new();
    for (names, room) in names
        .iter()
        .flat_map(|names| rooms.iter().map(move |room| (names, room)))
    {
        let format = "{{(index .IPAM.Config 0).Subnet}}";
        subnets.push(docker(&["network", "inspect", "-f", format, &names.network(room)]));
    }
    subnets.sort();
    subnets.dedup();
    remove_all(&theirs);
    assert_eq!(subnets.len(), 12);
}

#[tokio::test]
async fn a_foreign_network_is_never_touched() {
    let lab = Lab::bare().await;
    let name = lab.names.network(&lab.room);
    let _foreign = Foreign("network", name.clone());
    let id = docker(&["network", "create", "--subnet", "10.199.77.0/28", &name]);
    let fault = lab
        .docker
        .ensure_network(&lab.room, SESSION, Egress::Open)
        .await
        .unwrap_err();
    assert_eq!(fault.code, FaultCode::NameTaken, "{fault}");
    assert_eq!(
        lab.docker.remove_network(&lab.room).await.unwrap_err().code,
        FaultCode::NameTaken
    );
    assert_eq!(docker(&["network", "inspect", "-f", "{{.Id}}", &name]), id);
}

#[tokio::test]
async fn a_pool_that_is_used_up_is_a_fault_with_a_next_step() {
    let mut options = options("unix:///var/run/docker.sock", None);
    // A pool that nothing else uses, for two rooms.
    options.network = NetworkSettings {
        pool: [10, 199, 78, 0].into(),
        pool_prefix: 28,
        prefix: 29,
    };
    let (instance, docker) = (options.instance.clone(), Docker::new(options).unwrap());
    let open = async |room: &str| {
        docker
            .ensure_network(&room.parse().unwrap(), SESSION, Egress::Open)
            .await
    };
    let results = [open("a").await, open("b").await, open("c").await];
    let free = docker.subnets_free().await.unwrap();
    remove_all(&instance);
    assert!(results[0].is_ok() && results[1].is_ok());
    let fault = results[2].clone().unwrap_err();
    assert!(
        fault.code == FaultCode::NoSubnet && fault.hint.contains("pool"),
        "{fault}"
    );
    assert_eq!(free, (0, 2));
}

#[tokio::test]
async fn addresses_are_those_of_the_network_that_is_there() {
    let lab = Lab::new().await;
    let seat = lab.provision(&lab.order("a")).await;
    let subnet = network(&lab, &lab.room)["IPAM"]["Config"][0]["Subnet"]
        .as_str()
        .unwrap()
        .to_owned();
    // Everything goes by another hand, and somebody else takes the subnet.
    docker(&["rm", "-f", seat.id.as_str()]);
    docker(&["network", "rm", &lab.names.network(&lab.room)]);
    let taken = format!("taken-{}", &lab.instance.as_str()[..8]);
    docker(&["network", "create", "--subnet", &subnet, &taken]);
    let made = lab.docker.ensure_network(&lab.room, SESSION, Egress::Open).await;
    let again = lab
        .docker
        .provision(&lab.order("a"), &tokio_util::sync::CancellationToken::new())
        .await;
    docker(&["network", "rm", &taken]);
    made.unwrap();
    assert_ne!(again.unwrap().address, seat.address);
}

#[tokio::test]
async fn an_address_that_somebody_else_took_is_not_given_again() {
    let lab = Lab::new().await;
    let cancel = tokio_util::sync::CancellationToken::new();
    let seat = lab.provision(&lab.order("a")).await;
    let address = seat.address.unwrap().to_string();
    docker(&["rm", "-f", seat.id.as_str()]);
    let (guest, network) = (
        format!("guest-{}", &lab.instance.as_str()[..8]),
        lab.names.network(&lab.room),
    );
    let run = ["run", "-d", "--name", &guest, "--network", &network, "--ip", &address];
    docker(&[run.as_slice(), &[&lab.image, "sleep", "600"]].concat());
    // The adapter does not know; what it made is taken away, and the next try finds another place.
    let first = lab.docker.provision(&lab.order("a"), &cancel).await;
    let second = lab.docker.provision(&lab.order("a"), &cancel).await;
    docker(&["rm", "-f", &guest]);
    assert!(first.unwrap_err().text.contains("Address already in use"));
    assert_ne!(second.unwrap().address, seat.address);
}

#[tokio::test]
async fn a_seat_keeps_its_address_whatever_happens_to_the_others() {
    let lab = Lab::new().await;
    let mut seats = Vec::new();
    for student in ["a", "b", "c"] {
        seats.push(lab.provision(&lab.order(student)).await);
    }
    // Stopped together and started in another order, as after a restart of the engine.
    let ids: Vec<&str> = seats.iter().map(|seat| seat.id.as_str()).collect();
    docker(&[["stop", "-t", "0"].as_slice(), &ids].concat());
    // Meanwhile somebody comes, and finds another place; the adapter is the next agent's, which gave none out itself.
    let next = Docker::new(lab.options()).unwrap();
    let cancel = tokio_util::sync::CancellationToken::new();
    let new = next.provision(&lab.order("d"), &cancel).await.unwrap();
    for seat in seats.iter().rev() {
        next.start(&seat.id).await.unwrap();
    }
    for seat in &seats {
        assert_eq!(next.look(&seat.id).await.unwrap().unwrap().address, seat.address);
        assert_ne!(seat.address, new.address);
    }
}
