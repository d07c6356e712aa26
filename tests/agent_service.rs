//! What an agent tells a service manager, on the real binary: ready, how it stands, that it lives, stopping; and that a loop
//! which hangs is not said to live.

mod lab;
mod wire_support;

use std::cell::Cell;
use std::os::unix::net::UnixDatagram;
use std::process::Child;
use std::time::{Duration, Instant};

use lab::{Lab, until_within};
use labtop::engine::handle::Request;
use labtop::service::keep_alive;
use wire_support::{Fake, within};

/// A service manager's end of the socket.
struct Manager {
    dir: tempfile::TempDir,
    socket: UnixDatagram,
}

impl Manager {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let socket = UnixDatagram::bind(dir.path().join("notify")).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        Self { dir, socket }
    }

    /// Starts an agent as a service with this watchdog.
    fn start(&self, lab: &Lab, watchdog: Duration) -> Child {
        let mut command = lab.command(&["agent"]);
        command
            .env("NOTIFY_SOCKET", self.dir.path().join("notify"))
            .env("WATCHDOG_USEC", watchdog.as_micros().to_string());
        command.spawn().unwrap()
    }

    fn next(&self) -> String {
        let mut datagram = [0; 4096];
        let length = self.socket.recv(&mut datagram).expect("nothing is told");
        String::from_utf8(datagram[..length].to_vec()).unwrap()
    }

    /// What is told until something with these words is.
    fn until(&self, words: &str) -> Vec<String> {
        let begin = Instant::now();
        let mut told = Vec::new();
        while begin.elapsed() < Duration::from_mins(1) {
            told.push(self.next());
            if told.last().is_some_and(|last| last.contains(words)) {
                return told;
            }
        }
        panic!("{words} is not told: {told:?}");
    }
}

fn send(process: &Child, signal: rustix::process::Signal) {
    let pid = i32::try_from(process.id())
        .ok()
        .and_then(rustix::process::Pid::from_raw);
    rustix::process::kill_process(pid.unwrap(), signal).unwrap();
}

#[test]
fn a_service_manager_is_told_of_the_whole_life() {
    let (lab, manager) = (Lab::new(), Manager::new());
    let mut agent = manager.start(&lab, Duration::from_secs(1));
    assert_eq!(manager.next(), "READY=1\n", "first of all");
    assert!(lab.socket().exists(), "clients may come by then");
    lab.run(&["room", "open", "r", "--seats", "2"]).expect(0);
    let told = manager.until("STATUS=1 room, 2 seats\n");
    assert!(told.iter().any(|line| line == "WATCHDOG=1\n"), "{told:?}");

    // Twice within the limit, for as long as it lives.
    manager.until("WATCHDOG=1");
    let begin = Instant::now();
    for _ in 0..4 {
        manager.until("WATCHDOG=1");
    }
    assert!(begin.elapsed() < Duration::from_secs(4), "{:?}", begin.elapsed());

    send(&agent, rustix::process::Signal::TERM);
    let told = manager.until("STOPPING=1");
    let last = told.last().unwrap();
    assert!(last.contains("EXTEND_TIMEOUT_USEC=100000000\n"), "{last}");
    let status = until_within("the agent has ended", Duration::from_secs(30), || {
        agent.try_wait().unwrap()
    });
    assert!(status.success());
}

#[test]
fn an_agent_that_a_client_started_tells_nobody() {
    let (lab, manager) = (Lab::new(), Manager::new());
    let mut client = lab.command(&["room", "open", "r", "--seats", "1"]);
    client.env("NOTIFY_SOCKET", manager.dir.path().join("notify"));
    assert!(client.status().unwrap().success());
    manager.socket.set_nonblocking(true).unwrap();
    assert!(manager.socket.recv(&mut [0; 64]).is_err());
}

/// Short, because the test waits for many.
const EVERY: Duration = Duration::from_millis(10);

/// A loop that answers some pulses and then hangs: one ping for each answer, and none after.
#[tokio::test]
async fn a_loop_that_hangs_is_not_said_to_live() {
    let mut fake = Fake::new();
    let pings = Cell::new(0);
    let handle = fake.handle.clone();
    let alive = keep_alive(&handle, EVERY, || pings.set(pings.get() + 1));
    let answers = async {
        for _ in 0..3 {
            let Some(Request::Pulse { reply }) = fake.requests.recv().await else {
                panic!("something else was asked");
            };
            reply.send(()).unwrap();
        }
        // The fourth is taken, and never answered.
        let hung = fake.requests.recv().await;
        tokio::time::sleep(EVERY * 20).await;
        drop(hung);
    };
    let both = async {
        tokio::select! {
            () = alive => {}
            () = answers => {}
        }
    };
    within(both).await;
    assert_eq!(pings.get(), 3);
    let gone = Fake::new().handle;
    within(keep_alive(&gone, EVERY, || panic!("it does not live"))).await;
}
