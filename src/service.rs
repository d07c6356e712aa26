//! What the service manager is told: that the agent is ready or stopping, how it stands, and that it lives.
//!
//! Knows: the words of `sd_notify`, snapshots. Must not know: how anything is done. Without a service manager nothing is
//! told to anybody.

use std::time::Duration;

use sd_notify::NotifyState;
use tokio::time::{MissedTickBehavior, interval, sleep};

use crate::domain::seen::EngineState;
use crate::domain::snapshot::{Phase, Snapshot};
use crate::engine::handle::Handle;

/// Least time between two lines of status.
const STATUS_EVERY: Duration = Duration::from_secs(1);
/// What a stop takes besides the grace: conversations say goodbye, files are closed.
const STOP_TAKES: Duration = Duration::from_secs(10);

/// Tells that clients may come.
pub fn ready() {
    tell(&[NotifyState::Ready]);
}

/// Tells that the agent is stopping, and how long that may take.
pub fn stopping(grace: Duration) {
    let limit = u32::try_from((grace + STOP_TAKES).as_micros()).unwrap_or(u32::MAX);
    tell(&[
        NotifyState::Stopping,
        NotifyState::ExtendTimeoutUsec(limit),
        NotifyState::Status("stopping: what is under way comes to its end"),
    ]);
}

/// Goes on telling how it stands and that the engine's loop answers, until it is dropped.
pub async fn report(handle: Handle) {
    let watchdog = async {
        match sd_notify::watchdog_enabled() {
            Some(limit) => keep_alive(&handle, limit / 2, || tell(&[NotifyState::Watchdog])).await,
            None => std::future::pending().await,
        }
    };
    tokio::join!(watchdog, status(&handle));
}

/// Calls `ping` every so often as long as the engine's loop answers. One that hangs stops the pings, and the service
/// manager then ends the agent and starts it anew.
pub async fn keep_alive(handle: &Handle, every: Duration, ping: impl Fn()) {
    let mut ticks = interval(every.max(Duration::from_millis(1)));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        if handle.pulse().await.is_err() {
            return;
        }
        ping();
    }
}

async fn status(handle: &Handle) {
    let mut snapshots = handle.snapshots();
    let mut told = String::new();
    loop {
        let now = words(&snapshots.borrow_and_update().clone());
        if now != told {
            tell(&[NotifyState::Status(&now)]);
            told = now;
        }
        sleep(STATUS_EVERY).await;
        if snapshots.changed().await.is_err() {
            return;
        }
    }
}

/// How it stands, in one line; no name of a student and nothing that an engine says comes into it.
fn words(snapshot: &Snapshot) -> String {
    let count = |number: usize, one: &str| match number {
        1 => format!("1 {one}"),
        number => format!("{number} {one}s"),
    };
    let rooms = count(snapshot.rooms.len(), "room");
    let seats = count(snapshot.seats().count(), "seat");
    let failed = match snapshot.seats().filter(|seat| seat.phase == Phase::Failed).count() {
        0 => String::new(),
        failed => format!(", {failed} failed"),
    };
    let engine = match snapshot.engine {
        EngineState::Up(_) => "",
        EngineState::Unknown => "; the engine was not asked yet",
        EngineState::Down(_) => "; the engine does not answer",
    };
    format!("{rooms}, {seats}{failed}{engine}")
}

fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::debug!(%error, "the service manager was not told");
    }
}
