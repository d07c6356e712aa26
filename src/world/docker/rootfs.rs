//! Root file systems as tar bytes, made without a registry and always the same for the same input.

use std::io;

use sha2::{Digest, Sha256};
use tar::{Builder, EntryType, Header};

use crate::domain::fault::{Fault, FaultCode};
use crate::domain::hex::hex;
use crate::domain::template::SeatUser;

/// The user that owns what belongs to the system.
pub const ROOT: SeatUser = SeatUser { uid: 0, gid: 0 };

/// Builds one tar. Paths are relative to its root; parents come before children.
pub struct RootFs {
    tar: Builder<Vec<u8>>,
    failed: Option<io::Error>,
}

impl Default for RootFs {
    fn default() -> Self {
        Self::new()
    }
}

impl RootFs {
    /// An empty one.
    #[must_use]
    pub fn new() -> Self {
        Self {
            tar: Builder::new(Vec::new()),
            failed: None,
        }
    }

    /// Adds a directory.
    #[must_use]
    pub fn dir(self, path: &str, mode: u32, owner: SeatUser) -> Self {
        self.entry(EntryType::Directory, &format!("{path}/"), mode, owner, &[])
    }

    /// Adds a file.
    #[must_use]
    pub fn file(self, path: &str, mode: u32, owner: SeatUser, content: &[u8]) -> Self {
        self.entry(EntryType::Regular, path, mode, owner, content)
    }

    /// Adds a symbolic link.
    #[must_use]
    pub fn link(mut self, path: &str, target: &str, owner: SeatUser) -> Self {
        let mut header = header(EntryType::Symlink, 0o777, owner, 0);
        let result = self.tar.append_link(&mut header, path, target);
        self.note(result);
        self
    }

    fn entry(mut self, kind: EntryType, path: &str, mode: u32, owner: SeatUser, content: &[u8]) -> Self {
        let mut header = header(kind, mode, owner, content.len() as u64);
        let result = self.tar.append_data(&mut header, path, content);
        self.note(result);
        self
    }

    fn note(&mut self, result: io::Result<()>) {
        if let Err(error) = result {
            self.failed.get_or_insert(error);
        }
    }

    /// The bytes.
    ///
    /// # Errors
    /// When a path or content did not fit into a tar.
    pub fn finish(self) -> Result<Vec<u8>, Fault> {
        match self.failed {
            Some(error) => Err(error),
            None => self.tar.into_inner(),
        }
        .map_err(|error| Fault::new(FaultCode::BadTemplate, format!("making a tar archive: {error}")))
    }
}

/// A tar header that says nothing of the moment.
pub(super) fn header(kind: EntryType, mode: u32, owner: SeatUser, size: u64) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_uid(owner.uid.into());
    header.set_gid(owner.gid.into());
    header.set_size(size);
    header.set_mtime(0);
    header
}

/// The first twelve hexadecimal digits of the SHA-256 of `content`: enough to tell images apart by their tag.
#[must_use]
pub fn short_digest(content: &[u8]) -> String {
    hex(&Sha256::digest(content)[..6])
}
