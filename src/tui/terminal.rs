//! The terminal as a thing that is borrowed: taken, lent to a shell, and given back on every way out.
//!
//! Must not know: the model. A thread of its own reads the keys, because the reader may hang for ever in a terminal
//! that has gone away; the board must be able to end all the same.

use std::io::{self, stdout};
use std::sync::Once;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use crossterm::event::{DisableBracketedPaste, DisableFocusChange, DisableMouseCapture, EnableBracketedPaste};
use crossterm::event::{Event, EventStream};
use crossterm::style::Print;
use crossterm::terminal::{
    Clear, ClearType, EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode,
};
use crossterm::{cursor, execute};
use futures_util::StreamExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::unix::pipe;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{mpsc, oneshot};

/// Whether the terminal is in our hands. The panic hook has nothing else to go by.
static OURS: AtomicBool = AtomicBool::new(false);
static HOOK: Once = Once::new();

/// Key events that may wait for the loop: a large paste without bracketed paste.
const KEYS_WAITING: usize = 1024;
/// How long the reader gets to let go of the terminal before a shell takes it; usually it takes a millisecond.
const READER_STOPS_WITHIN: Duration = Duration::from_millis(500);
/// Bytes read at once for a shell: a large paste.
const READ_BYTES: usize = 8 * 1024;
/// The terminal that this process belongs to.
const CONTROLLING: &str = "/dev/tty";
/// DECSTR: undoes modes that a shell may have left behind.
const SOFT_RESET: &str = "\x1b[!p";

/// Makes every panic give the terminal back before it is reported. Does so once, however often it is called.
pub fn install_panic_hook() {
    HOOK.call_once(|| {
        let report = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            restore();
            report(info);
        }));
    });
}

/// Gives the terminal back if we have it. Failures are left alone: there is nobody left to tell.
fn restore() {
    if OURS.swap(false, Ordering::SeqCst) {
        let _ = execute!(stdout(), DisableBracketedPaste, LeaveAlternateScreen, cursor::Show);
        let _ = disable_raw_mode();
    }
}

/// Whether the terminal is in our hands: a panic in any task gives it back.
pub(super) fn is_ours() -> bool {
    OURS.load(Ordering::SeqCst)
}

/// Whether the terminal behind us is still there.
pub(super) fn is_there() -> bool {
    !matches!(rustix::termios::tcgetattr(stdout()), Err(rustix::io::Errno::IO))
}

/// Holds the terminal; dropping it gives the terminal back.
#[derive(Debug)]
pub(super) struct TerminalGuard(());

impl TerminalGuard {
    /// Takes the terminal: raw, on the alternate screen.
    pub(super) fn take() -> io::Result<Self> {
        install_panic_hook();
        OURS.store(true, Ordering::SeqCst);
        let guard = Self(());
        enable_raw_mode()?;
        enter()?;
        Ok(guard)
    }

    /// Makes the plain screen visible for a shell. The terminal stays raw, as a shell elsewhere needs it.
    #[expect(clippy::unused_self, reason = "only who has the terminal may lend it")]
    pub(super) fn lend(&self) -> io::Result<()> {
        execute!(stdout(), DisableBracketedPaste, LeaveAlternateScreen, cursor::Show)
    }

    /// Takes it back from a shell, whatever modes that has left behind.
    #[expect(clippy::unused_self, reason = "only who has the terminal may take it back")]
    pub(super) fn take_back(&self) -> io::Result<()> {
        execute!(stdout(), DisableMouseCapture, DisableFocusChange, Print(SOFT_RESET))?;
        enter()
    }
}

fn enter() -> io::Result<()> {
    execute!(
        stdout(),
        EnterAlternateScreen,
        Clear(ClearType::All),
        EnableBracketedPaste,
        cursor::Hide
    )
}

impl Drop for TerminalGuard {
    fn drop(&mut self) {
        restore();
    }
}

/// Reads keys on a thread of its own.
#[derive(Debug)]
pub(super) struct Keyboard {
    /// What was read; ends when the terminal is gone.
    pub(super) events: mpsc::Receiver<Event>,
    stop: oneshot::Sender<()>,
    ended: oneshot::Receiver<()>,
}

impl Keyboard {
    /// Begins to read.
    pub(super) fn start() -> io::Result<Self> {
        let (send, events) = mpsc::channel(KEYS_WAITING);
        let (stop, stopped) = oneshot::channel();
        let (end, ended) = oneshot::channel();
        let runtime = tokio::runtime::Builder::new_current_thread().build()?;
        std::thread::Builder::new().name("keys".to_owned()).spawn(move || {
            runtime.block_on(read_keys(send, stopped));
            let _ = end.send(());
        })?;
        Ok(Self { events, stop, ended })
    }

    /// Stops reading, so that another reader gets every byte from now on.
    pub(super) async fn stop(self) {
        drop((self.stop, self.events));
        let _ = tokio::time::timeout(READER_STOPS_WITHIN, self.ended).await;
    }
}

async fn read_keys(send: mpsc::Sender<Event>, mut stopped: oneshot::Receiver<()>) {
    let mut stream = EventStream::new();
    loop {
        let event = tokio::select! {
            biased;
            _ = &mut stopped => return,
            event = stream.next() => event,
        };
        let Some(Ok(event)) = event else { return };
        if send.send(event).await.is_err() {
            return;
        }
    }
}

/// What a person does at a terminal that a shell has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TtyEvent {
    /// Typed bytes, as they are.
    Bytes(Bytes),
    /// The terminal has this size now.
    Resized {
        /// Columns.
        cols: u16,
        /// Rows.
        rows: u16,
    },
    /// The terminal is gone.
    Closed,
}

/// The raw terminal, for a shell.
#[derive(Debug)]
pub struct Tty {
    input: pipe::Receiver,
    output: pipe::Sender,
    resized: Signal,
}

impl Tty {
    /// Opens the controlling terminal anew, so that making it non-blocking changes nothing for anybody else.
    ///
    /// # Errors
    /// When there is no controlling terminal.
    pub fn open() -> io::Result<Self> {
        // A terminal is no pipe, but waits and reads like one; this is tokio's one safe door to such a file.
        let mut options = pipe::OpenOptions::new();
        options.unchecked(true);
        Ok(Self {
            input: options.open_receiver(CONTROLLING)?,
            output: options.open_sender(CONTROLLING)?,
            resized: signal(SignalKind::window_change())?,
        })
    }

    /// Columns and rows.
    ///
    /// # Errors
    /// When the terminal does not say.
    pub fn size(&self) -> io::Result<(u16, u16)> {
        crossterm::terminal::size()
    }

    /// Waits for what the person does next. May be dropped and called again; nothing is lost.
    ///
    /// # Errors
    /// When the terminal cannot be read.
    pub async fn next(&mut self) -> io::Result<TtyEvent> {
        let mut buffer = [0; READ_BYTES];
        tokio::select! {
            biased;
            _ = self.resized.recv() => {
                let (cols, rows) = crossterm::terminal::size()?;
                Ok(TtyEvent::Resized { cols, rows })
            }
            count = self.input.read(&mut buffer) => match count? {
                0 => Ok(TtyEvent::Closed),
                count => Ok(TtyEvent::Bytes(Bytes::copy_from_slice(&buffer[..count]))),
            },
        }
    }

    /// Writes bytes as they are.
    ///
    /// # Errors
    /// When the terminal is gone.
    pub async fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.output.write_all(bytes).await
    }
}
