//! The report on a room's isolation: all closed, and each line open when its one hole is.

mod holes;
#[path = "support/docker.rs"]
mod support;

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use holes::{FarHost, Resolver, Rule, SiteRule, service, system};
use labtop::domain::command::CheckState;
use labtop::domain::fault::FaultCode;
use labtop::domain::isolation::{Reach, Way, fit_for_exam};
use labtop::domain::template::Egress;
use labtop::world::isolation::{Service, Stand, Targets, look};
use support::{BUSYBOX, Lab, docker};

/// A stand of probes, taken away at the end.
struct Site {
    lab: Lab,
    egress: Egress,
    stand: Arc<Stand>,
}

impl Site {
    async fn new(egress: Egress) -> Self {
        let lab = Lab::bare().await;
        let stand = lab.docker.probe_stand(&lab.room, egress).await.unwrap();
        Self {
            lab,
            egress,
            stand: Arc::new(stand),
        }
    }

    /// The bridge of the probed network, or of the other one.
    fn bridge(&self, which: &str) -> String {
        let form = "{{index .Options \"com.docker.network.bridge.name\"}}";
        let name = self.lab.names.probe(which);
        docker(&["network", "inspect", "--format", form, &name])
            .trim()
            .to_owned()
    }

    async fn look(&self, targets: &Targets) -> Vec<Reach> {
        let (stand, targets) = (Arc::clone(&self.stand), targets.clone());
        tokio::task::spawn_blocking(move || look(&stand, &targets).unwrap())
            .await
            .unwrap()
    }

    /// The lines that are not as they should be in such a room.
    async fn red(&self, targets: &Targets) -> BTreeSet<Way> {
        red(&self.look(targets).await, self.egress)
    }

    /// Runs something in the probe's network, as the host's root.
    fn inside(&self, script: &str) {
        let name = self.lab.names.probe("a");
        let pid = docker(&["inspect", "--format", "{{.State.Pid}}", &name]);
        system(
            BUSYBOX,
            &["nsenter", "-t", pid.trim(), "-n", BUSYBOX, "sh", "-c", script],
        );
    }

    async fn end(self) {
        self.lab.docker.sweep_probes().await.unwrap();
        let mark = format!("name={}", self.lab.names.probe(""));
        assert_eq!(docker(&["ps", "-aq", "--filter", &mark]), "");
        assert_eq!(docker(&["network", "ls", "-q", "--filter", &mark]), "");
    }
}

/// Nobody beyond the host.
fn nobody() -> Targets {
    Targets {
        services: Vec::new(),
        internet: Vec::new(),
        private: Vec::new(),
        metadata: Vec::new(),
        resolvers: Vec::new(),
        // Engines move their rules about whenever a network comes or goes; what is lost then is sent again after a second.
        patience: Duration::from_millis(1_300),
    }
}

fn red(reaches: &[Reach], egress: Egress) -> BTreeSet<Way> {
    let red = reaches
        .iter()
        .filter(|reach| reach.judge(egress).state == CheckState::Fail);
    red.map(|reach| reach.way).collect()
}

fn only(way: Way) -> BTreeSet<Way> {
    BTreeSet::from([way])
}

#[tokio::test]
async fn every_line_of_a_closed_room_is_closed() {
    let site = Site::new(Egress::Closed).await;
    // A store of the site's that has an address of IPv6, which seats have none to reach it with.
    let far = Service {
        way: Way::Store,
        host: Some("[2001:db8::9]".into()),
        port: 9_000,
    };
    let reaches = site.look(&Targets::new(vec![far])).await;
    let ways: Vec<Way> = reaches.iter().map(|reach| reach.way).collect();
    assert_eq!(ways, Way::ALL);
    assert_eq!(fit_for_exam(&site.lab.room, &reaches), Ok(()), "{reaches:#?}");
    let route = &reaches[0];
    assert!(
        !route.answered.is_empty(),
        "and yet the host reaches the seat: {route:?}"
    );
    // Who is beyond the host may not be there at all.
    let near = [Way::Neighbour, Way::OtherRoom, Way::Host, Way::Dns];
    for reach in reaches.iter().filter(|reach| near.contains(&reach.way)) {
        assert!(!reach.tried.is_empty(), "{reach:?}");
    }
    site.end().await;
}

#[tokio::test]
async fn a_service_whose_port_is_let_through_is_told_of_alone() {
    let site = Site::new(Egress::Closed).await;
    let ways = [Way::Docker, Way::Redis, Way::Store, Way::Gateway, Way::Traefik];
    let listeners = ways.map(|way| (way, service()));
    let targets = Targets {
        services: listeners
            .iter()
            .map(|(way, (_, port))| Service {
                way: *way,
                host: None,
                port: *port,
            })
            .collect(),
        ..nobody()
    };
    assert_eq!(site.red(&targets).await, BTreeSet::new());
    for (way, (_, port)) in &listeners {
        let hole = format!("iifname {} tcp dport {port} accept", site.bridge("room"));
        let _hole = Rule::new("input", &hole);
        assert_eq!(site.red(&targets).await, only(*way));
    }
    site.end().await;
}

#[tokio::test]
async fn a_host_that_answers_is_told_of() {
    let site = Site::new(Egress::Closed).await;
    // A service of the host's that nobody thought of is found at its port, with nothing else let through.
    let (_listener, port) = service();
    let all = ["tcp", "udp", "icmp"].map(|protocol| format!("meta l4proto {protocol}"));
    for what in all.into_iter().chain([format!("tcp dport {port}")]) {
        let hole = format!("iifname {} {what} accept", site.bridge("room"));
        let _hole = Rule::new("input", &hole);
        assert_eq!(site.red(&nobody()).await, only(Way::Host), "{what}");
    }
    site.end().await;
}

#[tokio::test]
async fn a_resolver_on_the_bridge_is_told_of() {
    let site = Site::new(Egress::Closed).await;
    let _resolver = Resolver::at(site.stand.host);
    assert_eq!(site.red(&nobody()).await, BTreeSet::new());
    let _hole = Rule::new("input", &format!("iifname {} udp dport 53 accept", site.bridge("room")));
    assert_eq!(site.red(&nobody()).await, only(Way::Dns));
    site.end().await;
}

/// Opens the way between two bridges, from the first to the second and back, for everything and for datagrams alone.
async fn is_told_of(way: Way, which: &str) {
    // An open room: a closed one has no way to other rooms at all.
    let site = Site::new(Egress::Open).await;
    let (own, to) = (site.bridge("room"), site.bridge(which));
    assert_eq!(site.red(&nobody()).await, BTreeSet::new());
    let _past_docker = [SiteRule::through(&own, &to), SiteRule::through(&to, &own)];
    // labtop's own table still stands.
    assert_eq!(site.red(&nobody()).await, BTreeSet::new());
    for (from, to) in [(&own, &to), (&to, &own)] {
        // Datagrams get another sender on their way between rooms.
        for what in ["", "meta l4proto udp"] {
            let _hole = Rule::new("forward", &format!("iifname {from} oifname {to} {what} accept"));
            assert_eq!(site.red(&nobody()).await, only(way), "from {from} to {to}: {what}");
        }
    }
    site.end().await;
}

#[tokio::test]
async fn neighbours_are_told_of() {
    is_told_of(Way::Neighbour, "room").await;
}

#[tokio::test]
async fn other_rooms_are_told_of() {
    is_told_of(Way::OtherRoom, "other").await;
}

#[tokio::test]
async fn an_exam_is_not_reached_from_an_open_room() {
    let site = Site::new(Egress::Closed).await;
    let (own, other) = (site.bridge("room"), site.bridge("other"));
    assert!(own.starts_with("lab-x") && !other.starts_with("lab-x"), "{own} {other}");
    let _past_docker = [SiteRule::through(&other, &own), SiteRule::through(&own, &other)];
    assert_eq!(site.red(&nobody()).await, BTreeSet::new());
    let _hole = Rule::new("forward", &format!("iifname {other} oifname {own} accept"));
    assert_eq!(site.red(&nobody()).await, only(Way::OtherRoom));
    site.end().await;
}

#[tokio::test]
async fn probes_that_were_left_behind_hold_no_room_up() {
    let lab = Lab::new().await;
    lab.docker.probe_stand(&lab.room, Egress::Open).await.unwrap();
    lab.docker.remove_network(&lab.room).await.unwrap();
    assert!(lab.docker.list().await.unwrap().networks.is_empty());
    let mark = format!("name={}", lab.names.probe(""));
    assert_eq!(docker(&["ps", "-aq", "--filter", &mark]), "");
}

#[tokio::test]
async fn ways_beyond_the_host_are_told_of() {
    let [internet, private, metadata] = [
        Ipv4Addr::new(203, 0, 113, 77),
        Ipv4Addr::new(172, 31, 255, 77),
        Ipv4Addr::new(169, 254, 177, 177),
    ];
    let _far = FarHost::with(&[internet, private, metadata]);
    let at = |ip: Ipv4Addr| vec![SocketAddr::from((ip, 443))];
    let targets = Targets {
        internet: at(internet),
        private: at(private),
        metadata: at(metadata),
        ..nobody()
    };
    let closed = Site::new(Egress::Closed).await;
    assert_eq!(closed.red(&targets).await, BTreeSet::new());
    closed.end().await;

    let open = Site::new(Egress::Open).await;
    let reaches = open.look(&targets).await;
    assert_eq!(red(&reaches, Egress::Open), BTreeSet::new(), "{reaches:#?}");
    // Names depend on what this host can ask.
    let mut of_an_exam = red(&reaches, Egress::Closed);
    of_an_exam.remove(&Way::Dns);
    assert_eq!(
        of_an_exam,
        only(Way::Internet),
        "an open network is a hole of an exam's"
    );
    for (way, ip) in [(Way::Private, private), (Way::Metadata, metadata)] {
        let hole = format!("iifname {} ip daddr {ip} accept", open.bridge("room"));
        let _hole = Rule::new("forward", &hole);
        assert_eq!(open.red(&targets).await, only(way));
    }
    open.end().await;
}

#[tokio::test]
async fn an_address_of_ipv6_is_told_of() {
    let site = Site::new(Egress::Closed).await;
    site.inside("echo 0 > /proc/sys/net/ipv6/conf/eth0/disable_ipv6");
    assert_eq!(site.red(&nobody()).await, only(Way::Ipv6));
    site.end().await;
}

#[tokio::test]
async fn a_firewall_that_keeps_the_proxy_out_is_told_of() {
    let site = Site::new(Egress::Closed).await;
    let _wall = Rule::new("input", &format!("iifname {} drop", site.bridge("room")));
    assert_eq!(site.red(&nobody()).await, only(Way::Route));
    site.end().await;
}

#[tokio::test]
async fn an_open_rooms_own_network_is_what_is_tried() {
    let lab = Lab::new().await;
    let seat = lab.provision(&lab.order("ann")).await;
    let stand = lab.docker.probe_stand(&lab.room, Egress::Open).await.unwrap();
    let network = |ip: std::net::IpAddr| ip.to_string().rsplit_once('.').unwrap().0.to_owned();
    assert_eq!(network(stand.seat.address), network(seat.address.unwrap()));
    assert_eq!(network(stand.neighbour.address), network(seat.address.unwrap()));
    assert_ne!(network(stand.stranger.address), network(seat.address.unwrap()));
    // Neither the list of seats nor their removal has anything to do with probes.
    let listing = lab.docker.list().await.unwrap();
    assert_eq!(
        (listing.containers.len(), listing.carriers.len(), listing.networks.len()),
        (1, 0, 1)
    );
    lab.docker.sweep_probes().await.unwrap();
    assert!(lab.docker.look(&seat.id).await.unwrap().is_some());
}

#[tokio::test]
async fn an_engine_elsewhere_is_told_of() {
    let options = support::options("tcp://127.0.0.1:1", None);
    let docker = labtop::world::docker::Docker::new(options).unwrap();
    let fault = docker
        .probe_stand(&"lab".parse().unwrap(), Egress::Closed)
        .await
        .unwrap_err();
    assert_eq!(fault.code, FaultCode::NotIsolated);
}
