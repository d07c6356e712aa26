//! Watching the routes of seats through the proxy: one that answered may be lost, when the proxy or its source of routes
//! was restarted.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{StreamExt, stream};
use tokio::sync::{mpsc, watch};
use tokio::time::sleep;

use crate::domain::door::DoorState;
use crate::domain::effect::Fact;
use crate::domain::ids::SeatId;
use crate::domain::snapshot::Phase;
use crate::world::proxy::{Proxy, Route};

/// Pause between two rounds.
const EVERY: Duration = Duration::from_secs(10);
/// Questions at a time: the proxy is there for students.
const AT_ONCE: usize = 4;

/// Asks for every seat that is ready, and tells of those that did not answer twice in a row. Ends with the loop.
pub(super) async fn watch(proxy: Proxy, doors: watch::Receiver<Arc<DoorState>>, facts: mpsc::Sender<Fact>) {
    let mut doubtful = BTreeSet::new();
    while !facts.is_closed() {
        sleep(EVERY).await;
        let silent = {
            let known = Arc::clone(&doors.borrow());
            silent(&proxy, &known).await
        };
        let lost: Vec<SeatId> = silent.intersection(&doubtful).cloned().collect();
        doubtful = silent;
        if !lost.is_empty() {
            let _ = facts.send(Fact::Unrouted(lost)).await;
        }
    }
}

/// The ready seats with a route that does not answer.
async fn silent(proxy: &Proxy, known: &DoorState) -> BTreeSet<SeatId> {
    let ready = known.seats.values();
    let ready = ready.filter(|seat| seat.phase == Phase::Ready && seat.target.is_some());
    let ready: Vec<(SeatId, String)> = ready.map(|seat| (seat.seat.clone(), seat.route.clone())).collect();
    stream::iter(ready.into_iter().map(|(seat, route)| lost(proxy.clone(), seat, route)))
        .buffer_unordered(AT_ONCE)
        .filter_map(std::future::ready)
        .collect()
        .await
}

/// The seat, when its route is not there.
async fn lost(proxy: Proxy, seat: SeatId, route: String) -> Option<SeatId> {
    matches!(proxy.route(&seat, &route).await, Route::Lost(_)).then_some(seat)
}
