//! Where the configuration file is.
//!
//! Knows: the places and their order. Must not know: what is in the file.

use std::fs::{self, Metadata};
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::Mistakes;

/// The place for a whole machine.
const SYSTEM_FILE: &str = "/etc/labtop/config.toml";
/// Largest file that is read, bytes: far more than any list of templates, far less than hurts.
const FILE_MAX: u64 = 1 << 20;

/// A file that was read.
pub(super) struct Found {
    /// Where it is.
    pub(super) path: PathBuf,
    /// What is in it.
    pub(super) text: String,
    metadata: Metadata,
}

impl Found {
    /// A warning when others than root can change what an agent of root does.
    pub(super) fn who_else_may_write(&self) -> Option<String> {
        const WRITABLE_BY_OTHERS: u32 = 0o022;
        let who = match (self.metadata.uid(), self.metadata.mode() & WRITABLE_BY_OTHERS) {
            (0, 0) => return None,
            (0, _) => "others than its owner".to_owned(),
            (uid, _) => format!("the user {uid}"),
        };
        let path = self.path.display();
        Some(format!(
            "{path} can be written by {who}, and root's agent does what it says: chown root {path} && chmod go-w {path}"
        ))
    }
}

/// The first file there is. A file that somebody named must be there.
pub(super) fn find(explicit: Option<&Path>, env: &dyn Fn(&str) -> Option<String>) -> Result<Option<Found>, Mistakes> {
    let named = env("LABTOP_CONFIG").filter(|path| !path.is_empty()).map(PathBuf::from);
    if let Some(path) = explicit.map(Path::to_owned).or(named) {
        return read(&path)?
            .map(Some)
            .ok_or_else(|| Mistakes::of_file(&path, "there is no such file".to_owned()));
    }
    for path in user_file(env).into_iter().chain([PathBuf::from(SYSTEM_FILE)]) {
        if let Some(found) = read(&path)? {
            return Ok(Some(found));
        }
    }
    Ok(None)
}

fn user_file(env: &dyn Fn(&str) -> Option<String>) -> Option<PathBuf> {
    let absolute = |path: &PathBuf| path.is_absolute();
    let xdg = env("XDG_CONFIG_HOME").map(PathBuf::from).filter(absolute);
    let home = || env("HOME").map(PathBuf::from).filter(absolute);
    let directory = xdg.or_else(|| home().map(|home| home.join(".config")))?;
    Some(directory.join("labtop/config.toml"))
}

fn read(path: &Path) -> Result<Option<Found>, Mistakes> {
    let wrong = |rule: String| Mistakes::of_file(path, rule);
    let metadata = match fs::metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => return Ok(None),
        Err(error) => return Err(wrong(format!("cannot be read: {error}"))),
    };
    if !metadata.is_file() {
        return Err(wrong("is not a file".to_owned()));
    }
    if metadata.len() > FILE_MAX {
        return Err(wrong("is larger than 1 MiB, so it is no configuration".to_owned()));
    }
    let text = fs::read_to_string(path).map_err(|error| match error.kind() {
        ErrorKind::InvalidData => wrong("is not text in UTF-8".to_owned()),
        _ => wrong(format!("cannot be read: {error}")),
    })?;
    Ok(Some(Found {
        path: path.to_owned(),
        text,
        metadata,
    }))
}
