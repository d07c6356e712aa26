//! The effective settings as TOML that can be read back, with where each part came from.
//!
//! Knows: settings and units. Must not know: secrets; settings hold only the paths of keys.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::net::SocketAddr;
use std::path::Path;

use serde::Serialize;
use toml::{Table, Value};

use crate::domain::door::{Leaving, SecondLogin};
use crate::domain::ids::TemplateName;
use crate::domain::proof::VerifyMode;
use crate::domain::role::{Member, Narrowed, RoleSettings};
use crate::domain::routes::RouteRule;
use crate::domain::settings::{
    AgentSettings, ArchiveSettings, DockerSettings, LeaseSettings, LeaseStore, LimitSettings, MetricsPlace, Probe,
    Provider, RouteAuth, S3Settings, SecretUrl, Settings, StoreSettings, UiSettings,
};
use crate::domain::template::{Activity, Egress, Template};

use super::check::NOWHERE;
use super::templates::DEMO_TEMPLATE;
use super::{Loaded, units};

/// Everything outside of templates, under the file's own keys.
#[derive(Serialize)]
struct General<'a> {
    default_template: &'a TemplateName,
    docker: &'a DockerSettings,
    leases: Leases<'a>,
    archive: Archive<'a>,
    network: Network,
    routing: Routing<'a>,
    gateway: Gateway<'a>,
    limits: LimitSettings,
    agent: Agent<'a>,
    ui: UiSettings,
    roles: Roles<'a>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    rooms: BTreeMap<&'a str, RoomRoles<'a>>,
}

#[derive(Serialize)]
struct Roles<'a> {
    admin: &'a [Member],
    proctor: &'a [Member],
    viewer: &'a [Member],
    gateway: &'a [Member],
}

#[derive(Serialize)]
struct RoomRoles<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    proctor: Option<&'a [Member]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    viewer: Option<&'a [Member]>,
}

fn room_roles(roles: &RoleSettings) -> BTreeMap<&str, RoomRoles<'_>> {
    fn keys(narrowed: &Narrowed) -> (&str, RoomRoles<'_>) {
        let Narrowed { rooms, proctor, viewer } = narrowed;
        let (proctor, viewer) = (proctor.as_deref(), viewer.as_deref());
        (rooms.as_str(), RoomRoles { proctor, viewer })
    }
    roles.rooms.iter().map(keys).collect()
}

#[derive(Serialize)]
struct Leases<'a> {
    store: &'static str,
    warn_minutes: &'a [u32],
    #[serde(skip_serializing_if = "Option::is_none", flatten)]
    redis: Option<Redis<'a>>,
}

/// The address without its password.
#[derive(Serialize)]
struct Redis<'a> {
    url: &'a SecretUrl,
    prefix: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    password_file: Option<&'a Path>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ca_file: Option<&'a Path>,
}

fn leases(settings: &LeaseSettings) -> Leases<'_> {
    let (store, redis) = match &settings.store {
        LeaseStore::Embedded => ("embedded", None),
        LeaseStore::Redis(redis) => ("redis", Some(redis)),
    };
    Leases {
        store,
        warn_minutes: &settings.warn_minutes,
        redis: redis.map(|redis| Redis {
            url: &redis.url,
            prefix: &redis.prefix,
            password_file: redis.password_file.as_deref(),
            ca_file: redis.ca_file.as_deref(),
        }),
    }
}

#[derive(Serialize)]
struct Archive<'a> {
    store: &'static str,
    verify: VerifyMode,
    level: u32,
    threads: u32,
    prefix: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    directory: Option<Directory<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    s3: Option<S3<'a>>,
}

#[derive(Serialize)]
struct Directory<'a> {
    path: &'a Path,
}

/// Only where the keys are, never the keys.
#[derive(Serialize)]
struct S3<'a> {
    endpoint: &'a str,
    region: &'a str,
    bucket: &'a str,
    path_style: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    access_key_file: Option<&'a Path>,
    #[serde(skip_serializing_if = "Option::is_none")]
    secret_key_file: Option<&'a Path>,
    part_size: String,
    parts_in_flight: u32,
    idle_timeout: u32,
    retries: u32,
}

fn archive(settings: &ArchiveSettings) -> Archive<'_> {
    let (store, prefix, directory, s3) = match &settings.store {
        StoreSettings::Directory(path) => ("directory", "", Some(Directory { path }), None),
        StoreSettings::S3(s3) => ("s3", s3.prefix.as_str(), None, Some(keys_of_s3(s3))),
    };
    Archive {
        store,
        verify: settings.verify,
        level: settings.level,
        threads: settings.threads,
        prefix,
        directory,
        s3,
    }
}

fn keys_of_s3(s3: &S3Settings) -> S3<'_> {
    S3 {
        endpoint: &s3.endpoint,
        region: &s3.region,
        bucket: &s3.bucket,
        path_style: s3.path_style,
        access_key_file: s3.access_key_file.as_deref(),
        secret_key_file: s3.secret_key_file.as_deref(),
        part_size: units::size(s3.part_bytes),
        parts_in_flight: s3.parts_in_flight,
        idle_timeout: s3.idle_seconds,
        retries: s3.retries,
    }
}

#[derive(Serialize)]
struct Network {
    pool: String,
    prefix: u8,
}

#[derive(Serialize)]
struct Routing<'a> {
    rule: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    domain: Option<&'a str>,
    provider: Provider,
    probe: Probe,
    auth: RouteAuth,
    strip_prefix: bool,
}

#[derive(Serialize)]
struct Gateway<'a> {
    listen: SocketAddr,
    #[serde(skip_serializing_if = "Option::is_none")]
    public_url: Option<&'a str>,
    traefik_url: &'a str,
}

#[derive(Serialize)]
struct Agent<'a> {
    grace_seconds: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    metrics_socket: Option<&'a Path>,
}

fn agent(settings: &AgentSettings) -> Agent<'_> {
    Agent {
        grace_seconds: settings.grace_seconds,
        metrics_socket: match &settings.metrics {
            MetricsPlace::Usual => None,
            MetricsPlace::Nowhere => Some(Path::new(NOWHERE)),
            MetricsPlace::Socket(path) => Some(path),
        },
    }
}

/// What `labtop config print` prints. Read as a file it gives the same settings.
#[must_use]
pub fn to_toml(loaded: &Loaded) -> String {
    let mut text = String::new();
    let source = loaded.source.as_deref().map(Path::display);
    let _ = match &source {
        Some(path) => writeln!(text, "# From {path}; what it leaves out is built in."),
        None => writeln!(text, "# Built in: no configuration file was found."),
    };
    for (key, variable) in &loaded.overrides {
        let _ = writeln!(text, "# {key} comes from ${variable}.");
    }
    let _ = writeln!(text, "\n{}", as_toml(&general(&loaded.settings)));
    for template in loaded.settings.templates.values() {
        text.push_str(&one_template(template, loaded));
    }
    text
}

fn as_toml(value: &impl Serialize) -> String {
    // Plain tables of texts and numbers always have a TOML form; if not, the cause stands in its place.
    toml::to_string(value).unwrap_or_else(|error| format!("# {error}\n"))
}

fn general(settings: &Settings) -> General<'_> {
    let network = settings.network;
    General {
        default_template: &settings.default_template,
        docker: &settings.docker,
        leases: leases(&settings.leases),
        archive: archive(&settings.archive),
        network: Network {
            pool: format!("{}/{}", network.pool, network.pool_prefix),
            prefix: network.prefix,
        },
        routing: Routing {
            rule: if settings.routing.rule == RouteRule::Path {
                "path"
            } else {
                "host"
            },
            domain: settings.routing.rule.domain(),
            provider: settings.routing.provider,
            probe: settings.routing.probe,
            auth: settings.routing.auth,
            strip_prefix: settings.routing.strip_prefix,
        },
        gateway: Gateway {
            listen: settings.gateway.listen,
            public_url: settings.gateway.public_url.as_deref(),
            traefik_url: &settings.routing.traefik_url,
        },
        limits: settings.limits,
        agent: agent(&settings.agent),
        ui: settings.ui,
        roles: Roles {
            admin: &settings.roles.admin,
            proctor: &settings.roles.proctor,
            viewer: &settings.roles.viewer,
            gateway: &settings.roles.gateway,
        },
        rooms: room_roles(&settings.roles),
    }
}

fn one_template(template: &Template, loaded: &Loaded) -> String {
    let text = as_toml(&BTreeMap::from([(
        "templates",
        BTreeMap::from([(&template.name, keys(template))]),
    )]));
    if template.name.as_str() == DEMO_TEMPLATE {
        // Its name is not for files, so that it is shown and not read back.
        let commented = text.trim_end().replace('\n', "\n# ");
        return format!("# Built in, for `labtop demo`:\n# {commented}\n\n");
    }
    let origin = match &loaded.source {
        Some(path) if loaded.from_file.contains(&template.name) => format!("From {}", path.display()),
        _ => "Built in".to_owned(),
    };
    format!("# {origin}:\n{text}\n")
}

/// What counts as activity, as the file writes it.
fn words(template: &Template) -> Value {
    let word = |kind: &Activity| match kind {
        Activity::Cpu => "cpu",
        Activity::Network => "network",
        Activity::Files => "files",
        Activity::Terminal => "terminal",
    };
    let words: Vec<&str> = template.activity.iter().map(word).collect();
    words.into()
}

/// A template under the file's own keys; those that are absent are left out.
fn keys(template: &Template) -> Table {
    let mut table = Table::new();
    let mut put = |key: &str, value: Value| table.insert(key.to_owned(), value);
    let user = template.user;
    put("image", template.image.clone().into());
    put("command", template.command.clone().into());
    put("user", format!("{}:{}", user.uid, user.gid).into());
    put("memory", units::size(template.memory_bytes).into());
    put("cpus", (f64::from(template.millicpus) / 1000.0).into());
    put("pids", template.pids.into());
    put("nofile", template.nofile.into());
    put("network", egress(template.network).into());
    put("workspace", template.workspace.clone().into());
    put("minutes", template.minutes.into());
    put("cap_add", template.cap_add.clone().into());
    put("read_only", template.read_only.into());
    if let Some(port) = template.port {
        put("port", i64::from(port).into());
    }
    if let Some(starter) = &template.starter {
        put("starter", starter.display().to_string().into());
    }
    if let Some(runtime) = &template.runtime {
        put("runtime", runtime.clone().into());
    }
    if let Some(seconds) = template.autosave {
        put("autosave", i64::from(seconds).into());
    }
    if let Some(minutes) = template.idle_minutes {
        put("idle_minutes", i64::from(minutes).into());
    }
    put("activity", words(template));
    let leaving = |leaving| match leaving {
        Leaving::Keep => "keep",
        Leaving::Collect => "collect",
    };
    let second = match template.door.second_login {
        SecondLogin::Takeover => "takeover",
        SecondLogin::Refuse => "refuse",
    };
    put("second_login", second.into());
    put("logout", leaving(template.door.logout).into());
    put("hand_in", template.door.hand_in.map_or("off", leaving).into());
    put("archive", chosen(template).into());
    if !template.env.is_empty() {
        let env = template.env.iter();
        let env: Table = env.map(|(name, value)| (name.clone(), value.clone().into())).collect();
        put("env", env.into());
    }
    table
}

fn chosen(template: &Template) -> Table {
    let selection = &template.archive;
    let mut table = Table::new();
    for (key, list) in [
        ("paths", &selection.paths),
        ("include", &selection.include),
        ("exclude", &selection.exclude),
    ] {
        if !list.is_empty() {
            table.insert(key.to_owned(), list.clone().into());
        }
    }
    table.insert("max_size".to_owned(), units::size(selection.max_bytes).into());
    table
}

fn egress(network: Egress) -> &'static str {
    match network {
        Egress::Open => "open",
        Egress::Closed => "closed",
    }
}
