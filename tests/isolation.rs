//! What a student cannot reach from inside a seat, on the real engine: neighbours, and out of a closed room anything.
//! What is tried runs in the seat's own network with the capabilities of the host's root, so that it is the network
//! that refuses.

#[path = "support/docker.rs"]
mod support;

use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream, UdpSocket};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use labtop::domain::seen::ContainerSeen;
use labtop::domain::template::Egress;
use labtop::world::docker::demo;
use support::{BUSYBOX, Lab, SESSION, docker};

/// A port at which no seat listens.
const NO_PORT: u16 = 9999;
/// Seconds until a try that nobody answers is given up. An answer on a bridge takes microseconds.
const PATIENCE: &str = "2";

/// Makes a room and its seats, each with a server.
async fn room(lab: &Lab, name: &str, egress: Egress, students: &[&str]) -> Vec<ContainerSeen> {
    let room = name.parse().unwrap();
    lab.docker.ensure_network(&room, SESSION, egress).await.unwrap();
    let mut seats = Vec::new();
    for student in students {
        let mut order = lab.order(student);
        order.seat.room = room.clone();
        order.template.network = egress;
        order.template.command = ["httpd", "-f", "-p", &demo::PORT.to_string(), "-h", "/srv"]
            .map(str::to_owned)
            .to_vec();
        seats.push(lab.provision(&order).await);
    }
    seats
}

fn address(seat: &ContainerSeen) -> IpAddr {
    seat.address.unwrap()
}

/// Runs a script in a seat's network, and in nothing else of the seat, as the host's root. `$b` is busybox.
fn inside(seat: &ContainerSeen, script: &str) -> String {
    let pid = seat.pid.unwrap().to_string();
    let script = format!("b={BUSYBOX}\n{script}");
    let output = Command::new(BUSYBOX)
        .args(["nsenter", "-t", &pid, "-n", BUSYBOX, "sh", "-c", &script])
        .output()
        .unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{script}: {error}; run the tests as root");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// What of `targets` answers in a seat, as `tcp ADDRESS` and `ping ADDRESS`; each also gets a datagram.
fn answered(from: &ContainerSeen, targets: &[IpAddr], port: u16) -> Vec<String> {
    let tries = targets.iter().map(|ip| {
        // What is got is written to standard output: in place of a file, tftp would remove it in the end.
        format!(
            "try 'tcp {ip}' timeout {PATIENCE} $b nc -w {PATIENCE} {ip} {port} &\n\
             try 'ping {ip}' ping -c 1 -W {PATIENCE} {ip} &\n\
             $b timeout {PATIENCE} $b tftp -g -r x -l - {ip} {NO_PORT} >/dev/null 2>&1 &\n"
        )
    });
    let tries: String = tries.collect();
    let try_one = "try() { what=$1; shift; $b \"$@\" </dev/null >/dev/null 2>&1 && echo \"$what\"; }";
    let told = inside(from, &format!("{try_one}\n{tries}wait"));
    let mut told: Vec<String> = told.lines().map(str::to_owned).collect();
    told.sort();
    told
}

/// Datagrams that came to a seat, wanted or not, from wherever.
fn datagrams(seat: &ContainerSeen) -> u64 {
    let counters = inside(seat, "$b grep ^Udp: /proc/net/snmp");
    let mut rows = counters.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let (names, values) = (rows.next().unwrap(), rows.next().unwrap());
    let value = |name| {
        let at = names.iter().position(|found| *found == name).unwrap();
        values[at].parse::<u64>().unwrap()
    };
    value("InDatagrams") + value("NoPorts")
}

/// Waits until something is so.
fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < Duration::from_secs(20), "not in time: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// From the host a seat answers, and a datagram to it is counted: what keeps a neighbour out is not the seat.
fn host_gets_through(seat: &ContainerSeen) {
    let ip = address(seat);
    until("the seat's server answers", || {
        TcpStream::connect((ip, demo::PORT)).is_ok()
    });
    let before = datagrams(seat);
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).unwrap();
    until("the seat counts a datagram", || {
        socket.send_to(b"x", SocketAddr::new(ip, NO_PORT)).unwrap();
        datagrams(seat) > before
    });
}

#[tokio::test]
async fn no_neighbour_is_reached_in_any_room() {
    let lab = Lab::bare().await;
    let open = room(&lab, "open", Egress::Open, &["a", "b"]).await;
    let closed = room(&lab, "closed", Egress::Closed, &["a", "b"]).await;
    let others = [
        room(&lab, "open-2", Egress::Open, &["c"]).await.remove(0),
        room(&lab, "closed-2", Egress::Closed, &["c"]).await.remove(0),
    ];
    for seat in open.iter().chain(&closed).chain(&others) {
        host_gets_through(seat);
    }
    let targets = [&open[1], &closed[1], &others[0], &others[1]];
    let ips = targets.map(address);
    for from in [&open[0], &closed[0]] {
        let own = address(from);
        let (mine, theirs) = (datagrams(from), targets.map(datagrams));
        let there = answered(from, &[ips.as_slice(), &[own]].concat(), demo::PORT);
        assert_eq!(
            there,
            [format!("ping {own}"), format!("tcp {own}")],
            "from {}",
            from.seat
        );
        assert!(datagrams(from) > mine, "{} sent no datagram", from.seat);
        assert_eq!(targets.map(datagrams), theirs, "datagrams from {}", from.seat);
    }
}

#[tokio::test]
async fn no_seat_has_an_ipv6_address() {
    let lab = Lab::bare().await;
    for (name, egress) in [("open", Egress::Open), ("closed", Egress::Closed)] {
        let seats = room(&lab, name, egress, &["a"]).await;
        let interfaces = inside(&seats[0], "$b cat /proc/net/dev /proc/net/if_inet6");
        assert!(interfaces.contains("eth0:"), "{interfaces}");
        let addresses: Vec<&str> = interfaces
            .lines()
            .filter(|line| line.len() > 40 && !line.contains([':', '|']))
            .filter(|line| !line.ends_with(" lo"))
            .collect();
        assert!(addresses.is_empty(), "{name}: {addresses:?}");
    }
}

/// A place beyond this host: a network of its own behind a link, with a server in it.
struct Outside {
    name: String,
    address: Ipv4Addr,
    server: Option<Child>,
}

impl Outside {
    const PORT: u16 = 80;

    /// Takes a part of the range for documentation (198.51.100.0/24) that no route of this host leads to.
    fn new() -> Self {
        let name = format!("labt{}", &uuid::Uuid::new_v4().simple().to_string()[..8]);
        let free = |part: &u8| ip(&["route", "show", "to", "root", &format!("198.51.100.{part}/30")]).is_empty();
        let part = (0..64).map(|i| i * 4).find(free).expect("198.51.100.0/24 is used up");
        // From here on the guard cleans up, whatever fails.
        let mut outside = Self {
            name,
            address: Ipv4Addr::new(198, 51, 100, part + 2),
            server: None,
        };
        let name = outside.name.as_str();
        let (here, there) = (format!("198.51.100.{}/30", part + 1), format!("{}/30", outside.address));
        ip(&["netns", "add", name]);
        ip(&[
            "link", "add", name, "type", "veth", "peer", "name", "eth0", "netns", name,
        ]);
        ip(&["addr", "add", &here, "dev", name]);
        ip(&["link", "set", name, "up"]);
        ip(&["-n", name, "addr", "add", &there, "dev", "eth0"]);
        ip(&["-n", name, "link", "set", "eth0", "up"]);
        let server = [
            "netns",
            "exec",
            name,
            BUSYBOX,
            "httpd",
            "-f",
            "-p",
            "80",
            "-h",
            "/proc/self/net",
        ];
        outside.server = Some(Command::new("ip").args(server).stdin(Stdio::null()).spawn().unwrap());
        let server = SocketAddr::new(outside.address.into(), Self::PORT);
        until("the server outside answers", || TcpStream::connect(server).is_ok());
        outside
    }
}

impl Drop for Outside {
    fn drop(&mut self) {
        if let Some(server) = &mut self.server {
            let _ = server.kill();
            let _ = server.wait();
        }
        for arguments in [["link", "del", &self.name], ["netns", "del", &self.name]] {
            let _ = Command::new("ip").args(arguments).stderr(Stdio::null()).status();
        }
    }
}

/// Runs `ip` of iproute2.
fn ip(arguments: &[&str]) -> String {
    let output = Command::new("ip").args(arguments).output();
    let output = output.expect("this test needs iproute2: apt-get install iproute2");
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "ip {arguments:?}: {error}; run the tests as root"
    );
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

#[tokio::test]
async fn an_open_room_reaches_the_outside_and_a_closed_one_does_not() {
    let lab = Lab::bare().await;
    let outside = Outside::new();
    let targets = [outside.address.into()];
    let all = [format!("ping {}", outside.address), format!("tcp {}", outside.address)];
    let open = room(&lab, "open", Egress::Open, &["a"]).await.remove(0);
    assert_eq!(answered(&open, &targets, Outside::PORT), all);

    let closed = room(&lab, "closed", Egress::Closed, &["a"]).await.remove(0);
    assert_eq!(answered(&closed, &targets, Outside::PORT), [""; 0]);
    // Nor with a way out of the student's own making, where the template gives the right to make one.
    let gateway = "{{range .NetworkSettings.Networks}}{{.Gateway}}{{end}}";
    let gateway = docker(&["inspect", "-f", gateway, closed.id.as_str()]);
    let gateway = if gateway.is_empty() {
        first_of(address(&closed))
    } else {
        gateway
    };
    inside(&closed, &format!("$b ip route replace default via {gateway} dev eth0"));
    assert_eq!(answered(&closed, &targets, Outside::PORT), [""; 0]);
}

/// The first address of a small network, which is the host's.
fn first_of(address: IpAddr) -> String {
    let text = address.to_string();
    format!("{}.1", text.rsplit_once('.').unwrap().0)
}

/// Whether somebody who knows the names of the world answered, be it that there is none such.
fn was_answered(told: &str) -> bool {
    told.contains("NXDOMAIN") || told.contains("Name:")
}

#[tokio::test]
async fn a_closed_room_resolves_no_outside_name() {
    let lab = Lab::bare().await;
    // The name stands for every one: a resolver outside answers that there is none such.
    let ask = |seat: &ContainerSeen, name: &str| {
        let script = format!("timeout 10 nslookup {name} 2>&1 || true");
        docker(&["exec", seat.id.as_str(), "sh", "-c", &script])
    };
    let open = room(&lab, "open", Egress::Open, &["a"]).await.remove(0);
    if !was_answered(&ask(&open, "labtop.invalid")) {
        eprintln!("this host has no resolver: only the seat's settings are checked");
    }
    let closed = room(&lab, "closed", Egress::Closed, &["a"]).await.remove(0);
    let own = docker(&["inspect", "-f", "{{.Name}}", closed.id.as_str()]);
    let told = ask(&closed, own.trim_start_matches('/'));
    assert!(
        told.contains(&address(&closed).to_string()),
        "the seat's resolver is dead: {told}"
    );
    let told = ask(&closed, "labtop.invalid");
    assert!(!was_answered(&told), "{told}");
    // The engine asks the host's resolvers in a seat's place unless it is told others; on a host whose resolver listens
    // on its loopback it does so from the host, also for a network that lets nothing out.
    let told = docker(&[
        "inspect",
        "-f",
        "{{range .HostConfig.Dns}}{{.}} {{end}}",
        closed.id.as_str(),
    ]);
    let resolvers: Vec<IpAddr> = told.split_whitespace().map(|ip| ip.parse().unwrap()).collect();
    let leads_nowhere = |ip: &IpAddr| ip.is_loopback() || ip.is_unspecified();
    assert!(
        !resolvers.is_empty() && resolvers.iter().all(leads_nowhere),
        "asked is: {resolvers:?}"
    );
}
