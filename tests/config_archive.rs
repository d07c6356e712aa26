//! `[archive]` through the configuration's public door: what S3 needs, where it may be, and what is printed of it.

use std::path::{Path, PathBuf};

use labtop::config::{self, Loaded, Mistakes};
use labtop::domain::proof::VerifyMode;
use labtop::domain::settings::{S3Settings, StoreSettings};

const STATE: &str = "/var/lib/labtop-state";

/// Everything of S3 that can be written.
const ALL: &str = r#"
[archive]
store = "s3"
prefix = "labs/2026"
verify = "checksum"
level = 9
threads = 2
[archive.s3]
endpoint = "https://s3.lab.example:3900/"
region = "garage"
bucket = "labtop"
path_style = false
access_key_file = "/etc/labtop/s3.access"
secret_key_file = "/etc/labtop/s3.secret"
part_size = "16MiB"
parts_in_flight = 3
idle_timeout = 60
retries = 0
"#;

fn check(text: &str) -> Result<Loaded, Mistakes> {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("labtop.toml");
    std::fs::write(&path, text).unwrap();
    config::load(Some(&path), |_| None, Path::new(STATE), false)
}

fn s3(text: &str) -> S3Settings {
    match check(text).unwrap().settings.archive.store {
        StoreSettings::S3(s3) => s3,
        StoreSettings::Directory(path) => panic!("{}", path.display()),
    }
}

fn with_endpoint(endpoint: &str) -> String {
    format!("[archive]\nstore = 's3'\n[archive.s3]\nbucket = 'lab'\nendpoint = '{endpoint}'\n")
}

#[test]
fn everything_that_is_written_is_heeded() {
    let archive = check(ALL).unwrap().settings.archive;
    assert_eq!(
        (archive.verify, archive.level, archive.threads),
        (VerifyMode::Checksum, 9, 2)
    );
    let expected = S3Settings {
        endpoint: "https://s3.lab.example:3900".into(),
        region: "garage".into(),
        bucket: "labtop".into(),
        prefix: "labs/2026/".into(),
        path_style: false,
        access_key_file: Some("/etc/labtop/s3.access".into()),
        secret_key_file: Some("/etc/labtop/s3.secret".into()),
        part_bytes: 16 << 20,
        parts_in_flight: 3,
        idle_seconds: 60,
        retries: 0,
    };
    assert_eq!(archive.store, StoreSettings::S3(expected));
}

#[test]
fn an_address_and_a_bucket_are_enough() {
    let s3 = s3(&with_endpoint("http://[::1]:9000"));
    assert_eq!((s3.endpoint.as_str(), s3.bucket.as_str()), ("http://[::1]:9000", "lab"));
    assert_eq!(
        (s3.region.as_str(), s3.prefix.as_str(), s3.path_style),
        ("us-east-1", "", true)
    );
    assert_eq!((s3.access_key_file, s3.secret_key_file), (None, None));
    assert_eq!((s3.part_bytes, s3.parts_in_flight), (5 << 20, 2));
    assert_eq!((s3.idle_seconds, s3.retries), (30, 4));
}

/// What is written of a store that is not used may stay.
#[test]
fn the_store_decides_which_part_counts() {
    let text = ALL.replace("store = \"s3\"", "store = \"directory\"") + "[archive.directory]\npath = '/archives'\n";
    let store = check(&text).unwrap().settings.archive.store;
    assert_eq!(store, StoreSettings::Directory(PathBuf::from("/archives")));
}

#[test]
fn an_address_is_a_host_and_perhaps_a_port() {
    for good in [
        "http://h",
        "https://s3.lab.example/",
        "https://10.0.0.1:65535",
        "https://[2001:db8::1]",
        "http://a-b.c:1",
        "http://s3_1:9000",
    ] {
        assert_eq!(s3(&with_endpoint(good)).endpoint, good.trim_end_matches('/'));
    }
    for bad in [
        "s3.lab",
        "ftp://h",
        "http://",
        "http://:80",
        "http://h:",
        "http://h:0",
        "http://h:65536",
        "http://h:abc",
        "http://h:1:2",
        "http://[::1",
        "http://::1",
        "http://[zz]",
        "http://[::1]x",
        "http://a..b",
        "http://-a",
        "http://h/path",
        "http://h?x",
        "http://h#x",
        "http://ü",
        "http://h ",
        "http://h//",
    ] {
        let mistakes = check(&with_endpoint(bad)).expect_err(bad);
        let lines: Vec<_> = mistakes.all.iter().map(ToString::to_string).collect();
        assert!(
            lines.len() == 1
                && lines[0].starts_with("line 5: archive.s3.endpoint")
                && lines[0].contains("must be http"),
            "{bad}: {lines:?}"
        );
    }
}

#[test]
fn what_is_printed_reads_back_and_names_only_the_files_of_keys() {
    let directory = "[archive]\nlevel = 19\nthreads = 16\n[archive.directory]\npath = '/archives'\n";
    for text in [ALL, directory, &with_endpoint("https://s3.lab")] {
        let loaded = check(text).unwrap();
        let printed = config::to_toml(&loaded);
        let again = check(&printed).unwrap_or_else(|mistakes| panic!("{mistakes}\n{printed}"));
        assert_eq!(again.settings, loaded.settings, "{printed}");
    }
    let printed = config::to_toml(&check(ALL).unwrap());
    assert!(
        printed.contains("secret_key_file = \"/etc/labtop/s3.secret\""),
        "{printed}"
    );
}

/// The lines of the example that are commented out say what is built in, too.
#[test]
fn the_example_shows_what_s3_has_by_itself() {
    let lines = config::EXAMPLE
        .lines()
        .skip_while(|line| !line.starts_with("# [archive.s3]"));
    let lines = lines.take_while(|line| !line.is_empty());
    let keys: Vec<_> = lines.map(|line| line.trim_start_matches("# ")).collect();
    let shown = s3(&format!("[archive]\nstore = \"s3\"\n{}", keys.join("\n")));
    let mut expected = s3(&with_endpoint("https://s3.lab.example"));
    expected.bucket = "labtop".into();
    expected.access_key_file = Some("/etc/labtop/s3.access".into());
    expected.secret_key_file = Some("/etc/labtop/s3.secret".into());
    assert_eq!(shown, expected);
}
