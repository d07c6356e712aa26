//! `[archive]`: where archives go and how they are made; and what of a template's work belongs to them.
//!
//! Knows: the rules of its keys. Must not know: secrets; only the paths of the files that hold them.

use std::net::Ipv6Addr;
use std::path::Path;

use crate::domain::proof::VerifyMode;
use crate::domain::settings::{ArchiveSettings, S3Settings, StoreSettings};
use crate::domain::template::Selection;
use crate::pack::rules::Selector;

use super::check::{absolute, one_of};
use super::raw::Section;
use super::units;

/// zstd's own default: on two cores it keeps up with what a disk delivers.
const LEVEL: u32 = 3;
const LEVEL_MAX: u32 = 19;
const THREADS_MAX: u32 = 16;
/// The smallest part that S3 takes.
const PART_MIN: u64 = 5 << 20;
const PART_MAX: u64 = 512 << 20;
const PARTS_IN_FLIGHT: u32 = 2;
/// A store that moves no byte for so long has gone away.
const IDLE_SECONDS: u32 = 30;
const RETRIES: u32 = 4;
/// Where S3 is, for stores that have only one place.
const REGION: &str = "us-east-1";
/// Most bytes of one archive unless the template says otherwise.
const SEAT_MAX: u64 = 48 << 30;
/// S3 takes no more parts of one object.
const PARTS_MAX: u64 = 10_000;
// Memory is counted in parts, so the smallest must do for the largest archive, also when zstd can make nothing of it smaller
// and adds heads of its own (far below one in a hundred).
const _: () = assert!(PART_MIN * PARTS_MAX > SEAT_MAX + SEAT_MAX / 100);

/// Reads `[archive]`.
pub(super) fn read(section: &Section<'_>, state_dir: &Path) -> ArchiveSettings {
    let kind = section.read("store", |text: String| {
        one_of(&text, &[("directory", false), ("s3", true)], &[])
    });
    let modes = [("full", VerifyMode::Full), ("checksum", VerifyMode::Checksum)];
    let verify = section.read("verify", |text: String| one_of(&text, &modes, &[]));
    let directory = section.table("directory");
    let path = directory.read("path", absolute);
    directory.end(&[]);
    let prefix = section.read("prefix", prefix).unwrap_or_default();
    let s3 = s3(&section.table("s3"), prefix, kind == Some(true));
    let settings = ArchiveSettings {
        store: match s3 {
            Some(s3) if kind == Some(true) => StoreSettings::S3(s3),
            _ => StoreSettings::Directory(path.unwrap_or_else(|| state_dir.join("archives"))),
        },
        verify: verify.unwrap_or_default(),
        level: number(section, "level", LEVEL, 1, LEVEL_MAX),
        threads: number(section, "threads", 0, 0, THREADS_MAX),
    };
    section.end(&[]);
    settings
}

/// The part of S3; none when what must be there is missing, which has been noted if the store is S3.
fn s3(section: &Section<'_>, prefix: String, wanted: bool) -> Option<S3Settings> {
    let endpoint = section.read("endpoint", endpoint);
    let bucket = section.read("bucket", bucket);
    for (key, missing) in [("endpoint", endpoint.is_none()), ("bucket", bucket.is_none())] {
        if wanted && missing && !section.has(key) {
            section.wrong(key, "is missing: [archive] store = \"s3\" needs it");
        }
    }
    let parts = number(section, "parts_in_flight", PARTS_IN_FLIGHT, 1, 16);
    let settings = S3Settings {
        endpoint: endpoint.unwrap_or_default(),
        region: section.read("region", word).unwrap_or_else(|| REGION.to_owned()),
        bucket: bucket.unwrap_or_default(),
        prefix,
        path_style: section.plain("path_style").unwrap_or(true),
        access_key_file: section.read("access_key_file", absolute),
        secret_key_file: section.read("secret_key_file", absolute),
        part_bytes: section.read("part_size", part_size).unwrap_or(PART_MIN),
        parts_in_flight: parts,
        idle_seconds: number(section, "idle_timeout", IDLE_SECONDS, 1, 600),
        retries: number(section, "retries", RETRIES, 0, 10),
    };
    section.end(&[]);
    (!settings.endpoint.is_empty() && !settings.bucket.is_empty()).then_some(settings)
}

/// A whole number within bounds, 0 among them where that means "none".
fn number(section: &Section<'_>, key: &str, default: u32, least: u32, most: u32) -> u32 {
    let read = section.read(key, |number: i64| {
        let number = u32::try_from(number).ok().filter(|n| (least..=most).contains(n));
        number.ok_or_else(|| format!("write a whole number from {least} to {most}"))
    });
    read.unwrap_or(default)
}

fn endpoint(text: String) -> Result<String, String> {
    const RULE: &str = "must be http://HOST or https://HOST, with a port if need be and nothing behind it";
    let text = text.strip_suffix('/').unwrap_or(&text);
    let place = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    let place = place.ok_or(RULE)?;
    // The colons of an address in brackets are its own.
    let (host, port) = match place.rsplit_once(':') {
        Some((host, port)) if !place.ends_with(']') => (host, Some(port)),
        _ => (place, None),
    };
    let good_port = port.is_none_or(|port| port.parse::<u16>().is_ok_and(|port| port > 0));
    if good_port && is_host(host) {
        Ok(text.to_owned())
    } else {
        Err(RULE.to_owned())
    }
}

fn is_host(host: &str) -> bool {
    if let Some(address) = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        return address.parse::<Ipv6Addr>().is_ok();
    }
    let letter = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_');
    let label = |label: &str| {
        let ends = label.starts_with('-') || label.ends_with('-');
        !label.is_empty() && !ends && label.bytes().all(letter)
    };
    host.split('.').all(label)
}

fn bucket(text: String) -> Result<String, String> {
    let letter = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'.' | b'-');
    let good = (3..=63).contains(&text.len()) && text.bytes().all(letter) && !text.contains("..");
    let ends =
        text.starts_with(|c: char| c.is_ascii_alphanumeric()) && text.ends_with(|c: char| c.is_ascii_alphanumeric());
    if good && ends {
        Ok(text)
    } else {
        Err(
            "must be the name of a bucket: 3 to 63 of a-z, 0-9, `.` and `-`, not first or last one of the latter"
                .to_owned(),
        )
    }
}

fn word(text: String) -> Result<String, String> {
    if !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-') {
        Ok(text)
    } else {
        Err("must be a word of letters, digits and -".to_owned())
    }
}

/// Stands before every key; ends in a slash unless it is empty.
fn prefix(text: String) -> Result<String, String> {
    let letter = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_');
    let clean = text.trim_end_matches('/');
    if clean.is_empty() && !text.starts_with('/') {
        return Ok(String::new());
    }
    let good = |part: &str| !matches!(part, "" | "." | "..") && part.bytes().all(letter);
    if clean.split('/').all(good) {
        Ok(format!("{clean}/"))
    } else {
        Err(
            "must be words of letters, digits, `.`, `-` and `_` with single slashes between, such as \"labtop/\""
                .to_owned(),
        )
    }
}

fn part_size(text: String) -> Result<u64, String> {
    let bytes = units::parse_size(&text).filter(|bytes| (PART_MIN..=PART_MAX).contains(bytes));
    bytes.ok_or_else(|| "write a size with its unit from \"5MiB\" to \"512MiB\"".to_owned())
}

/// Reads `[templates.NAME.archive]`.
pub(super) fn selection(section: &Section<'_>, workspace: &str) -> Selection {
    let selection = Selection {
        paths: section.read("paths", paths).unwrap_or_default(),
        include: section.read("include", patterns).unwrap_or_default(),
        exclude: section.read("exclude", patterns).unwrap_or_default(),
        workspace: workspace.to_owned(),
        max_bytes: section.read("max_size", max_size).unwrap_or(SEAT_MAX),
    };
    section.end(&[]);
    selection
}

fn patterns(patterns: Vec<String>) -> Result<Vec<String>, String> {
    let selection = Selection {
        exclude: patterns.clone(),
        ..Selection::default()
    };
    Selector::new(&selection).map(|_| patterns)
}

fn paths(paths: Vec<String>) -> Result<Vec<String>, String> {
    let clean = |path: &String| path.len() > 1 && path.split('/').skip(1).all(|part| !matches!(part, "" | "." | ".."));
    if paths.iter().all(|path| path.starts_with('/') && clean(path)) {
        Ok(paths)
    } else {
        Err("each must be an absolute path of the seat without `.`, `..`, double or trailing slashes".to_owned())
    }
}

fn max_size(text: String) -> Result<u64, String> {
    let bytes = units::parse_size(&text).filter(|bytes| (1 << 20..=SEAT_MAX).contains(bytes));
    bytes.ok_or_else(|| "write a size with its unit from \"1MiB\" to \"48GiB\"".to_owned())
}
