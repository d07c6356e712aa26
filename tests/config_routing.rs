//! `[routing]` and `[gateway]` through the configuration's public door.

use std::path::Path;

use labtop::cli::traefik_config;
use labtop::config::{self, Loaded, Mistakes};
use labtop::domain::routes::RouteRule;
use labtop::domain::settings::{Probe, Provider};

fn check(text: &str) -> Result<Loaded, Mistakes> {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("labtop.toml");
    std::fs::write(&path, text).unwrap();
    config::load(Some(&path), |_| None, Path::new("/var/lib/labtop-state"), false)
}

/// What is wrong, and what is said of it.
#[rustfmt::skip]
const BAD: &[(&str, &str)] = &[
    ("[routing]\nprobe = 'x'", "routing.probe = 'x': must be \"direct\" or \"running\" or \"traefik\""),
    ("[routing]\nauth = 'basic'", "routing.auth = 'basic': must be \"gateway\" or \"none\""),
    ("[routing]\nrule = 'port'", "routing.rule = 'port': must be \"path\" or \"host\""),
    ("[routing]\nrule = 'host'", "routing.domain: rule = \"host\" needs one"),
    ("[routing]\nrule = 'host'\ndomain = 'Lab.test'", "routing.domain = 'Lab.test': must be a domain in small letters"),
    ("[routing]\nrule = 'host'\ndomain = '10.0.0.1'", "routing.domain = '10.0.0.1': must be a domain"),
    ("[routing]\nrule = 'host'\ndomain = 'a`.test'", "must be a domain"),
    ("[routing]\nrule = 'host'\ndomain = 'lab.test'", "needs [gateway] public_url at lab.test or below it"),
    ("[routing]\nrule = 'host'\ndomain = 'lab.test'\n[gateway]\npublic_url = 'https://evil-lab.test'", "needs [gateway] public_url at lab.test"),
    ("[routing]\ndomain = 'lab.test'", "routing.domain = 'lab.test': only has a meaning with rule = \"host\""),
    ("[routing]\nprovider = 'file'", "routing.provider = 'file': must be \"docker\" or \"http\""),
    ("[gateway]\ntraefik_url = 'here'", "gateway.traefik_url = 'here': must be the address of a site"),
    ("[gateway]\nlisten = 'localhost'", "gateway.listen = 'localhost': must be an address and a port"),
    ("[gateway]\nlisten = '127.0.0.1:0'", "must be an address and a port"),
];

#[test]
fn every_bad_input_gives_one_message_with_key_value_and_rule() {
    for (text, message) in BAD {
        let told = check(text).unwrap_err().to_string();
        assert!(told.contains(message), "{text:?}: {told:?}");
        assert_eq!(told.lines().count(), 1, "{text:?}: {told:?}");
    }
}

/// Everything that can be written.
const ALL: &str = r#"
[routing]
rule = "host"
domain = "lab.example.org"
provider = "http"
probe = "traefik"
strip_prefix = true
[gateway]
listen = "127.0.0.1:81"
public_url = "https://www.lab.example.org:8443"
traefik_url = "http://127.0.0.1:8080"
"#;

#[test]
fn what_is_written_counts_and_is_printed() {
    let loaded = check(ALL).unwrap();
    let routing = &loaded.settings.routing;
    assert_eq!(routing.rule, RouteRule::Host("lab.example.org".into()));
    assert_eq!((routing.provider, routing.probe), (Provider::Http, Probe::Traefik));
    assert_eq!(routing.traefik_url, "http://127.0.0.1:8080");
    let printed = config::to_toml(&loaded);
    for line in ALL.lines().filter(|line| line.contains(" = ")) {
        assert!(printed.contains(line), "{line}: {printed}");
    }
}

#[test]
fn a_proxy_without_the_engines_socket_is_told_of_none() {
    let printed = |text: &str| traefik_config(&check(text).unwrap().settings);
    let (with, without) = (printed(""), printed(ALL));
    assert!(with.contains("docker:\n    endpoint: \"unix:///var/run/docker.sock\"\n    exposedByDefault: false"));
    assert!(
        !without.contains("docker") && without.contains("*.lab.example.org"),
        "{without}"
    );
    for text in [with, without] {
        assert!(
            text.contains("/traefik/config\"") && text.contains("pollInterval"),
            "{text}"
        );
    }
}

#[test]
fn a_gateway_that_listens_everywhere_is_reached_on_this_machine() {
    for (listen, url) in [
        ("0.0.0.0:81", "http://127.0.0.1:81"),
        ("[::]:81", "http://[::1]:81"),
        ("10.0.0.3:8091", "http://10.0.0.3:8091"),
    ] {
        let loaded = check(&format!("[gateway]\nlisten = '{listen}'")).unwrap();
        assert_eq!(loaded.settings.routing.gateway_url, url);
    }
}
