//! What a lost ledger is made of again: the labels of what is on the engine, and the archives in the store.
//!
//! Pure: from what was found to rows. Must not know how it was found, or what becomes of the rows.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::ids::{InstanceId, RoomName, SeatId, StudentId, TemplateName};
use super::names::route;
use super::proof::ArchiveClaim;
use super::record::{Closing, RoomRecord, RoomWanted, SeatRecord, Wanted};
use super::seen::RunState;
use super::template::{Egress, Template};

const MINUTE_MS: u64 = 60_000;
/// Who opened a room of which nothing tells.
const NOBODY: &str = "unknown";

/// What a workspace's label remembers, and no other label tells.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// The template as it was when the room opened.
    pub template: Template,
    /// Whether the room is an exam.
    pub exam: bool,
    /// Path of the seat's route.
    pub route: String,
    /// When the room was opened, Unix milliseconds.
    pub opened_unix_ms: u64,
    /// Who opened it.
    pub opened_by: String,
}

/// What can still be read of an [`Origin`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Told {
    /// All of it.
    Whole(Box<Origin>),
    /// Another version of labtop wrote it: the template's name.
    Name(TemplateName),
    /// Nothing.
    Nothing,
}

/// One labelled thing on the engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trace {
    /// Whose it is.
    pub instance: InstanceId,
    /// Of which room.
    pub room: RoomName,
    /// Of which opening.
    pub session: u64,
    /// What it is.
    pub of: TraceOf,
}

/// What a labelled thing is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TraceOf {
    /// A seat's container.
    Container {
        /// Whose.
        student: StudentId,
        /// What it does.
        state: RunState,
        /// Its route, when it has one.
        route: Option<String>,
    },
    /// A workspace.
    Volume {
        /// Whose.
        student: StudentId,
        /// What it remembers.
        told: Told,
    },
    /// A room's network, and whether nothing but routes reaches into it.
    Network {
        /// Whether it is a closed one.
        closed: bool,
    },
    /// Something that tells of an opening, and of nothing else.
    Carrier,
}

/// What fills the place of what nothing tells.
#[derive(Debug, Clone, Copy)]
pub struct Fallback<'a> {
    /// Templates by name.
    pub templates: &'a BTreeMap<TemplateName, Template>,
    /// The one that is taken when no name is known.
    pub template: &'a Template,
    /// Now, Unix milliseconds.
    pub now_unix_ms: u64,
}

/// What a ledger held, as far as it can be known.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Rebuilt {
    /// Open rooms, and closed ones so that their openings are not numbered again.
    pub rooms: Vec<RoomRecord>,
    /// Seats of the open rooms.
    pub seats: Vec<SeatRecord>,
    /// What is not certain, for people.
    pub notes: Vec<String>,
}

/// One seat in one opening, as its things tell.
#[derive(Debug, Default)]
struct Remains<'a> {
    container: Option<(RunState, Option<&'a String>)>,
    told: Option<&'a Told>,
}

type BySession<'a> = BTreeMap<u64, Remains<'a>>;

/// Makes the rows of one instance again out of its things on the engine and its archives in the store.
#[must_use]
pub fn rebuild(traces: &[Trace], archives: &[ArchiveClaim], fallback: Fallback<'_>) -> Rebuilt {
    let mut rebuilt = Rebuilt::default();
    let mut seats: BTreeMap<SeatId, BySession<'_>> = BTreeMap::new();
    for trace in traces {
        let of = |student: &StudentId| SeatId::new(trace.room.clone(), student.clone());
        match &trace.of {
            TraceOf::Container { student, state, route } => {
                let remains = seats.entry(of(student)).or_default().entry(trace.session).or_default();
                remains.container = Some((*state, route.as_ref()));
            }
            TraceOf::Volume { student, told } => {
                let remains = seats.entry(of(student)).or_default().entry(trace.session).or_default();
                remains.told = Some(told);
            }
            TraceOf::Network { .. } | TraceOf::Carrier => {}
        }
    }
    for (name, session) in sessions(traces, archives) {
        let mine: BTreeMap<_, _> = seats.iter().filter(|(seat, _)| seat.room == name).collect();
        let room = room(&name, session, &mine, traces, fallback, &mut rebuilt.notes);
        for (id, of) in mine {
            rebuilt.seats.extend(seat(id, of, &room, archives, fallback));
            let older = of.keys().rev().skip(1);
            rebuilt.notes.extend(older.map(|session| {
                format!("{id}: what is left of its opening {session} is left alone, because a later one is there")
            }));
        }
        rebuilt.rooms.push(room);
    }
    rebuilt
}

/// Every room that anything tells of, with the newest of its openings.
fn sessions(traces: &[Trace], archives: &[ArchiveClaim]) -> BTreeMap<RoomName, u64> {
    let on_engine = traces.iter().map(|trace| (&trace.room, trace.session));
    let stored = archives.iter().map(|claim| (&claim.seat.room, claim.session));
    let mut newest = BTreeMap::new();
    for (room, session) in on_engine.chain(stored) {
        let known = newest.entry(room.clone()).or_insert(session);
        *known = session.max(*known);
    }
    newest
}

/// A room is open when anything of a seat is left, and closed when there are only archives.
fn room(
    name: &RoomName,
    session: u64,
    seats: &BTreeMap<&SeatId, &BySession<'_>>,
    traces: &[Trace],
    fallback: Fallback<'_>,
    notes: &mut Vec<String>,
) -> RoomRecord {
    let open = !seats.is_empty();
    let mut row = RoomRecord {
        name: name.clone(),
        session,
        template: fallback.template.clone(),
        exam: false,
        wanted: if open { RoomWanted::Open } else { RoomWanted::Closed },
        ended: !open,
        opened_unix_ms: fallback.now_unix_ms,
        minutes: 0,
        on_demand: false,
        opened_by: NOBODY.to_owned(),
    };
    if !open {
        return row;
    }
    let mut told: Vec<(u64, &Told)> = seats
        .values()
        .flat_map(|of| {
            of.iter()
                .filter_map(|(session, remains)| Some((*session, remains.told?)))
        })
        .collect();
    told.sort_by_key(|(session, _)| std::cmp::Reverse(*session));
    let whole = told.iter().find_map(|(_, told)| match told {
        Told::Whole(origin) => Some(origin),
        _ => None,
    });
    if let Some(origin) = whole {
        row.template = origin.template.clone();
        row.exam = origin.exam;
        row.opened_unix_ms = origin.opened_unix_ms;
        row.opened_by.clone_from(&origin.opened_by);
        return row;
    }
    let names: BTreeSet<&TemplateName> = told
        .iter()
        .filter_map(|(_, told)| match told {
            Told::Name(name) => Some(name),
            _ => None,
        })
        .collect();
    if let Some(template) = names.into_iter().find_map(|name| fallback.templates.get(name)) {
        row.template = template.clone();
    }
    // A guess must not open what was closed.
    let closed = |trace: &Trace| trace.room == *name && trace.of == TraceOf::Network { closed: true };
    if traces.iter().any(closed) {
        row.template.network = Egress::Closed;
    }
    notes.push(format!(
        "room {name}: its labels do not tell its template (another version of labtop made it); it is taken to be {} as \
         configured now, and no exam",
        row.template.name
    ));
    row
}

/// The newest of what is left of a seat.
fn seat(
    id: &SeatId,
    of: &BySession<'_>,
    room: &RoomRecord,
    archives: &[ArchiveClaim],
    fallback: Fallback<'_>,
) -> Option<SeatRecord> {
    let (session, remains) = of.last_key_value()?;
    let route = match (remains.told, remains.container) {
        (Some(Told::Whole(origin)), _) => origin.route.clone(),
        (_, Some((_, Some(route)))) => route.clone(),
        _ => route(&id.room, &id.student, true),
    };
    let mine = archives
        .iter()
        .filter(|claim| claim.seat == *id && claim.session == *session);
    Some(SeatRecord {
        id: id.clone(),
        session: *session,
        wanted: wanted(remains.container.map(|(state, _)| state)),
        made: true,
        route,
        deadline_unix_ms: fallback.now_unix_ms + u64::from(room.template.minutes) * MINUTE_MS,
        discard_by: None,
        held: false,
        restore: None,
        closing: Closing {
            // Two archives of one opening never claim the same freezing.
            epoch: mine.map(|claim| claim.epoch).max().unwrap_or_default(),
            ..Closing::default()
        },
    })
}

/// What a seat should be is what it is: nothing runs that does not, and nothing is ended that runs.
fn wanted(state: Option<RunState>) -> Wanted {
    match state {
        // One that was never started was being made.
        Some(RunState::Running | RunState::Created) => Wanted::Running,
        Some(RunState::Paused) => Wanted::Frozen,
        Some(RunState::Exited | RunState::Dead) | None => Wanted::Stopped,
    }
}

#[cfg(test)]
#[path = "relics/tests.rs"]
mod tests;
