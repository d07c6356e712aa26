//! Notes of uploads that were begun, so that one that is never finished is aborted by a later life of the agent.

use std::fs::{self, File, OpenOptions};
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
    /// Where the store is: another one knows nothing of it.
    place: String,
    /// The whole key.
    pub key: String,
    pub upload_id: String,
}

#[derive(Debug, Clone)]
pub(super) struct Journal {
    dir: PathBuf,
    place: String,
}

impl Journal {
    /// Notes in `dir` of uploads to `place`.
    pub(super) fn new(dir: &Path, place: String) -> Self {
        Self {
            dir: dir.to_path_buf(),
            place,
        }
    }

    /// Notes an upload; on the disk when this returns, so that it blocks.
    pub(super) fn note(&self, key: &str, upload_id: &str) -> io::Result<()> {
        fs::create_dir_all(&self.dir)?;
        let note = Note {
            place: self.place.clone(),
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
        file.sync_all()?;
        // Its name is on the disk only when the directory is.
        File::open(&self.dir)?.sync_all()
    }

    /// It was completed or aborted.
    pub(super) fn forget(&self, upload_id: &str) {
        let _ = fs::remove_file(self.path(upload_id));
    }

    /// Notes of uploads to this place.
    pub(super) fn notes(&self) -> Vec<Note> {
        let files = fs::read_dir(&self.dir).into_iter().flatten().flatten();
        files
            .filter(|file| file.file_name().to_string_lossy().ends_with(SUFFIX))
            .filter_map(|file| serde_json::from_slice(&fs::read(file.path()).ok()?).ok())
            .filter(|note: &Note| note.place == self.place)
            .collect()
    }

    /// The store chooses the id: its digest makes a name of it, whatever is in it.
    fn path(&self, upload_id: &str) -> PathBuf {
        let mut sum = Summer::default();
        sum.add(upload_id.as_bytes());
        self.dir.join(format!("{}{SUFFIX}", &sum.finish().digest[..32]))
    }
}
