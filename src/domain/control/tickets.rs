//! Telling those who wait: how far it has come, and what came of it.

use super::Control;
use super::state::{Goal, Room, Seat};
use crate::domain::command::{Left, Outcome, ProgressReport};
use crate::domain::effect::{Effect, TicketId};
use crate::domain::fault::{Fault, FaultCode, Refusal};
use crate::domain::ids::{RoomName, SeatId};
use crate::domain::pace;
use crate::domain::policy::ATTEMPTS_BEFORE_TOLD;
use crate::domain::record::{RoomWanted, Wanted};
use crate::domain::seen::RunState;
use crate::domain::settings::RouteAuth;

/// How long an engine may be away before those who wait are told. A restart of the engine is shorter.
const ENGINE_PATIENCE_MS: u64 = 15_000;

/// How one command stands.
#[derive(Default)]
struct Tally {
    done: usize,
    left: Vec<Left>,
    total: usize,
    words: String,
}

impl Control {
    pub(super) fn answer_tickets(&mut self) {
        for id in self.tickets.keys().copied().collect::<Vec<_>>() {
            let Some(ticket) = self.tickets.get(&id).filter(|t| t.write.is_none()) else {
                continue;
            };
            match self.judge(&ticket.goal) {
                Ok(outcome) => self.reply(id, outcome),
                Err(tally) => self.report(id, &tally),
            }
        }
    }

    /// The outcome, or how far it has come.
    fn judge(&self, goal: &Goal) -> Result<Outcome, Tally> {
        let verdict = match goal {
            Goal::Open(room) => self.judge_open(room),
            Goal::Closed { room, total } => self.judge_closed(room, *total),
            Goal::Saved(seats) => self.judge_saved(seats),
            Goal::Seats { seats, wanted, done } => self.judge_seats(seats, *wanted, done),
        };
        match (verdict, self.engine_fault()) {
            (Err(_), Some(fault)) if self.engine_is_long_gone() => Ok(Outcome::from(
                fault.hint("It is noted, and goes on when the engine is back"),
            )),
            (verdict, _) => verdict,
        }
    }

    fn engine_is_long_gone(&self) -> bool {
        let blind_since = self.blind.as_ref().map(|(.., since)| *since);
        let away_since = self.engine_down_since_ms.or(blind_since);
        away_since.is_some_and(|since| self.now.mono_ms >= since + ENGINE_PATIENCE_MS)
    }

    fn judge_open(&self, name: &RoomName) -> Result<Outcome, Tally> {
        let Some(room) = self
            .rooms
            .get(name)
            .filter(|room| room.record.wanted == RoomWanted::Open)
        else {
            return Ok(Refusal::conflict(format!("Room {name} was closed meanwhile")).into());
        };
        if let Some(fault) = room
            .fault
            .clone()
            .filter(|f| f.is_lasting() || room.attempts >= ATTEMPTS_BEFORE_TOLD)
        {
            return Ok(fault.into());
        }
        let mut tally = Tally {
            words: "making seats".into(),
            ..Tally::default()
        };
        for seat in self.seats_of(name).filter(|seat| seat.record.wanted < Wanted::Gone) {
            tally.total += 1;
            tally.add(seat, has_arrived(seat));
        }
        let door = match self.rules.auth {
            RouteAuth::Gateway => "",
            RouteAuth::None => "; its routes let everybody in who reaches the proxy ([routing] auth = \"none\")",
        };
        let there = if room.record.on_demand && tally.total == 0 {
            let waiting = self.door.rosters.get(name).map_or(0, std::collections::BTreeMap::len);
            format!("a seat is made for each of {} who comes", students(waiting))
        } else {
            format!("{} ready", seats(tally.done))
        };
        let done = format!("Room {name} is open: {there}{door}");
        tally.verdict(done)
    }

    fn judge_closed(&self, name: &RoomName, total: usize) -> Result<Outcome, Tally> {
        let Some(room) = self.rooms.get(name) else {
            return Ok(self.closed(name, total));
        };
        if let Some(fault) = room.fault.clone().filter(|_| room.attempts >= ATTEMPTS_BEFORE_TOLD) {
            return Ok(fault.into());
        }
        let mut tally = Tally {
            total,
            words: self.closing_words(room),
            ..Tally::default()
        };
        let mut waiting = 0;
        for seat in self.seats_of(name) {
            tally.add(seat, false);
            waiting += 1;
        }
        tally.done = total.saturating_sub(waiting);
        if tally.left.is_empty() || tally.left.len() < waiting {
            return Err(tally);
        }
        let done = format!(
            "Room {name}: {} of {} archived and gone; the room is kept",
            tally.done,
            seats(total)
        );
        tally.verdict(done)
    }

    fn closed(&self, name: &RoomName, total: usize) -> Outcome {
        let text = format!("Room {name} is closed: {} gone, nothing is left", seats(total));
        match self.lost.get(name) {
            None => Outcome::done(text),
            Some(lost) => Outcome::Partly {
                text,
                left: lost.iter().map(lost_work).collect(),
            },
        }
    }

    fn judge_seats(&self, seats: &[SeatId], wanted: Wanted, done: &str) -> Result<Outcome, Tally> {
        let mut tally = Tally {
            total: seats.len(),
            words: "working".into(),
            ..Tally::default()
        };
        let mut overtaken = Vec::new();
        for id in seats {
            match self.seats.get(id).filter(|seat| seat.record.wanted == wanted) {
                Some(seat) => tally.add(seat, has_arrived(seat)),
                None => overtaken.push(id.to_string()),
            }
        }
        if overtaken.len() == seats.len() && !seats.is_empty() {
            let text = format!("Another order came after this one for {}", overtaken.join(", "));
            return Ok(Refusal::conflict(text).into());
        }
        tally.done += overtaken.len();
        tally.verdict(done.to_owned())
    }

    fn judge_saved(&self, ids: &[SeatId]) -> Result<Outcome, Tally> {
        let mut tally = Tally {
            total: ids.len(),
            words: "saving".into(),
            ..Tally::default()
        };
        let mut closed = 0;
        for id in ids {
            match self.seats.get(id).filter(|seat| seat.record.wanted < Wanted::Gone) {
                None => closed += 1,
                Some(seat) if seat.saving.is_awaited() => {}
                Some(seat) => match seat.saving.fault() {
                    None => tally.done += 1,
                    Some(fault) => tally.left.push(Left {
                        seat: id.clone(),
                        fault: fault.clone(),
                    }),
                },
            }
        }
        if closed == ids.len() {
            return Ok(Refusal::conflict("The seats were closed meanwhile, which archives them").into());
        }
        tally.total -= closed;
        let done = format!("Saved {}", seats(tally.done));
        tally.verdict(done)
    }

    fn closing_words(&self, room: &Room) -> String {
        let told = pace::closing(
            room.archived_bytes,
            self.closing_rate(room),
            self.closing_seconds_left(room),
        );
        if told.is_empty() {
            return "archiving and verifying".to_owned();
        }
        format!("archiving and verifying, {told}")
    }

    fn seats_of<'a>(&'a self, room: &'a RoomName) -> impl Iterator<Item = &'a Seat> {
        self.seats.values().filter(move |seat| seat.record.id.room == *room)
    }

    fn report(&mut self, id: TicketId, tally: &Tally) {
        let report = ProgressReport {
            done: tally.done,
            failed: tally.left.len(),
            total: tally.total,
            text: tally.words.clone(),
        };
        if let Some(ticket) = self.tickets.get_mut(&id)
            && ticket.told.as_ref() != Some(&report)
        {
            ticket.told = Some(report.clone());
            self.out.push(Effect::Progress(id, report));
        }
    }

    /// Tells words about a room that is not there yet (a pull).
    pub(super) fn report_words(&mut self, ticket: TicketId, text: String) {
        self.out.push(Effect::Progress(
            ticket,
            ProgressReport {
                done: 0,
                failed: 0,
                total: 0,
                text,
            },
        ));
    }
}

impl Tally {
    fn add(&mut self, seat: &Seat, arrived: bool) {
        if arrived {
            self.done += 1;
        } else if let Some(fault) = given_up(seat) {
            self.left.push(Left {
                seat: seat.record.id.clone(),
                fault,
            });
        }
    }

    fn verdict(self, done: String) -> Result<Outcome, Tally> {
        if self.done + self.left.len() < self.total {
            return Err(self);
        }
        if self.left.is_empty() {
            return Ok(Outcome::done(done));
        }
        if let (0, Some(only)) = (self.done, all_alike(&self.left)) {
            return Ok(only.into());
        }
        Ok(Outcome::Partly {
            text: done,
            left: self.left,
        })
    }
}

/// The one fault, when there is one seat and it failed.
fn all_alike(left: &[Left]) -> Option<Fault> {
    match left {
        [only] => Some(only.fault.clone()),
        _ => None,
    }
}

/// So many seats, in words.
pub(super) fn seats(count: usize) -> String {
    match count {
        1 => "1 seat".into(),
        count => format!("{count} seats"),
    }
}

/// So many students, in words.
pub(super) fn students(count: usize) -> String {
    match count {
        1 => "1 student".into(),
        count => format!("{count} students"),
    }
}

fn lost_work(seat: &SeatId) -> Left {
    let fault = Fault::new(
        FaultCode::Engine,
        format!("{seat}: its workspace was gone before it was archived; nothing of it is stored"),
    );
    Left {
        seat: seat.clone(),
        fault: fault.hint("Find out who removed the volume; earlier archives are in `labtop archive ls`"),
    }
}

/// Whether the seat is what it should be.
pub(super) fn has_arrived(seat: &Seat) -> bool {
    let state = seat.container.as_ref().map(|c| c.state);
    match seat.record.wanted {
        Wanted::Running => state == Some(RunState::Running) && seat.ready && !seat.restart,
        Wanted::Frozen => matches!(state, Some(RunState::Paused | RunState::Exited | RunState::Dead)),
        // A making that was called off may have started it all the same.
        Wanted::Stopped => state.map_or(seat.looked && seat.main.is_none(), RunState::is_down),
        Wanted::Gone => false,
    }
}

/// The seat's fault, once it is worth telling those who wait. The agent goes on trying.
fn given_up(seat: &Seat) -> Option<Fault> {
    let fault = seat.fault.as_ref()?;
    let ended = matches!(fault.code, FaultCode::Exited | FaultCode::OutOfMemory);
    let count = if ended { seat.exits } else { seat.attempts };
    (fault.is_lasting() || count >= ATTEMPTS_BEFORE_TOLD).then(|| fault.clone())
}
