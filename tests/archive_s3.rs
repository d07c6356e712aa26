//! The bucket store on real servers: what is stored, what heals, what is refused, what is left behind.

mod bucket;
mod shelf;

use std::time::{Duration, Instant};

use bucket::faulty::{Deed, Faulty};
use bucket::scene::{Scene, bytes, get, noted, notes, put, scene, suite};
use bucket::{ACCESS, BUCKET, Keys, PART, Rclone, SECRET, elsewhere};
use bytes::Bytes;
use futures_util::stream;
use labtop::domain::fault::{Fault, FaultCode};
use labtop::domain::proof::{Stillness, VerifyMode};
use labtop::world::archive::{Stop, Store};
use shelf::{Shelf, draft};

#[tokio::test(flavor = "multi_thread")]
async fn rclone_stores_and_gives_back() {
    let mut keys = None;
    if let Some(settings) = elsewhere(&mut keys) {
        return suite(&settings).await;
    }
    let (server, keys) = (Rclone::start(), Keys::new());
    suite(&keys.settings(server.address)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_prefix_and_another_server_do_as_well() {
    let (server, keys) = (Faulty::start().await, Keys::new());
    let mut settings = keys.settings(server.address);
    settings.prefix = "labs/2026/".into();
    suite(&settings).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn work_that_stops_leaves_nothing() {
    let (server, keys) = (Faulty::start().await, Keys::new());
    let Scene { store, scratch } = scene(&keys.settings(server.address));
    for size in [10, 2 * PART + 10] {
        let stopped = store
            .write("submissions/a", move |out| {
                out.write_all(&bytes(size))?;
                Err::<(), _>(Stop::Fault(Fault::new(
                    FaultCode::EngineUnreachable,
                    "the engine went away",
                )))
            })
            .await;
        assert_eq!(stopped.unwrap_err().code, FaultCode::EngineUnreachable);
        assert_eq!(store.length("submissions/a").await.unwrap(), None);
        assert_eq!(notes(scratch.path()), 0);
    }
    assert!(
        server
            .seen()
            .iter()
            .any(|request| request.starts_with("DELETE") && request.contains("uploadId"))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dropped_transfer_is_aborted() {
    let (server, keys) = (Faulty::start().await, Keys::new());
    let Scene { store, scratch } = scene(&keys.settings(server.address));
    let (begun, wait) = tokio::sync::oneshot::channel();
    let (go_on, held) = std::sync::mpsc::channel::<()>();
    let writing = store.write("submissions/a", move |out| {
        out.write_all(&bytes(2 * PART))?;
        let _ = begun.send(());
        let _ = held.recv();
        Ok(())
    });
    tokio::select! {
        _ = writing => panic!("it did not wait"),
        () = async { wait.await.unwrap(); noted(scratch.path()).await } => {}
    }
    drop(go_on);
    let start = Instant::now();
    while notes(scratch.path()) > 0 {
        assert!(start.elapsed() < Duration::from_secs(20), "the upload stays noted");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(store.length("submissions/a").await.unwrap(), None);
}

#[test]
fn an_upload_of_an_earlier_life_is_aborted_at_the_next_start() {
    let server_runtime = tokio::runtime::Runtime::new().unwrap();
    let server = server_runtime.block_on(Faulty::start());
    let keys = Keys::new();
    let scratch = tempfile::tempdir().unwrap();
    let settings = keys.settings(server.address);
    let life = tokio::runtime::Runtime::new().unwrap();
    let (go_on, held) = std::sync::mpsc::channel::<()>();
    life.block_on(async {
        let store = Store::s3(&settings, scratch.path()).unwrap();
        let (begun, wait) = tokio::sync::oneshot::channel();
        tokio::spawn(async move {
            let writing = store.write("submissions/a", move |out| {
                out.write_all(&bytes(3 * PART))?;
                let _ = begun.send(());
                let _ = held.recv();
                Ok(())
            });
            writing.await
        });
        wait.await.unwrap();
        noted(scratch.path()).await;
    });
    // As if killed: nothing gets to run its end.
    life.shutdown_background();
    assert_eq!(notes(scratch.path()), 1);
    let swept = server_runtime.block_on(async {
        let store = Store::s3(&settings, scratch.path()).unwrap();
        store.sweep(0).await
    });
    assert_eq!((swept, notes(scratch.path())), (1, 0));
    assert!(
        server
            .seen()
            .iter()
            .any(|request| request.starts_with("DELETE") && request.contains("uploadId"))
    );
    drop(go_on);
}

/// What passes by itself: the object is stored in spite of it.
#[tokio::test(flavor = "multi_thread")]
async fn passing_faults_heal() {
    for (method, within, deed) in [
        ("POST", "uploads", Deed::Refuse(503, "SlowDown")),
        ("PUT", "partNumber=2", Deed::Refuse(500, "InternalError")),
        ("PUT", "partNumber=1", Deed::Reset),
        ("PUT", "partNumber=2", Deed::Hang),
        ("POST", "uploadId", Deed::Refuse(500, "InternalError")),
        ("POST", "uploadId", Deed::LoseAnswer),
        ("GET", "submissions", Deed::CutAnswer),
        ("GET", "submissions", Deed::StallAnswer),
        ("GET", "submissions", Deed::Refuse(503, "SlowDown")),
        ("HEAD", "submissions", Deed::Refuse(503, "SlowDown")),
    ] {
        let (server, keys) = (Faulty::start().await, Keys::new());
        let Scene { store, scratch } = scene(&keys.settings(server.address));
        server.script(method, within, 1, deed);
        let size = 2 * PART + 5;
        put(&store, "submissions/a", size)
            .await
            .unwrap_or_else(|fault| panic!("{method} {within} {deed:?}: {fault}"));
        let back = get(&store, "submissions/a").await.unwrap();
        assert!(
            back.unwrap() == bytes(size),
            "{method} {within} {deed:?} came back different"
        );
        assert_eq!(notes(scratch.path()), 0, "{method} {within} {deed:?}");
    }
}

/// What does not pass: a fault that says what and what to do, soon, and nothing left.
#[tokio::test(flavor = "multi_thread")]
async fn lasting_faults_are_told() {
    for (method, deed, words) in [
        ("PUT", Deed::Refuse(403, "AccessDenied"), "Check the keys"),
        ("PUT", Deed::Refuse(404, "NoSuchBucket"), "Make the bucket"),
        ("PUT", Deed::Refuse(500, "InternalError"), "500"),
        ("PUT", Deed::Refuse(503, "SlowDown"), "SlowDown"),
        ("PUT", Deed::Refuse(507, "XMinioStorageFull"), "Make room"),
        ("PUT", Deed::Hang, "no byte for 1 s"),
        ("PUT", Deed::Reset, "tried again"),
        ("PUT", Deed::Drop, "does not have it"),
        ("PUT", Deed::Shorten, "bytes and has"),
    ] {
        for size in [1000, PART + 1000] {
            let (server, keys) = (Faulty::start().await, Keys::new());
            let Scene { store, scratch } = scene(&keys.settings(server.address));
            server.script(method, "submissions", usize::MAX, deed);
            let start = Instant::now();
            let fault = put(&store, "submissions/a", size).await.unwrap_err();
            let text = fault.to_string();
            // A part that was dropped is found out when the parts are put together.
            let multipart_lie = size > PART && matches!(deed, Deed::Drop | Deed::Shorten);
            assert!(text.contains(words) || multipart_lie, "{deed:?} {size}: {text}");
            assert!(
                text.contains(BUCKET) && !text.contains(SECRET) && !text.contains(ACCESS),
                "{text}"
            );
            assert_eq!(fault.code, FaultCode::Store);
            assert!(
                start.elapsed() < Duration::from_secs(25),
                "{deed:?} took {:?}",
                start.elapsed()
            );
            server.mend();
            assert_eq!(store.length("submissions/a").await.unwrap(), None, "{deed:?}");
            // This server forgets an upload that it could not put together, and then forbids to abort it.
            assert!(notes(scratch.path()) == 0 || multipart_lie, "{deed:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_keys_and_a_missing_bucket_are_told() {
    let (server, keys) = (Rclone::start(), Keys::with(ACCESS, "wrong"));
    let Scene { store, scratch: _kept } = scene(&keys.settings(server.address));
    let fault = store.check().await.unwrap_err();
    assert!(fault.hint.contains("Check the keys"), "{fault}");
    let right = Keys::new();
    let mut settings = right.settings(server.address);
    settings.bucket = "nobody-made-it".into();
    let fault = scene(&settings).store.check().await.unwrap_err();
    assert!(fault.hint.contains("Make the bucket"), "{fault}");
    assert!(!format!("{store:?}").contains("wrong"), "{store:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_stops_for_good_is_given_up() {
    let (server, keys) = (Rclone::start(), Keys::new());
    let Scene { store, scratch: _kept } = scene(&keys.settings(server.address));
    put(&store, "submissions/a", 2 * PART).await.unwrap();
    let pid = rustix::process::Pid::from_raw(server.process().cast_signed()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::STOP).unwrap();
    let start = Instant::now();
    let fault = get(&store, "submissions/a").await.unwrap_err();
    assert!(start.elapsed() < Duration::from_secs(20), "{:?}", start.elapsed());
    assert!(
        fault.text.contains("said nothing for 1 s") || fault.text.contains("no byte"),
        "{fault}"
    );
}

/// A tar of one file, in pieces.
fn tar(size: usize) -> impl futures_util::Stream<Item = Result<Bytes, Fault>> + Send + Unpin {
    let mut builder = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_ustar();
    header.set_size(size as u64);
    header.set_mode(0o600);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    let data = bytes(size);
    builder
        .append_data(&mut header, "workspace/f", data.as_slice())
        .unwrap();
    let all = Bytes::from(builder.into_inner().unwrap());
    let pieces: Vec<_> = (0..all.len())
        .step_by(100_000)
        .map(|at| Ok(all.slice(at..all.len().min(at + 100_000))))
        .collect();
    stream::iter(pieces)
}

/// A store that lies is never believed: no archive of it is ever verified.
#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_lies_proves_nothing() {
    for object in ["workspace", "manifest"] {
        for (method, deed) in [
            ("PUT", Deed::Drop),
            ("PUT", Deed::Shorten),
            ("PUT", Deed::Alter),
            ("GET", Deed::Refuse(403, "AccessDenied")),
            ("GET", Deed::Refuse(404, "NoSuchKey")),
        ] {
            for mode in [VerifyMode::Full, VerifyMode::Checksum] {
                let (server, keys) = (Faulty::start().await, Keys::new());
                let Scene { store, scratch } = scene(&keys.settings(server.address));
                let shelf = Shelf::new(store, scratch.path(), mode);
                server.script(method, object, usize::MAX, deed);
                let proven = match shelf.put(draft(1), tar(PART + 5000), |_| {}).await {
                    Ok(claim) => shelf.verify(claim, Stillness::Absent).await.map(|_| ()),
                    Err(fault) => Err(fault),
                };
                let fault = proven.expect_err(&format!("{object} {method} {deed:?} {mode:?} was believed"));
                assert!(
                    matches!(fault.code, FaultCode::Store | FaultCode::Mismatch),
                    "{fault:?}"
                );
                server.mend();
                let claim = shelf.put(draft(2), tar(5000), |_| {}).await.unwrap();
                shelf.verify(claim, Stillness::Absent).await.unwrap();
            }
        }
    }
}

/// TLS with an authority of the lab's own: through `SSL_CERT_FILE`, and not without.
#[test]
fn a_private_authority_is_trusted_when_it_is_named() {
    const CHILD: &str = "LABTOP_TEST_S3_TLS";
    if let Ok(address) = std::env::var(CHILD) {
        let keys = Keys::new();
        let mut settings = keys.settings("127.0.0.1:1".parse().unwrap());
        settings.endpoint = format!("https://{address}");
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let scene = scene(&settings);
        let checked = runtime.block_on(scene.store.check());
        println!("checked: {checked:?}");
        // An exit drops nothing.
        drop((scene, keys));
        std::process::exit(i32::from(checked.is_err()));
    }
    let dir = tempfile::tempdir().unwrap();
    let pair = rcgen::generate_simple_self_signed(vec!["127.0.0.1".into(), "localhost".into()]).unwrap();
    let at = |name: &str| dir.path().join(name).display().to_string();
    std::fs::write(at("cert.pem"), pair.cert.pem()).unwrap();
    std::fs::write(at("key.pem"), pair.signing_key.serialize_pem()).unwrap();
    let server = Rclone::with(&["--cert", &at("cert.pem"), "--key", &at("key.pem")]);
    let run = |trusted: bool| {
        let mut child = std::process::Command::new(std::env::current_exe().unwrap());
        child.args([
            "--exact",
            "a_private_authority_is_trusted_when_it_is_named",
            "--nocapture",
        ]);
        child.env(CHILD, server.address.to_string());
        if trusted {
            child.env("SSL_CERT_FILE", at("cert.pem"));
        }
        child.output().unwrap()
    };
    let trusted = run(true);
    assert!(trusted.status.success(), "{}", String::from_utf8_lossy(&trusted.stdout));
    let stranger = run(false);
    let told = String::from_utf8_lossy(&stranger.stdout).into_owned();
    assert!(
        !stranger.status.success() && told.to_lowercase().contains("certificate"),
        "{told}"
    );
}
