//! Which paths of a container are to be read besides its workspace: from the engine's flat list of changes.
//!
//! Pure. The list names every changed thing by itself: a directory that is new, and each thing in it.

use std::collections::{BTreeMap, BTreeSet};

use bollard::models::{ChangeType, FilesystemChange};

use crate::domain::template::Selection;

/// Where the engine or its init put things of their own into a seat's file system; nobody's work.
const SYSTEM: [&str; 8] = [
    "/dev",
    "/proc",
    "/sys",
    "/.dockerenv",
    "/etc/hosts",
    "/etc/hostname",
    "/etc/resolv.conf",
    "/etc/mtab",
];

/// A path that is to be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Candidate {
    pub path: String,
    /// It was there before: if it is a directory, only its own attributes changed, and it is not read.
    pub may_be_directory: bool,
}

/// The paths to be read: every new directory as a whole where nothing is mounted below, and every changed file.
pub(super) fn paths(changes: &[FilesystemChange], selection: &Selection) -> Vec<Candidate> {
    let changed: BTreeMap<&str, ChangeType> = changes
        .iter()
        .filter(|change| change.kind != ChangeType::_2)
        .filter(|change| !SYSTEM.iter().any(|system| is_below(&change.path, system)))
        .map(|change| (change.path.as_str(), change.kind))
        .collect();
    // What was deleted has no parent to speak of: that may be a file by now.
    let there = changes.iter().filter(|change| change.kind != ChangeType::_2);
    let parents: BTreeSet<&str> = there.filter_map(|change| parent(&change.path)).collect();
    let workspace = selection.workspace.trim_end_matches('/');
    let odd = nameless(changes, workspace);
    let (mut found, mut read_whole) = (Vec::new(), BTreeSet::new());
    for (path, kind) in &changed {
        let on_the_way = !workspace.is_empty() && is_below(workspace, path);
        let in_workspace = !workspace.is_empty() && is_below(path, workspace);
        let covered = above(path).any(|above| read_whole.contains(above));
        let wanted = selection.paths.iter().any(|root| is_below(path, root));
        let in_odd = odd.iter().any(|root| is_below(path, root));
        if in_workspace || on_the_way || covered || wanted || in_odd {
            continue;
        }
        match kind {
            ChangeType::_1 => {
                read_whole.insert(*path);
                found.push(whole(path));
            }
            // It was there, and something in it changed: that has lines of its own.
            _ if parents.contains(path) => {}
            _ => found.push(Candidate {
                path: (*path).to_owned(),
                may_be_directory: true,
            }),
        }
    }
    found.extend(odd.into_iter().map(whole));
    found.extend(selection.paths.iter().map(|path| whole(path)));
    found
}

/// The engine writes this in the place of bytes that are no UTF-8, and finds nothing under such a name.
const NO_LETTER: char = '\u{fffd}';

/// Directories in which something has a name that the engine cannot be asked for: they are read whole, because a student
/// who makes such a name must neither lose work nor keep a seat from ever closing.
fn nameless<'a>(changes: &'a [FilesystemChange], workspace: &str) -> BTreeSet<&'a str> {
    let odd = changes.iter().filter(|change| change.kind != ChangeType::_2);
    let roots: BTreeSet<&str> = odd
        .filter_map(|change| change.path.find(NO_LETTER).map(|at| &change.path[..at]))
        .filter_map(parent)
        .map(|parent| if parent.is_empty() { "/" } else { parent })
        .filter(|root| workspace.is_empty() || !is_below(root, workspace))
        .collect();
    let outermost = |root: &&str| !roots.iter().any(|other| other != root && is_below(root, other));
    roots.iter().copied().filter(outermost).collect()
}

fn whole(path: &str) -> Candidate {
    Candidate {
        path: path.to_owned(),
        may_be_directory: false,
    }
}

/// What is put before the paths of the engine's answer for `path`, which begin with its last component.
pub(super) fn below(path: &str) -> Vec<u8> {
    let parent = parent(path).unwrap_or_default().trim_matches('/');
    let root = crate::pack::rules::Part::Elsewhere.root();
    if parent.is_empty() {
        root.into()
    } else {
        format!("{root}/{parent}").into()
    }
}

/// The directories above a path, the nearest first.
fn above(path: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(parent(path), |path| parent(path))
}

fn parent(path: &str) -> Option<&str> {
    path.rsplit_once('/').map(|(parent, _)| parent)
}

/// Whether `path` is `root` or below it.
fn is_below(path: &str, root: &str) -> bool {
    root == "/"
        || path
            .strip_prefix(root)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(changes: &[(&str, ChangeType)], workspace: &str, paths_too: &[&str]) -> Vec<String> {
        let changes: Vec<_> = changes
            .iter()
            .map(|(path, kind)| FilesystemChange {
                path: (*path).into(),
                kind: *kind,
            })
            .collect();
        let selection = Selection {
            workspace: workspace.into(),
            paths: paths_too.iter().map(ToString::to_string).collect(),
            ..Selection::default()
        };
        let found = paths(&changes, &selection);
        found.into_iter().map(|candidate| candidate.path).collect()
    }

    const CHANGED: ChangeType = ChangeType::_0;
    const ADDED: ChangeType = ChangeType::_1;
    const DELETED: ChangeType = ChangeType::_2;

    #[test]
    fn new_directories_are_read_whole_and_changed_ones_file_by_file() {
        let changes = [
            ("/home", CHANGED),
            ("/home/coder", CHANGED),
            ("/home/coder/.bashrc", CHANGED),
            ("/home/coder/.config", ADDED),
            ("/home/coder/.config/a", ADDED),
            ("/home/coder/.config/a/b", ADDED),
            ("/home/coder/gone", DELETED),
            ("/etc", CHANGED),
            ("/etc/hosts", ADDED),
            ("/.dockerenv", ADDED),
        ];
        assert_eq!(
            found(&changes, "/workspace", &[]),
            ["/home/coder/.bashrc", "/home/coder/.config"]
        );
    }

    #[test]
    fn the_workspace_and_the_way_to_it_are_not_read_twice() {
        let changes = [
            ("/home", ADDED),
            ("/home/coder", ADDED),
            ("/home/coder/.cache", ADDED),
            ("/home/coder/.cache/x", ADDED),
            ("/home/coder/project", ADDED),
            ("/home/coder/project2", ADDED),
        ];
        let read = found(&changes, "/home/coder/project", &[]);
        assert_eq!(read, ["/home/coder/.cache", "/home/coder/project2"]);
    }

    #[test]
    fn nothing_is_read_twice_or_left_out_for_its_neighbours() {
        // `-` comes before `/`: a neighbour stands between a directory and what is in it.
        let changes = [("/opt/a", ADDED), ("/opt/a-b", ADDED), ("/opt/a/x", ADDED)];
        assert_eq!(found(&changes, "/workspace", &[]), ["/opt/a", "/opt/a-b"]);
        // A directory that became a file: what was in it is gone.
        let changes = [("/etc/conf", CHANGED), ("/etc/conf/old", DELETED)];
        assert_eq!(found(&changes, "/workspace", &[]), ["/etc/conf"]);
    }

    #[test]
    fn names_that_are_no_text_are_read_with_their_directory() {
        let changes = [
            ("/tmp", CHANGED),
            ("/tmp/a", ADDED),
            ("/tmp/b\u{fffd}", ADDED),
            ("/tmp/b\u{fffd}/c", ADDED),
            ("/tmp/d/e\u{fffd}", ADDED),
            ("/opt/x", ADDED),
            ("/workspace/\u{fffd}", ADDED),
        ];
        assert_eq!(found(&changes, "/workspace", &[]), ["/opt/x", "/tmp"]);
        assert_eq!(
            found(&[("/\u{fffd}", ADDED), ("/opt/x", ADDED)], "/workspace", &[]),
            ["/"]
        );
    }

    #[test]
    fn named_paths_are_read_whole_once() {
        let changes = [("/data", CHANGED), ("/data/x", ADDED), ("/opt/y", ADDED)];
        assert_eq!(found(&changes, "/workspace", &["/data"]), ["/opt/y", "/data"]);
    }

    #[test]
    fn paths_come_below_their_parents() {
        assert_eq!(below("/home/coder/.bashrc"), b"elsewhere/home/coder");
        assert_eq!(below("/file"), b"elsewhere");
    }
}
