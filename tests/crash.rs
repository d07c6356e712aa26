//! The agent is killed in the middle of things, and started again: the wanted state is reached and no work is lost.

mod lab;

use std::time::{Duration, Instant};

use lab::{Lab, file_in, until};

/// Kills the agent `after` the command began, as soon as `begun` says that it has.
fn kill_during(lab: &Lab, args: &[&str], begun: impl Fn() -> bool, after: Duration) {
    let mut child = lab.spawn(args);
    let start = Instant::now();
    until("the command is under way", || {
        (begun() || start.elapsed() > Duration::from_secs(20)).then_some(())
    });
    std::thread::sleep(after);
    lab.kill_agent();
    let _ = child.wait();
}

#[test]
fn killed_during_an_opening_it_finishes_it() {
    for after_ms in [0, 150, 600] {
        let lab = Lab::new();
        let begun = || lab.left_on_engine().iter().any(|thing| thing.starts_with("network"));
        kill_during(
            &lab,
            &["room", "open", "r", "--seats", "8"],
            begun,
            Duration::from_millis(after_ms),
        );
        lab.run(&["room", "open", "r", "--seats", "8"]).expect(0);
        assert_eq!(lab.ls().iter().filter(|seat| seat["phase"] == "ready").count(), 8);
        let things = lab.left_on_engine();
        assert_eq!(
            things.iter().filter(|t| t.starts_with("container")).count(),
            8,
            "{things:?}"
        );
        lab.run(&["room", "close", "r"]).expect(0);
        assert_eq!(lab.left_on_engine(), Vec::<String>::new());
    }
}

#[test]
fn killed_during_a_closing_it_loses_nothing() {
    for after_ms in [0, 100, 300, 600] {
        let lab = Lab::new();
        lab.run(&["room", "open", "r", "--seats", "8"]).expect(0);
        let begun = || lab.ls().iter().any(|seat| seat["phase"] != "ready");
        kill_during(&lab, &["room", "close", "r"], begun, Duration::from_millis(after_ms));
        lab.run(&["room", "close", "r"]).expect(0);
        assert_eq!(lab.left_on_engine(), Vec::<String>::new());
        let archives = lab.archived("r");
        for n in 1..=8 {
            let student = format!("s{n:02}");
            let mine = archives.iter().find(|(s, _)| *s == student);
            let (_, path) = mine.unwrap_or_else(|| panic!("no archive of {student} after {after_ms} ms"));
            assert_eq!(file_in(path, "id.txt"), format!("work of {student}\n"));
        }
    }
}
