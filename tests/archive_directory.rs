//! The directory store with real files: what is stored, what is refused, what is left behind.

mod scratch;
mod shelf;

use std::fs::{self, File, Permissions};
use std::io::{Read, Write};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream};
use labtop::domain::fault::{Fault, FaultCode};
use labtop::domain::proof::{ArchiveClaim, Extent, Stillness, VerifyMode};
use labtop::pack::entry::Entry;
use labtop::pack::reader::TarReader;
use labtop::world::archive::Store;
use shelf::{Shelf, draft};
use tokio::sync::mpsc;

/// A tar of one file of `size` bytes that no compressor makes smaller.
fn tar_of(size: usize) -> Vec<u8> {
    let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
    let data: Vec<u8> = std::iter::repeat_with(|| {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed.to_le_bytes()[3]
    })
    .take(size)
    .collect();
    let mut builder = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_ustar();
    header.set_size(size as u64);
    header.set_mode(0o600);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    builder
        .append_data(&mut header, "workspace/work.bin", data.as_slice())
        .unwrap();
    builder.into_inner().unwrap()
}

fn chunks(tar: &[u8]) -> impl Stream<Item = Result<Bytes, Fault>> + Send + Unpin + use<> {
    let pieces: Vec<_> = tar
        .chunks(30_000)
        .map(|piece| Ok(Bytes::copy_from_slice(piece)))
        .collect();
    stream::iter(pieces)
}

async fn put(store: &Shelf, n: u64, tar: &[u8]) -> Result<ArchiveClaim, Fault> {
    store.put(draft(n), chunks(tar), |_| {}).await
}

/// Every entry of a tar with its content; moments to the second, which is all that some formats tell.
fn entries(tar: &[u8]) -> Vec<(Entry, Vec<u8>)> {
    let mut reader = TarReader::new(tar);
    let mut all = Vec::new();
    while let Some(mut entry) = reader.next_entry().unwrap() {
        let mut content = Vec::new();
        reader.read_to_end(&mut content).unwrap();
        entry.mtime.nanos = 0;
        all.push((entry, content));
    }
    all
}

/// What an agent does at its start, with a ledger that knows no archive.
async fn sweep(store: &Shelf) -> usize {
    store.archives.sweep(0, &[]).await
}

/// Every plain file below a directory.
fn files(root: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(root) else {
        return Vec::new();
    };
    let paths = entries.map(|entry| entry.unwrap().path());
    paths
        .flat_map(|path| {
            if path.is_dir() && !path.is_symlink() {
                files(&path)
            } else {
                vec![path]
            }
        })
        .collect()
}

struct Scene {
    _dir: tempfile::TempDir,
    root: PathBuf,
    store: Shelf,
}

/// Notes lie in a directory of their own, not beside the archives.
fn shelf(root: &Path, notes: &Path) -> Shelf {
    Shelf::new(
        Store::directory(root.to_path_buf()),
        &notes.join("scratch"),
        VerifyMode::Full,
    )
}

fn scene() -> Scene {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("state").join("archives");
    let store = shelf(&root, dir.path());
    Scene { _dir: dir, root, store }
}

#[tokio::test]
async fn what_is_put_is_there_private_and_provable() {
    let Scene { _dir, root, store } = scene();
    let tar = tar_of(300_000);
    let heard = AtomicU64::new(0);
    let claim = store
        .put(draft(1), chunks(&tar), |bytes| heard.store(bytes, Ordering::Relaxed))
        .await
        .unwrap();
    assert!(heard.into_inner() > 100_000);
    assert!(claim.content_bytes.abs_diff(tar.len() as u64) < 4096);
    assert_eq!(
        claim.key,
        "submissions/exam-1/An.2/20261124T034512Z-00000001/workspace.tar.zst"
    );
    let path = root.join(&claim.key);
    assert_eq!(files(&root).len(), 2, "the work and its manifest");
    assert_eq!(fs::metadata(&path).unwrap().len(), claim.bytes);
    let stored = zstd::decode_all(File::open(&path).unwrap()).unwrap();
    assert_eq!(entries(&stored), entries(&tar));
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&path), 0o600);
    for dir in path.ancestors().skip(1).take(6) {
        assert_eq!(mode(dir), 0o700, "{}", dir.display());
    }
    let proof = store.verify(claim.clone(), Stillness::Absent).await.unwrap();
    assert_eq!((proof.claim(), proof.stillness()), (&claim, &Stillness::Absent));
    let sum = Command::new("sha256sum").arg(&path).output().unwrap().stdout;
    assert!(String::from_utf8(sum).unwrap().starts_with(&claim.digest));
}

#[tokio::test]
async fn many_at_once_do_not_disturb_each_other() {
    let Scene { _dir, root, store } = scene();
    let tar = tar_of(50_000);
    let puts = (0..20).map(|n| put(&store, n, &tar));
    let claims = futures_util::future::join_all(puts).await;
    for claim in claims {
        store.verify(claim.unwrap(), Stillness::Absent).await.unwrap();
    }
    assert_eq!(files(&root).len(), 40);
}

#[tokio::test]
async fn an_archive_is_never_overwritten() {
    let Scene { _dir, root, store } = scene();
    let claim = put(&store, 1, &tar_of(1000)).await.unwrap();
    let fault = put(&store, 1, &tar_of(2000)).await.unwrap_err();
    assert_eq!(fault.code, FaultCode::Store);
    assert!(fault.text.contains("never overwritten"), "{fault}");
    assert_eq!(files(&root).len(), 2);
    store.verify(claim, Stillness::Absent).await.unwrap();
}

#[tokio::test]
async fn a_cut_stream_leaves_nothing() {
    let Scene { _dir, root, store } = scene();
    let tar = tar_of(100_000);
    for cut in [0, 100, 512, 60_000, tar.len() - 1024, tar.len() - 512] {
        let fault = put(&store, 1, &tar[..cut]).await.unwrap_err();
        assert_eq!(fault.code, FaultCode::Store);
        assert!(
            fault.text.contains("was cut short") && fault.text.contains("exam-1/An.2"),
            "{fault}"
        );
        assert_eq!(files(&root), Vec::<PathBuf>::new(), "cut at {cut}");
    }
    assert!(!root.join("submissions/exam-1/An.2/20261124T034512Z-00000001").exists());
}

#[tokio::test]
async fn a_source_that_fails_is_believed_and_leaves_nothing() {
    let Scene { _dir, root, store } = scene();
    let failing = || Err(Fault::new(FaultCode::EngineUnreachable, "the engine went away"));
    let tar = chunks(&tar_of(100_000)).chain(stream::iter([failing()]));
    let fault = store.put(draft(1), tar, |_| {}).await.unwrap_err();
    assert_eq!(Err::<Bytes, _>(fault), failing());
    assert_eq!(files(&root), Vec::<PathBuf>::new());
}

/// Waits for something that another thread is about to do.
async fn eventually(what: &str, mut happened: impl FnMut() -> bool) {
    let start = Instant::now();
    while !happened() {
        assert!(start.elapsed() < Duration::from_secs(20), "never: {what}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// A stream whose end is in the test's hand.
fn held(
    tar: Vec<u8>,
) -> (
    mpsc::Sender<Bytes>,
    impl Stream<Item = Result<Bytes, Fault>> + Send + Unpin,
) {
    let (sender, mut receiver) = mpsc::channel::<Bytes>(4);
    let rest = stream::poll_fn(move |cx| receiver.poll_recv(cx)).map(Ok);
    (sender, stream::iter([Ok(Bytes::from(tar))]).chain(rest))
}

#[tokio::test]
async fn a_dropped_transfer_leaves_nothing() {
    let Scene { _dir, root, store } = scene();
    let (_end, tar) = held(tar_of(100_000));
    let task = tokio::spawn({
        let store = store.clone();
        async move { store.put(draft(1), tar, |_| {}).await }
    });
    eventually("the temporary file", || files(&root).len() == 1).await;
    task.abort();
    eventually("the cleaning", || files(&root).is_empty()).await;
}

#[tokio::test]
async fn a_sweep_takes_what_died_and_nothing_else() {
    let Scene { _dir, root, store } = scene();
    assert_eq!(sweep(&store).await, 0);
    let claim = put(&store, 1, &tar_of(1000)).await.unwrap();
    let dead = root.join("submissions/exam-1/An.2/dead");
    fs::create_dir(&dead).unwrap();
    fs::write(dead.join(".labtop-0123.part"), b"half").unwrap();
    let kept = [
        root.join("submissions/.labtop-notes"),
        root.join("submissions/exam-1/a.part"),
    ];
    for path in &kept {
        fs::write(path, b"mine").unwrap();
    }
    let outside = tempfile::tempdir().unwrap();
    fs::write(outside.path().join(".labtop-1.part"), b"elsewhere").unwrap();
    symlink(outside.path(), root.join("submissions/exam-1/link")).unwrap();

    let (end, tar) = held(tar_of(1000));
    let alive = tokio::spawn({
        let store = store.clone();
        async move { store.put(draft(2), tar, |_| {}).await }
    });
    let attempt = root.join("submissions/exam-1/An.2").join(draft(2).id.as_str());
    eventually("the temporary file", || files(&attempt).len() == 1).await;

    assert_eq!(sweep(&store).await, 1);
    assert!(!dead.exists());
    assert!(kept.iter().all(|path| path.exists()));
    assert!(outside.path().join(".labtop-1.part").exists());
    drop(end);
    let second = alive.await.unwrap().unwrap();
    for claim in [claim, second] {
        store.verify(claim, Stillness::Absent).await.unwrap();
    }
}

/// Archives of labtop's first form have no manifest: their length and digest are what there is to compare.
#[tokio::test]
async fn an_archive_without_a_manifest_is_compared_as_far_as_it_can_be() {
    let Scene { _dir, root, store } = scene();
    let mut claim = put(&store, 1, &tar_of(10_000)).await.unwrap();
    claim.extent = Extent::default();
    assert_eq!(store.archives.scrub(&claim).await, Ok(VerifyMode::Checksum));
    let path = root.join(&claim.key);
    let mut bytes = fs::read(&path).unwrap();
    bytes[100] ^= 1;
    fs::write(&path, bytes).unwrap();
    assert_eq!(
        store.archives.scrub(&claim).await.unwrap_err().code,
        FaultCode::Mismatch
    );
}

#[tokio::test]
async fn links_planted_in_the_store_are_not_followed() {
    for planted in ["submissions", "submissions/exam-1", "submissions/exam-1/An.2"] {
        let Scene { _dir, root, store } = scene();
        let outside = tempfile::tempdir().unwrap();
        let link = root.join(planted);
        fs::create_dir_all(link.parent().unwrap()).unwrap();
        symlink(outside.path(), &link).unwrap();
        let fault = put(&store, 1, &tar_of(1000)).await.unwrap_err();
        assert_eq!(fault.code, FaultCode::Store);
        assert!(fault.text.contains(&format!("{} is a link", link.display())), "{fault}");
        assert_eq!(files(outside.path()), Vec::<PathBuf>::new());
    }
}

#[tokio::test]
async fn a_link_in_the_place_of_an_archive_proves_nothing() {
    let Scene { _dir, root, store } = scene();
    let claim = put(&store, 1, &tar_of(1000)).await.unwrap();
    let path = root.join(&claim.key);
    let copy = root.join("copy");
    fs::rename(&path, &copy).unwrap();
    symlink(&copy, &path).unwrap();
    let fault = store.verify(claim, Stillness::Absent).await.unwrap_err();
    assert!(fault.text.contains("is a link"), "{fault}");
}

#[tokio::test]
async fn tampering_is_found() {
    type Tamper = fn(&Path);
    let tampers: [(&str, Tamper); 6] = [
        ("altered byte", |path| {
            let mut bytes = fs::read(path).unwrap();
            let middle = bytes.len() / 2;
            bytes[middle] ^= 1;
            fs::write(path, bytes).unwrap();
        }),
        ("cut", |path| {
            let file = File::options().write(true).open(path).unwrap();
            file.set_len(file.metadata().unwrap().len() - 1).unwrap();
        }),
        ("emptied", |path| drop(File::create(path).unwrap())),
        ("longer", |path| {
            let mut file = File::options().append(true).open(path).unwrap();
            file.write_all(b"x").unwrap();
        }),
        ("removed", |path| fs::remove_file(path).unwrap()),
        ("a whole other archive", |path| {
            let other = zstd::encode_all(tar_of(99_000).as_slice(), 3).unwrap();
            fs::write(path, other).unwrap();
        }),
    ];
    for (name, tamper) in tampers {
        let Scene { _dir, root, store } = scene();
        let claim = put(&store, 1, &tar_of(100_000)).await.unwrap();
        tamper(&root.join(&claim.key));
        let fault = store.verify(claim, Stillness::Absent).await.unwrap_err();
        assert_eq!(fault.code, FaultCode::Mismatch, "{name}: {fault}");
        assert!(
            fault.text.contains("exam-1/An.2") && !fault.hint.is_empty(),
            "{name}: {fault}"
        );
    }
}

#[tokio::test]
async fn a_claim_for_another_key_is_refused() {
    let Scene { _dir, root: _, store } = scene();
    let mut claim = put(&store, 1, &tar_of(1000)).await.unwrap();
    claim.key = "../../etc/passwd".into();
    let fault = store.verify(claim, Stillness::Absent).await.unwrap_err();
    assert_eq!(fault.code, FaultCode::Mismatch);
}

#[tokio::test]
async fn a_full_disk_is_told_and_leaves_nothing() {
    let disk = scratch::SmallDisk::new(1024);
    let notes = tempfile::tempdir().unwrap();
    let root = disk.path().join("archives");
    let store = shelf(&root, notes.path());
    let space = store.archives.store().check().await.unwrap().unwrap();
    assert!(
        space.total_bytes == 1024 * 1024 && space.free_bytes < space.total_bytes,
        "{space:?}"
    );
    let fault = put(&store, 1, &tar_of(2_000_000)).await.unwrap_err();
    assert_eq!(fault.code, FaultCode::Store);
    assert!(
        fault.text.contains("full") && fault.hint.contains("Free space"),
        "{fault}"
    );
    assert_eq!(files(&root), Vec::<PathBuf>::new());
    let claim = put(&store, 2, &tar_of(200_000)).await.unwrap();
    store.verify(claim, Stillness::Absent).await.unwrap();
    let ballast = disk.fill();
    assert_eq!(store.archives.store().check().await.unwrap_err().code, FaultCode::Store);
    fs::remove_file(ballast).unwrap();
    store.archives.store().check().await.unwrap();
}

#[tokio::test]
async fn a_read_only_disk_is_told() {
    let disk = scratch::SmallDisk::new(1024);
    let notes = tempfile::tempdir().unwrap();
    let store = shelf(&disk.path().join("archives"), notes.path());
    let claim = put(&store, 1, &tar_of(1000)).await.unwrap();
    disk.remount("ro");
    for fault in [
        put(&store, 2, &tar_of(1000)).await.unwrap_err(),
        store.archives.store().check().await.unwrap_err(),
    ] {
        assert_eq!(fault.code, FaultCode::Store);
        assert!(fault.text.contains("read-only"), "{fault}");
    }
    store.verify(claim, Stillness::Absent).await.unwrap();
}

#[tokio::test]
async fn a_store_that_was_replaced_is_told() {
    let Scene { _dir, root, store } = scene();
    let claim = put(&store, 1, &tar_of(1000)).await.unwrap();
    let room = root.join("submissions/exam-1");
    fs::remove_dir_all(&room).unwrap();
    fs::write(&room, b"a file").unwrap();
    let fault = put(&store, 2, &tar_of(1000)).await.unwrap_err();
    assert!(fault.text.contains("no directory"), "{fault}");
    fs::remove_dir_all(&root).unwrap();
    let fault = store.verify(claim, Stillness::Absent).await.unwrap_err();
    assert_eq!(fault.code, FaultCode::Store);
    assert!(fault.text.contains("gone"), "{fault}");
    fs::write(&root, b"a file").unwrap();
    let fault = store.archives.store().check().await.unwrap_err();
    assert!(fault.text.contains("no directory"), "{fault}");
}

/// What the `tar` program writes in each of its forms, with the names and kinds of files that students have.
#[tokio::test]
async fn archives_of_real_trees_are_whole() {
    let tree = tempfile::tempdir().unwrap();
    let at = |name: &str| tree.path().join(name);
    fs::write(at("aü\n30 size=99999999999999999999\nb"), b"newline").unwrap();
    fs::write(at(&"ü".repeat(127)), b"long").unwrap();
    fs::write(at("empty"), b"").unwrap();
    fs::write(at("zeros"), vec![0; 20_000]).unwrap();
    fs::create_dir_all(at(&["deep"; 60].join("/"))).unwrap();
    symlink("/etc/passwd", at("link")).unwrap();
    fs::hard_link(at("zeros"), at("again")).unwrap();
    fs::set_permissions(at("empty"), Permissions::from_mode(0o000)).unwrap();
    let Scene { _dir, root, store } = scene();
    for (n, format) in ["gnu", "pax"].into_iter().enumerate() {
        let made = Command::new("tar")
            .args(["-c", "--format", format, "-C"])
            .arg(tree.path())
            .args(["--transform", "s,^[.],workspace,", "."])
            .output()
            .expect("`tar` is missing: apt-get install tar");
        assert!(made.status.success());
        let claim = put(&store, n as u64, &made.stdout).await.unwrap();
        let path = root.join(&claim.key);
        store.verify(claim, Stillness::Absent).await.unwrap();
        let stored = zstd::decode_all(File::open(path).unwrap()).unwrap();
        assert_eq!(entries(&stored), entries(&made.stdout));
    }
}

fn peak_kib() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// Set in the child that the next test starts, so that no other test's memory is counted.
const CHILD: &str = "LABTOP_TEST_ARCHIVE_MEMORY";

#[tokio::test]
async fn memory_does_not_grow_with_the_work() {
    if std::env::var_os(CHILD).is_none() {
        let status = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "memory_does_not_grow_with_the_work"])
            .env(CHILD, "1")
            .status()
            .unwrap();
        assert!(status.success());
        return;
    }
    let Scene { _dir, root: _, store } = scene();
    let claim = put(&store, 1, &tar_of(1_000_000)).await.unwrap();
    store.verify(claim, Stillness::Absent).await.unwrap();
    let before = peak_kib();
    let size: u64 = 48 << 20;
    let mut header = tar::Header::new_ustar();
    header.set_path("workspace").unwrap();
    header.set_size(size);
    header.set_mode(0o600);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_cksum();
    let piece = Bytes::from(tar_of(1 << 16)).slice(512..512 + (1 << 16));
    let data = stream::repeat(piece).take((size >> 16) as usize);
    let head = stream::iter([Bytes::copy_from_slice(header.as_bytes())]);
    let tar = head
        .chain(data)
        .chain(stream::iter([Bytes::from_static(&[0; 1024])]))
        .map(Ok);
    let claim = store.put(draft(2), tar, |_| {}).await.unwrap();
    assert_eq!(claim.content_bytes, size + 1536);
    store.verify(claim, Stillness::Absent).await.unwrap();
    let grown = peak_kib() - before;
    assert!(grown < 16 * 1024, "grew by {grown} KiB for {} MiB of work", size >> 20);
}
