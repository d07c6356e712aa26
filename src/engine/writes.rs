//! Ledger writes: done and answered in the order in which they were begun.
//!
//! A later wish must not be overtaken by an earlier one, neither on the disk nor in the answers. Many may be under way
//! at once, so that the ledger can make them durable together.

use futures_util::stream::FuturesOrdered;
use futures_util::{FutureExt, StreamExt};
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::tasks::log_end;
use crate::domain::effect::{Fact, OpId, Yield};
use crate::domain::record::Change;
use crate::metrics::Counts;
use crate::world::ledger::Ledger;

/// One write that was begun.
pub(super) type Begun = (OpId, Vec<Change>);

/// Writes until nobody asks any more.
pub(super) async fn keep(
    ledger: Ledger,
    mut begun: mpsc::UnboundedReceiver<Begun>,
    facts: mpsc::Sender<Fact>,
    counts: Counts,
) {
    let mut under_way = FuturesOrdered::new();
    loop {
        tokio::select! {
            biased;
            next = begun.recv() => {
                let Some((op, changes)) = next else { break };
                let since = Instant::now();
                let begun = ledger.begin(changes).await;
                let counts = counts.clone();
                let write = async move {
                    let written = begun.done().await;
                    counts.written(since.elapsed(), written.is_ok());
                    (op, written)
                };
                under_way.push_back(write.boxed());
            }
            Some((op, written)) = under_way.next() => {
                let result = written.map(|()| Yield::Nothing);
                log_end(op, &result);
                if facts.send(Fact::Done(op, result)).await.is_err() {
                    return;
                }
            }
        }
    }
    // The agent stops: what was begun is still written, nobody hears of it.
    while under_way.next().await.is_some() {}
}
