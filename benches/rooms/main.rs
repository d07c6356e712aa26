//! The figures that labtop promises, as ratios against a floor in the same run and as whole-process times.
//!
//! `make bench` prints them. Numbers of one machine are not comparable with those of another; the ratios are.

#[path = "../figures/mod.rs"]
mod figures;
#[path = "../../tests/lab/mod.rs"]
mod lab;
mod raw;
mod screen;

use std::time::{Duration, Instant};

use figures::{millis, peak_kib, spread};
use lab::{Lab, TEMPLATE};

/// Seats of the rooms whose opening is timed.
const SEATS: usize = 30;
/// Creations in flight, for labtop (its default) and for the floor alike.
const IN_FLIGHT: usize = 8;
/// Interleaved pairs of openings.
const PAIRS: usize = 5;
/// Seats of the room that the board shows.
const BOARD_SEATS: usize = 100;
/// Starts of the board of each kind.
const BOARD_RUNS: usize = 7;

fn main() {
    // `cargo test --benches` only wants to know that it builds.
    if !std::env::args().any(|arg| arg == "--bench") {
        return;
    }
    provisioning();
    board();
}

/// Seats opened per second by labtop ÷ by a bare driver of the engine's API that makes the same things.
fn provisioning() {
    let lab = Lab::with_config(TEMPLATE);
    let seats = SEATS.to_string();
    lab.run(&["room", "open", "warm", "--seats", "1"]).expect(0);
    let model = raw::Model::of(&lab);
    let (mut ours, mut floor) = (Vec::new(), Vec::new());
    for pair in 0..PAIRS {
        let first_ours = pair % 2 == 0;
        for turn in 0..2 {
            if (turn == 0) == first_ours {
                let start = Instant::now();
                lab.run(&["room", "open", "timed", "--seats", &seats]).expect(0);
                ours.push(start.elapsed());
                lab.run(&["room", "close", "timed", "--discard", "--yes"]).expect(0);
            } else {
                floor.push(raw::open(&model, SEATS, IN_FLIGHT));
            }
        }
    }
    let ratios: Vec<f64> = ours
        .iter()
        .zip(&floor)
        .map(|(o, f)| f.as_secs_f64() / o.as_secs_f64())
        .collect();
    println!("provisioning, {SEATS} seats, {IN_FLIGHT} creations in flight, {PAIRS} interleaved pairs");
    println!("  labtop room open   {}", rates(&ours));
    println!("  bare API driver    {}", rates(&floor));
    println!("  ratio              {} (goal: at least 0.95)", spread(&ratios, ""));
}

/// The board's first screen, warm and cold, and what agent and board need.
fn board() {
    let lab = Lab::with_config(TEMPLATE);
    lab.run(&["room", "open", "full", "--seats", &BOARD_SEATS.to_string()])
        .expect(0);
    let (mut warm, mut board_kib) = (Vec::new(), 0);
    for _ in 0..BOARD_RUNS {
        let shown = screen::Board::start(&lab);
        warm.push(millis(shown.until_figures()));
        board_kib = board_kib.max(shown.peak_kib());
    }
    let agent_kib = lab.agent_pid().map_or(0, peak_kib);
    let (mut list, mut figures) = (Vec::new(), Vec::new());
    for _ in 0..BOARD_RUNS {
        lab.kill_agent();
        let shown = screen::Board::start(&lab);
        list.push(millis(shown.until_list()));
        figures.push(millis(shown.until_figures()));
    }
    println!("board, {BOARD_SEATS} seats, {BOARD_RUNS} starts each, milliseconds from the start of the process");
    println!(
        "  warm agent, complete first screen  {} (goal: at most 60)",
        spread(&warm, " ms")
    );
    println!(
        "  cold, list                         {} (goal: at most 300)",
        spread(&list, " ms")
    );
    println!(
        "  cold, figures                      {} (goal: at most 1200)",
        spread(&figures, " ms")
    );
    println!(
        "  peak memory: agent {} MiB, board {} MiB",
        agent_kib >> 10,
        board_kib >> 10
    );
    lab.run(&["room", "close", "full", "--discard", "--yes"]).expect(0);
}

fn rates(times: &[Duration]) -> String {
    #[expect(clippy::cast_precision_loss, reason = "a few dozen seats")]
    let rates: Vec<f64> = times.iter().map(|t| SEATS as f64 / t.as_secs_f64()).collect();
    spread(&rates, " seats/s")
}
