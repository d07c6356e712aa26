//! What goes wrong again and again, or by another hand: it is told, it slows down, and it never looks like success.

use labtop::domain::command::Outcome;
use labtop::domain::effect::{Fact, Task, Yield};
use labtop::domain::fault::{Fault, FaultCode, RefusalCode};
use labtop::domain::record::{Change, Wanted};
use labtop::domain::seen::{EngineState, FiguresOf, HostFigures, RunState};
use labtop::domain::snapshot::Phase;

use crate::asks::{close, extend, freeze, kill, open, open_for, restart, thaw};
use crate::rig::{Rig, id, seat};

fn engine(words: &str) -> Fault {
    Fault::new(FaultCode::Engine, words)
}

/// Plays the closing of a room whose every `spoiled` task fails, for so many minutes, and counts those tasks.
fn closing_with(spoiled: fn(&Task) -> bool, fault: &Fault, minutes: u64) -> (Rig, usize) {
    let mut rig = Rig::with_room("a", 1);
    rig.ask(close("a", false));
    for _ in 0..minutes * 600 {
        while let Some(at) = rig.open.iter().position(|(_, task)| spoiled(task)) {
            let (op, _) = rig.open.remove(at);
            rig.tell(Fact::Done(op, Err(fault.clone())));
        }
        if rig.open.is_empty() {
            rig.pass(100);
        } else {
            rig.next();
        }
    }
    let tried = rig.begun.iter().filter(|task| spoiled(task)).count();
    (rig, tried)
}

#[test]
fn a_store_that_spoils_every_archive_is_told_of_and_tried_less_and_less() {
    let spoiled = Fault::new(FaultCode::Mismatch, "it came back different");
    let (rig, tried) = closing_with(|task| matches!(task, Task::Verify { .. }), &spoiled, 5);
    assert!((3..40).contains(&tried), "tried {tried} times in 5 minutes");
    assert!(
        matches!(rig.outcome(), Some(Outcome::Failed { fault }) if fault.code == FaultCode::Mismatch)
            || matches!(rig.outcome(), Some(Outcome::Partly { left, .. }) if left.len() == 1),
        "{:?}",
        rig.replies
    );
    assert_eq!(rig.world.volumes.len(), 1, "the work is kept");
}

#[test]
fn a_seat_that_never_stays_still_is_told_of_and_tried_less_and_less() {
    let ran = Fault::new(FaultCode::Thawed, "it ran");
    let (rig, tried) = closing_with(|task| matches!(task, Task::RemoveContainer(_)), &ran, 5);
    assert!((3..40).contains(&tried), "tried {tried} times in 5 minutes");
    assert!(
        rig.outcome().is_some() && !matches!(rig.outcome(), Some(Outcome::Done { .. })),
        "{:?}",
        rig.replies
    );
    assert_eq!((rig.world.containers.len(), rig.world.volumes.len()), (1, 1));
}

#[test]
fn a_ledger_that_is_full_in_the_middle_of_a_closing_is_tried_less_and_less() {
    let full = Fault::new(FaultCode::Ledger, "the disk is full");
    let writes = |task: &Task| matches!(task, Task::Write(changes) if changes.iter().any(|c| matches!(c, Change::SetClosing(..))));
    let (rig, tried) = closing_with(writes, &full, 5);
    assert!((3..40).contains(&tried), "tried {tried} times in 5 minutes");
    assert!(
        rig.outcome().is_some() && !matches!(rig.outcome(), Some(Outcome::Done { .. })),
        "{:?}",
        rig.replies
    );
}

#[test]
fn what_failed_once_and_then_went_well_is_forgotten() {
    let mut rig = Rig::with_room("a", 1);
    rig.ask(close("a", false));
    rig.run_until(|t| matches!(t, Task::Verify { .. }));
    rig.done_first(
        |t| matches!(t, Task::Verify { .. }),
        Err(Fault::new(FaultCode::Mismatch, "different")),
    );
    assert_eq!(rig.snapshot().rooms[0].seats[0].phase, Phase::Failed);
    rig.pass(1_000);
    rig.run_until(|t| matches!(t, Task::RemoveContainer(_)));
    assert_eq!(rig.snapshot().rooms[0].seats[0].phase, Phase::Removing);
    rig.settle();
    assert!(
        rig.is_bare() && matches!(rig.outcome(), Some(Outcome::Done { .. })),
        "{:?}",
        rig.replies
    );
}

#[test]
fn a_failing_list_is_not_asked_for_in_a_tight_loop() {
    for seen_before in [false, true] {
        let mut rig = if seen_before {
            Rig::with_room("a", 1)
        } else {
            Rig::new()
        };
        rig.engine_falls();
        rig.engine_rises();
        rig.begun.clear();
        // A kill of a seat that nobody has seen since asks for a list, too.
        rig.ask(kill("a/s01"));
        for _ in 0..20 {
            while rig.tasks().any(|t| matches!(t, Task::List)) {
                rig.done_first(|t| matches!(t, Task::List), Err(engine("a volume cannot be listed")));
            }
            rig.pass(100);
        }
        let lists = rig.begun.iter().filter(|t| matches!(t, Task::List)).count();
        assert!((2..8).contains(&lists), "{lists} lists in two seconds");
    }
}

/// Somebody removes a seat and its workspace behind the agent's back.
fn ravage(rig: &mut Rig, name: &str) {
    rig.world.containers.retain(|c| c.seat != seat(name));
    rig.world.volumes.retain(|v| v.seat != seat(name));
}

fn losses(rig: &Rig) -> usize {
    let lost = |c: &&Change| matches!(c, Change::Audit(e) if e.verb == "seat lost" && e.target == "a/s01");
    rig.written.iter().filter(lost).count()
}

#[test]
fn a_workspace_that_vanished_is_no_clean_closing() {
    // While the agent looked on, or before it was started again.
    for away in [false, true] {
        let mut rig = Rig::with_room("a", 2);
        rig.ask(close("a", false));
        rig.write_all();
        ravage(&mut rig, "a/s01");
        if away {
            rig = rig.restarted();
        } else {
            rig.tell(Fact::Vanished(id("a/s01")));
        }
        for _ in 0..40 {
            rig.settle();
            rig.pass(1_000);
        }
        assert!(rig.is_bare(), "{:?}", rig.world);
        assert_eq!(losses(&rig), 1, "away: {away}");
        assert!(rig.was_told("were gone before they were archived"));
        if let (false, Some(Outcome::Partly { left, .. })) = (away, rig.outcome()) {
            assert_eq!(left.iter().map(|l| l.seat.to_string()).collect::<Vec<_>>(), ["a/s01"]);
        } else {
            assert!(away, "{:?}", rig.replies);
        }
    }
}

#[test]
fn a_workspace_that_vanishes_from_an_open_room_is_told_of_before_an_empty_one_takes_its_place() {
    for away in [false, true] {
        let mut rig = Rig::with_room("a", 1);
        ravage(&mut rig, "a/s01");
        if away {
            rig = rig.restarted();
        } else {
            rig.tell(Fact::Vanished(id("a/s01")));
        }
        rig.settle();
        assert_eq!(rig.world.containers.len(), 1, "it is made again");
        assert_eq!(losses(&rig), 1, "away: {away}");
        assert!(rig.was_told("its workspace is gone"));
        rig.pass(120_000);
        rig.settle();
        assert_eq!(losses(&rig), 1);
    }
    // A container alone is no loss: the workspace is what counts.
    let mut rig = Rig::with_room("a", 1);
    rig.world.containers.clear();
    rig.tell(Fact::Vanished(id("a/s01")));
    rig.settle();
    assert_eq!((rig.world.containers.len(), losses(&rig)), (1, 0));
}

#[test]
fn a_seat_that_was_never_made_is_nothing_lost() {
    let mut rig = Rig::new();
    rig.ask(open("a", 1));
    rig.run_until(|t| matches!(t, Task::EnsureNetwork { .. }));
    rig.ask(close("a", false));
    rig.settle();
    assert!(
        rig.is_bare() && matches!(rig.outcome(), Some(Outcome::Done { .. })),
        "{:?}",
        rig.replies
    );
}

#[test]
fn another_engine_is_not_taken_for_the_rooms_own() {
    let mut rig = Rig::with_room("a", 1).restarted();
    rig.engine_falls();
    rig.engine_rises_as("OTHER");
    assert!(matches!(&rig.snapshot().engine, EngineState::Down(why) if why.contains("another engine")));
    rig.ask(close("a", false));
    rig.begun.clear();
    rig.pass(120_000);
    let acted = |task: &&Task| !matches!(task, Task::Write(_));
    assert_eq!(rig.begun.iter().find(acted), None);
    rig.engine_rises();
    rig.settle();
    assert!(rig.is_bare(), "{:?}", rig.world);
    // With no room open there is nothing to protect, and the new engine is home.
    rig.engine_rises_as("OTHER");
    rig.settle();
    assert!(matches!(rig.snapshot().engine, EngineState::Up(_)));
    assert!(rig.written.contains(&Change::SetEngine("OTHER".into())));
}

#[test]
fn a_restart_does_not_wait_for_a_seat_that_does_not_answer() {
    let mut rig = Rig::new();
    rig.ask(open("a", 1));
    rig.run_until(|t| matches!(t, Task::Probe(..)));
    rig.ask(restart("a/s01"));
    rig.write_all();
    assert_eq!(rig.called_off, 1, "the probe is");
    rig.done_first(
        |t| matches!(t, Task::Probe(..)),
        Err(Fault::new(FaultCode::Cancelled, "called off")),
    );
    assert!(rig.tasks().any(|t| matches!(t, Task::Restart(..))), "{:?}", rig.open);
}

#[test]
fn a_program_that_ends_while_it_is_waited_for_is_told_of_soon() {
    let mut rig = Rig::new();
    rig.ask(open("a", 1));
    for end in 0..3 {
        rig.run_until(|t| matches!(t, Task::Probe(..)));
        let mut ended = rig.container("a/s01", RunState::Exited);
        (ended.exit_code, ended.finished_at) = (3, format!("end {end}"));
        rig.tell(Fact::Seen(ended));
        rig.done_first(
            |t| matches!(t, Task::Probe(..)),
            Err(Fault::new(FaultCode::Cancelled, "called off")),
        );
        rig.pass(3_000);
    }
    assert!(
        matches!(rig.outcome(), Some(Outcome::Failed { fault }) if fault.code == FaultCode::Exited),
        "{:?}",
        rig.replies
    );
}

#[test]
fn a_program_that_is_down_before_anybody_looks_is_not_restarted_in_a_tight_loop() {
    let mut rig = Rig::new();
    rig.ask(open("a", 1));
    for end in 0..100 {
        match rig
            .open
            .iter()
            .position(|(_, t)| matches!(t, Task::Provision(_) | Task::Start(..)))
        {
            Some(at) => {
                let (op, _) = rig.open.remove(at);
                let mut ended = rig.container("a/s01", RunState::Exited);
                ended.finished_at = format!("end {end}");
                // The engine's news and the step's own answer tell of the same end.
                rig.tell(Fact::Seen(ended.clone()));
                rig.tell(Fact::Done(op, Ok(Yield::Seen(ended))));
            }
            None if rig.open.is_empty() => rig.pass(100),
            None => rig.next(),
        }
    }
    let starts = rig.begun.iter().filter(|t| matches!(t, Task::Start(..))).count();
    assert!(starts < 8, "{starts} starts in ten seconds");
    assert!(
        matches!(rig.outcome(), Some(Outcome::Failed { fault }) if fault.code == FaultCode::Exited),
        "{:?}",
        rig.replies
    );
}

#[test]
fn an_extension_that_is_being_written_holds_the_end_of_the_lease_up() {
    let mut rig = Rig::with_room("a", 1);
    rig.pass(180 * 60_000 - 500);
    rig.ask(extend("a"));
    rig.pass(5_000);
    assert!(
        !rig.begun.iter().any(|t| matches!(t, Task::Hold { .. })),
        "its write is slow"
    );
    rig.settle();
    rig.pass(5_000);
    assert!(matches!(rig.outcome(), Some(Outcome::Done { .. })), "{:?}", rig.replies);
    assert!(!rig.begun.iter().any(|t| matches!(t, Task::Hold { .. })));
}

#[test]
fn an_extension_of_what_was_closed_meanwhile_is_refused() {
    let mut rig = Rig::with_room("a", 1);
    rig.ask(extend("a"));
    rig.ask(close("a", false));
    // Both are written in this order; the second takes effect first, as when the first one's answer is late.
    let extension = rig.open.remove(0);
    rig.done_first(|t| matches!(t, Task::Write(_)), Ok(Yield::Nothing));
    rig.tell(Fact::Done(extension.0, Ok(Yield::Nothing)));
    assert!(
        matches!(rig.outcome(), Some(Outcome::Refused { refusal }) if refusal.code == RefusalCode::Conflict),
        "{:?}",
        rig.replies
    );
}

#[test]
fn two_extensions_at_once_add_up() {
    let mut rig = Rig::with_room("a", 1);
    let before = rig.snapshot().rooms[0].lease_seconds_left.unwrap();
    rig.ask(extend("a"));
    let once = rig.open.len();
    rig.ask(extend("a"));
    assert_eq!(rig.open.len(), 2 * once);
    rig.settle();
    let after = rig.snapshot().rooms[0].lease_seconds_left.unwrap();
    assert_eq!((after - before) % 120, 0, "two of the same length");
    assert_ne!(after, before);
    let mut alone = Rig::with_room("a", 1);
    alone.ask(extend("a"));
    alone.settle();
    let single = alone.snapshot().rooms[0].lease_seconds_left.unwrap() - before;
    assert_eq!(after - before, 2 * single);
}

#[test]
fn a_student_in_two_rooms_that_open_at_once_has_two_routes() {
    let mut rig = Rig::new();
    rig.ask(open_for("a", &["ann"]));
    rig.ask(open_for("b", &["ann"]));
    rig.settle();
    let snapshot = rig.snapshot();
    let mut routes: Vec<&str> = snapshot.seats().map(|seat| seat.route.as_str()).collect();
    routes.sort_unstable();
    assert_eq!(routes, ["/api/r/ann", "/api/r/b~ann"]);
}

#[test]
fn a_seat_that_cannot_be_looked_at_is_told_of_and_holds_up_nobody_else() {
    let mut rig = Rig::with_room("a", 2);
    let hidden = rig.world.containers.remove(0);
    rig.world.hidden = vec![(hidden.seat.clone(), engine("its inspection fails"))];
    let mut rig = rig.restarted();
    rig.ask(close("a", false));
    for _ in 0..120 {
        while !rig.open.is_empty() {
            rig.next();
        }
        rig.pass(1_000);
    }
    let Some(Outcome::Partly { left, .. }) = rig.outcome() else {
        panic!("{:?}", rig.replies)
    };
    assert_eq!(left[0].seat, hidden.seat);
    let lists = rig.begun.iter().filter(|t| matches!(t, Task::List)).count();
    assert!(lists < 40, "{lists} lists in two minutes");
    // It can be looked at again.
    rig.world.hidden.clear();
    rig.world.containers.push(hidden);
    for _ in 0..60 {
        rig.settle();
        rig.pass(1_000);
    }
    assert!(rig.is_bare(), "{:?}", rig.world);
}

#[test]
fn an_engine_that_answers_but_cannot_be_listed_counts_as_away() {
    let mut rig = Rig::with_room("a", 1).restarted();
    rig.engine_falls();
    rig.engine_rises();
    rig.ask(close("a", false));
    rig.write_all();
    for _ in 0..200 {
        while rig.tasks().any(|t| matches!(t, Task::List)) {
            rig.done_first(|t| matches!(t, Task::List), Err(engine("volumes cannot be listed")));
        }
        rig.pass(100);
    }
    assert!(matches!(&rig.snapshot().engine, EngineState::Down(why) if why.contains("volumes cannot be listed")));
    assert!(rig.was_told("cannot be listed"));
    assert!(
        matches!(rig.outcome(), Some(Outcome::Failed { .. })),
        "{:?}",
        rig.replies
    );
    rig.settle();
    for _ in 0..5 {
        rig.pass(1_000);
        rig.settle();
    }
    assert!(rig.is_bare(), "{:?}", rig.world);
}

#[test]
fn words_and_figures_put_no_lease_and_no_retry_off() {
    let mut rig = Rig::with_room("a", 1);
    rig.pass(1_000);
    let due = rig.control.wake_at_ms();
    for _ in 0..50 {
        rig.jump_mono(100);
        rig.tell(Fact::Figures(FiguresOf::default(), HostFigures::default()));
    }
    assert_eq!(
        rig.control.wake_at_ms(),
        due,
        "it is overdue, and stays so until it is looked after"
    );
}

#[test]
fn taking_a_discard_back_is_written_before_it_is_accepted() {
    let mut rig = Rig::with_room("a", 1);
    rig.ask(close("a", true));
    rig.write_all();
    rig.ask(close("a", false));
    let takes_back = |task: &Task| {
        matches!(task, Task::Write(changes) if changes.iter().any(|c| matches!(c,
            Change::SetWanted { seats, discard_by: None, .. } if !seats.is_empty())))
    };
    assert!(rig.tasks().any(takes_back), "{:?}", rig.open);
}

#[test]
fn memory_kills_are_audited_but_not_a_thousand_times() {
    let mut rig = Rig::with_room("a", 1);
    for _ in 0..1_000 {
        rig.tell(Fact::OutOfMemory(id("a/s01")));
        rig.settle();
    }
    let audits = |rig: &Rig| {
        let oom = |c: &&Change| matches!(c, Change::Audit(e) if e.verb == "oom kill" && e.target == "a/s01");
        rig.written.iter().filter(oom).count()
    };
    assert_eq!(audits(&rig), 1);
    assert_eq!(rig.snapshot().rooms[0].seats[0].oom_kills, 1_000);
    rig.pass(61_000);
    rig.tell(Fact::OutOfMemory(id("a/s01")));
    rig.settle();
    assert_eq!(audits(&rig), 2);
}

#[test]
fn a_room_that_was_repaired_opens_without_its_old_fault() {
    let mut rig = Rig::new();
    rig.ask(open("a", 1));
    rig.run_until(|t| matches!(t, Task::Provision(_)));
    let missing = Fault::new(FaultCode::ImageMissing, "there is no image");
    rig.done_first(|t| matches!(t, Task::Provision(_)), Err(missing));
    assert!(rig.snapshot().rooms[0].fault.is_some());
    rig.ask(open("a", 1));
    rig.settle();
    assert!(matches!(rig.outcome(), Some(Outcome::Done { .. })), "{:?}", rig.replies);
}

#[test]
fn a_wish_to_restart_does_not_outlive_a_freeze() {
    let mut rig = Rig::with_room("a", 1);
    rig.ask(restart("a/s01"));
    rig.write_all();
    rig.ask(freeze("a"));
    rig.done_first(|t| matches!(t, Task::Restart(..)), Err(engine("no answer")));
    rig.settle();
    rig.begun.clear();
    rig.ask(thaw("a"));
    rig.settle();
    rig.pass(60_000);
    rig.settle();
    assert!(
        !rig.begun.iter().any(|t| matches!(t, Task::Restart(..))),
        "{:?}",
        rig.begun
    );
    assert_eq!(rig.ledger_wanted("a/s01"), Some(Wanted::Running));
}
