//! What the control remembers of rooms, seats, operations and waiting people. A cache: the ledger and the engine know.

use std::collections::VecDeque;

use super::door::Admission;
use super::idle::Quiet;
use super::snapshots::Saving;
use crate::domain::command::{Command, ProgressReport};
use crate::domain::door::SessionRecord;
use crate::domain::effect::{OpId, TicketId};
use crate::domain::fault::Fault;
use crate::domain::ids::{RoomName, SeatId, StudentId};
use crate::domain::plan::{Step, View};
use crate::domain::policy::{HISTORY_SAMPLES, retry_delay_ms};
use crate::domain::proof::{ArchiveClaim, Stillness, VerifiedArchive};
use crate::domain::record::{Change, Closing, RoomRecord, SeatRecord, Wanted};
use crate::domain::role::Actor;
use crate::domain::seen::{ContainerSeen, Figures};

/// What an operation is for.
#[derive(Debug)]
pub(super) enum Doing {
    /// The list, with the stamp of its start.
    List(u64),
    /// Whether a room can open.
    Preflight(Box<Opening>),
    /// A command's changes, which take effect once written.
    Accept(TicketId, Box<Accepted>),
    /// Changes that already took effect.
    FailOpen(Vec<Change>),
    /// A step of a seat.
    Seat(SeatId, Step),
    /// A kill or freeze beside a step.
    Urgent(SeatId, Step),
    /// A snapshot of a seat.
    Snapshot(SeatId),
    /// A step of a closing, being written.
    Closing(SeatId, Closing),
    /// The deletion of a seat's row.
    End(SeatId),
    /// The making (true) or removing (false) of a room's network.
    Network(RoomName, bool),
    /// The end of a room, being written.
    EndRoom(RoomName),
    /// Removal of something that nobody wants.
    Reap,
    /// A session, and the seat that is made for it, being written.
    Admit(Box<Admission>),
    /// The forgetting of somebody's wrong codes.
    Absolve,
    /// The cutting of a seat's connections.
    Cut(SeatId),
}

impl Doing {
    /// Whether what this seat should be changes when it is done.
    pub fn concerns(&self, id: &SeatId) -> bool {
        matches!(self, Self::Accept(_, accepted) if accepted.concerns(id))
    }

    /// The room that it is about to open, or to add seats to.
    pub fn opens(&self) -> Option<&RoomRecord> {
        match self {
            Self::Preflight(opening) => Some(&opening.room),
            Self::Accept(_, accepted) => match accepted.as_ref() {
                Accepted::Open(room, ..) => Some(room),
                _ => None,
            },
            _ => None,
        }
    }

    /// The seats that it is writing.
    pub fn new_seats(&self) -> &[SeatRecord] {
        match self {
            Self::Accept(_, accepted) => match accepted.as_ref() {
                Accepted::Open(_, seats, _) => seats,
                _ => &[],
            },
            Self::Admit(admission) => &admission.seat,
            _ => &[],
        }
    }

    /// The session that it begins, unless that is over already.
    pub fn admits(&self) -> Option<&SessionRecord> {
        match self {
            Self::Admit(admission) if !admission.revoked => Some(&admission.session),
            _ => None,
        }
    }

    /// The admission of somebody, to call it off.
    pub fn admission(&mut self) -> Option<&mut Admission> {
        match self {
            Self::Admit(admission) => Some(admission),
            _ => None,
        }
    }

    /// The ends of leases that it sets.
    pub fn deadlines(&self) -> Option<&[(SeatId, u64)]> {
        match self {
            Self::Accept(_, accepted) => match accepted.as_ref() {
                Accepted::Deadlines(ends, _) => Some(ends),
                _ => None,
            },
            _ => None,
        }
    }

    /// Whether it holds that seat, or is about to.
    pub fn holds(&self, id: &SeatId) -> bool {
        matches!(self, Self::Accept(_, accepted)
            if matches!(accepted.as_ref(), Accepted::Held(seats, true, _) if seats.contains(id)))
    }

    /// Moves the ends of leases that it is about to set, because the clock was set.
    pub fn shift(&mut self, by_ms: i64) {
        match self {
            Self::Preflight(opening) => shift_all(&mut opening.seats, by_ms),
            Self::Admit(admission) => shift_all(&mut admission.seat, by_ms),
            Self::Accept(_, accepted) => match accepted.as_mut() {
                Accepted::Open(_, seats, _) => shift_all(seats, by_ms),
                Accepted::Deadlines(ends, _) => {
                    for (_, end) in ends {
                        *end = end.saturating_add_signed(by_ms);
                    }
                }
                _ => {}
            },
            _ => {}
        }
    }

    /// Whether it is about to close that room.
    pub fn closes(&self, name: &RoomName) -> bool {
        matches!(self, Self::Accept(_, accepted)
            if matches!(accepted.as_ref(), Accepted::Close { room, .. } if room == name))
    }
}

fn shift_all(seats: &mut [SeatRecord], by_ms: i64) {
    for seat in seats {
        seat.deadline_unix_ms = seat.deadline_unix_ms.saturating_add_signed(by_ms);
    }
}

/// A room that is about to open.
#[derive(Debug)]
pub(super) struct Opening {
    pub ticket: TicketId,
    pub actor: Actor,
    pub command: Command,
    pub room: RoomRecord,
    pub seats: Vec<SeatRecord>,
}

/// What a command does once it is written.
#[derive(Debug)]
pub(super) enum Accepted {
    /// The room, its new seats, and who is put on its roster.
    Open(RoomRecord, Vec<SeatRecord>, Vec<StudentId>),
    Close {
        room: RoomName,
        discard_by: Option<String>,
    },
    Deadlines(Vec<(SeatId, u64)>, String),
    /// The seats, whether they are held from now on, and what to say.
    Held(Vec<SeatId>, bool, String),
    /// The seats, the stamp of the wish, and what to say.
    Run(Vec<SeatId>, u64, String),
    Restart(SeatId, u64),
    Snapshot(Vec<SeatId>),
    Roster(RosterChange),
}

/// A change of rosters or codes.
#[derive(Debug, Default)]
pub(super) struct RosterChange {
    /// Who is put on which roster, and for how many minutes.
    pub put: Vec<(RoomName, StudentId, Option<u32>)>,
    /// Who is taken off which.
    pub drop: Vec<(RoomName, StudentId)>,
    /// Seats whose sessions are over.
    pub over: Vec<SeatId>,
    /// Students whose sessions are over, wherever they are.
    pub renewed: Vec<StudentId>,
    /// What to say.
    pub text: String,
}

impl Accepted {
    /// Whether it changes what this seat should be.
    pub fn concerns(&self, id: &SeatId) -> bool {
        match self {
            Self::Open(..) | Self::Deadlines(..) | Self::Held(..) | Self::Snapshot(_) | Self::Roster(_) => false,
            Self::Close { room, .. } => id.room == *room,
            Self::Run(seats, ..) => seats.contains(id),
            Self::Restart(seat, _) => seat == id,
        }
    }
}

/// What a waiting person waits for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Goal {
    /// Every seat has arrived.
    Open(RoomName),
    /// Nothing is left.
    Closed { room: RoomName, total: usize },
    /// These seats were saved once more.
    Saved(Vec<SeatId>),
    /// These seats are as they should be.
    Seats {
        seats: Vec<SeatId>,
        wanted: Wanted,
        done: String,
    },
}

/// A waiting person.
#[derive(Debug)]
pub(super) struct Ticket {
    pub goal: Goal,
    /// A write that must be answered first, whatever its answer.
    pub write: Option<OpId>,
    pub told: Option<ProgressReport>,
}

/// A room that is not ended.
#[derive(Debug)]
pub(super) struct Room {
    pub record: RoomRecord,
    pub network: bool,
    /// Whether a list has shown what there is of it since its network was last made or tried to be.
    pub looked: bool,
    /// Stamp of the last news of its network; an older list is not believed.
    pub stamp: u64,
    pub op: Option<OpId>,
    pub attempts: u32,
    pub not_before_ms: u64,
    pub fault: Option<Fault>,
    /// Seats when it opened; what progress is measured against.
    pub total: usize,
    /// Since when it closes, monotonic, and how many seats it had then: what the time left is estimated from.
    pub closing_from: Option<(u64, usize)>,
    /// Bytes of work that were archived since then.
    pub archived_bytes: u64,
}

impl Room {
    pub fn new(record: RoomRecord) -> Self {
        Self {
            record,
            network: false,
            looked: false,
            stamp: 0,
            op: None,
            attempts: 0,
            not_before_ms: 0,
            fault: None,
            total: 0,
            closing_from: None,
            archived_bytes: 0,
        }
    }

    pub fn failed(&mut self, fault: Fault, now_ms: u64) {
        self.attempts += 1;
        self.not_before_ms = now_ms + retry_delay_ms(self.attempts, salt(self.record.name.as_str()));
        self.fault = Some(fault);
    }

    pub fn succeeded(&mut self) {
        self.attempts = 0;
        self.fault = None;
    }
}

/// What a seat should be, and who gave its work up.
pub(super) type Wish = (Wanted, Option<String>);

/// A seat of which something is left.
#[derive(Debug)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is an observation of its own, not a state of one machine"
)]
pub(super) struct Seat {
    pub record: SeatRecord,
    pub container: Option<ContainerSeen>,
    pub volume: bool,
    pub ready: bool,
    pub restart: bool,
    pub claim: Option<ArchiveClaim>,
    pub verified: Option<VerifiedArchive>,
    pub main: Option<(OpId, Step)>,
    pub urgent: Option<(OpId, Step)>,
    pub called_off: bool,
    pub saving: Saving,
    /// Whether its container is being removed by an order to give its work up, which may be taken back meanwhile.
    pub given_up: bool,
    /// Whether something ran in it since the last hold began.
    pub disturbed: bool,
    /// Whether a list has shown what there is of it since it was last made or tried to be.
    pub looked: bool,
    /// Stamp of the last kill or freeze: an older wish to run is void.
    pub urged: u64,
    /// Whether its container is there but could not be looked at.
    pub hidden: bool,
    /// Whether it was told of that its workspace is gone.
    pub bereft: bool,
    /// What the ledger was last told that it should be; none when that is not certain.
    pub written: Option<Wish>,
    pub attempts: u32,
    pub not_before_ms: u64,
    pub fault: Option<Fault>,
    /// The step that failed last.
    pub failed: Option<Step>,
    /// Ends of its program by itself, since it was last stable.
    pub exits: u32,
    /// When the last one was, in the engine's words.
    pub last_exit: String,
    pub ready_since_ms: u64,
    /// Stamp of the last news of it; an older list is not believed.
    pub stamp: u64,
    pub figures: Option<Figures>,
    pub history: VecDeque<u16>,
    pub oom_kills: u32,
    /// When it was last told of one.
    pub oom_told_ms: Option<u64>,
    pub doing: String,
    /// Whether its lease was given in this life of the agent, by the clock as it is.
    pub fresh_lease: bool,
    /// Monotonic time at which the end of its lease was announced.
    pub warned_ms: Option<u64>,
    /// Minutes before the end of its lease of which was told last.
    pub mark: Option<u32>,
    pub quiet: Quiet,
}

impl Seat {
    /// A seat as the ledger has it.
    pub fn new(record: SeatRecord) -> Self {
        Self {
            written: Some((record.wanted, record.discard_by.clone())),
            record,
            container: None,
            volume: false,
            ready: false,
            restart: false,
            claim: None,
            verified: None,
            main: None,
            urgent: None,
            called_off: false,
            saving: Saving::default(),
            given_up: false,
            disturbed: false,
            looked: false,
            urged: 0,
            hidden: false,
            bereft: false,
            attempts: 0,
            not_before_ms: 0,
            fault: None,
            failed: None,
            exits: 0,
            last_exit: String::new(),
            ready_since_ms: 0,
            stamp: 0,
            figures: None,
            history: VecDeque::with_capacity(HISTORY_SAMPLES),
            oom_kills: 0,
            oom_told_ms: None,
            doing: String::new(),
            fresh_lease: true,
            warned_ms: None,
            mark: None,
            quiet: Quiet::default(),
        }
    }

    pub fn view(&self) -> View<'_> {
        View {
            record: &self.record,
            container: self.container.as_ref(),
            volume: self.volume,
            ready: self.ready,
            restart: self.restart,
            claim: self.claim.as_ref(),
            verified: self.verified.as_ref(),
        }
    }

    pub fn failed(&mut self, step: Step, fault: Fault, now_ms: u64) {
        self.attempts += 1;
        self.not_before_ms = now_ms + retry_delay_ms(self.attempts, salt(&self.record.id.to_string()));
        self.fault = Some(fault);
        self.failed = Some(step);
    }

    /// A step was done. In a closing, which begins again when a late step fails, only the failed step itself or a later
    /// one makes its failures forgotten: else a store that spoils every archive would be tried without end or delay.
    pub fn advanced(&mut self, step: Step) {
        self.doing.clear();
        let redone = |failed: Step| failed.closes() && step.closes() && step < failed;
        if !self.failed.is_some_and(redone) {
            self.succeeded();
        }
    }

    pub fn succeeded(&mut self) {
        self.attempts = 0;
        self.fault = None;
        self.failed = None;
        self.doing.clear();
    }

    /// The program ended by itself: it is started again, but not in a tight loop. An end is told of by the engine's news
    /// and by the step that started it, and counts once.
    pub fn exited(&mut self, container: &ContainerSeen, fault: Fault, now_ms: u64) {
        self.fault = Some(fault);
        if std::mem::replace(&mut self.last_exit, container.finished_at.clone()) == container.finished_at {
            return;
        }
        self.exits += 1;
        self.not_before_ms = now_ms + retry_delay_ms(self.exits, u64::from(self.exits));
    }

    /// Forgets failures, because a person asked for something new.
    pub fn fresh_start(&mut self) {
        self.succeeded();
        self.exits = 0;
        self.not_before_ms = 0;
    }

    /// What was stored or proven is of no use any more.
    pub fn void_archive(&mut self) {
        self.claim = None;
        self.verified = None;
    }

    /// The evidence of this epoch is worthless: the closing begins again with a new freezing.
    pub fn lose_stillness(&mut self) {
        self.record.closing.stillness = None;
        self.void_archive();
    }

    /// What it should be.
    pub fn wish(&self) -> Wish {
        (self.record.wanted, self.record.discard_by.clone())
    }

    /// Whether something is seen that the evidence of this epoch excludes.
    pub fn contradicts(&self, seen: Option<&ContainerSeen>) -> bool {
        let closing = &self.record.closing;
        let excluded = |evidence: &Stillness| {
            if closing.container_removed {
                seen.is_some()
            } else {
                !evidence.agrees_with(seen)
            }
        };
        self.record.wanted == Wanted::Gone && closing.stillness.as_ref().is_some_and(excluded)
    }

    /// Replaces what is seen of the container.
    pub fn see(&mut self, container: Option<ContainerSeen>) {
        let same_run = match (&self.container, &container) {
            (Some(old), Some(new)) => old.id == new.id && old.started_at == new.started_at,
            _ => false,
        };
        let up = container.as_ref().is_some_and(|c| !c.state.is_down());
        // What has ended does not run again without a new start: this news is older than what is known.
        if same_run && up && self.container.as_ref().is_some_and(|c| c.state.is_down()) {
            return;
        }
        if !same_run || !up {
            self.ready = false;
        }
        if !up {
            self.figures = None;
        }
        self.volume |= container.is_some();
        self.container = container;
    }
}

/// A number that stands for a name, to spread delays (FNV-1a).
pub(super) fn salt(name: &str) -> u64 {
    name.bytes().fold(0xcbf2_9ce4_8422_2325, |h, b| {
        (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3)
    })
}
