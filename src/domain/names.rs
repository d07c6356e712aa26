//! The names of everything that labtop makes on an engine or in a store: injective in (room, student, session).
//!
//! Knows: each system's limits. Must not know: how the things are made.

use super::ids::{ArchiveId, InstanceId, RoomName, SeatId, StudentId};

/// Marks whose thing it is; an agent acts only on things bearing its own instance.
pub const LABEL_INSTANCE: &str = "io.labtop.instance";
/// The room's name.
pub const LABEL_ROOM: &str = "io.labtop.room";
/// The student's id.
pub const LABEL_STUDENT: &str = "io.labtop.student";
/// The digest of the whole specification that a seat was made from.
pub const LABEL_SPEC: &str = "io.labtop.spec";
/// What the thing is: see [`Kind`].
pub const LABEL_KIND: &str = "io.labtop.kind";
/// Which opening of the room the thing belongs to.
pub const LABEL_SESSION: &str = "io.labtop.session";
/// What a workspace remembers of the room that it was made in: see [`Origin`](super::relics::Origin).
pub const LABEL_ORIGIN: &str = "io.labtop.origin";
/// The owner label of the prototype's contract.
pub const LABEL_OWNER: &str = "com.caas.owner";

/// The header in which the agent asks the gateway for which seat a proxy asks it, with a number of its own.
pub const ASK_HEADER: &str = "x-labtop-ask";
/// The header in which the gateway answers that, when it lets nobody in: see [`told_seat`](super::routes::told_seat).
pub const SEAT_HEADER: &str = "x-labtop-seat";

/// The values of [`LABEL_KIND`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A student's container.
    Seat,
    /// A never-started container through which a workspace is read.
    Carrier,
    /// A room's network.
    Network,
    /// A student's workspace.
    Volume,
    /// A container, or its network, from which it is tried what seats reach.
    Probe,
}

impl Kind {
    /// The label's value.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Seat => "seat",
            Self::Carrier => "carrier",
            Self::Network => "network",
            Self::Volume => "volume",
            Self::Probe => "probe",
        }
    }
}

/// The largest number of an opening with which every name fits a file system.
pub const SESSION_MAX: u64 = 99_999_999;

/// Makes names for one instance. Two instances on one engine never make the same name.
#[derive(Debug, Clone)]
pub struct Names {
    prefix: String,
}

impl Names {
    /// Names marked with `instance`.
    #[must_use]
    pub fn new(instance: &InstanceId) -> Self {
        Self {
            prefix: format!("lab-{}", instance.mark()),
        }
    }

    /// A seat's container and its Traefik router and service (at most 238 bytes, `[a-z0-9_-]`).
    #[must_use]
    pub fn seat(&self, seat: &SeatId) -> String {
        format!("{}_{}", self.prefix, seat.slug())
    }

    /// A seat's volume in one opening of its room. The session keeps a late removal that was meant for an earlier
    /// opening from hitting a later one.
    #[must_use]
    pub fn volume(&self, seat: &SeatId, session: u64) -> String {
        format!("{}.{session}", self.seat(seat))
    }

    /// A carrier of a seat; `nonce` keeps two of them apart.
    #[must_use]
    pub fn carrier(&self, seat: &SeatId, nonce: &str) -> String {
        format!("{}.carrier.{nonce}", self.seat(seat))
    }

    /// A room's network. The seat names have a second `_`, so this is none of them.
    #[must_use]
    pub fn network(&self, room: &RoomName) -> String {
        format!("{}_{room}", self.prefix)
    }

    /// A probe, or the network of one.
    #[must_use]
    pub fn probe(&self, which: &str) -> String {
        format!("{}.probe.{which}", self.prefix)
    }
}

/// What all keys of archives begin with.
pub const SUBMISSIONS: &str = "submissions";

/// The objects of one archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ArchivePart {
    /// The work.
    Workspace,
    /// What is in it.
    Manifest,
    /// What the seat printed.
    Log,
}

impl ArchivePart {
    /// The last component of its key.
    #[must_use]
    pub fn file_name(self) -> &'static str {
        match self {
            Self::Workspace => "workspace.tar.zst",
            Self::Manifest => "manifest.json",
            Self::Log => "container.log.zst",
        }
    }
}

/// The key of one of an archive's objects: `submissions/<room>/<student>/<attempt>/<part>`.
#[must_use]
pub fn part_key(seat: &SeatId, attempt: &ArchiveId, part: ArchivePart) -> String {
    let name = part.file_name();
    format!("{SUBMISSIONS}/{}/{}/{attempt}/{name}", seat.room, seat.student)
}

/// The key of an archive's first object, the work.
#[must_use]
pub fn archive_key(seat: &SeatId, attempt: &ArchiveId) -> String {
    part_key(seat, attempt, ArchivePart::Workspace)
}

/// A seat's address. The short form is the contract of the prototype; the long form keeps a student who sits in
/// two rooms, and the numbered seats of `--seats`, apart. `~` is in no student id, so the forms never meet.
#[must_use]
pub fn route(room: &RoomName, student: &StudentId, long: bool) -> String {
    if long {
        format!("/api/r/{room}~{student}")
    } else {
        format!("/api/r/{student}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_fit_the_limits_of_file_systems() {
        let names = Names::new(&"6f1b7a52-0000-4000-8000-000000000000".parse().unwrap());
        let seat = SeatId::new(
            "r".repeat(32).parse().unwrap(),
            format!("A{}", "_".repeat(63)).parse().unwrap(),
        );
        assert!(names.volume(&seat, u64::MAX).len() <= 255 + 4);
        assert!(names.volume(&seat, SESSION_MAX).len() <= 255);
        assert!(names.seat(&seat).starts_with("lab-6f1b7a52_r"));
    }

    #[test]
    fn short_and_long_routes_never_meet() {
        let room: RoomName = "a".parse().unwrap();
        let student: StudentId = "b".parse().unwrap();
        assert_eq!(route(&room, &student, false), "/api/r/b");
        assert_eq!(route(&room, &student, true), "/api/r/a~b");
    }
}
