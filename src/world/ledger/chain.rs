//! The audit trail's chain: every record bears a digest of itself and of the record before, so that none can be changed,
//! taken out or put in between without all later ones being wrong.
//!
//! Knows: rows of the trail. Must not know: what they are about. Whoever may write the file can write a new chain too:
//! against that helps a head that was noted elsewhere.

use rusqlite::{Connection, OptionalExtension, params};
use sha2::{Digest, Sha256};

use super::AuditRow;
use super::apply::number;
use super::rows;
use crate::domain::command::AuditChain;
use crate::domain::hex::hex;
use crate::domain::record::AuditEntry;

/// Stands before the first record.
const BEGINNING: &str = "";

/// The digest of a record, hexadecimal: SHA-256 over the hash before it, its place and its fields, each preceded by its
/// length so that no two records read alike.
fn digest(before: &str, seq: u64, entry: &AuditEntry) -> String {
    let mut hash = Sha256::new();
    let mut field = |bytes: &[u8]| {
        hash.update((bytes.len() as u64).to_le_bytes());
        hash.update(bytes);
    };
    field(before.as_bytes());
    field(&seq.to_le_bytes());
    field(&entry.unix_ms.to_le_bytes());
    field(&entry.uid.to_le_bytes());
    field(entry.user.as_bytes());
    // An absent origin and an empty one differ.
    field(&[u8::from(entry.origin.is_some())]);
    for text in [
        entry.origin.as_deref().unwrap_or_default(),
        &entry.verb,
        &entry.target,
        &entry.outcome,
    ] {
        field(text.as_bytes());
    }
    hex(&hash.finalize())
}

/// Adds a record at the end.
pub(super) fn add(db: &Connection, entry: &AuditEntry) -> rusqlite::Result<()> {
    let unix_ms = number(entry.unix_ms)?;
    let mut last = db.prepare_cached("SELECT seq, hash FROM audit ORDER BY seq DESC LIMIT 1")?;
    let last: Option<(i64, String)> = last.query_row([], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
    let (before, seq) = last.map_or((BEGINNING.to_owned(), 1), |(seq, hash)| (hash, seq + 1));
    let hash = digest(&before, seq.unsigned_abs(), entry);
    let mut insert = db.prepare_cached(
        "INSERT INTO audit (seq, unix_ms, uid, user, origin, verb, target, outcome, hash)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
    )?;
    insert.execute(params![
        seq,
        unix_ms,
        entry.uid,
        entry.user,
        entry.origin,
        entry.verb,
        entry.target,
        entry.outcome,
        hash,
    ])?;
    Ok(())
}

/// Chains the records of a form of the ledger that had no chain.
pub(super) fn begin(db: &Connection) -> rusqlite::Result<()> {
    let mut before = BEGINNING.to_owned();
    for row in rows::audit(db, None, 0, usize::MAX)? {
        before = digest(&before, row.seq, &row.entry);
        db.execute(
            "UPDATE audit SET hash = ?2 WHERE seq = ?1",
            params![number(row.seq)?, before],
        )?;
    }
    Ok(())
}

/// Reads the whole trail and says whether it is as it was written.
pub(super) fn check(db: &Connection) -> rusqlite::Result<AuditChain> {
    let mut chain = AuditChain {
        records: 0,
        head: BEGINNING.to_owned(),
        broken_at: None,
    };
    rows::each_audit(db, |row: AuditRow| {
        chain.records += 1;
        let whole = row.seq == chain.records && row.hash == digest(&chain.head, row.seq, &row.entry);
        if !whole && chain.broken_at.is_none() {
            chain.broken_at = Some(chain.records);
        }
        chain.head = row.hash;
    })?;
    Ok(chain)
}

#[cfg(test)]
mod tests {
    use super::super::schema;
    use super::*;

    fn entry(n: u64) -> AuditEntry {
        AuditEntry {
            unix_ms: n,
            uid: 7,
            user: "ann".into(),
            origin: n.is_multiple_of(2).then(|| "192.0.2.1".into()),
            verb: "room open".into(),
            target: format!("r{n}"),
            outcome: "accepted".into(),
        }
    }

    /// A trail of four records, with the locks that stand in the way of changes taken off.
    fn trail() -> (tempfile::TempDir, Connection) {
        let dir = tempfile::tempdir().unwrap();
        let db = schema::open(&dir.path().join("ledger.db")).unwrap();
        for n in 1..=4 {
            add(&db, &entry(n)).unwrap();
        }
        (dir, db)
    }

    fn after(change: &str) -> Option<u64> {
        let (_dir, db) = trail();
        let locks = "DROP TRIGGER audit_is_kept; DROP TRIGGER audit_stands;";
        db.execute_batch(&format!("{locks} {change}")).unwrap();
        check(&db).unwrap().broken_at
    }

    #[test]
    fn every_change_of_the_trail_shows() {
        let (_dir, db) = trail();
        let chain = check(&db).unwrap();
        assert_eq!((chain.records, chain.broken_at, chain.head.len()), (4, None, 64));
        for (change, broken_at) in [
            ("UPDATE audit SET target = 'other' WHERE seq = 2", Some(2)),
            ("UPDATE audit SET user = 'eve' WHERE seq = 1", Some(1)),
            ("UPDATE audit SET origin = '' WHERE seq = 3", Some(3)),
            ("UPDATE audit SET unix_ms = 9 WHERE seq = 4", Some(4)),
            ("DELETE FROM audit WHERE seq = 2", Some(2)),
            ("DELETE FROM audit WHERE seq = 1", Some(1)),
            ("UPDATE audit SET seq = seq + 10 WHERE seq = 4", Some(4)),
            ("UPDATE audit SET hash = 'x' WHERE seq = 3", Some(3)),
            (
                "INSERT INTO audit SELECT 5, unix_ms, uid, user, verb, target, outcome, origin, hash FROM audit WHERE seq = 4",
                Some(5),
            ),
        ] {
            assert_eq!(after(change), broken_at, "{change}");
        }
    }

    #[test]
    fn nothing_can_be_changed_by_accident() {
        let (_dir, db) = trail();
        for change in ["UPDATE audit SET user = 'eve'", "DELETE FROM audit WHERE seq = 4"] {
            let error = db.execute(change, []).unwrap_err().to_string();
            assert!(error.contains("only added to"), "{error}");
        }
        assert_eq!(check(&db).unwrap().broken_at, None);
    }

    #[test]
    fn fields_that_flow_together_differ() {
        let with = |verb: &str, target: &str| AuditEntry {
            verb: verb.into(),
            target: target.into(),
            ..entry(1)
        };
        assert_ne!(digest("", 1, &with("ab", "c")), digest("", 1, &with("a", "bc")));
        assert_ne!(digest("", 1, &entry(1)), digest("", 2, &entry(1)));
    }
}
