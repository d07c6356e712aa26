//! Exams open only in rooms that are proven closed, and the doctor says what is not, by the real binary.

mod holes;
mod lab;

use std::process::Command;

use holes::{Rule, service, system};
use lab::{Lab, docker, until};
use serde_json::Value;

const TEMPLATE: &str = "default_template = \"lab\"\n[templates.lab]\nimage = \"labtop-demo:latest\"\n\
    command = [\"sleep\", \"600\"]\nmemory = \"16MiB\"\ncpus = 0.2\npids = 16\n";

/// The lines of a report, as name and state.
fn lines(report: &Value) -> Vec<(String, String)> {
    let word = |check: &Value, key: &str| check[key].as_str().unwrap().to_owned();
    let checks = report.as_array().unwrap().iter();
    checks
        .map(|check| (word(check, "name"), word(check, "state")))
        .collect()
}

fn failed(report: &Value) -> Vec<String> {
    let lines = lines(report).into_iter();
    lines
        .filter(|(_, state)| state == "fail")
        .map(|(name, _)| name)
        .collect()
}

#[test]
fn an_exam_opens_only_when_it_is_closed_in_or_an_admin_says_so() {
    let (_listener, port) = service();
    let lab = Lab::with_config(&format!("{TEMPLATE}[gateway]\nlisten = \"127.0.0.1:{port}\"\n"));
    let open = |room: &str, more: &[&str]| {
        let arguments = ["room", "open", room, "--students", "an", "--exam", "--minutes", "5"];
        lab.run(&[arguments.as_slice(), more].concat())
    };
    open("good", &[]).expect(0);
    {
        // Every room of this host reaches this port; only this laboratory's gateway has it.
        let _hole = Rule::new("input", &format!("iifname \"lab-*\" tcp dport {port} accept"));
        let refused = open("bad", &[]).expect(1);
        for word in ["bad", "gateway: OPEN", &port.to_string(), "doctor --fix", "--override"] {
            assert!(refused.stderr.contains(word), "{word}: {}", refused.stderr);
        }
        assert_eq!(lab.ls().len(), 1, "nothing was made");
        let instance = lab.instance().unwrap();
        let label = format!("label=io.labtop.instance={instance}");
        let networks = docker(&["network", "ls", "--format", "{{.Name}}", "--filter", &label]);
        assert_eq!(networks.trim(), format!("lab-{}_good", &instance[..8]));
        let report = lab.run(&["doctor", "--room", "good", "--json"]).expect(1).json();
        assert_eq!(failed(&report), ["gateway"], "{report}");
        // More seats in an exam that goes on are not held up.
        lab.run(&["room", "open", "good", "--students", "binh"]).expect(0);
        open("bad", &["--override"]).expect(0);
        let trail = lab.run(&["audit", "--json"]).expect(0).json();
        let told = |row: &&Value| row["verb"] == "room open --override" && row["target"] == "bad";
        assert!(trail.as_array().unwrap().iter().any(|row| told(&row)), "{trail}");
    }
    let report = lab.run(&["doctor", "--room", "bad", "--json"]).expect(0).json();
    assert_eq!(failed(&report), Vec::<String>::new());
    the_walls_are_kept(&lab);
    let names: Vec<String> = lines(&report).into_iter().map(|(name, _)| name).collect();
    assert_eq!(
        names.join(" "),
        "route neighbour other room host docker redis store gateway traefik metadata private internet dns ipv6"
    );
    let words = lab.run(&["doctor", "--room", "bad"]).expect(0).stdout;
    assert!(
        words.contains("CHECK") && words.contains("closed: nothing answered at"),
        "{words}"
    );
    let unknown = lab.run(&["doctor", "--room", "nowhere"]).expect(1);
    assert!(unknown.stderr.contains("nowhere is not open"), "{}", unknown.stderr);
    for room in ["good", "bad"] {
        lab.run(&["room", "close", room, "--yes"]).expect(0);
    }
    assert_eq!(lab.left_on_engine(), Vec::<String>::new());
}

/// The host's own table, which is put back in any case.
struct Walls;

impl Walls {
    fn take_away() -> Self {
        system("nft", &["delete", "table", "inet", "labtop"]);
        Self
    }

    fn are_there() -> bool {
        let listed = Command::new("nft")
            .args(["list", "table", "inet", "labtop"])
            .output()
            .unwrap();
        listed.status.success()
    }
}

impl Drop for Walls {
    fn drop(&mut self) {
        if !Self::are_there() {
            let rules = concat!(env!("CARGO_MANIFEST_DIR"), "/assets/nftables/labtop.nft");
            let _ = Command::new("nft").args(["-f", rules]).status();
        }
    }
}

/// Whoever flushes the host's firewall in the middle of an exam is found out, and what is labtop's is put back.
fn the_walls_are_kept(lab: &Lab) {
    // The agent has seen that it is there.
    let told = || {
        let trail = lab.run(&["audit", "--json"]).expect(0).json();
        let rows = trail.as_array().unwrap().clone();
        rows.into_iter().find(|row| row["verb"] == "firewall lost")
    };
    assert_eq!(told(), None);
    let _walls = Walls::take_away();
    let row = until("the loss is told of", told);
    assert!(row["outcome"].as_str().unwrap().starts_with("loaded again"), "{row}");
    assert!(Walls::are_there());
}

/// A network of the test's own, with a firewall of its own.
struct Net(String);

impl Net {
    fn new() -> Self {
        let name = format!("lt{}", &uuid::Uuid::new_v4().simple().to_string()[..8]);
        system("ip", &["netns", "add", &name]);
        Self(name)
    }

    /// The same command, run there.
    fn run(&self, command: &Command) -> Command {
        let mut there = Command::new("ip");
        there
            .args(["netns", "exec", &self.0])
            .arg(command.get_program())
            .args(command.get_args());
        there.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
        if let Some(directory) = command.get_current_dir() {
            there.current_dir(directory);
        }
        there
    }
}

impl Drop for Net {
    fn drop(&mut self) {
        let _ = Command::new("ip").args(["netns", "delete", &self.0]).status();
    }
}

#[test]
fn the_doctor_loads_the_firewall_and_says_when_it_is_not_there() {
    let lab = Lab::with_config(TEMPLATE);
    let net = Net::new();
    let doctor = |arguments: &[&str]| net.run(&lab.command(arguments)).output().unwrap();
    let state = |report: &[u8]| {
        let report: Value = serde_json::from_slice(report).unwrap();
        let found = lines(&report).into_iter().find(|(name, _)| name == "firewall");
        found.unwrap().1
    };
    // The agent that it starts is in that network, too.
    assert_eq!(state(&doctor(&["doctor", "--json"]).stdout), "warn");
    let exam = doctor(&["room", "open", "final", "--students", "an", "--exam"]);
    let words = String::from_utf8_lossy(&exam.stderr);
    assert!(
        words.contains("unless labtop's firewall table is loaded") && words.contains("doctor --fix"),
        "{words}"
    );
    let fixed = doctor(&["doctor", "--fix", "--json"]);
    assert_eq!(state(&fixed.stdout), "ok");
    assert!(String::from_utf8_lossy(&fixed.stderr).contains("is loaded"));
    // Again, in place of what is there.
    assert_eq!(state(&doctor(&["doctor", "--fix", "--json"]).stdout), "ok");
    let rules = system(
        "ip",
        &[
            "netns", "exec", &net.0, "nft", "list", "chain", "inet", "labtop", "input",
        ],
    );
    assert_eq!(rules.matches("drop").count(), 1, "{rules}");
}
