//! The walls of the house: which folder may import which, where clocks are read, who may prove an archive.
//!
//! Each rule is a function over one file's path and source, so that the tests at the end can show that it fails.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

#[path = "architecture/source.rs"]
mod source;

use source::Source;

/// Longest file, lines: beyond it nobody reads the whole.
const LINES_MAX: usize = 500;

/// What a folder (or single file) below `src/` may import of the crate, longest prefix first.
const WALLS: &[(&str, &[&str])] = &[
    ("domain", &["domain"]),
    ("pack", &["pack", "domain"]),
    ("config", &["config", "pack::rules", "domain"]),
    ("world", &["world", "pack", "domain"]),
    ("engine", &["engine", "world", "codes", "firewall", "metrics", "domain"]),
    ("firewall", &["firewall"]),
    ("codes", &["codes", "domain"]),
    ("gateway", &["gateway", "wire::client", "paths", "signals", "domain"]),
    ("metrics", &["metrics", "paths", "domain"]),
    ("service", &["service", "engine::handle", "domain"]),
    ("log", &["log", "cli", "paths"]),
    ("paths", &["paths"]),
    ("wire/server", &["wire", "engine::handle", "metrics", "paths", "domain"]),
    ("wire", &["wire", "domain"]),
    ("signals", &["signals"]),
    (
        "tui",
        &[
            "tui",
            "pack::entry",
            "pack::manifest",
            "wire::client",
            "signals",
            "domain",
        ],
    ),
    (
        "cli",
        &[
            "cli",
            "codes",
            "config",
            "firewall",
            "pack",
            "paths",
            "wire::client",
            "signals",
            "domain",
        ],
    ),
];

/// Crates that only some folders may name.
const FENCED: &[(&str, &[&str])] = &[
    ("bollard", &["world/docker", "world/meter/docker"]),
    ("hyper", &["world/docker"]),
    ("tokio_rustls", &["world/docker"]),
    ("ratatui", &["tui"]),
    ("tui_input", &["tui"]),
    ("crossterm", &["tui", "cli"]),
    ("rusqlite", &["world/ledger"]),
    ("zstd", &["pack", "world/archive"]),
    ("s3", &["world/archive/s3"]),
    ("reqwest", &["world/archive/s3", "world/proxy"]),
    ("globset", &["pack"]),
    ("axum", &["gateway", "metrics"]),
    ("askama", &["gateway"]),
    ("jsonwebtoken", &["gateway"]),
    ("argon2", &["codes"]),
    ("csv", &["cli/roster"]),
    ("prometheus_client", &["metrics"]),
    ("sd_notify", &["service"]),
    ("clap", &["cli", "main"]),
    ("anyhow", &["main", "agent"]),
];

/// What the pure domain may name besides itself.
const DOMAIN_MAY: &[&str] = &[
    "std",
    "core",
    "alloc",
    "serde",
    // A digest is as pure as a sum, and names have limits that nothing else keeps them injective in.
    "sha2",
    "thiserror",
    "clippy",
    "crate",
    "super",
    "self",
];

/// Readings of the wall clock.
const CLOCKS: &[&str] = &[
    "SystemTime::now",
    "Timestamp::now",
    "ZonedDateTime::now",
    "UNIX_EPOCH.elapsed",
];

fn imports_keep_to_the_walls(source: &Source) -> Vec<String> {
    let Some((_, may)) = WALLS.iter().find(|(folder, _)| source.is_in(folder)) else {
        return Vec::new();
    };
    let within = |path: &str, wall: &str| path == wall || path.starts_with(&format!("{wall}::"));
    let paths = source.crate_paths();
    let wrong = paths.iter().filter(|path| !may.iter().any(|wall| within(path, wall)));
    wrong
        .map(|path| source.complain(&format!("imports crate::{path}; it may import {may:?}")))
        .collect()
}

fn crates_stay_in_their_folders(source: &Source) -> Vec<String> {
    let named = source.external_roots();
    let wrong = FENCED
        .iter()
        .filter(|(name, folders)| named.contains(*name) && !folders.iter().any(|folder| source.is_in(folder)));
    wrong
        .map(|(name, folders)| source.complain(&format!("names {name}, which belongs in {folders:?}")))
        .collect()
}

fn the_domain_is_pure(source: &Source) -> Vec<String> {
    if !source.is_in("domain") {
        return Vec::new();
    }
    let may: BTreeSet<String> = DOMAIN_MAY.iter().map(ToString::to_string).collect();
    let roots = source.external_roots();
    let wrong = roots.difference(&may);
    let mut found: Vec<_> = wrong
        .map(|name| source.complain(&format!("the domain names {name}")))
        .collect();
    for outside in [
        "std::fs",
        "std::net::Tcp",
        "std::net::Udp",
        "std::process",
        "std::thread",
        "std::time::Instant",
    ] {
        if source.names(outside) {
            found.push(source.complain(&format!("the domain names {outside}")));
        }
    }
    found
}

fn clocks_are_read_in_one_place(source: &Source) -> Vec<String> {
    if source.path == "engine/clock.rs" {
        return Vec::new();
    }
    let read = CLOCKS.iter().filter(|clock| source.names(clock));
    read.map(|clock| source.complain(&format!("reads {clock}; only engine/clock.rs may")))
        .collect()
}

fn only_verification_proves_archives(source: &Source) -> Vec<String> {
    let proves = source.names("VerifiedArchive::prove") || source.names("::prove(");
    if proves && !source.is_in("world/archive") {
        return vec![source.complain("proves an archive; only world/archive may")];
    }
    Vec::new()
}

fn nothing_is_unsafe(source: &Source) -> Vec<String> {
    if source.has_word("unsafe") {
        return vec![source.complain("has `unsafe`")];
    }
    Vec::new()
}

fn every_file_says_what_it_is_and_is_short(source: &Source) -> Vec<String> {
    let mut found = Vec::new();
    if !source.text.starts_with("//!") {
        found.push(source.complain("does not begin with what it knows (`//!`)"));
    }
    let lines = source.text.lines().count();
    if lines > LINES_MAX {
        found.push(source.complain(&format!("has {lines} lines; {LINES_MAX} are the ceiling")));
    }
    found
}

type Rule = fn(&Source) -> Vec<String>;

fn holds(rule: Rule) {
    let found: Vec<String> = sources("src").iter().flat_map(rule).collect();
    assert!(found.is_empty(), "\n{}", found.join("\n"));
}

/// Every source below `folder`, with paths relative to it.
fn sources(folder: &str) -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let mut found = Vec::new();
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let name = path.strip_prefix(&root).unwrap().display().to_string();
                found.push(Source::new(&name, &fs::read_to_string(&path).unwrap()));
            }
        }
    }
    assert!(!found.is_empty(), "no sources below {}", root.display());
    found
}

#[test]
fn imports_run_downward() {
    holds(imports_keep_to_the_walls);
}

#[test]
fn fenced_crates_stay_inside() {
    holds(crates_stay_in_their_folders);
}

#[test]
fn the_domain_knows_no_world() {
    holds(the_domain_is_pure);
}

#[test]
fn one_clock() {
    holds(clocks_are_read_in_one_place);
}

#[test]
fn one_prover() {
    holds(only_verification_proves_archives);
}

#[test]
fn no_unsafe() {
    holds(nothing_is_unsafe);
    let tests: Vec<String> = sources("tests").iter().flat_map(nothing_is_unsafe).collect();
    assert!(tests.is_empty(), "{tests:#?}");
}

#[test]
fn files_are_short_and_say_what_they_are() {
    holds(every_file_says_what_it_is_and_is_short);
    let tests: Vec<String> = sources("tests")
        .iter()
        .flat_map(every_file_says_what_it_is_and_is_short)
        .collect();
    assert!(tests.is_empty(), "{tests:#?}");
}

/// Holds `rule` to refusing every one of `bad` and none of `good`; each is (path, source).
fn tells_apart(rule: Rule, bad: &[(&str, &str)], good: &[(&str, &str)]) {
    for (path, text) in bad {
        assert!(
            !rule(&Source::new(path, text)).is_empty(),
            "{path} was let through:\n{text}"
        );
    }
    for (path, text) in good {
        assert_eq!(rule(&Source::new(path, text)), Vec::<String>::new(), "{path}:\n{text}");
    }
}

#[test]
fn the_rule_of_imports_can_fail() {
    tells_apart(
        imports_keep_to_the_walls,
        &[
            ("domain/plan.rs", "use crate::engine::handle::Handle;"),
            ("domain/plan.rs", "fn f() { crate::world::x() }"),
            ("domain/plan.rs", "use super::super::world::docker;"),
            ("world/docker/x.rs", "use crate::{domain::ids, engine};"),
            (
                "world/docker/x.rs",
                "use crate::{\n    domain::{ids::SeatId, fault},\n    wire::client::Client,\n};",
            ),
            ("tui/view/x.rs", "use crate::wire::server::Server;"),
            ("tui/view/x.rs", "use crate::engine::handle;"),
            ("cli.rs", "use crate::world::ledger;"),
            ("wire/server.rs", "use crate::engine::reconcile;"),
            ("wire/server.rs", "use crate::world::docker;"),
            ("wire/client.rs", "use crate::engine::handle;"),
            ("engine/x.rs", "use crate::tui::model as m;"),
            ("engine/x.rs", "use crate::*;"),
            ("domain/x.rs", "use labtop::engine;"),
        ],
        &[
            (
                "domain/plan.rs",
                "// use crate::engine;\n/* crate::world::x */ const A: &str = \"crate::tui\";",
            ),
            (
                "domain/plan.rs",
                "use super::ids; use crate::domain::{fault::Fault, ids::SeatId};",
            ),
            (
                "tui/view/x.rs",
                "use crate::{domain::snapshot::Snapshot, tui::theme, wire::client::{Client, Event}};",
            ),
            ("wire/server.rs", "use crate::engine::handle::{Handle, Attached};"),
            ("main.rs", "use labtop::engine;"),
        ],
    );
}

#[test]
fn the_rule_of_fences_can_fail() {
    tells_apart(
        crates_stay_in_their_folders,
        &[
            ("engine/x.rs", "use bollard::Docker;"),
            ("world/meter/cgroup.rs", "fn f(d: &bollard::Docker) {}"),
            ("cli.rs", "use ratatui::Frame;"),
            ("engine/x.rs", "use {rusqlite::Connection, std::fmt};"),
            ("wire/codec.rs", "use ::crossterm::event;"),
            ("world/docker.rs", "use anyhow::Result;"),
        ],
        &[
            ("world/docker/events.rs", "use bollard::Docker;"),
            ("world/docker.rs", "use bollard::Docker;"),
            ("world/meter/docker.rs", "use bollard::Docker;"),
            ("tui/view.rs", "use ratatui::Frame;"),
            (
                "engine/x.rs",
                "// bollard::Docker\nconst WHY: &str = r#\"bollard::x \"quoted\" \"#;",
            ),
        ],
    );
}

#[test]
fn the_rule_of_purity_can_fail() {
    tells_apart(
        the_domain_is_pure,
        &[
            ("domain/x.rs", "use tokio::sync::mpsc;"),
            ("domain/x.rs", "fn f() { tracing::info!(\"x\"); }"),
            ("domain/x.rs", "use std::fs;"),
            ("domain/x.rs", "use std::{fmt, fs::File};"),
        ],
        &[
            (
                "domain/x.rs",
                "use std::fmt::{self, Write}; use serde::Serialize; use super::ids::SeatId; fn f(_: fmt::Error) {}",
            ),
            (
                "domain/x.rs",
                "fn f() -> Phase { Phase::Ready }\n#[cfg(test)]\nmod tests { use proptest::prelude::*; }",
            ),
            ("engine/x.rs", "use tokio::sync::mpsc;"),
        ],
    );
}

#[test]
fn the_rule_of_clocks_can_fail() {
    tells_apart(
        clocks_are_read_in_one_place,
        &[
            ("engine/x.rs", "let t = std::time::SystemTime::now();"),
            ("world/x.rs", "let t = jiff::Timestamp::now();"),
            ("tui/x.rs", "let t = jiff :: ZonedDateTime :: now ();"),
        ],
        &[
            ("engine/clock.rs", "let t = SystemTime::now();"),
            ("engine/x.rs", "let t = tokio::time::Instant::now();"),
            (
                "engine/x.rs",
                "#[cfg(test)]\nmod tests { fn f() { SystemTime::now(); } }",
            ),
        ],
    );
}

#[test]
fn the_rule_of_proofs_can_fail() {
    tells_apart(
        only_verification_proves_archives,
        &[
            ("engine/x.rs", "let v = VerifiedArchive::prove(claim, seen, still)?;"),
            ("engine/x.rs", "use VerifiedArchive as V; let v = V::prove(claim);"),
        ],
        &[
            ("world/archive/verify.rs", "VerifiedArchive::prove(claim)"),
            (
                "domain/proof.rs",
                "#[cfg(test)]\nmod tests { fn f() { VerifiedArchive::prove(1); } }",
            ),
        ],
    );
}

#[test]
fn the_rules_of_files_can_fail() {
    tells_apart(
        nothing_is_unsafe,
        &[("x.rs", "fn f() { unsafe { g() } }")],
        &[("x.rs", "// unsafe\nlet unsafely = 1;")],
    );
    let long = format!("//! Long.\n{}", "\n".repeat(LINES_MAX));
    tells_apart(
        every_file_says_what_it_is_and_is_short,
        &[("x.rs", "use std::fmt;"), ("x.rs", &long)],
        &[("x.rs", "//! Knows nothing.\n")],
    );
}
