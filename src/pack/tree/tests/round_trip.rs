//! Small trees of any shape: what is walked and written as a tar reads back the same.

use std::ffi::OsStr;
use std::fs;
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use proptest::prelude::*;

use super::super::{Found, Next, walk};
use super::ground::open;
use crate::pack::entry::{Entry, Kind};
use crate::pack::reader::TarReader;
use crate::pack::writer::TarWriter;

/// Something that is put into the tree; numbers choose among what is there.
#[derive(Debug, Clone)]
enum Deed {
    Directory,
    File(Vec<u8>),
    Symlink(Vec<u8>),
    HardLink(usize),
}

type Made = (usize, Vec<u8>, u32, Deed);

fn any_name() -> impl Strategy<Value = Vec<u8>> {
    let few = prop::sample::select(vec![b"a".to_vec(), b"a.b".to_vec(), b"b".to_vec(), b"a-".to_vec()]);
    let any = prop::collection::vec(1..=255_u8, 1..=255)
        .prop_filter("a name", |name| !name.contains(&b'/') && name != b"." && name != b"..");
    prop_oneof![few, any]
}

fn any_made() -> impl Strategy<Value = Made> {
    let deed = prop_oneof![
        Just(Deed::Directory),
        prop::collection::vec(any::<u8>(), 0..3000).prop_map(Deed::File),
        prop::collection::vec(1..=255_u8, 1..300).prop_map(Deed::Symlink),
        any::<usize>().prop_map(Deed::HardLink),
    ];
    (any::<usize>(), any_name(), 0..0o10000_u32, deed)
}

/// Does what can be done; a name may be taken already.
fn plant(root: &Path, all: &[Made]) {
    let mut directories = vec![root.to_owned()];
    let mut files: Vec<PathBuf> = Vec::new();
    for (place, name, mode, deed) in all {
        let path = directories[place % directories.len()].join(OsStr::from_bytes(name));
        if path.symlink_metadata().is_ok() {
            continue;
        }
        match deed {
            Deed::Directory => fs::create_dir(&path).unwrap(),
            Deed::File(bytes) => fs::write(&path, bytes).unwrap(),
            Deed::Symlink(target) => symlink(OsStr::from_bytes(target), &path).unwrap(),
            Deed::HardLink(_) if files.is_empty() => continue,
            Deed::HardLink(which) => fs::hard_link(&files[which % files.len()], &path).unwrap(),
        }
        if matches!(deed, Deed::Directory | Deed::File(_)) {
            fs::set_permissions(&path, fs::Permissions::from_mode(*mode)).unwrap();
        }
        match deed {
            Deed::Directory => directories.push(path),
            Deed::Symlink(_) => {}
            Deed::File(_) | Deed::HardLink(_) => files.push(path),
        }
    }
}

/// The tree as a tar, and what was put into it.
fn packed(root: &Path) -> (Vec<u8>, Vec<(Entry, Vec<u8>)>) {
    let mut all = Vec::new();
    let mut writer = TarWriter::new(Vec::new());
    walk::<io::Error, _>(open(root), b"w", &mut |found| {
        let Found::Entry(entry, content) = found else { panic!() };
        let mut bytes = Vec::new();
        writer.begin(entry)?;
        if let Some(content) = content {
            content.read_to_end(&mut bytes)?;
            assert!(!content.is_torn());
            writer.data(&bytes)?;
        }
        all.push((entry.clone(), bytes));
        Ok(Next::On)
    })
    .unwrap();
    (writer.finish().unwrap(), all)
}

/// Paths below the root by the standard library, in the order of a walk.
fn listed(root: &Path, below: &[u8], all: &mut Vec<Vec<u8>>) {
    all.push(below.to_vec());
    if root.symlink_metadata().unwrap().is_dir() {
        let mut names: Vec<_> = fs::read_dir(root)
            .unwrap()
            .map(|found| found.unwrap().file_name())
            .collect();
        names.sort();
        for name in names {
            listed(&root.join(&name), &[below, b"/", name.as_bytes()].concat(), all);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    #[test]
    fn a_tree_is_what_its_tar_says(made in prop::collection::vec(any_made(), 0..24)) {
        let dir = tempfile::tempdir().unwrap();
        plant(dir.path(), &made);
        let (tar, walked) = packed(dir.path());
        let mut paths = Vec::new();
        listed(dir.path(), b"w", &mut paths);
        prop_assert_eq!(walked.iter().map(|(entry, _)| entry.path.clone()).collect::<Vec<_>>(), paths);
        let mut reader = TarReader::new(tar.as_slice());
        for (entry, bytes) in &walked {
            prop_assert_eq!(&reader.next_entry().unwrap().unwrap(), entry);
            let mut data = Vec::new();
            reader.read_to_end(&mut data).unwrap();
            prop_assert_eq!(&data, bytes);
            if entry.kind != Kind::HardLink {
                continue;
            }
            let first = walked.iter().find(|(first, _)| first.path == entry.link);
            prop_assert!(first.is_some_and(|(first, _)| first.kind == Kind::File));
        }
        prop_assert!(reader.next_entry().unwrap().is_none());
    }
}
