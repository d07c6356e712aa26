//! A copy of the ledger, taken while it is written: of one moment, whole, and read through before it is given away.

use std::fs::{self, File};
use std::io;
use std::path::Path;

use super::{Ledger, schema, trouble};
use crate::domain::fault::Fault;

/// How the names of copies on their way begin; nothing else is ever swept away.
const PREFIX: &str = "ledger-copy-";

impl Ledger {
    /// A copy as a file without a name, at its beginning, which goes with the last one who has it open. It is made in
    /// `scratch`. Writes go on meanwhile.
    ///
    /// # Errors
    /// [`FaultCode::Ledger`](crate::domain::fault::FaultCode::Ledger) when it cannot be made, or is not sound.
    pub async fn copy(&self, scratch: &Path) -> Result<File, Fault> {
        let (path, scratch) = (self.path.clone(), scratch.to_path_buf());
        let task = tokio::task::spawn_blocking(move || copy(&path, &scratch));
        task.await.map_err(|_| trouble::closed(&self.path))?
    }
}

fn copy(path: &Path, scratch: &Path) -> Result<File, Fault> {
    // Made here, not by SQLite, so that nobody else may ever read it; its name goes when this returns.
    let made = fs::create_dir_all(scratch)
        .and_then(|()| tempfile::Builder::new().prefix(PREFIX).tempfile_in(scratch))
        .map_err(|error| trouble::of_copy(scratch, &error))?;
    let place = made.path();
    let copied = schema::open_reader(path)
        .and_then(|db| schema::vacuum_into(&db, place).map_err(|error| trouble::ledger_fault(path, "copy", &error)));
    copied?;
    let verdict = schema::integrity(&schema::open_reader(place)?)
        .map_err(|error| trouble::ledger_fault(path, "read the copy of", &error))?;
    if verdict != "ok" {
        return Err(trouble::damaged(path, &verdict));
    }
    Ok(made.into_file())
}

/// Removes copies that an agent which was killed left behind.
pub fn sweep_copies(scratch: &Path) {
    let left: io::Result<Vec<_>> = fs::read_dir(scratch).and_then(Iterator::collect);
    for file in left.unwrap_or_default() {
        if file.file_name().to_string_lossy().starts_with(PREFIX) {
            let _ = fs::remove_file(file.path());
        }
    }
}
