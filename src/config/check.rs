//! The whole file, section by section, into settings.
//!
//! Knows: which sections there are and what holds between them. Must not know: where the text came from.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::domain::ids::TemplateName;
use crate::domain::settings::{AgentSettings, LimitSettings, MetricsPlace, Settings, UiSettings};
use crate::domain::template::Template;

use super::raw::{Document, LATER, Section};
use super::{Loaded, Mistakes, Surroundings, archive, docker, leases, network, roles, routing, templates, units};

/// Tables and keys of the design that come with later versions.
const LATER_SECTIONS: [&str; 1] = ["guard"];
/// The template that is taken when none is named anywhere.
const DEFAULT_TEMPLATE: &str = "node";
/// Creations in flight: the knee of an engine's rate on two cores.
const CREATIONS: u32 = 8;
/// Archives read at once: each takes a core for compression.
const ARCHIVES: u32 = 4;
/// Snapshots of a seat that are kept.
const SNAPSHOTS: u32 = 3;
/// Seconds of grace: enough to read, store and prove the work of a few full seats.
const GRACE: u32 = 90;
/// Longest grace, seconds: an hour; a service manager must be told to wait longer than that.
const GRACE_MAX: u32 = 3_600;
/// The word for "nowhere", where a path may stand.
pub(super) const NOWHERE: &str = "none";
/// Most of either: beyond it the engine only queues.
const IN_FLIGHT_MAX: u32 = 256;

/// Checks `text`, the content of `source`; no source means the built-in defaults.
pub(super) fn check(source: Option<&Path>, text: &str, around: &Surroundings<'_>) -> Result<Loaded, Mistakes> {
    let document = Document::parse(text);
    let root = document.root();
    let mut warnings = Vec::new();
    let all = templates::read(&root, &mut warnings);
    let engine = docker::read(&root.table("docker"), around.env);
    let gateway = routing::gateway(&root.table("gateway"));
    let settings = Settings {
        default_template: default_template(&root, &all.templates),
        archive: archive::read(&root.table("archive"), around.state_dir),
        network: network::read(&root.table("network")),
        routing: routing::read(&root.table("routing"), &engine.settings, &gateway, &mut warnings),
        gateway: gateway.settings,
        leases: leases::read(&root.table("leases"), &mut warnings),
        roles: roles::read(&root),
        limits: limits(&root.table("limits")),
        agent: agent(&root.table("agent")),
        ui: ui(&root.table("ui")),
        docker: engine.settings,
        templates: all.templates,
    };
    root.end(&LATER_SECTIONS);
    let mut mistakes = document.into_mistakes();
    mistakes.extend(engine.mistakes);
    let source = source.map(Path::to_owned);
    if mistakes.is_empty() {
        Ok(Loaded {
            settings,
            source,
            warnings,
            overrides: engine.overrides,
            from_file: all.from_file,
        })
    } else {
        Err(Mistakes { source, all: mistakes })
    }
}

/// Holds a text to a list of words, some of which come later.
pub(super) fn one_of<T: Copy>(text: &str, words: &[(&str, T)], later: &[&str]) -> Result<T, String> {
    if later.contains(&text) {
        return Err(LATER.to_owned());
    }
    let word = words.iter().find(|(word, _)| *word == text).map(|(_, value)| *value);
    word.ok_or_else(|| {
        let words: Vec<_> = words.iter().map(|(word, _)| format!("{word:?}")).collect();
        format!("must be {}", words.join(" or "))
    })
}

fn default_template(root: &Section<'_>, templates: &BTreeMap<TemplateName, Template>) -> TemplateName {
    let named = root.read("default_template", |text: String| {
        let name: TemplateName = text.parse().map_err(|error| format!("{error}"))?;
        let known: Vec<_> = templates.keys().map(TemplateName::as_str).collect();
        if templates.contains_key(&name) {
            Ok(name)
        } else {
            Err(format!("no such template; there are {}", known.join(", ")))
        }
    });
    named.unwrap_or_else(|| templates::built_in_name(DEFAULT_TEMPLATE))
}

/// Holds a text to being an absolute path.
pub(super) fn absolute(text: String) -> Result<PathBuf, String> {
    if text.starts_with('/') && !text.contains('\0') {
        Ok(PathBuf::from(text))
    } else {
        Err("must be an absolute path".to_owned())
    }
}

fn limits(section: &Section<'_>) -> LimitSettings {
    let bound = |key, usual| {
        let read = section.read(key, |number: i64| units::within(number, 1, IN_FLIGHT_MAX));
        read.unwrap_or(usual) as usize
    };
    let limits = LimitSettings {
        creations_in_flight: bound("creations_in_flight", CREATIONS),
        archives_in_flight: bound("archives_in_flight", ARCHIVES),
        snapshots_kept: bound("snapshots_kept", SNAPSHOTS),
    };
    section.end(&["overcommit"]);
    limits
}

fn agent(section: &Section<'_>) -> AgentSettings {
    let grace = section.read("grace_seconds", |number: i64| units::within(number, 1, GRACE_MAX));
    let metrics = section.read("metrics_socket", |text: String| match text.as_str() {
        NOWHERE => Ok(MetricsPlace::Nowhere),
        _ => absolute(text)
            .map(MetricsPlace::Socket)
            .map_err(|rule| format!("{rule}, or \"{NOWHERE}\"")),
    });
    section.end(&[]);
    AgentSettings {
        grace_seconds: grace.unwrap_or(GRACE),
        metrics: metrics.unwrap_or(MetricsPlace::Usual),
    }
}

fn ui(section: &Section<'_>) -> UiSettings {
    let ui = UiSettings {
        ascii: section.plain("ascii").unwrap_or(false),
        slow: section.plain("slow").unwrap_or(false),
    };
    section.end(&["theme", "keys"]);
    ui
}
