//! What goes wrong with the store, in words: the place, the cause, the next step.

use std::io;
use std::path::Path;

use rustix::io::Errno;

use crate::domain::fault::{Fault, FaultCode};
use crate::domain::ids::SeatId;
use crate::domain::proof::ArchiveClaim;
use crate::pack::reader::BadTar;

const KEPT: &str = "the workspace is kept and archived again";

/// The file system refused to `verb` the place at `path`.
pub(super) fn of_place(path: &Path, verb: &str, error: &io::Error) -> Fault {
    tracing::warn!(path = %path.display(), verb, %error, "archive store");
    let place = path.display();
    let (cause, step) = match error.raw_os_error().map(Errno::from_raw_os_error) {
        Some(Errno::NOSPC | Errno::DQUOT) => ("the disk is full or its quota used up", "Free space there"),
        Some(Errno::FBIG) => (
            "the file is larger than its file system or limit allows",
            "Choose another [archive.directory] path",
        ),
        Some(Errno::ROFS) => ("its file system is read-only", "Mount it for writing"),
        Some(Errno::ACCESS | Errno::PERM) => ("this user may not", "Give the agent's user the directory"),
        Some(Errno::NOENT) => (
            "it is gone",
            "See that nothing moves or removes the store's directories",
        ),
        Some(Errno::NOTDIR) => ("it is no directory", "Move away what stands in its place"),
        Some(Errno::EXIST) => (
            "something is there already, and archives are never overwritten",
            "Look at what it is",
        ),
        Some(Errno::IO) => ("the disk fails", "Look at the kernel's log (dmesg) for that disk"),
        _ => ("the system refused", "Look at the directory and its disk"),
    };
    store(
        format!("could not {verb} {place}: {cause} ({error})"),
        &format!("{step}; {KEPT}"),
    )
}

/// A link stands where a directory or file of the store should be.
pub(super) fn is_link(path: &Path) -> Fault {
    store(
        format!("{} is a link; the store follows none", path.display()),
        &format!("Find out who put it there and remove it; {KEPT}"),
    )
}

/// The store's root is a link of somebody who is neither root nor the agent's user.
pub(super) fn foreign_link(path: &Path, uid: u32) -> Fault {
    store(
        format!(
            "{} is a link that user {uid} made; the store does not follow it",
            path.display()
        ),
        &format!("Find out who put it there and remove it; {KEPT}"),
    )
}

/// The store's root is a link to what is not there.
pub(super) fn dead_link(path: &Path) -> Fault {
    store(
        format!("{} is a link that leads nowhere", path.display()),
        &format!("See that the disk that it leads to is mounted; {KEPT}"),
    )
}

/// What left the seat is no whole tar.
pub(super) fn bad_stream(seat: &SeatId, why: BadTar, bytes: u64) -> Fault {
    store(
        format!("the work of {seat} {why} on its way to the store, after {bytes} bytes"),
        "It is read again; if it happens often, look at the engine's log",
    )
}

/// Something has an archive's key already.
pub(super) fn taken(key: &str) -> Fault {
    store(
        format!("could not store {key}: something is there already, and archives are never overwritten"),
        &format!("Look at what it is; {KEPT}"),
    )
}

/// There is more than the template allows.
pub(super) fn too_big(seat: &SeatId, max_bytes: u64) -> Fault {
    let mib = max_bytes >> 20;
    Fault::new(FaultCode::TooBig, format!("the work of {seat} is larger than the {mib} MiB that an archive may have"))
        .hint("Raise `archive.max_size` in the room's template and reopen it, leave something out with `archive.exclude`, or make room in the seat")
}

/// What is to be stored is only another name of what is not.
pub(super) fn tangled(seat: &SeatId, name: &str) -> Fault {
    Fault::new(
        FaultCode::Tangled,
        format!("the work of {seat}: {name} is another name of a file that the template leaves out"),
    )
    .hint("It is read again with nothing left out")
}

/// The work itself cannot be read.
pub(super) fn unreadable(seat: &SeatId, error: &io::Error) -> Fault {
    Fault::new(FaultCode::Engine, format!("the work of {seat} cannot be read: {error}"))
        .hint("It is read again; look at the kernel's log (dmesg) for the engine's disk")
}

/// The effect was called off, or the agent is stopping.
pub(super) fn called_off() -> Fault {
    Fault::new(FaultCode::Cancelled, "the transfer to the archive store was called off")
}

/// There is no such file to be shown.
pub(super) fn no_file(claim: &ArchiveClaim, path: &str, what: &str) -> Fault {
    let path = crate::pack::entry::shown(path.as_bytes());
    store(
        format!("archive {}: {path} is {what}", claim.id),
        &format!("`labtop archive show {}` lists its files", claim.id),
    )
}

/// The stored object is not what was sent.
pub(super) fn mismatch(claim: &ArchiveClaim, what: &str) -> Fault {
    tracing::warn!(archive = %claim.id, seat = %claim.seat, what, "archive differs");
    Fault::new(
        FaultCode::Mismatch,
        format!("archive {} of {} {what}", claim.id, claim.seat),
    )
    .hint("The workspace is kept and archived again; check the archive store")
}

fn store(text: String, hint: &str) -> Fault {
    Fault::new(FaultCode::Store, text).hint(hint)
}
