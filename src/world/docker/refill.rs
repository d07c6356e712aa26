//! The work of an archive becomes the workspace of a seat that was made and never started.
//!
//! Where the engine's own files prove that the workspace lies on this host, and nothing is in it, it is made there, whole or
//! not at all; else the engine unpacks it, and its root is marked until all of it is there. What the archive holds from
//! elsewhere goes into the container, which has a root of its own.

use std::io::{self, Read, Write};
use std::path::PathBuf;
use std::time::Duration;

use bollard::query_parameters::UploadToContainerOptionsBuilder;
use futures_util::stream;
use tokio::sync::mpsc;

use super::Docker;
use super::errors::CHANGE_LIMIT;
use crate::domain::fault::{Fault, FaultCode};
use crate::domain::proof::ArchiveClaim;
use crate::pack::entry::{Entry, Kind};
use crate::pack::reader::{TarError, TarReader};
use crate::pack::rules::Part;
use crate::pack::unpack::{Owners, UnpackError, unpack};
use crate::pack::writer::TarWriter;
use crate::world::archive::{Archives, Pour};

/// Pieces of a tar on their way to the engine that may wait.
const PIECES: usize = 16;
/// Bytes of one.
const PIECE_SIZE: usize = 128 * 1024;
/// An engine that unpacks slower than so many bytes a second is given up.
const SLOWEST: u64 = 1 << 20;

/// An archive that a seat starts with.
#[derive(Debug, Clone)]
pub struct Refill {
    archives: Archives,
    claim: ArchiveClaim,
}

impl Refill {
    /// The archive that was sent as `claim` to that store.
    #[must_use]
    pub fn new(archives: Archives, claim: ArchiveClaim) -> Self {
        Self { archives, claim }
    }

    /// What was sent.
    #[must_use]
    pub fn claim(&self) -> &ArchiveClaim {
        &self.claim
    }

    /// Whether something of it belongs outside the workspace.
    pub(super) fn has_elsewhere(&self) -> bool {
        self.claim.extent.elsewhere_digest.is_some()
    }

    /// Makes the workspace in the volume's directory on this host. False when something is in it, of an earlier making:
    /// whether that is all of it is not known.
    pub(super) async fn make_in(&self, directory: PathBuf) -> Result<bool, Fault> {
        let work = move |tar: &mut dyn Read| {
            let root = Part::Workspace.root().as_bytes();
            match unpack(tar, root, &directory, Owners::Keep) {
                Ok(done) => {
                    for notice in done.notices {
                        tracing::warn!(notice, "restoring a workspace");
                    }
                    Ok(true)
                }
                Err(UnpackError::Occupied(_)) => Ok(false),
                Err(error) => Err(failed(&error)),
            }
        };
        self.archives.unpacked(&self.claim, work).await
    }
}

fn failed(error: &dyn std::fmt::Display) -> Fault {
    Fault::new(FaultCode::Engine, format!("the workspace cannot be restored: {error}"))
}

impl Docker {
    /// Has the engine unpack a part of the archive in a container, below `parent`. May be repeated.
    pub(super) async fn upload_part(&self, refill: &Refill, place: Place, id: &str, parent: &str) -> Result<(), Fault> {
        let (to, mut pieces) = mpsc::channel(PIECES);
        let work = move |tar: &mut dyn Read| {
            let mut out = io::BufWriter::with_capacity(PIECE_SIZE, Pour(to.clone()));
            let sent = select(tar, &place, &mut out);
            if let Err(fault) = &sent {
                // An end without an error would look like the end of the tar.
                let _ = to.blocking_send(Err(io::Error::other(fault.to_string())));
            }
            sent
        };
        let limit = CHANGE_LIMIT + Duration::from_secs(refill.claim.content_bytes / SLOWEST);
        let options = UploadToContainerOptionsBuilder::new().path(parent).build();
        let body = bollard::body_try_stream(stream::poll_fn(move |cx| pieces.poll_recv(cx)));
        let client = self.client()?.clone().with_timeout(limit);
        let put = client.upload_to_container(id, Some(options), body);
        let put = self.change_within(limit, format!("restoring the work of {}", refill.claim.seat), put);
        let (sent, put) = tokio::join!(refill.archives.unpacked(&refill.claim, work), put);
        match sent {
            // Nobody took it any more: the engine says why.
            Err(fault) if fault.code == FaultCode::Cancelled => Ok(put?),
            sent => sent.and(Ok(put?)),
        }
    }
}

/// Where what is below a part's root comes to be.
#[derive(Debug, Clone)]
pub(super) enum Place {
    /// The workspace, under this name.
    Workspace(String),
    /// What was elsewhere, where it was, but for what is below this path: the workspace's own.
    Elsewhere(String),
}

/// Whose the root of a workspace is until all of it is there: nobody's, and no student can give theirs away.
const HALF_FILLED: u32 = 0x7fff_fffe;

/// Whether the first header of a workspace's tar says that an unpacking of it came to no end.
pub(super) fn is_half_filled(header: &tar::Header) -> bool {
    let half = |id: io::Result<u64>| id.is_ok_and(|id| id == u64::from(HALF_FILLED));
    half(header.uid()) && half(header.gid())
}

/// Writes those entries of `tar` that belong to the place as a tar of their own. A workspace's root comes first, marked, and
/// again at the end.
fn select(tar: &mut dyn Read, place: &Place, out: &mut dyn Write) -> Result<(), Fault> {
    let mut reader = TarReader::new(tar);
    let mut writer = TarWriter::new(out);
    let mut root = None;
    let damaged = |error: TarError| failed(&error);
    while let Some(mut entry) = reader.next_entry().map_err(damaged)? {
        if !place.take(&mut entry) {
            continue;
        }
        if place.is_root(&entry) {
            root = Some(entry.clone());
            (entry.uid, entry.gid) = (HALF_FILLED, HALF_FILLED);
        }
        writer.begin(&entry).map_err(gone)?;
        let mut buffer = [0; 16 * 1024];
        loop {
            match reader.read(&mut buffer).map_err(|error| failed(&error))? {
                0 => break,
                count => writer.data(&buffer[..count]).map_err(gone)?,
            }
        }
    }
    if let Some(root) = root {
        writer.begin(&root).map_err(gone)?;
    }
    writer
        .finish()
        .and_then(|out: &mut dyn Write| out.flush())
        .map_err(gone)
}

/// Nobody takes the tar any more.
fn gone(_: io::Error) -> Fault {
    Fault::new(FaultCode::Cancelled, "the engine takes no more")
}

impl Place {
    /// Gives an entry its path here; false for one that does not belong here.
    fn take(&self, entry: &mut Entry) -> bool {
        let Some(path) = self.path(&entry.path) else {
            return false;
        };
        if entry.kind == Kind::HardLink {
            let Some(link) = self.path(&entry.link) else {
                return false;
            };
            entry.link = link;
        }
        entry.path = path;
        true
    }

    fn path(&self, path: &[u8]) -> Option<Vec<u8>> {
        match self {
            Self::Workspace(name) => Some([name.as_bytes(), below(path, Part::Workspace.root().as_bytes())?].concat()),
            Self::Elsewhere(workspace) => {
                let path = below(path, Part::Elsewhere.root().as_bytes())?.strip_prefix(b"/")?;
                let is_workspace = below(path, workspace.trim_matches('/').as_bytes()).is_some();
                (!is_workspace).then(|| path.to_vec())
            }
        }
    }

    fn is_root(&self, entry: &Entry) -> bool {
        matches!(self, Self::Workspace(name) if entry.path == name.as_bytes()) && entry.kind == Kind::Directory
    }
}

/// What of the path follows `root`, with the slash before it; none unless it is `root` or below it.
fn below<'a>(path: &'a [u8], root: &[u8]) -> Option<&'a [u8]> {
    let rest = path.strip_prefix(root)?;
    (rest.is_empty() || rest.starts_with(b"/")).then_some(rest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pack::entry::Mtime;

    fn entry(path: &str, kind: Kind, link: &str) -> Entry {
        Entry {
            path: path.into(),
            kind,
            size: 0,
            mode: 0o644,
            uid: 1000,
            gid: 1000,
            mtime: Mtime { seconds: 1, nanos: 0 },
            link: link.into(),
        }
    }

    fn placed(place: &Place) -> Vec<String> {
        let mut tar = TarWriter::new(Vec::new());
        for entry in [
            entry("workspace", Kind::Directory, ""),
            entry("workspace/a", Kind::File, ""),
            entry("workspace/b", Kind::HardLink, "workspace/a"),
            entry("workspace/c", Kind::Symlink, "/workspace/a"),
            entry("elsewhere/etc/motd", Kind::File, ""),
            entry("elsewhere/home/x", Kind::File, ""),
            entry("elsewhere/link", Kind::HardLink, "elsewhere/home/x"),
            entry("workspaces/x", Kind::File, ""),
        ] {
            tar.begin(&entry).unwrap();
        }
        let tar = tar.finish().unwrap();
        let mut out = Vec::new();
        select(&mut tar.as_slice(), place, &mut out).unwrap();
        let mut reader = TarReader::new(out.as_slice());
        let mut found = Vec::new();
        while let Some(entry) = reader.next_entry().unwrap() {
            let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            let half = if entry.uid == HALF_FILLED { "!" } else { "" };
            found.push(format!("{half}{}>{}", text(&entry.path), text(&entry.link)));
        }
        found
    }

    #[test]
    fn a_part_goes_where_it_belongs_and_nothing_else_does() {
        let workspace = placed(&Place::Workspace("home".into()));
        let expected = ["!home>", "home/a>", "home/b>home/a", "home/c>/workspace/a", "home>"];
        assert_eq!(workspace, expected, "marked until it is whole");
        let all = placed(&Place::Elsewhere("/work".into()));
        assert_eq!(all, ["etc/motd>", "home/x>", "link>home/x"]);
        assert_eq!(placed(&Place::Elsewhere("/home/".into())), ["etc/motd>"]);
    }
}
