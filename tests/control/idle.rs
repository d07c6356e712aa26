//! Idle seats: found by several observations, announced, then ended; never because somebody could not look.

use std::collections::BTreeMap;

use labtop::domain::control::Input;
use labtop::domain::effect::{Fact, Task};
use labtop::domain::seen::{Figures, HostFigures};

use crate::asks::{freeze, hold, thaw};
use crate::rig::{Rig, id, seat};

const MINUTE: u64 = 60_000;

/// What a seat does in one second.
#[derive(Clone, Copy)]
struct Second {
    cpu: f32,
    /// Bytes across its network.
    bytes: Option<u64>,
}

const NOTHING: Second = Second {
    cpu: 0.1,
    bytes: Some(20),
};

/// The seats of a room, measured once a second.
struct Watched {
    rig: Rig,
    crossed: u64,
}

impl Watched {
    fn new() -> Self {
        let rig = Rig::with_room("a", 1);
        Self { rig, crossed: 1_000 }
    }

    /// So much time passes, and every second is like that one; without one nobody measures.
    fn pass(&mut self, ms: u64, second: Option<Second>) {
        for _ in 0..ms / 1_000 {
            self.rig.pass(1_000);
            let Some(second) = second else { continue };
            self.crossed += second.bytes.unwrap_or(0);
            let figures = Figures {
                cpu_percent: Some(second.cpu),
                memory_bytes: 1,
                pids: 1,
                network_bytes: second.bytes.map(|_| self.crossed),
            };
            let of = BTreeMap::from([(id("a/s01"), figures)]);
            self.rig.tell(Fact::Figures(of, HostFigures::default()));
        }
    }

    fn ends(&self) -> bool {
        self.rig.begun.iter().any(|task| matches!(task, Task::Hold { .. }))
    }

    fn is_announced(&self) -> bool {
        self.rig.was_told("1 seat idle, and ends in a minute")
    }
}

#[test]
fn an_idle_seat_is_announced_and_then_ends_as_a_lease_does() {
    let mut watched = Watched::new();
    watched.pass(18 * MINUTE, Some(NOTHING));
    assert!(!watched.is_announced());
    watched.pass(2 * MINUTE, Some(NOTHING));
    assert!(watched.is_announced() && !watched.ends());
    let view = watched.rig.snapshot();
    assert!(
        view.seats().next().unwrap().doing.starts_with("idle, ends in"),
        "{view:?}"
    );
    watched.pass(MINUTE + 2_000, Some(NOTHING));
    assert!(watched.ends());
    watched.rig.settle();
    assert!(watched.rig.is_bare(), "archived and removed");
}

#[test]
fn whatever_counts_as_activity_keeps_a_seat() {
    let works = Second { cpu: 40.0, ..NOTHING };
    let talks = Second {
        bytes: Some(100_000),
        ..NOTHING
    };
    for busy in [works, talks] {
        let mut watched = Watched::new();
        // One busy second in a quarter of an hour.
        for _ in 0..10 {
            watched.pass(15 * MINUTE, Some(NOTHING));
            watched.pass(1_000, Some(busy));
        }
        assert!(!watched.is_announced() && !watched.ends());
    }
    let mut watched = Watched::new();
    for _ in 0..10 {
        watched.pass(15 * MINUTE, Some(NOTHING));
        let _ = watched.rig.control.handle(watched.rig.now, Input::Touch(seat("a/s01")));
    }
    assert!(!watched.is_announced() && !watched.ends(), "somebody typed");
}

#[test]
fn activity_after_the_announcement_calls_the_end_off() {
    let mut watched = Watched::new();
    watched.pass(19 * MINUTE + 30_000, Some(NOTHING));
    assert!(watched.is_announced());
    watched.pass(1_000, Some(Second { cpu: 50.0, ..NOTHING }));
    watched.pass(15 * MINUTE, Some(NOTHING));
    assert!(!watched.ends());
    assert_eq!(watched.rig.snapshot().seats().next().unwrap().doing, "");
}

#[test]
fn a_seat_that_nobody_can_look_at_is_not_idle() {
    let mut blind = Watched::new();
    blind.pass(170 * MINUTE, None);
    assert!(!blind.is_announced() && !blind.ends(), "no figures at all");
    let mut deaf = Watched::new();
    let unknown = Second { bytes: None, ..NOTHING };
    deaf.pass(170 * MINUTE, Some(unknown));
    assert!(!deaf.is_announced() && !deaf.ends(), "nobody counts its network");
    // The meter goes blind when the end is near.
    let mut late = Watched::new();
    late.pass(17 * MINUTE, Some(NOTHING));
    late.pass(5 * MINUTE, None);
    assert!(!late.ends());
}

#[test]
fn frozen_and_held_seats_are_not_idle() {
    let mut watched = Watched::new();
    watched.rig.ask(freeze("a"));
    watched.rig.settle();
    watched.pass(60 * MINUTE, Some(NOTHING));
    assert!(!watched.is_announced());
    watched.rig.ask(thaw("a"));
    watched.rig.settle();
    watched.pass(10 * MINUTE, Some(NOTHING));
    assert!(!watched.is_announced(), "it begins anew");

    let mut watched = Watched::new();
    watched.pass(20 * MINUTE, Some(NOTHING));
    watched.rig.ask(hold("a"));
    watched.rig.settle();
    watched.pass(60 * MINUTE, Some(NOTHING));
    assert!(!watched.ends());
}

#[test]
fn a_new_life_begins_to_observe_anew() {
    let mut watched = Watched::new();
    watched.pass(19 * MINUTE, Some(NOTHING));
    watched.rig = watched.rig.restarted();
    watched.pass(18 * MINUTE, Some(NOTHING));
    assert!(!watched.is_announced() && !watched.ends());
    watched.pass(4 * MINUTE, Some(NOTHING));
    assert!(watched.is_announced() && watched.ends());
}

#[test]
fn a_hold_that_is_being_written_keeps_an_idle_seat() {
    let mut watched = Watched::new();
    watched.pass(19 * MINUTE + 30_000, Some(NOTHING));
    assert!(watched.is_announced());
    watched.rig.ask(hold("a"));
    watched.pass(5 * MINUTE, Some(NOTHING));
    assert!(!watched.ends(), "the ledger is slow");
    watched.rig.settle();
    watched.pass(30 * MINUTE, Some(NOTHING));
    assert!(!watched.ends());
}

#[test]
fn a_gap_is_no_idleness() {
    // The agent stood still for longer than anybody may be idle.
    let mut watched = Watched::new();
    watched.pass(5 * MINUTE, Some(NOTHING));
    watched.rig.now.mono_ms += 60 * MINUTE;
    watched.rig.now.unix_ms += 60 * MINUTE;
    watched.pass(10 * MINUTE, Some(NOTHING));
    assert!(!watched.is_announced() && !watched.ends());
}
