//! The addresses of seats, and what a proxy is told of them.
//!
//! Knows: both kinds of routes, and Traefik's words for one. Must not know: whether Traefik hears of it by labels or from
//! the gateway.

use serde::Serialize;
use sha2::{Digest, Sha256};

use super::hex::hex;
use super::ids::{RoomName, SeatId, StudentId};
use super::names;
use super::settings::{RouteAuth, RoutingSettings};

/// Longest part of a host's name.
const LABEL_MAX: usize = 63;
/// Hexadecimal digits of a digest that stands for a seat whose name makes no part of a host's name: 160 bits.
const DIGEST_DIGITS: usize = 40;

/// What makes a seat's address its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RouteRule {
    /// The path: `/api/r/STUDENT`.
    Path,
    /// The host's name, below this domain: `STUDENT-ROOM.DOMAIN`.
    Host(String),
}

impl RouteRule {
    /// The seat's route: a path, or a host's name with `//` before it, which is how a page names another host.
    ///
    /// `long` keeps seats of one student in several rooms apart, where the room is not in the route anyhow.
    #[must_use]
    pub fn route(&self, seat: &SeatId, long: bool) -> String {
        match self {
            Self::Path => names::route(&seat.room, &seat.student, long),
            Self::Host(domain) => format!("//{}.{domain}", host_label(&seat.room, &seat.student)),
        }
    }

    /// The domain of all seats and of the students' own pages, when seats have hosts of their own.
    #[must_use]
    pub fn domain(&self) -> Option<&str> {
        match self {
            Self::Path => None,
            Self::Host(domain) => Some(domain),
        }
    }
}

/// How the gateway says for which seat it is asked: only who knows the seat's name understands it, because strangers hear
/// it, too. In hexadecimal.
#[must_use]
pub fn told_seat(asked: &str, name: &str) -> String {
    hex(&Sha256::digest(format!("{asked} {name}")))
}

/// The host of a site's address, without its port.
#[must_use]
pub fn site_host(url: &str) -> &str {
    let place = url.split_once("://").map_or(url, |(_, place)| place);
    // An address of IPv6 stands in brackets.
    let split = place.rsplit_once(':').filter(|(_, port)| !port.contains(']'));
    split.map_or(place, |(host, _)| host)
}

/// The host of a route, when it is one of a host's name.
#[must_use]
pub fn host_of(route: &str) -> Option<&str> {
    route.strip_prefix("//")
}

/// The first part of a seat's host name, injective in (room, student) although hosts have no capitals: `STUDENT-ROOM`
/// where the student has letters and digits alone, so that the first `-` separates; else a digest, which has no `-`.
fn host_label(room: &RoomName, student: &StudentId) -> String {
    let (room, student) = (room.as_str(), student.as_str());
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let fits = student.len() + 1 + room.len() <= LABEL_MAX && !room.ends_with('-');
    if fits && student.bytes().all(plain) {
        return format!("{student}-{room}");
    }
    let digest = hex(&Sha256::digest(format!("{room}/{student}")));
    format!("s{}", &digest[..DIGEST_DIGITS])
}

/// A seat's route in Traefik's words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProxyRoute {
    /// Which requests are the seat's.
    pub rule: String,
    /// Who is asked whether they may go on; its address carries the seat's own name, so that the gateway knows from the
    /// route alone who is asked for. None lets everybody in.
    pub auth: Option<String>,
    /// What is taken away before a path.
    pub strip: Option<String>,
}

impl ProxyRoute {
    /// Of the seat with that name ([`names::Names::seat`]) and route.
    #[must_use]
    pub fn of(name: &str, route: &str, routing: &RoutingSettings) -> Self {
        let gateway = routing.gateway_url.trim_end_matches('/');
        let host = host_of(route);
        Self {
            rule: match host {
                Some(host) => format!("Host(`{host}`)"),
                None => format!("Path(`{route}`) || PathPrefix(`{route}/`)"),
            },
            auth: (routing.auth == RouteAuth::Gateway).then(|| format!("{gateway}/auth/verify/{name}")),
            strip: (routing.strip_prefix && host.is_none()).then(|| route.to_owned()),
        }
    }

    /// The route that a rule was made of.
    #[must_use]
    pub fn route_in(rule: &str) -> Option<String> {
        let quoted = |before: &str| Some(rule.strip_prefix(before)?.split_once('`')?.0.to_owned());
        quoted("Path(`").or_else(|| quoted("Host(`").map(|host| format!("//{host}")))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn label(seat: &str) -> String {
        let seat: SeatId = seat.parse().unwrap();
        host_label(&seat.room, &seat.student)
    }

    #[test]
    fn plain_names_are_read_and_others_are_digests() {
        assert_eq!(label("final/an"), "an-final");
        assert_eq!(label("exam-1/s07"), "s07-exam-1");
        let others = ["final/An", "final/a.n", "final/a-n", "final/a_n", "exam-/an"].map(label);
        for other in &others {
            assert!(other.len() == 41 && !other.contains('-'), "{other}");
        }
        let longest = format!("{}/{}", "r".repeat(32), "s".repeat(64));
        assert_eq!(label(&longest).len(), 41);
    }

    #[test]
    fn what_could_be_taken_for_each_other_is_not() {
        let mut seen = BTreeMap::new();
        for seat in [
            "a/b", "a/B", "a-b/c", "b/a", "b-c/a", "c/a-b", "b-a/c", "a/b.c", "a/b-c", "a/b_c", "ab/c", "b/ac", "xn/a",
        ] {
            let other = seen.insert(label(seat), seat);
            assert_eq!(other, None, "{seat}");
        }
    }

    #[test]
    fn a_rule_gives_its_route_back() {
        let routing = |rule, strip_prefix| RoutingSettings {
            rule,
            strip_prefix,
            ..RoutingSettings::of_gateway("http://127.0.0.1:8091/".into())
        };
        let seat: SeatId = "final/an".parse().unwrap();
        for (rule, long, route, words) in [
            (
                RouteRule::Path,
                false,
                "/api/r/an",
                "Path(`/api/r/an`) || PathPrefix(`/api/r/an/`)",
            ),
            (
                RouteRule::Path,
                true,
                "/api/r/final~an",
                "Path(`/api/r/final~an`) || PathPrefix(`/api/r/final~an/`)",
            ),
            (
                RouteRule::Host("lab.test".into()),
                false,
                "//an-final.lab.test",
                "Host(`an-final.lab.test`)",
            ),
        ] {
            assert_eq!(rule.route(&seat, long), route);
            let proxy = ProxyRoute::of("lab-1_final_an", route, &routing(rule, true));
            assert_eq!(proxy.rule, words);
            assert_eq!(ProxyRoute::route_in(&proxy.rule).as_deref(), Some(route));
            assert_eq!(
                proxy.auth.as_deref(),
                Some("http://127.0.0.1:8091/auth/verify/lab-1_final_an")
            );
            assert_eq!(proxy.strip.is_some(), host_of(route).is_none());
        }
        assert_eq!(ProxyRoute::route_in("PathPrefix(`/`)"), None);
    }

    proptest! {
        #[test]
        fn labels_are_injective_and_fit(
            a in ("[a-z0-9][a-z0-9-]{0,31}", "[A-Za-z0-9][A-Za-z0-9._-]{0,63}"),
            b in ("[a-b][a-b-]{0,2}", "[a-bA][a-bA._-]{0,2}"),
            c in ("[a-b][a-b-]{0,2}", "[a-bA][a-bA._-]{0,2}"),
        ) {
            let seat = |(r, s): &(String, String)| format!("{r}/{s}");
            prop_assert_eq!(b == c, label(&seat(&b)) == label(&seat(&c)));
            for one in [&a, &b] {
                let label = label(&seat(one));
                prop_assert!(label.len() <= LABEL_MAX);
                prop_assert!(!label.starts_with('-') && !label.ends_with('-'));
                prop_assert!(label.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-'));
            }
        }
    }
}
