//! The board in a real pseudo-terminal: whatever ends it, the terminal is given back and the exit status is right.
//!
//! The board runs in a process of its own: this test program starts itself again as `child`, with a made-up agent.

mod board_support;

use std::io::{Read, Write};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use board_support::*;
use labtop::domain::fault::{Fault, FaultCode};
use labtop::domain::ids::SeatId;
use labtop::domain::settings::UiSettings;
use labtop::domain::snapshot::Phase;
use labtop::tui::port::{Inbound, Outbound};
use labtop::tui::{Exit, run};
use portable_pty::{Child, CommandBuilder, MasterPty, PtySize, native_pty_system};
use rustix::process::{Pid, Signal, kill_process};
use tokio::sync::mpsc;

/// Set for the process that is the board.
const CHILD: &str = "LABTOP_TEST_BOARD_CHILD";
/// Far more than anything here takes, also on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

/// Not a test of its own: the board that the others look at.
#[test]
fn child() {
    if std::env::var_os(CHILD).is_none() {
        return;
    }
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let code = runtime.block_on(board()).map_or(1, Exit::code);
    std::process::exit(code.into());
}

async fn board() -> Option<Exit> {
    let (inbound, news) = mpsc::channel(64);
    let (outbound, mut orders) = mpsc::channel(64);
    tokio::spawn(async move {
        let all = snapshot(vec![room("demo", vec![seat("demo", 1, Phase::Ready)])]);
        inbound.send(Inbound::Attached).await.unwrap();
        inbound.send(Inbound::Snapshot(Arc::new(all))).await.unwrap();
        while let Some(order) = orders.recv().await {
            assert!(!matches!(order, Outbound::OpenLog { .. }), "a made-up panic");
        }
    });
    let settings = UiSettings {
        ascii: false,
        slow: false,
    };
    run(news, outbound, echo, settings).await.ok()
}

/// A shell that shows what it is told, and ends at `x` well, at `f` badly. It leaves the terminal cooked, as a shell does.
async fn echo(seat: SeatId) -> Result<(), Fault> {
    let mut typed = typed();
    println!(
        "\x1b[2J\x1b[Hshell in {seat} {:?}\r",
        crossterm::terminal::size().unwrap()
    );
    loop {
        let bytes = typed.recv().await.unwrap_or_default();
        if bytes.is_empty() || bytes.contains(&b'x') || bytes.contains(&b'f') {
            crossterm::terminal::disable_raw_mode().unwrap();
            let broke = bytes
                .contains(&b'f')
                .then(|| Fault::new(FaultCode::Engine, "the shell broke"));
            return broke.map_or(Ok(()), Err);
        }
        println!("bytes {:?}\r", String::from_utf8_lossy(&bytes));
    }
}

/// What is typed at the terminal, up to the end of the shell and not a byte further.
fn typed() -> mpsc::Receiver<Vec<u8>> {
    let (send, typed) = mpsc::channel(8);
    let mut terminal = std::fs::File::open("/dev/tty").unwrap();
    std::thread::spawn(move || {
        let mut buffer = [0; 64];
        while let Ok(count) = terminal.read(&mut buffer) {
            let bytes = buffer[..count].to_vec();
            let last = bytes.is_empty() || bytes.contains(&b'x') || bytes.contains(&b'f');
            if send.blocking_send(bytes).is_err() || last {
                break;
            }
        }
    });
    typed
}

/// A board in a terminal of 80 × 24.
struct Seen {
    master: Box<dyn MasterPty + Send>,
    child: Box<dyn Child + Send + Sync>,
    keys: Box<dyn Write + Send>,
    screen: Arc<Mutex<vt100::Parser>>,
}

impl Drop for Seen {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn size(cols: u16, rows: u16) -> PtySize {
    PtySize {
        rows,
        cols,
        pixel_width: 0,
        pixel_height: 0,
    }
}

fn start() -> (Box<dyn MasterPty + Send>, Box<dyn Child + Send + Sync>) {
    let pair = native_pty_system().openpty(size(80, 24)).unwrap();
    let mut command = CommandBuilder::new(std::env::current_exe().unwrap());
    command.args(["--exact", "child", "--nocapture"]);
    command.env(CHILD, "1");
    command.env("TERM", "xterm-256color");
    command.env("RUST_BACKTRACE", "0");
    let child = pair.slave.spawn_command(command).unwrap();
    (pair.master, child)
}

impl Seen {
    fn start() -> Self {
        let (master, child) = start();
        let mut reader = master.try_clone_reader().unwrap();
        let keys = master.take_writer().unwrap();
        let parser = vt100::Parser::new(24.try_into().unwrap(), 80.try_into().unwrap(), 0);
        let screen = Arc::new(Mutex::new(parser));
        let sees = Arc::clone(&screen);
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(count @ 1..) = reader.read(&mut buffer) {
                sees.lock().unwrap().process(&buffer[..count]);
            }
        });
        let seen = Self {
            master,
            child,
            keys,
            screen,
        };
        seen.until("attached");
        seen
    }

    fn contents(&self) -> String {
        self.screen.lock().unwrap().screen().contents()
    }

    fn until(&self, text: &str) {
        until(&format!("{text:?} on the screen"), || self.contents().contains(text));
    }

    fn press(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).unwrap();
    }

    fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.child.process_id().unwrap()).unwrap();
        kill_process(Pid::from_raw(pid).unwrap(), signal).unwrap();
    }

    /// Waits for the end, and checks that the terminal is as it was.
    fn ends_with(&mut self, code: u32) {
        assert_eq!(exit_code(&mut self.child), code);
        until("the terminal given back", || {
            let screen = self.screen.lock().unwrap();
            !screen.screen().alternate_screen() && !screen.screen().hide_cursor() && !screen.screen().bracketed_paste()
        });
        assert!(is_cooked(&*self.master), "lines are edited by the terminal again");
    }
}

fn until(what: &str, is: impl Fn() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !is() {
        assert!(Instant::now() < end, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn exit_code(child: &mut Box<dyn Child + Send + Sync>) -> u32 {
    let end = Instant::now() + PATIENCE;
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status.exit_code();
        }
        assert!(Instant::now() < end, "the board lives on");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn is_cooked(master: &dyn MasterPty) -> bool {
    let modes = master.get_termios().unwrap();
    format!("{:?}", modes.local_flags).contains("ICANON")
}

#[test]
fn q_gives_the_terminal_back() {
    let mut seen = Seen::start();
    assert!(!is_cooked(&*seen.master));
    assert!(seen.screen.lock().unwrap().screen().alternate_screen());
    seen.press("?");
    seen.until("On the board");
    seen.press("q");
    seen.until("STUDENT");
    seen.press("q");
    seen.ends_with(0);
}

#[test]
fn signals_give_the_terminal_back() {
    for (signal, code) in [
        (Signal::TERM, 143),
        (Signal::HUP, 129),
        (Signal::INT, 130),
        (Signal::QUIT, 131),
    ] {
        let mut seen = Seen::start();
        seen.signal(signal);
        seen.ends_with(code);
    }
}

#[test]
fn a_panic_gives_the_terminal_back_and_is_readable() {
    let mut seen = Seen::start();
    seen.press("L");
    seen.ends_with(1);
    seen.until("a made-up panic");
}

#[test]
fn the_board_ends_when_its_terminal_goes_away() {
    for keys in ["", "?", "S"] {
        let (master, mut child) = start();
        until("the board", || !is_cooked(&*master));
        let mut writer = master.take_writer().unwrap();
        writer.write_all(keys.as_bytes()).unwrap();
        drop((writer, master));
        assert_eq!(exit_code(&mut child), 129, "{keys}");
    }
}

#[test]
fn a_shell_gets_the_terminal_and_the_board_takes_it_back() {
    let mut seen = Seen::start();
    seen.press("S");
    seen.until("shell in demo/s01 (80, 24)");
    assert!(!seen.screen.lock().unwrap().screen().alternate_screen());
    seen.press("K\u{3}");
    seen.until("bytes \"K\\u{3}\"");
    seen.press("x");
    seen.until("STUDENT");
    assert!(seen.screen.lock().unwrap().screen().alternate_screen());
    assert!(!is_cooked(&*seen.master), "the board needs every key as it is pressed");
    seen.press("S");
    seen.until("shell in");
    seen.press("f");
    seen.until("shell demo/s01: the shell broke");
    seen.press("q");
    seen.ends_with(0);
}

#[test]
fn a_shell_is_left_by_a_signal_too() {
    let mut seen = Seen::start();
    seen.press("S");
    seen.until("shell in");
    seen.signal(Signal::TERM);
    seen.ends_with(143);
}
