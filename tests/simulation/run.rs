//! One run: bad days of chance, then a quiet end in which everything must come to rest as wanted.

use std::collections::BTreeMap;

use labtop::domain::command::Command;
use labtop::domain::control::{Control, Rules};
use labtop::domain::door::SessionRecord;
use labtop::domain::ids::{RoomName, SeatId};
use labtop::domain::record::{RoomWanted, Wanted};
use labtop::domain::seen::RunState;
use labtop::domain::settings::RouteAuth;
use labtop::domain::template::{Egress, SeatUser, Selection, Template};

use crate::world::{Event, Sabotage, Weather, World};

/// Quiet time within which everything must have come to rest, simulated milliseconds: several capped retries and
/// relists in a row.
const REST_WITHIN_MS: u64 = 900_000;

/// Share of the bad runs in which the agent is told to stop.
const STOPPED_PERCENT: u64 = 25;

/// What came of a run.
#[derive(Debug)]
pub struct Report {
    pub seed: u64,
    pub steps: u64,
    pub violations: Vec<String>,
    pub story: String,
}

/// Plays one seed.
pub fn play(seed: u64, sabotage: Sabotage, tell: bool) -> Report {
    let mut world = World::new(seed, rules(), sabotage, tell);
    world.build_door();
    bad_days(&mut world);
    if world.violations.is_empty() {
        quiet_end(&mut world);
    }
    Report {
        seed,
        steps: world.steps,
        story: world.story(),
        violations: world.violations,
    }
}

fn bad_days(world: &mut World) {
    let rng = &mut world.rng;
    let bad = rng.chance(85);
    let mut up_to = |most: u64| if bad && rng.chance(60) { rng.below(most + 1) } else { 0 };
    world.weather = Weather {
        engine: up_to(25),
        ledger: up_to(25),
        store: up_to(40),
        twice: up_to(20),
        lost: up_to(20),
        slow: up_to(30),
        hangs: 0,
    };
    world.allow_discard = world.rng.chance(10);
    world.short_leases = world.rng.chance(10);
    let (least, most) = if world.short_leases {
        (130_000, 260_000)
    } else {
        (3_000, 30_000)
    };
    let horizon_ms = world.rng.between(least, most);
    world.add_strangers();
    world.rebirth();
    if !world.schedule_door(horizon_ms, bad) {
        let opening = world.open(crate::actor::room("a"));
        world.ask(opening);
    }
    schedule(world, 3, 12, horizon_ms, || Event::Command);
    if bad {
        schedule(world, 0, 8, horizon_ms, || Event::Meddle);
        schedule(world, 0, 2, horizon_ms, || Event::Die);
        // By chance of its own, so that the other runs stay what they were.
        let mut aside = world.rng.clone();
        if aside.chance(STOPPED_PERCENT) {
            world.after(aside.below(horizon_ms), Event::Stop);
        }
    }
    if bad && world.rng.chance(30) {
        schedule(world, 1, 2, horizon_ms, || Event::EngineFalls);
    }
    if world.rng.chance(25) {
        schedule(world, 1, 3, horizon_ms, || Event::Jump);
    }
    let until = world.mono_ms + horizon_ms;
    while world.violations.is_empty() && world.step(until) {}
    world.mono_ms = until;
}

fn schedule(world: &mut World, least: u64, most: u64, within_ms: u64, event: fn() -> Event) {
    for _ in 0..world.rng.between(least, most) {
        let at = world.rng.below(within_ms);
        world.after(at, event());
    }
}

/// Nothing fails any more. In most runs every room is closed; then everything must come to rest, and stay so when the
/// process dies once more (in some runs, to save time).
fn quiet_end(world: &mut World) {
    world.weather = Weather::default();
    world.quiet = true;
    world.note(|_| "from here on nothing fails".into());
    world.engine_rises();
    if world.control.is_none() {
        world.rebirth();
        world.queue.retain(|_, e| !matches!(e, Event::Rebirth));
    }
    if world.short_leases || world.rng.chance(70) {
        let rooms: Vec<RoomName> = world
            .ledger
            .rooms
            .values()
            .filter(|r| !r.ended)
            .map(|r| r.name.clone())
            .collect();
        for room in rooms {
            world.ask(Command::CloseRoom { room, discard: false });
        }
    }
    come_to_rest(world, "after the bad days");
    let before = end_state(world);
    if world.violations.is_empty() && world.rng.chance(40) {
        world.die();
        come_to_rest(world, "after one more death");
    }
    let after = end_state(world);
    let (before, after) = (before.at(world), after.at(world));
    if world.violations.is_empty() && before != after {
        world.violated(format!("one more death changed the end from {before:?} to {after:?}"));
    }
}

/// What each seat is in the end, and who is in.
#[derive(Debug, PartialEq)]
struct EndState {
    seats: BTreeMap<SeatId, Option<RunState>>,
    sessions: Vec<SessionRecord>,
}

impl EndState {
    /// Without sessions whose time has come meanwhile.
    fn at(mut self, world: &World) -> Self {
        let now_ms = world.now().unix_ms;
        self.sessions.retain(|one| one.ends_unix_ms > now_ms);
        self
    }
}

fn end_state(world: &World) -> EndState {
    let rows = world.ledger.seats.keys();
    let seats = rows.map(|id| (id.clone(), world.docker.of_seat(id).map(|c| c.state)));
    let sessions = world.control.iter().flat_map(Control::sessions);
    EndState {
        seats: seats.collect(),
        sessions: sessions.cloned().collect(),
    }
}

fn come_to_rest(world: &mut World, when: &str) {
    let until = world.mono_ms + REST_WITHIN_MS;
    while world.violations.is_empty() && (world.late_pending > 0 || unrest(world).is_some()) {
        if !world.step(until) {
            let what = unrest(world).map(|why| why()).unwrap_or_default();
            world.violated(format!("no rest {when}: {what}"));
        }
    }
}

/// What is said of unrest: put into words only when it is told.
type Why<'w> = Box<dyn Fn() -> String + 'w>;

/// Why the world is not as wanted yet.
fn unrest(world: &World) -> Option<Why<'_>> {
    if world.control.is_none() {
        return Some(Box::new(|| "the agent is dead".into()));
    }
    if !world.jobs.is_empty() || !world.ledger.line.is_empty() {
        return Some(Box::new(|| format!("still under way: {:?}", world.jobs)));
    }
    if let Some(unanswered) = world.oracle.sessions.unanswered() {
        return Some(Box::new(move || unanswered.clone()));
    }
    if let Some(differ) = world.sessions_differ() {
        return Some(Box::new(move || differ.clone()));
    }
    if let Some((ticket, (command, _))) = world.oracle.tickets.iter().find(|(_, (_, n))| *n == 0) {
        return Some(Box::new(move || format!("{ticket:?} {command:?} was never answered")));
    }
    for room in world.ledger.rooms.values() {
        if room.wanted == RoomWanted::Closed && !room.ended {
            let seats = &world.ledger.seats;
            return Some(Box::new(move || format!("room {} has not ended: {seats:?}", room.name)));
        }
        if room.ended
            && let Some(left) = world.left_of(&room.name)
        {
            return Some(Box::new(move || {
                format!("room {} has ended, but there is {left}", room.name)
            }));
        }
    }
    if let Some(carrier) = world.docker.carriers.first() {
        return Some(Box::new(move || format!("carrier {carrier} is left")));
    }
    world.ledger.seats.values().find_map(|row| {
        let state = world.docker.of_seat(&row.id).map(|c| c.state);
        let good = match row.wanted {
            Wanted::Running => state == Some(RunState::Running),
            Wanted::Frozen => matches!(state, Some(RunState::Paused | RunState::Exited)),
            Wanted::Stopped => state.is_none_or(RunState::is_down),
            Wanted::Gone => false,
        };
        let why = move || format!("{} should be {:?} and is {state:?}", row.id, row.wanted);
        (!good).then(|| Box::new(why) as Why<'_>)
    })
}

fn rules() -> Rules {
    let template = Template {
        name: "t".parse().unwrap(),
        image: "image".into(),
        command: Vec::new(),
        user: SeatUser { uid: 1000, gid: 1000 },
        port: None,
        memory_bytes: 1,
        millicpus: 1000,
        pids: 10,
        nofile: 10,
        network: Egress::Closed,
        workspace: "/workspace".into(),
        minutes: 180,
        starter: None,
        env: BTreeMap::new(),
        cap_add: Vec::new(),
        read_only: false,
        runtime: None,
        archive: Selection::default(),
        autosave: None,
        idle_minutes: None,
        activity: Vec::new(),
        door: labtop::domain::door::DoorPolicy::default(),
    };
    Rules {
        default_template: template.name.clone(),
        templates: BTreeMap::from([(template.name.clone(), template)]),
        auth: RouteAuth::Gateway,
        rule: labtop::domain::routes::RouteRule::Path,
        warn_minutes: vec![15, 5],
        accept_engine: false,
    }
}
