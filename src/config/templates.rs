//! Templates: those that are built in, and the file's, which replace built-in ones of the same name.
//!
//! Knows: the rules of one template. Must not know: the engine's words for limits.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::domain::door::{DoorPolicy, Leaving, SecondLogin};
use crate::domain::ids::TemplateName;
use crate::domain::policy::LEASE_MINUTES_MAX;
use crate::domain::template::{ACTIVITY, Activity, ESCAPES, Egress, FORGES_PACKETS, SeatUser, Template};

use super::check::{absolute, one_of};
use super::raw::{Document, Section};
use super::{EXAMPLE, archive, image, units};

/// The template of `labtop demo`. A file may not define it.
pub const DEMO_TEMPLATE: &str = "demo";
/// The image that `labtop demo` builds on the engine before it opens its room.
pub const DEMO_IMAGE: &str = "labtop-demo:latest";
/// The template as text; a test holds its image to [`DEMO_IMAGE`].
const DEMO: &str = include_str!("demo.toml");

/// Processes unless the template says otherwise: enough for a build, far too few for a fork bomb to hurt.
const PIDS: u32 = 256;
/// A day between two snapshots is none at all.
const AUTOSAVE_MAX_S: u32 = 24 * 60 * 60;
/// Least minutes without activity after which a seat may end: a student reads, too.
const IDLE_MINUTES_MIN: u32 = 5;
/// Most processes: what a Linux kernel can number.
const PIDS_MAX: u32 = 4_194_304;
/// Open files unless the template says otherwise.
const NOFILE: u32 = 4096;
/// Fewest open files: a shell and a language runtime need some.
const NOFILE_MIN: u32 = 64;
/// Most open files: the kernel's own ceiling (`fs.nr_open`) unless somebody raised it.
const NOFILE_MAX: u32 = 1_048_576;
/// Memory unless the template says otherwise, bytes.
const MEMORY: u64 = 512 << 20;
/// CPU unless the template says otherwise, thousandths of a core.
const MILLICPUS: u32 = 1000;
/// Lease unless the template says otherwise, minutes.
const MINUTES: u32 = 180;
/// The user unless the template says otherwise: the first user of most images.
const USER: SeatUser = SeatUser { uid: 1000, gid: 1000 };
/// Where work is kept unless the template says otherwise.
const WORKSPACE: &str = "/workspace";
/// Directories that a program cannot do without: a volume on or below them would hide them.
const SYSTEM: [&str; 12] = [
    "/bin", "/boot", "/dev", "/etc", "/lib", "/lib32", "/lib64", "/libx32", "/proc", "/run", "/sbin", "/sys",
];
/// Directories that only a volume on themselves would hide.
const SHARED: [&str; 11] = [
    "/",
    "/home",
    "/opt",
    "/tmp",
    "/usr",
    "/usr/bin",
    "/usr/lib",
    "/usr/local",
    "/usr/sbin",
    "/usr/share",
    "/var",
];
/// Capabilities of Linux, without the `CAP_`.
const CAPABILITIES: [&str; 41] = [
    "AUDIT_CONTROL",
    "AUDIT_READ",
    "AUDIT_WRITE",
    "BLOCK_SUSPEND",
    "BPF",
    "CHECKPOINT_RESTORE",
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "IPC_LOCK",
    "IPC_OWNER",
    "KILL",
    "LEASE",
    "LINUX_IMMUTABLE",
    "MAC_ADMIN",
    "MAC_OVERRIDE",
    "MKNOD",
    "NET_ADMIN",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_RAW",
    "PERFMON",
    "SETFCAP",
    "SETGID",
    "SETPCAP",
    "SETUID",
    "SYSLOG",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_CHROOT",
    "SYS_MODULE",
    "SYS_NICE",
    "SYS_PACCT",
    "SYS_PTRACE",
    "SYS_RAWIO",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "WAKE_ALARM",
];

/// All templates, and which of them the file defines.
pub(super) struct All {
    pub(super) templates: BTreeMap<TemplateName, Template>,
    pub(super) from_file: Vec<TemplateName>,
}

/// Reads `[templates]` over the built-in ones.
pub(super) fn read(root: &Section<'_>, warnings: &mut Vec<String>) -> All {
    let mut templates = built_in();
    let section = root.table("templates");
    let mut from_file = Vec::new();
    for key in section.keys() {
        if key == DEMO_TEMPLATE {
            section.wrong(&key, "this name belongs to `labtop demo`");
            continue;
        }
        match key.parse::<TemplateName>() {
            Ok(name) => {
                let template = one(&section.table(&key), &name);
                warn(&template, warnings);
                templates.insert(name.clone(), template);
                from_file.push(name);
            }
            Err(error) => section.wrong(&key, error.to_string()),
        }
    }
    All { templates, from_file }
}

/// A built-in template's name.
#[expect(
    clippy::expect_used,
    reason = "called with literals only, each of which a test parses"
)]
pub(super) fn built_in_name(name: &str) -> TemplateName {
    name.parse().expect("the names of built-in templates are valid")
}

/// The templates of the example file, and the demo's. Tests hold both texts to be without mistakes.
fn built_in() -> BTreeMap<TemplateName, Template> {
    [EXAMPLE, DEMO]
        .iter()
        .flat_map(|text| of_text(text))
        .map(|template| (template.name.clone(), template))
        .collect()
}

fn of_text(text: &str) -> Vec<Template> {
    let document = Document::parse(text);
    let section = document.root().table("templates");
    let names = section.keys();
    names
        .iter()
        .map(|key| one(&section.table(key), &built_in_name(key)))
        .collect()
}

fn one(section: &Section<'_>, name: &TemplateName) -> Template {
    if section.exists() && !section.has("image") {
        section.wrong("image", "is missing: a template needs an image");
    }
    let networks = [("open", Egress::Open), ("closed", Egress::Closed)];
    let workspace = section.read("workspace", workspace);
    let workspace = workspace.unwrap_or_else(|| WORKSPACE.to_owned());
    let template = Template {
        name: name.clone(),
        image: section.read("image", image::reference).unwrap_or_default(),
        command: section.read("command", command).unwrap_or_default(),
        user: section.read("user", |text: String| user(&text)).unwrap_or(USER),
        port: section.read("port", port),
        memory_bytes: section.read("memory", units::memory).unwrap_or(MEMORY),
        millicpus: section.read("cpus", units::millicpus).unwrap_or(MILLICPUS),
        pids: section
            .read("pids", |value| units::count(value, 1, PIDS_MAX))
            .unwrap_or(PIDS),
        nofile: section
            .read("nofile", |value| units::count(value, NOFILE_MIN, NOFILE_MAX))
            .unwrap_or(NOFILE),
        network: section
            .read("network", |text: String| one_of(&text, &networks, &[]))
            .unwrap_or(Egress::Open),
        archive: archive::selection(&section.table("archive"), &workspace),
        workspace,
        minutes: section
            .read("minutes", |value| units::count(value, 1, LEASE_MINUTES_MAX))
            .unwrap_or(MINUTES),
        starter: section.read("starter", starter),
        env: env(&section.table("env")),
        cap_add: section.read("cap_add", capabilities).unwrap_or_default(),
        read_only: section.plain("read_only").unwrap_or(false),
        runtime: section.read("runtime", runtime),
        autosave: section.read("autosave", autosave),
        idle_minutes: section.read("idle_minutes", idle_minutes),
        activity: section.read("activity", activity).unwrap_or_else(|| ACTIVITY.to_vec()),
        door: door(section),
    };
    if template.counts(Activity::Files) && template.autosave == Some(0) {
        section.wrong(
            "activity",
            "\"files\" are found changed by snapshots: it needs autosave",
        );
    }
    if let (Some(idle_ms), Some(every_ms)) = (template.idle_ms(), template.autosave_ms(false))
        && template.counts(Activity::Files)
        && idle_ms < 2 * every_ms
    {
        section.wrong(
            "idle_minutes",
            "must be at least two snapshots long (autosave), because \"files\" counts",
        );
    }
    section.end(&["guard"]);
    template
}

/// How a seat's student comes and goes.
fn door(section: &Section<'_>) -> DoorPolicy {
    let seconds = [("takeover", SecondLogin::Takeover), ("refuse", SecondLogin::Refuse)];
    let leavings = [("keep", Leaving::Keep), ("collect", Leaving::Collect)];
    let hand_ins = [
        ("off", None),
        ("keep", Some(Leaving::Keep)),
        ("collect", Some(Leaving::Collect)),
    ];
    let second_login = section.read("second_login", |text: String| one_of(&text, &seconds, &[]));
    let logout = section.read("logout", |text: String| one_of(&text, &leavings, &[]));
    let hand_in = section.read("hand_in", |text: String| one_of(&text, &hand_ins, &[]));
    DoorPolicy {
        second_login: second_login.unwrap_or_default(),
        logout: logout.unwrap_or_default(),
        hand_in: hand_in.unwrap_or_default(),
    }
}

fn idle_minutes(minutes: i64) -> Result<u32, String> {
    let minutes = u32::try_from(minutes)
        .ok()
        .filter(|m| (IDLE_MINUTES_MIN..=LEASE_MINUTES_MAX).contains(m));
    minutes.ok_or_else(|| format!("write whole minutes from {IDLE_MINUTES_MIN} to {LEASE_MINUTES_MAX}"))
}

fn activity(words: Vec<String>) -> Result<Vec<Activity>, String> {
    let kinds = [
        ("cpu", Activity::Cpu),
        ("network", Activity::Network),
        ("files", Activity::Files),
        ("terminal", Activity::Terminal),
    ];
    if words.is_empty() {
        return Err("name at least one of \"cpu\", \"network\", \"files\", \"terminal\"".to_owned());
    }
    words.iter().map(|word| one_of(word, &kinds, &[])).collect()
}

fn autosave(seconds: i64) -> Result<u32, String> {
    let seconds = u32::try_from(seconds).ok().filter(|s| *s <= AUTOSAVE_MAX_S);
    seconds.ok_or_else(|| format!("write whole seconds from 1 to {AUTOSAVE_MAX_S}, or 0 for none"))
}

fn warn(template: &Template, warnings: &mut Vec<String>) {
    let name = &template.name;
    if template.user.uid == 0 {
        warnings.push(format!(
            "templates.{name}.user: its programs run as root inside their containers"
        ));
    }
    let escapes = |cap: &&String| ESCAPES.contains(&cap.as_str());
    for cap in template.cap_add.iter().filter(escapes) {
        warnings.push(format!(
            "templates.{name}.cap_add: with {cap} a student can leave the container"
        ));
    }
    if template.cap_add.iter().any(|cap| cap == FORGES_PACKETS) {
        warnings.push(format!(
            "templates.{name}.cap_add: with {FORGES_PACKETS} a student can draw a neighbour's traffic to themselves; not for exams"
        ));
    }
}

fn command(words: Vec<String>) -> Result<Vec<String>, String> {
    if words.iter().any(|word| word.contains('\0')) {
        return Err("a word of a command has no NUL byte".to_owned());
    }
    if words.first().is_some_and(String::is_empty) {
        return Err("the first word is the program, it cannot be empty".to_owned());
    }
    Ok(words)
}

fn user(text: &str) -> Result<SeatUser, String> {
    // The largest number means "no change" to the kernel, so it is nobody's.
    let id = |text: &str| {
        let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        text.parse::<u32>().ok().filter(|id| digits && *id != u32::MAX)
    };
    let parsed = match text.split_once(':') {
        Some((uid, gid)) => id(uid).zip(id(gid)),
        None => id(text).map(|id| (id, id)),
    };
    parsed
        .map(|(uid, gid)| SeatUser { uid, gid })
        .ok_or_else(|| "must be \"UID\" or \"UID:GID\" in numbers, such as \"1000:1000\"; \"0:0\" is root".to_owned())
}

fn port(number: i64) -> Result<u16, String> {
    let port = u16::try_from(number).ok().filter(|port| *port != 0);
    port.ok_or_else(|| "write a port from 1 to 65535, or leave the key out for a seat without a route".to_owned())
}

fn workspace(path: String) -> Result<String, String> {
    const LENGTH_MAX: usize = 255;
    let parts_are_clean = path.split('/').skip(1).all(|part| !matches!(part, "" | "." | ".."));
    if path == "/" {
        return Err("must be a directory below /".to_owned());
    }
    if !path.starts_with('/') || !parts_are_clean || path.chars().any(char::is_control) || path.len() > LENGTH_MAX {
        return Err("must be an absolute path without `.`, `..`, double or trailing slashes".to_owned());
    }
    let below = |system: &str| {
        path.strip_prefix(system)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    if SHARED.contains(&path.as_str()) || SYSTEM.into_iter().any(below) {
        return Err("is a directory of the system: a workspace there would hide it".to_owned());
    }
    Ok(path)
}

fn starter(text: String) -> Result<PathBuf, String> {
    let path = absolute(text)?;
    if path.is_dir() {
        Ok(path)
    } else {
        Err("must be a directory that exists on this machine".to_owned())
    }
}

fn env(section: &Section<'_>) -> BTreeMap<String, String> {
    let names = section.keys();
    let read = names.iter().filter_map(|name| {
        let value = section.read(name, |value: String| env_value(name, value))?;
        Some((name.clone(), value))
    });
    read.collect()
}

fn env_value(name: &str, value: String) -> Result<String, String> {
    let letter = |b: u8| b.is_ascii_alphabetic() || b == b'_';
    let is_name = name.bytes().next().is_some_and(letter) && name.bytes().all(|b| letter(b) || b.is_ascii_digit());
    if !is_name {
        return Err("the name of a variable is letters, digits and _, not first a digit".to_owned());
    }
    if name.starts_with("LABTOP_") {
        return Err("names that begin with LABTOP_ belong to labtop".to_owned());
    }
    if value.contains(['\n', '\r', '\0']) {
        return Err("a value has no line break and no NUL byte".to_owned());
    }
    Ok(value)
}

fn capabilities(names: Vec<String>) -> Result<Vec<String>, String> {
    let mut known = Vec::new();
    for name in names {
        let bare = name.strip_prefix("CAP_").unwrap_or(&name);
        if bare.eq_ignore_ascii_case("all") {
            return Err("ALL is refused: name the capabilities that the image needs".to_owned());
        }
        if !CAPABILITIES.contains(&bare) {
            return Err(format!("{name:?} is no capability, such as \"NET_BIND_SERVICE\""));
        }
        known.push(bare.to_owned());
    }
    known.sort();
    known.dedup();
    Ok(known)
}

fn runtime(name: String) -> Result<String, String> {
    let letter = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
    if !name.is_empty() && name.len() <= 64 && name.bytes().all(letter) {
        Ok(name)
    } else {
        Err("must be the name of a runtime that the engine knows, such as \"runsc\"".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_built_in_texts_have_no_mistakes() {
        for text in [EXAMPLE, DEMO] {
            let document = Document::parse(text);
            let section = document.root().table("templates");
            for key in section.keys() {
                one(&section.table(&key), &built_in_name(&key));
            }
            drop(section);
            assert_eq!(document.into_mistakes(), []);
        }
        let names: Vec<_> = built_in().keys().map(ToString::to_string).collect();
        assert_eq!(names, ["demo", "node", "python", "ubuntu", "web-ide"]);
        assert_eq!(built_in()[&built_in_name(DEMO_TEMPLATE)].image, DEMO_IMAGE);
    }

    #[test]
    fn a_workspace_hides_nothing() {
        for good in [
            "/workspace",
            "/home/coder/project",
            "/usr/src/app",
            "/var/www",
            "/root",
            "/libre",
        ] {
            assert_eq!(workspace(good.to_owned()).as_deref(), Ok(good));
        }
        for bad in [
            "", "/", "work", "/a/", "/a//b", "/a/../b", "/./a", "/etc", "/etc/x", "/proc/1", "/usr", "/home", "/a\n",
        ] {
            assert!(workspace(bad.to_owned()).is_err(), "{bad}");
        }
    }

    #[test]
    fn users_are_numbers() {
        assert_eq!(user("1000"), Ok(USER));
        assert_eq!(user("0:0"), Ok(SeatUser { uid: 0, gid: 0 }));
        for bad in [
            "",
            "root",
            "1000:",
            ":1",
            "-1",
            "+1",
            "4294967295",
            "1:2:3",
            "99999999999",
        ] {
            assert!(user(bad).is_err(), "{bad}");
        }
    }
}
