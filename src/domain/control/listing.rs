//! Taking in a whole list of what exists, which finds whatever no event told of.

use std::collections::{BTreeMap, BTreeSet};

use super::Control;
use super::state::{Doing, Seat};
use crate::domain::effect::{Task, Yield};
use crate::domain::fault::Fault;
use crate::domain::ids::{ContainerId, RoomName, SeatId};
use crate::domain::notice::Notice;
use crate::domain::plan::Step;
use crate::domain::policy::{ATTEMPTS_BEFORE_TOLD, RELIST_EVERY_MS, RETRY_FIRST_MS};
use crate::domain::record::Wanted;
use crate::domain::seen::{ContainerSeen, EngineState, Listing, RunState, VolumeSeen};

/// What was known of it stands; where nothing was, it is told of and looked for less and less often.
fn hide(seat: &mut Seat, fault: &Fault, now_ms: u64) {
    if seat.container.is_none() && !seat.looked {
        let step = if seat.record.wanted == Wanted::Gone {
            Step::Hold
        } else {
            Step::Provision
        };
        seat.failed(step, fault.clone(), now_ms);
        seat.hidden = true;
    }
}

impl Control {
    pub(super) fn list_when_due(&mut self) {
        let (now_ms, due_ms) = (self.now.mono_ms, self.list_at_ms);
        if self.listing.is_some() || now_ms < self.list_not_before_ms || (self.listed && now_ms < due_ms) {
            return;
        }
        self.list_at_ms = self.now.mono_ms + RELIST_EVERY_MS;
        let stamp = self.fresh_stamp();
        self.listing = Some(stamp);
        self.start(Task::List, Doing::List(stamp));
    }

    /// Sees to it that a list is begun that is younger than the news of that stamp.
    pub(super) fn look_again(&mut self, stamp: u64) {
        if self.listing.is_none_or(|begun| begun < stamp) {
            self.list_at_ms = self.now.mono_ms;
            self.list_when_due();
        }
    }

    pub(super) fn list_done(&mut self, stamp: u64, result: Result<Yield, Fault>) {
        self.listing = None;
        match result {
            // A list that comes when the engine has gone since is of no use: nothing could be done about it.
            Ok(Yield::Listed(listing)) if matches!(self.engine, EngineState::Up(_)) => {
                self.take_listing(stamp, listing);
            }
            // The engine's own watch tells whether it is down; here it only has to be asked again.
            Ok(_) => self.list_later(),
            Err(fault) => {
                self.list_later();
                self.note_blindness(fault);
            }
        }
    }

    fn list_later(&mut self) {
        self.list_at_ms = self.now.mono_ms;
        self.list_not_before_ms = self.now.mono_ms + RETRY_FIRST_MS;
    }

    /// An engine that answers, and yet cannot be listed, is as good as none: that must not look like rest.
    fn note_blindness(&mut self, fault: Fault) {
        let (times, since) = self
            .blind
            .as_ref()
            .map_or((0, self.now.mono_ms), |(_, times, since)| (*times, *since));
        if times + 1 == ATTEMPTS_BEFORE_TOLD {
            self.tell(Notice::error(format!(
                "What is on the engine cannot be listed: {fault}"
            )));
        }
        self.blind = Some((fault, times + 1, since));
    }

    fn take_listing(&mut self, stamp: u64, listing: Listing) {
        self.listed = true;
        self.blind = None;
        if !listing.hidden.is_empty() {
            self.list_not_before_ms = self.now.mono_ms + RETRY_FIRST_MS;
        }
        for room in self.rooms.values_mut() {
            if room.op.is_none() && room.stamp < stamp {
                room.looked = true;
                room.network = listing.networks.contains(&room.record.name);
            }
        }
        let before = std::mem::take(&mut self.orphans);
        for carrier in listing.carriers {
            self.reap(carrier);
        }
        self.reap_networks(listing.networks);
        let known = self.sort_containers(listing.containers, &before);
        self.tell_of_lost_workspaces(&listing.volumes, &before);
        let (mut lost, now_ms) = (Vec::new(), self.now.mono_ms);
        for (id, seat) in &mut self.seats {
            // News that is younger than the list, or a step under way, knows better.
            let busy = seat.stamp > stamp || seat.main.is_some() || seat.urgent.is_some();
            if busy {
                continue;
            }
            if let Some((_, fault)) = listing.hidden.iter().find(|(hidden, _)| hidden == id) {
                hide(seat, fault, now_ms);
                continue;
            }
            if std::mem::take(&mut seat.hidden) {
                seat.succeeded();
            }
            let session = seat.record.session;
            seat.volume = listing.volumes.iter().any(|v| v.seat == *id && v.session == session);
            let live = seat.record.made && seat.record.wanted < Wanted::Gone;
            if live && !seat.volume && !std::mem::replace(&mut seat.bereft, true) {
                lost.push(id.clone());
            }
            seat.bereft &= !seat.volume;
            seat.looked = true;
            let seen = known.get(id);
            if seat.contradicts(seen) {
                seat.lose_stillness();
            }
            seat.see(seen.cloned());
        }
        self.tell_of_losses(&lost);
    }

    /// Nothing can bring a workspace back that somebody removed; but nobody shall think that an empty one is all there was.
    fn tell_of_losses(&mut self, lost: &[SeatId]) {
        for id in lost {
            self.tell(
                Notice::error(format!(
                    "{id}: its workspace is gone, removed by another hand; it is made again, empty"
                ))
                .about(&id.room),
            );
            let loss = self.loss_of(id);
            self.write_fail_open(vec![loss]);
        }
    }

    /// Splits the containers into those of known seats and the rest. A stranger that never ran holds no work and is
    /// removed; one that ran is only told of, because an orphan is adopted by an admin alone.
    fn sort_containers(
        &mut self,
        containers: Vec<ContainerSeen>,
        before: &BTreeSet<String>,
    ) -> BTreeMap<SeatId, ContainerSeen> {
        let mut known = BTreeMap::new();
        for container in containers {
            let seat = self.seats.get(&container.seat);
            if seat.is_some_and(|s| s.record.session == container.session) {
                known.insert(container.seat.clone(), container);
            } else if container.state == RunState::Created {
                self.reap(container.id);
            } else {
                let name = format!("{} ({})", container.seat, container.id);
                self.note_orphan(format!("Container {name}"), &container.seat.room, before);
            }
        }
        known
    }

    /// A workspace of no known seat may hold work: nobody removes it unasked. (A hung engine may also have made an empty
    /// one after the seat had gone.)
    fn tell_of_lost_workspaces(&mut self, volumes: &[VolumeSeen], before: &BTreeSet<String>) {
        for volume in volumes {
            let seat = self.seats.get(&volume.seat);
            if seat.is_none_or(|s| s.record.session != volume.session) {
                self.note_orphan(
                    format!("Workspace {} of opening {}", volume.seat, volume.session),
                    &volume.seat.room,
                    before,
                );
            }
        }
    }

    fn note_orphan(&mut self, name: String, room: &RoomName, before: &BTreeSet<String>) {
        if !before.contains(&name) {
            let text = format!("{name} bears this instance's label, but the ledger does not know it; it is left alone");
            self.tell(Notice::warning(text).about(room));
        }
        self.orphans.insert(name);
    }

    /// A network of a room that is not open holds no work; a slow engine may have made it after the room had closed.
    fn reap_networks(&mut self, networks: Vec<RoomName>) {
        for room in networks {
            if !self.rooms.contains_key(&room) {
                self.start(Task::RemoveNetwork(room), Doing::Reap);
            }
        }
    }

    fn reap(&mut self, id: ContainerId) {
        self.start(Task::Reap(id), Doing::Reap);
    }
}
