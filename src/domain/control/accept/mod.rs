//! Commands: checked against what is, written, and only then in force. Freeze and kill are in force at once.

mod force;
mod open;
mod restore;
mod roster;
mod verbs;

use super::Control;
use super::drain::stopping;
use super::state::{Accepted, Doing, Room, Seat};
use crate::domain::command::{Command, Outcome, SHELL_VERB};
use crate::domain::effect::{Effect, Task, TicketId};
use crate::domain::fault::Refusal;
use crate::domain::ids::{ContainerId, RoomName, SeatId, StudentId};
use crate::domain::notice::Notice;
use crate::domain::policy::{LEASE_MINUTES_MAX, REFUSALS_WRITTEN};
use crate::domain::record::{AuditEntry, Change, Wanted};
use crate::domain::role::Actor;

const MINUTE_MS: u64 = 60_000;

impl Control {
    /// The one gate: role, audit, run.
    pub(super) fn accept(&mut self, ticket: TicketId, actor: &Actor, command: Command) {
        if !command.is_dry() {
            let asked = Asked {
                actor: actor.clone(),
                verb: command.verb(),
                target: command.target(),
            };
            self.asked.insert(ticket, asked);
        }
        let refused = self.gate(ticket, actor, command).err();
        if let Some(refusal) = refused {
            self.reply(ticket, Outcome::from(refusal));
        }
    }

    fn gate(&mut self, ticket: TicketId, actor: &Actor, command: Command) -> Result<(), Refusal> {
        actor.must(command.needs(), Some(command.room()), command.verb())?;
        if self.is_draining() {
            return Err(stopping(command.verb()));
        }
        match &command {
            Command::OpenRoom { .. } => self.open(ticket, actor, command),
            Command::CloseRoom { room, discard } => self.close(ticket, actor, &command, room, *discard),
            Command::ExtendRoom { room, student, minutes } => {
                self.extend(ticket, actor, &command, (room, student.as_ref()), *minutes)
            }
            Command::FreezeRoom { room, student } => self.freeze(ticket, actor, &command, (room, student.as_ref())),
            Command::ThawRoom { room, student } => self.thaw(ticket, actor, &command, (room, student.as_ref())),
            Command::HoldRoom { room, student } => self.hold(ticket, actor, &command, (room, student.as_ref()), true),
            Command::ReleaseRoom { room, student } => {
                self.hold(ticket, actor, &command, (room, student.as_ref()), false)
            }
            Command::SnapshotRoom { room, student } => self.save_now(ticket, actor, &command, (room, student.as_ref())),
            Command::RestoreSeat { .. } => self.restore_seat(ticket, actor, command),
            Command::KillSeat { seat, container } => self.kill(ticket, actor, &command, seat, container.as_ref()),
            Command::PeekSeat { seat, digest } => self.peek(ticket, actor, &command, (seat, digest)),
            Command::ImportRoster { room, rows, whole } => {
                self.import_roster(ticket, actor, &command, (room, rows, *whole))
            }
            Command::RemoveFromRoster { room, student } => {
                self.remove_from_roster(ticket, actor, &command, (room, student))
            }
            Command::MoveStudent { room, student, to } => {
                self.move_student(ticket, actor, &command, (student, room, to))
            }
            Command::SetCodes { room, codes } => self.set_codes(ticket, actor, &command, (room, codes)),
            Command::RevokeSession { room, student, session } => {
                let entry = self.audit(actor, &command);
                let seat = SeatId::new(room.clone(), student.clone());
                self.revoke((ticket, actor), entry, &seat, session.as_ref())
            }
            Command::RestartSeat { seat, container } => self.restart(ticket, actor, &command, seat, container.as_ref()),
        }
    }

    /// The seat that a destructive verb names, if it is still the one that the person saw.
    fn target(&self, id: &SeatId, container: Option<&ContainerId>) -> Result<(), Refusal> {
        let Some(seat) = self.seats.get(id) else {
            self.open_room(&id.room)?;
            let text = format!(
                "There is no seat {id}; `labtop ls {}` lists the seats of the room",
                id.room
            );
            return Err(Refusal::not_found(text));
        };
        if seat.record.wanted == Wanted::Gone {
            return Err(Refusal::conflict(format!("Seat {id} is being closed")));
        }
        let now = seat.container.as_ref().map(|c| &c.id);
        if container.is_some() && container != now {
            return Err(Refusal::conflict(format!(
                "Seat {id} has another container by now; nothing was done"
            )));
        }
        Ok(())
    }

    /// The seats of a room, or of one student in it, that `which` is true for.
    fn choose(
        &self,
        (room, student): (&RoomName, Option<&StudentId>),
        which: impl Fn(&Seat) -> bool,
    ) -> Result<Vec<SeatId>, Refusal> {
        self.open_room(room)?;
        let of = |id: &SeatId| id.room == *room && student.is_none_or(|s| id.student == *s);
        let there: Vec<&Seat> = self.seats.values().filter(|seat| of(&seat.record.id)).collect();
        if there.is_empty() {
            let who = student.map_or_else(|| "no seats".to_owned(), |s| format!("no seat {s}"));
            return Err(Refusal::not_found(format!("Room {room} has {who}")));
        }
        let chosen: Vec<SeatId> = there
            .into_iter()
            .filter(|s| which(s))
            .map(|s| s.record.id.clone())
            .collect();
        if chosen.is_empty() {
            return Err(Refusal::conflict(format!(
                "No seat of room {room} is in a state that this applies to"
            )));
        }
        Ok(chosen)
    }

    fn open_room(&self, name: &RoomName) -> Result<&Room, Refusal> {
        self.rooms.get(name).ok_or_else(|| no_room(name))
    }

    fn audit(&self, actor: &Actor, command: &Command) -> Change {
        let (verb, target) = (command.verb(), command.target());
        Change::Audit(AuditEntry::of(actor, self.now.unix_ms, verb, target, "accepted"))
    }

    /// Somebody goes into a seat: written down, which holds nobody up.
    pub(super) fn visit(&mut self, actor: &Actor, seat: &SeatId) {
        let entry = AuditEntry::of(actor, self.now.unix_ms, SHELL_VERB, seat.to_string(), "begun");
        self.write_fail_open(vec![Change::Audit(entry)]);
        let text = format!("{}: {SHELL_VERB} {seat}", actor.name);
        self.tell(Notice::info(text).about(&seat.room));
    }

    /// Somebody who may nothing could fill the disk with refusals: of each user, so many are written in a minute.
    fn note_outcome(&mut self, asked: &Asked, outcome: &Outcome) {
        if matches!(outcome, Outcome::Refused { .. }) {
            let minute = self.now.mono_ms / MINUTE_MS;
            let (last, count) = self.refusals.entry(asked.actor.uid).or_default();
            (*last, *count) = if *last == minute {
                (minute, *count + 1)
            } else {
                (minute, 1)
            };
            if *count > REFUSALS_WRITTEN {
                return;
            }
        }
        let (verb, target) = (asked.verb, asked.target.clone());
        let entry = AuditEntry::of(&asked.actor, self.now.unix_ms, verb, target, told(outcome));
        self.write_fail_open(vec![Change::Audit(entry)]);
    }

    fn tell_who(&mut self, actor: &Actor, command: &Command) {
        let text = format!("{}: {} {}", actor.name, command.verb(), command.target());
        self.tell(Notice::info(text).about(command.room()));
    }

    fn write_accepted(&mut self, ticket: TicketId, changes: Vec<Change>, accepted: Accepted) {
        if let Some(Change::Audit(entry)) = changes.last() {
            let text = format!("{}: {} {}", entry.user, entry.verb, entry.target);
            let room = entry.target.split(['/', ' ']).next().and_then(|room| room.parse().ok());
            let notice = Notice::info(text);
            self.tell(match room {
                Some(room) => notice.about(&room),
                None => notice,
            });
        }
        self.start(Task::Write(changes), Doing::Accept(ticket, Box::new(accepted)));
    }

    /// Answers a command for good, and writes what came of it. The answer does not wait for that.
    pub(super) fn reply(&mut self, ticket: TicketId, outcome: Outcome) {
        self.tickets.remove(&ticket);
        if let Some(asked) = self.asked.remove(&ticket) {
            self.note_outcome(&asked, &outcome);
        }
        self.out.push(Effect::Reply(ticket, outcome));
    }
}

/// A command that waits for its answer, as the audit trail tells of it.
#[derive(Debug)]
pub(super) struct Asked {
    actor: Actor,
    verb: &'static str,
    target: String,
}

/// What came of a command, for the audit trail: the text without the seats that are left.
fn told(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Done { text } => format!("done: {text}"),
        Outcome::Partly { text, left } => format!("partly: {text}; {} left", left.len()),
        Outcome::Failed { fault } => format!("failed: {fault}"),
        Outcome::Refused { refusal } => format!("refused: {}", refusal.text),
    }
}

fn being_closed(name: &RoomName) -> Refusal {
    Refusal::conflict(format!(
        "Room {name} is being closed; `labtop room close {name}` waits until it is"
    ))
}

fn being_seated(id: &SeatId) -> Refusal {
    Refusal::conflict(format!(
        "Seat {id} is there already, and an archive becomes a new seat: restore it to another room, or close {} first",
        id.room
    ))
}

fn no_room(name: &RoomName) -> Refusal {
    Refusal::not_found(format!("There is no room {name}; `labtop ls` lists the open rooms"))
}

fn lease_ms(minutes: u32) -> Result<u64, Refusal> {
    if minutes == 0 || minutes > LEASE_MINUTES_MAX {
        return Err(too_long());
    }
    Ok(u64::from(minutes) * MINUTE_MS)
}

fn too_long() -> Refusal {
    Refusal::invalid(format!("A lease lasts from 1 to {LEASE_MINUTES_MAX} minutes (a week)"))
}
