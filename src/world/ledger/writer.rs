//! The one thread that writes. It takes everything that waits and commits it together, because a commit waits for the
//! disk and thirty seats write at once; each write is a savepoint of its own, so that a bad one fails alone.

use std::path::{Path, PathBuf};

use rusqlite::{Connection, TransactionBehavior};
use tokio::sync::{mpsc, oneshot};

use super::apply::apply_all;
use super::trouble::ledger_fault;
use crate::domain::fault::Fault;
use crate::domain::record::Change;

/// Writes that share one commit: more would make the first wait for the last.
const GROUP_MAX: usize = 256;

/// A write that waits, and who waits for it.
#[derive(Debug)]
pub(super) struct Pending {
    pub(super) changes: Vec<Change>,
    pub(super) reply: oneshot::Sender<Result<(), Fault>>,
}

/// Serves writes until every sender is gone and the queue is empty.
pub(super) fn serve(mut db: Connection, path: PathBuf, mut queue: mpsc::Receiver<Pending>) {
    while let Some(first) = queue.blocking_recv() {
        let mut group = vec![first];
        while group.len() < GROUP_MAX
            && let Ok(next) = queue.try_recv()
        {
            group.push(next);
        }
        commit(&mut db, &path, group);
    }
}

fn commit(db: &mut Connection, path: &Path, group: Vec<Pending>) {
    let writes: Vec<&[Change]> = group.iter().map(|pending| pending.changes.as_slice()).collect();
    let results = write_all(db, &writes);
    for (pending, result) in group.into_iter().zip(results) {
        let result = result.map_err(|error| ledger_fault(path, "write", &error));
        // Who asked may have gone; the write stands all the same.
        let _ = pending.reply.send(result);
    }
}

/// The result of each write. When the group is lost as a whole (a full disk takes the transaction with it), every
/// write is tried by itself: a small one may still find room, and one that cannot is not its neighbours' fault.
fn write_all(db: &mut Connection, writes: &[&[Change]]) -> Vec<rusqlite::Result<()>> {
    match together(db, writes) {
        Ok(results) => results,
        Err(error) if writes.len() == 1 => vec![Err(error)],
        Err(error) => {
            tracing::debug!(%error, writes = writes.len(), "a group of writes was lost; writing one by one");
            writes.iter().map(|changes| alone(db, changes)).collect()
        }
    }
}

fn alone(db: &mut Connection, changes: &[Change]) -> rusqlite::Result<()> {
    let tx = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
    apply_all(&tx, changes)?;
    tx.commit()
}

/// All writes in one transaction; the error is that of the transaction, in which case nothing was written.
fn together(db: &mut Connection, writes: &[&[Change]]) -> rusqlite::Result<Vec<rusqlite::Result<()>>> {
    let mut tx = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let mut results = Vec::with_capacity(writes.len());
    for changes in writes {
        let point = tx.savepoint()?;
        let result = apply_all(&point, changes);
        if result.is_ok() {
            point.commit()?;
        } else {
            drop(point);
        }
        // SQLite may give up the whole transaction on an error; going on would write outside of it.
        if tx.is_autocommit() {
            result?;
        } else {
            results.push(result);
        }
    }
    tx.commit()?;
    Ok(results)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::record::AuditEntry;
    use crate::world::ledger::{rows, schema};

    fn line(verb: &str) -> Vec<Change> {
        vec![Change::Audit(AuditEntry {
            unix_ms: 1,
            uid: 0,
            user: "root".into(),
            origin: None,
            verb: verb.into(),
            target: "a".into(),
            outcome: "done".into(),
        })]
    }

    fn verbs(db: &Connection) -> Vec<String> {
        rows::audit(db, None, 0, usize::MAX)
            .unwrap()
            .into_iter()
            .map(|row| row.entry.verb)
            .collect()
    }

    #[test]
    fn a_bad_write_fails_alone_and_wholly() {
        let dir = tempfile::tempdir().unwrap();
        let mut db = schema::open(&dir.path().join("ledger.db")).unwrap();
        let mut bad = line("half");
        let Change::Audit(entry) = &bad[0] else { unreachable!() };
        bad.push(Change::Audit(AuditEntry {
            unix_ms: u64::MAX,
            ..entry.clone()
        }));
        let results = write_all(&mut db, &[&line("first"), &bad, &line("last")]);
        let fine: Vec<bool> = results.iter().map(Result::is_ok).collect();
        assert_eq!(fine, [true, false, true]);
        assert_eq!(verbs(&db), ["first", "last"]);
    }

    #[test]
    fn a_full_file_fails_the_big_write_and_no_other() {
        let dir = tempfile::tempdir().unwrap();
        let mut db = schema::open(&dir.path().join("ledger.db")).unwrap();
        let pages: i64 = db.pragma_query_value(None, "page_count", |row| row.get(0)).unwrap();
        let _: i64 = db
            .pragma_update_and_check(None, "max_page_count", pages + 2, |row| row.get(0))
            .unwrap();
        let big = line(&"x".repeat(100_000));
        let results = write_all(&mut db, &[&line("first"), &big, &line("last")]);
        let fine: Vec<bool> = results.iter().map(Result::is_ok).collect();
        assert_eq!(fine, [true, false, true], "{results:?}");
        assert_eq!(verbs(&db), ["first", "last"]);
        let _: i64 = db
            .pragma_update_and_check(None, "max_page_count", 1_000_000, |row| row.get(0))
            .unwrap();
        assert!(write_all(&mut db, &[&big])[0].is_ok());
    }
}
