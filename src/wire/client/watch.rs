//! Snapshots and notices as they come.

use std::sync::Arc;

use tokio::net::UnixStream;

use super::{CallError, Client, ConnectError};
use crate::domain::notice::Notice;
use crate::domain::snapshot::Snapshot;
use crate::wire::message::{Event, Request};
use crate::wire::stream::{Connection, FrameReader};

/// What a watcher sees.
#[derive(Debug, Clone, PartialEq)]
pub enum WatchEvent {
    /// Everything that a screen shows; the newest one counts.
    Snapshot(Arc<Snapshot>),
    /// News.
    Notice(Notice),
    /// So many notices were lost because this watcher was slow.
    Missed(u64),
}

/// An open watch. Dropping it ends it.
pub struct Watch(Connection<UnixStream>);

impl Client {
    /// Watches everything. While the watch lives, somebody counts as attached to the agent.
    ///
    /// # Errors
    /// When the agent cannot be reached.
    pub async fn watch(&self) -> Result<Watch, ConnectError> {
        Ok(Watch(self.open(&Request::Watch).await?))
    }
}

impl Watch {
    /// The next event; `None` when the agent went away. May be dropped while it waits: nothing is lost.
    pub async fn next(&mut self) -> Option<WatchEvent> {
        let event = next_event(&mut self.0.reader).await;
        match event {
            Ok(Event::Snapshot(snapshot)) => Some(WatchEvent::Snapshot(Arc::new(snapshot.into_owned()))),
            Ok(Event::Notice(notice)) => Some(WatchEvent::Notice(notice)),
            Ok(Event::Missed { count }) => Some(WatchEvent::Missed(count)),
            Ok(_) => ended(&CallError::out_of_turn()),
            Err(error) => ended(&error),
        }
    }

    /// The next snapshot, passing over notices; `None` when the agent went away.
    pub async fn snapshot(&mut self) -> Option<Arc<Snapshot>> {
        loop {
            if let WatchEvent::Snapshot(snapshot) = self.next().await? {
                return Some(snapshot);
            }
        }
    }
}

fn ended(error: &CallError) -> Option<WatchEvent> {
    tracing::debug!(%error, "a watch ended");
    None
}

/// The next message of the agent; its going away is an error.
pub(super) async fn next_event(reader: &mut FrameReader<UnixStream>) -> Result<Event<'static>, CallError> {
    let frame = reader.next().await.map_err(CallError::lost)?;
    let frame = frame.ok_or_else(|| CallError::lost("connection closed"))?;
    frame.parse().map_err(CallError::lost)
}
