//! What a seat printed, as bytes that nobody has cleaned.

use bollard::container::LogOutput;
use bollard::query_parameters::LogsOptionsBuilder;
use bytes::Bytes;
use futures_util::StreamExt;
use tokio::sync::mpsc;

use super::Docker;
use crate::domain::fault::{Fault, FaultCode};
use crate::domain::ids::ContainerId;

/// Lines that wait for a slow reader; the engine then waits too.
const LINES_WAITING: usize = 256;

impl Docker {
    /// A container's log from its last `tail` lines on, or the whole of it, both outputs mixed; ends at its end, or with the container
    /// when it is followed, or with the fault that broke it off. Dropping the receiver ends the reading.
    ///
    /// # Errors
    /// When the container is not there or the engine fails.
    pub async fn logs(
        &self,
        id: &ContainerId,
        tail: Option<u32>,
        follow: bool,
    ) -> Result<mpsc::Receiver<Result<Bytes, Fault>>, Fault> {
        if self.look(id).await?.is_none() {
            return Err(Fault::new(
                FaultCode::Engine,
                "the seat's container is gone, and its log with it",
            ));
        }
        let options = LogsOptionsBuilder::new().stdout(true).stderr(true).follow(follow);
        let options = options
            .tail(&tail.map_or("all".into(), |lines| lines.to_string()))
            .build();
        let mut lines = Box::pin(self.client()?.logs(id.as_str(), Some(options)));
        let (sender, receiver) = mpsc::channel(LINES_WAITING);
        let docker = self.clone();
        tokio::spawn(async move {
            loop {
                let next = tokio::select! {
                    next = lines.next() => next,
                    () = sender.closed() => return,
                };
                let line = match next {
                    Some(line) => line.map(LogOutput::into_bytes),
                    None => return,
                };
                let line = line.map_err(|error| docker.broken("reading a log", error));
                let last = line.is_err();
                if sender.send(line).await.is_err() || last {
                    return;
                }
            }
        });
        Ok(receiver)
    }
}
