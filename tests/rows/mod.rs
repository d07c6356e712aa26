//! A model of the ledger's rows about people: rosters and sessions, as the real statements change them.

use std::collections::BTreeMap;

use labtop::domain::door::SessionRecord;
use labtop::domain::ids::{RoomName, StudentId};
use labtop::domain::record::{Change, LedgerState};

/// The rows.
#[derive(Debug, Clone, Default)]
pub struct People {
    pub rosters: BTreeMap<(RoomName, StudentId), Option<u32>>,
    pub sessions: Vec<SessionRecord>,
}

impl People {
    /// Makes a change that is about people; gives others back.
    pub fn apply(&mut self, change: Change) -> Option<Change> {
        match change {
            Change::PutRoster(room, rows) => {
                for row in rows {
                    self.rosters.insert((room.clone(), row.student), row.minutes);
                }
            }
            Change::DropFromRoster(room, student) => {
                self.rosters.remove(&(room, student));
            }
            Change::SetCodes(..) => {}
            Change::PutSession(session) => {
                let same = |other: &SessionRecord| {
                    session.onlooker.is_none() && other.onlooker.is_none() && other.seat.student == session.seat.student
                };
                self.sessions.retain(|other| !same(other) && other.id != session.id);
                self.sessions.push(session);
            }
            Change::EndSessions(ids) => self.sessions.retain(|session| !ids.contains(&session.id)),
            other => return Some(other),
        }
        None
    }

    /// Puts the rows into what an agent starts with.
    pub fn into_state(self, state: LedgerState) -> LedgerState {
        let rosters = self.rosters.into_iter();
        LedgerState {
            rosters: rosters
                .map(|((room, student), minutes)| (room, student, minutes))
                .collect(),
            sessions: self.sessions,
            ..state
        }
    }
}
