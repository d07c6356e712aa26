//! The dependencies against `deny.toml`, without anything installed: licences, banned crates, sources.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use toml::Table;

/// The registry that `deny.toml` allows, as the lock file writes it.
const REGISTRY: &str = "registry+https://github.com/rust-lang/crates.io-index";

fn read(name: &str) -> Table {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
    std::fs::read_to_string(path).unwrap().parse().unwrap()
}

/// Every crate that is compiled on Linux, tests included, as (name, licence).
fn compiled() -> BTreeSet<(String, String)> {
    along("normal,build,dev")
}

/// Those that edges of these kinds lead to.
fn along(edges: &str) -> BTreeSet<(String, String)> {
    let cargo = Command::new(env!("CARGO"))
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .args(["tree", "--locked", "--offline", "--edges", edges, "--prefix", "none"])
        .args(["--target", "x86_64-unknown-linux-gnu", "--format", "{p}|{l}"])
        .output()
        .unwrap();
    assert!(cargo.status.success(), "{}", String::from_utf8_lossy(&cargo.stderr));
    let text = String::from_utf8(cargo.stdout).unwrap();
    let crates = text.lines().map(|line| {
        let (package, licence) = line.trim_end_matches(" (*)").split_once('|').unwrap();
        let name = package.split(' ').next().unwrap();
        (name.to_owned(), licence.to_owned())
    });
    crates.collect()
}

/// Whether an SPDX expression (`/` is an old way to write `OR`) can be met by what is allowed.
fn is_allowed(expression: &str, allowed: &BTreeSet<&str>) -> bool {
    let text = expression.replace('/', " OR ").replace('(', " ( ").replace(')', " ) ");
    let text = text.replace(" WITH ", "+WITH+");
    let words: Vec<&str> = text.split_whitespace().collect();
    let mut at = 0;
    either(&words, &mut at, allowed) && at == words.len()
}

fn either(words: &[&str], at: &mut usize, allowed: &BTreeSet<&str>) -> bool {
    let mut good = both(words, at, allowed);
    while words.get(*at) == Some(&"OR") {
        *at += 1;
        good |= both(words, at, allowed);
    }
    good
}

fn both(words: &[&str], at: &mut usize, allowed: &BTreeSet<&str>) -> bool {
    let mut good = single(words, at, allowed);
    while words.get(*at) == Some(&"AND") {
        *at += 1;
        good &= single(words, at, allowed);
    }
    good
}

fn single(words: &[&str], at: &mut usize, allowed: &BTreeSet<&str>) -> bool {
    let Some(word) = words.get(*at) else { return false };
    *at += 1;
    if *word != "(" {
        return allowed.contains(word.replace("+WITH+", " WITH ").as_str());
    }
    let good = either(words, at, allowed);
    let closed = words.get(*at) == Some(&")");
    *at += 1;
    good && closed
}

#[test]
fn expressions_are_understood() {
    let allowed = BTreeSet::from(["MIT", "ISC", "Apache-2.0 WITH LLVM-exception"]);
    for good in [
        "MIT",
        "MIT/Apache-2.0",
        "GPL-3.0 OR MIT",
        "(GPL-3.0 OR MIT) AND ISC",
        "Apache-2.0 WITH LLVM-exception",
    ] {
        assert!(is_allowed(good, &allowed), "{good}");
    }
    for bad in [
        "",
        "GPL-3.0",
        "MIT AND GPL-3.0",
        "(MIT OR ISC) AND GPL-3.0",
        "Apache-2.0",
        "MIT ISC",
        "(MIT",
    ] {
        assert!(!is_allowed(bad, &allowed), "{bad}");
    }
}

#[test]
fn every_compiled_crate_has_a_licence_that_is_allowed() {
    let deny = read("deny.toml");
    let allowed = deny["licenses"]["allow"].as_array().unwrap();
    let allowed: BTreeSet<&str> = allowed.iter().filter_map(|licence| licence.as_str()).collect();
    let crates = compiled();
    assert!(crates.len() > 100, "this is not the whole tree: {crates:?}");
    let refused: Vec<_> = crates
        .iter()
        .filter(|(_, licence)| !is_allowed(licence, &allowed))
        .collect();
    assert!(
        refused.is_empty(),
        "licences that deny.toml does not allow: {refused:#?}"
    );
}

#[test]
fn no_banned_crate_is_compiled() {
    let deny = read("deny.toml");
    let banned = deny["bans"]["deny"].as_array().unwrap();
    assert!(!banned.is_empty());
    let (all, released) = (compiled(), along("normal,build"));
    for ban in banned {
        let (name, reason) = (ban["crate"].as_str().unwrap(), ban["reason"].as_str().unwrap());
        // What a tool of the tests brings with it does not come into the program.
        let tolerated = ban.get("wrappers").is_some();
        let crates = if tolerated { &released } else { &all };
        assert!(
            !crates.iter().any(|(found, _)| found == name),
            "{name} is banned: {reason}"
        );
    }
}

#[test]
fn every_crate_comes_from_the_one_registry_with_its_checksum() {
    let lock = read("Cargo.lock");
    for package in lock["package"].as_array().unwrap() {
        let name = package["name"].as_str().unwrap();
        if name != env!("CARGO_PKG_NAME") {
            assert_eq!(
                package.get("source").and_then(|source| source.as_str()),
                Some(REGISTRY),
                "{name}"
            );
            assert!(package.get("checksum").is_some(), "{name} has no checksum");
        }
    }
}
