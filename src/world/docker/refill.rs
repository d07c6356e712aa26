//! The work of an archive becomes the workspace of a seat that was made and never started.
//!
//! Where the engine's own files prove that the workspace lies on this host, it is made there, whole or not at all; else
//! the engine unpacks it. What the archive holds from elsewhere goes into the container, which has a root of its own.

use std::io::{self, Read, Write};
use std::path::PathBuf;
use std::time::Duration;

use bollard::query_parameters::UploadToContainerOptionsBuilder;
use bytes::Bytes;
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
use crate::world::archive::Archives;

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

    /// Makes the workspace in the volume's directory on this host. One that holds something is whole already, because
    /// nobody has worked in it and it was made at once.
    pub(super) async fn into_directory(self, directory: PathBuf) -> Result<(), Fault> {
        let work = move |tar: &mut dyn Read| {
            let root = Part::Workspace.root().as_bytes();
            match unpack(tar, root, &directory, Owners::Keep) {
                Ok(done) => {
                    for notice in done.notices {
                        tracing::warn!(notice, "restoring a workspace");
                    }
                    Ok(())
                }
                Err(UnpackError::Occupied(_)) => Ok(()),
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
    /// Has the engine unpack a part of the archive in a container: what is below the part's root comes to be below
    /// `parent`/`name`, or below `parent` if `name` is empty. May be repeated.
    pub(super) async fn upload_part(
        &self,
        refill: &Refill,
        part: Part,
        id: &str,
        (parent, name): (&str, &str),
    ) -> Result<(), Fault> {
        let (to, mut pieces) = mpsc::channel(PIECES);
        let name = name.as_bytes().to_vec();
        let work = move |tar: &mut dyn Read| {
            let mut out = io::BufWriter::with_capacity(PIECE_SIZE, Pieces(to.clone()));
            let sent = select(tar, part, &name, &mut out);
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

/// Writes those entries of `tar` that belong to the part as a tar of their own.
fn select(tar: &mut dyn Read, part: Part, name: &[u8], out: &mut dyn Write) -> Result<(), Fault> {
    let mut reader = TarReader::new(tar);
    let mut writer = TarWriter::new(out);
    let damaged = |error: TarError| failed(&error);
    while let Some(mut entry) = reader.next_entry().map_err(damaged)? {
        if !place(&mut entry, part, name) {
            continue;
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
    writer
        .finish()
        .and_then(|out: &mut dyn Write| out.flush())
        .map_err(gone)
}

/// Nobody takes the tar any more.
fn gone(_: io::Error) -> Fault {
    Fault::new(FaultCode::Cancelled, "the engine takes no more")
}

/// Gives an entry of the part its place below `name`; false for others.
fn place(entry: &mut Entry, part: Part, name: &[u8]) -> bool {
    let below = |path: &[u8]| {
        let rest = path.strip_prefix(part.root().as_bytes())?;
        let rest = if rest.is_empty() {
            rest
        } else {
            rest.strip_prefix(b"/")?
        };
        Some(match (name, rest) {
            (b"", rest) => rest.to_vec(),
            (name, b"") => name.to_vec(),
            (name, rest) => [name, b"/", rest].concat(),
        })
    };
    let Some(path) = below(&entry.path).filter(|path| !path.is_empty()) else {
        return false;
    };
    if entry.kind == Kind::HardLink {
        let Some(link) = below(&entry.link) else { return false };
        entry.link = link;
    }
    entry.path = path;
    true
}

/// What is written to it goes to the engine.
struct Pieces(mpsc::Sender<io::Result<Bytes>>);

impl Write for Pieces {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let sent = self.0.blocking_send(Ok(Bytes::copy_from_slice(bytes)));
        sent.map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
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

    fn placed(part: Part, name: &str) -> Vec<String> {
        let mut tar = TarWriter::new(Vec::new());
        for entry in [
            entry("workspace", Kind::Directory, ""),
            entry("workspace/a", Kind::File, ""),
            entry("workspace/b", Kind::HardLink, "workspace/a"),
            entry("workspace/c", Kind::Symlink, "/workspace/a"),
            entry("elsewhere/etc/motd", Kind::File, ""),
            entry("workspaces/x", Kind::File, ""),
        ] {
            tar.begin(&entry).unwrap();
        }
        let tar = tar.finish().unwrap();
        let mut out = Vec::new();
        select(&mut tar.as_slice(), part, name.as_bytes(), &mut out).unwrap();
        let mut reader = TarReader::new(out.as_slice());
        let mut found = Vec::new();
        while let Some(entry) = reader.next_entry().unwrap() {
            let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            found.push(format!("{}>{}", text(&entry.path), text(&entry.link)));
        }
        found
    }

    #[test]
    fn a_part_goes_where_it_belongs_and_nothing_else_does() {
        let workspace = placed(Part::Workspace, "home");
        assert_eq!(workspace, ["home>", "home/a>", "home/b>home/a", "home/c>/workspace/a"]);
        assert_eq!(placed(Part::Elsewhere, ""), ["etc/motd>"]);
    }
}
