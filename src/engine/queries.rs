//! Questions: answered by tasks of their own, so that none holds up the loop.

use tokio::sync::oneshot;

use super::doctor;
use super::handle::{LogStream, Request, ShellSession};
use super::run::Run;
use super::world::World;
use crate::domain::command::{Answer, Excerpt, Query};
use crate::domain::control::Input;
use crate::domain::fault::{Denial, Refusal};
use crate::domain::ids::{ArchiveId, ContainerId, SeatId};
use crate::domain::role::{Actor, Role};
use crate::domain::seen::RunState;
use crate::domain::template::SeatUser;

/// Answers what is not a command.
pub(super) fn answer(run: &mut Run, request: Request) {
    match request {
        Request::Command { .. } => {}
        Request::Pulse { reply } => {
            let _ = reply.send(());
        }
        Request::Ask { query, reply } => ask(run, query, reply),
        Request::Logs {
            seat,
            tail,
            follow,
            reply,
        } => logs(run, &seat, (tail, follow), reply),
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

fn ask(run: &Run, query: Query, reply: oneshot::Sender<Answer>) {
    let world = run.world.clone();
    let work = match query {
        Query::Archives { room } => tokio::spawn(async move {
            let rows = world.ledger.archives(room).await;
            rows.map_or_else(|fault| Answer::Failed { fault }, |rows| Answer::Archives { rows })
        }),
        Query::Top { seat } => match container(run, &seat) {
            Ok(id) => tokio::spawn(async move { top(&world, &id).await }),
            Err(refusal) => tokio::spawn(async move { Answer::Refused { refusal } }),
        },
        Query::VerifyArchive { id } => tokio::spawn(async move { verify_archive(&world, id).await }),
        Query::Doctor => {
            let orphans = run.control.orphans().iter().cloned().collect();
            let strange = run.control.strange_engine().map(str::to_owned);
            tokio::spawn(async move {
                Answer::Doctor {
                    checks: Box::pin(doctor::examine(&world, strange, orphans)).await,
                }
            })
        }
    };
    tokio::spawn(async move {
        if let Ok(answer) = work.await {
            let _ = reply.send(answer);
        }
    });
}

async fn verify_archive(world: &World, id: ArchiveId) -> Answer {
    match Box::pin(world.check_archive(id)).await {
        Ok(mode) => Answer::Verified { mode },
        Err(Denial::Refused(refusal)) => Answer::Refused { refusal },
        Err(Denial::Failed(fault)) => Answer::Failed { fault },
    }
}

fn fetch(run: &Run, actor: &Actor, id: ArchiveId, excerpt: Excerpt, reply: oneshot::Sender<Result<LogStream, Denial>>) {
    let permitted = if actor.role < excerpt.needs() {
        Err(Refusal::role(&actor.name, excerpt.verb(), actor.role))
    } else {
        Ok(())
    };
    let actor = actor.clone();
    let world = run.world.clone();
    tokio::spawn(async move {
        let stream = match permitted {
            Ok(()) => Box::pin(world.open_archive(&actor, id, excerpt)).await,
            Err(refusal) => Err(refusal.into()),
        };
        let _ = reply.send(stream);
    });
}

async fn top(world: &World, id: &ContainerId) -> Answer {
    match world.docker.top(id).await {
        Ok((titles, rows)) => Answer::Top { titles, rows },
        Err(fault) => Answer::Failed { fault },
    }
}

fn logs(run: &Run, seat: &SeatId, (tail, follow): (u32, bool), reply: oneshot::Sender<Result<LogStream, Denial>>) {
    let found = container(run, seat);
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
    if actor.role < Role::Proctor {
        return Err(Refusal::role(&actor.name, "seat shell", actor.role));
    }
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

fn no_seat(seat: &SeatId) -> Refusal {
    Refusal::not_found(format!("There is no seat {seat}; `labtop ls` lists the seats"))
}
