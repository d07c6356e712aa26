//! The way to the engine and back: calls that fail, hang or are done without an answer, and a stream of events that comes
//! late, twice, or drops.

use labtop::domain::effect::Fact;
use labtop::domain::fault::{Fault, FaultCode};
use labtop::domain::ids::{ContainerId, RoomName, SeatId};
use labtop::domain::seen::{EngineInfo, EngineState};

use crate::docker::{Event as DockerEvent, VolumeKey};
use crate::world::{Event, World};

/// One call to the engine, done at once or, on a hung engine, later.
#[derive(Debug, Clone)]
pub enum Deed {
    Create(SeatId, u64),
    Start(ContainerId),
    Pause(ContainerId),
    Unpause(ContainerId),
    End(ContainerId),
    Restart(ContainerId),
    Remove(ContainerId),
    RemoveVolume(VolumeKey, bool),
    MakeNetwork(RoomName),
    RemoveNetwork(RoomName),
}

impl World {
    pub fn engine_falls(&mut self) {
        if !self.engine_up {
            return;
        }
        self.note(|_| "the engine stops".into());
        self.engine_up = false;
        self.docker.all_end();
        self.stream_drops();
        let delay = self.rng.between(200, 25_000);
        self.after(delay, Event::EngineRises);
    }

    pub fn engine_rises(&mut self) {
        if self.engine_up {
            return;
        }
        self.note(|_| "the engine answers again".into());
        self.engine_up = true;
        self.in_order(Fact::Engine(up()));
    }

    /// The event stream ends: the adapter tells that the engine is down, and up when it has it again.
    fn stream_drops(&mut self) {
        self.in_order(Fact::Engine(down()));
        if self.engine_up {
            self.in_order(Fact::Engine(up()));
        }
    }

    /// The engine's news arrive late, in order, and sometimes twice.
    pub fn in_order(&mut self, fact: Fact) {
        self.stream_ms = self.stream_ms.max(self.mono_ms + self.delay());
        let (life, wait) = (self.life, self.stream_ms - self.mono_ms);
        if self.rng.chance(self.weather.twice) {
            self.after(wait, Event::Tell(life, fact.clone()));
        }
        self.after(wait, Event::Tell(life, fact));
    }

    pub fn hear_engine(&mut self) {
        for event in std::mem::take(&mut self.docker.events) {
            if self.control.is_none() || !self.engine_up {
                continue;
            }
            if self.rng.chance(self.weather.lost) {
                self.note(|_| format!("an event is lost: {event:?}"));
                self.stream_drops();
                continue;
            }
            match event {
                DockerEvent::Changed(seen) => self.in_order(Fact::Seen(seen)),
                DockerEvent::Gone(id) => self.in_order(Fact::Vanished(id)),
                DockerEvent::Stirred(id) if !self.sabotage.deaf => self.in_order(Fact::Disturbed(id)),
                DockerEvent::Stirred(_) => {}
            }
        }
    }

    /// One call to the engine, which may fail, or end without an answer: done, not done, or done later.
    pub fn call(&mut self, deed: Deed) -> Result<(), Fault> {
        if !self.engine_up {
            return Err(Fault::new(FaultCode::EngineUnreachable, "connection refused"));
        }
        let unknown = Fault::new(FaultCode::Unknown, "the call timed out");
        if !self.rng.chance(self.weather.engine) {
            return self.perform(deed).map_err(|why| Fault::new(FaultCode::Engine, why));
        }
        self.note(|_| format!("a call fails: {deed:?}"));
        match self.rng.below(4) {
            0 => return Err(Fault::new(FaultCode::Engine, "server error")),
            1 => {}
            2 => {
                let _ = self.perform(deed);
            }
            _ => {
                let delay = self.rng.between(10, 20_000);
                self.haunt(&deed);
                self.late_pending += 1;
                self.after(delay, Event::Late(deed));
            }
        }
        Err(unknown)
    }

    fn haunt(&mut self, deed: &Deed) {
        match deed {
            Deed::Create(seat, _) => self.haunted.insert(seat.room.clone()),
            Deed::MakeNetwork(room) => self.haunted.insert(room.clone()),
            _ => false,
        };
    }

    pub fn perform(&mut self, deed: Deed) -> Result<(), &'static str> {
        self.check_deed(&deed);
        let docker = &mut self.docker;
        match deed {
            Deed::Create(seat, session) => docker.create(&seat, session).map(|_| ()),
            Deed::Start(id) => docker.start(&id),
            Deed::Pause(id) => docker.pause(&id),
            Deed::Unpause(id) => docker.unpause(&id),
            Deed::End(id) => docker.end(&id, false),
            Deed::Restart(id) => docker.restart(&id),
            Deed::Remove(id) => docker.remove(&id, false),
            Deed::RemoveVolume(key, discard) => {
                let removed = docker.remove_volume(&key)?;
                if let Some(volume) = removed {
                    self.check_loss(&key, volume, discard);
                }
                Ok(())
            }
            Deed::MakeNetwork(room) => {
                docker.networks.insert(room);
                Ok(())
            }
            Deed::RemoveNetwork(room) => docker.remove_network(&room),
        }
    }
}

pub fn up() -> EngineState {
    EngineState::Up(EngineInfo {
        version: "20.10".into(),
        api: "1.41".into(),
        id: "ENGINE".into(),
    })
}

pub fn down() -> EngineState {
    EngineState::Down("it is being simulated".into())
}
