//! `labtop archive export`: the work of a whole room for whoever marks it, one folder a student. The board does the same.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

use tokio_util::sync::CancellationToken;

use super::args::ExportArgs;
use super::clean::visible;
use super::exit::{Exit, Problem, complain, print};
use super::list;
use super::progress::Progress;
use super::restore::{Place, make_files};
use super::table::{self, Align, bytes};
use crate::domain::command::{Answer, ArchiveRow, Excerpt, ProgressReport, Query};
use crate::domain::ids::{RoomName, StudentId};
use crate::pack::rules::Part;
use crate::pack::unpack::{Owners, Unpacked};
use crate::wire::client::Client;

/// What an export tells while it goes on.
#[derive(Debug)]
pub enum Told<'a> {
    /// How far it is, in students.
    Pace(ProgressReport),
    /// A student's work is there.
    Taken(&'a ArchiveRow, &'a Unpacked),
    /// What a marker should know.
    Remark(String),
}

/// What an export made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Exported {
    /// Students whose work was to be taken.
    pub students: usize,
    /// Those whose work is there.
    pub taken: usize,
    /// Those whose work could not be made; each was told of.
    pub failed: usize,
    /// Files that were made.
    pub files: u64,
    /// Bytes in them.
    pub bytes: u64,
}

/// `labtop archive export ROOM --out DIR`.
///
/// # Errors
/// When the agent does not answer, the room has no archives, or the directory cannot be made.
pub async fn room(client: &Client, args: ExportArgs) -> Result<Exit, Problem> {
    let mut table = Vec::new();
    let mut progress = Progress::on_stderr();
    let never = CancellationToken::new();
    let done = into_dir(client, (&args.room, &args.out), &never, |told| match told {
        Told::Pace(report) => progress.show(&report),
        Told::Taken(row, made) => table.push(line(row, made)),
        Told::Remark(text) => {
            progress.clear();
            complain(&visible(&text));
        }
    })
    .await?;
    progress.clear();
    print(&table::render(&COLUMNS, &table))?;
    print(&(summary(&done, &args.room, &args.out) + "\n"))?;
    Ok(match (done.taken, done.failed) {
        (_, 0) => Exit::Done,
        (0, _) => Exit::Failed,
        _ => Exit::Partly,
    })
}

/// Makes the newest work of each of a room's students files below a directory of this host, one directory a student.
/// When `stop` comes, what is under way leaves nothing; the students before it stay.
///
/// # Errors
/// When the agent does not answer, the room has no archives, or the directory cannot be made; nothing was made then.
pub async fn into_dir(
    client: &Client,
    (room, out): (&RoomName, &Path),
    stop: &CancellationToken,
    mut tell: impl FnMut(Told),
) -> Result<Exported, Problem> {
    let newest = tokio::select! {
        biased;
        () = stop.cancelled() => return Ok(Exported::default()),
        newest = newest(client, room, &mut tell) => newest?,
    };
    make_directory(out)?;
    let mut all = Exported {
        students: newest.len(),
        ..Exported::default()
    };
    for row in newest.values() {
        tell(Told::Pace(ProgressReport {
            done: all.taken,
            failed: all.failed,
            total: all.students,
            text: format!("taking out {}", row.student),
        }));
        match one(client, row, out, stop).await {
            Ok(Some(made)) => {
                all.taken += 1;
                all.files += made.files;
                all.bytes += made.bytes;
                remarks(row, &made, &mut tell);
                tell(Told::Taken(row, &made));
            }
            Ok(None) => break,
            Err(problem) if problem.exit == Exit::Refused => {
                // It holds nothing; whoever may not have the work is left nothing to take away.
                let _ = std::fs::remove_dir(out);
                return Err(problem);
            }
            Err(problem) => {
                all.failed += 1;
                tell(Told::Remark(format!("{}: {}", row.student, problem.text)));
            }
        }
    }
    Ok(all)
}

/// What was exported, in one line for people.
#[must_use]
pub fn summary(done: &Exported, room: &RoomName, out: &Path) -> String {
    format!(
        "{} of {} students of room {room}: {} files ({}) are in {}",
        done.taken,
        done.students,
        done.files,
        bytes(done.bytes),
        visible(&out.display().to_string())
    )
}

/// What was taken of a student.
const COLUMNS: [(&str, Align); 6] = [
    ("STUDENT", Align::Left),
    ("ARCHIVE", Align::Left),
    ("KIND", Align::Left),
    ("CREATED", Align::Left),
    ("FILES", Align::Right),
    ("SIZE", Align::Right),
];

fn line(row: &ArchiveRow, made: &Unpacked) -> Vec<String> {
    vec![
        row.student.to_string(),
        row.id.to_string(),
        row.kind.word().to_owned(),
        row.created.clone(),
        made.files.to_string(),
        bytes(made.bytes),
    ]
}

/// Each student's newest archive.
type Newest = BTreeMap<StudentId, ArchiveRow>;
/// The openings of the room that each student has archives of.
type Openings = BTreeMap<StudentId, BTreeSet<u64>>;

/// What is not known to be damaged.
async fn newest(client: &Client, room: &RoomName, tell: &mut impl FnMut(Told)) -> Result<Newest, Problem> {
    let query = Query::Archives {
        room: Some(room.clone()),
    };
    let Answer::Archives { rows } = list::ask(client, query).await? else {
        return Err(list::odd_answer());
    };
    let (mut newest, mut openings) = (Newest::new(), Openings::new());
    for row in rows {
        openings.entry(row.student.clone()).or_default().insert(row.session);
        if row.verified {
            newest.insert(row.student.clone(), row);
        } else {
            let text = format!("{}: archive {} is damaged and left out", row.student, row.id);
            tell(Told::Remark(text));
        }
    }
    if newest.is_empty() {
        let text = format!("room {room} has no archives; `labtop archive ls` lists all");
        return Err(Problem::new(Exit::Failed, text));
    }
    for (student, row) in &newest {
        let count = openings.get(student).map_or(0, BTreeSet::len);
        if count > 1 {
            tell(Told::Remark(format!(
                "{student}: has archives of {count} openings of room {room}; the newest, {} of {}, is taken",
                row.id, row.created
            )));
        }
    }
    Ok(newest)
}

/// Only whoever exports may look into it: it is other people's work.
fn make_directory(out: &Path) -> Result<(), Problem> {
    let place = visible(&out.display().to_string());
    let failed = |error: io::Error| Problem::new(Exit::Failed, format!("{place}: {error}"));
    match std::fs::DirBuilder::new().mode(0o700).create(out) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            if std::fs::read_dir(out).map_err(failed)?.next().is_some() {
                let text = format!("{place} is not empty; name a directory that is not there yet");
                return Err(Problem::new(Exit::Failed, text));
            }
            Ok(())
        }
        Err(error) => Err(failed(error)),
    }
}

async fn one(
    client: &Client,
    row: &ArchiveRow,
    out: &Path,
    stop: &CancellationToken,
) -> Result<Option<Unpacked>, Problem> {
    let stream = tokio::select! {
        biased;
        () = stop.cancelled() => return Ok(None),
        stream = client.fetch(row.id.clone(), Excerpt::Export) => stream?,
    };
    let target = out.join(row.student.as_str());
    // Whoever marks reads them: they are theirs, and lend nobody's rights.
    let place = Place {
        from: Part::Workspace.root().as_bytes(),
        target,
        owners: Owners::Reader,
    };
    make_files(stream, place, stop, None, |_| {}).await
}

fn remarks(row: &ArchiveRow, made: &Unpacked, tell: &mut impl FnMut(Told)) {
    let mut remark = |text: String| tell(Told::Remark(format!("{}: {text}", row.student)));
    for notice in &made.notices {
        remark(notice.clone());
    }
    if made.files == 0 {
        remark(format!("archive {} holds no file", row.id));
    }
    if row.torn > 0 {
        remark(format!("{} files changed while they were read", row.torn));
    }
}
