//! What a store's answer means: whether to try again, and what to tell people.

use std::fmt;

use s3::error::S3Error;

use crate::domain::fault::{Fault, FaultCode};
use crate::domain::settings::S3Settings;

/// What kind of trouble.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// The keys are wrong, or may not.
    Auth,
    /// There is no such bucket.
    NoBucket,
    /// There is no such object or upload.
    Missing,
    /// Trying again may help: busy, cut off, silent.
    Passing,
    /// The store has no room.
    Full,
    /// Trying again does not help.
    Permanent,
}

/// A call that failed.
#[derive(Debug, Clone)]
pub(super) struct Trouble {
    pub kind: Kind,
    pub text: String,
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Trouble {
    pub(super) fn passing(text: impl Into<String>) -> Self {
        Self {
            kind: Kind::Passing,
            text: text.into(),
        }
    }

    pub(super) fn permanent(text: impl Into<String>) -> Self {
        Self {
            kind: Kind::Permanent,
            text: text.into(),
        }
    }

    /// What a status and the body of an answer mean.
    pub(super) fn of_answer(status: u16, body: &str) -> Self {
        let code = between(body, "<Code>", "</Code>").unwrap_or_default();
        let message = between(body, "<Message>", "</Message>").unwrap_or_default();
        let kind = match (status, code) {
            (_, "NoSuchBucket") => Kind::NoBucket,
            (_, "NoSuchKey" | "NoSuchUpload") => Kind::Missing,
            (507, _) | (_, "XMinioStorageFull" | "InsufficientStorage") => Kind::Full,
            // Quotas have many codes. Garage's is that of a forbidden call, and only its message tells.
            _ if [code, message]
                .iter()
                .any(|word| word.to_ascii_lowercase().contains("quota")) =>
            {
                Kind::Full
            }
            (_, "RequestTimeTooSkewed") => Kind::Permanent,
            // An upload that fails while it is put together is told of behind a 200, a body that came too slowly with a 400.
            (_, "InternalError" | "SlowDown" | "ServiceUnavailable" | "RequestTimeout" | "OperationAborted") => {
                Kind::Passing
            }
            (401 | 403, _) => Kind::Auth,
            (404, _) => Kind::Missing,
            (408 | 425 | 429 | 500 | 502 | 503 | 504, _) => Kind::Passing,
            _ => Kind::Permanent,
        };
        let words: String = [code, message]
            .join(" ")
            .chars()
            .filter(|c| !c.is_control())
            .take(200)
            .collect();
        let text = format!("it answered {status} {words}").trim_end().to_owned();
        Self { kind, text }
    }
}

impl From<S3Error> for Trouble {
    fn from(error: S3Error) -> Self {
        match error {
            S3Error::HttpFailWithBody(status, body) => Self::of_answer(status, &body),
            S3Error::Reqwest(error) => error.into(),
            S3Error::Io(error) => Self::passing(error.to_string()),
            S3Error::SerdeXml(_) | S3Error::Utf8(_) | S3Error::FromUtf8(_) => {
                Self::permanent("its answer is not that of an S3 store")
            }
            other => Self::permanent(other.to_string()),
        }
    }
}

impl From<reqwest::Error> for Trouble {
    fn from(error: reqwest::Error) -> Self {
        // The URL has a signature in it, which is nobody's business.
        let error = error.without_url();
        if error.is_timeout() {
            return Self::passing("it did not answer in time");
        }
        let mut text = error.to_string();
        let mut source = std::error::Error::source(&error);
        while let Some(cause) = source {
            text = format!("{text}: {cause}");
            source = cause.source();
        }
        if error.is_builder() {
            Self::permanent(text)
        } else {
            Self::passing(text)
        }
    }
}

fn between<'a>(text: &'a str, start: &str, end: &str) -> Option<&'a str> {
    let from = text.find(start)? + start.len();
    let to = text[from..].find(end)?;
    Some(&text[from..from + to])
}

/// In words for people: the thing, the cause, the next step.
pub(super) fn fault(settings: &S3Settings, verb: &str, key: &str, trouble: Trouble) -> Fault {
    let place = format!("{}/{}", settings.endpoint, settings.bucket);
    tracing::warn!(%place, key, verb, trouble = %trouble.text, "archive store");
    let step = match trouble.kind {
        Kind::Auth => "Check the keys of [archive.s3] and what they may do in the bucket",
        Kind::NoBucket => "Make the bucket, or correct [archive.s3] bucket",
        Kind::Missing => "Look into the bucket: something was removed from it",
        Kind::Passing => "It is tried again; look at the store and the way to it",
        Kind::Full => "Make room in the store, or raise its quota",
        Kind::Permanent => "Look at the store's log",
    };
    let cause = trouble.text;
    Fault::new(FaultCode::Store, format!("could not {verb} {key} in {place}: {cause}"))
        .hint(format!("{step}; work that is not stored is kept"))
}

/// The settings cannot be used.
pub(super) fn setting(settings: &S3Settings, what: &str) -> Fault {
    let place = format!("{}/{}", settings.endpoint, settings.bucket);
    Fault::new(
        FaultCode::Store,
        format!("the archive store {place} cannot be used: {what}"),
    )
    .hint("Correct [archive.s3] in the configuration, then start the agent again")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_told_apart() {
        let kind = |status, code: &str| Trouble::of_answer(status, &format!("<Error><Code>{code}</Code></Error>")).kind;
        assert_eq!(kind(403, "AccessDenied"), Kind::Auth);
        assert_eq!(kind(404, "NoSuchBucket"), Kind::NoBucket);
        assert_eq!(kind(404, ""), Kind::Missing);
        assert_eq!(kind(503, "SlowDown"), Kind::Passing);
        assert_eq!(kind(507, ""), Kind::Full);
        assert_eq!(kind(403, "QuotaExceeded"), Kind::Full);
        assert_eq!(kind(400, "XMinioAdminBucketQuotaExceeded"), Kind::Full);
        assert_eq!(kind(400, "InvalidPart"), Kind::Permanent);
        assert_eq!(kind(400, "RequestTimeout"), Kind::Passing);
        assert_eq!(kind(200, "InternalError"), Kind::Passing);
        assert_eq!(kind(403, "RequestTimeTooSkewed"), Kind::Permanent);
        let garage =
            "<Error><Code>AccessDenied</Code><Message>Forbidden: Bucket size quota is reached</Message></Error>";
        assert_eq!(Trouble::of_answer(403, garage).kind, Kind::Full);
        assert!(!Trouble::of_answer(500, "<Code>a\x1b[2J</Code>").text.contains('\x1b'));
    }
}
