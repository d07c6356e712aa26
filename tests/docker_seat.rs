//! Seats on the real engine: what they are made of, and how making them can go wrong.

#[path = "support/docker.rs"]
mod support;

use std::fs;
use std::os::unix::fs::PermissionsExt;

use futures_util::StreamExt;
use labtop::domain::fault::FaultCode;
use labtop::domain::names::{LABEL_INSTANCE, LABEL_KIND, LABEL_SESSION, LABEL_SPEC};
use labtop::domain::seen::RunState;
use labtop::world::docker::EngineEvent;
use labtop::world::docker::demo::STUDENT;
use labtop::world::docker::rootfs::ROOT;
use serde_json::json;
use support::{Foreign, Lab, SESSION, docker, file_in};
use tokio_util::sync::CancellationToken;

#[tokio::test]
async fn every_limit_and_hardening_item_is_on_the_container() {
    let lab = Lab::new().await;
    let mut order = lab.order("An.1");
    order.template.env.insert("GREETING".into(), "hi".into());
    let seen = lab.provision(&order).await;
    assert_eq!(
        (seen.state, &seen.seat, seen.session),
        (RunState::Running, &order.seat, SESSION)
    );
    assert!(seen.address.is_some() && seen.pid.is_some());

    let found = lab.inspect("An.1");
    let (host, config) = (&found["HostConfig"], &found["Config"]);
    assert_eq!(host["Memory"], 64 * 1024 * 1024);
    assert_eq!(host["MemorySwap"], host["Memory"]);
    assert_eq!(host["NanoCpus"], 500_000_000);
    assert_eq!(host["PidsLimit"], 64);
    assert_eq!(host["Ulimits"], json!([{"Name": "nofile", "Soft": 512, "Hard": 512}]));
    assert_eq!(host["CapDrop"], json!(["ALL"]));
    assert_eq!(host["CapAdd"], json!(null));
    assert_eq!(host["SecurityOpt"], json!(["no-new-privileges"]));
    assert_eq!(host["Init"], true);
    assert_eq!(host["OomScoreAdj"], 500);
    assert_eq!(
        host["LogConfig"],
        json!({"Type": "local", "Config": {"max-size": "5m", "max-file": "2"}})
    );
    assert!(matches!(host["RestartPolicy"]["Name"].as_str(), None | Some("" | "no")));
    assert_eq!(host["Privileged"], false);
    assert_eq!(host["PublishAllPorts"], false);
    assert_eq!(host["ReadonlyRootfs"], false);
    let network = lab.names.network(&lab.room);
    assert_eq!(
        found["NetworkSettings"]["Networks"]
            .as_object()
            .unwrap()
            .keys()
            .collect::<Vec<_>>(),
        [&network]
    );
    let mounts = found["Mounts"].as_array().unwrap();
    assert_eq!(mounts.len(), 1);
    assert_eq!(mounts[0]["Name"], lab.names.volume(&order.seat, SESSION));
    assert_eq!(
        (&mounts[0]["Destination"], &mounts[0]["RW"]),
        (&json!("/workspace"), &json!(true))
    );

    assert_eq!(config["Hostname"], "an-1");
    assert_eq!(config["User"], "1000:1000");
    assert_eq!(config["WorkingDir"], "/workspace");
    let env = config["Env"].as_array().unwrap();
    for line in [
        "HOME=/workspace",
        "LABTOP_ROOM=lab",
        "LABTOP_STUDENT=An.1",
        "GREETING=hi",
    ] {
        assert!(env.contains(&json!(line)), "{line} in {env:?}");
    }
    let labels = &config["Labels"];
    let name = lab.names.seat(&order.seat);
    for (label, value) in [
        (LABEL_INSTANCE.to_owned(), lab.instance.to_string()),
        (LABEL_KIND.to_owned(), "seat".into()),
        (LABEL_SESSION.to_owned(), SESSION.to_string()),
        ("com.caas.owner".into(), "An.1".into()),
        ("traefik.enable".into(), "true".into()),
        ("traefik.docker.network".into(), network),
        (
            format!("traefik.http.routers.{name}.rule"),
            "Path(`/api/r/An.1`) || PathPrefix(`/api/r/An.1/`)".into(),
        ),
        (format!("traefik.http.routers.{name}.service"), name.clone()),
        (
            format!("traefik.http.routers.{name}.middlewares"),
            format!("{name}-auth"),
        ),
        (
            format!("traefik.http.services.{name}.loadbalancer.server.port"),
            "8080".into(),
        ),
        (
            format!("traefik.http.middlewares.{name}-auth.forwardauth.address"),
            format!("http://127.0.0.1:8091/auth/verify/{name}"),
        ),
    ] {
        assert_eq!(labels[&label], value, "{label}");
    }
    assert_eq!(labels[LABEL_SPEC].as_str().unwrap().len(), 64);
    assert_eq!(labels[LABEL_SPEC], seen.spec);

    let status = lab.exec("An.1", "cat /proc/self/status; ulimit -n; id -u");
    assert!(status.contains("CapEff:\t0000000000000000"), "{status}");
    assert!(status.contains("NoNewPrivs:\t1"), "{status}");
    assert!(status.contains("Seccomp:\t2"), "{status}");
    assert!(status.ends_with("512\n1000"), "{status}");
}

#[tokio::test]
async fn a_seat_without_a_port_has_no_route() {
    let lab = Lab::new().await;
    let mut order = lab.order("a");
    order.template.port = None;
    lab.provision(&order).await;
    let labels = lab.inspect("a")["Config"]["Labels"].to_string();
    assert!(!labels.contains("traefik"), "{labels}");
}

#[tokio::test]
async fn the_student_can_write_to_the_workspace_whatever_the_image_has() {
    let lab = Lab::new().await;
    let root_owned = lab.variant(|tree| tree.dir("workspace", 0o755, ROOT), &[]).await;
    let without = lab.variant(|tree| tree, &[]).await;
    let cases = [
        ("own", lab.image.clone(), "/workspace", false),
        ("roots", root_owned, "/workspace", false),
        ("none", without.clone(), "/workspace", false),
        ("deep", without.clone(), "/home/student/work", false),
        ("readonly", without, "/home/student", true),
        ("ownreadonly", lab.image.clone(), "/workspace", true),
    ];
    for (student, image, workspace, read_only) in cases {
        let mut order = lab.order(student);
        order.template.image = image;
        order.template.workspace = workspace.into();
        order.template.read_only = read_only;
        lab.provision(&order).await;
        let told = lab.exec(
            student,
            "pwd; echo x > f && ls -ldn . && cat f && echo y > /tmp/t && echo tmp",
        );
        assert!(
            told.starts_with(workspace) && told.contains("drwxr-xr-x") && told.contains(" 1000 "),
            "{student}: {told}"
        );
        assert!(told.ends_with("x\ntmp"), "{student}: {told}");
        if read_only {
            assert_eq!(lab.inspect(student)["HostConfig"]["ReadonlyRootfs"], true);
        }
    }
    // Where the image is right already, nothing is uploaded.
    let own = format!("container={}", lab.inspect("own")["Id"].as_str().unwrap());
    let asked = [
        "events",
        "--since",
        "10m",
        "--until",
        "0s",
        "--filter",
        "type=container",
        "--filter",
        &own,
    ];
    let events = docker(&[&asked[..], &["--format", "{{.Action}}"]].concat());
    let events: Vec<&str> = events.lines().filter(|action| !action.starts_with("exec_")).collect();
    assert_eq!(events, ["create", "start"]);
}

#[tokio::test]
async fn starter_files_are_the_students_and_never_overwrite_work() {
    let lab = Lab::new().await;
    let starter = tempfile::tempdir().unwrap();
    fs::create_dir(starter.path().join("src")).unwrap();
    fs::write(starter.path().join("src/main.c"), "int main;").unwrap();
    fs::write(starter.path().join("run.sh"), "#!/bin/sh\n").unwrap();
    fs::set_permissions(starter.path().join("run.sh"), fs::Permissions::from_mode(0o755)).unwrap();
    std::os::unix::fs::symlink("src/main.c", starter.path().join("link")).unwrap();
    let mut order = lab.order("a");
    order.template.starter = Some(starter.path().to_owned());
    let spec = lab.provision(&order).await.spec;
    let listing = lab.exec("a", "find . -exec stat -c '%n %u:%g %a' {} +; cat link");
    for line in [
        ". 1000:1000 755",
        "./src 1000:1000",
        "./src/main.c 1000:1000",
        "./run.sh 1000:1000 755",
        "int main;",
    ] {
        assert!(listing.contains(line), "{line} in {listing}");
    }

    // The container is lost, the workspace is not: what the student wrote stays.
    lab.exec("a", "echo mine > src/main.c");
    docker(&["rm", "-f", &lab.names.seat(&order.seat)]);
    lab.provision(&order).await;
    assert_eq!(lab.exec("a", "cat src/main.c"), "mine");

    fs::write(starter.path().join("run.sh"), "#!/bin/sh\n#changed").unwrap();
    let mut other = lab.order("b");
    other.template.starter = Some(starter.path().to_owned());
    lab.provision(&other).await;
    assert_ne!(lab.inspect("b")["Config"]["Labels"][LABEL_SPEC], spec);
}

#[tokio::test]
async fn an_interrupted_making_is_finished() {
    let lab = Lab::new().await;
    let starter = tempfile::tempdir().unwrap();
    fs::write(starter.path().join("task.txt"), "do it\n").unwrap();
    let mut order = lab.order("a");
    order.template.starter = Some(starter.path().to_owned());
    let first = lab.provision(&order).await;
    let again = lab.provision(&order).await;
    assert_eq!(
        (&first.id, &first.started_at),
        (&again.id, &again.started_at),
        "twice is once"
    );

    // As a crash leaves it between the making of the volume and its container, and after the container's.
    let mut order = lab.order("b");
    order.template.starter = Some(starter.path().to_owned());
    let volume = lab.names.volume(&order.seat, SESSION);
    create(&["volume", "create"], labels(&lab, "b", "volume"), &[&volume]);
    let called_off = CancellationToken::new();
    called_off.cancel();
    let fault = lab.docker.provision(&order, &called_off).await.unwrap_err();
    assert_eq!(fault.code, FaultCode::Cancelled);
    lab.provision(&order).await;
    assert_eq!(lab.exec("b", "cat task.txt; echo x > y; cat y"), "do it\nx");

    let mut order = lab.order("c");
    order.template.starter = Some(starter.path().to_owned());
    let (name, volume) = (lab.names.seat(&order.seat), lab.names.volume(&order.seat, SESSION));
    create(&["volume", "create"], labels(&lab, "c", "volume"), &[&volume]);
    let mount = format!("{volume}:/workspace");
    let mut of_seat = labels(&lab, "c", "seat");
    of_seat.push("--label=io.labtop.workspace=new".into());
    create(
        &["create", "--name", &name, "-v", &mount],
        of_seat,
        &[&lab.image, "sleep", "100"],
    );
    let seen = lab.provision(&order).await;
    assert_eq!(seen.state, RunState::Running);
    assert_eq!(
        docker(&["exec", seen.id.as_str(), "cat", "/workspace/task.txt"]),
        "do it"
    );
}

/// Labels as labtop's own things have them, for the Docker command line.
fn labels(lab: &Lab, student: &str, kind: &str) -> Vec<String> {
    let values = [lab.instance.as_str(), "lab", student, &SESSION.to_string(), kind].map(str::to_owned);
    let names = ["instance", "room", "student", "session", "kind"];
    names
        .iter()
        .zip(values)
        .map(|(name, value)| format!("--label=io.labtop.{name}={value}"))
        .collect()
}

fn create(verb: &[&str], labels: Vec<String>, rest: &[&str]) {
    let labels: Vec<&str> = labels.iter().map(String::as_str).collect();
    docker(&[verb, &labels, rest].concat());
}

#[tokio::test]
async fn foreign_things_are_never_touched() {
    let lab = Lab::new().await;
    let order = lab.order("a");
    let name = lab.names.seat(&order.seat);
    let _container = Foreign("container", name.clone());
    let id = docker(&[
        "run",
        "-d",
        "--network=none",
        "--name",
        &name,
        &lab.image,
        "sleep",
        "1000",
    ]);
    let fault = lab
        .docker
        .provision(&order, &CancellationToken::new())
        .await
        .unwrap_err();
    assert_eq!(fault.code, FaultCode::NameTaken, "{fault}");
    assert!(fault.text.contains("not labtop's; it was not touched"), "{fault}");
    assert_eq!(
        lab.docker.hold(&order.seat, SESSION).await.unwrap_err().code,
        FaultCode::NameTaken
    );
    let foreign = id.parse().unwrap();
    assert_eq!(lab.docker.kill(&foreign).await.unwrap(), None);
    assert_eq!(lab.docker.freeze(&foreign).await.unwrap(), None);
    assert!(lab.docker.reap(&foreign).await.is_err());
    assert_eq!(
        docker(&["inspect", "-f", "{{.State.Status}} {{.Id}}", &name]),
        format!("running {id}")
    );

    let order = lab.order("b");
    let volume = lab.names.volume(&order.seat, SESSION);
    let _volume = Foreign("volume", volume.clone());
    docker(&["volume", "create", &volume]);
    let fault = lab
        .docker
        .provision(&order, &CancellationToken::new())
        .await
        .unwrap_err();
    assert_eq!(fault.code, FaultCode::NameTaken, "{fault}");
    assert_eq!(
        lab.docker.workspace(&order.seat, SESSION).await.unwrap_err().code,
        FaultCode::NameTaken
    );
    assert!(
        support::try_docker(&["inspect", &lab.names.seat(&order.seat)]).is_err(),
        "no container was made"
    );
}

#[tokio::test]
async fn two_instances_do_not_see_each_other() {
    let (one, two) = (Lab::new().await, Lab::new().await);
    let mine = one.provision(&one.order("a")).await;
    let theirs = two.provision(&two.order("a")).await;
    let listing = one.docker.list().await.unwrap();
    assert_eq!(listing.containers, [mine]);
    assert_eq!(
        (listing.volumes.len(), listing.networks.as_slice()),
        (1, std::slice::from_ref(&one.room))
    );
    assert_eq!(one.docker.look(&theirs.id).await.unwrap(), None);
    assert_eq!(one.docker.kill(&theirs.id).await.unwrap(), None);
    one.docker.remove_network(&"other".parse().unwrap()).await.unwrap();
    assert_eq!(
        two.docker.look(&theirs.id).await.unwrap().unwrap().state,
        RunState::Running
    );
}

#[tokio::test]
async fn images_are_checked_before_seats_are_made() {
    let lab = Lab::new().await;
    let mut template = lab.template(&[]);
    lab.docker.preflight(&template, |_| ()).await.unwrap();

    template.image = "labtop-nowhere.invalid/none:1".into();
    let fault = lab.docker.preflight(&template, |_| ()).await.unwrap_err();
    assert_eq!(fault.code, FaultCode::ImageMissing, "{fault}");
    assert!(fault.hint.contains("docker pull"), "{fault}");
    let mut order = lab.order("a");
    order.template = template.clone();
    assert_eq!(
        lab.docker
            .provision(&order, &CancellationToken::new())
            .await
            .unwrap_err()
            .code,
        FaultCode::ImageMissing
    );

    template.image = lab
        .variant(|tree| tree.dir("data", 0o755, STUDENT), &["VOLUME /data"])
        .await;
    let fault = lab.docker.preflight(&template, |_| ()).await.unwrap_err();
    assert_eq!(fault.code, FaultCode::BadTemplate, "{fault}");
    template.workspace = "/data".into();
    lab.docker.preflight(&template, |_| ()).await.unwrap();
}

#[tokio::test]
async fn demo_seats_work_spin_and_starve() {
    let lab = Lab::new().await;
    let mut news = lab.docker.events().await.unwrap();
    let mut seats = Vec::new();
    for student in ["s01", "s05", "s07", "s09"] {
        let mut order = lab.order(student);
        order.template.command = Vec::new();
        seats.push(lab.provision(&order).await);
    }
    for student in ["s01", "s05", "s07", "s09"] {
        let own = lab.await_file(student, &format!("workspace/{student}.txt")).await;
        assert_eq!(own, format!("work of {student}\n").as_bytes());
    }
    let code = lab.await_file("s01", "workspace/notes.md").await;
    assert!(String::from_utf8(code).unwrap().contains("round 1"));
    let page = docker(&["exec", seats[0].id.as_str(), "wget", "-qO-", "http://127.0.0.1:8080/"]);
    assert!(page.contains("labtop demo"));
    let spent = lab.docker.cpu_ns(&seats[2]).await.unwrap();
    assert!(spent > lab.docker.cpu_ns(&seats[3]).await.unwrap());
    let stats = lab.docker.stats(&seats[2].id).await.unwrap();
    assert!(stats.pids >= 3 && stats.memory_bytes > 0, "{stats:?}");
    // The hog's victim is not the seat's own program.
    loop {
        let event = news.next().await.unwrap().unwrap();
        if event == EngineEvent::OutOfMemory(seats[1].id.clone()) {
            break;
        }
    }
    assert_eq!(
        lab.docker.look(&seats[1].id).await.unwrap().unwrap().state,
        RunState::Running
    );
    assert!(
        file_in(&lab.workspace("s09").await, "workspace/main.c").is_none(),
        "s09 idles"
    );
}
