//! Engines that leave labtop in doubt for a while: what is told to people must be what is so in the end. The real
//! binary on an engine of the test's.

mod lab;
mod stub_engine;

use std::time::Duration;

use lab::until_within;
use serde_json::json;
use stub_engine::site::Site;
use stub_engine::{DEBIAN, Release, State};

#[test]
fn a_deed_whose_answer_is_lost_is_no_failure_once_it_is_seen() {
    let (site, engine) = Site::with_engine(DEBIAN);
    site.run(&["room", "open", "r", "--seats", "3"]).expect(0);
    for verb in ["/kill", "/pause", "/unpause"] {
        engine.lose_answer(move |request| request.path.ends_with(verb));
    }
    site.run(&["seat", "kill", "r/s01"]).expect(0);
    site.run(&["room", "freeze", "r", "--student", "s02"]).expect(0);
    assert_eq!(site.phase("r", "s01").as_deref(), Some("stopped"));
    assert_eq!(site.phase("r", "s02").as_deref(), Some("frozen"));
    site.run(&["room", "thaw", "r", "--student", "s02"]).expect(0);
    assert_eq!(site.phase("r", "s02").as_deref(), Some("ready"));
}

#[test]
fn no_room_is_noted_on_an_engine_that_tells_late_that_it_is_too_old() {
    let older = Release {
        version: "19.03.15",
        api: (1, 40),
        oldest_api: (1, 12),
    };
    let (site, engine) = Site::with_engine(older);
    let greeting = engine.hold(|request| request.is("GET", "/version"));
    let opening = site.spawn(&["room", "open", "r", "--seats", "1"]);
    // The opening is under way when the engine tells: it looks for the image, or asks for the version itself.
    engine.until("the opening has asked for something", |world| {
        let greetings = world.count(|request| request.is("GET", "/version"));
        greetings > 1 || world.count(|request| request.path.starts_with("/images/")) > 0
    });
    greeting.release();
    let told = opening.end().expect(4);
    assert!(told.stderr.contains("1.41 or newer"), "{}", told.stderr);
    assert_eq!(site.run(&["ls", "--json"]).json(), json!([]), "{}", told.stderr);
}

#[test]
fn a_hang_in_the_middle_of_news_is_noticed_as_soon_as_one_in_silence() {
    let (site, engine) = Site::with_engine(DEBIAN);
    site.run(&["room", "open", "r", "--seats", "10"]).expect(0);
    let looks = engine.hold(|request| request.method == "GET" && request.path.ends_with("/json"));
    // Much happens that labtop did not do, and it looks what it is.
    engine.with(|world| {
        let seats: Vec<String> = world.seats().map(|seat| seat.id.clone()).collect();
        for id in &seats {
            world.end(id);
        }
    });
    looks.until_waiting(1);
    let _hanging = engine.hang();
    // Five seconds of silence and three of waiting for an answer, and then some.
    until_within("the hang is noticed", Duration::from_secs(12), || {
        (site.run(&["ls", "r"]).code == 4).then_some(())
    });
}

#[test]
fn a_kill_that_a_closing_overtakes_is_not_told_as_done() {
    let (site, engine) = Site::with_engine(DEBIAN);
    site.run(&["room", "open", "r", "--seats", "2"]).expect(0);
    let kills = engine.hold(|request| request.path.ends_with("/kill"));
    let killing = site.spawn(&["seat", "kill", "r/s01"]);
    kills.until_waiting(1);
    let mut closing = site.spawn(&["room", "close", "r"]);
    closing.complaints().until("archiving");
    let killed = killing.end();
    let runs = engine.with(|world| {
        world
            .seats()
            .any(|seat| seat.student() == "s01" && seat.state == State::Running)
    });
    assert!(killed.code != 0 || !runs, "it runs, and yet: {}", killed.stdout);
}
