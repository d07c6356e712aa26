//! What goes wrong with the ledger, in words: the file, the cause, the next step.

use std::io;
use std::path::Path;

use rusqlite::ErrorCode;

use crate::domain::fault::{Fault, FaultCode};

const RESTORE: &str = "Stop the agent, move the file and its -wal and -shm companions aside and put a backup in place, or \
     `labtop ledger rebuild` makes it again from the archives and what is on the engine";
const CLEAR: &str = "Free space there; nothing that was acknowledged is lost, and the write is tried again";

/// What SQLite said while it was to `verb` the ledger.
pub(super) fn ledger_fault(path: &Path, verb: &str, error: &rusqlite::Error) -> Fault {
    tracing::warn!(path = %path.display(), verb, %error, "ledger");
    let (cause, hint) = explain(error);
    Fault::new(
        FaultCode::Ledger,
        format!("could not {verb} the ledger {}: {cause}", path.display()),
    )
    .hint(hint)
}

fn explain(error: &rusqlite::Error) -> (String, &'static str) {
    let code = error.sqlite_error_code();
    let (cause, hint) = match code {
        Some(ErrorCode::DiskFull) => ("the disk is full", CLEAR),
        Some(ErrorCode::ReadOnly) => (
            "it cannot be written",
            "Check who owns it and whether its disk is mounted read-only",
        ),
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => (
            "another process holds it",
            "End whatever has it open (a backup, a sqlite3 shell); the write is tried again",
        ),
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => ("it is damaged or not a ledger", RESTORE),
        Some(ErrorCode::CannotOpen | ErrorCode::PermissionDenied) => (
            "it cannot be opened",
            "Check that the directory exists and that this user may write in it",
        ),
        Some(ErrorCode::SystemIoFailure) => ("the disk fails", "Look at the kernel's log (dmesg) for that disk"),
        _ => return (error.to_string(), "The agent's log has more"),
    };
    (format!("{cause} ({error})"), hint)
}

/// The file itself could not be made.
pub(super) fn of_file(path: &Path, error: &io::Error) -> Fault {
    let hint = match error.kind() {
        io::ErrorKind::StorageFull => CLEAR,
        _ => "Check that the directory exists and that this user may write in it, or set LABTOP_STATE to another one",
    };
    Fault::new(
        FaultCode::Ledger,
        format!("could not make the ledger {}: {error}", path.display()),
    )
    .hint(hint)
}

/// A copy of it could not be made.
pub(super) fn of_copy(scratch: &Path, error: &io::Error) -> Fault {
    Fault::new(
        FaultCode::Ledger,
        format!("could not make a copy of the ledger in {}: {error}", scratch.display()),
    )
    .hint("See that there is room, and that the agent's user may write there")
}

/// A later labtop has written it.
pub(super) fn newer_schema(path: &Path, found: i64, known: usize) -> Fault {
    Fault::new(
        FaultCode::Ledger,
        format!(
            "the ledger {} has schema {found}, and this labtop knows up to {known}",
            path.display()
        ),
    )
    .hint("Run the newer labtop that wrote it, or choose another LABTOP_STATE")
}

/// What it holds makes no sense.
pub(super) fn damaged(path: &Path, what: &str) -> Fault {
    Fault::new(
        FaultCode::Ledger,
        format!("the ledger {} is damaged: {what}", path.display()),
    )
    .hint(RESTORE)
}

/// The writer is gone: the agent is stopping, or the thread failed (its panic is in the log).
pub(super) fn closed(path: &Path) -> Fault {
    Fault::new(FaultCode::Ledger, format!("the ledger {} is closed", path.display()))
        .hint("Start the agent again; its log says why")
}
