//! News for those who look: told to all who look now; incidents are kept for whoever begins to look later.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::broadcast;

use crate::domain::notice::{Level, Notice};

/// Incidents that are kept: as many as a board shows.
const INCIDENTS_KEPT: usize = 200;
/// For how long: a working day. The audit trail has them for ever.
const KEPT_FOR: Duration = Duration::from_hours(12);

/// News, and what of them is kept.
#[derive(Debug, Clone)]
pub(super) struct News {
    notices: broadcast::Sender<Notice>,
    incidents: Arc<Mutex<VecDeque<(Instant, Notice)>>>,
}

impl News {
    pub fn new(notices: broadcast::Sender<Notice>) -> Self {
        Self {
            notices,
            incidents: Arc::default(),
        }
    }

    /// Tells those who look now.
    pub fn tell(&self, notice: Notice) {
        if notice.level == Level::Incident {
            let mut kept = self.incidents.lock().unwrap_or_else(PoisonError::into_inner);
            if kept.len() == INCIDENTS_KEPT {
                kept.pop_front();
            }
            kept.push_back((Instant::now(), notice.clone()));
        }
        // Nobody may be looking.
        let _ = self.notices.send(notice);
    }

    /// What is told from now on.
    pub fn subscribe(&self) -> broadcast::Receiver<Notice> {
        self.notices.subscribe()
    }

    /// Incidents of late, oldest first.
    pub fn incidents(&self) -> Vec<Notice> {
        let kept = self.incidents.lock().unwrap_or_else(PoisonError::into_inner);
        let late = kept.iter().filter(|(since, _)| since.elapsed() < KEPT_FOR);
        late.map(|(_, notice)| notice.clone()).collect()
    }
}
