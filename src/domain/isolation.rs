//! What a seat must not reach, and how a report on it is judged.
//!
//! Knows: the ways out of a seat, which of them a room's network leaves open on purpose. Must not know: how a way is
//! tried.

use super::command::Check;
use super::fault::{Fault, FaultCode};
use super::ids::RoomName;
use super::template::Egress;

/// One way out of a seat, or into it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Way {
    /// From the host to the seat, which its route needs: the one way that must be there.
    Route,
    /// To another seat of the room.
    Neighbour,
    /// To a seat of another room.
    OtherRoom,
    /// To the host, at its bridge's address and at all others.
    Host,
    /// To Docker's own API.
    Docker,
    /// To the lease store.
    Redis,
    /// To the archive store.
    Store,
    /// To the gateway past the proxy: its routes and its answers are for the host alone.
    Gateway,
    /// To the proxy's own interface.
    Traefik,
    /// To what a cloud tells its machines.
    Metadata,
    /// To private networks around the host.
    Private,
    /// To the internet.
    Internet,
    /// To anybody who answers questions for names.
    Dns,
    /// Over IPv6, to anything.
    Ipv6,
}

impl Way {
    /// All, in the order of a report.
    pub const ALL: [Self; 14] = [
        Self::Route,
        Self::Neighbour,
        Self::OtherRoom,
        Self::Host,
        Self::Docker,
        Self::Redis,
        Self::Store,
        Self::Gateway,
        Self::Traefik,
        Self::Metadata,
        Self::Private,
        Self::Internet,
        Self::Dns,
        Self::Ipv6,
    ];

    /// The line's name in a report.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Route => "route",
            Self::Neighbour => "neighbour",
            Self::OtherRoom => "other room",
            Self::Host => "host",
            Self::Docker => "docker",
            Self::Redis => "redis",
            Self::Store => "store",
            Self::Gateway => "gateway",
            Self::Traefik => "traefik",
            Self::Metadata => "metadata",
            Self::Private => "private",
            Self::Internet => "internet",
            Self::Dns => "dns",
            Self::Ipv6 => "ipv6",
        }
    }

    /// Whether a room with that network has this way on purpose.
    fn is_wanted(self, egress: Egress) -> bool {
        match self {
            Self::Route => true,
            Self::Internet | Self::Dns => egress == Egress::Open,
            _ => false,
        }
    }

    /// What closes it.
    fn hint(self) -> &'static str {
        match self {
            Self::Route => "Another firewall of the host lets nothing through to rooms: allow what goes out at lab-*",
            Self::Neighbour | Self::OtherRoom => {
                "See that the kernel shows bridges' packets to the firewall (br_netfilter is loaded, \
                 net.bridge.bridge-nf-call-iptables = 1); then restart the engine, whose own rules are missing"
            }
            Self::Metadata | Self::Private | Self::Internet => {
                "Load the firewall with `labtop doctor --fix` as root, and close and open the room again"
            }
            Self::Ipv6 => "Turn IPv6 off for the engine's networks, then close and open the room again",
            _ => "Load the firewall with `labtop doctor --fix` as root",
        }
    }
}

/// What came of trying one way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reach {
    /// Which.
    pub way: Way,
    /// What did not answer.
    pub tried: Vec<String>,
    /// What did not answer, and does not answer the host itself either: it proves nothing.
    pub unreachable: Vec<String>,
    /// What answered.
    pub answered: Vec<String>,
}

impl Reach {
    /// Nothing was tried yet.
    #[must_use]
    pub fn of(way: Way) -> Self {
        Self {
            way,
            tried: Vec::new(),
            unreachable: Vec::new(),
            answered: Vec::new(),
        }
    }

    /// The line of a report on a room with that network.
    #[must_use]
    pub fn judge(&self, egress: Egress) -> Check {
        let name = self.way.name();
        let answered = few(&self.answered);
        match (self.answered.is_empty(), self.way.is_wanted(egress)) {
            (true, false) if !self.unreachable.is_empty() && self.tried.is_empty() => {
                let text = format!("closed; but this host itself does not reach {}", few(&self.unreachable));
                Check::ok(name, text)
            }
            (true, false) if self.way == Way::Ipv6 => Check::ok(name, "closed: the seat has no address of it"),
            (true, false) if self.tried.is_empty() => Check::ok(name, "closed: there is nothing to reach"),
            (true, false) => Check::ok(name, format!("closed: nothing answered at {}", few(&self.tried))),
            (false, true) => Check::ok(name, format!("open, as it should be: {answered}")),
            (true, true) if self.way == Way::Route => {
                let text = format!("the host does not reach the seat at {}", self.tried.join(", "));
                Check::fail(name, text, self.way.hint())
            }
            // The template permits it; the host has no such way itself.
            (true, true) => {
                let silent = [self.tried.as_slice(), &self.unreachable].concat();
                Check::ok(name, format!("permitted; nothing answered at {}", few(&silent)))
            }
            (false, false) => Check::fail(name, format!("OPEN: {answered}"), self.way.hint()),
        }
    }
}

/// The first few of many, so that a line stays one.
fn few(all: &[String]) -> String {
    const SHOWN: usize = 4;
    let shown = all
        .iter()
        .take(SHOWN)
        .map(String::as_str)
        .collect::<Vec<_>>()
        .join(", ");
    match all.len().checked_sub(SHOWN).filter(|more| *more > 0) {
        Some(more) => format!("{shown} and {more} more"),
        None => shown,
    }
}

/// Why a room must not become an exam, if anything of the report says so.
///
/// # Errors
/// [`FaultCode::NotIsolated`], which names every line that is not as it should be.
pub fn fit_for_exam(room: &RoomName, reaches: &[Reach]) -> Result<(), Fault> {
    let lines = reaches.iter().map(|reach| reach.judge(Egress::Closed));
    let open: Vec<Check> = lines.filter(|check| !check.hint.is_empty()).collect();
    let Some(first) = open.first() else { return Ok(()) };
    let told: Vec<String> = open
        .iter()
        .map(|check| format!("{}: {}", check.name, check.text))
        .collect();
    let text = format!("room {room} would not be fit for an exam: {}", told.join("; "));
    Err(Fault::new(FaultCode::NotIsolated, text).hint(&first.hint))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::command::CheckState;

    fn reach(way: Way, answered: &[&str]) -> Reach {
        Reach {
            way,
            tried: vec!["10.0.0.1:1".to_owned()],
            unreachable: Vec::new(),
            answered: answered.iter().map(ToString::to_string).collect(),
        }
    }

    #[test]
    fn open_rooms_have_the_internet_and_names_and_nothing_else() {
        for way in Way::ALL {
            let open = reach(way, &["somebody"]);
            let wanted = [Way::Route, Way::Internet, Way::Dns].contains(&way);
            assert_eq!(open.judge(Egress::Open).state == CheckState::Ok, wanted, "{way:?}");
            let closed = open.judge(Egress::Closed);
            assert_eq!(closed.state == CheckState::Ok, way == Way::Route, "{way:?}");
            assert!(closed.state == CheckState::Ok || !closed.hint.is_empty());
        }
    }

    #[test]
    fn an_exam_needs_every_line() {
        let room: RoomName = "final".parse().unwrap();
        let mut all: Vec<Reach> = Way::ALL.map(|way| reach(way, &[])).to_vec();
        all[0] = reach(Way::Route, &["10.0.0.1:1"]);
        assert_eq!(fit_for_exam(&room, &all), Ok(()));
        for at in 0..all.len() {
            let mut one = all.clone();
            one[at].answered = match at {
                0 => Vec::new(),
                _ => vec!["10.9.9.9:53".to_owned()],
            };
            let fault = fit_for_exam(&room, &one).unwrap_err();
            assert!(
                fault.code == FaultCode::NotIsolated && fault.text.contains(one[at].way.name()),
                "{fault}"
            );
        }
    }
}
