//! Trees and tars for the tests of unpacking.

#![allow(dead_code, reason = "not every test needs everything")]

use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File};
use std::io::Read;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::process::Command;

use labtop::pack::entry::{Entry, Kind, Mtime};
use labtop::pack::tree::{self, Found, Next};
use labtop::pack::writer::TarWriter;

/// A directory of the test's own. Removed by `rm`, which can remove trees of any depth.
pub struct Scratch(PathBuf);

impl Scratch {
    pub fn new() -> Self {
        Self(tempfile::tempdir().unwrap().keep())
    }

    /// One that is quick to fill and to remove, where the system has such a thing.
    pub fn in_memory() -> Self {
        let dir = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir());
        Self(dir.unwrap().keep())
    }

    pub fn at(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    /// The names in it.
    pub fn names(&self) -> Vec<String> {
        let names = fs::read_dir(&self.0).unwrap();
        let mut names: Vec<_> = names
            .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let run = |program: &str, args: &[&str]| {
            let status = Command::new(program).args(args).arg("--").arg(&self.0).status();
            status.is_ok_and(|status| status.success())
        };
        // Directories may be closed to the user that made them.
        if !run("chmod", &["-R", "u+rwX"]) || !run("rm", &["-r", "-f"]) {
            eprintln!("{} could not be removed", self.0.display());
        }
    }
}

pub fn entry(kind: Kind, path: impl AsRef<[u8]>) -> Entry {
    Entry {
        path: path.as_ref().to_vec(),
        kind,
        size: 0,
        mode: if kind == Kind::Directory { 0o755 } else { 0o644 },
        uid: rustix::process::getuid().as_raw(),
        gid: rustix::process::getgid().as_raw(),
        mtime: Mtime {
            seconds: 1_700_000_000,
            nanos: 123_456_789,
        },
        link: Vec::new(),
    }
}

pub fn link(kind: Kind, path: impl AsRef<[u8]>, to: impl AsRef<[u8]>) -> Entry {
    Entry {
        link: to.as_ref().to_vec(),
        ..entry(kind, path)
    }
}

/// A tar of the test's own.
pub struct Tar(TarWriter<Vec<u8>>);

impl Tar {
    pub fn new() -> Self {
        Self(TarWriter::new(Vec::new()))
    }

    pub fn add(mut self, entry: &Entry) -> Self {
        self.0.begin(entry).unwrap();
        self
    }

    pub fn dir(self, path: impl AsRef<[u8]>) -> Self {
        self.add(&entry(Kind::Directory, path))
    }

    pub fn file(self, path: impl AsRef<[u8]>, content: impl AsRef<[u8]>) -> Self {
        self.with_data(entry(Kind::File, path), content)
    }

    pub fn with_data(mut self, mut entry: Entry, content: impl AsRef<[u8]>) -> Self {
        entry.size = content.as_ref().len() as u64;
        self.0.begin(&entry).unwrap();
        self.0.data(content.as_ref()).unwrap();
        self
    }

    pub fn symlink(self, path: impl AsRef<[u8]>, to: impl AsRef<[u8]>) -> Self {
        self.add(&link(Kind::Symlink, path, to))
    }

    pub fn hard_link(self, path: impl AsRef<[u8]>, to: impl AsRef<[u8]>) -> Self {
        self.add(&link(Kind::HardLink, path, to))
    }

    pub fn end(self) -> Vec<u8> {
        self.0.finish().unwrap()
    }
}

/// The tree at `root` as labtop packs it, under `name`.
pub fn packed(root: &Path, name: &str) -> Vec<u8> {
    let mut tar = TarWriter::new(Vec::new());
    let open = File::open(root).unwrap();
    tree::walk::<std::io::Error, _>(open.into(), name.as_bytes(), &mut |found| {
        let Found::Entry(entry, content) = found else {
            panic!("something below {} cannot be read", root.display());
        };
        tar.begin(entry)?;
        if let Some(content) = content {
            let mut data = Vec::new();
            content.read_to_end(&mut data)?;
            tar.data(&data)?;
        }
        Ok(Next::On)
    })
    .unwrap();
    tar.finish().unwrap()
}

/// What stands at a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    pub kind: char,
    pub mode: u32,
    pub owner: (u32, u32),
    pub mtime: (i64, i64),
    /// Of a file its content, of a link where it leads.
    pub content: Vec<u8>,
    pub names: u64,
    /// The first path of a file with several names.
    pub first: Option<Vec<u8>>,
}

/// Everything below `root`, and itself.
pub fn look(root: &Path) -> BTreeMap<Vec<u8>, Seen> {
    let (mut all, mut inodes) = (BTreeMap::new(), HashMap::new());
    let mut left = vec![root.to_path_buf()];
    while let Some(path) = left.pop() {
        let data = path.symlink_metadata().unwrap();
        let short = path.strip_prefix(root).unwrap().as_os_str().as_bytes().to_vec();
        let kind = data.file_type();
        if kind.is_dir() {
            let mut below: Vec<_> = fs::read_dir(&path)
                .unwrap()
                .map(|entry| entry.unwrap().path())
                .collect();
            below.sort();
            left.extend(below.into_iter().rev());
        }
        let is_shared = !kind.is_dir() && data.nlink() > 1;
        let first = is_shared.then(|| inodes.entry(data.ino()).or_insert_with(|| short.clone()).clone());
        let seen = Seen {
            kind: match kind {
                _ if kind.is_dir() => 'd',
                _ if kind.is_symlink() => 'l',
                _ if kind.is_file() => 'f',
                _ if kind.is_fifo() => 'p',
                _ => '?',
            },
            mode: data.mode() & 0o7777,
            owner: (data.uid(), data.gid()),
            mtime: (data.mtime(), data.mtime_nsec()),
            content: match kind {
                _ if kind.is_symlink() => fs::read_link(&path).unwrap().into_os_string().into_vec(),
                _ if kind.is_file() => fs::read(&path).unwrap(),
                _ => Vec::new(),
            },
            names: if kind.is_dir() { 0 } else { data.nlink() },
            first,
        };
        all.insert(short, seen);
    }
    all
}

/// Holds two trees to being the same, with a short complaint.
pub fn assert_same(a: &BTreeMap<Vec<u8>, Seen>, b: &BTreeMap<Vec<u8>, Seen>) {
    let shown = |path: &[u8]| labtop::pack::entry::shown(path);
    for path in a.keys().chain(b.keys()) {
        let (Some(one), Some(other)) = (a.get(path), b.get(path)) else {
            panic!("{} is only in one of both", shown(path));
        };
        assert!(one.content == other.content, "{} differs in its content", shown(path));
        let short = |seen: &Seen| Seen {
            content: Vec::new(),
            ..seen.clone()
        };
        assert_eq!(short(one), short(other), "{}", shown(path));
    }
}
