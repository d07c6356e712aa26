//! Archives in a bucket of an S3 store.
//!
//! Small calls go through `rust-s3`. The bytes themselves go over URLs that it signs, with a client of our own: its calls
//! have one time limit for a whole body, and digest every part twice, which a read-back from end to end makes needless.

mod calls;
mod download;
mod journal;
mod keys;
mod trouble;
mod upload;

use std::fmt;
use std::io::{Read, Write};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use s3::creds::Credentials;
use s3::{Bucket, Region};

use super::object::{Object, Stop};
use crate::domain::fault::Fault;
use crate::domain::names::SUBMISSIONS;
use crate::domain::settings::S3Settings;
use journal::Journal;
use trouble::{Kind, Trouble};

/// How long a call without a body may take, unless a transfer may be silent for less.
const CONTROL_LIMIT: Duration = Duration::from_secs(10);
/// How long a connection may take to come about.
const CONNECT_LIMIT: Duration = Duration::from_secs(10);
/// How long a signed URL is good: one part, however slow.
const SIGNED_SECONDS: u32 = 24 * 60 * 60;
/// Age at which an unfinished upload below our prefix is nobody's any more.
const STALE_MS: u64 = 24 * 60 * 60 * 1000;

/// A bucket. Clones are cheap and share connections.
#[derive(Clone)]
pub struct S3 {
    inner: Arc<Inner>,
}

struct Inner {
    bucket: Box<Bucket>,
    data: reqwest::Client,
    settings: S3Settings,
    journal: Journal,
}

/// Where it is; never the keys.
impl fmt::Debug for S3 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("S3")
            .field("endpoint", &self.inner.settings.endpoint)
            .field("bucket", &self.inner.settings.bucket)
            .finish_non_exhaustive()
    }
}

impl S3 {
    /// A store in the bucket of the settings; notes of uploads are kept in `scratch`.
    pub(super) fn new(settings: &S3Settings, scratch: &Path) -> Result<Self, Fault> {
        // Whoever calls knows better what may be tried again.
        s3::set_retries(0);
        let credentials = keys::load(settings)?;
        let failed = |error: &dyn fmt::Display| trouble::setting(settings, &error.to_string());
        let bucket = bucket(settings, credentials).map_err(|error| failed(&error))?;
        // Work goes where the settings say, wherever the store points.
        let elsewhere = reqwest::redirect::Policy::none();
        let data = reqwest::Client::builder()
            .connect_timeout(CONNECT_LIMIT)
            .redirect(elsewhere);
        let place = format!("{}/{}", settings.endpoint, settings.bucket);
        Ok(Self {
            inner: Arc::new(Inner {
                bucket,
                data: data.build().map_err(|error| failed(&error))?,
                settings: settings.clone(),
                journal: Journal::new(scratch, place),
            }),
        })
    }

    pub(super) async fn write<T, F>(&self, key: &str, work: F) -> Result<T, Fault>
    where
        T: Send + 'static,
        F: FnOnce(&mut dyn Write) -> Result<T, Stop> + Send + 'static,
    {
        upload::write(self, key, work).await
    }

    pub(super) async fn read<T, F>(&self, key: &str, work: F) -> Result<Option<T>, Fault>
    where
        T: Send + 'static,
        F: FnOnce(&mut dyn Read) -> Result<T, Stop> + Send + 'static,
    {
        download::read(self, key, work).await
    }

    pub(super) async fn length(&self, key: &str) -> Result<Option<u64>, Fault> {
        self.fault("look at", key, self.head(key).await)
    }

    pub(super) async fn list(&self, prefix: &str) -> Result<Vec<Object>, Fault> {
        self.fault("list", prefix, self.list_all(prefix).await)
    }

    pub(super) async fn remove(&self, key: &str) -> Result<(), Fault> {
        self.fault("remove", key, self.delete(key).await)
    }

    /// Writes, reads back and removes a small object.
    pub(super) async fn check(&self) -> Result<(), Fault> {
        let key = format!("{SUBMISSIONS}/.labtop-check-{}", uuid::Uuid::new_v4().simple());
        let written = self
            .write(&key, |out| {
                out.write_all(b"labtop")?;
                Ok(())
            })
            .await;
        let read = match written {
            Ok(()) => {
                self.read(&key, |bytes| {
                    let mut back = Vec::new();
                    bytes.read_to_end(&mut back)?;
                    Ok(back)
                })
                .await
            }
            Err(fault) => Err(fault),
        };
        let removed = self.remove(&key).await;
        if read? != Some(b"labtop".to_vec()) {
            let lied = Trouble::permanent("it took an object and gave back another");
            return Err(trouble::fault(&self.inner.settings, "read", &key, lied));
        }
        removed
    }

    /// Aborts uploads of an earlier life, and any below our prefix that is older than a day. Gives up when the store is
    /// away.
    pub(super) async fn sweep(&self, now_unix_ms: u64) -> usize {
        let mut swept = 0;
        for note in self.inner.journal.notes() {
            match self.abort_full(&note.key, &note.upload_id).await {
                Ok(()) => {
                    self.inner.journal.forget(&note.upload_id);
                    swept += 1;
                }
                // It is away: it would be waited for again and again.
                Err(trouble) if trouble.kind == Kind::Passing => {
                    tracing::warn!(%trouble, "unfinished uploads stay until the next start");
                    return swept;
                }
                Err(trouble) => tracing::warn!(%trouble, key = note.key, "an unfinished upload stays"),
            }
        }
        match self.stale_uploads(now_unix_ms.saturating_sub(STALE_MS)).await {
            Ok(stale) => {
                for (key, id) in stale {
                    swept += usize::from(self.abort_full(&key, &id).await.is_ok());
                }
            }
            // Some stores cannot list uploads; then the bucket's own rules must take them.
            Err(trouble) => tracing::debug!(%trouble, "unfinished uploads cannot be listed"),
        }
        swept
    }

    fn fault<T>(&self, verb: &str, key: &str, result: Result<T, Trouble>) -> Result<T, Fault> {
        result.map_err(|trouble| trouble::fault(&self.inner.settings, verb, key, trouble))
    }

    fn full_key(&self, key: &str) -> String {
        format!("{}{key}", self.inner.settings.prefix)
    }

    fn idle(&self) -> Duration {
        Duration::from_secs(u64::from(self.inner.settings.idle_seconds))
    }
}

fn bucket(settings: &S3Settings, credentials: Credentials) -> Result<Box<Bucket>, s3::error::S3Error> {
    let region = Region::Custom {
        region: settings.region.clone(),
        endpoint: as_sent(&settings.endpoint),
    };
    let mut bucket = Bucket::new(&settings.bucket, region, credentials)?;
    if settings.path_style {
        bucket = bucket.with_path_style();
    }
    let idle = Duration::from_secs(u64::from(settings.idle_seconds));
    bucket.with_request_timeout(CONTROL_LIMIT.min(idle))
}

/// The address as clients send it, since it is signed: in small letters, without the port that its scheme has anyway.
fn as_sent(endpoint: &str) -> String {
    let endpoint = endpoint.to_ascii_lowercase();
    let port = if endpoint.starts_with("https://") {
        ":443"
    } else {
        ":80"
    };
    endpoint.strip_suffix(port).unwrap_or(&endpoint).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_signed_as_it_is_sent() {
        for (written, sent) in [
            ("https://S3.Lab:443", "https://s3.lab"),
            ("http://s3.lab:80", "http://s3.lab"),
            ("http://s3.lab:443", "http://s3.lab:443"),
            ("https://[::1]:8443", "https://[::1]:8443"),
            ("http://[fe80::80]", "http://[fe80::80]"),
            ("http://s3.lab:8080", "http://s3.lab:8080"),
        ] {
            assert_eq!(as_sent(written), sent);
        }
    }
}
