//! The engine's own record of what happened to one container, read while labtop removes it.
//!
//! Knows how the engine orders its events: a verb's event is written under the container's lock, before the next verb
//! on it begins; a kill of a frozen container thaws it only after its signal is set, and tells of the thaw after the
//! kill. Must not know why anybody asks.

use std::time::Duration;

use bollard::models::EventMessage;
use bollard::query_parameters::EventsOptionsBuilder;
use futures_util::StreamExt;
use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;

use super::Docker;
use super::events::{silence, unix_time};
use crate::domain::fault::Fault;
use crate::domain::ids::ContainerId;

/// How long the engine may take to tell of an end that it already reported as done.
const TELLING_LIMIT: Duration = Duration::from_secs(15);
/// Events of one container that may wait; the engine remembers 256 and one removal makes four.
const WAITING: usize = 512;

/// Something that happened to the container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Happened {
    /// The engine's word for it.
    pub action: String,
    /// The signal of a kill.
    pub signal: Option<String>,
    /// When, nanoseconds since 1970 on the engine's clock.
    pub at_ns: i128,
}

/// Listens to one container's events from a moment in the past on.
pub(super) struct Watch {
    news: mpsc::Receiver<Result<Happened, Fault>>,
    _task: AbortOnDropHandle<()>,
}

impl Docker {
    /// Begins to listen; `since` is a timestamp of the engine, or an unparsable one for "from the beginning".
    pub(super) fn watch(&self, id: &ContainerId, since: &str) -> Result<Watch, Fault> {
        let filters = [
            ("container", vec![id.to_string()]),
            ("type", vec!["container".to_owned()]),
        ];
        let since = unix_time(since).unwrap_or_else(|| "0".into());
        let options = EventsOptionsBuilder::new()
            .since(&since)
            .filters(&filters.into())
            .build();
        let mut events = Box::pin(self.client()?.events(Some(options)));
        let (sender, news) = mpsc::channel(WAITING);
        let docker = self.clone();
        let task = tokio::spawn(async move {
            while let Some(message) = events.next().await {
                let told = message
                    .map(happened)
                    .map_err(|error| docker.broken("listening to a container", error));
                if sender.send(told).await.is_err() {
                    break;
                }
            }
        });
        Ok(Watch {
            news,
            _task: AbortOnDropHandle::new(task),
        })
    }
}

fn happened(message: EventMessage) -> Happened {
    let attributes = message.actor.and_then(|actor| actor.attributes).unwrap_or_default();
    Happened {
        action: message.action.unwrap_or_default(),
        signal: attributes.get("signal").cloned(),
        at_ns: i128::from(message.time_nano.unwrap_or_default()),
    }
}

impl Watch {
    /// Everything up to and with the next `action` that satisfies `after`.
    pub(super) async fn until(&mut self, action: &str, after_ns: i128) -> Result<Vec<Happened>, Fault> {
        let doing = format!("waiting for the engine to tell of a container's {action}");
        let mut all = Vec::new();
        let listening = async {
            while let Some(told) = self.news.recv().await {
                let told = told?;
                let ends = told.action == action && told.at_ns > after_ns;
                all.push(told);
                if ends {
                    return Ok(());
                }
            }
            Err(silence(&doing))
        };
        match tokio::time::timeout(TELLING_LIMIT, listening).await {
            Ok(result) => result.map(|()| all),
            Err(_) => Err(silence(&doing)),
        }
    }
}

/// An engine's timestamp in nanoseconds since 1970; an unparsable one is the beginning of time.
pub(super) fn nanoseconds(rfc3339: &str) -> i128 {
    rfc3339
        .parse::<jiff::Timestamp>()
        .map_or(i128::MIN, jiff::Timestamp::as_nanosecond)
}

/// What happened to a frozen container between the look at its CPU time and the kill, if anything did that may have
/// let it run or written into it.
pub(super) fn thawed_before_kill(history: &[Happened], looked_ns: i128) -> Option<String> {
    let mut last_state = None;
    for event in history {
        if is_fatal(event) && event.at_ns > looked_ns {
            break;
        }
        let moves = matches!(event.action.as_str(), "start" | "restart" | "unpause" | "pause");
        let writes = event.action == "extract-to-dir" || event.action == "kill";
        if event.at_ns > looked_ns && (moves || writes) {
            return Some(event.action.clone());
        }
        if moves {
            last_state = Some(event.action.as_str());
        }
    }
    last_state.filter(|state| *state != "pause").map(str::to_owned)
}

/// What started a stopped container after `finished_ns`, if anything did.
pub(super) fn started_after(history: &[Happened], finished_ns: i128) -> Option<String> {
    let starts = |event: &&Happened| matches!(event.action.as_str(), "start" | "restart" | "unpause");
    let found = history.iter().filter(starts).find(|event| event.at_ns > finished_ns);
    found.map(|event| event.action.clone())
}

/// A kill that no program survives.
fn is_fatal(event: &Happened) -> bool {
    event.action == "kill" && matches!(event.signal.as_deref(), Some("9" | "KILL" | "SIGKILL"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn history(events: &[(&str, i128)]) -> Vec<Happened> {
        let event = |(action, at_ns): &(&str, i128)| {
            let (action, signal) = action
                .split_once(':')
                .map_or((*action, None), |(a, s)| (a, Some(s.to_owned())));
            Happened {
                action: action.to_owned(),
                signal,
                at_ns: *at_ns,
            }
        };
        events.iter().map(event).collect()
    }

    #[test]
    fn only_what_ran_between_the_look_and_the_kill_counts() {
        let found = |events: &[(&str, i128)]| thawed_before_kill(&history(events), 10);
        assert_eq!(found(&[("start", 1), ("pause", 2), ("kill:9", 11), ("die", 12)]), None);
        assert_eq!(
            found(&[("pause", 2), ("kill:9", 11), ("unpause", 12), ("die", 13)]),
            None
        );
        assert_eq!(
            found(&[("pause", 2), ("unpause", 3), ("pause", 4), ("kill:9", 11)]),
            None
        );
        assert!(found(&[("pause", 2), ("unpause", 11), ("kill:9", 12), ("die", 13)]).is_some());
        assert!(found(&[("pause", 2), ("unpause", 11), ("pause", 12), ("kill:9", 13)]).is_some());
        assert!(found(&[("pause", 2), ("kill:10", 11), ("unpause", 12), ("kill:9", 13)]).is_some());
        assert!(found(&[("pause", 2), ("unpause", 9), ("kill:9", 11), ("die", 12)]).is_some());
        assert!(found(&[("pause", 2), ("extract-to-dir", 11), ("kill:9", 12)]).is_some());
    }

    #[test]
    fn a_start_after_the_end_counts() {
        let found = |events: &[(&str, i128)]| started_after(&history(events), 10);
        assert_eq!(found(&[("start", 1), ("die", 10), ("destroy", 12)]), None);
        assert!(found(&[("start", 11), ("die", 12), ("destroy", 13)]).is_some());
    }
}
