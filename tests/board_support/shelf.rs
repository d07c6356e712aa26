//! Archives to look at, and boards that show them.

use std::sync::Arc;

use crossterm::event::KeyCode;
use labtop::domain::command::ArchiveRow;
use labtop::domain::proof::{ArchiveClaim, Extent, VerifyMode};
use labtop::pack::entry::{Entry, Kind, Mtime};
use labtop::pack::manifest::{Head, Line, write};
use labtop::tui::port::{Inbound, Outbound, StreamId};
use labtop::tui::tree::Tree;

use super::{Hands, MIB, two_rooms};

pub fn row(room: &str, student: &str, created: &str) -> ArchiveRow {
    let n: u64 = student[1..].parse().unwrap();
    let stamp: String = created.chars().filter(|c| !"-:".contains(*c)).collect();
    ArchiveRow {
        kind: labtop::domain::command::ArchiveKind::Archive,
        session: 1,
        id: format!("{stamp}-{n:08x}").parse().unwrap(),
        room: room.parse().unwrap(),
        student: student.parse().unwrap(),
        created: created.to_owned(),
        bytes: n * n * 700_000,
        digest: "d".repeat(64),
        verified: true,
        key: format!("submissions/{room}/{student}"),
        entries: n * 37,
        left_out: 0,
        torn: 0,
        verify: VerifyMode::Full,
    }
}

/// The archives of two rooms, oldest first, as an agent tells them.
pub fn rows() -> Vec<ArchiveRow> {
    let mut rows = vec![
        row("demo", "s01", "2026-11-23T16:02:11Z"),
        row("demo", "s02", "2026-11-23T16:02:14Z"),
        row("demo", "s03", "2026-11-24T09:30:00Z"),
        row("exam-1", "s01", "2026-11-24T11:45:01Z"),
        row("exam-1", "s02", "2026-11-24T11:45:12Z"),
    ];
    (rows[1].torn, rows[1].left_out) = (2, 3);
    rows[2].verified = false;
    rows[3].verify = VerifyMode::Checksum;
    rows
}

/// A board that shows all archives of two rooms.
pub fn listing(cols: u16, height: u16) -> Hands {
    let mut hands = Hands::seeing(two_rooms(), cols, height);
    hands.keys("a");
    let orders = hands.keys("a");
    let [Outbound::CloseLog(_), Outbound::List { stream, room: None }] = orders[..] else {
        panic!("{orders:?}")
    };
    let rows = Ok(rows());
    hands.hear(Inbound::Archives { stream, rows });
    hands
}

/// Opens the tree of the archive under the cursor.
pub fn open_tree(hands: &mut Hands) -> StreamId {
    match hands.press(KeyCode::Enter)[..] {
        [Outbound::OpenTree { stream, .. }] => stream,
        ref other => panic!("{other:?}"),
    }
}

/// A board that shows what is in the newest archive.
pub fn browsing(cols: u16, height: u16) -> Hands {
    let mut hands = listing(cols, height);
    let stream = open_tree(&mut hands);
    let tree = Ok(tree(&[
        (b"elsewhere/tmp/note", "file", 12, ""),
        (b"workspace", "directory", 0, ""),
        (b"workspace/main.c", "file", 4_312, ""),
        (b"workspace/again.c", "hardlink", 0, "workspace/main.c"),
        (b"workspace/big.bin", "file", 3 * MIB, ""),
        (b"workspace/link", "symlink", 0, "/etc/passwd"),
        (b"workspace/src/deep.rs", "file", 900, ""),
        (b"workspace/torn.log", "file", 70_000, "torn"),
        (b"workspace/\x1b[2Jevil\xff", "file", 1, ""),
        (b"workspace/pipe", "fifo", 0, ""),
    ]));
    hands.hear(Inbound::Tree { stream, tree });
    hands
}

/// A tree as it comes out of a manifest: path, kind, size, and where a link leads ("torn" of a file that was torn).
pub fn tree(things: &[(&[u8], &str, u64, &str)]) -> Arc<Tree> {
    let mut spool = Vec::new();
    for (path, kind, size, link) in things {
        line(path, Kind::of_word(kind).unwrap(), *size, link)
            .write(&mut spool)
            .unwrap();
    }
    let mut manifest = Vec::new();
    write(&head(), spool.as_slice(), &mut manifest).unwrap();
    Arc::new(Tree::read(manifest.as_slice()).unwrap())
}

fn line(path: &[u8], kind: Kind, size: u64, link: &str) -> Line {
    let torn = link == "torn";
    let entry = Entry {
        path: path.to_vec(),
        kind,
        size,
        mode: if kind == Kind::Directory { 0o755 } else { 0o644 },
        uid: 1000,
        gid: 1000,
        mtime: Mtime::default(),
        link: if torn { Vec::new() } else { link.into() },
    };
    if kind.is_kept() {
        let digest = (kind == Kind::File).then_some([9; 32]);
        Line::stored(&entry, digest.as_ref(), torn)
    } else {
        Line::left_out(path, Some(&entry), "a named pipe holds nothing")
    }
}

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
        extent: Extent::default(),
    };
    Head::of(&claim, &"6f1b7a52-0000-4000-8000-000000000000".parse().unwrap())
}
