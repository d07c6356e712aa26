//! Snapshots and notices for a screen: the newest snapshot only, and the number of notices that were missed.

use std::io;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::broadcast::error::RecvError;

use super::talk::Host;
use crate::domain::notice::Notice;
use crate::domain::role::Actor;
use crate::wire::message::Event;
use crate::wire::stream::{Connection, FrameReader};

/// Shows what the person may see: rooms, and news that are not about others.
pub async fn watch<S: AsyncRead + AsyncWrite>(connection: Connection<S>, actor: Actor, host: &Host) -> io::Result<()> {
    let Connection { mut reader, mut writer } = connection;
    let mut notices = host.handle.notices();
    let mut snapshots = host.handle.snapshots();
    snapshots.mark_changed();
    // What happened before somebody looks: told once, after the first snapshot.
    let mut early = host.handle.incidents();
    early.retain(|notice| notice.seen_by(&actor.rights));
    loop {
        tokio::select! {
            () = host.shutdown.cancelled() => return Ok(()),
            ended = left(&mut reader) => return ended,
            changed = snapshots.changed() => {
                if changed.is_err() {
                    return Ok(());
                }
                // The lock on the newest value is let go before anything is written.
                let snapshot = snapshots.borrow_and_update().clone();
                writer.message(&Event::Snapshot(snapshot.seen_by(&actor.rights))).await?;
                let is_there = |notice: &Notice| {
                    let mut rooms = snapshot.rooms.iter();
                    notice.room.as_ref().is_none_or(|name| rooms.any(|room| room.name == *name))
                };
                for notice in std::mem::take(&mut early).into_iter().filter(is_there) {
                    writer.message(&Event::Notice(notice)).await?;
                }
            }
            news = notices.recv() => match news {
                // What is about a room that the person does not see.
                Ok(notice) if !notice.seen_by(&actor.rights) => {}
                news => match event(news) {
                    Some(event) => writer.message(&event).await?,
                    None => return Ok(()),
                },
            },
        }
    }
}

/// None at the end of the news.
fn event(news: Result<Notice, RecvError>) -> Option<Event<'static>> {
    match news {
        Ok(notice) => Some(Event::Notice(notice)),
        Err(RecvError::Lagged(count)) => Some(Event::Missed { count }),
        Err(RecvError::Closed) => None,
    }
}

/// Waits until the client leaves; it has nothing more to say.
pub async fn left<S: AsyncRead>(reader: &mut FrameReader<S>) -> io::Result<()> {
    match reader.next().await? {
        None => Ok(()),
        Some(_) => Err(io::Error::other("the client spoke out of turn")),
    }
}
