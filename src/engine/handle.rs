//! How the rest of the agent talks to the engine's loop: by messages, never by shared state.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::{broadcast, mpsc, oneshot, watch};

use super::clock;
use super::news::News;
use crate::domain::command::{Answer, Command, Excerpt, Outcome, ProgressReport, Query};
use crate::domain::door::{DoorState, DoorWish, Knock, KnockAnswer};
use crate::domain::fault::{Denial, Fault, FaultCode};
use crate::domain::ids::{ArchiveId, SeatId};
use crate::domain::notice::Notice;
use crate::domain::role::Actor;
use crate::domain::snapshot::Snapshot;
use crate::metrics::Counts;

/// An open shell in a seat, and what a person types into it. Dropping the shell ends it.
pub use crate::world::docker::{Shell as ShellSession, ShellInput};

/// What a running command sends back: any number of reports, then one outcome.
#[derive(Debug, Clone, PartialEq)]
pub enum CommandEvent {
    /// How far it has come. Reports may be left out when the reader is slow.
    Progress(ProgressReport),
    /// The answer; nothing follows.
    Done(Outcome),
}

/// A seat's log, as bytes that nobody has cleaned yet; ends at its end or, when followed, with the container. A fault is
/// the last thing in it.
pub type LogStream = mpsc::Receiver<Result<Bytes, Fault>>;

/// A message to the loop.
#[derive(Debug)]
pub enum Request {
    /// Change something.
    Command {
        /// Who asks.
        actor: Actor,
        /// What.
        command: Command,
        /// Where reports and the outcome go.
        events: mpsc::Sender<CommandEvent>,
    },
    /// Say that the loop lives.
    Pulse {
        /// Answered by the loop itself.
        reply: oneshot::Sender<()>,
    },
    /// Tell something.
    Ask {
        /// Who asks.
        actor: Actor,
        /// What.
        query: Query,
        /// Where the answer goes.
        reply: oneshot::Sender<Answer>,
    },
    /// Somebody types in a seat.
    Touch {
        /// Which.
        seat: SeatId,
    },
    /// A gateway asks.
    Knock {
        /// Which.
        actor: Actor,
        /// What.
        knock: Knock,
        /// Where the answer goes.
        reply: oneshot::Sender<KnockAnswer>,
    },
    /// The same for somebody who has proven who they are.
    Wish {
        /// Which gateway.
        actor: Actor,
        /// What.
        wish: DoorWish,
        /// Where the answer goes.
        reply: oneshot::Sender<KnockAnswer>,
    },
    /// Read a log.
    Logs {
        /// Who asks.
        actor: Actor,
        /// Whose.
        seat: SeatId,
        /// How many of its last lines.
        tail: u32,
        /// Whether to go on with new ones.
        follow: bool,
        /// Where the stream goes.
        reply: oneshot::Sender<Result<LogStream, Denial>>,
    },
    /// Read a part of a stored archive.
    Fetch {
        /// Who asks.
        actor: Actor,
        /// Which archive.
        id: ArchiveId,
        /// Which part.
        excerpt: Excerpt,
        /// Where the stream goes.
        reply: oneshot::Sender<Result<LogStream, Denial>>,
    },
    /// Read a copy of the ledger.
    Backup {
        /// Who asks.
        actor: Actor,
        /// Where the stream goes.
        reply: oneshot::Sender<Result<LogStream, Denial>>,
    },
    /// Open a shell.
    Shell {
        /// Who asks.
        actor: Actor,
        /// In which seat.
        seat: SeatId,
        /// Columns of the person's terminal.
        cols: u16,
        /// Rows of the person's terminal.
        rows: u16,
        /// Where the session goes.
        reply: oneshot::Sender<Result<ShellSession, Denial>>,
    },
}

/// Reports of one command that may wait to be read; more are left out, the outcome never is.
const REPORTS_WAITING: usize = 64;

/// A cheap, cloneable way to the engine.
#[derive(Debug, Clone)]
pub struct Handle {
    pub(super) requests: mpsc::Sender<Request>,
    pub(super) snapshots: watch::Receiver<Arc<Snapshot>>,
    pub(super) news: News,
    pub(super) attached: Arc<watch::Sender<usize>>,
    pub(super) counts: Counts,
    pub(super) doors: Arc<watch::Sender<Arc<DoorState>>>,
}

/// Counts as an attached person while it lives.
#[derive(Debug)]
pub struct Attached(Arc<watch::Sender<usize>>);

impl Drop for Attached {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count -= 1);
    }
}

impl Handle {
    /// A handle to the loop that reads `requests`, shows `snapshots` and tells `notices`.
    #[must_use]
    pub fn new(
        requests: mpsc::Sender<Request>,
        snapshots: watch::Receiver<Arc<Snapshot>>,
        notices: broadcast::Sender<Notice>,
    ) -> Self {
        Self {
            requests,
            snapshots,
            news: News::new(notices),
            attached: Arc::new(watch::Sender::new(0)),
            counts: Counts::default(),
            doors: Arc::default(),
        }
    }

    /// What gateways answer from, and every newer state of it; a slow reader skips.
    #[must_use]
    pub fn doors(&self) -> watch::Receiver<Arc<DoorState>> {
        self.doors.subscribe()
    }

    /// The wall clock that ends are judged by, Unix milliseconds.
    #[must_use]
    pub fn now_unix_ms(&self) -> u64 {
        clock::unix_ms()
    }

    /// Asks for a gateway.
    pub async fn knock(&self, actor: Actor, knock: Knock) -> KnockAnswer {
        self.call(|reply| Request::Knock { actor, knock, reply })
            .await
            .unwrap_or_else(KnockAnswer::from)
    }

    /// What is counted.
    #[must_use]
    pub fn counts(&self) -> &Counts {
        &self.counts
    }

    /// The newest snapshot, and every newer one; a slow reader skips.
    #[must_use]
    pub fn snapshots(&self) -> watch::Receiver<Arc<Snapshot>> {
        self.snapshots.clone()
    }

    /// News from now on; a slow reader is told how many it missed.
    #[must_use]
    pub fn notices(&self) -> broadcast::Receiver<Notice> {
        self.news.subscribe()
    }

    /// Incidents of late, oldest first, for whoever begins to look.
    #[must_use]
    pub fn incidents(&self) -> Vec<Notice> {
        self.news.incidents()
    }

    /// Marks somebody as attached until the mark is dropped. A detached agent ends only when nobody is.
    #[must_use]
    pub fn attach(&self) -> Attached {
        self.attached.send_modify(|count| *count += 1);
        Attached(Arc::clone(&self.attached))
    }

    /// How many are attached.
    #[must_use]
    pub fn attached(&self) -> watch::Receiver<usize> {
        self.attached.subscribe()
    }

    /// Runs a command. It goes on when the receiver is dropped.
    pub async fn run(&self, actor: Actor, command: Command) -> mpsc::Receiver<CommandEvent> {
        let (events, receiver) = mpsc::channel(REPORTS_WAITING);
        let request = Request::Command {
            actor,
            command,
            events: events.clone(),
        };
        if self.requests.send(request).await.is_err() {
            let _ = events.send(CommandEvent::Done(stopping().into())).await;
        }
        receiver
    }

    /// Whether the loop lives: returns when it has answered; a loop that hangs never does.
    ///
    /// # Errors
    /// When it has ended.
    pub async fn pulse(&self) -> Result<(), Fault> {
        self.call(|reply| Request::Pulse { reply }).await
    }

    /// Asks a question.
    pub async fn ask(&self, actor: Actor, query: Query) -> Answer {
        self.call(|reply| Request::Ask { actor, query, reply })
            .await
            .unwrap_or_else(|fault| Answer::Failed { fault })
    }

    /// Opens a seat's log at its last `tail` lines.
    ///
    /// # Errors
    /// When the role does not permit it, the seat or its container is not there, or the engine fails.
    pub async fn logs(&self, actor: Actor, seat: SeatId, tail: u32, follow: bool) -> Result<LogStream, Denial> {
        self.call(|reply| Request::Logs {
            actor,
            seat,
            tail,
            follow,
            reply,
        })
        .await?
    }

    /// Tells that somebody types in a seat. When the loop is busy it is left out: the next key tells again.
    pub fn touch(&self, seat: SeatId) {
        let _ = self.requests.try_send(Request::Touch { seat });
    }

    /// Opens a part of a stored archive.
    ///
    /// # Errors
    /// When the role does not permit it, or there is no such archive.
    pub async fn fetch(&self, actor: Actor, id: ArchiveId, excerpt: Excerpt) -> Result<LogStream, Denial> {
        self.call(|reply| Request::Fetch {
            actor,
            id,
            excerpt,
            reply,
        })
        .await?
    }

    /// Opens a copy of the ledger.
    ///
    /// # Errors
    /// When the role does not permit it, or no sound copy can be made.
    pub async fn backup(&self, actor: Actor) -> Result<LogStream, Denial> {
        self.call(|reply| Request::Backup { actor, reply }).await?
    }

    /// Opens a shell in a seat.
    ///
    /// # Errors
    /// When the role does not permit it, the seat does not run, or the engine fails.
    pub async fn shell(&self, actor: Actor, seat: SeatId, cols: u16, rows: u16) -> Result<ShellSession, Denial> {
        self.call(|reply| Request::Shell {
            actor,
            seat,
            cols,
            rows,
            reply,
        })
        .await?
    }

    async fn call<T>(&self, make: impl FnOnce(oneshot::Sender<T>) -> Request) -> Result<T, Fault> {
        let (reply, answer) = oneshot::channel();
        self.requests.send(make(reply)).await.map_err(|_| stopping())?;
        answer.await.map_err(|_| stopping())
    }
}

fn stopping() -> Fault {
    Fault::new(FaultCode::Cancelled, "the agent is stopping")
}
