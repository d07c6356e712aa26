//! The ledger as the agent uses it: every change, reopening, sudden death, a full disk.

mod scratch;

mod ledger_model;
mod rows;

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use labtop::domain::door::SessionRecord;
use labtop::domain::fault::FaultCode;
use labtop::domain::ids::{SeatId, SessionId};
use labtop::domain::names::archive_key;
use labtop::domain::proof::{ArchiveClaim, Extent, Stillness, VerifyMode};
use labtop::domain::record::{AuditEntry, Change, Closing, LedgerState, RoomRecord, RoomWanted, SeatRecord, Wanted};
use labtop::domain::roster::RosterRow;
use labtop::domain::template::{Egress, SeatUser, Selection, Template};
use labtop::world::ledger::Ledger;
use ledger_model::Model;
use proptest::prelude::*;
use tokio::runtime::Runtime;

const ROOMS: [&str; 2] = ["a", "exam-1"];
const STUDENTS: [&str; 3] = ["an", "An.2", "s01"];

fn template() -> Template {
    Template {
        name: "node".parse().unwrap(),
        image: "node:22".into(),
        command: vec!["sh".into(), "-c".into(), "echo 'a\n\"b\"'".into()],
        user: SeatUser { uid: 1000, gid: 1000 },
        port: Some(8080),
        memory_bytes: 512 << 20,
        millicpus: 1000,
        pids: 256,
        nofile: 1024,
        network: Egress::Closed,
        workspace: "/workspace".into(),
        minutes: 180,
        starter: Some("/srv/starter".into()),
        env: [("LANG".into(), "de_AT.UTF-8".into())].into(),
        cap_add: vec!["CHOWN".into()],
        read_only: true,
        runtime: None,
        archive: Selection::default(),
        autosave: None,
        idle_minutes: None,
        activity: Vec::new(),
        door: labtop::domain::door::DoorPolicy::default(),
    }
}

fn room(name: &str, session: u64) -> RoomRecord {
    RoomRecord {
        name: name.parse().unwrap(),
        session,
        template: template(),
        exam: session.is_multiple_of(2),
        wanted: if session > 2 {
            RoomWanted::Closed
        } else {
            RoomWanted::Open
        },
        ended: session > 3,
        opened_unix_ms: 1_790_000_000_000 + session,
        opened_by: "root".into(),
        minutes: 90,
        on_demand: session.is_multiple_of(2),
    }
}

fn seat_id(room: &str, student: &str) -> SeatId {
    SeatId::new(room.parse().unwrap(), student.parse().unwrap())
}

fn seat(id: SeatId, session: u64) -> SeatRecord {
    SeatRecord {
        route: format!("/api/r/{}", id.student),
        id,
        session,
        wanted: Wanted::Running,
        made: false,
        deadline_unix_ms: 1_790_000_000_000 + session,
        discard_by: None,
        held: session.is_multiple_of(2),
        restore: session
            .is_multiple_of(2)
            .then(|| "20261124T034512Z-0000000a".parse().unwrap()),
        closing: Closing::default(),
    }
}

fn claim(id: &SeatId, attempt: u64) -> ArchiveClaim {
    let name: labtop::domain::ids::ArchiveId = format!("20261124T034512Z-{attempt:08x}").parse().unwrap();
    ArchiveClaim {
        key: archive_key(id, &name),
        id: name,
        seat: id.clone(),
        session: 1,
        epoch: attempt,
        bytes: 10 + attempt,
        digest: "d".repeat(64),
        content_bytes: 20 + attempt,
        content_digest: "c".repeat(64),
        created_unix_ms: 1_790_000_000_000 + attempt * 1000,
        extent: Extent::default(),
    }
}

fn closing(id: &SeatId, epoch: u64) -> Closing {
    let container = "ab12".parse().unwrap();
    let started_at = "2026-11-24T03:45:12.1Z".to_owned();
    Closing {
        epoch,
        stillness: match epoch % 4 {
            0 => None,
            1 => Some(Stillness::Absent),
            2 => Some(Stillness::Paused {
                container,
                started_at,
                cpu_ns: u64::MAX,
            }),
            _ => Some(Stillness::Stopped {
                container,
                started_at,
                finished_at: "0001-01-01T00:00:00Z".into(),
            }),
        },
        archive: epoch.is_multiple_of(2).then(|| claim(id, epoch)),
        container_removed: epoch > 2,
    }
}

/// The moments in the audit trail.
async fn times(ledger: &Ledger) -> Vec<u64> {
    let rows = ledger.audit(None, 0, usize::MAX).await.unwrap();
    rows.iter().map(|row| row.entry.unix_ms).collect()
}

fn audit(n: u64) -> AuditEntry {
    AuditEntry {
        unix_ms: n,
        uid: u32::MAX,
        user: "root".into(),
        origin: Some("192.0.2.7".into()),
        verb: "seat kill".into(),
        target: format!("a/s{n}"),
        outcome: "done: it's \"over\"\u{1b}".into(),
    }
}

fn session_id(n: u8) -> SessionId {
    n.to_string().repeat(32).parse().unwrap()
}

fn session(seat: SeatId, n: u8, looks: bool) -> SessionRecord {
    SessionRecord {
        id: session_id(n),
        seat,
        opening: u64::from(n),
        began_unix_ms: 1,
        ends_unix_ms: 2,
        address: "192.0.2.7".into(),
        onlooker: looks.then(|| "kim".into()),
    }
}

fn any_seat() -> impl Strategy<Value = SeatId> {
    (prop::sample::select(&ROOMS), prop::sample::select(&STUDENTS)).prop_map(|(room, student)| seat_id(room, student))
}

fn any_wanted() -> impl Strategy<Value = Wanted> {
    prop::sample::select(&[Wanted::Running, Wanted::Frozen, Wanted::Stopped, Wanted::Gone])
}

fn any_change() -> impl Strategy<Value = Change> {
    prop_oneof![
        (prop::sample::select(&ROOMS), 1..5_u64).prop_map(|(name, session)| Change::PutRoom(room(name, session))),
        prop::collection::vec((any_seat(), 1..4_u64), 1..4)
            .prop_map(|seats| Change::AddSeats(seats.into_iter().map(|(id, session)| seat(id, session)).collect())),
        (prop::collection::vec(any_seat(), 0..3), any_wanted(), any::<bool>()).prop_map(|(seats, wanted, discard)| {
            Change::SetWanted {
                seats,
                wanted,
                discard_by: discard.then(|| "admin".into()),
            }
        }),
        prop::collection::vec((any_seat(), 0..1_000_000_u64), 1..3).prop_map(Change::SetDeadlines),
        (any_seat(), 0..8_u64).prop_map(|(id, epoch)| Change::SetClosing(id.clone(), closing(&id, epoch))),
        (any_seat(), 0..3_u64).prop_map(|(id, attempt)| Change::AddArchive(claim(&id, attempt), VerifyMode::Full)),
        any_seat().prop_map(Change::EndSeat),
        (0..100_u64).prop_map(|n| Change::Audit(audit(n))),
        prop::collection::vec(any_seat(), 0..3).prop_map(Change::SetMade),
        (prop::collection::vec(any_seat(), 0..3), any::<bool>()).prop_map(|(seats, held)| Change::SetHeld(seats, held)),
        "[A-Z]{0,4}".prop_map(Change::SetEngine),
        (any_seat(), prop::option::of(1..9_u32)).prop_map(|(id, minutes)| {
            let row = RosterRow {
                minutes,
                ..RosterRow::of(id.student)
            };
            Change::PutRoster(id.room, vec![row])
        }),
        any_seat().prop_map(|id| Change::DropFromRoster(id.room, id.student)),
        (any_seat(), 0..9_u8, any::<bool>()).prop_map(|(id, n, looks)| Change::PutSession(session(id, n, looks))),
        (0..9_u8).prop_map(|n| Change::EndSessions(vec![session_id(n)])),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_sequence_of_writes_is_what_a_plain_model_holds(
        writes in prop::collection::vec(prop::collection::vec(any_change(), 1..4), 1..16)
    ) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ledger.db");
        let runtime = Runtime::new().unwrap();
        let (ledger, state, instance) = Ledger::open(&path).unwrap();
        prop_assert_eq!(state, LedgerState::default());
        let mut model = Model::default();
        for changes in writes {
            let accepted = model.accepts(&changes);
            if accepted {
                for change in &changes {
                    model.apply(change);
                }
            }
            prop_assert_eq!(runtime.block_on(ledger.write(changes)).is_ok(), accepted);
        }
        // Opening beside the writer is what a reader sees; the file needs no clean end.
        let (again, state, same) = Ledger::open(&path).unwrap();
        prop_assert_eq!(same, instance);
        prop_assert_eq!(state, model.state());
        let rows = runtime.block_on(again.audit(None, 0, usize::MAX)).unwrap();
        prop_assert!(rows.iter().zip(1..).all(|(row, seq)| row.seq == seq));
        prop_assert_eq!(rows.into_iter().map(|row| row.entry).collect::<Vec<_>>(), model.audit);
        let listed = runtime.block_on(again.archives(None)).unwrap();
        let ids: Vec<String> = listed.iter().map(|row| row.id.to_string()).collect();
        prop_assert_eq!(ids, model.archives.keys().cloned().collect::<Vec<_>>());
    }
}

#[tokio::test]
async fn archives_are_listed_oldest_first_and_by_room() {
    let dir = tempfile::tempdir().unwrap();
    let (ledger, ..) = Ledger::open(&dir.path().join("ledger.db")).unwrap();
    let (a, exam) = (seat_id("a", "an"), seat_id("exam-1", "An.2"));
    let changes = vec![
        Change::AddArchive(claim(&a, 3), VerifyMode::Full),
        Change::AddArchive(claim(&exam, 2), VerifyMode::Checksum),
        Change::AddArchive(claim(&a, 1), VerifyMode::Full),
    ];
    ledger.write(changes).await.unwrap();
    let rows = ledger.archives(None).await.unwrap();
    assert_eq!(rows.iter().map(|row| row.bytes).collect::<Vec<_>>(), [11, 12, 13]);
    let rows = ledger.archives(Some(exam.room.clone())).await.unwrap();
    assert_eq!(rows.len(), 1);
    assert_eq!((&rows[0].room, &rows[0].student), (&exam.room, &exam.student));
    assert_eq!(rows[0].created, "2026-09-21T14:13:22.000Z");
    assert!(rows[0].verified);
    assert_eq!(ledger.integrity().await.unwrap(), "ok");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failing_write_does_not_fail_its_neighbours() {
    let dir = tempfile::tempdir().unwrap();
    let (ledger, ..) = Ledger::open(&dir.path().join("ledger.db")).unwrap();
    let writes = (0..100_u64).map(|n| {
        let ledger = ledger.clone();
        // Every third write names a room that is not there, after a line that must vanish with it.
        let stray = (n % 3 == 0).then(|| Change::AddSeats(vec![seat(seat_id("nowhere", "an"), 1)]));
        let changes = [Change::Audit(audit(n))].into_iter().chain(stray).collect();
        tokio::spawn(async move { (n, ledger.write(changes).await) })
    });
    for task in writes.collect::<Vec<_>>() {
        let (n, result) = task.await.unwrap();
        assert_eq!(result.is_err(), n % 3 == 0, "{n}: {result:?}");
    }
    let mut lines = times(&ledger).await;
    lines.sort_unstable();
    assert_eq!(lines, (0..100).filter(|n| n % 3 != 0).collect::<Vec<_>>());
}

#[tokio::test]
async fn the_last_handle_leaves_nothing_unwritten() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("ledger.db");
    let (ledger, ..) = Ledger::open(&path).unwrap();
    let mut waiting = Vec::new();
    for n in 0..50 {
        let mut write = Box::pin({
            let ledger = ledger.clone();
            async move { ledger.write(vec![Change::Audit(audit(n))]).await }
        });
        // Polled once: the write is in the queue, nobody has waited for it yet.
        let _ = futures_util::poll!(&mut write);
        waiting.push(write);
    }
    drop(ledger);
    for write in waiting {
        write.await.unwrap();
    }
    let (ledger, ..) = Ledger::open(&path).unwrap();
    assert_eq!(ledger.audit(None, 0, usize::MAX).await.unwrap().len(), 50);
}

#[test]
fn what_is_no_ledger_is_refused_with_a_next_step() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("ledger.db");
    std::fs::write(
        &path,
        "this is no database, but long enough to be taken for one".repeat(100),
    )
    .unwrap();
    let fault = Ledger::open(&path).unwrap_err();
    assert_eq!(fault.code, FaultCode::Ledger);
    assert!(fault.hint.contains("backup"), "{fault}");

    let fault = Ledger::open(&dir.path().join("ledger.db/below")).unwrap_err();
    assert!(fault.text.contains("ledger.db/below"), "{fault}");
}

#[test]
fn a_damaged_page_is_found_at_opening() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("ledger.db");
    let runtime = Runtime::new().unwrap();
    let (ledger, ..) = Ledger::open(&path).unwrap();
    let lines = (0..2000).map(|n| Change::Audit(audit(n))).collect();
    runtime.block_on(ledger.write(lines)).unwrap();
    drop(ledger);
    // Dropping the handle ends the thread, which folds the log into the file; wait for that to be seen.
    while path.with_file_name("ledger.db-wal").exists() {
        std::thread::yield_now();
    }
    let mut bytes = std::fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle..middle + 8192].fill(0xAA);
    std::fs::write(&path, bytes).unwrap();
    let fault = Ledger::open(&path).unwrap_err();
    assert_eq!(fault.code, FaultCode::Ledger);
    assert!(fault.text.contains("damaged"), "{fault}");
}

#[tokio::test]
async fn a_full_disk_fails_the_write_and_is_overcome() {
    let disk = scratch::SmallDisk::new(2048);
    let (ledger, ..) = Ledger::open(&disk.path().join("ledger.db")).unwrap();
    ledger.write(vec![Change::Audit(audit(1))]).await.unwrap();
    let ballast = disk.fill();
    let large = || (0..200).map(|n| Change::Audit(audit(n))).collect::<Vec<_>>();
    let fault = ledger.write(large()).await.unwrap_err();
    assert_eq!(fault.code, FaultCode::Ledger);
    assert!(
        fault.text.contains("full") && fault.hint.contains("Free space"),
        "{fault}"
    );
    assert_eq!(ledger.audit(None, 0, usize::MAX).await.unwrap().len(), 1);
    std::fs::remove_file(ballast).unwrap();
    ledger.write(large()).await.unwrap();
    assert_eq!(ledger.audit(None, 0, usize::MAX).await.unwrap().len(), 201);
    assert_eq!(ledger.integrity().await.unwrap(), "ok");
}

/// Where the child of the next test writes; the test starts itself again with it.
const CHILD: &str = "LABTOP_TEST_LEDGER";

#[test]
fn every_acknowledged_write_survives_kill_9() {
    if let Some(path) = std::env::var_os(CHILD) {
        write_until_killed(&PathBuf::from(path));
    }
    let dir = tempfile::tempdir().unwrap();
    for round in 0..5_u64 {
        let path = dir.path().join(format!("ledger-{round}.db"));
        let acknowledged = killed_after(&path, 20 + 15 * round);
        let (ledger, ..) = Ledger::open(&path).unwrap();
        let written = Runtime::new().unwrap().block_on(times(&ledger));
        assert!(
            acknowledged.iter().all(|n| written.contains(n)),
            "{acknowledged:?} {written:?}"
        );
    }
}

/// Prints the number of each write after its acknowledgement.
fn write_until_killed(path: &Path) -> ! {
    let runtime = Runtime::new().unwrap();
    let (ledger, ..) = Ledger::open(path).unwrap();
    let writers: Vec<_> = (0..8_u64)
        .map(|writer| {
            let ledger = ledger.clone();
            runtime.spawn(async move {
                for n in (writer..).step_by(8) {
                    ledger.write(vec![Change::Audit(audit(n))]).await.unwrap();
                    println!("\nack {n}");
                }
            })
        })
        .collect();
    for writer in writers {
        runtime.block_on(writer).unwrap();
    }
    unreachable!("the writers go on until they are killed");
}

struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn killed_after(path: &Path, writes: u64) -> Vec<u64> {
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "every_acknowledged_write_survives_kill_9", "--nocapture"])
        .env(CHILD, path)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut child = Killed(child);
    let mut lines = BufReader::new(child.0.stdout.take().unwrap())
        .lines()
        .map(Result::unwrap);
    let number = |line: String| line.strip_prefix("ack ").and_then(|n| n.parse::<u64>().ok());
    let mut seen: Vec<u64> = Vec::new();
    while (seen.len() as u64) < writes {
        let line = lines.next().expect("the child ended by itself");
        seen.extend(number(line));
    }
    drop(child);
    // What it still printed before it died was acknowledged too.
    seen.extend(lines.filter_map(number));
    seen
}

#[tokio::test(flavor = "multi_thread")]
async fn writes_are_made_in_the_order_in_which_they_were_begun() {
    let dir = tempfile::tempdir().unwrap();
    let (ledger, ..) = Ledger::open(&dir.path().join("ledger.db")).unwrap();
    // More than the queue holds, and than a task may do without a pause.
    let mut begun = Vec::new();
    for n in 0..3_000 {
        begun.push(ledger.begin(vec![Change::Audit(audit(n))]).await);
    }
    for write in begun.into_iter().rev() {
        write.done().await.unwrap();
    }
    let times = times(&ledger).await;
    assert_eq!(times, (0..3_000).collect::<Vec<_>>());
}
