//! Seats that do their worst, each within its limits, and a room around them that must not feel it.

mod lab;

use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use lab::{Lab, docker, file_in, files_of, until};
use serde_json::Value;

const STUDENTS: [&str; 6] = ["ann", "bob", "bomb", "disk", "flood", "hog"];
const CALM: [&str; 2] = ["ann", "bob"];
/// What `disk` writes: so many empty files, and then so many bytes.
const FILES: usize = 5000;
const BYTES: usize = 100 << 20;
const PIDS: u64 = 40;
/// A seat's log: two files of 5 MB, a few lines more, and the one that is being packed.
const LOG_BYTES_MAX: u64 = 11_000_000;
/// How often the calm are asked while the others rage.
const ROUNDS: usize = 25;

/// Each student's own program; all of them answer on their port. Fork bombs of one shell die out when they find no
/// room, so this one is planted again for as long as it lives.
const PROGRAM: &str = r#"
echo "work of $LABTOP_STUDENT" >id.txt
case $LABTOP_STUDENT in
bomb) awk 'BEGIN { while (1) system("b() { b | b & }; b") }' >/dev/null 2>&1 & ;;
hog) while :; do tail /dev/zero; sleep 1; done & ;;
flood) yes "the same line again and again, which nobody wants to read but somebody has to keep" & ;;
disk)
    mkdir many && i=0
    while [ $i -lt FILES ]; do i=$((i + 1)) && : >many/$i; done
    dd if=/dev/zero of=big bs=64k count=BLOCKS && echo filled >filled.txt &
    ;;
esac
exec httpd -f -p 8080 -h /workspace
"#;

fn config() -> String {
    let program = PROGRAM
        .replace("FILES", &FILES.to_string())
        .replace("BLOCKS", &(BYTES >> 16).to_string());
    format!(
        "default_template = \"lab\"\n[templates.lab]\nimage = \"labtop-demo:latest\"\n\
         command = [\"/bin/sh\", \"-c\", '''{program}''']\nport = 8080\nmemory = \"64MiB\"\ncpus = 0.25\n\
         pids = {PIDS}\nnetwork = \"closed\"\n"
    )
}

/// A seat's container and its address on the room's network.
struct Seat {
    container: String,
    address: SocketAddr,
}

impl Seat {
    fn of(lab: &Lab, student: &str) -> Self {
        let container = lab.seat("r", student)["container_id"].as_str().unwrap().to_owned();
        let address = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}";
        let ip: IpAddr = docker(&["inspect", "-f", address, &container]).parse().unwrap();
        let address = SocketAddr::new(ip, 8080);
        Self { container, address }
    }

    /// A page of the seat's server, with the time that it took.
    fn page(&self, path: &str) -> (String, Duration) {
        let begun = Instant::now();
        let mut stream = TcpStream::connect_timeout(&self.address, Duration::from_secs(10)).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        write!(stream, "GET {path} HTTP/1.0\r\n\r\n").unwrap();
        let mut page = String::new();
        stream.read_to_string(&mut page).unwrap();
        (page, begun.elapsed())
    }

    /// Where the engine keeps the seat's log.
    fn log(&self) -> PathBuf {
        let root = docker(&["info", "-f", "{{.DockerRootDir}}"]);
        PathBuf::from(root)
            .join("containers")
            .join(&self.container)
            .join("local-logs")
    }
}

/// The files of the seat's log with their sizes. One may be renamed while we look.
fn log_files(log: &PathBuf) -> Vec<(String, u64)> {
    let entries = std::fs::read_dir(log).unwrap_or_else(|e| panic!("{}: {e}; run the tests as root", log.display()));
    entries
        .flatten()
        .filter_map(|entry| Some((entry.file_name().into_string().unwrap(), entry.metadata().ok()?.len())))
        .collect()
}

#[track_caller]
fn took(what: &str, limit: u64, begun: Instant) {
    let (limit, took) = (Duration::from_secs(limit), begun.elapsed());
    assert!(took < limit, "{what} took {took:?}");
}

fn phase<'a>(seats: &'a [Value], student: &str) -> &'a str {
    let seat = seats.iter().find(|seat| seat["student"] == student);
    seat.and_then(|seat| seat["phase"].as_str()).unwrap()
}

/// Waits until each is seen doing what it is here for.
fn all_rage(lab: &Lab, log: &PathBuf) {
    until("the bomb has used up its processes", || {
        (lab.seat("r", "bomb")["pids"].as_u64() >= Some(PIDS - 8)).then_some(())
    });
    until("the flood has filled one file of its log", || {
        log_files(log)
            .iter()
            .any(|(name, _)| name.contains(".log.1"))
            .then_some(())
    });
    until("the hog is told to be out of memory", || {
        let listed = lab.run(&["ls", "r"]).expect(0).stdout;
        let hog = listed.lines().find(|line| line.contains(" hog ")).unwrap().to_owned();
        hog.contains("out of memory").then_some(())
    });
}

#[test]
fn what_one_seat_does_to_itself_the_others_do_not_feel() {
    let lab = Lab::with_config(&config());
    lab.run(&["room", "open", "r", "--students", &STUDENTS.join(",")])
        .expect(0);
    let calm = CALM.map(|student| Seat::of(&lab, student));
    let log = Seat::of(&lab, "flood").log();
    all_rage(&lab, &log);

    for _ in 0..ROUNDS {
        let begun = Instant::now();
        let seats = lab.ls();
        took("labtop ls", 2, begun);
        for (seat, student) in calm.iter().zip(CALM) {
            assert_eq!(phase(&seats, student), "ready");
            let (page, time) = seat.page("/id.txt");
            assert!(page.contains(&format!("work of {student}\n")), "{page}");
            assert!(time < Duration::from_secs(1), "{student} answered after {time:?}");
        }
        let files = log_files(&log);
        let size: u64 = files.iter().map(|(_, size)| size).sum();
        assert!(size > 0 && size < LOG_BYTES_MAX, "{files:?}");
    }

    let begun = Instant::now();
    let tail = lab.run(&["seat", "logs", "r/flood", "--tail", "20"]).expect(0).stdout;
    took("labtop seat logs", 10, begun);
    assert!(
        tail.lines().filter(|line| line.starts_with("the same line")).count() >= 19,
        "{tail}"
    );

    let begun = Instant::now();
    lab.run(&["seat", "kill", "r/bomb", "--yes"]).expect(0);
    took("labtop seat kill", 10, begun);
    let seats = lab.ls();
    assert_eq!(phase(&seats, "bomb"), "stopped");
    assert!(
        CALM.iter().all(|student| phase(&seats, student) == "ready"),
        "{seats:?}"
    );

    until("the disk is filled", || {
        Seat::of(&lab, "disk")
            .page("/filled.txt")
            .0
            .contains("\r\n\r\nfilled")
            .then_some(())
    });
    lab.run(&["room", "close", "r", "--yes"]).expect(0);
    assert_eq!(lab.left_on_engine(), [""; 0]);
    let mut archives = lab.archived("r");
    archives.sort();
    let whose: Vec<&str> = archives.iter().map(|(student, _)| student.as_str()).collect();
    assert_eq!(whose, STUDENTS);
    for (student, path) in &archives {
        assert_eq!(file_in(path, "id.txt"), format!("work of {student}\n"));
    }
    let files = files_of(&archives[3].1);
    let many = files.iter().filter(|(path, _)| path.contains("many/")).count();
    let big = files
        .iter()
        .find(|(path, _)| path.ends_with("big"))
        .map(|(_, content)| content.len());
    assert_eq!((many, big), (FILES, Some(BYTES)));
}
