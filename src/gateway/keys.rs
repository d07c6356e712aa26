//! The signing key, and what it signs: session cookies, and marks of forms.
//!
//! Knows: a file of this user's alone, and how long a key counts. Must not know: who has a session.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{PoisonError, RwLock};

use hmac::{Hmac, Mac};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Serialize};
use sha2::Sha256;

use super::hs256;
use crate::domain::door::{SESSION_MAX_MS, SessionRecord};
use crate::domain::hex::hex;
use crate::domain::ids::SessionId;

/// How long a key signs, before a new one does.
const SIGNS_FOR_MS: u64 = 7 * 24 * 60 * 60 * 1_000;
/// Bytes of a key: as many as the digest has.
const KEY_BYTES: usize = 32;

/// Why there is no key.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The file cannot be read or written.
    #[error("the signing key {} cannot be used: {cause}", .file.display())]
    Io {
        /// Which.
        file: PathBuf,
        /// Why.
        cause: io::Error,
    },
    /// Somebody else could have read it.
    #[error(
        "the signing key {file} may be read by others: take that right away (chmod 600 {file}), or remove the file, \
         which signs everybody out",
        file = .0.display()
    )]
    Exposed(PathBuf),
    /// It is no key.
    #[error("{} is no signing key: remove it, which signs everybody out", .0.display())]
    Damaged(PathBuf),
    /// The system gives no random bytes.
    #[error("no signing key can be made: {0}")]
    Random(String),
}

/// One key, as the file has it.
#[derive(Clone, Serialize, Deserialize)]
struct Key {
    /// Which: stands in the head of what it signs.
    id: String,
    /// Hexadecimal.
    secret: String,
    /// When it began to sign, Unix milliseconds; none while the time is not known.
    since_unix_ms: Option<u64>,
}

/// The keys that count, the newest first.
pub(super) struct Keys {
    file: PathBuf,
    all: RwLock<Vec<Key>>,
}

/// What a session's cookie says. It only names the session: what that may is looked up.
#[derive(Debug, Serialize, Deserialize)]
struct Claims {
    jti: String,
    /// Unix seconds.
    iat: u64,
    exp: u64,
}

impl Keys {
    /// The keys of a directory; the first one is made when there is none.
    pub(super) fn open(directory: &Path) -> Result<Self, KeyError> {
        hs256::install();
        let file = directory.join("gateway-keys.json");
        let keys = match fs::metadata(&file) {
            Ok(found) if found.mode() & 0o077 != 0 => return Err(KeyError::Exposed(file)),
            Ok(_) => read(&file)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let first = vec![new_key(None)?];
                write(&file, &first)?;
                first
            }
            Err(cause) => return Err(KeyError::Io { file, cause }),
        };
        Ok(Self {
            file,
            all: RwLock::new(keys),
        })
    }

    /// Makes a new key when the newest one has signed long enough; an older one counts as long as something that it
    /// signed may.
    pub(super) fn rotate(&self, now_unix_ms: u64) -> Result<(), KeyError> {
        let mut keys = self.all.read().unwrap_or_else(PoisonError::into_inner).clone();
        let Some(newest) = keys.first_mut() else { return Ok(()) };
        let age = newest.since_unix_ms.map(|since| now_unix_ms.saturating_sub(since));
        match age {
            Some(age) if age < SIGNS_FOR_MS => return Ok(()),
            None => newest.since_unix_ms = Some(now_unix_ms),
            Some(_) => {
                keys.insert(0, new_key(Some(now_unix_ms))?);
                // A key signed until the next newer one began.
                let mut newer = None;
                keys.retain(|key| {
                    let counts = newer.is_none_or(|end: u64| now_unix_ms < end + SESSION_MAX_MS);
                    newer = key.since_unix_ms.or(newer);
                    counts
                });
                tracing::info!(keys = keys.len(), "a new signing key");
            }
        }
        write(&self.file, &keys)?;
        *self.all.write().unwrap_or_else(PoisonError::into_inner) = keys;
        Ok(())
    }

    /// A session's cookie.
    pub(super) fn sign(&self, session: &SessionRecord) -> Option<String> {
        let keys = self.all.read().unwrap_or_else(PoisonError::into_inner);
        let key = keys.first()?;
        let longest = session.began_unix_ms + SESSION_MAX_MS;
        let claims = Claims {
            jti: session.id.to_string(),
            iat: session.began_unix_ms / 1_000,
            exp: session.ends_unix_ms.min(longest) / 1_000,
        };
        let head = Header {
            kid: Some(key.id.clone()),
            ..Header::new(Algorithm::HS256)
        };
        let secret = EncodingKey::from_secret(&bytes(&key.secret)?);
        jsonwebtoken::encode(&head, &claims, &secret).ok()
    }

    /// The session that a cookie names, when one of the keys signed it and it is not over.
    pub(super) fn read(&self, token: &str, now_unix_ms: u64) -> Option<SessionId> {
        let keys = self.all.read().unwrap_or_else(PoisonError::into_inner);
        let head = jsonwebtoken::decode_header(token).ok()?;
        let key = keys.iter().find(|key| Some(&key.id) == head.kid.as_ref())?;
        let secret = DecodingKey::from_secret(&bytes(&key.secret)?);
        let mut rules = Validation::new(Algorithm::HS256);
        // Judged by the agent's clock below.
        rules.validate_exp = false;
        rules.set_required_spec_claims(&["exp"]);
        let claims = jsonwebtoken::decode::<Claims>(token, &secret, &rules).ok()?.claims;
        let now = now_unix_ms / 1_000;
        let longest = claims.iat.saturating_add(SESSION_MAX_MS / 1_000);
        if now >= claims.exp || claims.exp > longest {
            return None;
        }
        claims.jti.parse().ok()
    }

    /// What a form of a session's page bears, so that no other site can send it.
    pub(super) fn mark(&self, session: &SessionId) -> Option<String> {
        let keys = self.all.read().unwrap_or_else(PoisonError::into_inner);
        Some(hex(&mark_by(keys.first()?, session)?))
    }

    /// Whether a form bears a session's mark.
    pub(super) fn is_marked(&self, session: &SessionId, mark: &str) -> bool {
        let Some(mark) = bytes(mark) else { return false };
        let keys = self.all.read().unwrap_or_else(PoisonError::into_inner);
        keys.iter().any(|key| {
            let by = mac(key).map(|mac| mac.chain_update(FORM).chain_update(session.as_str()));
            by.is_some_and(|by| by.verify_slice(&mark).is_ok())
        })
    }
}

/// Keeps marks of forms and signatures of cookies apart.
const FORM: &str = "form of ";

fn mac(key: &Key) -> Option<Hmac<Sha256>> {
    Hmac::new_from_slice(&bytes(&key.secret)?).ok()
}

fn mark_by(key: &Key, session: &SessionId) -> Option<Vec<u8>> {
    let signed = mac(key)?.chain_update(FORM).chain_update(session.as_str());
    Some(signed.finalize().into_bytes().to_vec())
}

fn new_key(since_unix_ms: Option<u64>) -> Result<Key, KeyError> {
    let mut drawn = [0_u8; KEY_BYTES + 8];
    getrandom::fill(&mut drawn).map_err(|error| KeyError::Random(error.to_string()))?;
    let (secret, id) = drawn.split_at(KEY_BYTES);
    Ok(Key {
        id: hex(id),
        secret: hex(secret),
        since_unix_ms,
    })
}

fn bytes(hex: &str) -> Option<Vec<u8>> {
    if !hex.is_ascii() || !hex.len().is_multiple_of(2) {
        return None;
    }
    (0..hex.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&hex[at..at + 2], 16).ok())
        .collect()
}

fn read(file: &Path) -> Result<Vec<Key>, KeyError> {
    let text = fs::read(file).map_err(|cause| KeyError::Io {
        file: file.to_owned(),
        cause,
    })?;
    let keys: Vec<Key> = serde_json::from_slice(&text).map_err(|_| KeyError::Damaged(file.to_owned()))?;
    let whole = |key: &Key| bytes(&key.secret).is_some_and(|secret| secret.len() == KEY_BYTES);
    if keys.is_empty() || !keys.iter().all(whole) {
        return Err(KeyError::Damaged(file.to_owned()));
    }
    Ok(keys)
}

/// Beside its place first, so that a half-written one never stands there.
fn write(file: &Path, keys: &[Key]) -> Result<(), KeyError> {
    let failed = |cause| KeyError::Io {
        file: file.to_owned(),
        cause,
    };
    let text = serde_json::to_vec(keys).map_err(|error| failed(io::Error::other(error)))?;
    let beside = file.with_extension("new");
    let _ = fs::remove_file(&beside);
    let mut new = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&beside)
        .map_err(failed)?;
    new.write_all(&text).and_then(|()| new.sync_all()).map_err(failed)?;
    fs::rename(&beside, file).map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_800_000_000_000;
    const HOUR: u64 = 60 * 60 * 1_000;

    fn keys() -> (tempfile::TempDir, Keys) {
        let dir = tempfile::tempdir().unwrap();
        let keys = Keys::open(dir.path()).unwrap();
        (dir, keys)
    }

    fn session(ends_unix_ms: u64) -> SessionRecord {
        SessionRecord {
            id: "0123456789abcdef0123456789abcdef".parse().unwrap(),
            seat: "a/an".parse().unwrap(),
            opening: 1,
            began_unix_ms: NOW,
            ends_unix_ms,
            address: String::new(),
            onlooker: None,
        }
    }

    /// The parts of a token, one of them replaced.
    fn with_part(token: &str, at: usize, part: &str) -> String {
        let mut parts: Vec<&str> = token.split('.').collect();
        parts[at] = part;
        parts.join(".")
    }

    fn encoded(json: &str) -> String {
        const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        let mut text = String::new();
        for piece in json.as_bytes().chunks(3) {
            let word = piece.iter().fold(0_u32, |word, b| word << 8 | u32::from(*b)) << (8 * (3 - piece.len()));
            for at in 0..=piece.len() {
                let digit = usize::try_from(word >> (18 - 6 * at) & 63).unwrap();
                text.push(char::from(DIGITS[digit]));
            }
        }
        text
    }

    #[test]
    fn a_cookie_names_its_session_until_it_ends() {
        let (_dir, keys) = keys();
        let token = keys.sign(&session(NOW + HOUR)).unwrap();
        assert_eq!(keys.read(&token, NOW), Some(session(0).id));
        assert_eq!(keys.read(&token, NOW + HOUR - 1_000), Some(session(0).id));
        assert_eq!(keys.read(&token, NOW + HOUR), None);
        let long = keys.sign(&session(NOW + 100 * HOUR)).unwrap();
        assert_eq!(keys.read(&long, NOW + 12 * HOUR), None, "twelve hours are the longest");
    }

    #[test]
    fn what_another_signed_or_nobody_is_not_believed() {
        let ((_dir, keys), (_other_dir, others)) = (keys(), keys());
        let token = keys.sign(&session(NOW + HOUR)).unwrap();
        let kid = jsonwebtoken::decode_header(&token).unwrap().kid.unwrap();
        let foreign = others.sign(&session(NOW + HOUR)).unwrap();
        assert_eq!(keys.read(&foreign, NOW), None, "another key");
        let claims = token.split('.').nth(1).unwrap();
        for head in [
            r#"{"alg":"none","typ":"JWT"}"#.to_owned(),
            format!(r#"{{"alg":"none","kid":"{kid}"}}"#),
            format!(r#"{{"alg":"HS384","kid":"{kid}"}}"#),
            format!(r#"{{"alg":"RS256","kid":"{kid}"}}"#),
            r#"{"alg":"HS256"}"#.to_owned(),
            format!(r#"{{"alg":"HS256","kid":"{kid}","x":1}}"#),
        ] {
            let head = encoded(&head);
            for signature in ["", token.split('.').nth(2).unwrap()] {
                let forged = format!("{head}.{claims}.{signature}");
                assert_eq!(keys.read(&forged, NOW), None, "{forged}");
            }
        }
        let other = encoded(r#"{"jti":"ffffffffffffffffffffffffffffffff","iat":1800000000,"exp":1800003600}"#);
        for bad in [
            with_part(&token, 1, &other),
            with_part(&token, 2, ""),
            token[..token.len() - 1].to_owned(),
            format!("{token}."),
            format!("{token}.x"),
            String::new(),
            ".".repeat(5),
            "x".repeat(10_000),
        ] {
            assert_eq!(keys.read(&bad, NOW), None, "{bad}");
        }
    }

    #[test]
    fn keys_change_with_overlap() {
        let (dir, keys) = keys();
        keys.rotate(NOW).unwrap();
        let token = keys.sign(&session(NOW + SESSION_MAX_MS)).unwrap();
        keys.rotate(NOW + SIGNS_FOR_MS - 1).unwrap();
        assert_eq!(keys.all.read().unwrap().len(), 1);
        keys.rotate(NOW + SIGNS_FOR_MS).unwrap();
        assert_eq!(
            keys.read(&token, NOW + HOUR),
            Some(session(0).id),
            "the older one still counts"
        );
        // Another start finds both; the next change drops the oldest.
        let again = Keys::open(dir.path()).unwrap();
        assert_eq!(again.read(&token, NOW + HOUR), Some(session(0).id));
        again.rotate(NOW + 2 * SIGNS_FOR_MS).unwrap();
        assert_eq!(again.read(&token, NOW + HOUR), None);
        assert_eq!(again.all.read().unwrap().len(), 2);
    }

    #[test]
    fn the_file_is_this_users_alone() {
        use std::os::unix::fs::PermissionsExt;
        let (dir, _keys) = keys();
        let file = dir.path().join("gateway-keys.json");
        assert_eq!(fs::metadata(&file).unwrap().mode() & 0o777, 0o600);
        fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
        assert!(matches!(Keys::open(dir.path()), Err(KeyError::Exposed(_))));
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
        fs::write(&file, "[]").unwrap();
        assert!(matches!(Keys::open(dir.path()), Err(KeyError::Damaged(_))));
    }

    #[test]
    fn a_form_is_marked_for_its_session_alone() {
        let (_dir, keys) = keys();
        let (own, other) = (session(0).id, "f".repeat(32).parse().unwrap());
        let mark = keys.mark(&own).unwrap();
        assert!(keys.is_marked(&own, &mark));
        assert!(!keys.is_marked(&other, &mark) && !keys.is_marked(&own, "") && !keys.is_marked(&own, "zz"));
    }
}
