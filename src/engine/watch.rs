//! Watching the engine: its events, its silence, its absence and its return.

use std::time::Duration;

use futures_util::{Stream, StreamExt};
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};

use crate::domain::effect::Fact;
use crate::domain::fault::{Fault, FaultCode};
use crate::domain::seen::EngineState;
use crate::world::docker::{Docker, EngineEvent};

/// Silence after which the engine is asked whether it still lives: a hung one keeps its event stream open.
const SILENCE: Duration = Duration::from_secs(5);
/// How long one container may take to be looked at before a whole list is asked for instead.
const LOOK_LIMIT: Duration = Duration::from_secs(2);
/// Pauses between tries to reach an engine that is away.
const RETRY_FIRST: Duration = Duration::from_millis(200);
const RETRY_LONGEST: Duration = Duration::from_secs(2);

/// Watches until nobody listens. Ends only with the loop.
pub(super) async fn watch(docker: Docker, facts: mpsc::Sender<Fact>) {
    let mut pause = RETRY_FIRST;
    while !facts.is_closed() {
        let fault = match attend(&docker, &facts).await {
            Ok(()) => return,
            Err((fault, reached)) => {
                if reached {
                    pause = RETRY_FIRST;
                }
                fault
            }
        };
        if facts
            .send(Fact::Engine(EngineState::Down(fault.to_string())))
            .await
            .is_err()
        {
            return;
        }
        sleep(pause).await;
        pause = (pause * 2).min(RETRY_LONGEST);
    }
}

/// Follows the engine until it goes away; tells whether it was reached at all. `Ok` means that nobody listens.
async fn attend(docker: &Docker, facts: &mpsc::Sender<Fact>) -> Result<(), (Fault, bool)> {
    let info = docker.hello().await.map_err(|fault| (fault, false))?;
    let mut events = docker.events().await.map_err(|fault| (fault, false))?;
    let _ = facts.send(Fact::Engine(EngineState::Up(info))).await;
    while !facts.is_closed() {
        if let Some(event) = next(docker, &mut events).await.map_err(|fault| (fault, true))? {
            told(docker, event, facts).await.map_err(|fault| (fault, true))?;
        }
    }
    Ok(())
}

/// The next event, or none after a silence in which the engine still answered.
async fn next<S>(docker: &Docker, events: &mut S) -> Result<Option<EngineEvent>, Fault>
where
    S: Stream<Item = Result<EngineEvent, Fault>> + Unpin,
{
    match timeout(SILENCE, events.next()).await {
        Ok(Some(event)) => event.map(Some),
        Ok(None) => Err(Fault::new(
            FaultCode::EngineUnreachable,
            "the engine closed its event stream",
        )),
        Err(_) => docker.ping().await.map(|()| None),
    }
}

/// Looks at what changed and tells it; fails when the engine hangs.
async fn told(docker: &Docker, event: EngineEvent, facts: &mpsc::Sender<Fact>) -> Result<(), Fault> {
    let fact = match event {
        EngineEvent::Changed(id) => match timeout(LOOK_LIMIT, docker.look(&id)).await {
            Ok(Ok(Some(seen))) => Fact::Seen(seen),
            Ok(Ok(None)) => Fact::Vanished(id),
            // One container that hangs is no reason to call the engine down, nor to hold up the news of the others; an
            // engine that hangs is.
            Ok(Err(_)) | Err(_) => docker.ping().await.map(|()| Fact::Unclear(id))?,
        },
        EngineEvent::Destroyed(id) => Fact::Vanished(id),
        EngineEvent::Disturbed(id) => Fact::Disturbed(id),
        EngineEvent::OutOfMemory(id) => Fact::OutOfMemory(id),
    };
    // Whether anybody listens is seen before the next one.
    let _ = facts.send(fact).await;
    Ok(())
}
