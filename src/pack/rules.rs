//! Which parts of a student's tree belong to the archive: the template's patterns.
//!
//! A pattern without a slash at its beginning matches at any depth of the workspace (`node_modules`, `.git/objects`,
//! `*.o`); one with a slash is a path of the seat. What matches is meant with everything below it.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};

use crate::domain::template::Selection;

/// Where in an archive a thing belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// The workspace.
    Workspace,
    /// Changed files outside of it.
    Elsewhere,
}

impl Part {
    /// The first component of its paths in an archive.
    #[must_use]
    pub fn root(self) -> &'static str {
        match self {
            Self::Workspace => "workspace",
            Self::Elsewhere => "elsewhere",
        }
    }
}

/// Patterns of one kind, ready to match.
#[derive(Debug, Default)]
struct Patterns {
    anywhere: GlobSet,
    anchored: GlobSet,
    any: bool,
}

impl Patterns {
    fn new(patterns: &[String]) -> Result<Self, String> {
        let (mut anywhere, mut anchored) = (GlobSetBuilder::new(), GlobSetBuilder::new());
        for pattern in patterns {
            match pattern.strip_prefix('/') {
                Some(path) => add(&mut anchored, path, pattern)?,
                None => add(&mut anywhere, &format!("**/{pattern}"), pattern)?,
            }
        }
        let build = |builder: &GlobSetBuilder| builder.build().map_err(|error| error.to_string());
        Ok(Self {
            anywhere: build(&anywhere)?,
            anchored: build(&anchored)?,
            any: !patterns.is_empty(),
        })
    }

    fn match_one(&self, within: &[u8], in_seat: &[u8]) -> bool {
        let path = |bytes| Path::new(OsStr::from_bytes(bytes));
        self.any && (self.anywhere.is_match(path(within)) || self.anchored.is_match(path(in_seat)))
    }

    /// Whether the path or a directory above it matches.
    fn match_above(&self, within: &[u8], in_seat: &[u8]) -> bool {
        let extra = in_seat.len() - within.len();
        let ends = within
            .iter()
            .enumerate()
            .filter_map(|(at, byte)| (*byte == b'/').then_some(at));
        ends.chain([within.len()])
            .any(|end| self.match_one(&within[..end], &in_seat[..extra + end]))
    }
}

fn add(set: &mut GlobSetBuilder, glob: &str, pattern: &str) -> Result<(), String> {
    let glob = glob.trim_end_matches('/');
    if glob.split('/').all(|part| matches!(part, "" | "*" | "**")) {
        return Err(format!("{pattern:?} matches everything"));
    }
    let built = GlobBuilder::new(glob)
        .literal_separator(true)
        .backslash_escape(true)
        .build();
    set.add(built.map_err(|error| format!("{pattern:?} is no pattern: {}", error.kind()))?);
    Ok(())
}

/// The patterns of a template.
#[derive(Debug)]
pub struct Selector {
    include: Patterns,
    exclude: Patterns,
    workspace: Vec<u8>,
}

impl Selector {
    /// Makes the patterns ready.
    ///
    /// # Errors
    /// The first that is no pattern, in words.
    pub fn new(selection: &Selection) -> Result<Self, String> {
        Ok(Self {
            include: Patterns::new(&selection.include)?,
            exclude: Patterns::new(&selection.exclude)?,
            workspace: selection.workspace.trim_matches('/').as_bytes().to_vec(),
        })
    }

    /// Why something is left out, in words; none when it belongs to the archive. `within` is its path in the part.
    #[must_use]
    pub fn left_out(&self, part: Part, within: &[u8], is_directory: bool) -> Option<&'static str> {
        if within.is_empty() {
            return None;
        }
        let in_seat = match part {
            Part::Workspace => [&self.workspace, b"/".as_slice(), within].concat(),
            Part::Elsewhere => within.to_vec(),
        };
        if self.exclude.match_one(within, &in_seat) {
            return Some("excluded by the template");
        }
        let wanted = is_directory || !self.include.any || self.include.match_above(within, &in_seat);
        (!wanted).then_some("not included by the template")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn selector(include: &[&str], exclude: &[&str]) -> Selector {
        let texts = |patterns: &[&str]| patterns.iter().map(ToString::to_string).collect();
        Selector::new(&Selection {
            include: texts(include),
            exclude: texts(exclude),
            workspace: "/home/coder/project".into(),
            ..Selection::default()
        })
        .unwrap()
    }

    fn kept(selector: &Selector, part: Part, path: &str) -> bool {
        selector.left_out(part, path.as_bytes(), false).is_none()
    }

    #[test]
    fn patterns_match_at_any_depth_or_at_a_path_of_the_seat() {
        let selector = selector(
            &[],
            &[
                "node_modules",
                ".git/objects",
                "*.o",
                "/home/coder/.cache",
                "/home/coder/project/out/",
            ],
        );
        let work = |path| kept(&selector, Part::Workspace, path);
        for gone in [
            "node_modules",
            "a/b/node_modules",
            ".git/objects",
            "x/.git/objects",
            "a.o",
            "d/a.o",
            "out",
        ] {
            assert!(!work(gone), "{gone}");
        }
        for stays in ["node_modules2", "objects", ".git", "a.out", "deep/out", "home"] {
            assert!(work(stays), "{stays}");
        }
        assert!(!kept(&selector, Part::Elsewhere, "home/coder/.cache"));
        assert!(kept(&selector, Part::Elsewhere, "home/coder/.config"));
    }

    #[test]
    fn includes_keep_directories_and_what_is_below_a_match() {
        let selector = selector(&["src", "*.md"], &["*.tmp"]);
        let work = |path| kept(&selector, Part::Workspace, path);
        assert!(work("src/main.rs") && work("a/src/b/c") && work("notes.md"));
        assert!(!work("main.rs") && !work("src/x.tmp"));
        assert!(selector.left_out(Part::Workspace, b"other", true).is_none());
        assert!(selector.left_out(Part::Workspace, b"", true).is_none());
    }

    #[test]
    fn names_of_any_bytes_are_matched() {
        let selector = selector(&[], &["*.o"]);
        assert!(selector.left_out(Part::Workspace, b"\xff\xfe.o", false).is_some());
        assert!(selector.left_out(Part::Workspace, b"\xff\n.c", false).is_none());
    }

    #[test]
    fn what_is_no_pattern_is_refused() {
        for bad in ["", "/", "*", "**", "**/*", "/*", "a[", "{a"] {
            let selection = Selection {
                exclude: vec![bad.into()],
                ..Selection::default()
            };
            assert!(Selector::new(&selection).is_err(), "{bad:?}");
        }
    }
}
