//! What goes in comes out, is told of, and every alteration of what is stored is found.

use proptest::prelude::*;

use super::*;
use crate::domain::proof::{ArchiveClaim, Extent, Stored};
use crate::domain::template::Selection;
use crate::pack::check::{Compared, compare};
use crate::pack::entry::Mtime;
use crate::pack::manifest::{self, Head};
use crate::pack::squeeze::{Compression, squeeze};
use crate::pack::sum::Sum;

fn entry(path: &str, kind: Kind, size: u64, link: &str) -> Entry {
    Entry {
        path: path.into(),
        kind,
        size,
        mode: 0o644,
        uid: 1000,
        gid: 1000,
        mtime: Mtime {
            seconds: 1_700_000_000,
            nanos: 5,
        },
        link: link.into(),
    }
}

fn tar(entries: &[Entry]) -> Vec<u8> {
    let mut writer = TarWriter::new(Vec::new());
    for entry in entries {
        writer.begin(entry).unwrap();
        writer.data(&vec![7; usize::try_from(entry.size).unwrap()]).unwrap();
    }
    writer.finish().unwrap()
}

fn sample() -> Vec<Entry> {
    vec![
        entry("workspace", Kind::Directory, 0, ""),
        entry("workspace/a.txt", Kind::File, 3000, ""),
        entry("workspace/again", Kind::HardLink, 0, "workspace/a.txt"),
        entry("workspace/empty", Kind::File, 0, ""),
        entry("workspace/link", Kind::Symlink, 0, "../../etc/passwd"),
        entry("workspace/node_modules", Kind::Directory, 0, ""),
        entry("workspace/node_modules/x", Kind::File, 9, ""),
        entry("workspace/node_modules2", Kind::File, 0, ""),
        entry("workspace/pipe", Kind::Fifo, 0, ""),
    ]
}

fn orders(exclude: &[&str], max_bytes: u64) -> Orders {
    let selection = Selection {
        exclude: exclude.iter().map(ToString::to_string).collect(),
        ..Selection::default()
    };
    Orders {
        selector: Selector::new(&selection).unwrap(),
        max_bytes,
        progress: Arc::default(),
        running: false,
        wanted: Box::new(|| true),
    }
}

const COMPRESSION: Compression = Compression { level: 3, threads: 0 };

/// What was stored.
struct Out {
    bytes: Vec<u8>,
    sum: Sum,
    packed: Packed,
    manifest: Vec<u8>,
}

fn pack(entries: &[Entry], exclude: &[&str]) -> Result<Out, PackError> {
    let mut bytes = Vec::new();
    let spool = tempfile::tempfile().unwrap();
    let ((packed, lines), sum) = squeeze(&mut bytes, COMPRESSION, |into| {
        let mut packer = Packer::new(into, spool, orders(exclude, 0));
        packer.tar(tar(entries).as_slice(), Part::Workspace, b"")?;
        packer.finish()
    })?;
    let claim = ArchiveClaim {
        id: "20261124T034512Z-7f3a9c1b".parse().unwrap(),
        seat: "a/an".parse().unwrap(),
        session: 1,
        epoch: 1,
        key: String::new(),
        bytes: sum.bytes,
        digest: sum.digest.clone(),
        content_bytes: packed.content_bytes,
        content_digest: packed.content_digest.clone(),
        created_unix_ms: 0,
        extent: Extent {
            manifest: Stored::default(),
            ..Extent::default()
        },
    };
    let head = Head::of(&claim, &"6f1b7a52-0000-4000-8000-000000000000".parse().unwrap());
    let mut manifest = Vec::new();
    manifest::write(&head, lines.unwrap(), &mut manifest).unwrap();
    Ok(Out {
        bytes,
        sum,
        packed,
        manifest,
    })
}

fn check(stored: &[u8], manifest: &[u8], content_bytes: u64) -> Result<Compared, String> {
    let mut reader = manifest::Reader::new(manifest).map_err(|error| error.to_string())?;
    compare(stored, &mut reader, content_bytes)
}

#[test]
fn what_was_packed_compares_equal() {
    let Out {
        bytes,
        sum,
        packed,
        manifest,
    } = pack(&sample(), &["node_modules"]).unwrap();
    assert_eq!((packed.entries, packed.left_out, packed.torn), (6, 2, 0));
    let back = check(&bytes, &manifest, packed.content_bytes).unwrap();
    assert_eq!(back.stored, sum);
    assert_eq!(back.content.bytes, packed.content_bytes);
    assert_eq!(back.content.digest, packed.content_digest);
    let text = String::from_utf8(manifest).unwrap();
    for named in ["node_modules", "excluded by the template", "a named pipe"] {
        assert!(text.contains(named), "{named} in {text}");
    }
}

#[test]
fn a_digest_alone_is_the_same() {
    let packed = pack(&sample(), &["node_modules"]).unwrap().packed;
    let mut packer = Packer::digesting(orders(&["node_modules"], 0));
    packer.tar(tar(&sample()).as_slice(), Part::Workspace, b"").unwrap();
    let (digested, lines) = packer.finish().unwrap();
    assert!(lines.is_none());
    assert_eq!(digested.content_digest, packed.content_digest);
}

#[test]
fn every_difference_of_an_entry_changes_the_digest() {
    let of = |entries: &[Entry]| pack(entries, &[]).unwrap().packed.content_digest;
    let before = of(&sample());
    let changes: [fn(&mut Entry); 7] = [
        |e| e.path.push(b'x'),
        |e| e.size += 1,
        |e| e.mode = 0o600,
        |e| e.uid = 1,
        |e| e.gid = 1,
        |e| e.mtime.seconds += 1,
        |e| e.kind = Kind::Directory,
    ];
    for (number, change) in changes.iter().enumerate() {
        let mut entries = sample();
        change(&mut entries[3]);
        if entries[3].kind == Kind::Directory {
            entries[3].size = 0;
        }
        assert_ne!(of(&entries), before, "change {number}");
    }
}

#[test]
fn every_altered_byte_of_either_object_is_found() {
    let Out {
        bytes: stored,
        sum,
        packed,
        manifest,
    } = pack(&sample(), &[]).unwrap();
    let right = |stored: &[u8], manifest: &[u8]| {
        check(stored, manifest, packed.content_bytes).is_ok_and(|back| back.stored == sum)
    };
    assert!(right(&stored, &manifest));
    for at in 0..stored.len() {
        let mut forged = stored.clone();
        forged[at] ^= 0x10;
        assert!(!right(&forged, &manifest), "byte {at} of the work");
    }
    let lines = manifest.iter().position(|b| *b == b'\n').unwrap();
    let text = String::from_utf8(manifest.clone()).unwrap();
    let files = text[lines..].replace("\"size\":3000", "\"size\":3001");
    assert!(!right(&stored, [&text[..lines], &files].concat().as_bytes()));
    let missing: Vec<&str> = text
        .lines()
        .filter(|line| !line.contains("a.txt\",\"type\":\"file"))
        .collect();
    assert!(!right(&stored, (missing.join("\n") + "\n").as_bytes()));
}

#[test]
fn more_than_was_sent_is_not_unpacked() {
    let out = pack(&sample(), &[]).unwrap();
    let short = check(&out.bytes, &out.manifest, out.packed.content_bytes - 1000);
    assert!(short.is_err_and(|what| what.contains("cut short")));
}

/// Two threads have a part in the comparison; whoever knows the cause tells of it.
#[test]
fn what_cannot_be_unpacked_is_told_as_that() {
    let out = pack(&sample(), &[]).unwrap();
    let cut = check(
        &out.bytes[..out.bytes.len() / 2],
        &out.manifest,
        out.packed.content_bytes,
    );
    let what = cut.unwrap_err();
    assert!(what.contains("cannot be unpacked (incomplete frame)"), "{what}");
}

#[test]
fn another_name_of_what_was_left_out_is_not_lost() {
    let fault = pack(&sample(), &["a.txt"]).err();
    assert!(matches!(fault, Some(PackError::Tangled(name)) if name.contains("again")));
}

#[test]
fn a_bound_is_kept() {
    let mut packer = Packer::digesting(orders(&[], 4000));
    let fault = packer.tar(tar(&sample()).as_slice(), Part::Workspace, b"").unwrap_err();
    assert!(matches!(fault, PackError::TooBig(4000)));
}

#[test]
fn elsewhere_is_a_part_of_its_own() {
    let mut packer = Packer::digesting(orders(&[], 0));
    let home = [
        entry(".bashrc", Kind::File, 3, ""),
        entry("again", Kind::HardLink, 0, ".bashrc"),
    ];
    packer
        .tar(tar(&home).as_slice(), Part::Elsewhere, b"elsewhere/home/coder")
        .unwrap();
    let (packed, _) = packer.finish().unwrap();
    assert!(packed.elsewhere_digest.is_some());
}

#[test]
fn what_is_there_and_cannot_be_read_is_never_passed_over() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("a"), "work").unwrap();
    std::fs::create_dir(dir.path().join("mounted")).unwrap();
    let digest = || {
        let mut packer = Packer::digesting(orders(&[], 0));
        packer
            .tree(std::fs::File::open(dir.path()).unwrap().into())
            .map(|()| packer.finish().unwrap().0.entries)
    };
    assert_eq!(digest().unwrap(), 3);
    let at = dir.path().join("mounted");
    let mount = |args: &[&str]| {
        std::process::Command::new(args[0])
            .args(&args[1..])
            .arg(&at)
            .status()
            .unwrap()
    };
    assert!(
        mount(&["mount", "-t", "tmpfs", "labtop-test"]).success(),
        "run the tests as root"
    );
    let taken = digest();
    assert!(mount(&["umount"]).success());
    assert!(matches!(taken.unwrap_err(), PackError::Source(why) if why.to_string().contains("mounted")));
}

#[test]
fn every_cut_of_the_source_is_found() {
    let tar = tar(&sample());
    for cut in (0..tar.len()).step_by(100) {
        let mut packer = Packer::digesting(orders(&[], 0));
        let fault = packer.tar(&tar[..cut], Part::Workspace, b"").unwrap_err();
        assert!(
            matches!(fault, PackError::Tar(BadTar::CutShort, _)),
            "cut at {cut}: {fault:?}"
        );
    }
}

proptest! {
    #[test]
    fn any_stored_bytes_and_manifest_are_refused_without_panic(stored in prop::collection::vec(any::<u8>(), 0..300), text in ".{0,200}") {
        prop_assert!(check(&stored, text.as_bytes(), 1000).is_err());
    }
}
