//! Many boards on one agent: what they cost it, what a key costs beside them, and how soon they find a new agent.

#[path = "../figures/mod.rs"]
mod figures;
#[path = "../../tests/lab/mod.rs"]
mod lab;
#[path = "../rooms/screen.rs"]
mod screen;

use std::time::{Duration, Instant};

use figures::{millis, spread};
use lab::{Lab, TEMPLATE};
use labtop::wire::client::{Client, WatchEvent};
use tokio::runtime::Runtime;
use tokio::task::JoinSet;

/// Seats that all boards show.
const SEATS: usize = 100;
/// Boards beside the one with the keys.
const BOARDS: usize = 50;
/// Interleaved pairs of spans without and with the boards.
const PAIRS: usize = 5;
/// How long the agent's CPU time is counted for.
const SPAN: Duration = Duration::from_secs(8);
/// Keys that are pressed in each span.
const KEYS: usize = 20;
/// Agents that are killed.
const KILLS: usize = 7;

fn main() {
    // `cargo test --benches` only wants to know that it builds.
    if !std::env::args().any(|arg| arg == "--bench") {
        return;
    }
    let lab = Lab::with_config(TEMPLATE);
    lab.run(&["room", "open", "full", "--seats", &SEATS.to_string()])
        .expect(0);
    attached(&lab);
    killed(&lab);
    lab.run(&["room", "close", "full", "--discard", "--yes"]).expect(0);
}

/// The agent's CPU time, and the time from a key to the screen, with and without many boards.
fn attached(lab: &Lab) {
    let runtime = Runtime::new().unwrap();
    let mut board = screen::Board::start(lab);
    board.until_figures();
    let (mut alone, mut crowded) = (Span::default(), Span::default());
    for _ in 0..PAIRS {
        alone.measure(lab, &mut board);
        let mut boards = runtime.block_on(attach(lab));
        crowded.measure(lab, &mut board);
        runtime.block_on(boards.shutdown());
    }
    let growth: Vec<f64> = crowded
        .cpu
        .iter()
        .zip(&alone.cpu)
        .map(|(with, without)| with - without)
        .collect();
    let slower: Vec<f64> = crowded
        .keys
        .iter()
        .zip(&alone.keys)
        .map(|(with, without)| with / without)
        .collect();
    println!(
        "{BOARDS} boards more, {SEATS} seats, {PAIRS} interleaved pairs of {} s",
        SPAN.as_secs()
    );
    println!(
        "  agent, one board                   {} of a core",
        spread(&alone.cpu, " %")
    );
    println!(
        "  agent, {BOARDS} boards more               {} of a core",
        spread(&crowded.cpu, " %")
    );
    println!(
        "  growth                             {} (goal: below 5)",
        spread(&growth, " points")
    );
    println!("  key to screen, one board           {}", spread(&alone.keys, " ms"));
    println!(
        "  key to screen, {BOARDS} boards more       {}",
        spread(&crowded.keys, " ms")
    );
    println!(
        "  ratio                              {} (goal: about 1)",
        spread(&slower, "")
    );
}

/// Figures of one kind of span.
#[derive(Default)]
struct Span {
    /// CPU time of the agent, percent of a core.
    cpu: Vec<f64>,
    /// Median time from a key to the screen, milliseconds.
    keys: Vec<f64>,
}

impl Span {
    fn measure(&mut self, lab: &Lab, board: &mut screen::Board) {
        let pid = lab.agent_pid().unwrap();
        let (began, ticks) = (Instant::now(), cpu_ticks(pid));
        let mut keys: Vec<f64> = (0..KEYS).map(|n| millis(board.moves(n % 2 == 0))).collect();
        std::thread::sleep(SPAN.saturating_sub(began.elapsed()));
        #[expect(clippy::cast_precision_loss, reason = "a few thousand ticks")]
        let used = (cpu_ticks(pid) - ticks) as f64 / TICKS_PER_SECOND;
        self.cpu.push(100.0 * used / began.elapsed().as_secs_f64());
        keys.sort_by(f64::total_cmp);
        self.keys.push(keys[keys.len() / 2]);
    }
}

/// Clock ticks in which the kernel counts CPU time (`USER_HZ`).
const TICKS_PER_SECOND: f64 = 100.0;

/// CPU time that a process has used so far, user and system.
fn cpu_ticks(pid: u32) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
    fields
        .skip(11)
        .take(2)
        .filter_map(|field| field.parse::<u64>().ok())
        .sum()
}

/// Boards that read all that comes.
async fn attach(lab: &Lab) -> JoinSet<()> {
    let mut boards = JoinSet::new();
    for _ in 0..BOARDS {
        let client = Client::connect(&lab.socket()).await.unwrap();
        let mut watch = client.watch().await.unwrap();
        while !matches!(watch.next().await, Some(WatchEvent::Snapshot(_))) {}
        boards.spawn(async move { while watch.next().await.is_some() {} });
    }
    boards
}

/// How soon a board shows the next agent's seats after its own was killed.
fn killed(lab: &Lab) {
    let board = screen::Board::start(lab);
    board.until_figures();
    let mut back = Vec::new();
    for _ in 0..KILLS {
        lab.kill_agent();
        let began = Instant::now();
        board.until_lost();
        board.until_found();
        back.push(millis(began.elapsed()));
    }
    println!("agent killed with SIGKILL, {SEATS} seats, {KILLS} times");
    println!(
        "  board shows the next agent's seats {} (goal: at most 2000)",
        spread(&back, " ms")
    );
}
