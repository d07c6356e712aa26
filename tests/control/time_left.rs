//! How long a closing will still take: told when enough of it is done to judge by, and of what goes on alone.

use crate::asks::close;
use crate::rig::{Rig, seat};
use labtop::domain::effect::Task;

/// Seconds that a closing is said to take still.
fn seconds_left(rig: &Rig) -> Option<u64> {
    rig.snapshot().rooms.first()?.closing_seconds_left
}

/// How long a task takes in this test's world, milliseconds: what reads and writes takes longest.
fn takes_ms(task: &Task) -> u64 {
    match task {
        Task::Archive(_) => 3_000,
        Task::Verify { .. } => 1_500,
        Task::RemoveContainer(_) | Task::RemoveVolume(_) => 700,
        _ => 20,
    }
}

/// Closes to the end, a task after the other: what was said before each, and the milliseconds when it was said.
fn close_down(rig: &mut Rig) -> Vec<(u64, Option<u64>)> {
    let (mut said, mut at) = (Vec::new(), 0);
    while let Some((_, task)) = rig.open.first() {
        said.push((at, seconds_left(rig)));
        let ms = takes_ms(task);
        rig.jump_mono(ms);
        at += ms;
        rig.next();
    }
    said
}

/// Holds that the time left was told before half of the time was over, and was never far from what it was: it is said
/// in minutes.
#[track_caller]
fn is_about_right(said: &[(u64, Option<u64>)]) {
    let whole = said.last().unwrap().0;
    let first = said.iter().find(|(_, left)| left.is_some());
    assert!(first.is_some_and(|(at, _)| *at < whole / 2), "{said:?}");
    for (at, left) in said {
        let (real, Some(left)) = ((whole - at) / 1_000, left) else {
            continue;
        };
        assert!(
            real <= 2 * left + 15 && *left <= 2 * real + 15,
            "at {at} of {whole}: {left} s said, {said:?}"
        );
    }
}

#[test]
fn the_time_left_is_judged_by_what_is_done() {
    let mut rig = Rig::with_room("a", 20);
    assert_eq!(seconds_left(&rig), None, "an open room does not close");
    rig.ask(close("a", false));
    rig.write_all();
    is_about_right(&close_down(&mut rig));
    assert!(rig.is_bare());
    let mut words = rig.progress.iter().map(|report| report.text.as_str());
    assert!(
        words.any(|text| text == "archiving and verifying"),
        "at first nothing is said"
    );
    assert!(words.any(|text| text.starts_with("archiving and verifying, about ")));
}

#[test]
fn a_seat_that_failed_is_not_judged() {
    let mut rig = Rig::with_room("a", 6);
    rig.refuse_archives_of = Some(seat("a/s06"));
    rig.ask(close("a", false));
    rig.settle();
    assert_eq!((rig.snapshot().rooms[0].seats.len(), seconds_left(&rig)), (1, None));
}

#[test]
fn a_closing_that_no_verb_began_is_judged_too() {
    let mut rig = Rig::with_room("a", 20);
    rig.jump(200 * 60_000);
    while !rig.was_told("leases have ended") {
        rig.pass(1_000);
    }
    is_about_right(&close_down(&mut rig));
}
