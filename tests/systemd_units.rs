//! The units for systemd: it knows every section, key and value of theirs, they start verbs that exist, and `make install`
//! puts them where `make uninstall` finds them.

mod units;

use std::path::{Path, PathBuf};
use std::process::Command;

use units::{Unit, units};

const LABTOP: &str = env!("CARGO_BIN_EXE_labtop");

/// What systemd's own reader says of a unit whose program is the one under test; none where there is no systemd.
fn verdict(name: &str, text: &str) -> Option<String> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(name);
    std::fs::write(&path, text.replace("/usr/local/bin/labtop", LABTOP)).unwrap();
    // Generators and manuals of the machine have no part in it.
    let output = Command::new("systemd-analyze")
        .args(["verify", "--man=no", "--generators=no", "--recursive-errors=no"])
        .arg(&path)
        .output()
        .ok()?;
    let words = String::from_utf8_lossy(&output.stderr);
    let about_it = words.lines().filter(|line| line.contains(name));
    let about_it: Vec<&str> = about_it.collect();
    Some(if about_it.is_empty() && output.status.success() {
        String::new()
    } else {
        format!("{}{words}", output.status)
    })
}

#[test]
fn systemd_understands_every_line() {
    for unit in units() {
        if let Some(words) = verdict(&unit.name, &unit.text) {
            assert_eq!(words, "", "{}", unit.name);
        }
        assert_eq!(unit.mistakes(), Vec::<String>::new(), "{}", unit.name);
    }
}

#[test]
fn both_readers_find_a_mistake() {
    let good = units().remove(0);
    for (line, bad) in [
        ("Type=notify", "Type=notifi"),
        ("KillMode=mixed", "KillMod=mixed"),
        ("[Install]", "[Instal]"),
        ("ProtectSystem=full", "ProtectSystem full"),
    ] {
        assert!(good.text.contains(line), "{line}");
        let unit = Unit::new(&good.name, &good.text.replace(line, bad));
        if let Some(words) = verdict(&unit.name, &unit.text) {
            assert_ne!(words, "", "systemd lets {bad} pass");
        }
        assert_ne!(unit.mistakes(), Vec::<String>::new(), "{bad}");
    }
}

#[test]
fn they_start_verbs_that_exist() {
    for unit in units() {
        let verb = unit.verb();
        let help = Command::new(LABTOP).args([verb, "--help"]).output().unwrap();
        let later = unit.text.contains("not a part of this version");
        assert_ne!(help.status.success(), later, "{} and `labtop {verb}`", unit.name);
    }
}

#[test]
fn the_agent_is_stopped_after_its_grace_and_watched() {
    let unit = units().into_iter().find(|unit| unit.verb() == "agent").unwrap();
    let seconds = |key| unit.value(key).unwrap().parse::<u32>().unwrap();
    let printed = Command::new(LABTOP)
        .args(["config", "print"])
        .env("LABTOP_STATE", tempfile::tempdir().unwrap().path())
        .output()
        .unwrap();
    let settings: toml::Table = String::from_utf8(printed.stdout).unwrap().parse().unwrap();
    let grace = settings["agent"]["grace_seconds"].as_integer().unwrap();
    assert!(i64::from(seconds("TimeoutStopSec")) > grace, "the grace is {grace} s");
    assert!(seconds("WatchdogSec") > 0);
    for (key, value) in [
        ("Type", "notify"),
        ("RuntimeDirectory", "labtop"),
        ("RuntimeDirectoryMode", "0755"),
        ("StateDirectory", "labtop"),
        ("StateDirectoryMode", "0700"),
        ("Restart", "on-failure"),
        ("KillMode", "mixed"),
    ] {
        assert_eq!(unit.value(key), Some(value), "{key}");
    }
}

#[test]
fn the_gateway_has_no_way_to_docker() {
    let unit = units().into_iter().find(|unit| unit.verb() == "gateway").unwrap();
    assert_eq!(unit.value("User"), Some("labtop-gateway"));
    assert_eq!(unit.value("CapabilityBoundingSet"), Some(""));
    assert!(unit.value("InaccessiblePaths").unwrap().contains("/run/docker.sock"));
    assert_eq!(unit.value("SupplementaryGroups"), None);
}

/// Runs `make` in a copy of what installing needs, with a program that is built already.
fn make(goal: &str, root: &Path, below: &Path) {
    let output = Command::new("make")
        .args([goal, "PREFIX=/opt/lab", "LABTOP=program", "CARGO=true"])
        .arg(format!("DESTDIR={}", below.display()))
        .current_dir(root)
        .output()
        .expect("`make` is missing: apt-get install make");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

fn files(below: &Path) -> Vec<PathBuf> {
    let (mut found, mut left) = (Vec::new(), vec![below.to_owned()]);
    while let Some(dir) = left.pop() {
        for entry in std::fs::read_dir(dir).unwrap().flatten() {
            let list = if entry.path().is_dir() { &mut left } else { &mut found };
            list.push(entry.path());
        }
    }
    found
}

#[test]
fn they_are_installed_with_the_place_of_the_program_and_taken_away() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR"));
    let (root, below) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    std::fs::create_dir(root.path().join("scripts")).unwrap();
    std::os::unix::fs::symlink(source.join("assets"), root.path().join("assets")).unwrap();
    for name in [
        "Makefile",
        "config.example.toml",
        "README.md",
        "LICENSE-MIT",
        "LICENSE-APACHE",
    ] {
        std::fs::copy(source.join(name), root.path().join(name)).unwrap();
    }
    std::fs::write(root.path().join("program"), "#!/bin/sh\n").unwrap();
    let setup = root.path().join("scripts/setup");
    std::fs::write(&setup, "#!/bin/sh\n").unwrap();
    std::fs::set_permissions(&setup, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();

    make("install", root.path(), below.path());
    for unit in units() {
        let path = below.path().join("opt/lab/lib/systemd/system").join(&unit.name);
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.contains("\nExecStart=/opt/lab/bin/labtop "), "{text}");
        assert!(!text.contains("/usr/local"), "{text}");
    }
    assert!(below.path().join("opt/lab/lib/sysusers.d/labtop.conf").exists());
    // What the agent's unit loads is where it looks.
    let agent = std::fs::read_to_string(below.path().join("opt/lab/lib/systemd/system/labtop-agent.service")).unwrap();
    let (_, rules) = agent.split_once("nft -f /").unwrap();
    assert!(below.path().join(rules.lines().next().unwrap()).exists());
    make("uninstall", root.path(), below.path());
    assert_eq!(files(below.path()), Vec::<PathBuf>::new());
}
