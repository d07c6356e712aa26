//! From tries to the lines of a report.

use std::net::SocketAddr;

use super::Stand;
use super::tries::{AllEars, AllTold, How, Told, Try, broken};
use crate::domain::fault::Fault;
use crate::domain::isolation::{Reach, Way};

/// How long the host's own connection to a seat may take.
const ROUTE_PATIENCE: std::time::Duration = std::time::Duration::from_secs(2);

/// The lines, in the order of [`Way::ALL`].
pub(super) fn report(stand: &Stand, ears: &AllEars, told: AllTold) -> Result<Vec<Reach>, Fault> {
    let mut all = Way::ALL.map(Reach::of).to_vec();
    let AllTold { out, into, from_here } = told;
    for Told { of, answered } in out {
        let Some(reach) = line(&mut all, of.way) else { continue };
        let silent_here = from_here.iter().any(|here| here.of == of && !here.answered);
        let list = match (answered, silent_here) {
            (true, _) => &mut reach.answered,
            (false, true) => &mut reach.unreachable,
            (false, false) => &mut reach.tried,
        };
        list.push(name(of));
    }
    for Told { of, .. } in into.iter().filter(|told| told.answered) {
        if let Some(reach) = line(&mut all, of.way) {
            reach.answered.push(format!("{}, from there", name(*of)));
        }
    }
    let mine = ears.nonce(Way::Route);
    for way in [Way::Neighbour, Way::OtherRoom, Way::Host] {
        let came = ears.of(way).is_some_and(|of| of.heard().contains(&mine));
        if let (Some(reach), true) = (line(&mut all, way), came) {
            reach.answered.push("a datagram came through".to_owned());
        }
    }
    for said in ears.seat.heard() {
        let from = [Way::Neighbour, Way::OtherRoom]
            .into_iter()
            .find(|way| ears.nonce(*way) == said);
        if let Some(reach) = from.and_then(|way| line(&mut all, way)) {
            reach.answered.push("a datagram came through, from there".to_owned());
        }
    }
    if let Some(reach) = line(&mut all, Way::Route) {
        route(stand, ears, reach)?;
    }
    if let Some(reach) = line(&mut all, Way::Ipv6) {
        reach.answered = stand.seat.addresses6()?;
    }
    Ok(all)
}

fn line(all: &mut [Reach], way: Way) -> Option<&mut Reach> {
    all.iter_mut().find(|reach| reach.way == way)
}

fn name(of: Try) -> String {
    match of.how {
        How::Send => format!("{} by datagram", of.to),
        How::Ping => format!("{} by ping", of.to.ip()),
        How::Ask | How::AskEngine => format!("{} by a question", of.to),
        How::Connect | How::Touch => of.to.to_string(),
    }
}

/// From here, which is where the proxy is.
fn route(stand: &Stand, ears: &AllEars, reach: &mut Reach) -> Result<(), Fault> {
    let (port, _) = ears.seat.ports().map_err(|error| broken(&error))?;
    let to = SocketAddr::new(stand.seat.address, port);
    reach.tried.push(to.to_string());
    if std::net::TcpStream::connect_timeout(&to, ROUTE_PATIENCE).is_ok() {
        reach.answered.push(to.to_string());
    }
    Ok(())
}
