//! The board's questions and work with archives, carried out with the agent.

use std::io::{self, BufReader};
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::cli::export::{self, Told};
use crate::cli::restore;
use crate::domain::command::{Answer, ArchiveRow, Excerpt, Outcome, ProgressReport, Query};
use crate::domain::fault::{Fault, FaultCode};
use crate::domain::ids::{ArchiveId, RoomName};
use crate::domain::notice::Notice;
use crate::pack::pieces::Pieces;
use crate::tui::port::{Inbound, JobId, Kept, PART_MAX, StreamId, Task};
use crate::tui::tree::Tree;
use crate::wire::client::{CallError, Client, Logs};

/// Pieces of a manifest that wait to be read.
const PIECES: usize = 16;
/// Remarks of a restore or an export that are told one by one.
const REMARKS: usize = 20;

type News = mpsc::Sender<Inbound>;

/// Lists archives.
pub(super) async fn list(client: Client, (stream, room): (StreamId, Option<RoomName>), news: News) {
    let rows = rows(&client, room).await;
    let _ = news.send(Inbound::Archives { stream, rows }).await;
}

async fn rows(client: &Client, room: Option<RoomName>) -> Result<Vec<ArchiveRow>, String> {
    match client.ask(Query::Archives { room }).await {
        Ok(Answer::Archives { rows }) => Ok(rows),
        Ok(answer) => Err(other(answer).to_string()),
        Err(error) => Err(error.to_string()),
    }
}

/// What an answer means that is not the one asked for.
pub(super) fn other(answer: Answer) -> Fault {
    match answer {
        Answer::Failed { fault } => fault,
        Answer::Refused { refusal } => Fault::new(FaultCode::Cancelled, refusal.text),
        _ => Fault::new(
            FaultCode::Unknown,
            "the agent answered another question: is it of the same version?",
        ),
    }
}

/// Reads what is in an archive.
pub(super) async fn tree(client: Client, (stream, archive): (StreamId, ArchiveId), news: News) {
    let tree = read_tree(&client, archive).await.map(Arc::new);
    let _ = news.send(Inbound::Tree { stream, tree }).await;
}

/// The manifest is read line by line as it comes, on a thread of its own: it may have millions.
async fn read_tree(client: &Client, archive: ArchiveId) -> Result<Tree, String> {
    let text = |error: CallError| error.to_string();
    let mut stream = client.fetch(archive, Excerpt::Manifest).await.map_err(text)?;
    let (to, mut pieces) = mpsc::channel::<Option<Bytes>>(PIECES);
    let reading = tokio::task::spawn_blocking(move || {
        let next = move || match pieces.blocking_recv() {
            Some(piece) => Ok(piece),
            None => Err(io::Error::other("the agent broke off")),
        };
        Tree::read(BufReader::new(Pieces::new(next)))
    });
    let sent = async {
        loop {
            let piece = stream.next().await?;
            let last = piece.is_none();
            // A reader that has seen enough has gone.
            if to.send(piece).await.is_err() || last {
                return Ok::<_, CallError>(());
            }
        }
    }
    .await;
    drop(to);
    sent.map_err(text)?;
    let tree = reading.await.map_err(|error| error.to_string())?;
    tree.map_err(|error| error.to_string())
}

/// Reads the beginning of a part of an archive.
pub(super) async fn part(client: Client, (stream, archive, part): (StreamId, ArchiveId, Excerpt), news: News) {
    let why = pass_part(&client, (stream, archive, part), &news).await;
    let why = why.err().map(|error| error.to_string());
    let _ = news.send(Inbound::LogEnd { stream, why }).await;
}

async fn pass_part(
    client: &Client,
    (stream, archive, part): (StreamId, ArchiveId, Excerpt),
    news: &News,
) -> Result<(), CallError> {
    let mut left = PART_MAX;
    let mut bytes: Logs = client.fetch(archive, part).await?;
    while let Some(mut piece) = bytes.next().await? {
        piece.truncate(left);
        left -= piece.len();
        if news.send(Inbound::Log { stream, bytes: piece }).await.is_err() || left == 0 {
            break;
        }
    }
    Ok(())
}

/// Does a task, until `stop` comes.
pub(super) async fn work(client: Client, (job, task): (JobId, Task), stop: CancellationToken, news: News) {
    let outcome = match task {
        Task::Verify(archives) => verify(&client, (job, &archives), &stop, &news).await,
        Task::Restore { archive, to } => restore(&client, (job, &archive, &to), &stop, &news).await,
        Task::Export { room, to } => export(&client, (job, &room, &to), &stop, &news).await,
    };
    let _ = news.send(Inbound::Done { job, outcome }).await;
}

/// Makes an archive's work files of this host.
async fn restore(
    client: &Client,
    (job, archive, to): (JobId, &Kept, &Path),
    stop: &CancellationToken,
    news: &News,
) -> Outcome {
    let tell = |pace: restore::Pace| {
        let report = ProgressReport {
            done: whole(pace.bytes),
            failed: 0,
            total: pace.total.map_or(0, whole),
            text: pace.words(),
        };
        // A report that finds no room is followed by a newer one.
        let _ = news.try_send(Inbound::Progress { job, report });
    };
    match restore::into_dir(client, (&archive.id, to), stop, tell).await {
        Ok(Some(done)) => {
            remarks(&format!("restore {}", archive.seat), &done.notices, news).await;
            Outcome::done(restore::summary(&done, &archive.id, to))
        }
        Ok(None) => Outcome::done(format!(
            "Restoring {} was cancelled; nothing of it is left",
            archive.seat
        )),
        Err(problem) => Fault::new(FaultCode::Store, problem.text).into(),
    }
}

/// Makes the work of a room's students files of this host.
async fn export(
    client: &Client,
    (job, room, to): (JobId, &RoomName, &Path),
    stop: &CancellationToken,
    news: &News,
) -> Outcome {
    let mut notices = Vec::new();
    let done = export::into_dir(client, (room, to), stop, |told| match told {
        Told::Pace(report) => drop(news.try_send(Inbound::Progress { job, report })),
        Told::Remark(text) => notices.push(text),
        Told::Taken(..) => {}
    })
    .await;
    remarks(&format!("export {room}"), &notices, news).await;
    match done {
        Ok(done) if stop.is_cancelled() && done.students == 0 => {
            Outcome::done(format!("Exporting {room} was cancelled; nothing was made"))
        }
        Ok(done) if stop.is_cancelled() => {
            Outcome::done(format!("Exporting was cancelled: {}", export::summary(&done, room, to)))
        }
        Ok(done) if done.failed == 0 => Outcome::done(export::summary(&done, room, to)),
        Ok(done) => Fault::new(
            FaultCode::Store,
            format!("{}; the notices (n) name the rest", export::summary(&done, room, to)),
        )
        .into(),
        Err(problem) => Fault::new(FaultCode::Store, problem.text).into(),
    }
}

fn whole(bytes: u64) -> usize {
    usize::try_from(bytes).unwrap_or(usize::MAX)
}

/// What is not as it was.
async fn remarks(title: &str, notices: &[String], news: &News) {
    let over = notices.len().saturating_sub(REMARKS);
    let more = (over > 0).then(|| format!("and {over} more remarks"));
    for text in notices.iter().take(REMARKS).cloned().chain(more) {
        let notice = Notice::warning(format!("{title}: {text}"));
        let _ = news.send(Inbound::Notice(notice)).await;
    }
}

/// Reads archives back, one after the other: the agent itself allows only a few transfers at once.
async fn verify(client: &Client, (job, archives): (JobId, &[Kept]), stop: &CancellationToken, news: &News) -> Outcome {
    let (mut good, mut bad, total) = (0, Vec::new(), archives.len());
    for archive in archives {
        let report = ProgressReport {
            done: good + bad.len(),
            failed: bad.len(),
            total,
            text: archive.seat.to_string(),
        };
        if total > 1 {
            let _ = news.try_send(Inbound::Progress { job, report });
        }
        let query = Query::VerifyArchive { id: archive.id.clone() };
        let answer = tokio::select! {
            biased;
            () = stop.cancelled() => return called_off(good + bad.len(), total),
            answer = client.ask(query) => answer,
        };
        match looked(answer) {
            Ok(()) => {
                good += 1;
                tell_checked(archive, true, news).await;
            }
            Err(fault) => {
                if fault.code == FaultCode::Mismatch {
                    tell_checked(archive, false, news).await;
                }
                bad.push((archive, fault));
            }
        }
    }
    verdict(good, bad, archives)
}

async fn tell_checked(archive: &Kept, good: bool, news: &News) {
    let archive = archive.id.clone();
    let _ = news.send(Inbound::Checked { archive, good }).await;
}

fn looked(answer: Result<Answer, CallError>) -> Result<(), Fault> {
    match answer {
        Ok(Answer::Verified { .. }) => Ok(()),
        Ok(answer) => Err(other(answer)),
        Err(error) => Err(Fault::new(FaultCode::Unknown, error.to_string())),
    }
}

fn called_off(looked: usize, total: usize) -> Outcome {
    Outcome::done(format!(
        "Verifying was cancelled: {looked} of {total} looked at; the agent still ends the one that it reads"
    ))
}

fn verdict(good: usize, mut bad: Vec<(&Kept, Fault)>, archives: &[Kept]) -> Outcome {
    let total = archives.len();
    let word = |fault: &Fault| match fault.code {
        FaultCode::Mismatch => "DAMAGED",
        _ => "unread",
    };
    match (bad.len(), archives) {
        (0, [one]) => Outcome::done(format!("Archive {} of {} is as it was sent", one.id, one.seat)),
        (0, _) => Outcome::done(format!("{good} of {total} archives are as they were sent")),
        (1, [_]) => {
            let (_, fault) = bad.remove(0);
            Fault::new(fault.code, format!("{}: {fault}", word(&fault))).into()
        }
        (count, _) => {
            let named = bad
                .iter()
                .map(|(archive, fault)| format!("{} {}", archive.seat, word(fault)));
            let named: Vec<String> = named.take(REMARKS).collect();
            let text = format!(
                "{count} of {total} archives are not as they were sent: {}",
                named.join(", ")
            );
            Fault::new(FaultCode::Mismatch, text).into()
        }
    }
}
