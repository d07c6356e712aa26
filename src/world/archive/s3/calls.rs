//! The small calls: initiate, complete, abort, head, list, delete. Each is tried again within bounds.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use s3::serde_types::Part;

use super::trouble::{Kind, Trouble};
use super::{Object, S3, SIGNED_SECONDS};
use crate::domain::names::SUBMISSIONS;

/// First pause before a call is tried again; it doubles.
const PAUSE: Duration = Duration::from_millis(200);
/// Longest such pause.
const PAUSE_MAX: Duration = Duration::from_secs(5);
/// What a store puts together in a second, if it copies the parts: an old disk does more.
const JOINED_PER_SECOND: u64 = 16 << 20;
/// Longest time that a store may take to put an upload together.
const JOIN_MAX: Duration = Duration::from_mins(5);
/// Most bytes of a refusal that are read: its words are in the first lines.
const REFUSAL_MAX: usize = 64 * 1024;
const CONTENT_TYPE: &str = "application/octet-stream";

/// Waits before attempt number `attempt`, from 1.
pub(super) async fn pause(attempt: u32) {
    let pause = PAUSE.saturating_mul(1 << attempt.saturating_sub(1).min(10));
    tokio::time::sleep(pause.min(PAUSE_MAX)).await;
}

/// How long putting an upload of this length together may take, where silence is borne for `idle`.
fn join_limit(length: u64, idle: Duration) -> Duration {
    (idle + Duration::from_secs(length / JOINED_PER_SECOND)).min(JOIN_MAX.max(idle))
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

    /// Has the parts put together. A store may copy them, so that this takes longer than other calls.
    pub(super) async fn complete(
        &self,
        key: &str,
        upload_id: &str,
        parts: &[Part],
        length: u64,
    ) -> Result<(), Trouble> {
        let limit = join_limit(length, self.idle());
        let (bucket, key) = (&self.inner.bucket.with_request_timeout(limit)?, &self.full_key(key));
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
        let own = &self.inner.settings.prefix;
        let (mut objects, mut seen, mut next) = (Vec::new(), BTreeSet::new(), None::<String>);
        loop {
            let page = self.again(|| async {
                let (page, _) = bucket.list_page(full.clone(), None, next.clone(), None, None).await?;
                Ok(page)
            });
            let page = page.await?;
            objects.extend(page.contents.into_iter().filter_map(|object| {
                let key = object.key.strip_prefix(own.as_str())?.to_owned();
                Some(Object {
                    key,
                    bytes: object.size,
                })
            }));
            next = page.next_continuation_token;
            match &next {
                None => break,
                // A page that was there already: it would go on like that for ever.
                Some(token) if !seen.insert(token.clone()) => {
                    return Err(Trouble::permanent("its list goes round in circles"));
                }
                Some(_) => {}
            }
        }
        objects.sort_by(|a, b| a.key.cmp(&b.key));
        Ok(objects)
    }

    /// What an answer that is no success means. Only its beginning is read, and only for a while.
    pub(super) async fn refusal(&self, mut answer: reqwest::Response) -> Trouble {
        let (status, mut body) = (answer.status().as_u16(), Vec::new());
        let read = async {
            while body.len() < REFUSAL_MAX
                && let Ok(Some(piece)) = answer.chunk().await
            {
                body.extend_from_slice(&piece);
            }
        };
        // What came until then is all that there is to say.
        let _ = tokio::time::timeout(self.idle(), read).await;
        Trouble::of_answer(status, &String::from_utf8_lossy(&body))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_large_upload_may_take_longer_to_put_together() {
        let limit = |length, idle| join_limit(length, Duration::from_secs(idle)).as_secs();
        assert_eq!(limit(0, 30), 30);
        assert_eq!(limit(1 << 30, 30), 94);
        assert_eq!(limit(48 << 30, 30), JOIN_MAX.as_secs());
        assert_eq!(limit(48 << 30, 600), 600);
    }
}
