//! Questions: answered by tasks of their own, so that none holds up the loop.

use std::pin::Pin;
use std::sync::Arc;

use tokio::sync::oneshot;

use super::handle::{LogStream, Request, ShellSession};
use super::run::Run;
use super::world::World;
use super::{clock, doctor, isolation};
use crate::domain::command::{
    Answer, ArchiveRow, AuditRow, Excerpt, LOGS_NEEDS, LOGS_VERB, Query, SHELL_NEEDS, SHELL_VERB, SessionRow,
};
use crate::domain::control::Input;
use crate::domain::fault::{Denial, Refusal};
use crate::domain::ids::{ArchiveId, ContainerId, RoomName, SeatId};
use crate::domain::role::{Actor, Role};
use crate::domain::seen::RunState;
use crate::domain::template::SeatUser;
use crate::world::ledger;

/// Records of the audit trail that are answered at once: far below the size of a frame.
const AUDIT_PIECE: usize = 1_000;

/// Answers what is not a command.
pub(super) fn answer(run: &mut Run, request: Request) {
    match request {
        Request::Command { .. } | Request::Knock { .. } | Request::Wish { .. } => {}
        Request::Pulse { reply } => {
            run.publish_doors();
            let _ = reply.send(());
        }
        Request::Ask { actor, query, reply } => ask(run, actor, query, reply),
        Request::Touch { seat } => run.input(Input::Touch(seat)),
        Request::Logs {
            actor,
            seat,
            tail,
            follow,
            reply,
        } => logs(run, &actor, &seat, (tail, follow), reply),
        Request::Fetch {
            actor,
            id,
            excerpt,
            reply,
        } => fetch(run, &actor, id, excerpt, reply),
        Request::Backup { actor, reply } => {
            let world = run.world.clone();
            tokio::spawn(async move {
                let _ = reply.send(Box::pin(world.open_backup(&actor)).await);
            });
        }
        Request::Shell {
            actor,
            seat,
            cols,
            rows,
            reply,
        } => shell(run, &actor, &seat, (cols, rows), reply),
    }
}

/// Whether the role permits a question. What is about many rooms is answered for those that the person sees.
fn permitted(actor: &Actor, query: &Query) -> Result<(), Refusal> {
    match query.room() {
        Some(room) => actor.must(query.needs(), Some(room), query.verb()),
        None if actor.rights.best() >= Some(query.needs()) => Ok(()),
        None => actor.must(query.needs(), None, query.verb()),
    }
}

/// The finding of an answer.
type Work = Pin<Box<dyn Future<Output = Answer> + Send>>;

fn ask(run: &Run, actor: Actor, query: Query, mut reply: oneshot::Sender<Answer>) {
    if let Err(refusal) = permitted(&actor, &query) {
        let _ = reply.send(Answer::Refused { refusal });
        return;
    }
    let world = run.world.clone();
    let places = match &query {
        Query::VerifyArchive { .. } => Arc::clone(&world.checks),
        _ => Arc::clone(&world.questions),
    };
    let work: Work = match query {
        Query::Archives { room } => Box::pin(async move {
            let rows = world.ledger.archives(room).await;
            rows.map_or_else(|fault| Answer::Failed { fault }, |rows| archives(&actor, rows))
        }),
        Query::Audit { room, after } => Box::pin(async move { audit(&world, &actor, room, after).await }),
        Query::VerifyAudit => Box::pin(async move {
            let chain = world.ledger.audit_chain().await;
            chain.map_or_else(|fault| Answer::Failed { fault }, |chain| Answer::AuditChain { chain })
        }),
        Query::Top { seat } => match container(run, &seat) {
            Ok(id) => Box::pin(async move { top(&world, &id).await }),
            Err(refusal) => Box::pin(async move { Answer::Refused { refusal } }),
        },
        Query::Roster { room } => Box::pin(async move {
            let lines = world.ledger.roster(room).await;
            lines.map_or_else(|fault| Answer::Failed { fault }, |lines| Answer::Roster { lines })
        }),
        Query::Sessions { room } => {
            let rows = sessions(run, &actor, room.as_ref());
            Box::pin(async move { Answer::Sessions { rows } })
        }
        Query::VerifyArchive { id } => Box::pin(async move { verify_archive(&world, &actor, id).await }),
        Query::Isolation { room } => match run.control.egress(&room) {
            Some(egress) => Box::pin(async move { isolation::answer(&world, room, egress).await }),
            None => Box::pin(async move {
                Answer::Refused {
                    refusal: no_room(&room),
                }
            }),
        },
        Query::Doctor => {
            let (mut orphans, mut made) = (run.control.orphans().iter().cloned().collect(), run.control.made());
            // They may be of rooms that the person does not see.
            if !actor.rights.sees_all() {
                orphans = Vec::new();
                if let Some(made) = &mut made {
                    made.retain(|(order, _)| actor.rights.sees(&order.seat.room));
                }
            }
            let strange = run.control.strange_engine().map(str::to_owned);
            Box::pin(async move {
                Answer::Doctor {
                    checks: Box::pin(doctor::examine(&world, strange, orphans, made)).await,
                }
            })
        }
    };
    tokio::spawn(async move {
        // Whoever leaves while waiting asks nothing: else one who asks and leaves again and again would fill every thread.
        let place = tokio::select! {
            () = reply.closed() => return,
            place = places.acquire_owned() => place,
        };
        let answer = work.await;
        drop(place);
        let _ = reply.send(answer);
    });
}

fn sessions(run: &Run, actor: &Actor, room: Option<&RoomName>) -> Vec<SessionRow> {
    let now_ms = clock::unix_ms();
    let asked = run
        .control
        .sessions()
        .filter(|one| room.is_none_or(|room| one.seat.room == *room));
    let mut rows: Vec<SessionRow> = asked
        .filter(|one| actor.may(Role::Proctor, Some(&one.seat.room)))
        .map(|one| SessionRow {
            id: one.id.clone(),
            room: one.seat.room.clone(),
            student: one.seat.student.clone(),
            began: clock::rfc3339(one.began_unix_ms),
            seconds_left: one.ends_unix_ms.saturating_sub(now_ms).div_ceil(1_000),
            address: one.address.clone(),
            onlooker: one.onlooker.clone(),
        })
        .collect();
    rows.sort_by(|a, b| (&a.room, &a.student, &a.began).cmp(&(&b.room, &b.student, &b.began)));
    rows
}

fn archives(actor: &Actor, mut rows: Vec<ArchiveRow>) -> Answer {
    rows.retain(|row| actor.rights.sees(&row.room));
    Answer::Archives { rows }
}

/// Who sees every room reads the whole trail; others, what was done to rooms that they see.
async fn audit(world: &World, actor: &Actor, room: Option<RoomName>, after: u64) -> Answer {
    let piece = match world.ledger.audit(room, after, AUDIT_PIECE).await {
        Ok(piece) => piece,
        Err(fault) => return Answer::Failed { fault },
    };
    let next = (piece.len() == AUDIT_PIECE).then(|| piece.last().map_or(after, |row| row.seq));
    let all = actor.rights.sees_all();
    let sees = |target: &str| all || room_of(target).is_some_and(|room| actor.rights.sees(&room));
    let rows = piece
        .into_iter()
        .filter(|row| sees(&row.entry.target))
        .map(told)
        .collect();
    Answer::Audit { rows, next }
}

fn told(row: ledger::AuditRow) -> AuditRow {
    let ledger::AuditRow { seq, entry, hash } = row;
    AuditRow {
        seq,
        time: clock::rfc3339(entry.unix_ms),
        uid: entry.uid,
        user: entry.user,
        origin: entry.origin,
        verb: entry.verb,
        target: entry.target,
        outcome: entry.outcome,
        hash,
    }
}

/// The room that a record is about: its target is a room or a seat, or begins with one.
fn room_of(target: &str) -> Option<RoomName> {
    let first = target.split(['/', ' ']).next()?;
    // These are no rooms.
    (!["ledger", "leases"].contains(&first)).then(|| first.parse().ok())?
}

async fn verify_archive(world: &World, actor: &Actor, id: ArchiveId) -> Answer {
    match Box::pin(world.check_archive(actor, id)).await {
        Ok(mode) => Answer::Verified { mode },
        Err(Denial::Refused(refusal)) => Answer::Refused { refusal },
        Err(Denial::Failed(fault)) => Answer::Failed { fault },
    }
}

fn fetch(run: &Run, actor: &Actor, id: ArchiveId, excerpt: Excerpt, reply: oneshot::Sender<Result<LogStream, Denial>>) {
    let actor = actor.clone();
    let world = run.world.clone();
    tokio::spawn(async move {
        let _ = reply.send(Box::pin(world.open_archive(&actor, id, excerpt)).await);
    });
}

async fn top(world: &World, id: &ContainerId) -> Answer {
    match world.docker.top(id).await {
        Ok((titles, rows)) => Answer::Top { titles, rows },
        Err(fault) => Answer::Failed { fault },
    }
}

fn logs(
    run: &Run,
    actor: &Actor,
    seat: &SeatId,
    (tail, follow): (u32, bool),
    reply: oneshot::Sender<Result<LogStream, Denial>>,
) {
    let permitted = actor.must(LOGS_NEEDS, Some(&seat.room), LOGS_VERB);
    let found = permitted.and_then(|()| container(run, seat));
    let world = run.world.clone();
    tokio::spawn(async move {
        let stream = match found {
            Ok(id) => world.docker.logs(&id, Some(tail), follow).await.map_err(Denial::from),
            Err(refusal) => Err(refusal.into()),
        };
        let _ = reply.send(stream);
    });
}

fn shell(
    run: &mut Run,
    actor: &Actor,
    seat: &SeatId,
    size: (u16, u16),
    reply: oneshot::Sender<Result<ShellSession, Denial>>,
) {
    let found = shell_target(run, actor, seat);
    let world = run.world.clone();
    if found.is_ok() {
        run.input(Input::Visit(actor.clone(), seat.clone()));
    }
    tokio::spawn(async move {
        let session = match found {
            Ok((id, user, workdir)) => {
                let opened = world.docker.shell(&id, user, &workdir, size.0, size.1).await;
                opened.map_err(Denial::from)
            }
            Err(refusal) => Err(refusal.into()),
        };
        let _ = reply.send(session);
    });
}

fn shell_target(run: &Run, actor: &Actor, seat: &SeatId) -> Result<(ContainerId, SeatUser, String), Refusal> {
    actor.must(SHELL_NEEDS, Some(&seat.room), SHELL_VERB)?;
    let id = container(run, seat)?;
    let state = run.control.container(seat).map(|c| c.state);
    if state != Some(RunState::Running) {
        return Err(Refusal::conflict(format!(
            "Seat {seat} does not run, so no shell can be opened in it"
        )));
    }
    let template = run.control.template(seat).ok_or_else(|| no_seat(seat))?;
    Ok((id, template.user, template.workspace.clone()))
}

fn container(run: &Run, seat: &SeatId) -> Result<ContainerId, Refusal> {
    if !run.control.has_seat(seat) {
        return Err(no_seat(seat));
    }
    let container = run.control.container(seat);
    container
        .map(|c| c.id.clone())
        .ok_or_else(|| Refusal::conflict(format!("Seat {seat} has no container at the moment")))
}

fn no_room(room: &RoomName) -> Refusal {
    Refusal::not_found(format!("Room {room} is not open; `labtop ls` lists the rooms' seats"))
}

fn no_seat(seat: &SeatId) -> Refusal {
    Refusal::not_found(format!("There is no seat {seat}; `labtop ls` lists the seats"))
}
