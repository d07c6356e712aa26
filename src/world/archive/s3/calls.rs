//! The small calls: initiate, complete, abort, head, list, delete. Each is tried again within bounds.

use std::collections::HashMap;
use std::time::Duration;

use s3::serde_types::Part;

use super::trouble::{Kind, Trouble};
use super::{Object, S3, SIGNED_SECONDS};
use crate::domain::names::SUBMISSIONS;

/// First pause before a call is tried again; it doubles.
const PAUSE: Duration = Duration::from_millis(200);
/// Longest such pause.
const PAUSE_MAX: Duration = Duration::from_secs(5);
const CONTENT_TYPE: &str = "application/octet-stream";

/// Waits before attempt number `attempt`, from 1.
pub(super) async fn pause(attempt: u32) {
    let pause = PAUSE.saturating_mul(1 << attempt.saturating_sub(1).min(10));
    tokio::time::sleep(pause.min(PAUSE_MAX)).await;
}

impl S3 {
    /// Calls until it succeeds, fails for good, or has been tried often enough.
    pub(super) async fn again<T, F>(&self, call: impl Fn() -> F) -> Result<T, Trouble>
    where
        F: Future<Output = Result<T, Trouble>>,
    {
        let mut attempt = 0;
        loop {
            match call().await {
                Err(trouble) if trouble.kind == Kind::Passing && attempt < self.inner.settings.retries => {
                    attempt += 1;
                    tracing::debug!(%trouble, attempt, "a call of the store is tried again");
                    pause(attempt).await;
                }
                result => return result,
            }
        }
    }

    pub(super) async fn initiate(&self, key: &str) -> Result<String, Trouble> {
        let (bucket, key) = (&self.inner.bucket, &self.full_key(key));
        self.again(|| async {
            let begun = bucket.initiate_multipart_upload(key, CONTENT_TYPE).await?;
            Ok(begun.upload_id)
        })
        .await
    }

    pub(super) async fn complete(&self, key: &str, upload_id: &str, parts: &[Part]) -> Result<(), Trouble> {
        let (bucket, key) = (&self.inner.bucket, &self.full_key(key));
        self.again(|| async {
            bucket.complete_multipart_upload(key, upload_id, parts.to_vec()).await?;
            Ok(())
        })
        .await
    }

    /// An upload that is gone already is fine.
    pub(super) async fn abort(&self, key: &str, upload_id: &str) -> Result<(), Trouble> {
        self.abort_full(&self.full_key(key), upload_id).await
    }

    pub(super) async fn abort_full(&self, full_key: &str, upload_id: &str) -> Result<(), Trouble> {
        let bucket = &self.inner.bucket;
        let aborted = self.again(|| async {
            bucket.abort_upload(full_key, upload_id).await?;
            Ok(())
        });
        match aborted.await {
            Err(trouble) if trouble.kind == Kind::Missing => Ok(()),
            result => result,
        }
    }

    /// The length of an object; none when there is none.
    pub(super) async fn head(&self, key: &str) -> Result<Option<u64>, Trouble> {
        let (bucket, key) = (&self.inner.bucket, &self.full_key(key));
        let looked = self.again(|| async {
            let (head, _) = bucket.head_object(key).await?;
            Ok(head.content_length)
        });
        match looked.await {
            Ok(length) => Ok(Some(length.and_then(|length| u64::try_from(length).ok()).unwrap_or(0))),
            Err(trouble) if trouble.kind == Kind::Missing => Ok(None),
            Err(trouble) => Err(trouble),
        }
    }

    pub(super) async fn delete(&self, key: &str) -> Result<(), Trouble> {
        let (bucket, key) = (&self.inner.bucket, &self.full_key(key));
        let deleted = self.again(|| async {
            bucket.delete_object(key).await?;
            Ok(())
        });
        match deleted.await {
            Err(trouble) if trouble.kind == Kind::Missing => Ok(()),
            result => result,
        }
    }

    pub(super) async fn list_all(&self, prefix: &str) -> Result<Vec<Object>, Trouble> {
        let (bucket, full) = (&self.inner.bucket, &self.full_key(prefix));
        let pages = self
            .again(|| async { Ok(bucket.list(full.clone(), None).await?) })
            .await?;
        let own = &self.inner.settings.prefix;
        let objects = pages.into_iter().flat_map(|page| page.contents);
        let mut objects: Vec<Object> = objects
            .filter_map(|object| {
                Some(Object {
                    key: object.key.strip_prefix(own.as_str())?.to_owned(),
                    bytes: object.size,
                })
            })
            .collect();
        objects.sort_by(|a, b| a.key.cmp(&b.key));
        Ok(objects)
    }

    /// Keys and ids of uploads below our prefix that were begun before a time.
    pub(super) async fn stale_uploads(&self, before_unix_ms: u64) -> Result<Vec<(String, String)>, Trouble> {
        let below = self.full_key(SUBMISSIONS);
        let pages = self.inner.bucket.list_multiparts_uploads(Some(&below), None).await?;
        let uploads = pages.into_iter().flat_map(|page| page.uploads);
        let old = |initiated: &str| {
            let begun = initiated.parse::<jiff::Timestamp>().ok();
            begun.is_some_and(|at| u64::try_from(at.as_millisecond()).is_ok_and(|at| at < before_unix_ms))
        };
        Ok(uploads
            .filter(|upload| old(&upload.initiated))
            .map(|upload| (upload.key, upload.id))
            .collect())
    }

    /// A URL to which an object, or a part of an upload, may be put.
    pub(super) async fn put_url(&self, key: &str, part: Option<(&str, u32)>) -> Result<String, Trouble> {
        let queries = part.map(|(id, number)| {
            HashMap::from([
                ("uploadId".to_owned(), id.to_owned()),
                ("partNumber".to_owned(), number.to_string()),
            ])
        });
        let key = self.full_key(key);
        let signed = self.inner.bucket.presign_put(&key, SIGNED_SECONDS, None, queries);
        Ok(signed.await?)
    }

    /// A URL from which an object may be read.
    pub(super) async fn get_url(&self, key: &str) -> Result<String, Trouble> {
        let key = self.full_key(key);
        Ok(self.inner.bucket.presign_get(&key, SIGNED_SECONDS, None).await?)
    }
}
