//! `labtop archive export`: the work of a whole room for whoever marks it, one folder a student.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

use super::args::ExportArgs;
use super::clean::visible;
use super::exit::{Exit, Problem, complain, print};
use super::list;
use super::progress::Progress;
use super::restore::make_files;
use super::table::{self, Align, bytes};
use crate::domain::command::{Answer, ArchiveRow, Excerpt, ProgressReport, Query};
use crate::domain::ids::StudentId;
use crate::pack::rules::Part;
use crate::pack::unpack::{Owners, Unpacked};
use crate::wire::client::Client;

/// `labtop archive export ROOM --out DIR`.
///
/// # Errors
/// When the agent does not answer, the room has no archives, or the directory cannot be made.
pub async fn room(client: &Client, args: ExportArgs) -> Result<Exit, Problem> {
    let (newest, openings) = newest(client, &args).await?;
    make_directory(&args.out)?;
    for (student, row) in &newest {
        let count = openings.get(student).map_or(0, BTreeSet::len);
        if count > 1 {
            complain(&format!(
                "{student}: has archives of {count} openings of room {}; the newest, {} of {}, is taken",
                args.room, row.id, row.created
            ));
        }
    }
    let mut table = Vec::new();
    let mut progress = Progress::on_stderr();
    let (mut files, mut size, mut failed) = (0, 0, 0);
    for (done, row) in newest.values().enumerate() {
        progress.show(&ProgressReport {
            done: done - failed,
            failed,
            total: newest.len(),
            text: format!("taking out {}", row.student),
        });
        match one(client, row, &args.out).await {
            Ok(made) => {
                files += made.files;
                size += made.bytes;
                progress.clear();
                tell(row, &made);
                table.push(line(row, &made));
            }
            Err(problem) => {
                failed += 1;
                progress.clear();
                complain(&format!("{}: {}", row.student, visible(&problem.text)));
            }
        }
    }
    progress.clear();
    print(&table::render(&COLUMNS, &table))?;
    let out = visible(&args.out.display().to_string());
    let taken = newest.len() - failed;
    print(&format!(
        "{taken} of {} students of room {}: {files} files ({}) are in {out}\n",
        newest.len(),
        args.room,
        bytes(size)
    ))?;
    Ok(match (taken, failed) {
        (_, 0) => Exit::Done,
        (0, _) => Exit::Failed,
        _ => Exit::Partly,
    })
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
async fn newest(client: &Client, args: &ExportArgs) -> Result<(Newest, Openings), Problem> {
    let query = Query::Archives {
        room: Some(args.room.clone()),
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
            complain(&format!("{}: archive {} is damaged and left out", row.student, row.id));
        }
    }
    if newest.is_empty() {
        let text = format!("room {} has no archives; `labtop archive ls` lists all", args.room);
        return Err(Problem::new(Exit::Failed, text));
    }
    Ok((newest, openings))
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

async fn one(client: &Client, row: &ArchiveRow, out: &Path) -> Result<Unpacked, Problem> {
    let stream = client.fetch(row.id.clone(), Excerpt::Export).await?;
    let target = out.join(row.student.as_str());
    // Whoever marks reads them: they are theirs, and lend nobody's rights.
    make_files(stream, Part::Workspace.root().as_bytes(), target, Owners::Reader).await
}

fn tell(row: &ArchiveRow, made: &Unpacked) {
    for notice in &made.notices {
        complain(&format!("{}: {}", row.student, visible(notice)));
    }
    if made.files == 0 {
        complain(&format!("{}: archive {} holds no file", row.student, row.id));
    }
    if row.torn > 0 {
        complain(&format!(
            "{}: {} files changed while they were read",
            row.student, row.torn
        ));
    }
}
