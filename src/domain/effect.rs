//! What the control asks of the world, and what comes back.
//!
//! Effects are data; the engine runs them. Each carries an operation number, and exactly one [`Fact::Done`] answers it
//! (a second one is ignored).

use std::net::IpAddr;

use super::command::{Outcome, ProgressReport};
use super::door::KnockAnswer;
use super::fault::Fault;
use super::ids::{ArchiveId, ContainerId, RoomName, SeatId, StudentId};
use super::notice::Notice;
use super::proof::{ArchiveClaim, Stillness, VerifiedArchive, Warrant};
use super::record::Change;
use super::seen::{ContainerSeen, EngineState, FiguresOf, HostFigures, LeaseStoreState, Listing};
use super::template::{Egress, Selection, Template};

/// Numbers operations within one life of the agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OpId(pub u64);

/// Numbers the commands that wait for an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TicketId(pub u64);

/// What a seat is to be made of.
#[derive(Debug, Clone, PartialEq)]
pub struct SeatOrder {
    /// Which seat.
    pub seat: SeatId,
    /// Which opening of its room.
    pub session: u64,
    /// From what.
    pub template: Template,
    /// Path of its route.
    pub route: String,
    /// The archive that its workspace starts with, instead of the template's starter files.
    pub restore: Option<ArchiveId>,
    /// Whether its room is an exam.
    pub exam: bool,
    /// When its room was opened, Unix milliseconds.
    pub opened_unix_ms: u64,
    /// Who opened it.
    pub opened_by: String,
}

/// An archive that is to become a seat again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Restore {
    /// Which archive.
    pub archive: ArchiveId,
    /// As which seat; its student must be the one whose work it is.
    pub seat: SeatId,
}

/// What is to be archived.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArchiveOrder {
    /// Which seat.
    pub seat: SeatId,
    /// Which opening of its room.
    pub session: u64,
    /// In which freeze epoch.
    pub epoch: u64,
    /// What of the work.
    pub selection: Selection,
}

/// What is to be saved while it goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SnapshotOrder {
    /// Which seat.
    pub seat: SeatId,
    /// Which opening of its room.
    pub session: u64,
    /// Its container, which is only looked at.
    pub container: ContainerId,
    /// What of the work.
    pub selection: Selection,
}

/// Something to be done in the world.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// Runs as a task and answers with [`Fact::Done`].
    Run(OpId, Task),
    /// Calls an operation off; it answers all the same.
    Cancel(OpId),
    /// Tells how far a command has come.
    Progress(TicketId, ProgressReport),
    /// Answers a command.
    Reply(TicketId, Outcome),
    /// Answers a gateway.
    Answer(TicketId, KnockAnswer),
    /// Tells everybody.
    Tell(Notice),
}

/// A task of the world.
#[derive(Debug, Clone, PartialEq)]
pub enum Task {
    /// Writes to the ledger, all or nothing. Writes are done and answered in the order in which they were begun.
    Write(Vec<Change>),
    /// Lists everything of this instance.
    List,
    /// Sees that the image is there (pulling it once) and that it can make a safe seat; and that the archive which a seat
    /// starts with is whole, and that student's; and that an exam's seats will be closed in.
    Preflight {
        /// For which room; only names the progress.
        room: RoomName,
        /// With which template.
        template: Template,
        /// With which archive, if any.
        restore: Option<Restore>,
        /// Whether it must be proven first that its seats will reach nothing.
        isolated: bool,
    },
    /// Makes the room's network unless it is there.
    EnsureNetwork {
        /// For which room.
        room: RoomName,
        /// Which opening.
        session: u64,
        /// Egress policy.
        egress: Egress,
    },
    /// Removes the room's network unless it is gone.
    RemoveNetwork(RoomName),
    /// Makes and starts a seat, or finishes making it.
    Provision(SeatOrder),
    /// Starts a stopped seat again.
    Start(SeatId, ContainerId),
    /// Waits until the seat answers.
    Probe(SeatOrder, ContainerSeen),
    /// Freezes a running seat.
    Freeze(SeatId, ContainerId),
    /// Lets a frozen seat run.
    Thaw(SeatId, ContainerId),
    /// Ends a seat's program at once.
    Kill(SeatId, ContainerId),
    /// Ends and starts a seat's program.
    Restart(SeatId, ContainerId),
    /// Freezes the seat if it runs and takes evidence that it is still.
    Hold {
        /// Which seat.
        seat: SeatId,
        /// Which opening.
        session: u64,
    },
    /// Reads the work and stores it.
    Archive(ArchiveOrder),
    /// Stores the workspace of a seat that goes on, unless it is as it was stored last.
    Snapshot(SnapshotOrder),
    /// Reads a stored archive back.
    Verify {
        /// What should be there.
        claim: ArchiveClaim,
        /// The evidence that the result is bound to.
        stillness: Stillness,
    },
    /// Removes the container, after a last look at its stillness. One that is gone by another hand while the evidence
    /// names it is [`super::fault::FaultCode::Thawed`]: it may have run before it went.
    RemoveContainer(Warrant),
    /// Removes the workspace.
    RemoveVolume(Warrant),
    /// Removes a carrier or a never-started container that nobody wants.
    Reap(ContainerId),
    /// Forgets a student's wrong codes.
    Absolve(StudentId),
    /// Cuts the connections to a seat at this address, because somebody's session there is over.
    Cut(SeatId, IpAddr),
}

/// What a task brought.
#[derive(Debug, Clone, PartialEq)]
pub enum Yield {
    /// Nothing to tell.
    Nothing,
    /// The list.
    Listed(Listing),
    /// The seat's container as it is now.
    Seen(ContainerSeen),
    /// The seat answers.
    Ready,
    /// The seat is still; what is seen and the evidence.
    Held(Option<ContainerSeen>, Stillness),
    /// The seat's workspace had changed, and is saved.
    Saved,
    /// The work is sent.
    Stored(ArchiveClaim),
    /// The work is proven stored.
    Verified(VerifiedArchive),
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq)]
pub enum Fact {
    /// A task ended.
    Done(OpId, Result<Yield, Fault>),
    /// A task tells how far it is (a pull, an archive), in words.
    Progress(OpId, String),
    /// The engine told of a container's state.
    Seen(ContainerSeen),
    /// The engine told of a container, which could not be looked at then.
    Unclear(ContainerId),
    /// A container is no more.
    Vanished(ContainerId),
    /// Something ran in, or wrote to, a container (thaw, start, copy into it).
    Disturbed(ContainerId),
    /// The kernel killed a program in this container for memory.
    OutOfMemory(ContainerId),
    /// The routes of seats that were ready no longer answer through the proxy.
    Unrouted(Vec<SeatId>),
    /// The host's firewall had lost labtop's table while an exam goes on; why it could not be loaded again, if so.
    WallsLost(Option<String>),
    /// The engine answers, or no longer does.
    Engine(EngineState),
    /// How it stands with the lease store.
    LeaseStore(LeaseStoreState),
    /// Samples.
    Figures(FiguresOf, HostFigures),
}
