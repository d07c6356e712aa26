//! What the engine tells by itself about this instance's containers.

use bollard::models::EventMessage;
use bollard::query_parameters::EventsOptionsBuilder;
use futures_util::{Stream, StreamExt, stream};

use super::Docker;
use crate::domain::fault::{Fault, FaultCode};
use crate::domain::ids::ContainerId;
use crate::domain::names::{Kind, LABEL_KIND};

/// News about one of this instance's seats.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EngineEvent {
    /// Its state changed: look at it.
    Changed(ContainerId),
    /// Its container is no more.
    Destroyed(ContainerId),
    /// It ran again, or something was copied into it. A [`Self::Changed`] follows.
    Disturbed(ContainerId),
    /// The kernel killed one of its programs for memory.
    OutOfMemory(ContainerId),
}

impl Docker {
    /// News from now on, until the engine goes away: then one error and the end. The engine's own clock marks
    /// "now", so that nothing between this call and the first poll is lost (as long as that is less than the 256
    /// events that the engine remembers).
    ///
    /// # Errors
    /// When the engine does not answer.
    pub async fn events(&self) -> Result<impl Stream<Item = Result<EngineEvent, Fault>> + Send + Unpin + use<>, Fault> {
        let client = self.client()?.clone();
        let now = self.engine_time().await?;
        let mut filters = self.own();
        filters.insert("type", vec!["container".into()]);
        let mut options = EventsOptionsBuilder::new().filters(&filters);
        if let Some(since) = unix_time(&now) {
            options = options.since(&since);
        }
        let docker = self.clone();
        let raw = client.events(Some(options.build()));
        Ok(Box::pin(raw.flat_map(move |message| {
            stream::iter(match message {
                Ok(message) => meaning(&message).into_iter().map(Ok).collect(),
                Err(error) => vec![Err(docker.broken("listening to the engine", error))],
            })
        })))
    }
}

/// An engine's timestamp as the `since` parameter wants it: seconds and nanoseconds since 1970.
pub(super) fn unix_time(rfc3339: &str) -> Option<String> {
    let time: jiff::Timestamp = rfc3339.parse().ok()?;
    let nanos = time.as_nanosecond().max(0);
    Some(format!("{}.{:09}", nanos / 1_000_000_000, nanos % 1_000_000_000))
}

fn meaning(message: &EventMessage) -> Vec<EngineEvent> {
    let Some(actor) = &message.actor else { return Vec::new() };
    let attribute = |name: &str| {
        actor
            .attributes
            .as_ref()
            .and_then(|all| all.get(name))
            .map(String::as_str)
    };
    let id = actor.id.as_deref().and_then(|id| id.parse::<ContainerId>().ok());
    let (Some(id), true) = (id, attribute(LABEL_KIND) == Some(Kind::Seat.as_str())) else {
        return Vec::new();
    };
    match message.action.as_deref().unwrap_or_default() {
        "destroy" => vec![EngineEvent::Destroyed(id)],
        "oom" => vec![EngineEvent::OutOfMemory(id)],
        "unpause" | "start" | "restart" | "extract-to-dir" => {
            vec![EngineEvent::Disturbed(id.clone()), EngineEvent::Changed(id)]
        }
        "create" | "pause" | "die" | "kill" | "stop" | "rename" | "update" => vec![EngineEvent::Changed(id)],
        _ => Vec::new(),
    }
}

/// The fault of an event stream that ended before it told what was waited for.
pub(super) fn silence(doing: &str) -> Fault {
    Fault::new(
        FaultCode::Unknown,
        format!("{doing}: the engine did not tell in time what happened"),
    )
    .hint("labtop looks again")
}
