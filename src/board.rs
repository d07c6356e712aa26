//! The board and the agent, brought together: news go in, orders go out, a lost connection is found again.
//!
//! Knows the board's port and the wire's client. Neither of them knows the other.

mod door;
mod shelf;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Semaphore, mpsc};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;

use crate::cli::{self, attach, shell};
use crate::domain::command::{Command, Outcome};
use crate::domain::fault::{Fault, FaultCode};
use crate::domain::ids::SeatId;
use crate::domain::settings::Settings;
use crate::tui::port::{Inbound, JobId, Outbound, StreamId};
use crate::tui::{self, BoardError, Exit};
use crate::wire::client::{CallError, Client, ConnectError, RunEvent, WatchEvent};

/// News that may wait for the board; then the agent's snapshots are skipped, which is what they are made for.
const NEWS_WAITING: usize = 256;
/// Commands asked for at once, each on a connection: half of what an agent takes from everybody. A verb on hundreds of
/// marked seats goes out in waves instead of being refused.
const COMMANDS_AT_ONCE: usize = 128;
/// How long a person who leaves waits for the last orders to reach the agent; one that answers needs a millisecond.
const LAST_ORDERS_WITHIN: Duration = Duration::from_secs(2);
/// Pauses between tries to find a lost agent again.
const RETRY_FIRST: Duration = Duration::from_millis(100);
const RETRY_LONGEST: Duration = Duration::from_secs(1);

/// Shows the board until the person leaves. `client` is an agent that answers now.
///
/// # Errors
/// When the terminal cannot be used, or a part of the board fails.
pub async fn show(client: Client, config: Option<&Path>, settings: &Settings) -> Result<Exit, BoardError> {
    let ui = settings.ui;
    let page = login_page(settings.gateway.public_url.as_deref());
    let (news, news_in) = mpsc::channel(NEWS_WAITING);
    let (orders, orders_in) = mpsc::channel(tui::ORDERS_WAITING);
    let mut parts = JoinSet::new();
    parts.spawn(listen(client.clone(), config.map(Path::to_owned), news.clone()));
    let obeying = parts.spawn(obey(client.clone(), page, orders_in, news));
    let in_shell = async |seat: SeatId| {
        let ended = shell::shell_session(&client, &seat).await;
        ended.map_err(|error| Fault::new(FaultCode::Engine, error.to_string()))
    };
    let exit = tui::run(news_in, orders, in_shell, ui).await;
    // What was ordered with the last keys is still on its way.
    let sent = async {
        while !obeying.is_finished() {
            if parts.join_next().await.is_none() {
                break;
            }
        }
    };
    if timeout(LAST_ORDERS_WITHIN, sent).await.is_err() {
        cli::complain("labtop: not all orders had reached the agent when the board ended: look with `labtop ls`");
    }
    exit
}

/// Where students sign in, and supervisors type the code for a look.
fn login_page(public_url: Option<&str>) -> String {
    public_url.map_or_else(
        || "/login, where the students sign in".to_owned(),
        |url| format!("{}/login", url.trim_end_matches('/')),
    )
}

/// Tells the board all news, and finds the agent again, or starts a new one, when it goes away.
async fn listen(mut client: Client, config: Option<PathBuf>, news: mpsc::Sender<Inbound>) {
    let mut pause = RETRY_FIRST;
    loop {
        let why = match follow(&client, &news, &mut pause).await {
            Ok(()) => return,
            Err(why) => why,
        };
        if news.send(Inbound::Lost(why)).await.is_err() {
            return;
        }
        sleep(pause).await;
        pause = (pause * 2).min(RETRY_LONGEST);
        if let Ok(found) = attach::attach(config.as_deref()).await {
            client = found;
        }
    }
}

/// Follows one connection to its end. `Ok` means that nobody listens any more.
async fn follow(client: &Client, news: &mpsc::Sender<Inbound>, pause: &mut Duration) -> Result<(), String> {
    let mut watch = client.watch().await.map_err(|error: ConnectError| error.to_string())?;
    let rights = client.welcome().rights.clone().map(Inbound::Rights);
    for message in std::iter::once(Inbound::Attached).chain(rights) {
        if news.send(message).await.is_err() {
            return Ok(());
        }
    }
    *pause = RETRY_FIRST;
    while let Some(event) = watch.next().await {
        let inbound = match event {
            WatchEvent::Snapshot(snapshot) => Inbound::Snapshot(snapshot),
            WatchEvent::Notice(notice) => Inbound::Notice(notice),
            WatchEvent::Missed(count) => Inbound::Missed(count),
        };
        if news.send(inbound).await.is_err() {
            return Ok(());
        }
    }
    Err("the agent went away".into())
}

/// Carries out the board's orders, each on a connection of its own. Ends when the board has and every command has
/// reached the agent, which goes on with it.
async fn obey(client: Client, page: String, mut orders: mpsc::Receiver<Outbound>, news: mpsc::Sender<Inbound>) {
    let mut logs: HashMap<StreamId, AbortHandle> = HashMap::new();
    let mut tasks: HashMap<JobId, CancellationToken> = HashMap::new();
    let mut work = JoinSet::new();
    let (places, unsent) = (Arc::new(Semaphore::new(COMMANDS_AT_ONCE)), TaskTracker::new());
    while let Some(order) = orders.recv().await {
        while work.try_join_next().is_some() {}
        logs.retain(|_, reading| !reading.is_finished());
        tasks.retain(|_, stop| !stop.is_cancelled());
        let (client, news) = (client.clone(), news.clone());
        match order {
            Outbound::Run { job, command } => {
                let places = Arc::clone(&places);
                let sending = unsent.token();
                work.spawn(async move {
                    let _place = places.acquire_owned().await;
                    let outcome = run(&client, job, command, &news, sending).await;
                    let outcome = outcome.unwrap_or_else(|error| lost(&error).into());
                    let _ = news.send(Inbound::Done { job, outcome }).await;
                });
            }
            Outbound::OpenLog { stream, seat, tail } => {
                let reading = work.spawn(read_log(client, (stream, seat, tail), news));
                logs.insert(stream, reading);
            }
            Outbound::List { stream, room } => {
                logs.insert(stream, work.spawn(shelf::list(client, (stream, room), news)));
            }
            Outbound::ListSessions { stream, room } => {
                logs.insert(stream, work.spawn(door::list(client, (stream, room), news)));
            }
            Outbound::Peek { stream, seat } => {
                let page = page.clone();
                logs.insert(stream, work.spawn(door::peek(client, (stream, seat), page, news)));
            }
            Outbound::OpenTree { stream, archive } => {
                logs.insert(stream, work.spawn(shelf::tree(client, (stream, archive), news)));
            }
            Outbound::OpenPart { stream, archive, part } => {
                logs.insert(stream, work.spawn(shelf::part(client, (stream, archive, part), news)));
            }
            Outbound::Work { job, task } => {
                let stop = CancellationToken::new();
                tasks.insert(job, stop.clone());
                work.spawn(shelf::work(client, (job, task), stop, news));
            }
            Outbound::Cancel(job) => {
                if let Some(stop) = tasks.remove(&job) {
                    stop.cancel();
                }
            }
            Outbound::CloseLog(stream) => {
                if let Some(reading) = logs.remove(&stream) {
                    reading.abort();
                }
            }
            Outbound::Shell { .. } | Outbound::Quit => {}
        }
    }
    unsent.close();
    unsent.wait().await;
}

async fn run(
    client: &Client,
    job: JobId,
    command: Command,
    news: &mpsc::Sender<Inbound>,
    sending: TaskTrackerToken,
) -> Result<Outcome, CallError> {
    let mut running = client.start(command).await?;
    drop(sending);
    loop {
        match running.next().await? {
            RunEvent::Done(outcome) => return Ok(outcome),
            // A report that finds no room is followed by a newer one.
            RunEvent::Progress(report) => drop(news.try_send(Inbound::Progress { job, report })),
        }
    }
}

fn lost(error: &CallError) -> Fault {
    Fault::new(FaultCode::Unknown, error.to_string()).hint("It may have happened: the board shows what is")
}

async fn read_log(client: Client, (stream, seat, tail): (StreamId, SeatId, u32), news: mpsc::Sender<Inbound>) {
    let why = match pass_log(&client, (stream, seat, tail), &news).await {
        Ok(()) => None,
        Err(error) => Some(error.to_string()),
    };
    let _ = news.send(Inbound::LogEnd { stream, why }).await;
}

async fn pass_log(
    client: &Client,
    (stream, seat, tail): (StreamId, SeatId, u32),
    news: &mpsc::Sender<Inbound>,
) -> Result<(), CallError> {
    let mut log = client.logs(seat, tail, true).await?;
    while let Some(bytes) = log.next().await? {
        if news.send(Inbound::Log { stream, bytes }).await.is_err() {
            break;
        }
    }
    Ok(())
}
