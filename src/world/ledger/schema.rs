//! The ledger's file: how it is made, brought to the newest form, and refused.
//!
//! Knows: tables and pragmas. Must not know: what the rows mean to anybody.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, TransactionBehavior};

use super::chain;
use super::trouble::{self, ledger_fault};
use crate::domain::fault::Fault;
use crate::domain::ids::InstanceId;

/// How long to wait for another process that holds the file (a backup, somebody's `sqlite3`) before giving up.
const BUSY_WAIT: Duration = Duration::from_secs(5);

/// Every form that the ledger has had, each step in SQL. The position (from 1) is the schema's version: a step that
/// has been released is never edited, new ones are added at the end.
const MIGRATIONS: &[&str] = &[
    "
    CREATE TABLE meta (
        only_row INTEGER PRIMARY KEY CHECK (only_row = 1),
        instance TEXT NOT NULL,
        engine TEXT
    ) STRICT;
    CREATE TABLE rooms (
        name TEXT PRIMARY KEY,
        session INTEGER NOT NULL,
        template TEXT NOT NULL,
        exam INTEGER NOT NULL,
        wanted TEXT NOT NULL,
        ended INTEGER NOT NULL,
        opened_unix_ms INTEGER NOT NULL,
        opened_by TEXT NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE seats (
        room TEXT NOT NULL REFERENCES rooms (name),
        student TEXT NOT NULL,
        session INTEGER NOT NULL,
        wanted TEXT NOT NULL,
        route TEXT NOT NULL,
        deadline_unix_ms INTEGER NOT NULL,
        discard_by TEXT,
        epoch INTEGER NOT NULL,
        stillness TEXT,
        archive TEXT,
        container_removed INTEGER NOT NULL,
        made INTEGER NOT NULL,
        PRIMARY KEY (room, student)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE archives (
        id TEXT PRIMARY KEY,
        room TEXT NOT NULL,
        student TEXT NOT NULL,
        session INTEGER NOT NULL,
        epoch INTEGER NOT NULL,
        key TEXT NOT NULL,
        bytes INTEGER NOT NULL,
        digest TEXT NOT NULL,
        content_bytes INTEGER NOT NULL,
        content_digest TEXT NOT NULL,
        created_unix_ms INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX archives_by_seat ON archives (room, student);
    CREATE TABLE audit (
        seq INTEGER PRIMARY KEY,
        unix_ms INTEGER NOT NULL,
        uid INTEGER NOT NULL,
        user TEXT NOT NULL,
        verb TEXT NOT NULL,
        target TEXT NOT NULL,
        outcome TEXT NOT NULL
    ) STRICT;
",
    "
    ALTER TABLE archives ADD COLUMN extent TEXT;
    ALTER TABLE archives ADD COLUMN verify TEXT NOT NULL DEFAULT 'full';
    ALTER TABLE archives ADD COLUMN verified INTEGER NOT NULL DEFAULT 1;
    ALTER TABLE archives ADD COLUMN checked_unix_ms INTEGER;
",
    "
    ALTER TABLE seats ADD COLUMN restore TEXT;
",
    AUDIT_CHAIN,
    "
    ALTER TABLE seats ADD COLUMN held INTEGER NOT NULL DEFAULT 0;
",
    "
    CREATE TABLE leases (
        name TEXT PRIMARY KEY,
        token TEXT NOT NULL,
        ends_unix_ms INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
",
    "
    ALTER TABLE rooms ADD COLUMN minutes INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE rooms ADD COLUMN on_demand INTEGER NOT NULL DEFAULT 0;
    CREATE TABLE students (
        id TEXT PRIMARY KEY,
        name TEXT,
        email TEXT,
        code TEXT,
        code_unix_ms INTEGER
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE rosters (
        room TEXT NOT NULL,
        student TEXT NOT NULL REFERENCES students (id),
        minutes INTEGER,
        PRIMARY KEY (room, student)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE sessions (
        id TEXT PRIMARY KEY,
        room TEXT NOT NULL,
        student TEXT NOT NULL,
        opening INTEGER NOT NULL,
        began_unix_ms INTEGER NOT NULL,
        ends_unix_ms INTEGER NOT NULL,
        address TEXT NOT NULL,
        onlooker TEXT
    ) STRICT, WITHOUT ROWID;
    CREATE UNIQUE INDEX sessions_one_each ON sessions (student) WHERE onlooker IS NULL;
    CREATE TABLE strikes (
        name TEXT PRIMARY KEY,
        count INTEGER NOT NULL,
        ends_unix_ms INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
",
];

/// The step that begins the audit trail's chain, and locks it against changes.
const AUDIT_CHAIN: &str = "
    ALTER TABLE audit ADD COLUMN origin TEXT;
    ALTER TABLE audit ADD COLUMN hash TEXT;
    CREATE INDEX audit_by_target ON audit (target);
    CREATE TRIGGER audit_is_kept BEFORE DELETE ON audit
        BEGIN SELECT RAISE(ABORT, 'the audit trail is only added to'); END;
    CREATE TRIGGER audit_stands BEFORE UPDATE ON audit WHEN old.hash IS NOT NULL
        BEGIN SELECT RAISE(ABORT, 'the audit trail is only added to'); END;
";

/// Opens the ledger for writing, making or migrating it as needed.
pub(super) fn open(path: &Path) -> Result<Connection, Fault> {
    make_file(path).map_err(|error| trouble::of_file(path, &error))?;
    let mut db = connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    prepare(&db).map_err(|error| ledger_fault(path, "open", &error))?;
    migrate(&mut db, path)?;
    check(&db, path)?;
    Ok(db)
}

/// Opens a second connection that only reads.
pub(super) fn open_reader(path: &Path) -> Result<Connection, Fault> {
    connect(path, OpenFlags::SQLITE_OPEN_READ_ONLY)
}

fn connect(path: &Path, mode: OpenFlags) -> Result<Connection, Fault> {
    // NO_MUTEX: a connection is used by one thread at a time; its type says so.
    let open = || {
        let db = Connection::open_with_flags(path, mode | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
        db.busy_timeout(BUSY_WAIT)?;
        Ok(db)
    };
    open().map_err(|error| ledger_fault(path, "open", &error))
}

/// The file is made here, not by SQLite, so that it is never readable by others; its companions inherit the mode.
fn make_file(path: &Path) -> io::Result<()> {
    let parent = path
        .parent()
        .filter(|p| !p.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    DirBuilder::new().recursive(true).mode(0o700).create(parent)?;
    match OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
        Ok(file) => {
            file.sync_all()?;
            File::open(parent)?.sync_all()
        }
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => tighten(path),
        Err(error) => Err(error),
    }
}

/// Takes away what others may do with a ledger that somebody copied into place.
fn tighten(path: &Path) -> io::Result<()> {
    const OTHERS: u32 = 0o077;
    let mode = fs::metadata(path)?.permissions().mode();
    if mode & OTHERS == 0 {
        return Ok(());
    }
    fs::set_permissions(path, Permissions::from_mode(0o600))
}

/// FULL makes every commit wait for the disk: an acknowledged write survives a loss of power.
fn prepare(db: &Connection) -> rusqlite::Result<()> {
    db.pragma_update(None, "journal_mode", "WAL")?;
    db.pragma_update(None, "synchronous", "FULL")?;
    db.pragma_update(None, "foreign_keys", true)
}

fn migrate(db: &mut Connection, path: &Path) -> Result<(), Fault> {
    let failed = |error: rusqlite::Error| ledger_fault(path, "migrate", &error);
    let found = version(db).map_err(failed)?;
    let done = usize::try_from(found).unwrap_or(usize::MAX);
    if done > MIGRATIONS.len() {
        return Err(trouble::newer_schema(path, found, MIGRATIONS.len()));
    }
    for (step, sql) in (done + 1..).zip(&MIGRATIONS[done..]) {
        advance(db, sql, step).map_err(failed)?;
    }
    Ok(())
}

/// Which form a file has; 0 when none.
pub(super) fn version(db: &Connection) -> rusqlite::Result<i64> {
    db.pragma_query_value(None, "user_version", |row| row.get(0))
}

/// The newest form.
pub(super) fn newest() -> usize {
    MIGRATIONS.len()
}

/// Reads the whole file and says `ok`, or what is wrong with it, one finding a line.
pub(super) fn integrity(db: &Connection) -> rusqlite::Result<String> {
    let mut lines: Vec<String> = Vec::new();
    db.pragma_query(None, "integrity_check", |row| {
        lines.push(row.get(0)?);
        Ok(())
    })?;
    Ok(lines.join("\n"))
}

/// Writes everything as it is at this moment into another file, which must be empty.
pub(super) fn vacuum_into(db: &Connection, place: &Path) -> rusqlite::Result<()> {
    let name = place.to_string_lossy();
    db.execute("VACUUM INTO ?1", [name.as_ref()]).map(drop)
}

/// Takes everything into the file itself, so that its companions may be left behind.
pub(super) fn settle(db: &Connection) -> rusqlite::Result<()> {
    db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
}

/// One step, all or nothing. Another process may have taken it while this one waited for the file.
fn advance(db: &mut Connection, sql: &str, step: usize) -> rusqlite::Result<()> {
    let tx = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
    if usize::try_from(version(&tx)?).is_ok_and(|now| now >= step) {
        return Ok(());
    }
    tx.execute_batch(sql)?;
    if sql == AUDIT_CHAIN {
        chain::begin(&tx)?;
    }
    tx.pragma_update(None, "user_version", i64::try_from(step).unwrap_or(i64::MAX))?;
    tx.commit()
}

/// A damaged file is found now, not in the middle of an exam.
fn check(db: &Connection, path: &Path) -> Result<(), Fault> {
    let verdict: String = db
        .pragma_query_value(None, "quick_check", |row| row.get(0))
        .map_err(|error| ledger_fault(path, "check", &error))?;
    if verdict == "ok" {
        Ok(())
    } else {
        Err(trouble::damaged(path, &verdict))
    }
}

/// The identity of this ledger, given to it when it is first opened.
pub(super) fn instance(db: &Connection, path: &Path) -> Result<InstanceId, Fault> {
    let read = || -> rusqlite::Result<String> {
        db.execute(
            "INSERT OR IGNORE INTO meta (only_row, instance) VALUES (1, ?1)",
            [uuid::Uuid::new_v4().hyphenated().to_string()],
        )?;
        db.query_row("SELECT instance FROM meta", [], |row| row.get(0))
    };
    let text = read().map_err(|error| ledger_fault(path, "open", &error))?;
    text.parse()
        .map_err(|error| trouble::damaged(path, &format!("{error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scratch() -> (tempfile::TempDir, std::path::PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state").join("ledger.db");
        (dir, path)
    }

    #[test]
    fn nobody_else_may_read_the_file_or_its_companions() {
        let (_dir, path) = scratch();
        let db = open(&path).unwrap();
        instance(&db, &path).unwrap();
        let mode = |p: &Path| fs::metadata(p).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(path.parent().unwrap()), 0o700);
        for name in ["ledger.db", "ledger.db-wal", "ledger.db-shm"] {
            assert_eq!(mode(&path.with_file_name(name)), 0o600, "{name}");
        }
        drop(db);
        fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
        drop(open(&path).unwrap());
        assert_eq!(mode(&path), 0o600);
    }

    #[test]
    fn a_newer_schema_is_refused_and_left_as_it_is() {
        let (_dir, path) = scratch();
        let db = open(&path).unwrap();
        db.pragma_update(None, "user_version", 999).unwrap();
        drop(db);
        let text = open(&path).unwrap_err().to_string();
        assert!(
            text.contains("999") && text.contains(&MIGRATIONS.len().to_string()),
            "{text}"
        );
        assert_eq!(version(&open_reader(&path).unwrap()).unwrap(), 999);
    }

    #[test]
    fn a_step_that_fails_leaves_nothing_of_itself() {
        let (_dir, path) = scratch();
        let mut db = open(&path).unwrap();
        let before = version(&db).unwrap();
        let step = MIGRATIONS.len() + 1;
        assert!(advance(&mut db, "CREATE TABLE half (a); CREATE TABLE half (a);", step).is_err());
        assert_eq!(version(&db).unwrap(), before);
        assert!(db.prepare("SELECT * FROM half").is_err());
    }

    #[test]
    fn the_trail_of_an_older_form_is_chained() {
        let (_dir, path) = scratch();
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let old = Connection::open(&path).unwrap();
        old.execute_batch(MIGRATIONS[0]).unwrap();
        old.pragma_update(None, "user_version", 1).unwrap();
        for n in 1..=3 {
            let row =
                "INSERT INTO audit (unix_ms, uid, user, verb, target, outcome) VALUES (?1, 0, 'ann', 'v', 't', 'o')";
            old.execute(row, [n]).unwrap();
        }
        drop(old);
        let db = open(&path).unwrap();
        let found = chain::check(&db).unwrap();
        assert_eq!((found.records, found.broken_at), (3, None));
    }

    #[test]
    fn archives_of_an_older_form_are_still_listed() {
        let (_dir, path) = scratch();
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let old = Connection::open(&path).unwrap();
        old.execute_batch(MIGRATIONS[0]).unwrap();
        old.pragma_update(None, "user_version", 1).unwrap();
        let row = "INSERT INTO archives VALUES ('20261124T034512Z-0', 'a', 'an', 1, 1, 'k', 5, 'd', 6, 'c', 1000)";
        old.execute_batch(row).unwrap();
        drop(old);
        let db = open(&path).unwrap();
        let rows = crate::world::ledger::rows::archives(&db, None).unwrap();
        assert_eq!((rows[0].bytes, rows[0].verified, rows[0].entries), (5, true, 0));
        let id = "20261124T034512Z-0".parse().unwrap();
        assert_eq!(crate::world::ledger::rows::claim(&db, &id).unwrap().unwrap().epoch, 1);
    }

    #[test]
    fn commits_wait_for_the_disk() {
        let (_dir, path) = scratch();
        let db = open(&path).unwrap();
        let pragma = |name: &str| -> String {
            db.pragma_query_value(None, name, |row| row.get::<_, rusqlite::types::Value>(0))
                .map(|value| format!("{value:?}"))
                .unwrap()
        };
        assert_eq!(pragma("synchronous"), "Integer(2)");
        assert_eq!(pragma("foreign_keys"), "Integer(1)");
        assert_eq!(pragma("journal_mode"), "Text(\"wal\")");
    }
}
