//! The configuration through its public door: files, environment, mistakes, and what is printed.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use labtop::config::{self, Loaded, Mistakes};
use labtop::domain::settings::{Probe, RouteAuth, StoreSettings};
use labtop::domain::template::Egress;
use proptest::prelude::*;

const STATE: &str = "/var/lib/labtop-state";

/// Checks `text` as a file, with `env` as the whole environment.
fn check_with(text: &str, env: &[(&str, &str)]) -> Result<Loaded, Mistakes> {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("labtop.toml");
    fs::write(&path, text).unwrap();
    config::load(Some(&path), lookup(env), Path::new(STATE), false)
}

fn lookup<'a>(env: &'a [(&'a str, &'a str)]) -> impl Fn(&str) -> Option<String> + 'a {
    |name| {
        env.iter()
            .find(|(key, _)| *key == name)
            .map(|(_, value)| (*value).to_owned())
    }
}

fn check(text: &str) -> Result<Loaded, Mistakes> {
    check_with(text, &[])
}

fn mistakes(text: &str) -> Vec<String> {
    let mistakes = check(text).expect_err(text);
    mistakes.all.iter().map(ToString::to_string).collect()
}

/// The built-in settings, whatever file the machine has.
fn built_in() -> Loaded {
    check("").unwrap()
}

/// One wrong text a row, and the one message that it must give.
#[rustfmt::skip]
const BAD: &[(&str, &str)] = &[
    // Keys.
    ("memory = 1", "line 1: memory = 1: unknown key, known here: "),
    ("\n[docker]\nhots = 'x'", "line 3: docker.hots = 'x': unknown key, did you mean `host`?"),
    ("[dockr]\nhost = 'x'", "line 1: dockr: unknown key, did you mean `docker`?"),
    ("docker = 5", "line 1: docker = 5: must be a table: [docker] and its keys below"),
    ("[[templates]]\nimage='x'", "line 1: templates = "),
    ("[ui]\ntheme = 'dark'", "line 2: ui.theme = 'dark': not in this version of labtop"),
    ("[guard.g]\n", "guard: not in this version of labtop"),
    ("[leases]\nstore = 'redis'\nurl = 'http://x'", "line 3: leases.url = 'http://x': must be redis://HOST:PORT"),
    ("[leases]\nstore = 'redis'", "leases.url: is missing: [leases] store = \"redis\" needs it"),
    ("[leases]\nstore = 'etcd'", "leases.store = 'etcd': must be \"embedded\" or \"redis\""),
    ("[archive]\nstore = 's3'\n[archive.s3]\nendpoint = 'https://s3.lab'", "archive.s3.bucket: is missing: [archive] store = \"s3\" needs it"),
    ("[archive]\nstore = 's3'\n[archive.s3]\nbucket = 'lab'", "archive.s3.endpoint: is missing"),
    ("[archive.s3]\nbucket = 'No'", "archive.s3.bucket = 'No': must be the name of a bucket"),
    ("[archive.s3]\nendpoint = 'https://user:hunter2@h'", "archive.s3.endpoint = 'https://…@h'"),
    ("[archive.s3]\npart_size = '1MiB'", "write a size with its unit from \"5MiB\" to \"512MiB\""),
    ("[archive.s3]\nsecret_key_file = 'key'", "must be an absolute path"),
    ("[archive.s3]\nsecret_key = 'hunter2'", "archive.s3.secret_key: unknown key, known here: "),
    ("[archive]\nprefix = '/a'", "archive.prefix = '/a': must be words"),
    ("[archive]\nlevel = 22", "archive.level = 22: write a whole number from 1 to 19"),
    ("[templates.x]\nimage = 'x'\narchive.exclude = ['a[']", "templates.x.archive.exclude = ['a[']: \"a[\" is no pattern"),
    ("[templates.x]\nimage = 'x'\narchive.paths = ['home']", "templates.x.archive.paths = ['home']: each must be an absolute path"),
    ("[templates.x]\nimage = 'x'\narchive.max_size = '64GiB'", "write a size with its unit from \"1MiB\" to \"48GiB\""),
    ("[templates.x]\nimage = 'x'\nautosave = -1", "templates.x.autosave = -1: write whole seconds from 1 to 86400, or 0 for none"),
    ("[archive]\nverify = 'no'", "archive.verify = 'no': must be \"full\" or \"checksum\""),
    ("[archive.directory]\npath = 'here'", "archive.directory.path = 'here': must be an absolute path"),
    ("[limits]\ncreations_in_flight = 0", "limits.creations_in_flight = 0: write a whole number from 1 to 256"),
    ("[limits]\narchives_in_flight = 1.5", "must be a whole number, not a number"),
    ("[limits]\narchives_in_flight = 99999999999999999999", "the number is too large"),
    ("[ui]\nascii = 'yes'", "ui.ascii = 'yes': must be true or false, not text"),
    ("default_template = 'exma'", "default_template = 'exma': no such template; there are demo, node, python, ubuntu, web-ide"),
    ("default_template = 'No!'", "default_template = 'No!': template name \"No!\" is not valid"),
    // The engine.
    ("[docker]\nhost = '/run/docker.sock'", "docker.host = '/run/docker.sock': must be unix:///PATH or tcp://HOST:PORT"),
    ("[docker]\nhost = 'tcp://10.0.0.9:2375'", "whoever reaches an engine without TLS is root on it"),
    ("[docker.tls]\nca = '/ca'\ncert = '/cert'", "line 1: docker.tls.key: is missing"),
    ("[docker.tls]\nca = 'ca'\ncert = '/cert'\nkey = '/key'", "line 2: docker.tls.ca = 'ca': must be an absolute path"),
    // Addresses.
    ("[network]\npool = '10.208.0.1/12'", "network.pool = '10.208.0.1/12': has host bits: the range begins at 10.208.0.0/12"),
    ("[network]\npool = '8.0.0.0/8'", "must lie within 10.0.0.0/8"),
    ("[network]\npool = '127.0.0.0/8'", "overlaps the loopback range"),
    ("[network]\npool = '169.254.0.0/16'", "overlaps the link-local range"),
    ("[network]\npool = '224.0.0.0/4'", "overlaps the multicast range"),
    ("[network]\npool = '10.0.0.0/24'", "the pool is smaller than one room (/22)"),
    ("[network]\nprefix = 8", "network.prefix = 8: write a number from 12, the pool's own prefix, to 29"),
    ("[network]\nprefix = 30", "network.prefix = 30: write a number from 12"),
    // Templates.
    ("[templates.x]\nport = 1", "line 1: templates.x.image: is missing: a template needs an image"),
    ("[templates.Exam]\nimage = 'x'", "templates.Exam: template name \"Exam\" is not valid: 1 to 32 of a-z, 0-9 and -"),
    ("[templates.'a b']\nimage = 'x'", "templates.\"a b\": template name \"a b\" is not valid"),
    ("[templates.demo]\nimage = 'x'", "templates.demo: this name belongs to `labtop demo`"),
    ("templates.x = 'node'", "templates.x = 'node': must be a table: [templates.x]"),
    ("[templates.x]\nimage = 'x'\nguard = 'g'", "templates.x.guard = 'g': not in this version of labtop"),
    ("[templates.x]\nimage = 'x'\nmemroy = '1GiB'", "templates.x.memroy = '1GiB': unknown key, did you mean `memory`?"),
    ("[templates.x]\nimage = 'a b'", "templates.x.image = 'a b': must be an image reference"),
    ("[templates.x]\nimage = 'x'\ncommand = 'sh -c x'", "templates.x.command = 'sh -c x': must be a list of texts"),
    ("[templates.x]\nimage = 'x'\ncommand = ['sh', 1]", "each must be text in quotes, not a number"),
    ("[templates.x]\nimage = 'x'\nuser = 'root'", "templates.x.user = 'root': must be \"UID\" or \"UID:GID\" in numbers"),
    ("[templates.x]\nimage = 'x'\nuser = 1000", "templates.x.user = 1000: must be text in quotes, not a number"),
    ("[templates.x]\nimage = 'x'\nport = 65536", "templates.x.port = 65536: write a port from 1 to 65535"),
    ("[templates.x]\nimage = 'x'\nmemory = '0'", "templates.x.memory = '0': a template without limits is refused"),
    ("[templates.x]\nimage = 'x'\nmemory = 'none'", "a template without limits is refused"),
    ("[templates.x]\nimage = 'x'\nmemory = -1", "a template without limits is refused"),
    ("[templates.x]\nimage = 'x'\nmemory = 536870912", "write a size with its unit"),
    ("[templates.x]\nimage = 'x'\nmemory = '5MiB'", "must be from 6MiB, which the engine needs"),
    ("[templates.x]\nimage = 'x'\ncpus = 0", "templates.x.cpus = 0: a template without limits is refused"),
    ("[templates.x]\nimage = 'x'\ncpus = inf", "a template without limits is refused"),
    ("[templates.x]\nimage = 'x'\ncpus = 2000", "write a number of cores from 0.01 to 1024"),
    ("[templates.x]\nimage = 'x'\npids = -1", "templates.x.pids = -1: a template without limits is refused"),
    ("[templates.x]\nimage = 'x'\npids = 5000000", "write a whole number from 1 to 4194304"),
    ("[templates.x]\nimage = 'x'\nnofile = 0", "a template without limits is refused"),
    ("[templates.x]\nimage = 'x'\nminutes = 10081", "templates.x.minutes = 10081: write a whole number from 1 to 10080"),
    ("[templates.x]\nimage = 'x'\nnetwork = 'host'", "templates.x.network = 'host': must be \"open\" or \"closed\""),
    ("[templates.x]\nimage = 'x'\nworkspace = '/'", "must be a directory below /"),
    ("[templates.x]\nimage = 'x'\nworkspace = '/etc'", "is a directory of the system"),
    ("[templates.x]\nimage = 'x'\nworkspace = '/a/../etc'", "must be an absolute path without"),
    ("[templates.x]\nimage = 'x'\nstarter = '/does/not/exist'", "must be a directory that exists"),
    ("[templates.x]\nimage = 'x'\ncap_add = ['ALL']", "ALL is refused"),
    ("[templates.x]\nimage = 'x'\ncap_add = ['FLY']", "\"FLY\" is no capability"),
    ("[templates.x]\nimage = 'x'\nruntime = '../x'", "must be the name of a runtime"),
    ("[templates.x]\nimage = 'x'\n[templates.x.env]\n'A B' = '1'", "line 4: templates.x.env.\"A B\" = '1': the name of a variable"),
    ("[templates.x]\nimage = 'x'\nenv.LABTOP_ROOM = '1'", "names that begin with LABTOP_ belong to labtop"),
    ("[templates.x]\nimage = 'x'\nenv.A = \"1\\n2\"", "a value has no line break"),
    ("[templates.x]\nimage = 'x'\nenv.A = 1", "templates.x.env.A = 1: must be text in quotes, not a number"),
    ("[leases]\nurl = 'redis://labtop:hunter2@r:6379/0'", "leases.url = 'redis://…@r:6379/0': belongs to store"),
    ("[leases]\npasswort = 'hunter2'", "line 2: leases.passwort: unknown key"),
    ("[docker]\nhost = 'tcp://ann:hunter2@h:2376'", "docker.host = 'tcp://…@h:2376': "),
    // No TOML.
    ("[docker\nhost = 1", "line 1: not TOML: "),
    ("a = 1\na = 2", "line 2: not TOML: "),
    ("default_template = 2026-11-24", "must be text in quotes, not a date"),
];

#[test]
fn every_bad_input_gives_one_message_with_key_value_line_and_rule() {
    for (text, message) in BAD {
        let found = mistakes(text);
        assert!(
            found.iter().any(|line| line.contains(message)),
            "{text:?}\n  gave {found:#?}\n  not {message:?}"
        );
        assert!(
            found.iter().all(|line| line.starts_with("line ")),
            "{text:?}: {found:#?}"
        );
        assert!(found.iter().all(|line| !line.contains("hunter2")), "{found:#?}");
        if !message.contains("not TOML") {
            assert_eq!(found.len(), 1, "{text:?}: {found:#?}");
        }
    }
}

#[test]
fn all_mistakes_are_told_at_once_one_a_line_with_the_file() {
    let text = "default_template = 'nope'\n[network]\npool = '1.2.3.4/5'\n[templates.x]\ncpus = 0\nfoo = 1\n";
    let mistakes = check(text).unwrap_err();
    let shown = mistakes.to_string();
    let lines: Vec<_> = shown.lines().collect();
    assert_eq!(lines.len(), 5, "{shown}");
    let path = mistakes.source.unwrap().display().to_string();
    for (line, number) in lines.iter().zip([1, 3, 4, 5, 6]) {
        assert!(line.starts_with(&format!("{path}: line {number}: ")), "{line}");
    }
}

#[test]
fn values_are_shown_harmlessly() {
    let long = "x".repeat(500);
    for text in [
        format!("default_template = '{long}'"),
        "default_template = \"\u{7f}\"".to_owned(),
        "default_template = '''a\n\tb'''".to_owned(),
        format!("{long} = 1"),
        "\"\\u001b[2J\" = 1".to_owned(),
    ] {
        for line in mistakes(&text) {
            assert!(!line.chars().any(char::is_control) && line.len() < 400, "{line:?}");
        }
    }
}

#[test]
fn the_defaults_run_everything_embedded() {
    let settings = built_in().settings;
    assert_eq!(settings.default_template.as_str(), "node");
    assert_eq!(settings.docker.host, "unix:///var/run/docker.sock");
    let expected = StoreSettings::Directory(PathBuf::from(STATE).join("archives"));
    assert_eq!(settings.archive.store, expected);
    assert_eq!(settings.routing.probe, Probe::Direct);
    assert_eq!(settings.routing.auth, RouteAuth::Gateway);
    assert_eq!(settings.routing.gateway_url, "http://127.0.0.1:8091");
    assert_eq!(settings.limits.creations_in_flight, 8);
    assert_eq!(settings.limits.archives_in_flight, 4);
    let subnets: Vec<_> = settings.network.subnets().take(2).collect();
    assert_eq!(
        subnets,
        [("10.208.0.0".parse().unwrap(), 22), ("10.208.4.0".parse().unwrap(), 22)]
    );
}

#[test]
fn the_example_file_says_what_is_built_in() {
    let example = check(config::EXAMPLE).unwrap();
    assert_eq!(example.settings, built_in().settings);
    assert_eq!(example.warnings, Vec::<String>::new());
    assert_eq!(example.from_file.len(), 4);
}

#[test]
fn a_template_has_safe_defaults_and_replaces_a_built_in_one_whole() {
    let loaded = check("[templates.node]\nimage = 'x'").unwrap();
    let node = &loaded.settings.templates[&"node".parse().unwrap()];
    assert_eq!((node.user.uid, node.user.gid), (1000, 1000));
    assert_eq!((node.memory_bytes, node.millicpus), (512 << 20, 1000));
    assert_eq!((node.pids, node.nofile, node.minutes), (256, 4096, 180));
    assert_eq!((node.workspace.as_str(), node.network), ("/workspace", Egress::Open));
    assert!(node.port.is_none() && node.command.is_empty() && node.env.is_empty() && node.cap_add.is_empty());
    assert!(loaded.settings.templates.contains_key(&"python".parse().unwrap()));
}

#[test]
fn what_is_allowed_but_dangerous_is_warned_of() {
    let loaded = check(
        "routing.auth = 'none'\n[templates.x]\nimage = 'x'\nuser = '0'\ncap_add = ['CAP_SYS_ADMIN', 'CHOWN', 'CHOWN']",
    )
    .unwrap();
    let template = &loaded.settings.templates[&"x".parse().unwrap()];
    assert_eq!(template.cap_add, ["CHOWN", "SYS_ADMIN"]);
    for part in ["templates.x.user", "SYS_ADMIN", "routing.auth = \"none\""] {
        assert!(
            loaded.warnings.iter().any(|line| line.contains(part)),
            "{part}: {:#?}",
            loaded.warnings
        );
    }
    assert_eq!(loaded.warnings.len(), 3);
}

#[test]
fn the_environment_wins_over_the_file_and_is_held_to_the_same_rules() {
    let file = "[docker]\nhost = 'tcp://127.0.0.1:2375'";
    let loaded = check_with(file, &[("DOCKER_HOST", "unix:///run/other.sock")]).unwrap();
    assert_eq!(loaded.settings.docker.host, "unix:///run/other.sock");
    assert_eq!(loaded.overrides, [("docker.host", "DOCKER_HOST")]);

    let error = check_with("", &[("DOCKER_HOST", "tcp://lab.example:2375")])
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("DOCKER_HOST = tcp://lab.example:2375: whoever reaches"),
        "{error}"
    );
    let error = check_with("", &[("DOCKER_HOST", "ssh://lab")]).unwrap_err().to_string();
    assert!(error.contains("forward the socket"), "{error}");

    let env = [
        ("DOCKER_HOST", "tcp://lab.example:2376"),
        ("DOCKER_TLS_VERIFY", "1"),
        ("DOCKER_CERT_PATH", "/certs"),
    ];
    let docker = check_with("", &env).unwrap().settings.docker;
    assert_eq!(docker.tls.unwrap().ca, PathBuf::from("/certs/ca.pem"));
    let loaded = check_with(file, &[("DOCKER_HOST", "")]).unwrap();
    assert_eq!(loaded.settings.docker.host, "tcp://127.0.0.1:2375");
    assert_eq!(
        loaded.settings.routing.probe,
        Probe::Running,
        "its containers may be on another machine"
    );
}

#[test]
fn a_remote_engine_takes_the_files_of_the_file() {
    let text = "[docker]\nhost = 'tcp://lab.example:2376'\ntls = { ca = '/ca', cert = '/cert', key = '/key' }";
    assert_eq!(
        check(text).unwrap().settings.docker.tls.unwrap().key,
        PathBuf::from("/key")
    );
}

#[test]
fn files_are_looked_for_in_order() {
    let directory = tempfile::tempdir().unwrap();
    let write = |name: &str, seats: u32| {
        let path = directory.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, format!("limits.archives_in_flight = {seats}")).unwrap();
        path.display().to_string()
    };
    let explicit = write("explicit.toml", 11);
    let named = write("named.toml", 12);
    write("xdg/labtop/config.toml", 13);
    write("home/.config/labtop/config.toml", 14);
    let place = |name: &str| directory.path().join(name).display().to_string();
    let (xdg, home) = (place("xdg"), place("home"));
    let found = |explicit: Option<&str>, env: &[(&str, &str)]| {
        let loaded = config::load(explicit.map(Path::new), lookup(env), Path::new(STATE), false).unwrap();
        loaded.settings.limits.archives_in_flight
    };
    let all = [
        ("LABTOP_CONFIG", named.as_str()),
        ("XDG_CONFIG_HOME", &xdg),
        ("HOME", &home),
    ];
    assert_eq!(found(Some(&explicit), &all), 11);
    assert_eq!(found(None, &all), 12);
    assert_eq!(found(None, &all[1..]), 13);
    assert_eq!(found(None, &all[2..]), 14);
}

#[test]
fn a_file_that_somebody_named_must_be_readable_text() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    fs::write(path("binary"), [0xff, 0xfe]).unwrap();
    fs::write(path("large"), vec![b'#'; (1 << 20) + 1]).unwrap();
    for (path, rule) in [
        (path("missing"), "there is no such file"),
        (path("binary"), "is not text in UTF-8"),
        (path("large"), "is larger than 1 MiB"),
        (directory.path().to_owned(), "is not a file"),
    ] {
        let error = config::load(Some(&path), |_| None, Path::new(STATE), false)
            .unwrap_err()
            .to_string();
        assert_eq!(
            error,
            format!("{}: {rule}", path.display()).replace(
                "is larger than 1 MiB",
                "is larger than 1 MiB, so it is no configuration",
            )
        );
    }
}

#[test]
fn root_is_warned_of_a_file_that_others_may_write() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("labtop.toml");
    fs::write(&path, "").unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).unwrap();
    let warnings = |is_root| {
        config::load(Some(&path), |_| None, Path::new(STATE), is_root)
            .unwrap()
            .warnings
    };
    assert!(warnings(true)[0].contains("can be written by"), "{:?}", warnings(true));
    assert!(warnings(false).is_empty());
}

#[test]
fn what_is_printed_reads_back_as_the_same_settings() {
    let starter = tempfile::tempdir().unwrap();
    let text = format!(
        "default_template = 'x'\n[docker]\nhost = 'tcp://h:1'\ntls = {{ ca = '/a', cert = '/b', key = '/c' }}\n\
         [network]\npool = '192.168.0.0/16'\nprefix = 24\n[gateway]\nlisten = '[::1]:9'\n[ui]\nslow = true\n\
         [templates.x]\nimage = 'x:1'\nport = 1\nmemory = '500MB'\ncpus = 0.25\nuser = '5:6'\nruntime = 'runsc'\n\
         network = 'closed'\ncap_add = ['CHOWN']\nread_only = true\nstarter = '{}'\nenv.A = '\"quoted\" \\n'\n",
        starter.path().display()
    );
    for text in ["", config::EXAMPLE, &text] {
        let loaded = check(text).unwrap();
        let printed = config::to_toml(&loaded);
        let again = check(&printed).unwrap_or_else(|mistakes| panic!("{mistakes}\n{printed}"));
        assert_eq!(again.settings, loaded.settings, "{printed}");
    }
}

#[test]
fn what_is_printed_says_where_it_came_from() {
    let loaded = check_with("[templates.x]\nimage = 'x'", &[("DOCKER_HOST", "unix:///o.sock")]).unwrap();
    let printed = config::to_toml(&loaded);
    let path = loaded.source.unwrap().display().to_string();
    for part in [
        format!("# From {path}; what it leaves out is built in."),
        "# docker.host comes from $DOCKER_HOST.".to_owned(),
        format!("# From {path}:\n[templates.x]"),
        "# Built in:\n[templates.node]".to_owned(),
        "# Built in, for `labtop demo`:\n# [templates.demo]".to_owned(),
    ] {
        assert!(printed.contains(&part), "{part}\n{printed}");
    }
}

#[test]
fn the_verdict_names_the_file() {
    assert!(built_in().verdict().ends_with("labtop.toml is good"));
}

fn word() -> impl Strategy<Value = String> {
    const KNOWN: [&str; 21] = [
        "docker",
        "host",
        "tls",
        "templates",
        "node",
        "image",
        "memory",
        "cpus",
        "pids",
        "env",
        "network",
        "pool",
        "prefix",
        "command",
        "user",
        "workspace",
        "archive",
        "directory",
        "path",
        "limits",
        "default_template",
    ];
    prop_oneof![
        8 => proptest::sample::select(&KNOWN[..]).prop_map(str::to_owned),
        1 => "\"[^\"\\\\\n\r]{0,6}\"",
        1 => "[a-z]{1,5}",
    ]
}

fn value() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        any::<i64>().prop_map(|n| n.to_string()),
        any::<f64>()
            .prop_filter("TOML writes it otherwise", |n| n.is_finite())
            .prop_map(|n| format!("{n:?}")),
        any::<bool>().prop_map(|b| b.to_string()),
        ".{0,12}".prop_map(|text| format!("{text:?}")),
        "[0-9]{1,4}[KMG]i?B".prop_map(|text| format!("'{text}'")),
        "[0-9.:/]{0,20}".prop_map(|text| format!("'{text}'")),
        Just("2026-11-24T10:00:00Z".to_owned()),
        Just("inf".to_owned()),
    ];
    leaf.prop_recursive(2, 8, 3, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..3).prop_map(|items| format!("[{}]", items.join(", "))),
            (word(), inner).prop_map(|(key, value)| format!("{{ {key} = {value} }}")),
        ]
    })
}

fn document() -> impl Strategy<Value = String> {
    let line = prop_oneof![
        (word(), value()).prop_map(|(key, value)| format!("{key} = {value}")),
        (word(), word(), value()).prop_map(|(a, b, value)| format!("{a}.{b} = {value}")),
        proptest::collection::vec(word(), 1..4).prop_map(|path| format!("[{}]", path.join("."))),
        ".{0,20}",
    ];
    proptest::collection::vec(line, 0..12).prop_map(|lines| lines.join("\n"))
}

proptest! {
    #[test]
    fn random_configurations_never_panic_and_never_escape(text in document()) {
        match check(&text) {
            Ok(loaded) => {
                let again = check(&config::to_toml(&loaded)).unwrap();
                prop_assert_eq!(again.settings, loaded.settings);
            }
            Err(mistakes) => {
                prop_assert!(!mistakes.all.is_empty());
                for mistake in &mistakes.all {
                    let line = mistake.to_string();
                    prop_assert!(!line.chars().any(char::is_control), "{:?}", line);
                    prop_assert!(mistake.line.is_some_and(|line| line >= 1 && line <= text.lines().count().max(1) + 1));
                }
            }
        }
    }

    #[test]
    fn random_bytes_never_panic(text in any::<String>()) {
        let _ = check(&text);
    }
}
