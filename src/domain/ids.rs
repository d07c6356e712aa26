//! Identities and the rules that hostile input must pass before it becomes one.
//!
//! Knows: the permitted alphabets and the injective encodings of (room, student).
//! Must not know: Docker, the ledger, or who asks.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Longest room name, in bytes. With the instance mark it fits every system that names are given to.
pub const ROOM_NAME_MAX: usize = 32;
/// Longest student id, in bytes.
pub const STUDENT_ID_MAX: usize = 64;

/// Why a text is not a valid identity: names the value, made visible, and the rule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{kind} {shown} is not valid: {rule}")]
pub struct BadId {
    kind: &'static str,
    shown: String,
    rule: &'static str,
}

impl BadId {
    pub(super) fn new(kind: &'static str, value: &str, rule: &'static str) -> Self {
        Self {
            kind,
            shown: quoted(value),
            rule,
        }
    }
}

/// Shows hostile text harmlessly: escapes control bytes, cuts what is long.
#[must_use]
pub fn quoted(value: &str) -> String {
    const SHOWN_MAX: usize = 48;
    let mut shown: String = value.chars().take(SHOWN_MAX).collect();
    if value.chars().count() > SHOWN_MAX {
        shown.push('…');
    }
    format!("{shown:?}")
}

text_id!(
    /// A room's name: `[a-z0-9][a-z0-9-]{0,31}`.
    RoomName
);
text_id!(
    /// A student's id: `[A-Za-z0-9][A-Za-z0-9._-]{0,63}`.
    StudentId
);
text_id!(
    /// A template's name: the same rule as a room's.
    TemplateName
);
text_id!(
    /// One ledger's identity: a UUID in its hyphenated lower-case form.
    InstanceId
);
text_id!(
    /// A student's session: 32 lower-case hexadecimal digits, drawn by chance.
    SessionId
);
text_id!(
    /// An archive's id: UTC time and a random tail, so that ids sort by time
    /// (`20261124T034512Z-7f3a9c1b`).
    ArchiveId
);
text_id!(
    /// Docker's id of a container: lower-case hexadecimal.
    ContainerId
);

impl RoomName {
    fn check(text: &str) -> Result<(), BadId> {
        name_rule(
            "room name",
            text,
            "1 to 32 of a-z, 0-9 and -, the first a letter or digit",
        )
    }
}

impl TemplateName {
    fn check(text: &str) -> Result<(), BadId> {
        name_rule(
            "template name",
            text,
            "1 to 32 of a-z, 0-9 and -, the first a letter or digit",
        )
    }
}

fn name_rule(kind: &'static str, text: &str, rule: &'static str) -> Result<(), BadId> {
    let good = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let ok = text.len() <= ROOM_NAME_MAX
        && text.bytes().next().is_some_and(good)
        && text.bytes().all(|b| good(b) || b == b'-');
    ok.then_some(()).ok_or_else(|| BadId::new(kind, text, rule))
}

impl StudentId {
    fn check(text: &str) -> Result<(), BadId> {
        let ok = text.len() <= STUDENT_ID_MAX
            && text.bytes().next().is_some_and(|b| b.is_ascii_alphanumeric())
            && text
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'));
        ok.then_some(()).ok_or_else(|| {
            BadId::new(
                "student id",
                text,
                "1 to 64 of A-Z, a-z, 0-9, '.', '_' and '-', the first a letter or digit",
            )
        })
    }

    /// The id that `--seats N` gives to seat number `n` (from 1): `s01`, `s02`, … `s100`.
    #[must_use]
    pub fn numbered(n: u32) -> Self {
        Self(format!("s{n:02}"))
    }
}

impl InstanceId {
    fn check(text: &str) -> Result<(), BadId> {
        let ok = text.len() == 36
            && text.bytes().enumerate().all(|(i, b)| match i {
                8 | 13 | 18 | 23 => b == b'-',
                _ => b.is_ascii_digit() || (b'a'..=b'f').contains(&b),
            });
        ok.then_some(())
            .ok_or_else(|| BadId::new("instance id", text, "a lower-case UUID"))
    }

    /// The first eight characters, which mark the names of everything this instance makes.
    #[must_use]
    pub fn mark(&self) -> &str {
        &self.0[..8]
    }
}

impl ArchiveId {
    fn check(text: &str) -> Result<(), BadId> {
        let ok = !text.is_empty() && text.len() <= 64 && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        ok.then_some(())
            .ok_or_else(|| BadId::new("archive id", text, "1 to 64 of A-Z, a-z, 0-9 and -"))
    }
}

impl SessionId {
    fn check(text: &str) -> Result<(), BadId> {
        let ok = text.len() == 32 && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
        ok.then_some(())
            .ok_or_else(|| BadId::new("session id", text, "32 hexadecimal digits"))
    }
}

impl ContainerId {
    fn check(text: &str) -> Result<(), BadId> {
        let ok = !text.is_empty()
            && text.len() <= 64
            && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
        ok.then_some(())
            .ok_or_else(|| BadId::new("container id", text, "up to 64 hexadecimal digits"))
    }
}

/// One student's place in a room, written `ROOM/STUDENT`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SeatId {
    /// The room that the seat belongs to.
    pub room: RoomName,
    /// The student who sits there.
    pub student: StudentId,
}

impl SeatId {
    /// The seat of `student` in `room`.
    #[must_use]
    pub fn new(room: RoomName, student: StudentId) -> Self {
        Self { room, student }
    }

    /// An injective encoding of (room, student) in `[a-z0-9_-]`, at most 225 bytes: the room, `_`, and the
    /// student with every byte outside `[a-z0-9-]` written as `_` and two hexadecimal digits.
    ///
    /// A room's name has no `_`, so the first one separates; dots and capitals are escaped because Docker's
    /// label syntax and case-folding readers would otherwise let two students share one router.
    #[must_use]
    pub fn slug(&self) -> String {
        use fmt::Write;
        let mut slug = format!("{}_", self.room);
        for byte in self.student.as_str().bytes() {
            match byte {
                b'a'..=b'z' | b'0'..=b'9' | b'-' => slug.push(char::from(byte)),
                other => {
                    let _ = write!(slug, "_{other:02x}");
                }
            }
        }
        slug
    }
}

impl fmt::Display for SeatId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.room, self.student)
    }
}

impl FromStr for SeatId {
    type Err = BadId;
    fn from_str(text: &str) -> Result<Self, BadId> {
        let Some((room, student)) = text.split_once('/') else {
            return Err(BadId::new("seat", text, "ROOM/STUDENT"));
        };
        Ok(Self::new(room.parse()?, student.parse()?))
    }
}

impl TryFrom<String> for SeatId {
    type Error = BadId;
    fn try_from(text: String) -> Result<Self, BadId> {
        text.parse()
    }
}

impl From<SeatId> for String {
    fn from(id: SeatId) -> Self {
        id.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn hostile_student_ids_are_refused_and_shown_harmlessly() {
        let long = "a".repeat(300);
        for bad in ["", "-a", ".a", "a/b", "a b", "a`b", "a\u{1b}[2J", "😀", "a\n", &long] {
            let error = bad.parse::<StudentId>().unwrap_err().to_string();
            assert!(error.contains("student id"), "{error}");
            assert!(!error.contains('\u{1b}') && error.len() < 300, "{error}");
        }
    }

    #[test]
    fn rooms_and_seats_parse() {
        assert!("exam-1".parse::<RoomName>().is_ok());
        for bad in ["", "Exam", "a_b", "-a", "a.b", "a/b"] {
            assert!(bad.parse::<RoomName>().is_err(), "{bad}");
        }
        assert_eq!("a/An.b".parse::<SeatId>().unwrap().to_string(), "a/An.b");
        assert!("a".parse::<SeatId>().is_err());
    }

    proptest! {
        #[test]
        fn slugs_are_injective_and_bounded(
            a in ("[a-z0-9][a-z0-9-]{0,31}", "[A-Za-z0-9][A-Za-z0-9._-]{0,63}"),
            b in ("[a-z0-9][a-z0-9-]{0,3}", "[A-Za-z0-9][A-Za-z0-9._-]{0,3}"),
            c in ("[a-c][a-c-]{0,2}", "[a-cA][a-cA._-]{0,2}"),
            d in ("[a-c][a-c-]{0,2}", "[a-cA][a-cA._-]{0,2}"),
        ) {
            let seat = |(r, s): &(String, String)| SeatId::new(r.parse().unwrap(), s.parse().unwrap());
            for (x, y) in [(&a, &b), (&c, &d)] {
                let (x, y) = (seat(x), seat(y));
                prop_assert_eq!(x == y, x.slug() == y.slug());
                prop_assert!(x.slug().len() <= 225);
                prop_assert!(!x.slug().contains('.'));
            }
        }
    }
}
