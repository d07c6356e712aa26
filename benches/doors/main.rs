//! The students' door under a whole lab: sign-ins at once, seats on demand, and the answers to Traefik.

#[path = "../figures/mod.rs"]
mod figures;
#[path = "../../tests/lab/mod.rs"]
mod lab;
#[path = "../../tests/students/mod.rs"]
mod students;

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::time::{Duration, Instant};

use figures::{millis, spread};
use lab::{Lab, TEMPLATE, until};
use students::{Browser, Gateway, codes, free_port};

/// Students who sign in at the same moment.
const STUDENTS: usize = 300;
/// Kills that are timed, alone and beside them.
const KILLS: usize = 5;
/// Students of one room of the comparison of seats on demand with seats at once.
const ON_DEMAND: usize = 24;
/// Interleaved pairs of it.
const PAIRS: usize = 3;
/// Connections that ask the gateway as Traefik does, and for how long.
const ASKERS: usize = 4;
const ASK_FOR: Duration = Duration::from_secs(10);

fn main() {
    // `cargo test --benches` only wants to know that it builds.
    if !std::env::args().any(|arg| arg == "--bench") {
        return;
    }
    let port = free_port();
    let lab = Lab::with_config(&format!("{TEMPLATE}\n[gateway]\nlisten = \"127.0.0.1:{port}\"\n"));
    on_demand(&lab, port);
    let browsers = storm(&lab, port);
    answers(&lab, port, &browsers[0]);
    lab.run(&["room", "close", "full", "--discard", "--yes"]).expect(0);
}

fn names(prefix: &str, count: usize) -> Vec<String> {
    (0..count).map(|n| format!("{prefix}{n}")).collect()
}

/// All sign in at once; each takes a thread of this process.
fn sign_in(port: u16, codes: &BTreeMap<String, String>) -> (Vec<Browser>, Duration) {
    let since = Instant::now();
    let browsers = std::thread::scope(|scope| {
        let one = |(student, code): (&String, &String)| {
            let (student, code) = (student.clone(), code.clone());
            scope.spawn(move || {
                let mut browser = Browser::new(port);
                let answer = browser.sign_in(&student, &code);
                assert_eq!(answer.status, 303, "{student}: {answer:?}");
                browser
            })
        };
        let threads: Vec<_> = codes.iter().map(one).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    (browsers, since.elapsed())
}

fn kill(lab: &Lab) -> f64 {
    let since = Instant::now();
    lab.run(&["seat", "kill", "beside/s01"]).expect(0);
    let took = millis(since.elapsed());
    lab.run(&["seat", "restart", "beside/s01"]).expect(0);
    took
}

/// A whole lab signs in while a supervisor kills a runaway.
fn storm(lab: &Lab, port: u16) -> Vec<Browser> {
    lab.run(&["room", "open", "full", "--students", &names("p", STUDENTS).join(",")])
        .expect(0);
    lab.run(&["room", "open", "beside", "--seats", "1"]).expect(0);
    let codes = codes(lab, "full");
    let _gateway = Gateway::of(lab, port);
    let alone: Vec<f64> = (0..KILLS).map(|_| kill(lab)).collect();
    let (mut all, mut beside, mut browsers) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..PAIRS {
        let (took, killed) = std::thread::scope(|scope| {
            let storm = scope.spawn(|| sign_in(port, &codes));
            std::thread::sleep(Duration::from_millis(200));
            let killed = kill(lab);
            (storm.join().unwrap(), killed)
        });
        browsers = took.0;
        all.push(took.1.as_secs_f64());
        beside.push(killed);
    }
    println!("{STUDENTS} students sign in at once, seats already open, {PAIRS} times");
    println!(
        "  until the last has a session       {} (goal: below 10)",
        spread(&all, " s")
    );
    println!("  a kill, alone                      {}", spread(&alone, " ms"));
    println!("  a kill, beside them                {}", spread(&beside, " ms"));
    lab.run(&["room", "close", "beside"]).expect(0);
    browsers
}

/// Seats that are made when their students come, against seats that are made at once.
fn on_demand(lab: &Lab, port: u16) {
    // The first opening of all builds the image.
    lab.run(&["room", "open", "warm", "--seats", "1"]).expect(0);
    let _gateway = Gateway::of(lab, port);
    let count = ON_DEMAND.to_string();
    let (mut at_once, mut coming, mut places) = (Vec::new(), Vec::new(), 0);
    for pair in 0..PAIRS {
        let since = Instant::now();
        lab.run(&["room", "open", "once", "--seats", &count]).expect(0);
        at_once.push(ON_DEMAND as f64 / since.elapsed().as_secs_f64());
        lab.run(&["room", "close", "once", "--discard", "--yes"]).expect(0);
        let (room, students) = (format!("come-{pair}"), names(&format!("c{pair}x"), ON_DEMAND).join(","));
        lab.run(&["room", "open", &room, "--students", &students, "--on-demand"])
            .expect(0);
        let codes = codes(lab, &room);
        let since = Instant::now();
        let (browsers, _) = sign_in(port, &codes);
        for browser in &browsers {
            until("the seat is ready", || {
                let seat = browser.seat();
                places += usize::from(!seat["place"].is_null());
                (seat["phase"] == "ready").then_some(())
            });
        }
        coming.push(ON_DEMAND as f64 / since.elapsed().as_secs_f64());
        lab.run(&["room", "close", &room, "--discard", "--yes"]).expect(0);
    }
    let ratio: Vec<f64> = coming.iter().zip(&at_once).map(|(on, once)| on / once).collect();
    println!("{ON_DEMAND} seats, {PAIRS} interleaved pairs");
    println!("  made at once                       {}", spread(&at_once, " seats/s"));
    println!("  made as their students sign in     {}", spread(&coming, " seats/s"));
    println!(
        "  ratio                              {} (goal: 0.9)",
        spread(&ratio, "")
    );
    println!("  pages that told a place in the line: {places}");
    lab.run(&["room", "close", "warm"]).expect(0);
}

/// The gateway on one core, asked by connections that stay open, as Traefik's do.
fn answers(lab: &Lab, port: u16, browser: &Browser) {
    let mut command = std::process::Command::new("taskset");
    command
        .args(["-c", "0", lab::LABTOP, "gateway"])
        .envs(lab.env())
        .env_remove("LABTOP_SOCKET");
    let gateway = Gateway::started(command, port);
    let path = format!("/auth/verify/lab-{}_full_p0", &lab.instance().unwrap()[..8]);
    assert_eq!(browser.get(&path).status, 200);
    let token = browser.token.clone().unwrap();
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: lab.test\r\nX-Forwarded-Method: GET\r\nX-Forwarded-Uri: /api/r/p0/\r\n\
         Cookie: labtop_session={token}\r\n\r\n"
    );
    let before = cpu(gateway.pid());
    let since = Instant::now();
    let mut times: Vec<f64> = std::thread::scope(|scope| {
        let askers: Vec<_> = (0..ASKERS)
            .map(|_| scope.spawn(|| ask(port, &request, since)))
            .collect();
        askers.into_iter().flat_map(|asker| asker.join().unwrap()).collect()
    });
    let took = since.elapsed().as_secs_f64();
    let used = cpu(gateway.pid()) - before;
    times.sort_by(f64::total_cmp);
    let at = |per_mille: usize| times[(times.len() - 1) * per_mille / 1_000];
    println!(
        "ForwardAuth, the gateway on one core, {ASKERS} connections, {} s",
        ASK_FOR.as_secs()
    );
    println!(
        "  checks                             {:.0}/s (goal: 5000)",
        times.len() as f64 / took
    );
    println!("  of the core                        {:.0} %", 100.0 * used / took);
    println!(
        "  50 %, 99 %, most                   {:.2}, {:.2}, {:.2} ms (goal of 99 %: 2)",
        at(500),
        at(990),
        at(1_000)
    );
}

/// Asks again and again; how long each answer took, ms.
fn ask(port: u16, request: &str, since: Instant) -> Vec<f64> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_nodelay(true).unwrap();
    let (mut times, mut piece) = (Vec::new(), [0; 4096]);
    while since.elapsed() < ASK_FOR {
        let asked = Instant::now();
        stream.write_all(request.as_bytes()).unwrap();
        let count = stream.read(&mut piece).unwrap();
        let text = &piece[..count];
        assert!(
            text.starts_with(b"HTTP/1.1 200") && text.ends_with(b"\r\n\r\n"),
            "{:?}",
            String::from_utf8_lossy(text)
        );
        times.push(millis(asked.elapsed()));
    }
    times
}

/// Seconds of a process's CPU time.
fn cpu(pid: u32) -> f64 {
    let stat = std::fs::read_to_string(Path::new("/proc").join(pid.to_string()).join("stat")).unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    let ticks: f64 = fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap();
    ticks / 100.0
}
