//! What a gateway is told of doors, and what it asks.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::MissedTickBehavior;

use super::talk::Host;
use super::watch::left;
use crate::domain::door::{DoorState, Knock};
use crate::domain::fault::Denial;
use crate::domain::role::Actor;
use crate::engine::handle::Handle;
use crate::wire::message::Event;
use crate::wire::stream::Connection;

/// How often a gateway hears that the agent lives.
const EVERY: Duration = Duration::from_secs(1);

/// Tells everything, and then what changes, until the gateway leaves.
pub async fn doors<S: AsyncRead + AsyncWrite>(connection: Connection<S>, actor: &Actor, host: &Host) -> io::Result<()> {
    let Connection { mut reader, mut writer } = connection;
    if let Err(refusal) = actor.must_keep_doors() {
        return writer.message(&Event::from(Denial::Refused(refusal))).await;
    }
    let mut doors = host.handle.doors();
    wake(&host.handle).await;
    let mut known = doors.borrow_and_update().clone();
    writer
        .message(&Event::Doors(known.whole(host.handle.now_unix_ms())))
        .await?;
    let mut pulse = tokio::time::interval(EVERY);
    pulse.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = host.shutdown.cancelled() => return Ok(()),
            ended = left(&mut reader) => return ended,
            changed = doors.changed() => {
                if changed.is_err() {
                    return Ok(());
                }
            }
            _ = pulse.tick() => {}
        }
        let newest = doors.borrow_and_update().clone();
        let delta = DoorState::delta_to(&known, &newest, host.handle.now_unix_ms());
        known = newest;
        writer.message(&Event::Doors(delta)).await?;
    }
}

/// The state is only kept while somebody reads it: this makes the loop look once, now that somebody does.
async fn wake(handle: &Handle) {
    let _ = handle.pulse().await;
}

/// Answers a gateway.
pub async fn knock<S>(connection: Connection<S>, actor: Actor, knock: Knock, host: &Host) -> io::Result<()>
where
    S: AsyncRead + AsyncWrite,
{
    let Connection { mut reader, mut writer } = connection;
    // What was decided counts, also when the gateway is gone: it hears of it as of any other change.
    tokio::select! {
        ended = left(&mut reader) => ended,
        answer = host.handle.knock(actor, knock) => writer.message(&Event::Knocked(answer)).await,
    }
}
