//! The files that a new workspace starts with, as one upload.
//!
//! Knows the template's starter directory on the agent's host. What is neither file, directory nor link is refused.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;
use sha2::{Digest, Sha256};
use tar::{Builder, EntryType};

use super::rootfs::header;
use crate::domain::fault::{Fault, FaultCode};
use crate::domain::hex::hex;
use crate::domain::template::{SeatUser, Template};

/// Starter files are course material, not data sets: more is a mistake in the configuration.
const STARTER_MAX_BYTES: u64 = 256 * 1024 * 1024;

/// The name that the workspace has in an upload; extracted where a directory of that name is mounted.
pub(super) struct Upload {
    /// Tar bytes.
    pub tar: Vec<u8>,
    /// SHA-256 of the starter files; empty without any.
    pub digest: String,
}

/// Makes the upload: the workspace's own directory, called `root`, then the starter files, all the student's.
pub(super) async fn upload(template: &Template, root: &str) -> Result<Upload, Fault> {
    let (starter, user, root) = (template.starter.clone(), template.user, root.to_owned());
    let name = template.name.clone();
    let made = tokio::task::spawn_blocking(move || build(starter.as_deref(), user, &root)).await;
    let made = made.unwrap_or_else(|error| Err(io::Error::other(error)));
    made.map_err(|error| {
        Fault::new(
            FaultCode::BadTemplate,
            format!("template {name}: its starter files cannot be read: {error}"),
        )
        .hint("Correct `starter` in the template")
    })
}

fn build(starter: Option<&Path>, user: SeatUser, root: &str) -> io::Result<Upload> {
    let mut tar = Builder::new(Vec::new());
    add(
        &mut tar,
        EntryType::Directory,
        &PathBuf::from(format!("{root}/")),
        0o755,
        user,
        &[],
    )?;
    let own = tar.get_ref().len();
    if let Some(directory) = starter {
        add_children(&mut tar, directory, Path::new(root), user)?;
    }
    let files = &tar.get_ref()[own..];
    let digest = if files.is_empty() {
        String::new()
    } else {
        hex(&Sha256::digest(files))
    };
    Ok(Upload {
        tar: tar.into_inner()?,
        digest,
    })
}

fn add_children(tar: &mut Builder<Vec<u8>>, directory: &Path, inside: &Path, user: SeatUser) -> io::Result<()> {
    let mut children = fs::read_dir(directory)?.collect::<io::Result<Vec<_>>>()?;
    children.sort_by_key(fs::DirEntry::file_name);
    for child in children {
        let (path, target) = (child.path(), inside.join(child.file_name()));
        let meta = fs::symlink_metadata(&path)?;
        let mode = meta.permissions().mode() & 0o777 | 0o600;
        if meta.is_dir() {
            add(tar, EntryType::Directory, &target, mode | 0o100, user, &[])?;
            add_children(tar, &path, &target, user)?;
        } else if meta.is_symlink() {
            let mut header = header(EntryType::Symlink, 0o777, user, 0);
            tar.append_link(&mut header, &target, fs::read_link(&path)?)?;
        } else if meta.is_file() && meta.len() + (tar.get_ref().len() as u64) < STARTER_MAX_BYTES {
            add(tar, EntryType::Regular, &target, mode, user, &read_plain(&path)?)?;
        } else {
            let why = if meta.is_file() {
                "too big"
            } else {
                "neither file, directory nor link"
            };
            return Err(io::Error::other(format!("{} is {why}", path.display())));
        }
    }
    Ok(())
}

/// A plain file's content. A link that takes its place at this moment is refused, so that nobody who may write in the
/// starter directory can have the agent copy a file that only the agent may read.
fn read_plain(path: &Path) -> io::Result<Vec<u8>> {
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed();
    let mut file = File::options().read(true).custom_flags(flags).open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::other(format!(
            "{} is no plain file any more",
            path.display()
        )));
    }
    let mut content = Vec::new();
    Read::by_ref(&mut file)
        .take(STARTER_MAX_BYTES)
        .read_to_end(&mut content)?;
    Ok(content)
}

fn add(
    tar: &mut Builder<Vec<u8>>,
    kind: EntryType,
    path: &Path,
    mode: u32,
    user: SeatUser,
    content: &[u8],
) -> io::Result<()> {
    tar.append_data(&mut header(kind, mode, user, content.len() as u64), path, content)
}
