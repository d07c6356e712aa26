//! How long a closing will still take: told when enough of it is done to judge by, and of what goes on alone.

use crate::asks::close;
use crate::rig::{Rig, seat};

/// Seconds that a closing is said to take still.
fn seconds_left(rig: &Rig) -> Option<u64> {
    rig.snapshot().rooms.first()?.closing_seconds_left
}

fn seats(rig: &Rig) -> usize {
    rig.snapshot().rooms[0].seats.len()
}

/// Goes on, a second a task, until so many seats are left; gives the milliseconds that it took.
fn close_down_to(rig: &mut Rig, left: usize) -> u64 {
    let mut ms = 0;
    while seats(rig) > left {
        rig.jump_mono(1_000);
        ms += 1_000;
        rig.next();
    }
    ms
}

#[test]
fn the_time_left_is_judged_by_the_seats_that_are_gone() {
    let mut rig = Rig::with_room("a", 12);
    assert_eq!(seconds_left(&rig), None, "an open room does not close");
    rig.ask(close("a", false));
    rig.write_all();
    let first = close_down_to(&mut rig, 9);
    assert_eq!(seconds_left(&rig), None, "three say too little");
    let four = first + close_down_to(&mut rig, 8);
    assert_eq!(seconds_left(&rig), Some((four * 8 / 4).div_ceil(1_000)));
    let words = rig.progress.last().unwrap().text.clone();
    assert!(words.starts_with("archiving and verifying, about "), "{words}");
    let ten = four + close_down_to(&mut rig, 2);
    assert_eq!(seconds_left(&rig), Some((ten * 2 / 10).div_ceil(1_000)));
    rig.settle();
    assert!(rig.is_bare());
}

#[test]
fn a_seat_that_failed_takes_no_time_that_could_be_told() {
    let mut rig = Rig::with_room("a", 6);
    rig.refuse_archives_of = Some(seat("a/s06"));
    rig.ask(close("a", false));
    rig.settle();
    assert_eq!((seats(&rig), seconds_left(&rig)), (1, None));
}

#[test]
fn a_closing_that_no_verb_began_is_judged_from_the_next_second_on() {
    let mut rig = Rig::with_room("a", 12);
    rig.jump(200 * 60_000);
    while !rig.was_told("leases have ended") {
        rig.pass(1_000);
    }
    let took = close_down_to(&mut rig, 6);
    assert_eq!(seconds_left(&rig), Some(took.div_ceil(1_000)));
}
