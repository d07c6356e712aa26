//! Slow, old, absent, hung and forgetful engines, as somebody at the command line meets them: the real binary on an
//! engine of the test's.

mod lab;
mod stub_engine;

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::net::UnixListener;
use std::os::unix::process::CommandExt;
use std::time::{Duration, Instant};

use lab::{LABTOP, Ran, until_within};
use serde_json::{Value, json};
use stub_engine::site::{IMAGE, Running, Site};
use stub_engine::{DEBIAN, Engine, Release, Request, State};

/// Somebody who may not open the engine's socket.
const NOBODY: u32 = 65534;
/// Somebody who may.
const ROOT: u32 = 0;

/// Whether a request is to create a seat's container.
fn creates_seat(request: &Request) -> bool {
    request.is("POST", "/containers/create") && request.json()["Labels"]["io.labtop.kind"] == "seat"
}

/// Whether a request is to create a seat's container for that student.
fn creates(request: &Request, student: &str) -> bool {
    creates_seat(request) && request.json()["Labels"]["io.labtop.student"] == student
}

/// Whose verified archive a listed one is.
fn student_of(archive: &Value) -> Option<&str> {
    archive["student"].as_str().filter(|_| archive["verified"] == true)
}

#[test]
fn at_most_eight_seats_are_made_at_once_and_one_that_fails_stops_no_other() {
    let (site, engine) = Site::with_engine(DEBIAN);
    engine.refuse(500, "no space left on device", |request| creates(request, "s13"));
    let creations = engine.hold_in_waves(8, creates_seat);
    let opening = site.spawn(&["room", "open", "r", "--seats", "100"]);
    // Each wave waits until eight wait: fewer at once would never get through.
    creations.until_passed(96);
    creations.release();

    let opened = opening.end().expect(5);
    assert!(opened.stdout.contains("99 seats ready"), "{}", opened.stdout);
    let named: Vec<&str> = opened.stderr.lines().filter(|line| line.contains("r/s")).collect();
    assert_eq!(named.len(), 1, "{}", opened.stderr);
    assert!(
        named[0].contains("r/s13") && named[0].contains("no space left on device"),
        "{}",
        named[0]
    );
    assert_eq!(engine.with(|world| world.most_making), 8);
    assert_eq!(engine.with(|world| world.seats().count()), 99);
}

#[test]
fn a_kill_does_not_wait_for_creations() {
    let (site, engine) = Site::with_engine(DEBIAN);
    site.run(&["room", "open", "one", "--seats", "1"]).expect(0);
    let creations = engine.hold(creates_seat);
    let opening = site.spawn(&["room", "open", "two", "--seats", "20"]);
    creations.until_waiting(8);

    site.run(&["seat", "kill", "one/s01"]).expect(0);
    assert_eq!(site.phase("one", "s01").as_deref(), Some("stopped"));
    assert_eq!(
        creations.waiting(),
        8,
        "the creations are still held, and no others came"
    );

    creations.release();
    opening.end().expect(0);
}

#[test]
fn what_was_done_without_an_answer_is_found() {
    let (site, engine) = Site::with_engine(DEBIAN);
    engine.lose_answer(|request| request.is("POST", "/networks/create"));
    engine.lose_answer(|request| request.is("POST", "/containers/create") && !creates_seat(request));
    engine.lose_answer(|request| request.is("POST", "/volumes/create"));
    engine.lose_answer(|request| creates(request, "s02"));
    engine.lose_answer(|request| request.path.ends_with("/start"));
    site.run(&["room", "open", "r", "--seats", "4"]).expect(0);
    assert_eq!(engine.with(|world| world.seats().count()), 4);
    // Four containers, their volumes and the network; a carrier that nobody knew of goes with the next list.
    engine.until("nothing else is left", |world| world.things() == 9);

    engine.lose_answer(|request| request.method == "DELETE" && request.path.starts_with("/containers/"));
    engine.lose_answer(|request| request.method == "DELETE" && request.path.starts_with("/volumes/"));
    engine.lose_answer(|request| request.method == "DELETE" && request.path.starts_with("/networks/"));
    site.run(&["room", "close", "r"]).expect(0);
    assert_eq!(engine.with(|world| world.things()), 0);
}

#[test]
fn a_newer_engine_that_has_dropped_our_version_is_used() {
    let newer = Release {
        version: "28.3.3",
        api: (1, 51),
        oldest_api: (1, 44),
    };
    let (site, engine) = Site::with_engine(newer);
    site.run(&["room", "open", "r", "--seats", "3"]).expect(0);
    let told = site.run(&["doctor"]);
    assert!(told.stdout.contains("28.3.3"), "{told:?}");
    site.run(&["seat", "kill", "r/s02"]).expect(0);
    site.run(&["room", "close", "r"]).expect(0);
    assert_eq!(engine.with(|world| world.things()), 0);
    let stored = site.run(&["archive", "ls", "--json"]).expect(0).json();
    // Under load a seat may be archived twice: a look from before its removal is then told after it.
    let students: BTreeSet<&str> = stored.as_array().into_iter().flatten().filter_map(student_of).collect();
    assert_eq!(Vec::from_iter(students), ["s01", "s02", "s03"], "{stored}");
}

#[test]
fn a_missing_image_is_pulled_once_before_everybodys_eyes() {
    let (site, engine) = Site::with_engine(DEBIAN);
    engine.with(|world| {
        world.images.clear();
        let reports = vec![
            json!({ "status": "Pulling from stub/lesson", "id": "1" }),
            json!({ "status": "Downloading", "id": "5f70bf18a086", "progressDetail": { "current": 1, "total": 2 } }),
            json!({ "status": "Status: Downloaded newer image for stub/lesson:1" }),
        ];
        world.registry.insert(IMAGE.to_owned(), reports);
    });
    let pull = engine.hold_pulls();
    let mut first = site.spawn(&["room", "open", "r", "--seats", "30"]);
    let words = first.complaints();
    words.until("pulling stub/lesson:1");
    words.until("5f70bf18a086: Downloading");

    // Somebody else needs the same image meanwhile, and sees that it is missing.
    let second = site.spawn(&["room", "open", "other", "--seats", "2"]);
    let looks = |request: &Request| request.is("GET", "/images/stub/lesson:1/json");
    engine.until("both have looked for the image", |world| world.count(looks) >= 3);
    pull.release();
    first.end().expect(0);
    second.end().expect(0);
    let pulls = |request: &Request| request.is("POST", "/images/create") && request.query("fromImage") == IMAGE;
    assert_eq!(engine.with(|world| world.count(pulls)), 1);
    assert_eq!(engine.with(|world| world.seats().count()), 32);
}

#[test]
fn a_pull_that_fails_is_told_once_and_nothing_is_made() {
    let (site, engine) = Site::with_engine(DEBIAN);
    let why = "manifest for stub/lesson:1 not found: manifest unknown";
    engine.with(|world| {
        world.images.clear();
        let reports = vec![
            json!({ "status": "Pulling from stub/lesson", "id": "1" }),
            json!({ "errorDetail": { "message": why }, "error": why }),
        ];
        world.registry.insert(IMAGE.to_owned(), reports);
    });
    let failed = site.run(&["room", "open", "r", "--seats", "30"]).expect(1);
    let complaints: Vec<&str> = failed
        .stderr
        .lines()
        .filter(|line| line.starts_with("labtop: "))
        .collect();
    assert_eq!(complaints.len(), 1, "{}", failed.stderr);
    assert!(complaints[0].contains(why), "{}", complaints[0]);
    assert!(
        complaints[0].contains("`docker pull stub/lesson:1`"),
        "{}",
        complaints[0]
    );
    assert_eq!(
        failed.stderr.matches("manifest unknown").count(),
        1,
        "{}",
        failed.stderr
    );
    let makes = ["/containers/create", "/volumes/create", "/networks/create"];
    let made = engine.with(|world| world.count(|request| makes.contains(&request.path.as_str())));
    assert_eq!(made, 0);
    assert_eq!(site.run(&["ls", "--json"]).expect(0).json(), json!([]));
}

/// An engine that labtop cannot use: how its site looks, and what is said of it.
struct Unusable {
    site: Site,
    engine: Option<Engine>,
    user: u32,
    said: &'static [&'static str],
}

impl Unusable {
    fn absent() -> Self {
        Self {
            site: Site::new(),
            engine: None,
            user: ROOT,
            said: &["socket does not exist", "systemctl start docker"],
        }
    }

    /// Its socket's file is left, and nobody listens.
    fn crashed() -> Self {
        let site = Site::new();
        drop(UnixListener::bind(site.docker_socket()).unwrap());
        let said = &["nothing listens there", "systemctl start docker"];
        Self {
            site,
            said,
            ..Self::absent()
        }
    }

    fn forbidden() -> Self {
        assert!(
            rustix::process::geteuid().is_root(),
            "run as root: the test becomes a user who may not open the socket"
        );
        let (site, engine) = Site::with_engine(DEBIAN);
        fs::set_permissions(site.docker_socket(), fs::Permissions::from_mode(0o660)).unwrap();
        chown(site.path(), Some(NOBODY), Some(NOBODY)).unwrap();
        Self {
            site,
            engine: Some(engine),
            user: NOBODY,
            said: &["may not open its socket", "group `docker`"],
        }
    }

    fn old() -> Self {
        let release = Release {
            version: "19.03.15",
            api: (1, 40),
            oldest_api: (1, 12),
        };
        let (site, engine) = Site::with_engine(release);
        Self {
            site,
            engine: Some(engine),
            user: ROOT,
            said: &["19.03.15", "1.40", "1.41 or newer", "Install Docker 20.10"],
        }
    }

    fn run(&self, args: &[&str]) -> Ran {
        // Where the binary is built others may not look.
        let program = self.site.path().join("labtop");
        if !program.exists() {
            fs::copy(LABTOP, &program).unwrap();
        }
        let mut command = self.site.command_of(&program, args);
        command.uid(self.user).gid(self.user).current_dir("/");
        Running::of(command).end()
    }

    /// A verb ends with 4, says what it should, and makes nothing.
    fn is_told_by(&self, verb: &[&str]) {
        let ran = self.run(verb).expect(4);
        let told = format!("{}{}", ran.stdout, ran.stderr);
        for words in self.said {
            assert!(told.contains(words), "{verb:?}: {told}");
        }
        let made = self.engine.as_ref().map(|engine| engine.with(|world| world.things()));
        assert_eq!(made.unwrap_or_default(), 0, "{verb:?}");
    }
}

#[test]
fn a_room_is_not_opened_on_an_engine_that_cannot_be_used() {
    for unusable in [Unusable::absent(), Unusable::crashed(), Unusable::forbidden()] {
        unusable.is_told_by(&["room", "open", "r", "--seats", "1"]);
        let listed = unusable.run(&["ls", "--json"]);
        assert_eq!(listed.json(), json!([]), "{listed:?}");
    }
    Unusable::old().is_told_by(&["room", "open", "r", "--seats", "1"]);
}

#[test]
fn a_demo_is_not_opened_on_an_engine_that_cannot_be_used() {
    for unusable in [Unusable::absent(), Unusable::crashed(), Unusable::forbidden()] {
        unusable.is_told_by(&["demo"]);
    }
}

#[test]
fn the_doctor_finds_an_engine_that_cannot_be_used() {
    for unusable in [
        Unusable::absent(),
        Unusable::crashed(),
        Unusable::forbidden(),
        Unusable::old(),
    ] {
        unusable.is_told_by(&["doctor"]);
    }
}

#[test]
fn a_hung_engine_is_told_and_goes_on_when_it_answers() {
    let (site, engine) = Site::with_engine(DEBIAN);
    site.run(&["room", "open", "r", "--seats", "5"]).expect(0);
    // Nothing happens any more, and the watch over the engine asks whether it still lives.
    engine.until("the engine is pinged", |world| {
        world.count(|request| request.is("GET", "/_ping")) > 0
    });
    let hanging = engine.hang();
    let told = until_within("the hanging is noticed", Duration::from_secs(30), || {
        let begun = Instant::now();
        let listed = site.run(&["ls", "r"]);
        assert!(
            begun.elapsed() < Duration::from_secs(10),
            "a listing waits for the engine"
        );
        assert!(
            listed.stdout.contains("s05"),
            "the last that is known is still listed: {listed:?}"
        );
        (listed.code != 0).then_some(listed)
    });
    let told = told.expect(4);
    assert!(told.stderr.contains("Docker engine hangs"), "{}", told.stderr);
    assert!(told.stderr.contains("systemctl status docker"), "{}", told.stderr);

    let killing = site.spawn(&["seat", "kill", "r/s03"]);
    hanging.release();
    killing.end().expect(0);
    let opened = site.run(&["room", "open", "r", "--seats", "8"]).expect(0);
    assert!(opened.stdout.contains("seats ready"), "{}", opened.stdout);
    site.run(&["ls", "r"]).expect(0);
    assert_eq!(site.phase("r", "s03").as_deref(), Some("stopped"));
    assert_eq!(engine.with(|world| world.seats().count()), 8);
}

#[test]
fn what_vanished_while_the_events_were_broken_is_made_again() {
    let (site, engine) = Site::with_engine(DEBIAN);
    site.run(&["room", "open", "r", "--seats", "4"]).expect(0);
    let lost = engine.with(|world| world.seats().find(|seat| seat.student() == "s02").unwrap().id.clone());
    // The seat goes between the break and the first thing that labtop asks again.
    let greeting = engine.hold(|request| request.is("GET", "/version"));
    engine.break_events();
    greeting.until_waiting(1);
    engine.with(|world| world.lose(&lost));
    let begun = Instant::now();
    greeting.release();

    engine.until("the seat is made again", |world| {
        world
            .seats()
            .any(|seat| seat.student() == "s02" && seat.state == State::Running)
    });
    // Without a look at once, the regular list would find it half a minute after the last one.
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    until_within("the seat is listed as ready", Duration::from_secs(10), || {
        (site.phase("r", "s02").as_deref() == Some("ready")).then_some(())
    });
    assert_eq!(engine.with(|world| world.count(|request| creates(request, "s02"))), 2);
    assert_eq!(
        engine.with(|world| world.count(creates_seat)),
        5,
        "nobody else was made again"
    );
}
