//! Who may sit in a room: students as a supervisor lists them, and the hash of the code with which each says who they are.
//!
//! Knows: what a name, an address and a code look like. Must not know: files, or how codes are hashed.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::ids::{BadId, StudentId};

/// Longest name of a person, characters.
pub const PERSON_NAME_MAX: usize = 120;
/// Longest address, bytes: the limit of mail.
pub const EMAIL_MAX: usize = 254;

text_id!(
    /// A person's name: 1 to 120 characters, none of them a control character, no space at either end.
    PersonName
);
text_id!(
    /// A mail address, as far as anybody can tell without sending to it.
    Email
);

impl PersonName {
    fn check(text: &str) -> Result<(), BadId> {
        let fits = !text.is_empty() && text.chars().count() <= PERSON_NAME_MAX && text.trim() == text;
        let ok = fits && !text.chars().any(char::is_control);
        let rule = "1 to 120 characters, no control characters, no space at either end";
        ok.then_some(()).ok_or_else(|| BadId::new("name", text, rule))
    }
}

impl Email {
    fn check(text: &str) -> Result<(), BadId> {
        let plain = |c: char| !c.is_control() && !c.is_whitespace();
        let halves = text.rsplit_once('@').is_some_and(|(who, host)| {
            !who.is_empty() && !host.is_empty() && !host.starts_with('.') && !host.ends_with('.')
        });
        let ok = text.len() <= EMAIL_MAX && halves && text.chars().all(plain);
        let rule = "must look like ann@example.org";
        ok.then_some(()).ok_or_else(|| BadId::new("mail address", text, rule))
    }
}

/// A student as a supervisor lists them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RosterRow {
    /// Who.
    pub student: StudentId,
    /// Their name; none leaves the one that is known.
    pub name: Option<PersonName>,
    /// Their address; none leaves the one that is known.
    pub email: Option<Email>,
    /// How long their seat is held, minutes; none means as long as the room's.
    pub minutes: Option<u32>,
}

impl RosterRow {
    /// A student of whom nothing but the id is said.
    #[must_use]
    pub fn of(student: StudentId) -> Self {
        Self {
            student,
            name: None,
            email: None,
            minutes: None,
        }
    }
}

/// A student on a roster, as `roster ls` lists them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RosterLine {
    /// What was said of them.
    #[serde(flatten)]
    pub row: RosterRow,
    /// Whether they have an access code.
    pub has_code: bool,
}

/// The argon2id hash of an access code, in the PHC string format.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct CodeHash(String);

impl CodeHash {
    /// Longest that is taken, bytes; ours has about a hundred.
    const MAX: usize = 256;

    /// As text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A hash is of a secret that can be guessed: not even that is printed.
impl fmt::Debug for CodeHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CodeHash(…)")
    }
}

impl FromStr for CodeHash {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let good =
            text.starts_with("$argon2id$") && text.len() <= Self::MAX && text.bytes().all(|b| b.is_ascii_graphic());
        if good {
            Ok(Self(text.to_owned()))
        } else {
            Err("that is no argon2id hash")
        }
    }
}

impl TryFrom<String> for CodeHash {
    type Error = &'static str;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<CodeHash> for String {
    fn from(hash: CodeHash) -> Self {
        hash.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_addresses_are_held_to_their_rules() {
        for good in ["Ann", "Nguyễn Thị Ánh", "O'Neill, B.", &"x".repeat(PERSON_NAME_MAX)] {
            assert!(good.parse::<PersonName>().is_ok(), "{good}");
        }
        for bad in ["", " ", " Ann", "Ann\n", "A\u{1b}[2J", &"x".repeat(PERSON_NAME_MAX + 1)] {
            assert!(bad.parse::<PersonName>().is_err(), "{bad:?}");
        }
        for good in ["a@b", "ann.b+c@example.org", "\"a@b\"@c"] {
            assert!(good.parse::<Email>().is_ok(), "{good}");
        }
        for bad in ["", "@", "a@", "@b", "a b@c", "a@b.", "a@.b", "ann"] {
            assert!(bad.parse::<Email>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_hash_is_not_printed_and_nothing_else_is_taken_for_one() {
        let hash: CodeHash = "$argon2id$v=19$m=19456,t=2,p=1$c2FsdA$aGFzaA".parse().unwrap();
        assert_eq!(format!("{hash:?}"), "CodeHash(…)");
        for bad in ["", "secret", "$argon2d$v=19$x", "$argon2id$ x"] {
            assert!(bad.parse::<CodeHash>().is_err(), "{bad}");
        }
    }
}
