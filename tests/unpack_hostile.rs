//! Tars that somebody made to do harm: nothing is ever made, changed or read outside of the target.
//!
//! The tests may run as root. What they aim at is their own, far below their own directory, so that code that is wrong
//! fails a test and does no harm to the machine.

mod unpacking;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use labtop::pack::entry::{Entry, Kind};
use labtop::pack::unpack::{Owners, UnpackError, Unpacked, unpack};
use proptest::prelude::*;
use unpacking::{Scratch, Seen, Tar, entry, link, look};

/// A place with things around it that must stay as they are: `OUTER/target` is where a tar goes.
struct Guarded {
    dir: Scratch,
    before: BTreeMap<Vec<u8>, Seen>,
}

/// Deeper than the links of the tests lead up.
const OUTER: &str = "t/u/1/2/3/4/5/6/7/8/9/v/outer";

impl Guarded {
    fn new() -> Self {
        let dir = Scratch::in_memory();
        fs::create_dir_all(dir.at(OUTER)).unwrap();
        for name in ["guard", "t/u/guard"] {
            fs::create_dir(dir.at(name)).unwrap();
            fs::write(dir.at(name).join("secret"), "as it was").unwrap();
        }
        fs::write(dir.at(OUTER).join("secret"), "as it was").unwrap();
        let before = look(dir.path());
        Self { dir, before }
    }

    fn path(&self, name: &str) -> Vec<u8> {
        self.dir.at(name).into_os_string().into_encoded_bytes()
    }

    fn target(&self) -> std::path::PathBuf {
        self.dir.at(OUTER).join("target")
    }

    /// Unpacks, and takes away again what was made in the target's own place. Everything else must be as it was.
    fn unpack(&self, tar: &[u8], from: &[u8]) -> Result<Unpacked, UnpackError> {
        let result = unpack(tar, from, &self.target(), Owners::Mine);
        assert_eq!(self.target().exists(), result.is_ok());
        let mut after = look(self.dir.path());
        after.retain(|path, _| !path.starts_with(format!("{OUTER}/target").as_bytes()));
        for seen in after.values_mut().filter(|seen| seen.kind == 'd') {
            // The target's own parent changed, as it should.
            seen.mtime = (0, 0);
        }
        let mut before = self.before.clone();
        for seen in before.values_mut().filter(|seen| seen.kind == 'd') {
            seen.mtime = (0, 0);
        }
        assert_eq!(after, before);
        result
    }

    /// Holds the tar to being refused, for a reason with `word` in it.
    fn refuses(&self, tar: Tar, word: &str) {
        let error = self.unpack(&tar.end(), b"w").unwrap_err();
        assert!(matches!(error, UnpackError::Refused { .. }), "{error}");
        assert!(error.to_string().contains(word), "{error}");
        assert!(!error.to_string().contains(char::is_control), "{error:?}");
    }
}

fn tar() -> Tar {
    Tar::new().dir("w").file("w/before", "x")
}

#[test]
fn paths_that_lead_out_are_refused() {
    let guarded = Guarded::new();
    for path in ["w/../x", "w/..", "w/a/../../x", "w/./x", "w/.", "w/a/.."] {
        guarded.refuses(tar().file(path, "evil"), "`..`");
        guarded.refuses(tar().dir(path), "`..`");
        guarded.refuses(tar().symlink(path, "evil"), "`..`");
        guarded.refuses(tar().hard_link(path, "w/before"), "`..`");
        guarded.refuses(tar().add(&entry(Kind::Fifo, path)), "`..`");
    }
    for path in ["w//x", "w/a//x"] {
        guarded.refuses(tar().file(path, "evil"), "empty part");
    }
    guarded.refuses(tar().file(b"w//etc/evil\x1b[2J", "evil"), "empty part");
    guarded.refuses(tar().file([b"w/a\0".as_slice(), &[b'x'; 100]].concat(), "evil"), "NUL");
}

#[test]
fn paths_of_everything_that_lead_out_are_refused() {
    let guarded = Guarded::new();
    let absolute = guarded.path("guard/evil");
    let paths = [b"../x".as_slice(), b"..", b"", b"/", b"//x", b"a/../../x", &absolute];
    for path in paths {
        let error = guarded.unpack(&Tar::new().file(path, "evil").end(), b"").unwrap_err();
        assert!(matches!(error, UnpackError::Refused { .. }), "{error}");
    }
    guarded
        .unpack(&Tar::new().dir("./").file("./a", "x").end(), b"")
        .unwrap();
}

#[test]
fn nothing_goes_through_a_link() {
    let guarded = Guarded::new();
    let targets = [
        guarded.path("guard"),
        b"../../guard".to_vec(),
        b"..".to_vec(),
        b"real".to_vec(),
        b".".to_vec(),
    ];
    for to in targets {
        let begin = || tar().dir("w/real").symlink("w/way", &to);
        guarded.refuses(begin().file("w/way/secret", "evil"), "below way, which is no directory");
        guarded.refuses(begin().file("w/way/a/b", "evil"), "no directory");
        guarded.refuses(begin().dir("w/way/new"), "no directory");
        guarded.refuses(begin().symlink("w/way/new", "evil"), "no directory");
        guarded.refuses(begin().hard_link("w/way/new", "w/before"), "no directory");
        guarded.refuses(begin().hard_link("w/new", "w/way/secret"), "no file");
        guarded.refuses(begin().dir("w/way"), "twice");
        guarded.refuses(begin().file("w/way", "evil"), "twice");
    }
    let secret = guarded.path("guard/secret");
    guarded.refuses(tar().symlink("w/s", &secret).file("w/s", "evil"), "twice");
    // Another name of a link is a link.
    guarded
        .unpack(&tar().symlink("w/s", &secret).hard_link("w/t", "w/s").end(), b"w")
        .unwrap();
    assert_eq!(
        fs::read_link(guarded.target().join("t"))
            .unwrap()
            .into_os_string()
            .into_encoded_bytes(),
        secret
    );
}

#[test]
fn nothing_goes_below_a_file() {
    let guarded = Guarded::new();
    guarded.refuses(tar().file("w/before/x", "evil"), "below before, which is no directory");
    guarded.refuses(tar().dir("w/before/x/y"), "no directory");
    guarded.refuses(tar().dir("w/a").hard_link("w/x", "w/before/y"), "no file");
}

#[test]
fn nothing_comes_twice() {
    let guarded = Guarded::new();
    guarded.refuses(tar().file("w/before", "again"), "twice");
    guarded.refuses(tar().symlink("w/before", "again"), "twice");
    guarded.refuses(tar().dir("w/before"), "twice");
    guarded.refuses(tar().hard_link("w/before", "w/before"), "twice");
    guarded.refuses(tar().file("w/b", "x").hard_link("w/before", "w/b"), "twice");
    guarded.refuses(tar().dir("w"), "twice");
    guarded.refuses(tar().dir("w/a").dir("w/a"), "twice");
    guarded.refuses(tar().dir("w/a").dir("w/b").dir("w/a"), "twice");
    guarded.refuses(tar().dir("w/a").file("w/a", "x"), "twice");
}

#[test]
fn names_of_files_outside_are_refused() {
    let guarded = Guarded::new();
    for to in ["../secret", "/etc/passwd", "w/../../secret", "w//x", "", "."] {
        guarded.refuses(tar().hard_link("w/new", to), "outside");
    }
    guarded.refuses(tar().hard_link("w/new", guarded.path("guard/secret")), "outside");
    guarded.refuses(tar().dir("w/a").hard_link("w/new", "w/a"), "no file");
    guarded.refuses(tar().symlink("w/new", ""), "no path");
    guarded.refuses(
        tar().symlink("w/new", [b"a\0".as_slice(), &[b'x'; 120]].concat()),
        "no path",
    );
}

#[test]
fn a_message_of_a_long_path_is_short() {
    let guarded = Guarded::new();
    let path = format!("w/{}..", "x\x1b/".repeat(100_000));
    let error = guarded.unpack(&tar().file(path, "evil").end(), b"w").unwrap_err();
    assert!(error.to_string().len() < 1000, "{error}");
}

/// Names that lead somewhere, often the same ones, so that entries meet.
fn any_path(places: Vec<Vec<u8>>) -> impl Strategy<Value = Vec<u8>> {
    let name = prop_oneof![
        8 => prop::sample::select(vec!["a", "b", "c"]).prop_map(|name| name.as_bytes().to_vec()),
        1 => prop::sample::select(vec!["..", ".", "", "guard", "secret", "a\0b"]).prop_map(|name| name.as_bytes().to_vec()),
        1 => prop::collection::vec(any::<u8>(), 0..300),
    ];
    let path = prop::collection::vec(name, 1..5).prop_map(|names| names.join(&b'/'));
    prop_oneof![
        12 => path.clone().prop_map(|path| [b"w/".as_slice(), &path].concat()),
        2 => path,
        1 => prop::sample::select(places),
    ]
}

fn any_entry(places: Vec<Vec<u8>>) -> impl Strategy<Value = (Entry, Vec<u8>)> {
    let kinds = [Kind::File, Kind::Directory, Kind::Symlink, Kind::HardLink, Kind::Fifo];
    let to = prop_oneof![
        any_path(places.clone()),
        Just(b"..".to_vec()),
        prop::sample::select(places.clone())
    ];
    // Whoever runs the test must be able to look at what was made.
    let mode = (0..0o10000_u32).prop_map(|mode| mode | 0o700);
    (
        any_path(places),
        prop::sample::select(kinds.to_vec()),
        to,
        mode,
        0..6000_usize,
    )
        .prop_map(|(path, kind, to, mode, size)| match kind {
            Kind::Symlink | Kind::HardLink => (link(kind, path, to), Vec::new()),
            Kind::File => (
                Entry {
                    mode,
                    ..entry(kind, path)
                },
                vec![1; size],
            ),
            _ => (
                Entry {
                    mode,
                    ..entry(kind, path)
                },
                Vec::new(),
            ),
        })
}

/// What a tree of entries must have when they all were taken: the number of names below the target.
fn count_below(root: &Path) -> u64 {
    look(root).len() as u64 - 1
}

#[test]
fn no_tar_makes_anything_outside() {
    let guarded = Guarded::new();
    let places = ["guard", "guard/secret", "t/u/guard/new", OUTER]
        .map(|name| guarded.path(name))
        .to_vec();
    let config = ProptestConfig {
        cases: 1500,
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    let taken = std::cell::Cell::new(0);
    let mut runner = proptest::test_runner::TestRunner::new(config);
    let tars = (
        prop::collection::vec(any_entry(places), 0..12),
        prop::sample::select(vec!["w", "", "w/a"]),
    );
    let result = runner.run(&tars, |(entries, from)| {
        let mut tar = Tar::new();
        for (entry, data) in entries {
            tar = tar.with_data(entry, data);
        }
        if let Ok(done) = guarded.unpack(&tar.end(), from.as_bytes()) {
            taken.set(taken.get() + 1);
            prop_assert_eq!(
                count_below(&guarded.target()),
                done.files + done.directories + done.links
            );
            fs::remove_dir_all(guarded.target()).unwrap();
        }
        Ok(())
    });
    result.unwrap();
    let taken = taken.get();
    assert!(
        taken > 100,
        "only {taken} of the tars were taken: that tells too little"
    );
}
