//! The bucket store at its edges: odd keys and addresses, servers that mislead or never end, what is left behind.

mod bucket;

use std::process::{Command, Output};
use std::time::{Duration, Instant};

use bucket::faulty::{Deed, Faulty};
use bucket::scene::{Scene, bytes, get, notes, put, scene, suite};
use bucket::{ACCESS, Keys, PART, Rclone, SECRET, elsewhere};
use labtop::domain::settings::S3Settings;
use labtop::world::archive::Store;

/// Tells a run of this binary that it is the child of a test, and where its server is.
const CHILD: &str = "LABTOP_TEST_S3_CHILD";

/// Runs one test of this binary in a process of its own, for what holds for a whole process.
fn child(test: &str, server: &str, env: &[(&str, &str)]) -> Output {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", test, "--nocapture"]).env(CHILD, server);
    command.envs(env.iter().copied());
    command.output().unwrap()
}

fn told(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Runtime::new().unwrap()
}

const ODD_KEYS: [&str; 8] = [
    "submissions/with space/a b",
    "submissions/plus+plus",
    "submissions/100%/%2F%41",
    "submissions/näme/日本語",
    "submissions/a&b=c?d#e",
    "submissions/(brackets)[x]{y}'\"",
    "submissions/a~b*c!d@e:f,g;h$i",
    "submissions/an.2/x=y",
];

async fn odd_keys(settings: &S3Settings) {
    let Scene { store, scratch: _kept } = scene(settings);
    for (n, key) in ODD_KEYS.into_iter().enumerate() {
        let size = if n % 2 == 0 { 10 + n } else { PART + n };
        put(&store, key, size)
            .await
            .unwrap_or_else(|fault| panic!("{key}: {fault}"));
        assert_eq!(store.length(key).await.unwrap(), Some(size as u64), "{key}");
        assert!(get(&store, key).await.unwrap().unwrap() == bytes(size), "{key}");
    }
    let mut keys = ODD_KEYS.map(str::to_owned).to_vec();
    keys.sort();
    let listed = store.list("submissions/").await.unwrap();
    assert_eq!(listed.into_iter().map(|object| object.key).collect::<Vec<_>>(), keys);
    assert_eq!(store.list("submissions/plus+").await.unwrap().len(), 1);
    for key in ODD_KEYS {
        store.remove(key).await.unwrap();
        assert_eq!(store.length(key).await.unwrap(), None, "{key}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn odd_keys_are_stored_under_their_own_names_by_rclone() {
    let mut keys = None;
    if let Some(settings) = elsewhere(&mut keys) {
        return odd_keys(&settings).await;
    }
    let (server, keys) = (Rclone::start(), Keys::new());
    odd_keys(&keys.settings(server.address)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn odd_keys_are_stored_under_their_own_names_by_s3s() {
    let (server, keys) = (Faulty::start().await, Keys::new());
    odd_keys(&keys.settings(server.address)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_goes_on_after_its_first_page() {
    let (server, keys) = (Faulty::start().await, Keys::new());
    let Scene { store, scratch: _kept } = scene(&keys.settings(server.address));
    let below = server.dir.path().join(bucket::BUCKET).join("submissions");
    std::fs::create_dir(&below).unwrap();
    for n in 0..2100 {
        std::fs::write(below.join(format!("{n:04}")), "x").unwrap();
    }
    server.script("GET", "continuation-token", 1, Deed::Refuse(503, "SlowDown"));
    let listed = store.list("submissions/").await.unwrap();
    assert_eq!(listed.len(), 2100);
    assert!(listed.is_sorted_by(|a, b| a.key < b.key));
    let asked = server
        .seen()
        .iter()
        .filter(|request| request.contains("list-type"))
        .count();
    assert_eq!(asked, 4, "three pages, one of them twice");
}

/// A list whose end never comes would hold up, and in the end fill, the agent.
#[tokio::test(flavor = "multi_thread")]
async fn a_list_that_goes_round_in_circles_is_given_up() {
    const PAGE: &str = "<?xml version=\"1.0\"?><ListBucketResult><Name>b</Name><IsTruncated>true</IsTruncated>\
        <NextContinuationToken>again</NextContinuationToken></ListBucketResult>";
    let (server, keys) = (Faulty::start().await, Keys::new());
    let Scene { store, scratch: _kept } = scene(&keys.settings(server.address));
    server.script("GET", "list-type", usize::MAX, Deed::Say(200, PAGE));
    let listed = tokio::time::timeout(Duration::from_secs(10), store.list("submissions/")).await;
    assert!(listed.expect("it goes on for ever").unwrap_err().text.contains("list"));
}

#[test]
fn the_buckets_name_may_stand_in_the_hosts() {
    if let Ok(address) = std::env::var(CHILD) {
        let keys = Keys::new();
        let mut settings = keys.settings(address.parse().unwrap());
        settings.endpoint = "http://lab.test".into();
        settings.path_style = false;
        runtime().block_on(suite(&settings));
        return;
    }
    let runtime = runtime();
    let server = runtime.block_on(Faulty::with_domain(Some("lab.test")));
    // The name is known nowhere: the server is asked as a proxy, which gets the whole address.
    let proxy = format!("http://{}", server.address);
    let output = child(
        "the_buckets_name_may_stand_in_the_hosts",
        &server.address.to_string(),
        &[("http_proxy", &proxy), ("no_proxy", "")],
    );
    assert!(output.status.success(), "{}", told(&output));
    let seen = server.seen();
    let host = format!("http://{}.lab.test/", bucket::BUCKET);
    assert!(
        seen.len() > 20 && seen.iter().all(|request| request.contains(&host)),
        "{seen:?}"
    );
}

/// A port that a scheme has anyway, and capitals, are no part of what clients send, and so of what is signed.
#[test]
fn an_address_may_be_written_in_full() {
    if let Ok(address) = std::env::var(CHILD) {
        let keys = Keys::new();
        let mut settings = keys.settings(address.parse().unwrap());
        settings.endpoint = "http://S3.Lab.test:80".into();
        runtime().block_on(scene(&settings).store.check()).unwrap();
        return;
    }
    let runtime = runtime();
    let server = runtime.block_on(Faulty::start());
    let proxy = format!("http://{}", server.address);
    let output = child(
        "an_address_may_be_written_in_full",
        &server.address.to_string(),
        &[("http_proxy", &proxy), ("no_proxy", "")],
    );
    assert!(output.status.success(), "{}", told(&output));
}

#[test]
fn no_secret_is_logged() {
    if let Ok(address) = std::env::var(CHILD) {
        tracing_subscriber::fmt()
            .with_max_level(tracing::Level::TRACE)
            .with_writer(std::io::stdout)
            .init();
        let keys = Keys::new();
        let settings = keys.settings(address.parse().unwrap());
        runtime().block_on(async {
            let Scene { store, scratch: _kept } = scene(&settings);
            for size in [10, PART + 10] {
                put(&store, "submissions/a", size).await.unwrap();
                get(&store, "submissions/a").await.unwrap();
            }
            println!("{:?}", put(&store, "submissions/refused", 10).await);
            println!(
                "{:?} {settings:?} {store:?}",
                put(&store, "submissions/reset", 10).await
            );
        });
        return;
    }
    let runtime = runtime();
    let server = runtime.block_on(Faulty::start());
    server.script("PUT", "refused", usize::MAX, Deed::Refuse(403, "SignatureDoesNotMatch"));
    server.script("PUT", "reset", usize::MAX, Deed::Reset);
    let output = child("no_secret_is_logged", &server.address.to_string(), &[]);
    let told = told(&output);
    assert!(output.status.success() && told.contains("Check the keys"), "{told}");
    assert!(told.contains("TRACE"), "nothing was logged: {told}");
    for secret in [SECRET, ACCESS, "X-Amz-Signature"] {
        assert!(!told.contains(secret), "{secret} in:\n{told}");
    }
}

/// Work goes to the store that was configured, and nowhere else.
#[tokio::test(flavor = "multi_thread")]
async fn work_is_not_sent_where_a_store_points() {
    let (server, elsewhere, keys) = (Faulty::start().await, Faulty::start().await, Keys::new());
    let Scene { store, scratch: _kept } = scene(&keys.settings(server.address));
    server.script("PUT", "submissions", usize::MAX, Deed::SendTo(elsewhere.address));
    let fault = put(&store, "submissions/a", 1000).await.unwrap_err();
    assert!(fault.text.contains("307"), "{fault}");
    put(&store, "other/a", 1000).await.unwrap();
    server.script("GET", "other/a", usize::MAX, Deed::SendTo(elsewhere.address));
    let fault = get(&store, "other/a").await.unwrap_err();
    assert!(fault.text.contains("307"), "{fault}");
    assert_eq!(elsewhere.seen(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_without_end_is_not_read_to_its_end() {
    let (server, keys) = (Faulty::start().await, Keys::new());
    let mut settings = keys.settings(server.address);
    (settings.retries, settings.idle_seconds) = (0, 60);
    let Scene { store, scratch: _kept } = scene(&settings);
    put(&store, "submissions/a", 10).await.unwrap();
    for method in ["PUT", "GET"] {
        server.script(method, "submissions", usize::MAX, Deed::Endless);
    }
    let both = async {
        let put = put(&store, "submissions/b", 10).await.unwrap_err();
        let got = get(&store, "submissions/a").await.unwrap_err();
        (put, got)
    };
    let (put, got) = tokio::time::timeout(Duration::from_secs(10), both).await.unwrap();
    assert!(put.text.contains("500") && got.text.contains("500"), "{put} {got}");
}

/// Every call of a store that answers nothing ends within its limits.
#[tokio::test(flavor = "multi_thread")]
async fn every_call_that_hangs_ends() {
    for (method, within) in [
        ("POST", "uploads"),
        ("POST", "uploadId"),
        ("HEAD", ""),
        ("DELETE", ""),
        ("GET", "list-type"),
    ] {
        let (server, keys) = (Faulty::start().await, Keys::new());
        let mut settings = keys.settings(server.address);
        settings.retries = 1;
        let Scene { store, scratch: _kept } = scene(&settings);
        put(&store, "submissions/a", 10).await.unwrap();
        server.script(method, within, usize::MAX, Deed::Hang);
        let start = Instant::now();
        let failed = match method {
            "POST" => put(&store, "submissions/b", PART + 1).await,
            "HEAD" => store.length("submissions/a").await.map(drop),
            "DELETE" => store.remove("submissions/a").await,
            _ => store.list("submissions/").await.map(drop),
        };
        let fault = failed.unwrap_err();
        assert!(fault.text.contains("in time"), "{method} {within}: {fault}");
        assert!(
            start.elapsed() < Duration::from_secs(10),
            "{method} {within}: {:?}",
            start.elapsed()
        );
    }
}

/// Errors in answers that say 200, as S3 gives them when the putting together fails late.
#[tokio::test(flavor = "multi_thread")]
async fn an_error_behind_a_200_heals() {
    let (server, keys) = (Faulty::start().await, Keys::new());
    let Scene { store, scratch } = scene(&keys.settings(server.address));
    server.script("POST", "uploadId", 1, Deed::Refuse(200, "InternalError"));
    put(&store, "submissions/a", PART + 5).await.unwrap();
    assert!(get(&store, "submissions/a").await.unwrap().unwrap() == bytes(PART + 5));
    assert_eq!(notes(scratch.path()), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn more_parts_than_s3_takes_are_told() {
    let (server, keys) = (Faulty::start().await, Keys::new());
    let mut settings = keys.settings(server.address);
    (settings.part_bytes, settings.parts_in_flight) = (1, 16);
    let Scene { store, scratch } = scene(&settings);
    server.script("PUT", "partNumber", usize::MAX, Deed::Drop);
    let fault = put(&store, "submissions/a", 10_001).await.unwrap_err();
    assert!(
        fault.text.contains("10000 parts") && fault.text.contains("part_size"),
        "{fault}"
    );
    assert_eq!(notes(scratch.path()), 0);
    assert!(!server.seen().iter().any(|request| request.contains("partNumber=10001")));
}

/// Uploads that nobody finishes: only those below our prefix, and only old ones.
#[tokio::test(flavor = "multi_thread")]
async fn old_uploads_that_are_listed_are_aborted() {
    const LIST: &str = "<?xml version=\"1.0\"?><ListMultipartUploadsResult><Bucket>b</Bucket><KeyMarker></KeyMarker>\
        <UploadIdMarker></UploadIdMarker><MaxUploads>1000</MaxUploads><IsTruncated>false</IsTruncated>\
        <Upload><Key>labs/submissions/old</Key><UploadId>old-one</UploadId><Initiated>2026-11-20T00:00:00.000Z</Initiated>\
        <StorageClass>STANDARD</StorageClass></Upload>\
        <Upload><Key>labs/submissions/new</Key><UploadId>new-one</UploadId><Initiated>2026-11-24T12:00:00.000Z</Initiated>\
        <StorageClass>STANDARD</StorageClass></Upload></ListMultipartUploadsResult>";
    let (server, keys) = (Faulty::start().await, Keys::new());
    let mut settings = keys.settings(server.address);
    settings.prefix = "labs/".into();
    let Scene { store, scratch: _kept } = scene(&settings);
    server.script("GET", "uploads", 1, Deed::Say(200, LIST));
    server.script("DELETE", "uploadId", usize::MAX, Deed::Say(204, ""));
    // 2026-11-25T00:00:00Z
    assert_eq!(store.sweep(1_795_564_800_000).await, 1);
    let seen = server.seen();
    let list = seen.iter().find(|request| request.contains("uploads")).unwrap();
    assert!(list.contains("prefix=labs%2Fsubmissions"), "{list}");
    let aborted: Vec<_> = seen.iter().filter(|request| request.starts_with("DELETE")).collect();
    assert!(aborted.len() == 1 && aborted[0].contains("old-one"), "{aborted:?}");
}

/// Whoever waits goes away while an upload is begun: it is aborted all the same when its id is known.
#[tokio::test(flavor = "multi_thread")]
async fn an_upload_that_nobody_waits_for_is_aborted() {
    let (server, keys) = (Faulty::start().await, Keys::new());
    let Scene { store, scratch } = scene(&keys.settings(server.address));
    server.script("POST", "uploads", 1, Deed::Late);
    let seen = async |method: &str, within: &str| {
        let start = Instant::now();
        let fits = |request: &String| request.starts_with(method) && request.contains(within);
        while !server.seen().iter().any(fits) {
            assert!(start.elapsed() < Duration::from_secs(10), "no {method} {within}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::select! {
        _ = put(&store, "submissions/a", PART + 1) => panic!("it did not wait"),
        () = seen("POST", "uploads") => {}
    }
    server.mend();
    seen("DELETE", "uploadId").await;
    let start = Instant::now();
    while notes(scratch.path()) > 0 {
        assert!(start.elapsed() < Duration::from_secs(10), "the upload stays noted");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Leaves an upload noted, as a killed agent does.
fn left_behind(settings: &S3Settings, scratch: &std::path::Path, key: &'static str) {
    let life = runtime();
    let (go_on, held) = std::sync::mpsc::channel::<()>();
    life.block_on(async {
        let store = Store::s3(settings, scratch).unwrap();
        let before = notes(scratch);
        tokio::spawn(async move {
            let writing = store.write(key, move |out| {
                out.write_all(&bytes(3 * PART))?;
                let _ = held.recv();
                Ok(())
            });
            writing.await
        });
        let start = Instant::now();
        while notes(scratch) == before {
            assert!(start.elapsed() < Duration::from_secs(20));
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    life.shutdown_background();
    drop(go_on);
}

/// What was left in another bucket is not looked for in this one, and not forgotten.
#[test]
fn notes_are_of_the_bucket_that_they_were_made_for() {
    let runtime = runtime();
    let server = runtime.block_on(Faulty::start());
    let (keys, scratch) = (Keys::new(), tempfile::tempdir().unwrap());
    let settings = keys.settings(server.address);
    left_behind(&settings, scratch.path(), "submissions/a");
    let mut other = settings.clone();
    other.bucket = "labtop-other".into();
    std::fs::create_dir(server.dir.path().join("labtop-other")).unwrap();
    let sweep = |settings: &S3Settings| {
        let store = Store::s3(settings, scratch.path()).unwrap();
        runtime.block_on(store.sweep(0))
    };
    assert_eq!((sweep(&other), notes(scratch.path())), (0, 1));
    assert_eq!((sweep(&settings), notes(scratch.path())), (1, 0));
}

/// An agent is not kept from starting by a store that is away.
#[test]
fn a_sweep_of_a_store_that_is_away_is_soon_over() {
    let runtime = runtime();
    let server = runtime.block_on(Faulty::start());
    let (keys, scratch) = (Keys::new(), tempfile::tempdir().unwrap());
    let mut settings = keys.settings(server.address);
    settings.retries = 0;
    for key in ["submissions/a", "submissions/b", "submissions/c", "submissions/d"] {
        left_behind(&settings, scratch.path(), key);
    }
    for method in ["DELETE", "GET"] {
        server.script(method, "", usize::MAX, Deed::Hang);
    }
    let store = Store::s3(&settings, scratch.path()).unwrap();
    let start = Instant::now();
    assert_eq!(runtime.block_on(store.sweep(0)), 0);
    assert!(start.elapsed() < Duration::from_secs(3), "{:?}", start.elapsed());
    assert_eq!(notes(scratch.path()), 4);
}

/// The most that this process has had in memory, in KiB.
fn peak_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[test]
fn an_upload_takes_the_memory_of_its_parts_in_flight() {
    const MIB: usize = 1 << 20;
    if let Ok(address) = std::env::var(CHILD) {
        let keys = Keys::new();
        let settings = keys.settings(address.parse().unwrap());
        runtime().block_on(async {
            let Scene { store, scratch: _kept } = scene(&settings);
            let write = |key: &'static str, mib: usize| {
                store.write(key, move |out| {
                    let piece = bytes(64 * 1024);
                    for _ in 0..mib * 16 {
                        out.write_all(&piece)?;
                    }
                    Ok(())
                })
            };
            write("submissions/small", 0).await.unwrap();
            println!("\nat first: {}", peak_kib());
            write("submissions/large", 30).await.unwrap();
            println!("after 30 MiB: {}", peak_kib());
            write("submissions/larger", 300).await.unwrap();
            println!("after 300 MiB: {}", peak_kib());
        });
        return;
    }
    let server = Rclone::start();
    let output = child(
        "an_upload_takes_the_memory_of_its_parts_in_flight",
        &server.address.to_string(),
        &[],
    );
    let told = told(&output);
    let figure = |before: &str| {
        let line = told
            .lines()
            .find(|line| line.starts_with(before))
            .unwrap_or_else(|| panic!("{told}"));
        line.rsplit(' ').next().unwrap().parse::<usize>().unwrap() * 1024
    };
    let (first, small, large) = (figure("at first"), figure("after 30 MiB"), figure("after 300 MiB"));
    // Two parts that are sent, one that is filled, and some for connections: one more part would be too much.
    assert!(large - first <= 20 * MIB, "{told}");
    assert!(large - small <= 4 * MIB, "{told}");
}
