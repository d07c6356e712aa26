//! Waiting until a seat answers.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout};

use crate::domain::effect::{SeatOrder, Yield};
use crate::domain::fault::{Fault, FaultCode};
use crate::domain::seen::ContainerSeen;
use crate::domain::settings::Probe;
use crate::world::proxy::{Proxy, Route};

/// How long a program may take to open its port: an IDE on a loaded host needs most of it.
const ANSWER_WITHIN: Duration = Duration::from_mins(1);
/// How long a program that cannot be asked must run to count as ready.
const SETTLED_AFTER: Duration = Duration::from_millis(250);
/// Longest wait for one connection; on the host's own bridge an answer takes microseconds.
const CONNECT_WITHIN: Duration = Duration::from_secs(1);
/// Pauses between tries: short at first, because most programs answer within a tenth of a second.
const PAUSE_FIRST: Duration = Duration::from_millis(10);
const PAUSE_LONGEST: Duration = Duration::from_millis(250);
/// The same for a route.
const ROUTE_PAUSE_FIRST: Duration = Duration::from_millis(50);
const ROUTE_PAUSE_LONGEST: Duration = Duration::from_secs(2);

/// Waits until the seat's port takes a connection, and where a proxy is asked, until its route leads there; where nothing
/// can be asked, until it has run for a moment.
pub(super) async fn until_ready(
    (how, proxy): (Probe, Option<&Proxy>),
    order: &SeatOrder,
    seen: &ContainerSeen,
) -> Result<Yield, Fault> {
    let (Probe::Direct | Probe::Traefik, Some(port)) = (how, order.template.port) else {
        // A program that ends at once is found out meanwhile, and this is called off.
        sleep(SETTLED_AFTER).await;
        return Ok(Yield::Ready);
    };
    let Some(address) = seen.address else {
        return Err(not_ready(
            order,
            format!("{} has no address in its network", order.seat),
        ));
    };
    let deadline = Instant::now() + ANSWER_WITHIN;
    until_answers(order, SocketAddr::new(address, port), deadline).await?;
    match proxy {
        Some(proxy) => until_routed(proxy, order, deadline).await,
        None => Ok(Yield::Ready),
    }
}

async fn until_answers(order: &SeatOrder, address: SocketAddr, deadline: Instant) -> Result<(), Fault> {
    let mut pause = PAUSE_FIRST;
    loop {
        let tried = timeout(CONNECT_WITHIN, TcpStream::connect(address)).await;
        if matches!(tried, Ok(Ok(_))) {
            return Ok(());
        }
        if Instant::now() >= deadline {
            let text = format!(
                "{} does not answer on port {} within {} s",
                order.seat,
                address.port(),
                ANSWER_WITHIN.as_secs()
            );
            return Err(not_ready(order, text));
        }
        sleep(pause).await;
        pause = (pause * 2).min(PAUSE_LONGEST);
    }
}

/// Traefik reads labels and the gateway's routes every now and then: a second is soon.
async fn until_routed(proxy: &Proxy, order: &SeatOrder, deadline: Instant) -> Result<Yield, Fault> {
    let mut pause = ROUTE_PAUSE_FIRST;
    loop {
        let why = match proxy.route(&order.seat, &order.route).await {
            Route::There => return Ok(Yield::Ready),
            Route::Lost(why) | Route::Unknown(why) => why,
        };
        if Instant::now() >= deadline {
            let text = format!(
                "{} does not answer through Traefik at {}: {why}",
                order.seat,
                proxy.url()
            );
            let hint = "See that Traefik runs with what `labtop traefik-config` prints, and the gateway beside it; the \
                        route is asked for again";
            return Err(Fault::new(FaultCode::NotReady, text).hint(hint));
        }
        sleep(pause).await;
        pause = (pause * 2).min(ROUTE_PAUSE_LONGEST);
    }
}

fn not_ready(order: &SeatOrder, text: String) -> Fault {
    let hint = format!(
        "`labtop seat logs {}` shows what its program says; it is asked again",
        order.seat
    );
    Fault::new(FaultCode::NotReady, text).hint(hint)
}
