//! What the agent of a room takes of memory, beyond what it has already, while seats are closed.

use std::fs;

use crate::Scene;
use crate::figures::{peak_kib, resident_kib};
use crate::work::Work;

/// Closes a room of such seats, all at once, and prints the agent's peak.
pub fn print(work: Work, seats: usize, goal: u64) {
    let scene = Scene::new(seats, work);
    let agent = scene.lab.agent_pid().expect("an agent that runs");
    // From here on the kernel counts the peak anew.
    fs::write(format!("/proc/{agent}/clear_refs"), "5").unwrap();
    let before = resident_kib(agent);
    scene.lab.run(&["room", "close", "r"]).expect(0);
    let extra = peak_kib(agent).saturating_sub(before) >> 10;
    println!(
        "memory while {seats} seat(s) of {work} are closed: {extra} MiB above {} MiB (goal: at most {goal})",
        before >> 10
    );
}
