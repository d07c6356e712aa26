//! The terminal as a thing that is borrowed: taken, lent to a shell, and given back on every way out.
//!
//! Must not know: the model. A thread of its own reads the keys, because the reader may hang for ever in a terminal
//! that has gone away; the board must be able to end all the same.

use std::io::{self, stdout};
use std::sync::Once;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crossterm::event::{DisableBracketedPaste, DisableFocusChange, DisableMouseCapture, EnableBracketedPaste};
use crossterm::event::{Event, EventStream};
use crossterm::style::Print;
use crossterm::terminal::{
    Clear, ClearType, EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode,
};
use crossterm::{cursor, execute};
use futures_util::StreamExt;
use tokio::sync::{mpsc, oneshot};

/// Whether the terminal is in our hands. The panic hook has nothing else to go by.
static OURS: AtomicBool = AtomicBool::new(false);
static HOOK: Once = Once::new();

/// Key events that may wait for the loop: a large paste without bracketed paste.
const KEYS_WAITING: usize = 1024;
/// How long the reader gets to let go of the terminal before a shell takes it; usually it takes a millisecond.
const READER_STOPS_WITHIN: Duration = Duration::from_millis(500);
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

    /// Takes it back from a shell, whatever modes that has left behind: also cooked, as a shell leaves a terminal.
    #[expect(clippy::unused_self, reason = "only who has the terminal may take it back")]
    pub(super) fn take_back(&self) -> io::Result<()> {
        enable_raw_mode()?;
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
