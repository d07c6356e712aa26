//! A real engine of the test's own is stopped and started in the middle of a closing: no work is lost.

use std::process::Stdio;

use crate::engine::Machine;
use crate::homework::{Homework, students};
use crate::lab::until;

/// Large enough that some seats are still being read when the engine stops.
const WORK: Homework = Homework {
    seed: 11,
    big: 48 << 20,
};
const SEATS: usize = 4;

#[test]
fn an_engine_that_is_restarted_in_the_middle_of_an_archive_loses_nothing() {
    let mut machine = Machine::new(&WORK.config());
    machine
        .run(&["room", "open", "r", "--seats", &SEATS.to_string()])
        .expect(0);
    let mut closing = machine
        .command(&["room", "close", "r"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    until("a seat is being archived", || {
        let seats = machine.run(&["ls", "--json"]).json();
        let seats = seats.as_array().unwrap();
        seats.iter().any(|seat| seat["phase"] == "archiving").then_some(())
    });
    machine.engine.stop();
    machine.engine.again();
    // It waited for the engine, or gave up waiting: the agent goes on in either case.
    let _ = closing.wait().unwrap();
    machine.run(&["room", "close", "r"]).expect(0);
    assert_eq!(machine.engine.docker(&["ps", "-aq"]), "");
    assert_eq!(machine.engine.docker(&["volume", "ls", "-q"]), "");
    WORK.expect_room(&machine.lab, "r", &students(SEATS));
}
