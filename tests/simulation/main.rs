//! A seeded simulation of the agent's mind with engine, store, ledger and gateway around it, in which effects fail,
//! hang, repeat and come late, people meddle, students come and go, and the process dies. The design's invariants hold
//! in every run.
//!
//! `LABTOP_SIM_SEEDS=n` plays the seeds 0 to n-1 (10,000 when unset); `LABTOP_SIM_SEED=n` plays one and tells its story.

mod actor;
mod docker;
mod door;
mod engine;
mod gateway;
mod invariants;
mod leases;
mod ledger;
mod rng;
#[path = "../rows/mod.rs"]
mod rows;
mod run;
mod sessions;
mod store;
mod tasks;
mod world;

use std::sync::atomic::{AtomicU64, Ordering};

use run::{Report, play};
use world::Sabotage;

/// Seeds that `make test` plays.
const SEEDS: u64 = 10_000;
/// Seeds within which every sabotage must be noticed.
const SABOTAGE_SEEDS: u64 = 10_000;
/// Failing seeds that are told of; the first is replayed with its story.
const TOLD: usize = 20;

fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(
        text.parse()
            .unwrap_or_else(|_| panic!("{variable}={text} is not a number")),
    )
}

/// Plays seeds on all cores until they are through or enough have failed.
fn play_all(seeds: u64, sabotage: Sabotage, enough: usize) -> (Vec<Report>, u64) {
    let (next, steps) = (AtomicU64::new(0), AtomicU64::new(0));
    let failed = std::sync::Mutex::new(Vec::new());
    let threads = std::thread::available_parallelism().map_or(2, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds || failed.lock().unwrap().len() >= enough {
                        break;
                    }
                    let report = play(seed, sabotage, false);
                    steps.fetch_add(report.steps, Ordering::Relaxed);
                    if !report.violations.is_empty() {
                        failed.lock().unwrap().push(report);
                    }
                }
            });
        }
    });
    let mut failed = failed.into_inner().unwrap();
    failed.sort_by_key(|report| report.seed);
    (failed, steps.into_inner())
}

#[test]
fn the_invariants_hold_in_every_run() {
    if let Some(seed) = number("LABTOP_SIM_SEED") {
        let report = play(seed, Sabotage::default(), true);
        println!("{}", report.story);
        assert!(report.violations.is_empty(), "seed {seed}: {:?}", report.violations);
        return;
    }
    let seeds = number("LABTOP_SIM_SEEDS").unwrap_or(SEEDS);
    let begun = std::time::Instant::now();
    let (failed, steps) = play_all(seeds, Sabotage::default(), TOLD);
    println!("{seeds} seeds, {steps} steps in {:?}", begun.elapsed());
    if let Some(first) = failed.first() {
        for report in &failed {
            println!("seed {}: {}", report.seed, report.violations[0]);
        }
        panic!(
            "replay with LABTOP_SIM_SEED={}:\n{}",
            first.seed,
            play(first.seed, Sabotage::default(), true).story
        );
    }
}

fn is_noticed(sabotage: Sabotage, word: &str) {
    let (failed, _) = play_all(SABOTAGE_SEEDS, sabotage, 1);
    let noticed = failed
        .first()
        .unwrap_or_else(|| panic!("{sabotage:?} was not noticed in {SABOTAGE_SEEDS} seeds"));
    assert!(noticed.violations[0].contains(word), "{:?}", noticed.violations);
    println!("{word}: seed {}", noticed.seed);
}

#[test]
fn a_removal_that_does_not_look_is_noticed() {
    let sabotage = Sabotage {
        blind_removal: true,
        deaf: true,
        ..Sabotage::default()
    };
    is_noticed(sabotage, "is lost");
}

#[test]
fn an_adapter_that_sees_no_thaw_is_noticed() {
    let sabotage = Sabotage {
        deaf: true,
        ..Sabotage::default()
    };
    is_noticed(sabotage, "is lost");
}

#[test]
fn a_verification_that_believes_the_store_is_noticed() {
    let sabotage = Sabotage {
        credulous: true,
        ..Sabotage::default()
    };
    is_noticed(sabotage, "is lost");
}

#[test]
fn a_ledger_that_forgets_archives_is_noticed() {
    let sabotage = Sabotage {
        forgetful: true,
        ..Sabotage::default()
    };
    is_noticed(sabotage, "is lost");
}

#[test]
fn a_ledger_that_keeps_two_sessions_of_a_student_is_noticed() {
    let sabotage = Sabotage {
        hoarding: true,
        ..Sabotage::default()
    };
    is_noticed(sabotage, "one of two sessions");
}

#[test]
fn a_ledger_that_forgets_sessions_is_noticed() {
    let sabotage = Sabotage {
        fleeting: true,
        ..Sabotage::default()
    };
    is_noticed(sabotage, "before their session was written");
}

#[test]
fn a_ledger_that_keeps_sessions_that_are_over_is_noticed() {
    let sabotage = Sabotage {
        clinging: true,
        ..Sabotage::default()
    };
    is_noticed(sabotage, "is over, and in the ledger");
}

#[test]
fn a_restart_that_reads_no_sessions_is_noticed() {
    let sabotage = Sabotage {
        unread: true,
        ..Sabotage::default()
    };
    is_noticed(sabotage, "after a restart");
}

#[test]
fn a_restart_that_forgets_who_has_handed_in_is_noticed() {
    let sabotage = Sabotage {
        unremembered: true,
        ..Sabotage::default()
    };
    is_noticed(sabotage, "is made again");
}

#[test]
fn a_gateway_that_misses_news_is_noticed() {
    let sabotage = Sabotage {
        lossy: true,
        ..Sabotage::default()
    };
    is_noticed(sabotage, "the mirror differs");
}

#[test]
fn a_gateway_that_does_not_compare_openings_is_noticed() {
    let sabotage = Sabotage {
        any_opening: true,
        ..Sabotage::default()
    };
    is_noticed(sabotage, "opens another seat");
}

#[test]
fn a_gateway_that_lets_into_closed_seats_is_noticed() {
    let sabotage = Sabotage {
        never_shut: true,
        ..Sabotage::default()
    };
    is_noticed(sabotage, "seat that is shut");
}
