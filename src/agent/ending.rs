//! The end of an agent: who ends it, and what it still does before.
//!
//! Knows: signals, and the engine's steps to its end. Must not know: what the engine is doing.

use std::io;
use std::time::Duration;

use anyhow::Context;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;
use tokio::time::sleep;

use crate::engine::Engine;

/// How long a detached agent stays when there is nothing to look after and nobody is attached: long enough for a person
/// who closed a room to list its archives, and for the next command of a script to find it warm.
const LINGER: Duration = Duration::from_secs(15);
/// Most of the grace that is left for calls to an engine to come to their end, after all else was called off.
const LAST_CALLS: Duration = Duration::from_secs(5);

/// The signals that end an agent.
#[derive(Debug)]
pub struct Signals {
    term: Signal,
    int: Signal,
    hangup: Signal,
}

impl Signals {
    /// Listens from now on, so that none ends the process by itself.
    ///
    /// # Errors
    /// When the system does not let it.
    pub fn listen() -> io::Result<Self> {
        Ok(Self {
            term: signal(SignalKind::terminate())?,
            int: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    /// Waits until one tells the agent to stop.
    async fn told(&mut self) {
        loop {
            tokio::select! {
                _ = self.term.recv() => return,
                _ = self.int.recv() => return,
                // A hang-up of the terminal that it was started from does not concern it.
                _ = self.hangup.recv() => {}
            }
        }
    }
}

/// Waits until the agent is to end: told to, or, when detached, not needed any more.
///
/// # Errors
/// When its engine ended by itself.
pub async fn until_over(engine: &mut Engine, signals: &mut Signals, detached: bool) -> anyhow::Result<()> {
    let deserted = deserted(engine.idle.clone(), engine.handle.attached(), detached);
    tokio::select! {
        () = signals.told() => Ok(()),
        () = deserted => Ok(()),
        ended = &mut engine.task => failed(ended),
    }
}

/// Lets what is under way come to its end within `grace`, or calls it off shortly before; a second signal ends it at once.
/// Whatever is left undone then is as after a kill: the next life goes on with it.
///
/// # Errors
/// When its engine ended by itself.
pub async fn drain(engine: &mut Engine, signals: &mut Signals, grace: Duration) -> anyhow::Result<()> {
    engine.ending.drain.cancel();
    let last_calls = LAST_CALLS.min(grace / 4);
    let call_off = engine.ending.call_off.clone();
    let out_of_time = async {
        sleep(grace.saturating_sub(last_calls)).await;
        call_off.cancel();
        sleep(last_calls).await;
    };
    tokio::select! {
        Ok(_) = engine.drained.wait_for(|drained| *drained) => tracing::info!("what was under way is finished"),
        () = signals.told() => tracing::warn!("told to stop twice: what is under way is left as it is"),
        () = out_of_time => {
            tracing::warn!(grace_s = grace.as_secs(), "the grace is over: what is under way is left as it is");
        }
        ended = &mut engine.task => return failed(ended),
    }
    Ok(())
}

fn failed(ended: Result<(), tokio::task::JoinError>) -> anyhow::Result<()> {
    ended.context("the agent's engine failed; its log says why")?;
    anyhow::bail!("the agent's engine ended by itself; its log says why");
}

/// Ends when nothing has been wanted of a detached agent for a while; never for one that was started to stay.
async fn deserted(mut idle: watch::Receiver<bool>, mut attached: watch::Receiver<usize>, detached: bool) {
    if !detached {
        return std::future::pending().await;
    }
    loop {
        let busy = !*idle.borrow_and_update() || *attached.borrow_and_update() > 0;
        let changed = async {
            tokio::select! {
                changed = idle.changed() => changed.is_ok(),
                changed = attached.changed() => changed.is_ok(),
            }
        };
        if busy {
            if !changed.await {
                return;
            }
        } else if tokio::time::timeout(LINGER, changed).await.is_err() {
            return;
        }
    }
}
