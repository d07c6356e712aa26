//! A shell in a seat on this terminal: raw while it lasts, as it was before on every way out.
//!
//! Knows: this terminal and the wire's shell. Must not know: who draws on the terminal otherwise; whoever does must
//! have stopped reading keys.

use std::fs::File;
use std::io::{self, IsTerminal, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;

use bytes::{Bytes, BytesMut};
use rustix::fs::OFlags;
use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe::Receiver;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::exit::{Exit, Problem};
use crate::domain::ids::SeatId;
use crate::signals::Ends;
use crate::wire::client::{CallError, Client, ShellReader, ShellWriter};

/// Ctrl-]: leaves a shell that does not listen any more, as in telnet.
const LEAVE: u8 = 0x1d;
/// Most bytes that are read from the terminal at once; what is pasted beyond comes next.
const TYPED_MAX: usize = 4096;
/// Undoes what a program in the shell may have left on: colours, hidden cursor, mouse reports, bracketed paste,
/// application keys, and the alternate screen (the cursor saved first, for leaving it restores one).
const CALM: &[u8] =
    b"\x1b[0m\x1b[?25h\x1b[?1000l\x1b[?1002l\x1b[?1003l\x1b[?1006l\x1b[?2004l\x1b[?1l\x1b>\x1b7\x1b[?1049l";

/// Why a shell came to no good end.
#[derive(Debug, thiserror::Error)]
pub enum ShellError {
    /// There is nobody to type.
    #[error("a shell needs a terminal: standard input and output must be one")]
    NoTerminal,
    /// The terminal failed.
    #[error("the terminal failed: {0}")]
    Terminal(#[from] io::Error),
    /// This process was told to end.
    #[error("ended by signal {0}; the shell in the seat is ended too")]
    Signal(u8),
    /// The agent or the seat failed.
    #[error(transparent)]
    Call(#[from] CallError),
}

impl From<ShellError> for Problem {
    fn from(error: ShellError) -> Self {
        match error {
            ShellError::NoTerminal => Self::new(Exit::Usage, error.to_string()),
            ShellError::Terminal(_) => Self::new(Exit::Failed, error.to_string()),
            ShellError::Signal(number) => Self::new(Exit::Signal(number), error.to_string()),
            ShellError::Call(error) => error.into(),
        }
    }
}

/// Hands this terminal to a shell in `seat` until the shell ends, or the person leaves with Ctrl-].
///
/// Nothing else may read the terminal meanwhile.
///
/// # Errors
/// When there is no terminal, or the shell cannot be opened, or it is lost in the middle.
pub async fn shell_session(client: &Client, seat: &SeatId) -> Result<(), ShellError> {
    if !io::stdin().is_terminal() || !io::stdout().is_terminal() {
        return Err(ShellError::NoTerminal);
    }
    let (cols, rows) = crossterm::terminal::size()?;
    let (reader, writer) = client.shell(seat.clone(), cols, rows).await?;
    let mut resized = signal(SignalKind::window_change())?;
    let mut ends = Ends::new()?;
    let keys = Keys::open()?;
    say(format!("Shell in {seat}; Ctrl-] leaves.\r\n").as_bytes())?;
    let _raw = Raw::enter()?;
    tokio::select! {
        printed = print_all(reader) => printed,
        typed = type_all(keys, writer, &mut resized) => typed,
        number = ends.next() => Err(ShellError::Signal(number)),
    }
}

async fn print_all(mut reader: ShellReader) -> Result<(), ShellError> {
    while let Some(bytes) = reader.next().await? {
        say(&bytes)?;
    }
    Ok(())
}

/// Ends when the person leaves. When the connection breaks, the reading side says why; Ctrl-] leaves all the same.
async fn type_all(mut keys: Keys, mut writer: ShellWriter, resized: &mut Signal) -> Result<(), ShellError> {
    let mut broken = false;
    loop {
        let sent = tokio::select! {
            _ = resized.recv() => {
                let (cols, rows) = crossterm::terminal::size()?;
                if broken { Ok(()) } else { writer.resize(cols, rows).await }
            }
            typed = keys.next() => {
                let typed = typed?;
                let leaving = typed.iter().position(|byte| *byte == LEAVE);
                let before = typed.slice(..leaving.unwrap_or(typed.len()));
                let sent = if broken { Ok(()) } else { writer.data(before).await };
                if leaving.is_some() || typed.is_empty() {
                    // A connection that is gone already has ended the shell too.
                    if !broken {
                        let _ = writer.end().await;
                    }
                    return Ok(());
                }
                sent
            }
        };
        broken |= sent.is_err();
    }
}

fn say(bytes: &[u8]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(bytes)?;
    out.flush()
}

/// The terminal in raw mode while it lives.
struct Raw;

impl Raw {
    fn enter() -> io::Result<Self> {
        crossterm::terminal::enable_raw_mode()?;
        Ok(Self)
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        // There is nobody left to tell when the terminal is gone.
        let _ = say(CALM);
        let _ = crossterm::terminal::disable_raw_mode();
        let _ = say(b"\r\n");
    }
}

/// What is typed. The terminal is opened anew: its own non-blocking mode disturbs no other user of it, and a read
/// that is given up takes no key away from whoever reads next.
struct Keys(Receiver);

impl Keys {
    fn open() -> io::Result<Self> {
        let open = |path: &std::path::Path| {
            let flags = (OFlags::NONBLOCK | OFlags::NOCTTY).bits().cast_signed();
            File::options().read(true).custom_flags(flags).open(path)
        };
        let named = rustix::termios::ttyname(io::stdin(), Vec::new());
        let file = match named {
            Ok(name) => open(std::ffi::OsStr::from_bytes(name.as_bytes()).as_ref()),
            Err(error) => Err(error.into()),
        };
        // In a container the terminal may have no name of its own here.
        let file = file.or_else(|_| open("/dev/tty".as_ref()))?;
        // It is no pipe, but awaited like one: a descriptor that tells when it can be read.
        Ok(Self(Receiver::from_file_unchecked(file)?))
    }

    /// The next bytes; none when the terminal is gone. May be dropped while it waits: nothing is lost.
    async fn next(&mut self) -> io::Result<Bytes> {
        let mut bytes = BytesMut::with_capacity(TYPED_MAX);
        self.0.read_buf(&mut bytes).await?;
        Ok(bytes.freeze())
    }
}
