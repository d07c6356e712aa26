//! `kill -9` of the agent at random moments of closings, again and again, until the rooms are closed: every byte of every
//! student is in the archives, and nothing is left.
//!
//! `make torture` kills more often: `LABTOP_TORTURE_KILLS` says how often, `LABTOP_TORTURE_SEED` replays the moments.

mod homework;
mod lab;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Child;
use std::time::{Duration, Instant};

use homework::{Homework, students};
use lab::{Lab, is_alive, until};

const SEATS: usize = 20;
const KILLS: u64 = 20;
/// The largest part of an undisturbed closing that an agent may live: several lives for each room.
const LIFE: f64 = 0.3;
/// The same of the first one, which is to end while seats are being frozen.
const FIRST_LIFE: f64 = 0.04;
/// Kills that come before a closing has begun do not count; so many of them would be odd.
const LIVES_PER_KILL: u64 = 10;
/// A phase that no kill has hit by then is missing.
const KILLS_AT_MOST: u64 = 3;

/// Where seats stood when the agent was killed, of what it left in the ledger and in the store.
const PHASES: [&str; 6] = [
    "freeze",
    "archive",
    "verify or record",
    "remove the container",
    "remove the workspace",
    "gone",
];

/// Chance from a seed (`SplitMix64`).
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A part of `whole`.
    fn part(&mut self, whole: Duration) -> Duration {
        whole.mul_f64((self.next() >> 11) as f64 / (1_u64 << 53) as f64)
    }
}

fn variable(name: &str, otherwise: u64) -> u64 {
    match std::env::var(name) {
        Ok(text) => text.parse().unwrap_or_else(|_| panic!("{name} is no number: {text}")),
        Err(_) => otherwise,
    }
}

/// Files below a directory.
fn files(below: &Path) -> Vec<PathBuf> {
    let (mut found, mut left) = (Vec::new(), vec![below.to_owned()]);
    while let Some(dir) = left.pop() {
        for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
            let list = if entry.path().is_dir() { &mut left } else { &mut found };
            list.push(entry.path());
        }
    }
    found
}

fn ledger(lab: &Lab) -> rusqlite::Connection {
    rusqlite::Connection::open(lab.state().join("ledger.db")).unwrap()
}

/// How far a room is.
#[derive(PartialEq)]
enum Stage {
    Open,
    Closing,
    Closed,
}

fn stage(lab: &Lab, room: &str) -> Stage {
    let row = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?));
    let ask = "SELECT wanted = 'open', ended FROM rooms WHERE name = ?1";
    match ledger(lab).query_row(ask, [room], row).unwrap() {
        (_, true) => Stage::Closed,
        (true, _) => Stage::Open,
        _ => Stage::Closing,
    }
}

/// How many seats of the room stood in each phase. The agent is dead.
fn phases(lab: &Lab, room: &str) -> BTreeMap<&'static str, usize> {
    let mut counts = BTreeMap::new();
    let ledger = ledger(lab);
    let mut rows = ledger
        .prepare("SELECT student, stillness IS NULL, archive IS NULL, container_removed FROM seats WHERE room = ?1")
        .unwrap();
    let row = |row: &rusqlite::Row<'_>| -> rusqlite::Result<(String, bool, bool, bool)> {
        Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
    };
    let seats: Vec<_> = rows.query_map([room], row).unwrap().map(Result::unwrap).collect();
    for (student, moving, unrecorded, removed) in &seats {
        let whole = || {
            let below = lab.archives().join("submissions").join(room).join(student);
            files(&below).iter().any(|file| file.ends_with("manifest.json"))
        };
        let phase = match (moving, unrecorded, removed) {
            (true, ..) => PHASES[0],
            (_, true, _) if !whole() => PHASES[1],
            (_, true, _) => PHASES[2],
            (.., false) => PHASES[3],
            (.., true) => PHASES[4],
        };
        *counts.entry(phase).or_default() += 1;
    }
    if seats.len() < SEATS {
        counts.insert(PHASES[5], SEATS - seats.len());
    }
    counts
}

/// Kills the agent that the closing talks to, `life` after it is there, and tells how far the room was then.
fn kill_within(lab: &Lab, room: &str, mut closing: Child, life: Duration) -> Stage {
    until("an agent is there, or the closing has ended", || {
        let there = lab.agent_pid().is_some_and(is_alive);
        (there || closing.try_wait().unwrap().is_some()).then_some(())
    });
    std::thread::sleep(life);
    // One that has not reached its agent yet would start another, and wait with that for the end.
    let _ = closing.kill();
    lab.kill_agent();
    let told = closing.wait_with_output().unwrap().stderr;
    if let Some(complaint) = String::from_utf8_lossy(&told)
        .lines()
        .find(|line| line.starts_with("labtop: "))
    {
        eprintln!("the closing said: {complaint}");
    }
    stage(lab, room)
}

/// What the torture has come to.
struct Torture {
    lab: Lab,
    work: Homework,
    chance: Chance,
    /// How long a closing takes that nobody disturbs.
    undisturbed: Duration,
    kills: u64,
    hit: BTreeMap<&'static str, usize>,
}

impl Torture {
    fn open(&self, room: &str, seats: usize) {
        let count = seats.to_string();
        self.lab.run(&["room", "open", room, "--seats", &count]).expect(0);
    }

    /// Measures a closing of fewer seats that nobody disturbs.
    fn measure(&mut self, share: u32) {
        let seats = SEATS / share as usize;
        self.open("r0", seats);
        let start = Instant::now();
        self.lab.run(&["room", "close", "r0"]).expect(0);
        self.undisturbed = start.elapsed() * share;
        self.work.expect_room(&self.lab, "r0", &students(seats));
    }

    /// Closes a room while the agent is killed, until it is closed or there were enough kills.
    fn close(&mut self, room: &str, kills: u64) {
        let (mut lives, before) = (0, self.kills);
        while !self.is_enough(kills) {
            lives += 1;
            assert!(
                lives <= LIVES_PER_KILL * kills,
                "{room} is not closing after {lives} starts"
            );
            let closing = self.lab.spawn(&["room", "close", room]);
            let longest = if self.kills == before { FIRST_LIFE } else { LIFE };
            let life = self.chance.part(self.undisturbed.mul_f64(longest));
            match kill_within(&self.lab, room, closing, life) {
                Stage::Open => {
                    eprintln!(
                        "a kill of {room} before it was closing, after {:4} ms",
                        life.as_millis()
                    );
                    continue;
                }
                Stage::Closing => self.kills += 1,
                Stage::Closed => {
                    eprintln!("{room} was closed within {:4} ms", life.as_millis());
                    break;
                }
            }
            let stood = phases(&self.lab, room);
            eprintln!(
                "kill {:3} of {room} after {:4} ms: {stood:?}",
                self.kills,
                life.as_millis()
            );
            for (phase, seats) in stood {
                *self.hit.entry(phase).or_default() += seats;
            }
        }
        self.lab.run(&["room", "close", room]).expect(0);
        assert_eq!(self.lab.left_on_engine(), Vec::<String>::new());
        self.work.expect_room(&self.lab, room, &students(SEATS));
    }

    fn is_enough(&self, kills: u64) -> bool {
        let everywhere = PHASES.iter().all(|phase| self.hit.contains_key(phase));
        self.kills >= if everywhere { kills } else { kills * KILLS_AT_MOST }
    }

    /// The store has what `archive ls` lists, and nothing else; no note of an attempt is left.
    fn expect_tidy(&self) {
        let rows = self.lab.run(&["archive", "ls", "--json"]).expect(0).json();
        let known: BTreeSet<_> = rows
            .as_array()
            .unwrap()
            .iter()
            .map(|row| row["id"].as_str().unwrap().to_owned())
            .collect();
        let stray: Vec<_> = files(&self.lab.archives())
            .into_iter()
            .filter(|file| !known.contains(file.parent().unwrap().file_name().unwrap().to_str().unwrap()))
            .collect();
        assert_eq!(
            stray,
            Vec::<PathBuf>::new(),
            "in the store, and in no archive that is listed"
        );
        assert_eq!(
            files(&self.lab.state().join("scratch")),
            Vec::<PathBuf>::new(),
            "notes are left"
        );
    }
}

#[test]
fn an_agent_that_is_killed_all_the_time_loses_nothing() {
    let kills = variable("LABTOP_TORTURE_KILLS", KILLS);
    let seed = variable("LABTOP_TORTURE_SEED", u64::from(std::process::id()));
    eprintln!("{kills} kills; LABTOP_TORTURE_SEED={seed} replays their moments");
    let work = Homework { seed, big: 50_000 };
    let mut torture = Torture {
        lab: Lab::with_config(&work.config()),
        work,
        chance: Chance(seed),
        undisturbed: Duration::ZERO,
        kills: 0,
        hit: BTreeMap::new(),
    };
    torture.measure(4);
    eprintln!(
        "an undisturbed closing of {SEATS} seats: about {:?}",
        torture.undisturbed
    );
    let mut rooms = 0;
    while !torture.is_enough(kills) {
        rooms += 1;
        let room = format!("r{rooms}");
        torture.open(&room, SEATS);
        let before = torture.kills;
        torture.close(&room, kills);
        assert!(torture.kills > before, "no kill came before {room} was closed");
    }
    eprintln!(
        "{} kills in {rooms} closings hit seats in: {:?}",
        torture.kills, torture.hit
    );
    let missed: Vec<_> = PHASES
        .iter()
        .filter(|phase| !torture.hit.contains_key(*phase))
        .collect();
    assert!(missed.is_empty(), "no kill hit: {missed:?}");
    // The last life of the agent sweeps what the earlier ones left.
    torture.lab.kill_agent();
    torture.lab.run(&["doctor"]);
    torture.expect_tidy();
}
