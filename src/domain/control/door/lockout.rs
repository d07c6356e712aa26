//! Lockouts: told of when they begin. That somebody types a student's name and wrong codes may be the student, or not.

use super::Control;
use crate::domain::door::Lockout;
use crate::domain::ids::{SeatId, StudentId};
use crate::domain::notice::Notice;
use crate::domain::record::{AuditEntry, Change, RoomWanted};
use crate::domain::role::Actor;

/// Addresses of which it is remembered that they are locked; each took many wrong codes.
const ADDRESSES_MAX: usize = 1_000;

/// An address among students' names: none of them has a space.
fn of_address(address: &str) -> String {
    format!("address {address}")
}

impl Control {
    /// Told of once for each lockout, and only where the name is one of a roster: names that somebody makes up fill
    /// neither screen nor disk.
    pub(super) fn locked_out(&mut self, actor: &Actor, lockout: Lockout) {
        let now_ms = self.now.mono_ms;
        self.door.locked_out.retain(|_, until_ms| *until_ms > now_ms);
        let student = lockout.student.as_ref();
        let name = student.map_or_else(|| of_address(&lockout.address), StudentId::to_string);
        if self.door.locked_out.contains_key(&name) {
            return;
        }
        let told = match student {
            Some(student) => self.tell_of_student(actor, student, &lockout),
            None => self.door.locked_out.len() < ADDRESSES_MAX && self.tell_of_address(actor, &lockout),
        };
        if told {
            self.door.locked_out.insert(name, now_ms + lockout.seconds * 1_000);
        }
    }

    fn tell_of_student(&mut self, actor: &Actor, student: &StudentId, lockout: &Lockout) -> bool {
        let seats = self.seats_listed(student);
        for seat in &seats {
            let text = format!(
                "{seat}: locked out for {} min after wrong codes, the last from {}; \
                 `labtop sessions revoke {seat}` lets them try again",
                lockout.minutes(),
                lockout.address
            );
            self.tell(Notice::incident(text).about(&seat.room));
            self.write_lockout(actor, seat.to_string(), lockout);
        }
        !seats.is_empty()
    }

    fn tell_of_address(&mut self, actor: &Actor, lockout: &Lockout) -> bool {
        let text = format!(
            "Too many wrong codes came from {}: for {} min, whoever typed one gets no other try there",
            lockout.address,
            lockout.minutes()
        );
        self.tell(Notice::incident(text));
        self.write_lockout(actor, lockout.address.clone(), lockout);
        true
    }

    /// The seats of open rooms on whose rosters a student is.
    fn seats_listed(&self, student: &StudentId) -> Vec<SeatId> {
        let rooms = self.rooms.values().map(|room| &room.record);
        let open = rooms.filter(|room| room.wanted == RoomWanted::Open);
        let ids = open.map(|room| SeatId::new(room.name.clone(), student.clone()));
        ids.filter(|id| self.is_listed(id)).collect()
    }

    fn write_lockout(&mut self, actor: &Actor, target: String, lockout: &Lockout) {
        let outcome = format!("no code is looked at for {} min", lockout.minutes());
        let mut entry = AuditEntry::of(actor, self.now.unix_ms, "lockout", target, outcome);
        entry.origin = Some(lockout.address.clone());
        self.write_fail_open(vec![Change::Audit(entry)]);
    }
}
