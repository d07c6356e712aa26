//! Starting an agent: won, lost, failed and hung starts. The agent here is a shell script and a server of the test's.

mod wire_support;

use std::path::Path;

use labtop::cli::Exit;
use labtop::cli::attach::{AgentProgram, attach_or_start, find_at};
use labtop::domain::role::RoleSettings;
use labtop::paths::Paths;
use labtop::wire::client::ConnectError;
use labtop::wire::server::{self, Peers};
use tokio_util::sync::CancellationToken;
use wire_support::{Fake, instance, within};

fn paths(directory: &Path) -> Paths {
    let socket = directory.join("agent.sock");
    Paths {
        state: directory.join("state"),
        socket: socket.clone(),
        candidates: vec![directory.join("nobody.sock"), socket],
    }
}

fn script(text: &str) -> AgentProgram {
    AgentProgram {
        program: "/bin/sh".into(),
        arguments: vec!["-c".into(), text.into()],
    }
}

fn serve(fake: &Fake, paths: &Paths) {
    let listener = server::bind(&paths.socket).unwrap();
    tokio::spawn(server::serve(
        listener,
        Peers::new(RoleSettings::default()),
        (fake.handle.clone(), instance()),
        CancellationToken::new(),
    ));
}

#[tokio::test]
async fn an_agent_that_runs_is_used_and_none_is_started() {
    let directory = tempfile::tempdir().unwrap();
    let (fake, paths) = (Fake::new(), paths(directory.path()));
    serve(&fake, &paths);
    let never = script("touch started");
    let client = within(attach_or_start(&paths, &never)).await.unwrap();
    assert_eq!(client.welcome().instance, instance());
    assert!(!paths.state.exists());
}

#[tokio::test]
async fn a_start_that_fails_tells_its_reason_and_exit_code() {
    let directory = tempfile::tempdir().unwrap();
    let paths = paths(directory.path());
    let begin = std::time::Instant::now();
    let agent = script("echo 'labtop: config.toml line 3: unknown key `colour`' >&2; exit 2");
    let problem = within(attach_or_start(&paths, &agent)).await.unwrap_err();
    assert_eq!(problem.exit, Exit::Usage);
    assert_eq!(
        problem.text,
        "the agent did not start: config.toml line 3: unknown key `colour`"
    );
    assert!(begin.elapsed().as_secs() < 5, "its death is noticed, not waited out");

    let problem = within(attach_or_start(&paths, &script("kill -9 $$")))
        .await
        .unwrap_err();
    assert!(
        problem.exit == Exit::Failed && problem.text.contains("labtop agent"),
        "{problem}"
    );
    let left: Vec<_> = std::fs::read_dir(&paths.state).unwrap().collect();
    assert!(left.is_empty(), "{left:?}");
}

#[tokio::test]
async fn the_loser_of_two_starts_attaches_to_the_winner() {
    let directory = tempfile::tempdir().unwrap();
    let (fake, paths) = (Fake::new(), paths(directory.path()));
    let lost = directory.path().join("lost");
    let agent = script(&format!("touch {}; exit 0", lost.display()));
    let attaching = attach_or_start(&paths, &agent);
    let winner = async {
        while !lost.exists() {
            tokio::task::yield_now().await;
        }
        serve(&fake, &paths);
    };
    let (client, ()) = within(async { tokio::join!(attaching, winner) }).await;
    assert_eq!(client.unwrap().welcome().instance, instance());
}

#[tokio::test]
async fn an_agent_that_never_answers_is_told_of() {
    let directory = tempfile::tempdir().unwrap();
    let paths = paths(directory.path());
    // `exec` leaves one process, which the test ends by its id.
    let pid = directory.path().join("pid");
    let agent = script(&format!("echo $$ > {}; exec sleep 60", pid.display()));
    let problem = within(attach_or_start(&paths, &agent)).await.unwrap_err();
    assert!(problem.text.contains("within 10 s"), "{problem}");
    let pid: i32 = std::fs::read_to_string(&pid).unwrap().trim().parse().unwrap();
    let pid = rustix::process::Pid::from_raw(pid).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
}

#[tokio::test]
async fn nobody_and_a_state_that_cannot_be_written_are_told() {
    let directory = tempfile::tempdir().unwrap();
    let mut paths = paths(directory.path());
    assert!(matches!(find_at(&paths).await, Err(ConnectError::Absent(_))));
    std::fs::write(directory.path().join("file"), "").unwrap();
    paths.state = directory.path().join("file/state");
    let problem = within(attach_or_start(&paths, &script("exit 0"))).await.unwrap_err();
    assert!(problem.text.contains("file/state"), "{problem}");
}

#[test]
fn the_configuration_is_passed_on_with_its_whole_path() {
    let ours = AgentProgram::ours(Some(Path::new("lab.toml"))).unwrap();
    let config = std::env::current_dir().unwrap().join("lab.toml");
    assert_eq!(ours.program, std::env::current_exe().unwrap());
    assert_eq!(
        ours.arguments,
        [
            "agent".as_ref(),
            "--detached".as_ref(),
            "--config".as_ref(),
            config.as_os_str()
        ]
    );
    assert_eq!(AgentProgram::ours(None).unwrap().arguments.len(), 2);
}
