//! Whether an image brings a workspace that the seat's user can write to.
//!
//! The engine copies a directory's owner and mode from the image to a new volume. Where that is right already, a seat
//! needs no upload, which is a third of the time that making one takes. Found out once for each image.

use std::io::Cursor;

use bollard::query_parameters::DownloadFromContainerOptionsBuilder;
use futures_util::TryStreamExt;
use tar::Archive;

use super::Docker;
use super::errors::OrGone;
use crate::domain::effect::SeatOrder;
use crate::domain::fault::Fault;
use crate::domain::template::SeatUser;

/// Size of a tar header: the first block of an archive stream tells of the directory itself.
const BLOCK: usize = 512;
/// What the owner of a directory needs to work in it.
const OWNER_RWX: u32 = 0o700;

/// One question about an image, as the cache knows it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Question {
    image: String,
    workspace: String,
    uid: u32,
    gid: u32,
}

impl Docker {
    /// Whether a new volume at the workspace belongs to the seat's user without our help.
    pub(super) async fn brings_workspace(&self, order: &SeatOrder) -> Result<bool, Fault> {
        let template = &order.template;
        let question = Question {
            image: template.image.clone(),
            workspace: template.workspace.clone(),
            uid: template.user.uid,
            gid: template.user.gid,
        };
        let mut known = self.inner.workspaces.lock().await;
        if let Some(answer) = known.get(&question) {
            return Ok(*answer);
        }
        let answer = self.probe_workspace(order).await?;
        known.insert(question, answer);
        Ok(answer)
    }

    /// Forgets what is known of an image reference, which may name another image now.
    pub(super) async fn forget_workspaces(&self, image: &str) {
        self.inner
            .workspaces
            .lock()
            .await
            .retain(|question, _| question.image != image);
    }

    async fn probe_workspace(&self, order: &SeatOrder) -> Result<bool, Fault> {
        let template = &order.template;
        let carrier = self.carrier(&order.seat, order.session, &template.image, None).await?;
        let options = DownloadFromContainerOptionsBuilder::new()
            .path(&template.workspace)
            .build();
        let mut stream = self
            .client()?
            .download_from_container(carrier.id.as_str(), Some(options));
        let mut start: Vec<u8> = Vec::new();
        let mut there = true;
        while start.len() < BLOCK && there {
            let next = self
                .read("looking for the workspace in an image", stream.try_next())
                .await
                .or_gone()?;
            match next.flatten() {
                Some(chunk) => start.extend_from_slice(&chunk),
                None => there = false,
            }
        }
        drop(stream);
        carrier.remove().await?;
        Ok(if there {
            owned(&start, template.user)
        } else {
            template.user.uid == 0
        })
    }
}

fn owned(start: &[u8], user: SeatUser) -> bool {
    let mut archive = Archive::new(Cursor::new(start));
    let Some(Ok(entry)) = archive.entries().ok().and_then(|mut entries| entries.next()) else {
        return false;
    };
    let header = entry.header();
    header.entry_type().is_dir()
        && header.uid().is_ok_and(|uid| uid == u64::from(user.uid))
        && header.gid().is_ok_and(|gid| gid == u64::from(user.gid))
        && header.mode().is_ok_and(|mode| mode & OWNER_RWX == OWNER_RWX)
}
