//! What a template, a flag or a setting asks for is what the seat gets, and what a seat does at its start is told.

mod lab;
#[path = "support/docker.rs"]
mod support;

use std::collections::BTreeSet;
use std::net::{IpAddr, TcpStream};
use std::process::Output;
use std::time::{Duration, Instant};

use lab::{Lab, Ran, docker, until, until_within};
use labtop::world::meter::{CgroupMeter, Raw};
use serde_json::{Value, json};
use support::Foreign;

/// How long a seat whose program ends at once may keep the one waiting who opened the room.
const TOLD_WITHIN: Duration = Duration::from_secs(30);

/// A laboratory whose seats run this script; `rest` is the rest of the template, `settings` stand before it.
fn lab(settings: &str, script: &str, rest: &str) -> Lab {
    Lab::with_config(&format!(
        "default_template = \"lab\"\n{settings}\n[templates.lab]\nimage = \"labtop-demo:latest\"\n\
         command = [\"/bin/sh\", \"-c\", '''{script}''']\nport = 8080\n\
         memory = \"32MiB\"\ncpus = 0.5\npids = 32\n{rest}\n"
    ))
}

const SERVER: &str = "exec httpd -f -p 8080 -h /workspace";
const UNGUARDED: &str = "[routing]\nauth = \"none\"";

/// What the engine says of a seat's container.
fn inspected(lab: &Lab, student: &str) -> Value {
    let id = lab.seat("r", student)["container_id"].as_str().unwrap().to_owned();
    serde_json::from_str::<Value>(&docker(&["inspect", &id])).unwrap()[0].take()
}

fn address(lab: &Lab, student: &str) -> IpAddr {
    let networks = inspected(lab, student)["NetworkSettings"]["Networks"].take();
    let network = networks.as_object().unwrap().values().next().unwrap();
    network["IPAddress"].as_str().unwrap().parse().unwrap()
}

/// Runs the binary to its end, which must come in time.
fn run_within(lab: &Lab, limit: Duration, arguments: &[&str]) -> Ran {
    let mut child = lab.spawn(arguments);
    let begun = Instant::now();
    while child.try_wait().unwrap().is_none() {
        if begun.elapsed() > limit {
            let _ = child.kill();
            panic!(
                "labtop {arguments:?} goes on after {limit:?}: {:?}",
                child.wait_with_output()
            );
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    let Output { status, stdout, stderr } = child.wait_with_output().unwrap();
    Ran {
        code: status.code().unwrap_or(-1),
        stdout: String::from_utf8_lossy(&stdout).into_owned(),
        stderr: String::from_utf8_lossy(&stderr).into_owned(),
    }
}

#[test]
fn an_exam_closes_the_network_of_an_open_template() {
    let lab = lab("", SERVER, "network = \"open\"");
    let internal = |room: &str| {
        let network = format!("lab-{}_{room}", &lab.instance().unwrap()[..8]);
        docker(&["network", "inspect", "-f", "{{.Internal}}", &network])
    };
    lab.run(&["room", "open", "class", "--students", "ann"]).expect(0);
    lab.run(&["room", "open", "final", "--students", "ann", "--exam"])
        .expect(0);
    assert_eq!([internal("class"), internal("final")], ["false", "true"]);
    // Neither becomes the other while it is open.
    let refused = lab
        .run(&["room", "open", "class", "--students", "bob", "--exam"])
        .expect(1);
    assert!(refused.stderr.contains("class"), "{}", refused.stderr);
    assert_eq!(lab.ls().len(), 2);
}

#[test]
fn an_exam_without_guarded_routes_is_refused() {
    let lab = lab(UNGUARDED, SERVER, "");
    for dry in [&["--dry-run"][..], &[]] {
        let arguments = [&["room", "open", "final", "--students", "ann", "--exam"], dry].concat();
        let refused = lab.run(&arguments).expect(1);
        for word in ["exam", "`[routing] auth`", "\"none\"", "\"gateway\""] {
            assert!(refused.stderr.contains(word), "{word} in {}", refused.stderr);
        }
    }
    assert!(lab.ls().is_empty());
    assert_eq!(lab.left_on_engine(), [""; 0]);
}

#[test]
fn a_route_is_guarded_unless_the_settings_say_otherwise() {
    for (settings, guarded) in [("", true), (UNGUARDED, false)] {
        let lab = lab(settings, SERVER, "");
        let checked = lab.run(&["config", "check"]).expect(0);
        assert_eq!(checked.stderr.contains("routing.auth"), !guarded, "{}", checked.stderr);
        lab.run(&["room", "open", "r", "--students", "ann"]).expect(0);
        let labels = inspected(&lab, "ann")["Config"]["Labels"].take();
        let name = format!("lab-{}_r_ann", &lab.instance().unwrap()[..8]);
        let label = |key: &str| labels[key].as_str();
        assert_eq!(
            label(&format!("traefik.http.routers.{name}.rule")),
            Some("Path(`/api/r/ann`) || PathPrefix(`/api/r/ann/`)")
        );
        let (middleware, verify) = (
            format!("{name}-auth"),
            format!("http://127.0.0.1:8091/auth/verify/{name}"),
        );
        assert_eq!(
            label(&format!("traefik.http.routers.{name}.middlewares")),
            guarded.then_some(middleware.as_str())
        );
        assert_eq!(
            label(&format!("traefik.http.middlewares.{middleware}.forwardauth.address")),
            guarded.then_some(verify.as_str())
        );
        assert_eq!(labels.to_string().contains("middlewares"), guarded, "{labels}");
    }
}

#[test]
fn capabilities_and_the_runtime_arrive() {
    // The same program as the engine's own runtime, by a name that the engine would not choose by itself.
    let runtime = "io.containerd.runc.v2";
    let rest = format!("cap_add = [\"CAP_NET_BIND_SERVICE\", \"CHOWN\"]\nruntime = \"{runtime}\"");
    let lab = lab("", SERVER, &rest);
    lab.run(&["room", "open", "r", "--students", "ann"]).expect(0);
    let host = inspected(&lab, "ann")["HostConfig"].take();
    assert_eq!(host["CapDrop"], json!(["ALL"]));
    assert_eq!(host["CapAdd"], json!(["CHOWN", "NET_BIND_SERVICE"]));
    assert_eq!(host["Runtime"], runtime);
    let id = lab.seat("r", "ann")["container_id"].as_str().unwrap().to_owned();
    let status = docker(&["exec", &id, "cat", "/proc/1/status"]);
    // Bits 0 and 10.
    assert!(status.contains("CapBnd:\t0000000000000401"), "{status}");
}

#[test]
fn a_runtime_that_the_engine_does_not_know_is_told() {
    let lab = lab("", SERVER, "runtime = \"nowhere\"");
    let failed = run_within(&lab, TOLD_WITHIN, &["room", "open", "r", "--students", "ann"]).expect(1);
    assert!(
        failed.stderr.contains("no runtime nowhere; it has"),
        "{}",
        failed.stderr
    );
    assert_eq!(
        lab.left_on_engine(),
        Vec::<String>::new(),
        "it is told before anything is made"
    );
}

#[test]
fn a_room_is_open_when_its_slow_programs_answer() {
    let lab = lab("", &format!("sleep 2; {SERVER}"), "");
    let begun = Instant::now();
    lab.run(&["room", "open", "r", "--students", "ann,bob"]).expect(0);
    let took = begun.elapsed();
    assert!(took >= Duration::from_secs(2), "{took:?}");
    for student in ["ann", "bob"] {
        TcpStream::connect((address(&lab, student), 8080)).unwrap_or_else(|e| panic!("{student}: {e}"));
    }
}

#[test]
fn a_program_that_ends_at_once_is_told_with_its_reason() {
    let script = format!("case $LABTOP_STUDENT in bad) echo no licence; exit 3 ;; esac; {SERVER}");
    let lab = lab("", &script, "");
    let opened = run_within(&lab, TOLD_WITHIN, &["room", "open", "r", "--students", "bad,good"]).expect(5);
    let told = opened.stderr.lines().find(|line| line.contains("r/bad")).unwrap();
    assert!(told.contains("its program ended with status 3"), "{told}");
    assert!(!opened.stderr.contains("r/good"), "{}", opened.stderr);
    assert_eq!(lab.seat("r", "good")["phase"], "ready");
    let bad = lab.seat("r", "bad");
    assert_eq!(
        (&bad["phase"], &bad["fault"]["code"]),
        (&json!("failed"), &json!("exited"))
    );
    assert!(
        lab.run(&["seat", "logs", "r/bad"])
            .expect(0)
            .stdout
            .contains("no licence")
    );
    // What it wrote is archived all the same.
    lab.run(&["room", "close", "r", "--yes"]).expect(0);
    let archived = lab.archived("r").into_iter().map(|(student, _)| student);
    // It may have been started once more while it was archived, which makes a second archive.
    assert_eq!(
        archived.collect::<BTreeSet<_>>(),
        ["bad", "good"].map(str::to_owned).into()
    );
}

#[test]
fn a_program_that_ends_before_anybody_looks_is_not_started_without_pause() {
    let lab = Lab::with_config(
        "default_template = \"lab\"\n[templates.lab]\nimage = \"labtop-demo:latest\"\n\
         command = [\"/bin/echo\", \"begun\"]\nport = 8080\nmemory = \"32MiB\"\npids = 32\n",
    );
    let opened = run_within(&lab, TOLD_WITHIN, &["room", "open", "r", "--students", "ann"]).expect(1);
    assert!(
        opened.stderr.contains("its program ended with status 0"),
        "{}",
        opened.stderr
    );
    let log = lab.run(&["seat", "logs", "r/ann"]).expect(0).stdout;
    // Three times until it is told, and once more while we read.
    let begun = log.matches("begun").count();
    assert!((3..=4).contains(&begun), "started {begun} times");
}

#[test]
fn a_foreign_container_keeps_only_its_own_seat_away() {
    let lab = lab("", SERVER, "");
    lab.run(&["room", "open", "warm", "--students", "x"]).expect(0);
    let name = format!("lab-{}_r_ann", &lab.instance().unwrap()[..8]);
    let foreign = Foreign("container", name.clone());
    docker(&["create", "--name", &name, "labtop-demo:latest", "true"]);
    let opened = run_within(&lab, TOLD_WITHIN, &["room", "open", "r", "--students", "ann,bob"]).expect(5);
    assert!(opened.stdout.contains("1 seat ready"), "{}", opened.stdout);
    assert!(
        opened.stderr.contains("r/ann") && opened.stderr.contains(&name),
        "{}",
        opened.stderr
    );
    assert_eq!(lab.seat("r", "bob")["phase"], "ready");
    let ann = lab.seat("r", "ann");
    assert_eq!(
        (&ann["phase"], &ann["fault"]["code"]),
        (&json!("failed"), &json!("name_taken"))
    );
    assert_eq!(docker(&["inspect", "-f", "{{.State.Status}}", &name]), "created");
    // When it is gone the seat comes by itself, or at the latest when the room is opened again.
    drop(foreign);
    lab.run(&["room", "open", "r", "--students", "ann,bob"]);
    until_within("the seat is made", Duration::from_mins(2), || {
        (lab.seat("r", "ann")["phase"] == "ready").then_some(())
    });
}

#[tokio::test]
async fn one_shot_statistics_agree_with_the_kernels_files() {
    let lab = support::Lab::new().await;
    let mut order = lab.order("busy");
    order.template.millicpus = 1000;
    let script = "held=$(head -c 8000000 /dev/zero | tr '\\0' x); sleep 1000 & while :; do :; done";
    order.template.command = ["sh", "-c", script].map(str::to_owned).to_vec();
    let seat = lab.provision(&order).await;
    let pid = seat.pid.unwrap();
    let read = || -> Raw { CgroupMeter::default().reading(&seat.id, pid).unwrap() };
    until("the seat was busy for a second", || {
        let now = read();
        (now.cpu_ns > 1_000_000_000 && now.pids == 3).then_some(())
    });
    // Between two readings of ours, so that the host may be as slow as it likes.
    let (before, stats, after) = (read(), lab.docker.stats(&seat.id).await.unwrap(), read());
    assert!(
        (before.cpu_ns..=after.cpu_ns).contains(&stats.cpu_ns),
        "{before:?} {stats:?} {after:?}"
    );
    assert_eq!(stats.pids, u64::from(after.pids));
    let apart = stats.memory_bytes.abs_diff(after.memory_bytes);
    assert!(
        stats.memory_bytes > 8_000_000 && apart < after.memory_bytes / 20,
        "{stats:?} {after:?}"
    );
}
