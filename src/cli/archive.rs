//! `labtop archive verify` and `show`: whether archives are as they were sent, and what is in them.

use super::args::{ShowArgs, VerifyArgs};
use super::exit::{Exit, Problem, complain, print};
use super::table::{self, Align, bytes};
use super::{clean, list, logs};
use crate::domain::command::{Answer, ArchiveRow, Excerpt, Query};
use crate::domain::fault::FaultCode;
use crate::pack::entry::shown;
use crate::pack::manifest::{Line, Reader};
use crate::wire::client::Client;

/// `labtop archive verify`.
///
/// # Errors
/// When the agent does not answer, or there is no such archive.
pub async fn verify(client: &Client, args: VerifyArgs) -> Result<Exit, Problem> {
    let rows = chosen(client, &args).await?;
    let (mut good, mut bad) = (0, 0);
    for row in &rows {
        match client.ask(Query::VerifyArchive { id: row.id.clone() }).await? {
            Answer::Verified { .. } => good += 1,
            Answer::Failed { fault } => {
                bad += 1;
                let word = if fault.code == FaultCode::Mismatch {
                    "DAMAGED"
                } else {
                    "unread"
                };
                complain(&format!("{word}: {}/{}: {fault}", row.room, row.student));
            }
            Answer::Refused { refusal } => return Err(refusal.into()),
            _ => return Err(list::odd_answer()),
        }
    }
    print(&format!("{good} of {} archives are as they were sent\n", rows.len()))?;
    Ok(match (good, bad) {
        (_, 0) => Exit::Done,
        (0, _) => Exit::Failed,
        _ => Exit::Partly,
    })
}

async fn chosen(client: &Client, args: &VerifyArgs) -> Result<Vec<ArchiveRow>, Problem> {
    let query = Query::Archives {
        room: args.room.clone(),
    };
    let Answer::Archives { mut rows } = list::ask(client, query).await? else {
        return Err(list::odd_answer());
    };
    if let Some(id) = &args.id {
        rows.retain(|row| row.id == *id);
        if rows.is_empty() {
            let text = format!("there is no archive {id}; `labtop archive ls` lists them");
            return Err(Problem::new(Exit::Failed, text));
        }
    }
    Ok(rows)
}

/// `labtop archive show`.
///
/// # Errors
/// When the agent does not answer, or there is no such archive or file.
pub async fn show(client: &Client, args: ShowArgs) -> Result<Exit, Problem> {
    let wanted = match (args.path, args.log) {
        (Some(path), _) => Excerpt::File { path },
        (None, true) => Excerpt::Log,
        (None, false) => return tree(client, args.id).await,
    };
    logs::copy(client.fetch(args.id, wanted).await?).await
}

async fn tree(client: &Client, id: crate::domain::ids::ArchiveId) -> Result<Exit, Problem> {
    let mut stream = client.fetch(id, Excerpt::Manifest).await?;
    let mut manifest = Vec::new();
    while let Some(piece) = stream.next().await? {
        manifest.extend_from_slice(&piece);
    }
    let mut reader = Reader::new(manifest.as_slice())?;
    let columns = [
        ("MODE", Align::Left),
        ("SIZE", Align::Right),
        ("TYPE", Align::Left),
        ("PATH", Align::Left),
    ];
    let mut rows = Vec::new();
    while let Some(line) = reader.next_line()? {
        rows.push(row(&line));
    }
    print(&table::render(&columns, &rows))?;
    Ok(Exit::Done)
}

fn row(line: &Line) -> Vec<String> {
    let mut path = clean::visible(&shown(&line.path_bytes()));
    if let Some(link) = &line.link {
        path = format!("{path} -> {}", clean::visible(link));
    }
    if line.torn {
        path.push_str("  (changed while it was read)");
    }
    if let Some(why) = &line.left_out {
        path = format!("{path}  (not stored: {})", clean::visible(why));
    }
    vec![
        line.mode.clone(),
        bytes(line.size),
        line.kind.clone().unwrap_or_default(),
        path,
    ]
}
