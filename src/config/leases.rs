//! `[leases]`: when ends are announced, and where leases are mirrored.
//!
//! Knows: addresses of Redis as they are written. Must not know: how to connect, or any password.

use std::net::IpAddr;
use std::path::PathBuf;

use crate::domain::policy::{LEASE_MINUTES_MAX, WARN_MINUTES};
use crate::domain::settings::{LeaseSettings, LeaseStore, RedisSettings, SecretUrl};

use super::check::{absolute, one_of};
use super::raw::Section;

/// Most marks before the end of a lease.
const MARKS_MAX: usize = 8;
/// Longest prefix, characters.
const PREFIX_MAX: usize = 64;
/// What stands before every key unless the file says otherwise.
const PREFIX: &str = "labtop:";
/// What an address may look like.
const ADDRESS: &str = "must be redis://HOST:PORT/DATABASE, rediss:// the same with TLS, or unix:///PATH";

/// Reads the table.
pub(super) fn read(section: &Section<'_>, warnings: &mut Vec<String>) -> LeaseSettings {
    let is_redis = section.read("store", |text: String| {
        one_of(&text, &[("embedded", false), ("redis", true)], &[])
    });
    let warn_minutes = section.read("warn_minutes", marks);
    let url = section.read("url", address);
    let prefix = section.read("prefix", prefix);
    let password_file = section.read("password_file", absolute);
    let ca_file = section.read("ca_file", absolute);
    section.end(&[]);
    if is_redis != Some(true) {
        for key in ["url", "prefix", "password_file", "ca_file"] {
            if section.has(key) {
                section.wrong(key, "belongs to store = \"redis\"");
            }
        }
    }
    LeaseSettings {
        warn_minutes: warn_minutes.unwrap_or_else(|| WARN_MINUTES.to_vec()),
        store: match is_redis {
            Some(true) => redis(section, (url, prefix), (password_file, ca_file), warnings),
            _ => LeaseStore::Embedded,
        },
    }
}

fn redis(
    section: &Section<'_>,
    (url, prefix): (Option<SecretUrl>, Option<String>),
    (password_file, ca_file): (Option<PathBuf>, Option<PathBuf>),
    warnings: &mut Vec<String>,
) -> LeaseStore {
    let Some(url) = url else {
        if !section.has("url") {
            section.wrong("url", "is missing: [leases] store = \"redis\" needs it");
        }
        return LeaseStore::Embedded;
    };
    if is_open(url.expose()) {
        warnings.push(format!(
            "leases.url = {url}: leases and the password cross the network unencrypted; rediss:// does not let them"
        ));
    }
    LeaseStore::Redis(RedisSettings {
        url,
        password_file,
        prefix: prefix.unwrap_or_else(|| PREFIX.to_owned()),
        ca_file,
    })
}

/// Marks before the end of a lease, the most minutes first.
fn marks(minutes: Vec<i64>) -> Result<Vec<u32>, String> {
    let rule = || format!("must be at most {MARKS_MAX} numbers of minutes from 2 to {LEASE_MINUTES_MAX}");
    let good = |minutes: i64| {
        u32::try_from(minutes)
            .ok()
            .filter(|m| (2..=LEASE_MINUTES_MAX).contains(m))
    };
    let marks: Option<Vec<u32>> = minutes.into_iter().map(good).collect();
    let mut marks = marks.ok_or_else(rule)?;
    marks.sort_unstable_by_key(|minutes| std::cmp::Reverse(*minutes));
    marks.dedup();
    if marks.len() > MARKS_MAX {
        Err(rule())
    } else {
        Ok(marks)
    }
}

fn address(text: String) -> Result<SecretUrl, String> {
    let bad = || Err(ADDRESS.to_owned());
    if !text.bytes().all(|b| b.is_ascii_graphic()) {
        return bad();
    }
    if text.contains("pass=") {
        return Err("a password in it would be printed: write it into password_file".to_owned());
    }
    match text.split_once("://") {
        Some(("redis" | "rediss", rest)) if !host(rest).is_empty() => Ok(SecretUrl::new(text)),
        Some(("unix", rest)) if rest.starts_with('/') && rest.len() > 1 => Ok(SecretUrl::new(text)),
        _ => bad(),
    }
}

/// The host of what follows the scheme.
fn host(rest: &str) -> &str {
    let authority = &rest[..rest.find(['/', '?']).unwrap_or(rest.len())];
    let place = authority.rsplit('@').next().unwrap_or_default();
    match place.strip_prefix('[') {
        Some(address) => address.split(']').next().unwrap_or_default(),
        None => place.split(':').next().unwrap_or_default(),
    }
}

/// Whether it crosses the network without TLS.
fn is_open(url: &str) -> bool {
    let Some(rest) = url.strip_prefix("redis://") else {
        return false;
    };
    let host = host(rest);
    host != "localhost" && !host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

fn prefix(text: String) -> Result<String, String> {
    let good = |b: u8| b.is_ascii_alphanumeric() || b":-_./".contains(&b);
    if text.is_empty() || text.len() > PREFIX_MAX || !text.bytes().all(good) {
        return Err(format!("must be 1 to {PREFIX_MAX} of letters, digits and : - _ . /"));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_held_to_their_form() {
        for good in [
            "redis://127.0.0.1:6379",
            "redis://lab:s3cret@redis.lab:6379/2",
            "rediss://redis.lab",
            "redis://[::1]:6379/0",
            "unix:///run/redis.sock",
        ] {
            assert!(address(good.to_owned()).is_ok(), "{good}");
        }
        for bad in [
            "",
            "redis://",
            "http://x",
            "redis://:6379",
            "unix://relative",
            "redis://a b",
            "redis.lab:6379",
        ] {
            assert!(address(bad.to_owned()).is_err(), "{bad}");
        }
        assert!(
            address("unix:///run/r.sock?pass=x".into())
                .unwrap_err()
                .contains("password_file")
        );
    }

    #[test]
    fn only_the_own_host_is_reached_without_tls_in_silence() {
        for (url, open) in [
            ("redis://127.0.0.1:6379", false),
            ("redis://localhost", false),
            ("redis://[::1]:6379", false),
            ("redis://lab:x@10.0.0.1", true),
            ("redis://redis.lab:6379", true),
            ("rediss://redis.lab:6379", false),
            ("unix:///run/r.sock", false),
        ] {
            assert_eq!(is_open(url), open, "{url}");
        }
    }

    #[test]
    fn a_password_is_never_shown() {
        let url = SecretUrl::new("redis://lab:s3cret@redis.lab:6379/2".into());
        assert_eq!(url.to_string(), "redis://lab@redis.lab:6379/2");
        assert!(!format!("{url:?}").contains("s3cret"));
        assert_eq!(SecretUrl::new("redis://:s3cret@h".into()).to_string(), "redis://@h");
    }
}
