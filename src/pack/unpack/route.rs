//! The paths of an archive's entries: which are wanted, and which are none that a tree can have.

use crate::pack::entry::shown;

/// Bytes of a path that a message shows at each of its ends; a forged path has up to a MiB.
const SHOWN_MAX: usize = 150;

/// What is left of `path` below `from`: empty for `from` itself, none for what is elsewhere.
pub(super) fn below<'a>(path: &'a [u8], from: &[u8]) -> Option<&'a [u8]> {
    if from.is_empty() {
        return Some(path);
    }
    let rest = path.strip_prefix(from)?;
    if rest.is_empty() {
        Some(rest)
    } else {
        rest.strip_prefix(b"/")
    }
}

/// A path without slashes at its ends, as a person may write it.
pub(super) fn trimmed(mut path: &[u8]) -> &[u8] {
    while let Some(rest) = path.strip_prefix(b"/") {
        path = rest;
    }
    while let Some(rest) = path.strip_suffix(b"/") {
        path = rest;
    }
    path
}

/// Whether every component is a name; else what is wrong.
pub(super) fn check(path: &[u8]) -> Result<(), &'static str> {
    if path.starts_with(b"/") {
        return Err("its path is absolute");
    }
    if path.contains(&0) {
        return Err("its path has a NUL in it");
    }
    for component in path.split(|byte| *byte == b'/') {
        match component {
            b"" => return Err("its path has an empty part"),
            b"." | b".." => return Err("its path has `.` or `..` in it"),
            _ => {}
        }
    }
    Ok(())
}

/// The directory and the name of a path.
pub(super) fn split(path: &[u8]) -> (&[u8], &[u8]) {
    match path.iter().rposition(|byte| *byte == b'/') {
        Some(slash) => (&path[..slash], &path[slash + 1..]),
        None => (b"", path),
    }
}

/// A path for people, harmless and not too long.
pub(super) fn told(path: &[u8]) -> String {
    if path.len() <= 2 * SHOWN_MAX {
        return shown(path);
    }
    let (begin, end) = (&path[..SHOWN_MAX], &path[path.len() - SHOWN_MAX..]);
    format!("{}…{}", shown(begin), shown(end))
}

/// Whether a link at `path` leads to something below the target, whatever links are on its way: it is relative, goes up no
/// further than it is deep, and only at its beginning.
pub(super) fn stays_inside(path: &[u8], link: &[u8]) -> bool {
    let depth = path.split(|byte| *byte == b'/').count() - 1;
    let mut steps = link
        .split(|byte| *byte == b'/')
        .filter(|step| !matches!(*step, b"" | b"."));
    let up = steps.by_ref().take_while(|step| *step == b"..").count();
    !link.starts_with(b"/") && up <= depth && steps.all(|step| step != b"..")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_components_select() {
        assert_eq!(below(b"workspace/a/b", b"workspace"), Some(b"a/b".as_slice()));
        assert_eq!(below(b"workspace", b"workspace"), Some(b"".as_slice()));
        assert_eq!(below(b"workspaces/a", b"workspace"), None);
        assert_eq!(below(b"work", b"workspace"), None);
        assert_eq!(below(b"a/b", b""), Some(b"a/b".as_slice()));
        assert_eq!(trimmed(b"//a/b//"), b"a/b");
    }

    #[test]
    fn paths_that_lead_elsewhere_are_none() {
        for good in [b"a".as_slice(), b"a/b", b"...", b"a/..b", b"\xff\n", b" "] {
            assert_eq!(check(good), Ok(()), "{}", shown(good));
        }
        for bad in [
            b"".as_slice(),
            b"/",
            b"/a",
            b"a//b",
            b"a/",
            b"..",
            b"a/../b",
            b"a/..",
            b"./a",
            b"a/.",
            b"a\0b",
        ] {
            assert!(check(bad).is_err(), "{}", shown(bad));
        }
    }

    #[test]
    fn a_long_path_is_told_in_short() {
        let path = [vec![b'a'; 100_000], b"\x1b[2Jend".to_vec()].concat();
        let told = told(&path);
        assert!(told.len() < 400 && told.ends_with("\\u{1b}[2Jend"), "{told}");
    }

    #[test]
    fn links_stay_inside_or_are_seen_through() {
        for (path, link) in [("a", "b"), ("d/a", "../b"), ("d/a", "./../b/c"), ("a", "d//b")] {
            assert!(stays_inside(path.as_bytes(), link.as_bytes()), "{path} {link}");
        }
        for (path, link) in [
            ("a", "../b"),
            ("a", "/b"),
            ("d/a", "../../b"),
            ("d/a", "x/../../b"),
            ("a", "x/.."),
        ] {
            assert!(!stays_inside(path.as_bytes(), link.as_bytes()), "{path} {link}");
        }
    }
}
