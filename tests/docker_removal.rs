//! Invariant 1 on the real engine: nothing is removed that may have run since it was read.

#[path = "support/docker.rs"]
mod support;

use std::time::{Duration, Instant};

use futures_util::{StreamExt, TryStreamExt};
use labtop::domain::effect::SeatOrder;
use labtop::domain::fault::FaultCode;
use labtop::domain::ids::SeatId;
use labtop::domain::proof::{Discard, Stillness, Warrant};
use labtop::domain::seen::RunState;
use labtop::world::docker::{Docker, EngineEvent};
use support::{Lab, SESSION, docker, file_in, try_docker};

/// A seat that wrote its work and then does as the script says.
fn working(lab: &Lab, student: &str, then: &str) -> SeatOrder {
    let mut order = lab.order(student);
    let script = format!("echo work of {student} >/workspace/work.txt; {then}");
    order.template.command = ["sh", "-c", &script].map(str::to_owned).to_vec();
    order
}

async fn held(lab: &Lab, student: &str) -> Stillness {
    lab.docker.hold(&lab.seat(student), SESSION).await.unwrap().1
}

async fn refused(lab: &Lab, student: &str, warrant: &Warrant) {
    let fault = lab.docker.remove_container(warrant).await.unwrap_err();
    assert_eq!(fault.code, FaultCode::Thawed, "{fault}");
    assert!(lab.has_volume(student), "the workspace is kept");
}

async fn has_work(lab: &Lab, student: &str) -> bool {
    let content = file_in(&lab.workspace(student).await, "workspace/work.txt");
    content.as_deref() == Some(format!("work of {student}\n").as_bytes())
}

#[tokio::test]
async fn a_frozen_seat_is_removed_step_by_step() {
    let lab = Lab::new().await;
    for (student, then) in [
        ("idle", "exec sleep 1000"),
        ("busy", "while :; do :; done"),
        ("many", "for i in 1 2 3 4 5; do sleep 1000 & done; wait"),
    ] {
        lab.provision(&working(&lab, student, then)).await;
        lab.await_file(student, "workspace/work.txt").await;
        let (seen, stillness) = lab.docker.hold(&lab.seat(student), SESSION).await.unwrap();
        assert_eq!(seen.unwrap().state, RunState::Paused);
        assert!(matches!(stillness, Stillness::Paused { cpu_ns, .. } if cpu_ns > 0));
        assert_eq!(
            held(&lab, student).await,
            stillness,
            "holding again gives the same evidence"
        );
        assert!(has_work(&lab, student).await, "{student}");
        let warrant = lab.warrant(student, stillness).await;
        let fault = lab.docker.remove_volume(&warrant).await.unwrap_err();
        assert_eq!(fault.code, FaultCode::Thawed, "a workspace in use stays: {fault}");
        lab.docker.remove_container(&warrant).await.unwrap();
        assert!(lab.has_volume(student), "the container goes first");
        // Asked again, the container's absence proves nothing.
        refused(&lab, student, &warrant).await;
        let absent = lab.warrant(student, held(&lab, student).await).await;
        lab.docker.remove_container(&absent).await.unwrap();
        lab.docker.remove_volume(&absent).await.unwrap();
        lab.docker.remove_volume(&absent).await.unwrap();
        assert!(!lab.has_volume(student));
    }
}

#[tokio::test]
async fn a_thaw_behind_our_back_makes_the_evidence_worthless() {
    let lab = Lab::new().await;
    let name = |student: &str| lab.names.seat(&lab.seat(student));
    for student in ["refrozen", "thawed", "restarted", "stopped", "gone"] {
        // What never gets to run in a thaw cannot have written either, so the refrozen one is busy.
        let then = if student == "refrozen" {
            "while :; do :; done"
        } else {
            "exec sleep 1000"
        };
        lab.provision(&working(&lab, student, then)).await;
        lab.await_file(student, "workspace/work.txt").await;
        let warrant = lab.warrant(student, held(&lab, student).await).await;
        match student {
            "refrozen" => drop((docker(&["unpause", &name(student)]), docker(&["pause", &name(student)]))),
            "thawed" => drop(docker(&["unpause", &name(student)])),
            "restarted" => {
                docker(&["unpause", &name(student)]);
                docker(&["restart", "-t", "0", &name(student)]);
                docker(&["pause", &name(student)]);
            }
            "stopped" => drop(docker(&["kill", &name(student)])),
            _ => drop(docker(&["rm", "-f", &name(student)])),
        }
        refused(&lab, student, &warrant).await;
        let again = lab.warrant(student, held(&lab, student).await).await;
        assert!(has_work(&lab, student).await);
        lab.docker.remove_container(&again).await.unwrap();
        lab.docker.remove_volume(&again).await.unwrap();
    }
}

#[tokio::test]
async fn a_start_behind_our_back_makes_the_evidence_of_a_stopped_seat_worthless() {
    let lab = Lab::new().await;
    let seen = lab.provision(&working(&lab, "a", "exec sleep 1000")).await;
    lab.await_file("a", "workspace/work.txt").await;
    lab.docker.kill(&seen.id).await.unwrap();
    let warrant = lab.warrant("a", held(&lab, "a").await).await;
    docker(&["start", seen.id.as_str()]);
    refused(&lab, "a", &warrant).await;
    docker(&["kill", seen.id.as_str()]);
    refused(&lab, "a", &warrant).await;
    let mut other = lab.warrant("a", Stillness::Absent).await;
    refused(&lab, "a", &other).await;
    if let Warrant::Verified(archive) = &other {
        let mut claim = archive.claim().clone();
        claim.session = SESSION + 1;
        other = Warrant::Discard(Discard {
            seat: claim.seat,
            session: claim.session,
            by: "test".into(),
        });
    }
    lab.docker.remove_container(&other).await.unwrap();
    lab.docker.remove_volume(&other).await.unwrap();
    assert!(lab.has_volume("a"), "another opening's order touches nothing");
    assert!(lab.docker.look(&seen.id).await.unwrap().is_some());
}

#[tokio::test]
async fn a_busy_seat_writes_nothing_while_it_is_killed() {
    let lab = Lab::new().await;
    let script = "f() { while :; do echo x >>/workspace/count$1; done; }; f 1 & f 2 & f 3 & f 4 & wait";
    // One alone may be lucky: without the kill that finds them frozen two of three write.
    for student in ["a", "b", "c", "d", "e"] {
        let mut order = lab.order(student);
        order.template.command = ["sh", "-c", script].map(str::to_owned).to_vec();
        lab.provision(&order).await;
        lab.await_file(student, "workspace/count4").await;
        let warrant = lab.warrant(student, held(&lab, student).await).await;
        lab.docker.remove_container(&warrant).await.unwrap();
        let Warrant::Verified(archive) = &warrant else {
            unreachable!()
        };
        let Warrant::Verified(left) = lab.warrant(student, Stillness::Absent).await else {
            unreachable!()
        };
        assert_eq!(left.claim().content_digest, archive.claim().content_digest);
    }
}

/// The seat's own processes are not the only ones that may write: an administrator's container has the volume too.
#[tokio::test]
async fn what_another_container_wrote_is_read_again() {
    let lab = Lab::new().await;
    lab.provision(&working(&lab, "a", "exec sleep 1000")).await;
    lab.await_file("a", "workspace/work.txt").await;
    let warrant = lab.warrant("a", held(&lab, "a").await).await;
    let mount = format!("{}:/w", lab.names.volume(&lab.seat("a"), SESSION));
    let write = ["run", "--rm", "--network", "none", "--volume", &mount, &lab.image];
    docker(&[&write[..], &["sh", "-c", "echo more >>/w/work.txt"]].concat());
    lab.docker.remove_container(&warrant).await.unwrap();
    let fault = lab.docker.remove_volume(&warrant).await.unwrap_err();
    assert_eq!(fault.code, FaultCode::Thawed, "{fault}");
    // Also when the seat's container had gone before, so that only the workspace was left to be read.
    let absent = lab.warrant("a", held(&lab, "a").await).await;
    docker(&[&write[..], &["sh", "-c", "echo rescued >/w/rescue.txt"]].concat());
    let fault = lab.docker.remove_volume(&absent).await.unwrap_err();
    assert_eq!(fault.code, FaultCode::Thawed, "{fault}");
    assert!(lab.has_volume("a"), "the workspace is kept");
    assert_eq!(
        file_in(&lab.workspace("a").await, "workspace/work.txt").unwrap(),
        b"work of a\nmore\n"
    );
}

/// Work outside of the workspace goes with the container, which nothing but this reading holds back: it did not run.
#[tokio::test]
async fn what_was_written_elsewhere_after_the_reading_keeps_the_container() {
    let lab = Lab::new().await;
    let seen = lab
        .provision(&working(&lab, "a", "echo first >/tmp/first; exec sleep 1000"))
        .await;
    lab.await_file("a", "workspace/work.txt").await;
    lab.docker.kill(&seen.id).await.unwrap();
    let warrant = lab.warrant("a", held(&lab, "a").await).await;
    let late = tempfile::NamedTempFile::new().unwrap();
    let name = lab.names.seat(&lab.seat("a"));
    docker(&["cp", late.path().to_str().unwrap(), &format!("{name}:/tmp/late")]);
    refused(&lab, "a", &warrant).await;
    docker(&["inspect", &name]);
    let again = lab.warrant("a", held(&lab, "a").await).await;
    lab.docker.remove_container(&again).await.unwrap();
    lab.docker.remove_volume(&again).await.unwrap();
}

#[tokio::test]
async fn somebody_who_thaws_all_the_time_never_makes_us_lose_work() {
    let lab = Lab::new().await;
    for round in 0..6 {
        let student = format!("s{round}");
        // Counts without end; whatever is in the workspace after the removal must be what was read before.
        let script = "i=0; while :; do i=$((i+1)); echo $i >/workspace/count; done";
        let mut order = lab.order(&student);
        order.template.command = ["sh", "-c", script].map(str::to_owned).to_vec();
        let seen = lab.provision(&order).await;
        lab.await_file(&student, "workspace/count").await;
        let stillness = held(&lab, &student).await;
        let read = file_in(&lab.workspace(&student).await, "workspace/count").unwrap();
        let warrant = lab.warrant(&student, stillness).await;
        let meddler = {
            let id = seen.id.to_string();
            let pauses = Duration::from_millis(round * 7);
            tokio::task::spawn_blocking(move || {
                std::thread::sleep(pauses);
                let _ = try_docker(&["unpause", &id]);
                let _ = try_docker(&["pause", &id]);
            })
        };
        let removed = lab.docker.remove_container(&warrant).await;
        meddler.await.unwrap();
        match removed {
            Ok(()) => {
                let left = file_in(&lab.workspace(&student).await, "workspace/count").unwrap();
                assert_eq!(left, read, "round {round}: it ran after it was read");
            }
            Err(fault) => assert_eq!(fault.code, FaultCode::Thawed, "{fault}"),
        }
        assert!(lab.has_volume(&student));
    }
}

#[tokio::test]
async fn stopped_frozen_starved_and_unstarted_seats_can_all_be_read() {
    let lab = Lab::new().await;
    let killed = lab.provision(&working(&lab, "killed", "exec sleep 1000")).await;
    lab.provision(&working(&lab, "ended", "exit 3")).await;
    lab.provision(&working(&lab, "starved", "exec tail /dev/zero")).await;
    lab.provision(&working(&lab, "frozen", "exec sleep 1000")).await;
    for student in ["killed", "ended", "starved", "frozen"] {
        lab.await_file(student, "workspace/work.txt").await;
    }
    let seen = lab.docker.kill(&killed.id).await.unwrap().unwrap();
    assert_eq!((seen.state, seen.exit_code), (RunState::Exited, 137));
    docker(&["wait", &lab.names.seat(&lab.seat("ended"))]);
    docker(&["wait", &lab.names.seat(&lab.seat("starved"))]);
    for student in ["killed", "ended", "starved", "frozen"] {
        let (seen, stillness) = lab.docker.hold(&lab.seat(student), SESSION).await.unwrap();
        assert_eq!(seen.unwrap().state == RunState::Paused, student == "frozen");
        assert!(has_work(&lab, student).await, "{student}");
        lab.docker
            .remove_container(&lab.warrant(student, stillness).await)
            .await
            .unwrap();
        assert!(has_work(&lab, student).await, "{student}: also without its container");
    }

    let order = working(&lab, "unstarted", "exec sleep 1000");
    lab.provision(&order).await;
    let name = lab.names.seat(&order.seat);
    let labels = lab.inspect("unstarted")["Config"]["Labels"].clone();
    docker(&["rm", "-f", &name]);
    let labels: Vec<String> = labels
        .as_object()
        .unwrap()
        .iter()
        .map(|(k, v)| format!("--label={k}={}", v.as_str().unwrap()))
        .collect();
    let mount = format!("{}:/workspace", lab.names.volume(&order.seat, SESSION));
    let labels: Vec<&str> = labels.iter().map(String::as_str).collect();
    docker(&[&["create", "--name", &name, "-v", &mount][..], &labels, &[&lab.image]].concat());
    let stillness = held(&lab, "unstarted").await;
    assert!(matches!(stillness, Stillness::Stopped { .. }));
    assert!(file_in(&lab.workspace("unstarted").await, "workspace/").is_some());
    lab.docker
        .remove_container(&lab.warrant("unstarted", stillness).await)
        .await
        .unwrap();
}

/// The engine may tell of the start of such a program after its end, which is no start of somebody else's.
#[tokio::test]
async fn a_program_that_ended_at_once_is_removed_at_the_first_try() {
    let lab = Lab::new().await;
    for student in ["a", "b", "c", "d", "e", "f"] {
        let mut order = lab.order(student);
        order.template.command = vec!["true".into()];
        lab.provision(&order).await;
        docker(&["wait", &lab.names.seat(&lab.seat(student))]);
        let warrant = lab.warrant(student, held(&lab, student).await).await;
        lab.docker.remove_container(&warrant).await.unwrap();
    }
}

#[tokio::test]
async fn no_program_of_the_students_takes_part_in_the_reading() {
    let lab = Lab::new().await;
    let mut order = working(
        &lab,
        "a",
        "cp /bin/busybox /tmp/busybox; for p in sh tar ash cat; do /tmp/busybox rm -f /bin/$p; echo lie >/bin/$p; done; exec /tmp/busybox sleep 1000",
    );
    order.template.user = labtop::world::docker::rootfs::ROOT;
    lab.provision(&order).await;
    lab.await_file("a", "workspace/work.txt").await;
    held(&lab, "a").await;
    assert!(has_work(&lab, "a").await);
}

#[tokio::test]
async fn the_seat_answers_while_its_workspace_is_read() {
    let lab = Lab::new().await;
    let script =
        "dd if=/dev/urandom of=/workspace/big bs=1M count=96 2>/dev/null; touch /workspace/done; exec sleep 1000";
    let mut order = lab.order("a");
    order.template.command = ["sh", "-c", script].map(str::to_owned).to_vec();
    order.template.memory_bytes = 256 << 20;
    let seen = lab.provision(&order).await;
    lab.await_file("a", "workspace/done").await;
    let mut workspace = lab.docker.workspace(&order.seat, SESSION).await.unwrap();
    workspace.try_next().await.unwrap().unwrap();
    // The stream is open and the engine is blocked in it.
    let begun = Instant::now();
    assert_eq!(
        lab.docker.look(&seen.id).await.unwrap().unwrap().state,
        RunState::Running
    );
    lab.docker.stats(&seen.id).await.unwrap();
    lab.docker.freeze(&seen.id).await.unwrap();
    assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
    assert_eq!(lab.carriers().len(), 1);
    assert_eq!(lab.docker.list().await.unwrap().carriers, [], "it is in use");
    workspace.finish().await.unwrap();
    assert_eq!(lab.carriers(), []);

    // One that is dropped in the middle takes its carrier with it.
    let mut workspace = lab.docker.workspace(&order.seat, SESSION).await.unwrap();
    workspace.try_next().await.unwrap().unwrap();
    drop(workspace);
    let begun = Instant::now();
    while !lab.carriers().is_empty() {
        assert!(begun.elapsed() < Duration::from_secs(10), "the carrier stays");
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn only_carriers_and_unused_containers_are_reaped() {
    let lab = Lab::new().await;
    let seen = lab.provision(&working(&lab, "a", "exec sleep 1000")).await;
    assert!(lab.docker.reap(&seen.id).await.is_err(), "it runs");
    lab.docker.kill(&seen.id).await.unwrap();
    assert!(lab.docker.reap(&seen.id).await.is_err(), "it ran");
    assert!(lab.docker.look(&seen.id).await.unwrap().is_some());
    let workspace = lab.docker.workspace(&lab.seat("a"), SESSION).await.unwrap();
    let carrier = lab.carriers().remove(0);
    // What an agent that died left behind is nobody's to the next one.
    let next = Docker::new(lab.options()).unwrap();
    assert_eq!(next.list().await.unwrap().carriers, std::slice::from_ref(&carrier));
    next.reap(&carrier).await.unwrap();
    next.reap(&carrier).await.unwrap();
    workspace.finish().await.unwrap();

    let discard = Warrant::Discard(Discard {
        seat: SeatId::clone(&seen.seat),
        session: SESSION,
        by: "admin".into(),
    });
    lab.docker.start(&seen.id).await.unwrap();
    lab.docker.remove_container(&discard).await.unwrap();
    lab.docker.remove_container(&discard).await.unwrap();
    lab.docker.remove_volume(&discard).await.unwrap();
    assert!(!lab.has_volume("a"));
}

#[tokio::test]
async fn the_small_verbs_may_be_repeated_and_are_told_of() {
    let lab = Lab::new().await;
    let mut news = lab.docker.events().await.unwrap();
    let id = lab.provision(&working(&lab, "a", "exec sleep 1000")).await.id;
    let docker = &lab.docker;
    for _ in 0..2 {
        assert_eq!(docker.freeze(&id).await.unwrap().unwrap().state, RunState::Paused);
    }
    for _ in 0..2 {
        assert_eq!(docker.thaw(&id).await.unwrap().unwrap().state, RunState::Running);
    }
    docker.freeze(&id).await.unwrap();
    assert_eq!(docker.restart(&id).await.unwrap().unwrap().state, RunState::Running);
    docker.freeze(&id).await.unwrap();
    for _ in 0..2 {
        assert_eq!(docker.kill(&id).await.unwrap().unwrap().state, RunState::Exited);
    }
    for _ in 0..2 {
        assert_eq!(docker.start(&id).await.unwrap().unwrap().state, RunState::Running);
    }
    docker
        .remove_container(&Warrant::Discard(Discard {
            seat: lab.seat("a"),
            session: SESSION,
            by: "x".into(),
        }))
        .await
        .unwrap();
    for gone in [
        docker.start(&id).await,
        docker.kill(&id).await,
        docker.thaw(&id).await,
        docker.restart(&id).await,
    ] {
        assert_eq!(gone.unwrap(), None);
    }
    let mut told = Vec::new();
    loop {
        let event = news.next().await.unwrap().unwrap();
        let last = matches!(event, EngineEvent::Destroyed(_));
        told.push(event);
        if last {
            break;
        }
    }
    assert!(told.contains(&EngineEvent::Disturbed(id.clone())) && told.contains(&EngineEvent::Changed(id.clone())));
    assert_eq!(told.last(), Some(&EngineEvent::Destroyed(id)));
}
