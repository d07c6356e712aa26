//! Manifests are JSON to everybody, and give back every byte of a name.

use super::*;

fn head() -> Head {
    let claim = ArchiveClaim {
        id: "20261124T034512Z-7f3a9c1b".parse().unwrap(),
        seat: "a/an".parse().unwrap(),
        session: 1,
        epoch: 2,
        key: String::new(),
        bytes: 3,
        digest: "d".into(),
        content_bytes: 4,
        content_digest: "c".into(),
        created_unix_ms: 5,
        extent: crate::domain::proof::Extent::default(),
    };
    Head::of(&claim, &"6f1b7a52-0000-4000-8000-000000000000".parse().unwrap())
}

fn entry(path: &[u8], kind: Kind, link: &[u8]) -> Entry {
    Entry {
        path: path.to_vec(),
        kind,
        size: u64::from(kind == Kind::File) * 7,
        mode: 0o4755,
        uid: 1000,
        gid: u32::MAX,
        mtime: Mtime {
            seconds: -1,
            nanos: 999_999_999,
        },
        link: link.to_vec(),
    }
}

fn manifest(entries: &[Entry]) -> Vec<u8> {
    let mut spool = Vec::new();
    for entry in entries {
        let digest = (entry.kind == Kind::File).then_some([9; 32]);
        Line::stored(entry, digest.as_ref(), false).write(&mut spool).unwrap();
    }
    Line::left_out(b"workspace/pipe", None, "a named pipe")
        .write(&mut spool)
        .unwrap();
    let mut out = Vec::new();
    write(&head(), spool.as_slice(), &mut out).unwrap();
    out
}

#[test]
fn entries_come_back_with_every_byte_of_their_names() {
    let entries = [
        entry(b"workspace", Kind::Directory, b""),
        entry("workspace/bài \"1\"\n".as_bytes(), Kind::File, b""),
        entry(b"workspace/\xff\xfe", Kind::Symlink, b"/etc/\x80"),
        entry(b"workspace/again", Kind::HardLink, b"workspace/\xff"),
    ];
    let text = manifest(&entries);
    let all: serde_json::Value = serde_json::from_slice(&text).unwrap();
    assert_eq!(all["entries"].as_array().unwrap().len(), 5);
    assert_eq!(all["entries"][1]["mode"], "4755");
    let mut reader = Reader::new(text.as_slice()).unwrap();
    assert_eq!(reader.head(), &head());
    for entry in &entries {
        assert_eq!(reader.next_line().unwrap().unwrap().entry().as_ref(), Some(entry));
    }
    let left = reader.next_line().unwrap().unwrap();
    assert_eq!((left.entry(), left.left_out.as_deref()), (None, Some("a named pipe")));
    assert!(reader.next_line().unwrap().is_none());
}

#[test]
fn every_cut_is_found() {
    let text = manifest(&[entry(b"workspace", Kind::Directory, b"")]);
    for cut in 0..text.len() {
        let whole = Reader::new(&text[..cut]).and_then(|mut reader| {
            while reader.next_line()?.is_some() {}
            Ok(())
        });
        assert!(whole.is_err(), "cut at {cut}");
    }
}

#[test]
fn an_empty_one_is_json_too() {
    let mut out = Vec::new();
    write(&head(), io::empty(), &mut out).unwrap();
    assert!(serde_json::from_slice::<serde_json::Value>(&out).is_ok());
    assert!(Reader::new(out.as_slice()).unwrap().next_line().unwrap().is_none());
}
