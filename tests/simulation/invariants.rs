//! What must hold in every run, checked when it could break.
//!
//! Knows what was asked for (commands, leases) and what is committed; judges effects, writes and removals by it.

use std::collections::{BTreeMap, BTreeSet};

use labtop::domain::command::{Command, Outcome};
use labtop::domain::effect::{ArchiveOrder, Effect, OpId, Task, TicketId};
use labtop::domain::ids::{ArchiveId, ContainerId, RoomName, SeatId};
use labtop::domain::proof::Warrant;
use labtop::domain::record::{Change, Closing, RoomWanted, SeatRecord, Wanted};
use labtop::domain::seen::RunState;

use crate::docker::{Volume, VolumeKey};
use crate::engine::Deed;
use crate::leases::Leases;
use crate::ledger::Ledger;
use crate::sessions::Sessions;
use crate::world::World;

/// What people asked for, and what is under way.
#[derive(Debug, Default)]
pub struct Oracle {
    /// What a seat was last told to be by an explicit verb.
    pub wish: BTreeMap<SeatId, Wanted>,
    /// Kills and freezes that were ever asked for.
    urged: BTreeSet<(SeatId, bool)>,
    /// Rooms that somebody closes.
    pub closes: BTreeSet<RoomName>,
    pub leases: Leases,
    pub sessions: Sessions,
    pub discards: BTreeSet<RoomName>,
    pub tickets: BTreeMap<TicketId, (Command, u32)>,
    proven: BTreeSet<ArchiveId>,
    running: BTreeMap<OpId, (SeatId, Lane)>,
    strangers: Vec<(ContainerId, RunState, u64, u64)>,
}

impl Oracle {
    pub fn answered(&mut self, op: OpId) {
        self.running.remove(&op);
    }

    pub fn proven(&mut self, id: ArchiveId) {
        self.proven.insert(id);
    }

    pub fn forget_life(&mut self) {
        self.running.clear();
        self.tickets.clear();
    }

    /// A new life knows only what is committed.
    pub fn born(&mut self, ledger: &Ledger) {
        self.wish = ledger.seats.values().map(|s| (s.id.clone(), s.wanted)).collect();
        let closed = ledger.rooms.values().filter(|r| r.wanted == RoomWanted::Closed);
        self.closes = closed.map(|r| r.name.clone()).collect();
        self.sessions.born(ledger);
    }

    pub fn strangers(&mut self, strangers: Vec<(ContainerId, RunState, u64, u64)>) {
        self.strangers = strangers;
    }

    /// A command is about to be handed in: what it permits, it permits from now on.
    pub fn asks(&mut self, command: &Command, seats: &BTreeMap<SeatId, SeatRecord>) {
        match command {
            Command::CloseRoom { room, discard } => {
                self.closes.insert(room.clone());
                if *discard {
                    self.discards.insert(room.clone());
                }
            }
            Command::FreezeRoom { room, student } => {
                let all = seats.keys().filter(|id| id.room == *room);
                let named = all.filter(|id| student.as_ref().is_none_or(|s| id.student == *s));
                self.urged.extend(named.map(|id| (id.clone(), false)));
            }
            Command::KillSeat { seat, .. } => {
                self.urged.insert((seat.clone(), true));
            }
            _ => {}
        }
    }

    /// A command was handed in and not refused at once: what it forbids, it forbids from now on.
    pub fn asked(&mut self, command: &Command, seats: &BTreeMap<SeatId, SeatRecord>) {
        let of = |room: &RoomName, student: Option<&labtop::domain::ids::StudentId>| -> Vec<SeatId> {
            let all = seats.keys().filter(|id| id.room == *room);
            all.filter(|id| student.is_none_or(|s| id.student == *s))
                .cloned()
                .collect()
        };
        match command {
            Command::FreezeRoom { room, student } => {
                // A seat that is about to be there, or to be started again, is not frozen with the others.
                let waits = |id: &SeatId| {
                    let mut waiting = self.tickets.values().filter(|(_, replies)| *replies == 0);
                    waiting.any(|(c, _)| match c {
                        Command::RestartSeat { seat, .. } | Command::RestoreSeat { seat, .. } => seat == id,
                        Command::OpenRoom { room, .. } => *room == id.room,
                        _ => false,
                    })
                };
                let named = of(room, student.as_ref());
                for id in named.into_iter().filter(|id| !waits(id)).collect::<Vec<_>>() {
                    let wish = self.wish.entry(id).or_insert(Wanted::Running);
                    if *wish <= Wanted::Frozen {
                        *wish = Wanted::Frozen;
                    }
                }
            }
            Command::ThawRoom { room, student } => {
                for id in of(room, student.as_ref()) {
                    if self.wish.get(&id) == Some(&Wanted::Frozen) {
                        self.wish.insert(id, Wanted::Running);
                    }
                }
            }
            Command::KillSeat { seat, .. } => {
                self.wish.insert(seat.clone(), Wanted::Stopped);
            }
            Command::RestartSeat { seat, .. } => {
                self.wish.insert(seat.clone(), Wanted::Running);
            }
            Command::OpenRoom { .. }
            | Command::RestoreSeat { .. }
            | Command::SnapshotRoom { .. }
            | Command::HoldRoom { .. }
            | Command::ReleaseRoom { .. }
            | Command::CloseRoom { .. }
            | Command::ExtendRoom { .. }
            | Command::PeekSeat { .. }
            | Command::ImportRoster { .. }
            | Command::RemoveFromRoster { .. }
            | Command::MoveStudent { .. }
            | Command::SetCodes { .. }
            | Command::RevokeSession { .. } => {}
        }
    }

    fn wish(&self, seat: &SeatId) -> Wanted {
        self.wish.get(seat).copied().unwrap_or(Wanted::Running)
    }
}

impl World {
    pub fn check_effect(&mut self, effect: &Effect) {
        match effect {
            Effect::Run(op, task) => {
                if let Task::Write(changes) = task {
                    self.note_grants(changes);
                    self.note_door_write(*op, changes);
                }
                self.check_task(*op, task);
            }
            Effect::Reply(ticket, outcome) => self.check_reply(*ticket, outcome),
            Effect::Progress(ticket, _) => {
                if self.oracle.tickets.get(ticket).is_none_or(|(_, replies)| *replies > 0) {
                    self.violated(format!("progress of {ticket:?}, which nobody waits for"));
                }
            }
            Effect::Answer(ticket, answer) => self.check_answer(*ticket, answer),
            Effect::Cancel(_) | Effect::Tell(_) => {}
        }
    }

    fn check_task(&mut self, op: OpId, task: &Task) {
        if !self.told_up
            && !matches!(
                task,
                Task::Write(_) | Task::Preflight { .. } | Task::Absolve(_) | Task::Cut(..)
            )
        {
            self.violated(format!("{task:?} while the engine is down"));
        }
        if let Some((seat, lane)) = seat_of(task) {
            self.check_alone(op, &seat, lane);
            self.check_wish(&seat, task);
        }
        if let Task::RemoveContainer(warrant) | Task::RemoveVolume(warrant) = task {
            self.check_warrant(warrant);
        }
    }

    /// One step of a seat at a time, with a kill or a freeze beside it.
    fn check_alone(&mut self, op: OpId, seat: &SeatId, lane: Lane) {
        let same = |(other, l): &&(SeatId, Lane)| other == seat && *l == lane;
        if self.oracle.running.values().any(|r| same(&r)) {
            self.violated(format!("two steps of {seat} at once"));
        }
        self.oracle.running.insert(op, (seat.clone(), lane));
    }

    /// Nobody is started against the last word, and nobody is touched whom nobody named.
    fn check_wish(&mut self, seat: &SeatId, task: &Task) {
        let wish = self.oracle.wish(seat);
        let allowed = match task {
            Task::Start(..) | Task::Restart(..) | Task::Thaw(..) => wish == Wanted::Running,
            Task::Provision(_) => wish <= Wanted::Frozen,
            Task::Freeze(..) => self.oracle.urged.contains(&(seat.clone(), false)),
            Task::Kill(..) => self.oracle.urged.contains(&(seat.clone(), true)),
            Task::Hold { .. }
            | Task::Archive(_)
            | Task::Verify { .. }
            | Task::RemoveContainer(_)
            | Task::RemoveVolume(_) => {
                let row = self.ledger.seats.get(seat);
                let written = row.is_some_and(|row| row.wanted == Wanted::Gone);
                let held = row.is_some_and(|row| row.held);
                let ended = self.oracle.leases.over.contains(seat) && !held;
                let given_back = self.oracle.sessions.given_back.contains(seat);
                self.oracle.closes.contains(&seat.room) || ended || given_back || written && !held
            }
            _ => true,
        };
        if !allowed {
            self.violated(format!("{task:?} although {seat} was last told to be {wish:?}"));
        }
    }

    /// A removal is permitted by the newest epoch's recorded archive, or by an audited order.
    fn check_warrant(&mut self, warrant: &Warrant) {
        let Some(row) = self.ledger.seats.get(warrant.seat()) else {
            return self.violated(format!("a removal of {}, which has no row", warrant.seat()));
        };
        let good = match warrant {
            Warrant::Verified(proof) => {
                let claim = proof.claim();
                row.closing.archive.as_ref() == Some(claim)
                    && row.closing.epoch == claim.epoch
                    && row.closing.stillness.as_ref() == Some(proof.stillness())
            }
            Warrant::Discard(_) => self.oracle.discards.contains(&row.id.room) && self.is_audited(&row.id.room),
        };
        if !good || row.session != warrant.session() {
            let row = row.clone();
            self.violated(format!("the warrant {warrant:?} is not of the present: {row:?}"));
        }
    }

    fn is_audited(&self, room: &RoomName) -> bool {
        let mut audit = self.ledger.audit.iter();
        audit.any(|entry| entry.verb == "room close --discard" && entry.target == room.as_str())
    }

    fn check_reply(&mut self, ticket: TicketId, outcome: &Outcome) {
        let Some((command, replies)) = self.oracle.tickets.get_mut(&ticket) else {
            return self.violated(format!("an answer to {ticket:?}, which nobody asked"));
        };
        *replies += 1;
        let (command, replies) = (command.clone(), *replies);
        if replies > 1 {
            self.violated(format!("{command:?} was answered {replies} times"));
        }
        self.note_door_reply(&command, outcome);
        if let (Command::OpenRoom { room, .. }, Outcome::Done { .. }) = (&command, outcome) {
            self.check_opened(room);
        }
        if let (Command::CloseRoom { room, .. }, Outcome::Done { .. }) = (&command, outcome) {
            self.may_open_again(room);
        }
        if let (Command::CloseRoom { room, .. }, Outcome::Done { .. }) = (&command, outcome)
            && !self.haunted.contains(room)
            && let Some(left) = self.left_of(room)
        {
            self.violated(format!("room {room} was said to be closed, but there is {left}"));
        }
    }

    /// What the engine still has of a room, besides the strangers.
    pub fn left_of(&self, room: &RoomName) -> Option<String> {
        let docker = &self.docker;
        let mut containers = docker.containers.values();
        if let Some(c) = containers.find(|c| c.seat.room == *room && !c.foreign && c.session > 0) {
            return Some(format!("a container {c:?}"));
        }
        // A hung call may make an empty workspace after the end, which nobody may remove unasked.
        let excused = |volume: &Volume| volume.writes == 0 && self.haunted.contains(room);
        let ours = |key: &VolumeKey| key.1 > 0 && key.1 < crate::docker::FOREIGN_SESSION;
        let mut volumes = docker.volumes.iter();
        if let Some((key, _)) = volumes.find(|(key, v)| key.0.room == *room && ours(key) && !excused(v)) {
            return Some(format!("a volume {key:?}"));
        }
        docker.networks.contains(room).then(|| "a network".to_owned())
    }

    /// Each write of a closing is the next step of it, and nothing is recorded that was not proven.
    pub fn check_changes(&mut self, changes: &[Change]) {
        for change in changes {
            match change {
                Change::SetClosing(id, new) => {
                    let old = self.ledger.seats.get(id).map(|row| row.closing.clone());
                    if let Some(old) = old
                        && !self.follows(&old, new, changes)
                    {
                        self.violated(format!("the closing of {id} goes from {old:?} to {new:?}"));
                    }
                }
                Change::EndSeat(id) => self.check_end(id),
                Change::PutRoom(room) if room.ended => {
                    if let Some(id) = self.ledger.seats.keys().find(|id| id.room == room.name).cloned() {
                        self.violated(format!("room {} ends, but {id} has a row", room.name));
                    }
                }
                Change::PutRoom(room) if room.wanted == RoomWanted::Open => {
                    let before = self.ledger.rooms.get(&room.name);
                    if before.is_none_or(|b| b.session != room.session) {
                        self.oracle.closes.remove(&room.name);
                        self.oracle.discards.remove(&room.name);
                        self.oracle.wish.retain(|id, _| id.room != room.name);
                    }
                }
                Change::SetWanted { seats, discard_by, .. } if discard_by.is_some() => {
                    if let Some(id) = seats.iter().find(|id| !self.oracle.discards.contains(&id.room)) {
                        self.violated(format!("the work of {id} is given up, which nobody ordered"));
                    }
                }
                _ => {}
            }
        }
    }

    fn follows(&self, old: &Closing, new: &Closing, changes: &[Change]) -> bool {
        if new.epoch == old.epoch + 1 {
            return new.stillness.is_some() && new.archive.is_none() && !new.container_removed;
        }
        if new.epoch != old.epoch || new.stillness != old.stillness {
            return false;
        }
        match &new.archive {
            None => new == old,
            Some(claim) if old.archive.as_ref() == Some(claim) => new.container_removed || !old.container_removed,
            Some(claim) => {
                let row = |change: &Change| matches!(change, Change::AddArchive(added, _) if added == claim);
                claim.epoch == new.epoch && self.oracle.proven.contains(&claim.id) && changes.iter().any(row)
            }
        }
    }

    fn check_end(&mut self, id: &SeatId) {
        let Some(session) = self.ledger.seats.get(id).map(|row| row.session) else {
            return;
        };
        if self.haunted.contains(&id.room) {
            return;
        }
        let docker = &self.docker;
        if docker.of_seat(id).is_some_and(|c| c.session == session) {
            self.violated(format!("the row of {id} ends, but its container is there"));
        } else if docker.volumes.contains_key(&(id.clone(), session)) {
            self.violated(format!("the row of {id} ends, but its workspace is there"));
        }
    }

    /// Invariant 1: a workspace goes only when all that was ever written to it is stored and recorded.
    pub fn check_loss(&mut self, key: &VolumeKey, volume: Volume, discard: bool) {
        self.note(|_| format!("the workspace of {key:?} is removed: {volume:?}"));
        if discard {
            if !self.oracle.discards.contains(&key.0.room) || !self.is_audited(&key.0.room) {
                self.violated(format!("the work of {key:?} was discarded without an audited order"));
            }
            return;
        }
        let mut recorded = self
            .ledger
            .archives
            .iter()
            .filter(|a| a.seat == key.0 && a.session == key.1);
        // A hung call may have made an empty one anew after the removal; nothing is lost with it.
        let is_stored = recorded.any(|claim| self.store.holds(&claim.key, volume.uid, volume.writes));
        if volume.writes > 0 && !is_stored {
            self.violated(format!(
                "work of {key:?} is lost: {volume:?} was removed and is not stored"
            ));
        }
    }

    /// No deed touches a stranger.
    pub fn check_deed(&mut self, deed: &Deed) {
        let id = match deed {
            Deed::Start(id)
            | Deed::Pause(id)
            | Deed::Unpause(id)
            | Deed::End(id)
            | Deed::Restart(id)
            | Deed::Remove(id) => Some(id.clone()),
            Deed::RemoveVolume((seat, session), _) if *session == 0 || *session >= crate::docker::FOREIGN_SESSION => {
                return self.violated(format!("the workspace of a stranger is removed: {seat} {session}"));
            }
            _ => None,
        };
        if let Some(id) = id
            && self.oracle.strangers.iter().any(|(stranger, ..)| *stranger == id)
        {
            self.violated(format!("{deed:?} touches a stranger"));
        }
    }

    pub fn check_strangers(&mut self) {
        let containers = &self.docker.containers;
        let same = |(id, state, started, finished): &(ContainerId, RunState, u64, u64)| {
            containers
                .get(id)
                .is_some_and(|c| c.state == *state && c.started == *started && c.finished == *finished)
        };
        if !self.oracle.strangers.iter().all(same) {
            self.violated("a stranger was changed".into());
        }
    }
}

/// What may run beside what: one of each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lane {
    Main,
    Freeze,
    Kill,
}

/// Which seat a task steps, and beside what it may run.
fn seat_of(task: &Task) -> Option<(SeatId, Lane)> {
    match task {
        Task::Provision(order) | Task::Probe(order, _) => Some((order.seat.clone(), Lane::Main)),
        Task::Start(seat, _)
        | Task::Thaw(seat, _)
        | Task::Restart(seat, _)
        | Task::Hold { seat, .. }
        | Task::Archive(ArchiveOrder { seat, .. }) => Some((seat.clone(), Lane::Main)),
        Task::Kill(seat, _) => Some((seat.clone(), Lane::Kill)),
        Task::Freeze(seat, _) => Some((seat.clone(), Lane::Freeze)),
        Task::Verify { claim, .. } => Some((claim.seat.clone(), Lane::Main)),
        Task::RemoveContainer(warrant) | Task::RemoveVolume(warrant) => Some((warrant.seat().clone(), Lane::Main)),
        _ => None,
    }
}
