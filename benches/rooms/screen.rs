//! The board in a pseudo-terminal, timed from the start of its process.
#![allow(dead_code, reason = "each benchmark uses a part of it")]

use std::cell::RefCell;
use std::io::{Read, Write};
use std::num::NonZeroU16;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use portable_pty::{Child, CommandBuilder, MasterPty, PtySize, native_pty_system};

use crate::figures::peak_kib;
use crate::lab::{LABTOP, Lab};

const COLS: u16 = 160;
const ROWS: u16 = 48;
/// What it says while no agent answers.
const LOST: &str = "The agent does not answer";
/// A screen that does not come within this never comes.
const PATIENCE: Duration = Duration::from_secs(30);

/// A board on a screen.
pub struct Board {
    started: Instant,
    child: Box<dyn Child + Send + Sync>,
    bytes: Receiver<Vec<u8>>,
    parser: RefCell<vt100::Parser>,
    keys: Box<dyn Write + Send>,
    _master: Box<dyn MasterPty + Send>,
}

impl Board {
    /// Starts `labtop` in a new pseudo-terminal.
    pub fn start(lab: &Lab) -> Self {
        let size = PtySize {
            rows: ROWS,
            cols: COLS,
            pixel_width: 0,
            pixel_height: 0,
        };
        let pair = native_pty_system().openpty(size).unwrap();
        let mut command = CommandBuilder::new(LABTOP);
        command.env("TERM", "xterm-256color");
        for (key, value) in lab.env() {
            command.env(key, value);
        }
        let started = Instant::now();
        let child = pair.slave.spawn_command(command).unwrap();
        let mut reader = pair.master.try_clone_reader().unwrap();
        let (sender, bytes) = channel();
        std::thread::spawn(move || {
            let mut buffer = [0; 16_384];
            while let Ok(count @ 1..) = reader.read(&mut buffer) {
                if sender.send(buffer[..count].to_vec()).is_err() {
                    break;
                }
            }
        });
        let parser = vt100::Parser::new(NonZeroU16::new(ROWS).unwrap(), NonZeroU16::new(COLS).unwrap(), 0);
        Self {
            started,
            child,
            bytes,
            parser: RefCell::new(parser),
            keys: pair.master.take_writer().unwrap(),
            _master: pair.master,
        }
    }

    /// Time until the screen is full of seats.
    pub fn until_list(&self) -> Duration {
        self.until(|screen| seat_rows(screen).count() >= 30)
    }

    /// Time until every row on the screen shows its figures.
    pub fn until_figures(&self) -> Duration {
        self.until(|screen| seat_rows(screen).count() >= 30 && seat_rows(screen).all(has_figures))
    }

    /// Moves the cursor down or up; the time until the screen shows it.
    pub fn moves(&mut self, down: bool) -> Duration {
        let row = |screen: &str| screen.lines().position(|line| line.contains('▸'));
        let before = row(&self.parser.borrow().screen().contents());
        let pressed = Instant::now();
        self.keys.write_all(if down { b"j" } else { b"k" }).unwrap();
        self.keys.flush().unwrap();
        self.until(|screen| row(screen) != before);
        pressed.elapsed()
    }

    /// Waits until it says that its agent is gone.
    pub fn until_lost(&self) {
        self.until(|screen| screen.contains(LOST));
    }

    /// Waits until it has an agent again that has seen the seats.
    pub fn until_found(&self) {
        self.until(|screen| {
            !screen.contains(LOST) && seat_rows(screen).filter(|row| row.contains("Ready")).count() >= 30
        });
    }

    /// Peak memory of its process, KiB.
    pub fn peak_kib(&self) -> u64 {
        self.child.process_id().map_or(0, peak_kib)
    }

    fn until(&self, shows: impl Fn(&str) -> bool) -> Duration {
        loop {
            if shows(&self.parser.borrow().screen().contents()) {
                return self.started.elapsed();
            }
            match self.bytes.recv_timeout(PATIENCE) {
                Ok(bytes) => self.parser.borrow_mut().process(&bytes),
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
                    panic!(
                        "the board never showed it:\n{}",
                        self.parser.borrow().screen().contents()
                    )
                }
            }
        }
    }
}

impl Drop for Board {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The lines that show a seat of `--seats`.
fn seat_rows(screen: &str) -> impl Iterator<Item = &str> {
    screen.lines().filter(|line| {
        let word = line.split_whitespace().find(|w| w.starts_with('s'));
        word.is_some_and(|w| w.len() >= 3 && w[1..].bytes().all(|b| b.is_ascii_digit()))
    })
}

/// Whether a seat's line shows its memory and its CPU, which takes two samples.
fn has_figures(row: &str) -> bool {
    let percent = |word: &str| word.contains('.') && word.parse::<f32>().is_ok();
    row.contains("iB") && row.split_whitespace().any(percent)
}
