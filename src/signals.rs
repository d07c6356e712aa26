//! The signals that end what has a terminal, so that the terminal is given back first.
//!
//! Knows: which they are, and their numbers for the exit status. Must not know: what is ended.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// Listens to hang-up, interrupt, quit and termination from its making on.
#[derive(Debug)]
pub struct Ends {
    hangup: Signal,
    interrupt: Signal,
    quit: Signal,
    terminate: Signal,
}

impl Ends {
    /// Begins to listen; until the end of the process none of them ends it by itself.
    ///
    /// # Errors
    /// When the system does not let it.
    pub fn new() -> io::Result<Self> {
        Ok(Self {
            hangup: signal(SignalKind::hangup())?,
            interrupt: signal(SignalKind::interrupt())?,
            quit: signal(SignalKind::quit())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    /// The number of the next one. May be dropped while it waits: nothing is lost.
    pub async fn next(&mut self) -> u8 {
        tokio::select! {
            _ = self.hangup.recv() => 1,
            _ = self.interrupt.recv() => 2,
            _ = self.quit.recv() => 3,
            _ = self.terminate.recv() => 15,
        }
    }
}
