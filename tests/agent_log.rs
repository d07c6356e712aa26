//! The agent's log on the real binary: private, with the operation on every line of one, and without a secret of the
//! configuration, also when everything is logged.

mod bucket;
mod lab;

use std::os::unix::fs::MetadataExt;
use std::process::Stdio;
use std::time::Duration;

use bucket::faulty::{Deed, Faulty};
use bucket::{BUCKET, Keys, SECRET};
use lab::{Lab, TEMPLATE, until, until_within};

#[tokio::test(flavor = "multi_thread")]
async fn everything_is_logged_and_no_secret() {
    let (server, keys) = (Faulty::start().await, Keys::new());
    // A failure is what makes programs talk.
    server.script("PUT", "workspace.tar.zst", 1, Deed::Refuse(403, "AccessDenied"));
    let store = format!(
        "archive.store = \"s3\"\n{TEMPLATE}\n[archive.s3]\nendpoint = \"http://{}\"\nbucket = \"{BUCKET}\"\n\
         access_key_file = \"{}\"\nsecret_key_file = \"{}\"\nidle_timeout = 1\nretries = 1\n",
        server.address,
        keys.access().display(),
        keys.secret().display()
    );
    let lab = Lab::with_config(&store);
    let mut agent = lab.command(&["agent"]).env("LABTOP_LOG", "trace").spawn().unwrap();
    until("the agent listens", || lab.socket().exists().then_some(()));
    lab.run(&["room", "open", "r", "--seats", "2"]).expect(0);
    lab.run(&["room", "close", "r"]).expect(0);
    let pid = i32::try_from(agent.id()).ok().and_then(rustix::process::Pid::from_raw);
    rustix::process::kill_process(pid.unwrap(), rustix::process::Signal::TERM).unwrap();
    assert!(agent.wait().unwrap().success());

    let mut whole = String::new();
    for entry in std::fs::read_dir(lab.state().join("log")).unwrap().flatten() {
        let found = entry.metadata().unwrap();
        assert_eq!(found.mode() & 0o777, 0o600, "{entry:?}");
        assert!(found.size() <= 9 << 20, "{entry:?} has {}", found.size());
        whole.push_str(&std::fs::read_to_string(entry.path()).unwrap());
    }
    for words in ["TRACE", "the agent is up", "the agent is down", "verb=\"room close\""] {
        assert!(whole.contains(words), "no {words} in the log");
    }
    assert!(!whole.contains(SECRET), "the secret key is in the log");
    // What is told of an operation bears its number and what it does.
    let of_archives = whole
        .lines()
        .filter(|line| line.contains("code=Store") && line.contains("WARN"));
    let of_archives: Vec<&str> = of_archives.collect();
    assert!(!of_archives.is_empty());
    for line in of_archives {
        assert!(
            line.contains("op{id=") && line.contains("task=\"archive r/s0"),
            "{line}"
        );
    }
}

/// A service manager gives the agent a stream and says which; its journal then has the log, and no file grows.
#[test]
fn under_a_service_manager_the_log_goes_to_its_journal() {
    let lab = Lab::new();
    let journal = lab.path().join("journal");
    let stream = std::fs::File::create(&journal).unwrap();
    let found = stream.metadata().unwrap();
    let mut agent = lab
        .command(&["agent"])
        .env("JOURNAL_STREAM", format!("{}:{}", found.dev(), found.ino()))
        .stdout(Stdio::null())
        .stderr(stream)
        .spawn()
        .unwrap();
    until("the agent listens", || lab.socket().exists().then_some(()));
    lab.run(&["room", "close", "nowhere"]).expect(1);
    let pid = i32::try_from(agent.id()).ok().and_then(rustix::process::Pid::from_raw);
    rustix::process::kill_process(pid.unwrap(), rustix::process::Signal::TERM).unwrap();
    let ended = until_within("the agent has ended", Duration::from_secs(30), || {
        agent.try_wait().unwrap()
    });
    assert!(ended.success());
    let told = std::fs::read_to_string(&journal).unwrap();
    let line = told.lines().find(|line| line.contains("the agent is up")).unwrap();
    assert!(line.starts_with("<6> INFO"), "{line}");
    assert!(told.contains("outcome=\"refused\""), "{told}");
    assert!(!lab.state().join("log").exists());
}
