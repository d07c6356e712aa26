//! Images: there, pulled once, or made here; and whether they can make a safe seat.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bollard::models::ImageInspect;
use bollard::query_parameters::{
    CreateImageOptions, CreateImageOptionsBuilder, PruneImagesOptionsBuilder, RemoveImageOptions,
};
use futures_util::StreamExt;
use tokio::sync::OwnedMutexGuard;

use super::Docker;
use super::errors::{OrGone, Trouble};
use crate::domain::fault::{Fault, FaultCode};
use crate::domain::template::Template;

/// Marks images that labtop made, with their name.
const LABEL_IMAGE: &str = "io.labtop.image";
/// How long a registry may stay silent during a pull: layers are unpacked without a word.
const PULL_IDLE_LIMIT: Duration = Duration::from_mins(2);

impl Docker {
    /// Sees that the engine can hold a seat to its limits, that the template's image is there, pulling it once if need be,
    /// and that it can make a safe seat. `progress` is told in words.
    ///
    /// # Errors
    /// [`FaultCode::EngineVersion`] when the engine is too old, [`FaultCode::ImageMissing`] when the image cannot be had, [`FaultCode::BadTemplate`] when a limit cannot be kept, or
    /// the image declares a volume that the workspace does not cover: nobody would archive what a student writes there.
    pub async fn preflight(&self, template: &Template, progress: impl Fn(String)) -> Result<(), Fault> {
        let (_, engine) = self.greet().await?;
        self.can_hold(template, &engine)?;
        let image = &template.image;
        if image == super::demo::IMAGE {
            self.demo_image(&progress).await?;
        }
        let found = match self.inspect_image(image).await? {
            Some(found) => found,
            None => self.pull(image, progress).await?,
        };
        self.forget_workspaces(image).await;
        let volumes = found.config.and_then(|config| config.volumes).unwrap_or_default();
        let workspace = template.workspace.trim_end_matches('/');
        match volumes.iter().find(|volume| volume.trim_end_matches('/') != workspace) {
            None => Ok(()),
            Some(volume) => Err(Fault::new(
                FaultCode::BadTemplate,
                format!(
                    "template {}: its image {image} keeps {volume} in a volume of its own, which nobody would archive",
                    template.name
                ),
            )
            .hint(format!(
                "Set workspace = \"{volume}\", or take an image without that VOLUME"
            ))),
        }
    }

    /// Whether the engine has the image.
    ///
    /// # Errors
    /// When the engine fails.
    pub async fn image_exists(&self, image: &str) -> Result<bool, Fault> {
        Ok(self.inspect_image(image).await?.is_some())
    }

    /// What the engine says of an image; `None` when it does not have it.
    pub(super) async fn inspect_image(&self, image: &str) -> Result<Option<ImageInspect>, Fault> {
        let call = self.client()?.inspect_image(image);
        self.read(format!("looking at image {image}"), call).await.or_gone()
    }

    /// Waits until nobody else pulls or makes that image; other images do not matter.
    pub(super) async fn alone_with(&self, image: &str) -> OwnedMutexGuard<()> {
        let lock = Arc::clone(self.inner.images.lock().await.entry(image.to_owned()).or_default());
        lock.lock_owned().await
    }

    async fn pull(&self, image: &str, progress: impl Fn(String)) -> Result<ImageInspect, Fault> {
        let _once = self.alone_with(image).await;
        if let Some(found) = self.inspect_image(image).await? {
            return Ok(found);
        }
        progress(format!("pulling {image}"));
        let options = CreateImageOptionsBuilder::new().from_image(&with_tag(image)).build();
        self.create_image(options, None, &progress)
            .await
            .map_err(|fault| missing(image, fault))?;
        let found = self.inspect_image(image).await?;
        found.ok_or_else(|| missing(image, Fault::new(FaultCode::Engine, "the engine pulled nothing")))
    }

    /// Makes an image named `tag` out of a root file system; `changes` are Dockerfile lines such as `CMD`.
    ///
    /// # Errors
    /// When the engine fails or refuses.
    pub async fn import_image(&self, tag: &str, root_tar: Vec<u8>, changes: &[&str]) -> Result<(), Fault> {
        let (name, version) = tag.rsplit_once(':').unwrap_or((tag, "latest"));
        let mut changes: Vec<String> = changes.iter().map(ToString::to_string).collect();
        changes.push(format!("LABEL {LABEL_IMAGE}={name}"));
        let options = CreateImageOptionsBuilder::new()
            .from_src("-")
            .repo(name)
            .tag(version)
            .changes(changes)
            .build();
        self.create_image(options, Some(root_tar), &|_| ()).await
    }

    /// The same, unless an image of that name is there; made once when many ask together.
    pub(super) async fn import_once(&self, tag: &str, root_tar: Vec<u8>, changes: &[&str]) -> Result<(), Fault> {
        let _once = self.alone_with(tag).await;
        if self.image_exists(tag).await? {
            return Ok(());
        }
        self.import_image(tag, root_tar, changes).await
    }

    /// Removes an image; false when containers use it. Gone already is fine.
    ///
    /// # Errors
    /// When the engine fails.
    pub async fn remove_image_unless_used(&self, image: &str) -> Result<bool, Fault> {
        let call = self.client()?.remove_image(image, None::<RemoveImageOptions>, None);
        match self.change(format!("removing image {image}"), call).await {
            Err(trouble) if trouble.is_conflict() => Ok(false),
            result => result.or_gone().map(|_| true),
        }
    }

    /// Removes images that were made here and have lost their name to a newer one.
    ///
    /// # Errors
    /// When the engine fails.
    pub async fn prune_own_images(&self) -> Result<(), Fault> {
        let filters = HashMap::from([
            ("dangling", vec!["true".to_owned()]),
            ("label", vec![LABEL_IMAGE.to_owned()]),
        ]);
        let options = PruneImagesOptionsBuilder::new().filters(&filters).build();
        let call = self.client()?.prune_images(Some(options));
        Ok(self.change("removing images without a name", call).await.map(drop)?)
    }

    /// Pull and import are one endpoint: a stream of reports, each of which may be the failure.
    async fn create_image(
        &self,
        options: CreateImageOptions,
        body: Option<Vec<u8>>,
        progress: &impl Fn(String),
    ) -> Result<(), Fault> {
        let body = body.map(|bytes| bollard::body_full(bytes.into()));
        let mut reports = Box::pin(self.client()?.create_image(Some(options), body, None));
        loop {
            let Ok(next) = tokio::time::timeout(PULL_IDLE_LIMIT, reports.next()).await else {
                return Err(Fault::new(
                    FaultCode::Unknown,
                    "the engine stopped telling about an image",
                ));
            };
            let Some(report) = next else { return Ok(()) };
            let report = report.map_err(|error| self.broken("getting an image", error))?;
            if let Some(message) = report.error_detail.and_then(|detail| detail.message) {
                return Err(Fault::new(FaultCode::Engine, message));
            }
            if let Some(status) = report.status {
                progress(report.id.map_or(status.clone(), |layer| format!("{layer}: {status}")));
            }
        }
    }
}

/// An image name without a tag would pull every version.
fn with_tag(image: &str) -> String {
    let last = image.rsplit('/').next().unwrap_or(image);
    if last.contains(':') || last.contains('@') {
        image.to_owned()
    } else {
        format!("{image}:latest")
    }
}

fn missing(image: &str, cause: Fault) -> Fault {
    if cause.code == FaultCode::EngineUnreachable {
        return cause;
    }
    Fault::new(
        FaultCode::ImageMissing,
        format!(
            "image {image} is not on the engine and cannot be pulled ({})",
            cause.text
        ),
    )
    .hint(format!(
        "Correct the template's image, or bring it with `docker pull {image}` or `docker load`; the template `demo` needs none"
    ))
}

/// A refused creation, when what is missing is the image.
pub(super) fn or_missing(image: &str, trouble: Trouble) -> Fault {
    if trouble.is_gone() && trouble.mentions("No such image") {
        return Fault::new(FaultCode::ImageMissing, format!("image {image} is not on the engine"))
            .hint(format!("Bring it with `docker pull {image}` or `docker load`"));
    }
    trouble.fault
}

#[cfg(test)]
mod tests {
    use super::with_tag;

    #[test]
    fn a_bare_name_means_latest() {
        assert_eq!(with_tag("node"), "node:latest");
        assert_eq!(with_tag("host:5000/node"), "host:5000/node:latest");
        assert_eq!(with_tag("node:22"), "node:22");
        assert_eq!(with_tag("node@sha256:00"), "node@sha256:00");
    }
}
