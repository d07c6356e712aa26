//! A strict reader of the units of `assets/systemd`, for machines without systemd: every section and key is one that
//! systemd has, and every line is a section, a key with its value, a comment or empty.

use std::path::Path;

/// What a unit may say, as `section: keys`. From systemd.unit(5), systemd.service(5), systemd.exec(5), systemd.kill(5)
/// and systemd.resource-control(5).
const KNOWN: &[(&str, &str)] = &[
    (
        "Unit",
        "Description Documentation After Before Wants Requires StartLimitIntervalSec StartLimitBurst ConditionPathExists",
    ),
    (
        "Service",
        "Type NotifyAccess Environment ExecStartPre ExecStart Restart RestartSec RestartPreventExitStatus TimeoutStartSec TimeoutStopSec \
         WatchdogSec KillMode OOMScoreAdjust LimitNOFILE UMask User Group RuntimeDirectory RuntimeDirectoryMode \
         StateDirectory StateDirectoryMode CapabilityBoundingSet AmbientCapabilities NoNewPrivileges ProtectSystem \
         ProtectHome PrivateTmp PrivateDevices ProtectProc ProcSubset ProtectControlGroups ProtectKernelTunables \
         ProtectKernelModules ProtectKernelLogs ProtectClock ProtectHostname InaccessiblePaths RestrictNamespaces \
         RestrictRealtime RestrictSUIDSGID RestrictAddressFamilies LockPersonality MemoryDenyWriteExecute RemoveIPC \
         SystemCallArchitectures SystemCallFilter SystemCallErrorNumber TasksMax MemoryMax",
    ),
    ("Install", "WantedBy"),
];
/// Values of keys that take one of a few words.
const WORDS: &[(&str, &[&str])] = &[
    ("Type", &["notify", "exec", "simple"]),
    ("KillMode", &["mixed", "control-group"]),
    ("Restart", &["on-failure", "always", "no"]),
    ("ProtectSystem", &["yes", "full", "strict"]),
    ("ProtectHome", &["yes", "read-only", "tmpfs"]),
];

/// One unit.
pub struct Unit {
    pub name: String,
    pub text: String,
}

/// All units that are installed.
pub fn units() -> Vec<Unit> {
    let place = Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/systemd");
    let read = |name: &str| Unit::new(name, &std::fs::read_to_string(place.join(name)).unwrap());
    ["labtop-agent.service", "labtop-gateway.service"].map(read).into()
}

impl Unit {
    pub fn new(name: &str, text: &str) -> Self {
        Self {
            name: name.to_owned(),
            text: text.to_owned(),
        }
    }

    /// The value of a key.
    pub fn value(&self, key: &str) -> Option<&str> {
        let mut lines = self.text.lines().filter_map(|line| line.split_once('='));
        lines.find(|(name, _)| *name == key).map(|(_, value)| value)
    }

    /// The verb of labtop's that it starts.
    #[track_caller]
    pub fn verb(&self) -> &str {
        let start = self.value("ExecStart").expect("it starts nothing");
        let words = start.strip_prefix("/usr/local/bin/labtop ");
        words.unwrap_or_else(|| panic!("{start} does not start labtop"))
    }

    /// What is wrong with it, one line each.
    pub fn mistakes(&self) -> Vec<String> {
        let (mut found, mut known) = (Vec::new(), "");
        for line in self
            .text
            .lines()
            .filter(|line| !line.is_empty() && !line.starts_with('#'))
        {
            if let Some(section) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
                let keys = KNOWN.iter().find(|(name, _)| *name == section);
                known = keys.map_or("", |(_, keys)| keys);
                if known.is_empty() {
                    found.push(format!("{line} is no section"));
                }
                continue;
            }
            match line.split_once('=') {
                None => found.push(format!("{line} has no value")),
                Some((key, _)) if !known.split_whitespace().any(|word| word == key) => {
                    found.push(format!("{key} is no key of its section"));
                }
                Some((key, value)) => {
                    let words = WORDS.iter().find(|(name, _)| *name == key);
                    if words.is_some_and(|(_, words)| !words.contains(&value)) {
                        found.push(format!("{key} is never {value}"));
                    }
                }
            }
        }
        found
    }
}
