//! Access codes: made, hashed, compared.
//!
//! Knows: Crockford's alphabet, argon2id and its cost. Must not know: whose a code is.
//!
//! A code is typed from paper, so it has no letters that look like digits, and case, hyphens and spaces do not matter.
//! Forty bits are far beyond what anybody can try against the lockout; a stolen ledger is held up by the hash's cost.

use std::sync::LazyLock;

use argon2::password_hash::{PasswordHasher, PasswordVerifier, phc::PasswordHash};
use argon2::{Algorithm, Argon2, Params, Version};
use sha2::{Digest, Sha256};

use crate::domain::door::AccessCode;
use crate::domain::hex::hex;
use crate::domain::roster::CodeHash;

/// Crockford's base 32.
const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
/// Characters of a student's code: 40 bits.
const STUDENT_CODE: usize = 8;
/// Characters of a supervisor's code for a look: 60 bits, for it is not hashed slowly.
const PEEK_CODE: usize = 12;
/// Characters between two hyphens.
const GROUP: usize = 4;
/// Memory of one hash, KiB; passes; lanes: the least that OWASP recommends for argon2id, about 20 ms.
const COST: (u32, u32, u32) = (19 * 1024, 2, 1);
/// Longest that is looked at of what somebody typed, bytes.
const TYPED_MAX: usize = 64;

/// Why no code or hash was made.
#[derive(Debug, thiserror::Error)]
#[error("no access code can be made: {0}")]
pub struct CodeError(String);

/// A new code for a student, as it is printed: `7KQ2-M9XD`.
///
/// # Errors
/// When the system gives no random bytes.
pub fn for_student() -> Result<String, CodeError> {
    generate(STUDENT_CODE)
}

/// A new code for a look into a seat, `7KQ2-M9XD-0TRB`, and its digest. The agent is sent the digest alone, so nobody
/// but the person can use the code.
///
/// # Errors
/// When the system gives no random bytes.
pub fn for_peek() -> Result<(AccessCode, String), CodeError> {
    let code = generate(PEEK_CODE)?;
    let digest = digest(&code).unwrap_or_default();
    Ok((AccessCode::new(code), digest))
}

fn generate(length: usize) -> Result<String, CodeError> {
    let mut bytes = vec![0_u8; length];
    getrandom::fill(&mut bytes).map_err(|error| CodeError(error.to_string()))?;
    // 256 is a multiple of 32, so every character is as likely as any other.
    let characters: Vec<char> = bytes
        .iter()
        .map(|b| char::from(ALPHABET[usize::from(b % 32)]))
        .collect();
    let groups: Vec<String> = characters.chunks(GROUP).map(|group| group.iter().collect()).collect();
    Ok(groups.join("-"))
}

/// What was typed in the form that is hashed; none when it cannot be a code.
#[must_use]
pub fn normal(typed: &str) -> Option<String> {
    if typed.len() > TYPED_MAX {
        return None;
    }
    let code: Option<String> = typed
        .chars()
        .filter(|c| !c.is_whitespace() && *c != '-')
        .map(|c| match c.to_ascii_uppercase() {
            'O' => Some('0'),
            'I' | 'L' => Some('1'),
            upper => u8::try_from(upper)
                .ok()
                .filter(|b| ALPHABET.contains(b))
                .map(char::from),
        })
        .collect();
    code.filter(|code| [STUDENT_CODE, PEEK_CODE].contains(&code.len()))
}

/// The hash of a code, with a salt of its own. Takes about 20 ms and 19 MiB.
///
/// # Errors
/// When it is no code, or the system gives no random bytes.
pub fn hash(code: &str) -> Result<CodeHash, CodeError> {
    let code = normal(code).ok_or_else(|| CodeError("that is no code".to_owned()))?;
    let hasher = hasher().ok_or_else(|| CodeError("the cost of the hash is out of bounds".to_owned()))?;
    let hash = hasher.hash_password(code.as_bytes());
    let hash = hash.map_err(|error| CodeError(error.to_string()))?;
    hash.to_string()
        .parse()
        .map_err(|error: &str| CodeError(error.to_owned()))
}

/// Whether what was typed is the code of that hash. Without a hash it takes as long, so that nobody learns which
/// students there are.
#[must_use]
pub fn matches(hash: Option<&CodeHash>, typed: &str) -> bool {
    static NOBODY: LazyLock<Option<CodeHash>> = LazyLock::new(|| self::hash("00000000").ok());
    let typed = normal(typed).unwrap_or_default();
    let known = hash.or(NOBODY.as_ref());
    let Some(known) = known.and_then(|hash| PasswordHash::new(hash.as_str()).ok()) else {
        return false;
    };
    let right = Argon2::default().verify_password(typed.as_bytes(), &known).is_ok();
    right && hash.is_some()
}

/// What stands for a code that is used once, and soon: SHA-256 in hexadecimal; none when it cannot be one.
#[must_use]
pub fn digest(code: &str) -> Option<String> {
    let code = normal(code).filter(|code| code.len() == PEEK_CODE)?;
    Some(hex(&Sha256::digest(code)))
}

fn hasher() -> Option<Argon2<'static>> {
    let (memory, passes, lanes) = COST;
    let params = Params::new(memory, passes, lanes, None).ok()?;
    Some(Argon2::new(Algorithm::Argon2id, Version::V0x13, params))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_easy_to_type_and_differ() {
        let code = for_student().unwrap();
        assert_eq!((code.len(), code.as_bytes()[4]), (9, b'-'));
        assert_ne!(code, for_student().unwrap());
        assert_eq!(for_peek().unwrap().0.expose().len(), 14);
        assert_eq!(normal("o1li-oooo").as_deref(), Some("01110000"));
        assert_eq!(normal(" 7kq2 m9xd ").as_deref(), Some("7KQ2M9XD"));
        for bad in ["", "7KQ2", "7KQ2-M9XU", "7KQ2-M9XD-", "ÄÄÄÄÄÄÄÄ", &"7".repeat(65)] {
            let expected = (bad == "7KQ2-M9XD-").then(|| "7KQ2M9XD".to_owned());
            assert_eq!(normal(bad), expected, "{bad}");
        }
    }

    #[test]
    fn only_the_right_code_matches() {
        let hash = hash("7KQ2-M9XD").unwrap();
        assert!(
            hash.as_str().starts_with("$argon2id$v=19$m=19456,t=2,p=1$"),
            "{}",
            hash.as_str()
        );
        assert!(matches(Some(&hash), "7kq2m9xd"));
        for wrong in ["7KQ2-M9XE", "", "7KQ2", "7KQ2-M9XD-0000"] {
            assert!(!matches(Some(&hash), wrong), "{wrong}");
        }
        assert!(!matches(None, "7KQ2-M9XD") && !matches(None, "00000000"));
    }

    #[test]
    fn a_look_has_a_digest_and_a_student_none() {
        assert_eq!(digest("7KQ2-M9XD-0TRB").map(|text| text.len()), Some(64));
        assert_eq!(digest("7kq2m9xdotrb"), digest("7KQ2-M9XD-0TRB"));
        assert_eq!(digest("7KQ2-M9XD"), None);
    }
}
