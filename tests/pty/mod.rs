//! A real program in a pseudo-terminal of 80 × 24: keys go in, and the screen is awaited, never guessed at.
#![allow(dead_code, reason = "each test uses a part of it")]

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io::{Read, Write};
use std::num::NonZeroU16;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use portable_pty::{Child, CommandBuilder, MasterPty, PtySize, native_pty_system};

/// Far more than anything here takes, also on a busy machine.
const PATIENCE: Duration = Duration::from_mins(1);
/// What a terminal does for whoever types lines.
const EDITING: [&str; 3] = ["ICANON", "ECHO", "ISIG"];
const COLS: u16 = 80;
const ROWS: u16 = 24;

/// A program on a terminal; ended when dropped.
pub struct Terminal {
    master: Option<Box<dyn MasterPty + Send>>,
    keys: Option<Box<dyn Write + Send>>,
    child: Box<dyn Child + Send + Sync>,
    shown: RefCell<Shown>,
    unwatched: Arc<AtomicBool>,
}

/// What has come from the program, and what of it is on the screen already.
struct Shown {
    bytes: Receiver<Vec<u8>>,
    waiting: VecDeque<u8>,
    parser: vt100::Parser,
}

impl Terminal {
    /// Starts what would be started without a terminal.
    pub fn start(command: &Command) -> Self {
        let size = PtySize {
            rows: ROWS,
            cols: COLS,
            pixel_width: 0,
            pixel_height: 0,
        };
        let pair = native_pty_system().openpty(size).unwrap();
        let mut builder = CommandBuilder::new(command.get_program());
        builder.args(command.get_args());
        builder.env("TERM", "xterm-256color");
        builder.env_remove("NO_COLOR");
        for (key, value) in command.get_envs() {
            match value {
                Some(value) => builder.env(key, value),
                None => builder.env_remove(key),
            }
        }
        let child = pair.slave.spawn_command(builder).unwrap();
        let unwatched = Arc::new(AtomicBool::new(false));
        let bytes = watch(pair.master.try_clone_reader().unwrap(), Arc::clone(&unwatched));
        let parser = vt100::Parser::new(NonZeroU16::new(ROWS).unwrap(), NonZeroU16::new(COLS).unwrap(), 0);
        Self {
            keys: Some(pair.master.take_writer().unwrap()),
            master: Some(pair.master),
            child,
            shown: RefCell::new(Shown {
                bytes,
                waiting: VecDeque::new(),
                parser,
            }),
            unwatched,
        }
    }

    /// Types keys, all at once.
    pub fn press(&mut self, keys: &str) {
        let typed = self.keys.as_mut().unwrap();
        typed.write_all(keys.as_bytes()).unwrap();
        typed.flush().unwrap();
    }

    /// Everything that is on the screen now.
    pub fn screen(&self) -> String {
        let mut shown = self.shown.borrow_mut();
        while shown.next(Duration::ZERO) {}
        shown.screen()
    }

    /// Waits for a text on the screen.
    #[track_caller]
    pub fn shows(&self, text: &str) {
        self.until(&format!("{text:?}"), |screen| screen.contains(text));
    }

    /// Waits for a line on the screen that contains all these texts.
    #[track_caller]
    pub fn shows_line(&self, texts: &[&str]) {
        self.until(&format!("a line with {texts:?}"), |screen| has_line(screen, texts));
    }

    /// Waits for something on the screen. It is looked at between any two steps of a draw, so that what is shown for a
    /// moment only is seen too.
    #[track_caller]
    pub fn until(&self, what: &str, is: impl Fn(&str) -> bool) {
        let end = Instant::now() + PATIENCE;
        let mut shown = self.shown.borrow_mut();
        while !is(&shown.screen()) {
            let left = end.saturating_duration_since(Instant::now());
            assert!(shown.next(left), "{what} never came to the screen:\n{}", shown.screen());
        }
    }

    /// Whether the terminal hands every key on at once and echoes none.
    pub fn is_raw(&self) -> bool {
        !EDITING.iter().any(|mode| self.has(mode))
    }

    /// Whether the terminal edits and echoes lines by itself, as a person at a shell expects.
    pub fn is_cooked(&self) -> bool {
        EDITING.iter().all(|mode| self.has(mode))
    }

    fn has(&self, mode: &str) -> bool {
        let modes = self.master.as_ref().unwrap().get_termios().unwrap();
        let names = format!("{:?}", modes.local_flags);
        names.split(|c: char| !c.is_ascii_uppercase()).any(|name| name == mode)
    }

    /// Whether the alternate screen is shown.
    pub fn is_alternate(&self) -> bool {
        self.screen();
        self.shown.borrow().parser.screen().alternate_screen()
    }

    /// Waits for the end of the program and for its last words, and gives its exit code.
    #[track_caller]
    pub fn exit_code(&mut self) -> u32 {
        let end = Instant::now() + PATIENCE;
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            assert!(Instant::now() < end, "it lives on:\n{}", self.screen());
            std::thread::sleep(Duration::from_millis(5));
        };
        let mut shown = self.shown.borrow_mut();
        while shown.next(end.saturating_duration_since(Instant::now())) {}
        status.exit_code()
    }

    /// Takes the terminal away from the program, as closing its window does.
    pub fn hang_up(&mut self) {
        self.unwatched.store(true, Ordering::SeqCst);
        let mut shown = self.shown.borrow_mut();
        // The watcher lets go of the terminal at the program's next words.
        while shown.next(PATIENCE) {}
        self.keys = None;
        self.master = None;
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Shown {
    /// Puts the next few bytes on the screen, up to the next escape sequence; false when none come in time.
    fn next(&mut self, within: Duration) -> bool {
        if self.waiting.is_empty() {
            let Ok(bytes) = self.bytes.recv_timeout(within) else {
                return false;
            };
            self.waiting.extend(bytes);
        }
        let rest = self.waiting.iter().skip(1).position(|byte| *byte == 0x1b);
        let count = rest.map_or(self.waiting.len(), |at| at + 1);
        let step: Vec<u8> = self.waiting.drain(..count).collect();
        self.parser.process(&step);
        true
    }

    fn screen(&self) -> String {
        self.parser.screen().contents()
    }
}

/// Reads the terminal on a thread of its own, until it is gone or nobody watches any more.
fn watch(mut reader: Box<dyn Read + Send>, unwatched: Arc<AtomicBool>) -> Receiver<Vec<u8>> {
    let (sender, bytes) = channel();
    std::thread::spawn(move || {
        let mut buffer = [0; 4096];
        while let Ok(count @ 1..) = reader.read(&mut buffer) {
            if sender.send(buffer[..count].to_vec()).is_err() || unwatched.load(Ordering::SeqCst) {
                break;
            }
        }
    });
    bytes
}

/// Whether a line of the screen contains all these texts.
pub fn has_line(screen: &str, texts: &[&str]) -> bool {
    screen.lines().any(|line| texts.iter().all(|text| line.contains(text)))
}
