//! The access and secret keys: from files that only their owner reads, or from the agent's environment.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use s3::creds::Credentials;

use super::trouble::setting;
use crate::domain::fault::Fault;
use crate::domain::settings::S3Settings;

/// Longest key that is read.
const KEY_MAX: u64 = 4096;

/// The keys of the settings.
pub(super) fn load(settings: &S3Settings) -> Result<Credentials, Fault> {
    let wrong = |text: String| setting(settings, &text);
    let access = one(
        settings.access_key_file.as_deref(),
        "AWS_ACCESS_KEY_ID",
        "access_key_file",
    )
    .map_err(wrong)?;
    let secret = one(
        settings.secret_key_file.as_deref(),
        "AWS_SECRET_ACCESS_KEY",
        "secret_key_file",
    )
    .map_err(wrong)?;
    let token = std::env::var("AWS_SESSION_TOKEN").ok();
    let token = token.filter(|_| settings.secret_key_file.is_none());
    Credentials::new(Some(&access), Some(&secret), token.as_deref(), None, None)
        .map_err(|_| wrong("its keys are no keys".into()))
}

fn one(file: Option<&Path>, variable: &str, key: &str) -> Result<String, String> {
    let Some(path) = file else {
        let found = std::env::var(variable).ok().filter(|value| !value.is_empty());
        return found
            .ok_or_else(|| format!("it has no key: write [archive.s3] {key}, or set {variable} for the agent"));
    };
    read(path).map_err(|what| format!("{key}: {} {what}", path.display()))
}

fn read(path: &Path) -> Result<String, String> {
    /// What others may do with a file.
    const OTHERS: u32 = 0o077;
    let file = File::open(path).map_err(|error| format!("cannot be read ({error})"))?;
    let about = file.metadata().map_err(|error| format!("cannot be read ({error})"))?;
    if about.mode() & OTHERS != 0 {
        return Err("may be read by others: chmod 600 it".into());
    }
    let mut text = String::new();
    file.take(KEY_MAX)
        .read_to_string(&mut text)
        .map_err(|_| "is no text".to_owned())?;
    let text = text.trim();
    if text.is_empty() || text.contains(char::is_whitespace) {
        return Err("must hold the key and nothing else".into());
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_key_that_others_may_read_is_refused() {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), "secret\n").unwrap();
        fs::set_permissions(file.path(), Permissions::from_mode(0o600)).unwrap();
        assert_eq!(read(file.path()).as_deref(), Ok("secret"));
        fs::set_permissions(file.path(), Permissions::from_mode(0o640)).unwrap();
        assert!(read(file.path()).unwrap_err().contains("chmod 600"));
        fs::set_permissions(file.path(), Permissions::from_mode(0o600)).unwrap();
        fs::write(file.path(), "two words").unwrap();
        assert!(read(file.path()).is_err());
    }
}
