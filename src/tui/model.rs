//! All that the board knows. Changed by `update` only; drawn by `view` only.

use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;
use std::sync::Arc;

use crate::domain::ids::{ContainerId, RoomName, SeatId};
use crate::domain::notice::{Level, Notice};
use crate::domain::role::Rights;
use crate::domain::snapshot::{RoomView, SeatView, Snapshot};

use super::ask::find;
use super::field::Field;
use super::job::Job;
use super::layer::{Layer, Topic};
use super::list::{Row, Sort, arrange, id_of};
use super::port::{JobId, StreamId};
use super::theme::Look;

/// Notices kept for reading again.
const NOTICES_KEPT: usize = 200;
/// Longest filter, characters: longer than any id.
pub const FILTER_MAX: usize = 80;
/// Seconds without a snapshot after which the figures are called old: agents send one a second.
pub const QUIET_AFTER: u32 = 5;

/// How it stands with the agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Link {
    /// Nothing heard yet.
    Connecting,
    /// It answers.
    Attached,
    /// It does not, and why; being tried again.
    Lost(String),
}

/// The board's state.
#[derive(Debug)]
pub struct Model {
    /// How to draw.
    pub look: Look,
    /// Columns and rows of the terminal.
    pub size: (u16, u16),
    /// The newest snapshot.
    pub snapshot: Option<Arc<Snapshot>>,
    /// How it stands with the agent.
    pub link: Link,
    /// Seconds since the newest snapshot.
    pub quiet: u32,
    /// Notices that never arrived here.
    pub missed: u64,
    /// The latest notices, oldest first.
    pub notices: VecDeque<Notice>,
    /// Incidents among them that came since somebody looked at them.
    pub incidents: usize,
    /// The room shown; none means all.
    pub room: Option<RoomName>,
    /// The order of rows.
    pub sort: Sort,
    /// Which rows.
    pub filter: Field,
    /// The listed seats, in order.
    pub rows: Vec<Row>,
    /// The seat under the cursor, by id.
    pub cursor: Option<SeatId>,
    /// Its row.
    pub at: usize,
    /// First row shown.
    pub top: usize,
    /// Marked seats, with the containers they had when they were marked.
    pub marks: BTreeMap<SeatId, Option<ContainerId>>,
    /// What lies over the board; the last one gets the keys.
    pub layers: Vec<Layer>,
    /// The directory that this program was started in, for paths that a person types.
    pub here: PathBuf,
    /// What this person may do; none when the agent did not say.
    pub rights: Option<Rights>,
    /// Whether the person was told what leaving would break off.
    pub warned: bool,
    /// Commands and tasks under way or failed, oldest first.
    pub jobs: Vec<Job>,
    numbers: u64,
}

impl Model {
    /// A board that has heard nothing yet, on a terminal of `size` (columns, rows).
    #[must_use]
    pub fn new(look: Look, size: (u16, u16)) -> Self {
        Self {
            look,
            size,
            snapshot: None,
            link: Link::Connecting,
            quiet: 0,
            missed: 0,
            notices: VecDeque::new(),
            incidents: 0,
            room: None,
            sort: Sort::Student,
            filter: Field::new("", FILTER_MAX),
            rows: Vec::new(),
            cursor: None,
            at: 0,
            top: 0,
            marks: BTreeMap::new(),
            layers: Vec::new(),
            here: PathBuf::from("/"),
            rights: None,
            warned: false,
            jobs: Vec::new(),
            numbers: 0,
        }
    }

    /// The next number for a job.
    pub fn next_job(&mut self) -> JobId {
        self.numbers += 1;
        JobId(self.numbers)
    }

    /// The next number for a log.
    pub fn next_stream(&mut self) -> StreamId {
        self.numbers += 1;
        StreamId(self.numbers)
    }

    /// Whether figures are old although nobody said that the agent is gone.
    #[must_use]
    pub fn is_quiet(&self) -> bool {
        self.link == Link::Attached && self.quiet >= QUIET_AFTER
    }

    /// The seat of a row.
    #[must_use]
    pub fn seat_at(&self, at: usize) -> Option<&SeatView> {
        self.rows.get(at)?.of(self.snapshot.as_deref()?)
    }

    /// The seat under the cursor.
    #[must_use]
    pub fn seat(&self) -> Option<&SeatView> {
        find(self.snapshot.as_deref()?, self.cursor.as_ref()?)
    }

    /// The rooms, by name.
    #[must_use]
    pub fn rooms(&self) -> &[RoomView] {
        self.snapshot.as_deref().map_or(&[], |snapshot| &snapshot.rooms)
    }

    /// The room shown, unless several are.
    #[must_use]
    pub fn room_view(&self) -> Option<&RoomView> {
        match (&self.room, self.rooms()) {
            (Some(name), rooms) => rooms.iter().find(|room| room.name == *name),
            (None, [only]) => Some(only),
            (None, _) => None,
        }
    }

    /// The room that a verb for rooms is about: the one shown, the cursor's, or the only one.
    #[must_use]
    pub fn room_meant(&self) -> Option<RoomName> {
        let only = || match self.rooms() {
            [one] => Some(one.name.clone()),
            _ => None,
        };
        let under = || self.cursor.as_ref().map(|seat| seat.room.clone());
        self.room.clone().or_else(under).or_else(only)
    }

    /// Keeps a notice. Incidents are kept longest: a class that signs in must not push them out.
    pub fn tell(&mut self, mut notice: Notice) {
        if notice.time.is_empty() {
            let clock = self.snapshot.as_deref().map(|snapshot| snapshot.clock.clone());
            notice.time = clock.unwrap_or_default();
        }
        let is_incident = |notice: &Notice| notice.level == Level::Incident;
        if is_incident(&notice) {
            // Told of in each room that it is about, and again to a board that comes back.
            if self.notices.iter().any(|kept| kept.is_same_event(&notice)) {
                return;
            }
            self.incidents = (self.incidents + usize::from(!self.reads_news())).min(NOTICES_KEPT);
        }
        if self.notices.len() == NOTICES_KEPT {
            let oldest = self.notices.iter().position(|notice| !is_incident(notice));
            self.notices.remove(oldest.unwrap_or(0));
        }
        self.notices.push_back(notice);
    }

    /// Whether the newest notices are being read.
    fn reads_news(&self) -> bool {
        matches!(self.layers.last(), Some(Layer::Page(Topic::News, 0)))
    }

    /// Shows all notices: from now on the incidents among them have been looked at.
    pub fn read_news(&mut self) {
        self.incidents = 0;
        self.layers.push(Layer::Page(Topic::News, 0));
    }

    /// Takes a new snapshot: marks die with their seats, the cursor stays on its seat.
    pub fn take(&mut self, snapshot: Arc<Snapshot>) {
        self.marks.retain(|id, container| match find(&snapshot, id) {
            None => false,
            Some(seat) => container.is_none() || seat.container_id == *container,
        });
        let gone = |room: &RoomName| snapshot.rooms.iter().all(|view| view.name != *room);
        if self.room.as_ref().is_some_and(gone) {
            self.room = None;
        }
        self.snapshot = Some(snapshot);
        self.quiet = 0;
        self.arrange();
    }

    /// Lists the seats anew. The cursor stays on its seat wherever it went, or takes the row where it was.
    pub fn arrange(&mut self) {
        let Some(snapshot) = self.snapshot.clone() else { return };
        self.rows = arrange(&snapshot, self.room.as_ref(), self.filter.value(), self.sort);
        let found = self.cursor.as_ref().and_then(|cursor| {
            let is_it = |row: &Row| row.of(&snapshot).is_some_and(|seat| id_of(seat) == *cursor);
            self.rows.iter().position(is_it)
        });
        self.go(found.unwrap_or(self.at));
    }

    /// Puts the cursor on a row, or the nearest there is.
    pub fn go(&mut self, at: usize) {
        self.at = at.min(self.rows.len().saturating_sub(1));
        self.cursor = self.seat_at(self.at).map(id_of);
    }
}
