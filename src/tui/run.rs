//! The run loop: hears keys and news, updates the model, draws when something changed.
//!
//! Nothing here waits for the agent: what goes out is handed over or refused at once, and the only thing awaited is
//! the next event. The terminal is given back on every way out.

use std::io;
use std::mem::ManuallyDrop;
use std::ops::ControlFlow;
use std::time::Duration;

use crossterm::event::Event as TermEvent;
use ratatui::Terminal;
use ratatui::backend::{Backend, CrosstermBackend};
use ratatui::layout::Rect;
use tokio::sync::mpsc;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval, sleep_until};

use crate::domain::fault::{Fault, FaultCode};
use crate::domain::ids::SeatId;
use crate::domain::settings::UiSettings;
use crate::signals::Ends;

use super::model::{Model, QUIET_AFTER};
use super::port::{Inbound, Outbound};
use super::terminal::{Keyboard, TerminalGuard, is_ours, is_there};
use super::theme::Look;
use super::update::{Event, not_cancelled, update};
use super::view;

/// What a terminal that goes away means, whether or not it said so with a signal.
const HUNG_UP: Exit = Exit::Signal(1);

/// Shortest time between two draws for keys: one frame of a usual screen.
const KEY_GAP: Duration = Duration::from_millis(16);
/// Shortest time between two draws for news: twenty a second look alive, and a burst becomes one draw.
const NEWS_GAP: Duration = Duration::from_millis(50);
/// The same on a slow line.
const SLOW_GAP: Duration = Duration::from_secs(1);
/// Messages taken in one go before keys are looked at again.
const BURST: usize = 256;
/// How often the board looks whether figures are old and the terminal still there.
const TICK: Duration = Duration::from_secs(1);

/// Orders that the channel to the connection should have room for: a verb on every seat of the largest room at once.
pub const ORDERS_WAITING: usize = 1024;

/// How the board ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// The person left.
    Quit,
    /// A signal (1 also when the terminal was found gone).
    Signal(u8),
}

impl Exit {
    /// The program's exit status: 0, or 128 and the signal's number.
    #[must_use]
    pub fn code(self) -> u8 {
        match self {
            Self::Quit => 0,
            Self::Signal(number) => 128 + number,
        }
    }
}

/// Why the board could not go on.
#[derive(Debug, thiserror::Error)]
pub enum BoardError {
    /// The terminal cannot be used.
    #[error("the terminal cannot be used: {0}")]
    Terminal(#[from] io::Error),
    /// Whoever tells the board the news has ended.
    #[error("the connection to the agent ended inside labtop; the program's log says why")]
    Feed,
    /// Some part of the program panicked and the terminal was given back.
    #[error("a part of labtop failed; the program's log says why")]
    Panicked,
}

/// Where events come from and orders go to.
struct Feed {
    inbound: mpsc::Receiver<Inbound>,
    outbound: mpsc::Sender<Outbound>,
    ends: Ends,
    ticks: Interval,
    /// Whether the terminal is still there.
    alive: fn() -> bool,
    /// Whether it is still ours: a panic anywhere in the program gives it back.
    ours: fn() -> bool,
}

/// Why the inner loop stopped.
#[derive(Debug, PartialEq, Eq)]
enum Stop {
    Exit(Exit),
    Shell(SeatId),
}

/// The model, and when it is to be drawn.
struct Board {
    model: Model,
    due: Option<Instant>,
    drawn: Option<Instant>,
}

impl Board {
    fn new(look: Look, size: (u16, u16)) -> Self {
        Self {
            model: Model::new(look, size),
            due: Some(Instant::now()),
            drawn: None,
        }
    }

    /// Something changed: draw soon, but not sooner than `gap` after the last time.
    fn touch(&mut self, gap: Duration) {
        let soonest = self.drawn.map_or_else(Instant::now, |drawn| drawn + gap);
        self.due = Some(self.due.map_or(soonest, |due| due.min(soonest)));
    }

    fn news_gap(&self) -> Duration {
        if self.model.look.slow { SLOW_GAP } else { NEWS_GAP }
    }

    fn draw<B: Backend>(&mut self, terminal: &mut Terminal<B>) -> io::Result<()> {
        let drawn = terminal.draw(|frame| view::draw(&self.model, frame));
        drawn.map_err(|error| io::Error::other(error.to_string()))?;
        self.due = None;
        self.drawn = Some(Instant::now());
        Ok(())
    }

    fn on_terminal(&mut self, event: TermEvent, outbound: &mpsc::Sender<Outbound>) -> Option<Stop> {
        let event = match event {
            TermEvent::Key(key) => Event::Key(key),
            TermEvent::Paste(text) => Event::Paste(text),
            TermEvent::Resize(cols, rows) => Event::Resize(cols, rows),
            TermEvent::FocusGained | TermEvent::FocusLost | TermEvent::Mouse(_) => return None,
        };
        self.touch(KEY_GAP);
        let orders = update(&mut self.model, event);
        self.send(orders, outbound)
    }

    fn hear(&mut self, inbound: Inbound) {
        self.touch(self.news_gap());
        update(&mut self.model, Event::In(inbound));
    }

    fn tick(&mut self, outbound: &mpsc::Sender<Outbound>) {
        let orders = update(&mut self.model, Event::Tick);
        self.send(orders, outbound);
        if self.model.quiet >= QUIET_AFTER {
            self.touch(self.news_gap());
        }
    }

    /// Hands orders over. What cannot be handed over at once has failed, and its dialog says so.
    fn send(&mut self, orders: Vec<Outbound>, outbound: &mpsc::Sender<Outbound>) -> Option<Stop> {
        for order in orders {
            match order {
                Outbound::Quit => return Some(Stop::Exit(Exit::Quit)),
                Outbound::Shell { seat } => return Some(Stop::Shell(seat)),
                order => {
                    if let Err(error) = outbound.try_send(order) {
                        let (mpsc::error::TrySendError::Full(order) | mpsc::error::TrySendError::Closed(order)) = error;
                        self.not_sent(order);
                    }
                }
            }
        }
        None
    }

    fn not_sent(&mut self, order: Outbound) {
        let why = "the connection to the agent is busy. Try again in a moment";
        match order {
            Outbound::Run { job, .. } | Outbound::Work { job, .. } => self.hear(Inbound::Done {
                job,
                outcome: Fault::new(FaultCode::Cancelled, why).into(),
            }),
            Outbound::OpenLog { stream, .. } | Outbound::OpenPart { stream, .. } => self.hear(Inbound::LogEnd {
                stream,
                why: Some(why.to_owned()),
            }),
            Outbound::List { stream, .. } => self.hear(Inbound::Archives {
                stream,
                rows: Err(why.to_owned()),
            }),
            Outbound::ListSessions { stream, .. } => self.hear(Inbound::Sessions {
                stream,
                rows: Err(why.to_owned()),
            }),
            Outbound::Peek { stream, .. } => self.hear(Inbound::Pass {
                stream,
                pass: Err(why.to_owned()),
            }),
            Outbound::OpenTree { stream, .. } => self.hear(Inbound::Tree {
                stream,
                tree: Err(why.to_owned()),
            }),
            // A task that was not told to stop goes on; the key can be pressed again.
            Outbound::Cancel(job) => not_cancelled(&mut self.model, job),
            Outbound::CloseLog(_) | Outbound::Shell { .. } | Outbound::Quit => {}
        }
    }
}

/// Runs the board on this process's terminal until the person leaves or a signal ends it.
///
/// `outbound` should have room for [`ORDERS_WAITING`]; what does not fit is told as failed where it was started.
/// `shell` gets the terminal whenever the person opens a shell in a seat; it returns when that shell ends.
///
/// # Errors
/// When the terminal cannot be used, `inbound` ends, or some part of the program panics.
pub async fn run<S>(
    inbound: mpsc::Receiver<Inbound>,
    outbound: mpsc::Sender<Outbound>,
    mut shell: S,
    settings: UiSettings,
) -> Result<Exit, BoardError>
where
    S: AsyncFnMut(SeatId) -> Result<(), Fault>,
{
    let look = Look {
        ascii: settings.ascii,
        slow: settings.slow,
        color: std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()),
    };
    let mut feed = Feed {
        inbound,
        outbound,
        ends: Ends::new()?,
        ticks: ticks(),
        alive: is_there,
        ours: is_ours,
    };
    match session(look, &mut feed, &mut shell).await {
        Err(BoardError::Terminal(_)) if !is_there() => Ok(HUNG_UP),
        ended => ended,
    }
}

/// The board from taking the terminal to giving it back.
async fn session<S>(look: Look, feed: &mut Feed, shell: &mut S) -> Result<Exit, BoardError>
where
    S: AsyncFnMut(SeatId) -> Result<(), Fault>,
{
    let guard = TerminalGuard::take()?;
    // Never dropped: its drop would report a cursor that it cannot show on a terminal that is gone, and panic when
    // standard error is gone with it. The guard shows the cursor.
    let mut terminal = ManuallyDrop::new(Terminal::new(CrosstermBackend::new(io::stdout()))?);
    let mut board = Board::new(look, crossterm::terminal::size()?);
    board.model.here = std::env::current_dir().unwrap_or_else(|_| "/".into());
    loop {
        let mut keyboard = Keyboard::start()?;
        let seat = match pump(&mut board, &mut terminal, &mut keyboard.events, feed).await? {
            Stop::Exit(exit) => return Ok(exit),
            Stop::Shell(seat) => seat,
        };
        keyboard.stop().await;
        if let Some(exit) = lend(&guard, &mut board, feed, shell, seat).await? {
            return Ok(exit);
        }
        // Makes it draw everything; `clear` would ask the terminal where its cursor is, and wait for the answer.
        terminal.resize(Rect::new(0, 0, board.model.size.0, board.model.size.1))?;
    }
}

fn ticks() -> Interval {
    let mut ticks = interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    ticks
}

/// The inner loop, until something ends it or a shell wants the terminal.
async fn pump<B: Backend>(
    board: &mut Board,
    terminal: &mut Terminal<B>,
    keys: &mut mpsc::Receiver<TermEvent>,
    feed: &mut Feed,
) -> Result<Stop, BoardError> {
    loop {
        let due = board.due;
        tokio::select! {
            biased;
            number = feed.ends.next() => return Ok(Stop::Exit(Exit::Signal(number))),
            event = keys.recv() => match event {
                None => return Ok(Stop::Exit(HUNG_UP)),
                Some(event) => if let Some(stop) = board.on_terminal(event, &feed.outbound) {
                    return Ok(stop);
                },
            },
            () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => {
                if !(feed.ours)() {
                    return Err(BoardError::Panicked);
                }
                if let Err(error) = board.draw(terminal) {
                    return if (feed.alive)() { Err(error.into()) } else { Ok(Stop::Exit(HUNG_UP)) };
                }
            }
            news = feed.inbound.recv() => {
                board.hear(news.ok_or(BoardError::Feed)?);
                for news in (0..BURST).map_while(|_| feed.inbound.try_recv().ok()) {
                    board.hear(news);
                }
            }
            _ = feed.ticks.tick() => {
                match ((feed.alive)(), (feed.ours)()) {
                    (false, _) => return Ok(Stop::Exit(HUNG_UP)),
                    (true, false) => return Err(BoardError::Panicked),
                    (true, true) => board.tick(&feed.outbound),
                }
            }
        }
    }
}

/// Lends the terminal to a shell. News are still heard, so that nobody who tells them has to wait.
async fn lend<S>(
    guard: &TerminalGuard,
    board: &mut Board,
    feed: &mut Feed,
    shell: &mut S,
    seat: SeatId,
) -> Result<Option<Exit>, BoardError>
where
    S: AsyncFnMut(SeatId) -> Result<(), Fault>,
{
    guard.lend()?;
    let ended = match in_shell(board, feed, shell, seat.clone()).await? {
        ControlFlow::Break(exit) => return Ok(Some(exit)),
        ControlFlow::Continue(ended) => ended,
    };
    guard.take_back()?;
    let (cols, rows) = crossterm::terminal::size()?;
    update(&mut board.model, Event::Resize(cols, rows));
    let fault = ended.err();
    update(&mut board.model, Event::ShellEnded { seat, fault });
    board.touch(KEY_GAP);
    Ok(None)
}

/// Waits for a shell to end, well or badly, or for a signal that ends the board.
async fn in_shell<S>(
    board: &mut Board,
    feed: &mut Feed,
    shell: &mut S,
    seat: SeatId,
) -> Result<ControlFlow<Exit, Result<(), Fault>>, BoardError>
where
    S: AsyncFnMut(SeatId) -> Result<(), Fault>,
{
    let mut session = std::pin::pin!(shell(seat));
    loop {
        tokio::select! {
            biased;
            number = feed.ends.next() => return Ok(ControlFlow::Break(Exit::Signal(number))),
            ended = &mut session => return Ok(ControlFlow::Continue(ended)),
            news = feed.inbound.recv() => board.hear(news.ok_or(BoardError::Feed)?),
        }
    }
}

#[cfg(test)]
mod tests;
