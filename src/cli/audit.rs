//! `labtop audit`: who did what, when, and whether the trail of it is whole.

use std::io;

use serde::Serialize;

use super::args::AuditArgs;
use super::exit::{Exit, Problem, print};
use super::list::{self, ask, odd_answer};
use super::table::{self, Align};
use crate::domain::command::{Answer, AuditChain, AuditRow, Query};
use crate::wire::client::Client;

/// One record in `audit --json`: a stable contract with scripts.
#[derive(Debug, Serialize)]
struct AuditJson<'a> {
    seq: u64,
    time: &'a str,
    uid: u32,
    user: &'a str,
    origin: Option<&'a str>,
    verb: &'a str,
    target: &'a str,
    outcome: &'a str,
    hash: &'a str,
}

/// `labtop audit`.
///
/// # Errors
/// When the agent does not answer, or the output cannot be written.
pub async fn audit(client: &Client, args: AuditArgs) -> Result<Exit, Problem> {
    if args.verify {
        return verify(client, args.json).await;
    }
    let rows = all(client, &args).await?;
    if args.json {
        print(&json(&rows)?)?;
    } else {
        print(&table(&rows))?;
    }
    Ok(Exit::Done)
}

/// The trail piece by piece, as the agent answers it.
async fn all(client: &Client, args: &AuditArgs) -> Result<Vec<AuditRow>, Problem> {
    let (mut all, mut after) = (Vec::new(), 0);
    loop {
        let room = args.room.clone();
        let Answer::Audit { rows, next } = ask(client, Query::Audit { room, after }).await? else {
            return Err(odd_answer());
        };
        all.extend(rows);
        match next {
            Some(next) => after = next,
            None => return Ok(all),
        }
    }
}

async fn verify(client: &Client, as_json: bool) -> Result<Exit, Problem> {
    let Answer::AuditChain { chain } = ask(client, Query::VerifyAudit).await? else {
        return Err(odd_answer());
    };
    if as_json {
        print(&list::json(&chain)?)?;
    } else if chain.broken_at.is_none() {
        print(&whole(&chain))?;
    }
    match chain.broken_at {
        None => Ok(Exit::Done),
        Some(at) => Err(Problem::new(
            Exit::Failed,
            format!(
                "record {at} of the audit trail is not as it was written, or was taken out; those before it are as they \
                 were. Compare with a copy of the ledger (`labtop ledger backup`)"
            ),
        )),
    }
}

fn whole(chain: &AuditChain) -> String {
    match chain.records {
        0 => "the audit trail is empty\n".to_owned(),
        records => format!(
            "{records} records are as they were written; the last one's hash, which stands for all of them: {}\n",
            chain.head
        ),
    }
}

fn json(rows: &[AuditRow]) -> io::Result<String> {
    let rows: Vec<_> = rows
        .iter()
        .map(|row| AuditJson {
            seq: row.seq,
            time: &row.time,
            uid: row.uid,
            user: &row.user,
            origin: row.origin.as_deref(),
            verb: &row.verb,
            target: &row.target,
            outcome: &row.outcome,
            hash: &row.hash,
        })
        .collect();
    list::json(&rows)
}

fn table(rows: &[AuditRow]) -> String {
    let columns = [
        ("SEQ", Align::Right),
        ("TIME", Align::Left),
        ("USER", Align::Left),
        ("FROM", Align::Left),
        ("VERB", Align::Left),
        ("TARGET", Align::Left),
        ("OUTCOME", Align::Left),
    ];
    let cells = |row: &AuditRow| {
        vec![
            row.seq.to_string(),
            row.time.clone(),
            row.user.clone(),
            row.origin.clone().unwrap_or_default(),
            row.verb.clone(),
            row.target.clone(),
            row.outcome.clone(),
        ]
    };
    table::render(&columns, &rows.iter().map(cells).collect::<Vec<_>>())
}
