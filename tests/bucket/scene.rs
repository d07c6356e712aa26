//! A bucket store as a test has it, and what every server must do with it.

use std::path::Path;
use std::time::{Duration, Instant};

use labtop::domain::fault::Fault;
use labtop::domain::settings::S3Settings;
use labtop::world::archive::Store;

use super::PART;

/// A store with its scratch directory.
pub struct Scene {
    pub store: Store,
    pub scratch: tempfile::TempDir,
}

pub fn scene(settings: &S3Settings) -> Scene {
    let scratch = tempfile::tempdir().unwrap();
    let store = Store::s3(settings, scratch.path()).unwrap();
    Scene { store, scratch }
}

/// Bytes that no two places have alike.
pub fn bytes(size: usize) -> Vec<u8> {
    (0..size as u64)
        .map(|n| (n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8)
        .collect()
}

pub async fn put(store: &Store, key: &str, size: usize) -> Result<(), Fault> {
    let all = bytes(size);
    store
        .write(key, move |out| {
            for piece in all.chunks(300_000) {
                out.write_all(piece)?;
            }
            Ok(())
        })
        .await
}

pub async fn get(store: &Store, key: &str) -> Result<Option<Vec<u8>>, Fault> {
    store
        .read(key, |from| {
            let mut all = Vec::new();
            from.read_to_end(&mut all)?;
            Ok(all)
        })
        .await
}

pub fn notes(scratch: &Path) -> usize {
    std::fs::read_dir(scratch).unwrap().count()
}

pub async fn noted(scratch: &Path) {
    let start = Instant::now();
    while notes(scratch) == 0 {
        assert!(start.elapsed() < Duration::from_secs(20), "the upload was never noted");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// What every server must do.
pub async fn suite(settings: &S3Settings) {
    let Scene { store, scratch } = scene(settings);
    store.check().await.unwrap();
    let sizes = [0, 1, PART - 1, PART, PART + 1, 3 * PART + 7];
    for (n, size) in sizes.into_iter().enumerate() {
        let key = format!("submissions/exam-1/An.2/{n}/workspace.tar.zst");
        put(&store, &key, size).await.unwrap();
        assert_eq!(store.length(&key).await.unwrap(), Some(size as u64), "{size} bytes");
        assert!(
            get(&store, &key).await.unwrap().unwrap() == bytes(size),
            "{size} bytes came back different"
        );
    }
    let listed = store.list("submissions/exam-1/").await.unwrap();
    let found: Vec<_> = listed.iter().map(|object| object.bytes).collect();
    assert_eq!(found, sizes.map(|size| size as u64));
    assert_eq!(store.list("submissions/exam-2/").await.unwrap(), []);
    assert_eq!(get(&store, "submissions/none").await.unwrap(), None);
    assert_eq!(store.length("submissions/none").await.unwrap(), None);
    for object in listed {
        store.remove(&object.key).await.unwrap();
        store.remove(&object.key).await.unwrap();
    }
    assert_eq!(store.list("submissions/").await.unwrap(), []);
    assert_eq!(notes(scratch.path()), 0, "no upload is left noted");
}
