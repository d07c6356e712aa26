//! What a gateway hears, and what it asks.

use tokio::net::UnixStream;

use super::watch::next_event;
use super::{CallError, Client};
use crate::domain::door::{DoorDelta, Knock, KnockAnswer};
use crate::wire::message::{Event, Request};
use crate::wire::stream::Connection;

/// An open feed of what changes at the doors. Dropping it ends it.
pub struct Doors(Connection<UnixStream>);

impl Client {
    /// Hears of the doors: everything at first, then what changes.
    ///
    /// # Errors
    /// When the agent cannot be reached.
    pub async fn doors(&self) -> Result<Doors, CallError> {
        Ok(Doors(self.open(&Request::Doors).await?))
    }

    /// Asks for a student.
    ///
    /// # Errors
    /// When the agent cannot be reached, or goes away.
    pub async fn knock(&self, knock: Knock) -> Result<KnockAnswer, CallError> {
        let mut connection = self.open(&Request::Knock { knock }).await?;
        match next_event(&mut connection.reader).await? {
            Event::Knocked(answer) => Ok(answer),
            _ => Err(CallError::out_of_turn()),
        }
    }
}

impl Doors {
    /// What changed. May be dropped while it waits: nothing is lost.
    ///
    /// # Errors
    /// When the agent goes away, or does not let this user keep doors.
    pub async fn next(&mut self) -> Result<DoorDelta, CallError> {
        match next_event(&mut self.0.reader).await? {
            Event::Doors(delta) => Ok(delta),
            Event::Refused(refusal) => Err(refusal.into()),
            Event::Failed(fault) => Err(fault.into()),
            _ => Err(CallError::out_of_turn()),
        }
    }
}
