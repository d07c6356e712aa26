//! The way to the agent: what is asked, and the feed that keeps the memory fresh.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::Gateway;
use crate::domain::door::{Knock, KnockAnswer};
use crate::wire::client::{CallError, Client, ConnectError};

/// Questions to the agent at a time: below what it lets one user have, the feed apart.
const AT_ONCE: usize = 48;
/// How long the agent may take for one, the line before it included.
const ANSWERS_WITHIN: Duration = Duration::from_secs(30);
/// Silence after which the feed is begun anew: the agent speaks every second.
const SILENCE: Duration = Duration::from_secs(5);
/// Pause before the feed is begun anew.
const AGAIN: Duration = Duration::from_millis(250);

/// The way to the agent.
pub(super) struct Port {
    agents: Vec<PathBuf>,
    places: Semaphore,
}

impl Port {
    pub(super) fn new(agents: Vec<PathBuf>) -> Self {
        Self {
            agents,
            places: Semaphore::new(AT_ONCE),
        }
    }

    /// Asks the agent; none when it does not answer.
    pub(super) async fn ask(&self, knock: Knock) -> Option<KnockAnswer> {
        let asked = async {
            let _place = self.places.acquire().await.ok()?;
            let client = self.connect().await.ok()?;
            match client.knock(knock).await {
                Ok(answer) => Some(answer),
                Err(error) => {
                    tracing::warn!(%error, "the agent did not answer");
                    None
                }
            }
        };
        timeout(ANSWERS_WITHIN, asked).await.ok()?
    }

    async fn connect(&self) -> Result<Client, ConnectError> {
        let mut last = None;
        for socket in &self.agents {
            match Client::connect(socket).await {
                Ok(client) => return Ok(client),
                Err(error) => last = Some(error),
            }
        }
        Err(last.unwrap_or_else(|| ConnectError::Absent(PathBuf::new())))
    }
}

/// Hears of the doors for ever.
pub(super) async fn feed(gateway: Arc<Gateway>) {
    let mut told = String::new();
    loop {
        let Err(error) = hear(&gateway).await;
        let text = error.to_string();
        if text != told {
            tracing::warn!(%error, "the agent is not heard of");
            told = text;
        }
        tokio::time::sleep(AGAIN).await;
    }
}

async fn hear(gateway: &Gateway) -> Result<std::convert::Infallible, CallError> {
    let client = gateway.port.connect().await?;
    gateway.memory.meet(&client.welcome().instance);
    let mut doors = client.doors().await?;
    tracing::info!(agent = client.welcome().pid, "the agent is heard of");
    loop {
        let next = timeout(SILENCE, doors.next()).await;
        let next = next.unwrap_or_else(|_| Err(CallError::Lost("it said nothing for 5 s".to_owned())));
        gateway.memory.learn(next?);
    }
}
