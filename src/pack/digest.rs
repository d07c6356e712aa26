//! What an archive's content is, as two digests: of the workspace, and of what came from elsewhere.
//!
//! Each is the SHA-256 over the canonical bytes of every entry in its order; see [`Entry::canonical`]. The tar around them
//! does not count, so that two readings of the same tree are alike, whichever way it was read.

use sha2::{Digest, Sha256};

use super::entry::Entry;
use super::rules::Part;
use super::sum::hex;

/// Digests entries as they pass.
#[derive(Debug, Default)]
pub struct ContentDigest {
    workspace: Sha256,
    elsewhere: Option<Sha256>,
}

impl ContentDigest {
    /// Takes the next entry of a part, with the digest of a file's content.
    pub fn add(&mut self, part: Part, entry: &Entry, sha256: Option<&[u8; 32]>) {
        let bytes = entry.canonical(sha256);
        match part {
            Part::Workspace => self.workspace.update(bytes),
            Part::Elsewhere => self.elsewhere.get_or_insert_default().update(bytes),
        }
    }

    /// The digest of the workspace, and of the rest if there is any.
    #[must_use]
    pub fn finish(self) -> (String, Option<String>) {
        let elsewhere = self.elsewhere.map(|hash| hex(&hash.finalize()));
        (hex(&self.workspace.finalize()), elsewhere)
    }
}
