//! Proving codes for gateways, before the loop decides: lockout, hash, session id.
//!
//! Hashes are made by a few threads that give way to everything else, so that three hundred students who sign in at
//! once hold up neither a board nor a kill.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, oneshot};

use super::handle::Request;
use super::run::Run;
use super::world::World;
use crate::codes;
use crate::domain::door::{AccessCode, DoorWish, Knock, KnockAnswer, Lockout};
use crate::domain::fault::{Fault, FaultCode};
use crate::domain::ids::{BadId, SeatId, SessionId, StudentId};
use crate::domain::role::Actor;
use crate::domain::roster::CodeHash;
use crate::world::leases::Strikes;

/// How long wrong codes count.
const WINDOW: Duration = Duration::from_mins(10);
/// Wrong codes for one student within the while, from which on none is looked at.
const STUDENT_STRIKES: u32 = 10;
/// The same from one address: a whole lab may sit behind one.
const ADDRESS_STRIKES: u32 = 100;
/// Codes that wait to be proven; more are turned away, and come back.
const WAITING_MAX: usize = 1_024;
/// Threads that hash.
const HASHERS_MAX: usize = 8;
/// How much less than others a thread that hashes wants the processor.
const NICENESS: i32 = 10;
/// Names whose strikes are counted here, too, for when the store is away.
const COUNTED_HERE_MAX: usize = 10_000;

/// Answers a gateway.
pub(super) fn knock(run: &Run, actor: Actor, knock: Knock, reply: oneshot::Sender<KnockAnswer>) {
    if let Err(refusal) = actor.must_keep_doors() {
        let _ = reply.send(refusal.into());
        return;
    }
    let opening = match &knock {
        Knock::Receipt { session } => receipt_target(run, session),
        _ => None,
    };
    let codes_given = match &knock {
        Knock::SignIn { student, .. } => run.control.codes_given(student),
        _ => 0,
    };
    let (world, own) = (run.world.clone(), run.own.clone());
    let tried = tried(&knock);
    tokio::spawn(async move {
        let wish = match knock {
            Knock::Receipt { .. } => {
                let _ = reply.send(receipt(&world, opening).await);
                return;
            }
            Knock::SignIn {
                student,
                code,
                room,
                address,
            } => prove(&world, &student, code, &address)
                .await
                .map(|session| DoorWish::SignIn {
                    student,
                    room,
                    session,
                    address,
                    codes_given,
                }),
            Knock::LookIn { code, address } => {
                look(&world, &code, &address)
                    .await
                    .map(|(digest, session)| DoorWish::LookIn {
                        digest,
                        session,
                        address,
                    })
            }
            Knock::SignOut { session } => Ok(DoorWish::SignOut(session)),
            Knock::HandIn { session } => Ok(DoorWish::HandIn(session)),
            Knock::Trespass { session, seat } => Ok(DoorWish::Trespass(session, seat)),
        };
        let answer = match wish {
            Err(answer) => answer,
            Ok(wish) => match decide(&world, &own, actor.clone(), wish).await {
                Some(answer) => answer,
                None => return,
            },
        };
        let wrong = answer == KnockAnswer::Wrong;
        let _ = reply.send(answer);
        if let (true, Some((student, address))) = (wrong, tried) {
            tell_lockouts(&world, &own, &actor, student, address).await;
        }
    });
}

/// Who tried a code, as far as they said, and from where.
fn tried(knock: &Knock) -> Option<(Option<StudentId>, String)> {
    match knock {
        Knock::SignIn { student, address, .. } => Some((Some(student.clone()), address.clone())),
        Knock::LookIn { address, .. } => Some((None, address.clone())),
        _ => None,
    }
}

/// Asks the loop. A code for a look that nobody gave out counts as a wrong one.
async fn decide(world: &World, own: &mpsc::Sender<Request>, actor: Actor, wish: DoorWish) -> Option<KnockAnswer> {
    let address = match &wish {
        DoorWish::LookIn { address, .. } => Some(address.clone()),
        _ => None,
    };
    let answer = ask_loop(own, actor, wish).await?;
    if let (KnockAnswer::Wrong, Some(address)) = (&answer, address) {
        world.strike(&[of_address(&address)]).await;
    }
    Some(answer)
}

/// None when the loop has ended.
async fn ask_loop(own: &mpsc::Sender<Request>, actor: Actor, wish: DoorWish) -> Option<KnockAnswer> {
    let (reply, answer) = oneshot::channel();
    own.send(Request::Wish { actor, wish, reply }).await.ok()?;
    answer.await.ok()
}

/// A wrong code came. When it was the one too many, supervisors are told; whoever tried is not kept waiting for that.
async fn tell_lockouts(
    world: &World,
    own: &mpsc::Sender<Request>,
    actor: &Actor,
    student: Option<StudentId>,
    address: String,
) {
    let named = student.map(|student| (of_student(&student), STUDENT_STRIKES, Some(student)));
    let from = (of_address(&address), ADDRESS_STRIKES, None);
    for (name, limit, student) in named.into_iter().chain([from]) {
        if let Err(KnockAnswer::Locked { seconds }) = world.unlocked(&name, limit).await {
            let address = address.clone();
            let lockout = Lockout {
                student,
                address,
                seconds,
            };
            ask_loop(own, actor.clone(), DoorWish::LockedOut(lockout)).await;
        }
    }
}

fn receipt_target(run: &Run, session: &SessionId) -> Option<(SeatId, u64)> {
    let session = run
        .control
        .sessions()
        .find(|one| one.id == *session && one.onlooker.is_none())?;
    Some((session.seat.clone(), session.opening))
}

async fn receipt(world: &World, target: Option<(SeatId, u64)>) -> KnockAnswer {
    let Some((seat, opening)) = target else {
        return KnockAnswer::Receipt { receipt: None };
    };
    match world.ledger.receipt(seat, opening).await {
        Ok(receipt) => KnockAnswer::Receipt { receipt },
        Err(fault) => fault.into(),
    }
}

/// Whether the code is the student's; gives the id of the session that begins.
async fn prove(world: &World, student: &StudentId, code: AccessCode, address: &str) -> Result<SessionId, KnockAnswer> {
    let (of_student, of_address) = (of_student(student), of_address(address));
    world.unlocked(&of_student, STUDENT_STRIKES).await?;
    // Others at that address, which may be a whole lab's, must not keep out who made no mistake.
    if let Err(locked) = world.unlocked(&of_address, ADDRESS_STRIKES).await {
        world.unlocked(&of_student, 1).await.map_err(|_| locked)?;
    }
    let hash = world.ledger.code_hash(student.clone()).await?;
    // Whoever finds no place has tried nothing.
    let place = world.hashers.place()?;
    // Counted before it is looked at, and forgotten when it was right: many at once get no more tries than one after
    // the other.
    world.strike(std::slice::from_ref(&of_student)).await;
    world.unlocked(&of_student, STUDENT_STRIKES + 1).await?;
    if !place.matches(hash, code).await? {
        world.strike(&[of_address]).await;
        return Err(KnockAnswer::Wrong);
    }
    let _ = world.absolve(student).await;
    Ok(new_session()?)
}

async fn look(world: &World, code: &AccessCode, address: &str) -> Result<(String, SessionId), KnockAnswer> {
    let of_address = of_address(address);
    world.unlocked(&of_address, ADDRESS_STRIKES).await?;
    let Some(digest) = codes::digest(code.expose()) else {
        world.strike(&[of_address]).await;
        return Err(KnockAnswer::Wrong);
    };
    Ok((digest, new_session()?))
}

/// 122 bits that nobody can guess.
fn new_session() -> Result<SessionId, Fault> {
    let id = uuid::Uuid::new_v4().simple().to_string();
    id.parse()
        .map_err(|error: BadId| Fault::new(FaultCode::Unknown, error.to_string()))
}

fn of_student(student: &StudentId) -> String {
    format!("student:{student}")
}

fn of_address(address: &str) -> String {
    format!("address:{address}")
}

/// Strikes that are counted here, with their ends.
pub(super) type Counted = Arc<Mutex<HashMap<String, (u32, Instant)>>>;

impl World {
    /// Forgets a student's wrong codes.
    pub(super) async fn absolve(&self, student: &StudentId) -> Result<(), Fault> {
        let name = of_student(student);
        self.struck().remove(&name);
        self.leases.absolve(&name).await
    }

    /// Goes on when there are fewer strikes against a name than that. A store that is away locks nobody out, and lets
    /// nobody try without end: they are counted here, too.
    async fn unlocked(&self, name: &str, limit: u32) -> Result<(), KnockAnswer> {
        let there = self.leases.strikes(name).await.unwrap_or_default();
        let here = self
            .struck()
            .get(name)
            .map_or_else(Strikes::default, |(count, ends)| Strikes {
                count: *count,
                left_ms: u64::try_from(ends.saturating_duration_since(Instant::now()).as_millis()).unwrap_or(0),
            });
        let worst = if here.count > there.count && here.left_ms > 0 {
            here
        } else {
            there
        };
        if worst.count < limit {
            return Ok(());
        }
        Err(KnockAnswer::Locked {
            seconds: worst.left_ms.div_ceil(1_000).max(1),
        })
    }

    async fn strike(&self, names: &[String]) {
        for name in names {
            self.strike_here(name);
            if let Err(fault) = self.leases.strike(name, WINDOW).await {
                tracing::warn!(%fault, "a wrong code is only counted here");
            }
        }
    }

    fn strike_here(&self, name: &str) {
        let now = Instant::now();
        let mut all = self.struck();
        if all.len() >= COUNTED_HERE_MAX {
            all.retain(|_, (_, ends)| *ends > now);
        }
        let fresh = (0, now + WINDOW);
        let entry = all.entry(name.to_owned()).or_insert(fresh);
        if entry.1 <= now {
            *entry = fresh;
        }
        entry.0 += 1;
    }

    fn struck(&self) -> std::sync::MutexGuard<'_, HashMap<String, (u32, Instant)>> {
        self.strikes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Threads that compare codes with hashes.
#[derive(Debug, Clone)]
pub(super) struct Hashers(mpsc::Sender<Comparison>);

#[derive(Debug)]
struct Comparison {
    hash: Option<CodeHash>,
    code: AccessCode,
    reply: oneshot::Sender<bool>,
}

impl Hashers {
    /// As many as there are processors, within bounds: each takes 19 MiB. They end when nobody can ask any more.
    pub fn start() -> Self {
        let (queue, waiting) = mpsc::channel(WAITING_MAX);
        let waiting = Arc::new(Mutex::new(waiting));
        let count = std::thread::available_parallelism()
            .map_or(1, usize::from)
            .min(HASHERS_MAX);
        for _ in 0..count {
            let waiting = Arc::clone(&waiting);
            let thread = std::thread::Builder::new().name("hasher".to_owned());
            if let Err(error) = thread.spawn(move || compare(&waiting)) {
                tracing::error!(%error, "a thread for access codes cannot be started");
            }
        }
        Self(queue)
    }

    /// A place in the line.
    fn place(&self) -> Result<Place<'_>, Fault> {
        self.0.try_reserve().map(Place).map_err(|_| busy())
    }
}

/// A place in the line of codes that are compared.
struct Place<'h>(mpsc::Permit<'h, Comparison>);

impl Place<'_> {
    async fn matches(self, hash: Option<CodeHash>, code: AccessCode) -> Result<bool, Fault> {
        let (reply, answer) = oneshot::channel();
        self.0.send(Comparison { hash, code, reply });
        answer.await.map_err(|_| busy())
    }
}

fn busy() -> Fault {
    Fault::new(FaultCode::Unknown, "too many sign in at this moment").hint("Try again in a few seconds")
}

fn compare(waiting: &Mutex<mpsc::Receiver<Comparison>>) {
    // Of this thread alone: Linux counts threads as processes here.
    let _ = rustix::process::setpriority_process(None, NICENESS);
    loop {
        // The lock is held while it waits: the threads take turns in waiting, not in hashing.
        let next = waiting.lock().unwrap_or_else(PoisonError::into_inner).blocking_recv();
        let Some(Comparison { hash, code, reply }) = next else {
            return;
        };
        if !reply.is_closed() {
            let _ = reply.send(codes::matches(hash.as_ref(), code.expose()));
        }
    }
}
