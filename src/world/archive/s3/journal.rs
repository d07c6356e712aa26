//! Notes of uploads that were begun, so that one that is never finished is aborted by a later life of the agent.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::pack::sum::Summer;

/// How the files of notes end.
const SUFFIX: &str = ".upload.json";

/// An upload that was begun.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Note {
    pub key: String,
    pub upload_id: String,
}

#[derive(Debug, Clone)]
pub(super) struct Journal(PathBuf);

impl Journal {
    pub(super) fn new(dir: &Path) -> Self {
        Self(dir.to_path_buf())
    }

    /// Notes an upload; on the disk when this returns.
    pub(super) fn note(&self, key: &str, upload_id: &str) -> io::Result<()> {
        fs::create_dir_all(&self.0)?;
        let note = Note {
            key: key.to_owned(),
            upload_id: upload_id.to_owned(),
        };
        let mut options = OpenOptions::new();
        let mut file = options
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(self.path(upload_id))?;
        file.write_all(&serde_json::to_vec(&note)?)?;
        file.sync_all()
    }

    /// It was completed or aborted.
    pub(super) fn forget(&self, upload_id: &str) {
        let _ = fs::remove_file(self.path(upload_id));
    }

    pub(super) fn notes(&self) -> Vec<Note> {
        let files = fs::read_dir(&self.0).into_iter().flatten().flatten();
        files
            .filter(|file| file.file_name().to_string_lossy().ends_with(SUFFIX))
            .filter_map(|file| serde_json::from_slice(&fs::read(file.path()).ok()?).ok())
            .collect()
    }

    /// The store chooses the id: its digest makes a name of it, whatever is in it.
    fn path(&self, upload_id: &str) -> PathBuf {
        let mut sum = Summer::default();
        sum.add(upload_id.as_bytes());
        self.0.join(format!("{}{SUFFIX}", &sum.finish().digest[..32]))
    }
}
