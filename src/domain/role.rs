//! Who may do what, and where. One gate asks here before any command runs.
//!
//! Knows: roles, the lists of users and groups that have them, rooms that narrow them. Must not know: where users and
//! groups come from.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::fault::{Refusal, RefusalCode};
use super::ids::{ROOM_NAME_MAX, RoomName, quoted};

/// Longest name of a user or a group, characters.
const MEMBER_MAX: usize = 128;

/// What a person may do, each role including the ones before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Looks.
    Viewer,
    /// Runs rooms.
    Proctor,
    /// Everything.
    Admin,
}

impl Role {
    /// Somebody with it, in words.
    #[must_use]
    pub fn one(self) -> &'static str {
        match self {
            Self::Viewer => "a viewer",
            Self::Proctor => "a proctor",
            Self::Admin => "an admin",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Viewer => "viewer",
            Self::Proctor => "proctor",
            Self::Admin => "admin",
        })
    }
}

/// A user or a group that the configuration names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(into = "String")]
pub enum Member {
    /// A login name.
    User(String),
    /// A group, written with an `@`.
    Group(String),
}

impl FromStr for Member {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, is_group) = text.strip_prefix('@').map_or((text, false), |name| (name, true));
        let good = |c: char| !c.is_control() && c != ':' && c != ',' && c != '@';
        if name.is_empty() || name.chars().count() > MEMBER_MAX || name.trim() != name || !name.chars().all(good) {
            return Err(format!(
                "{} is neither a user nor a @group: write \"anna\" or \"@invigilators\"",
                quoted(text)
            ));
        }
        let name = name.to_owned();
        Ok(if is_group { Self::Group(name) } else { Self::User(name) })
    }
}

impl From<Member> for String {
    fn from(member: Member) -> Self {
        match member {
            Member::User(name) => name,
            Member::Group(name) => format!("@{name}"),
        }
    }
}

/// Names of rooms, with `*` for any run of characters.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RoomPattern(String);

impl RoomPattern {
    /// Whether it names that room.
    #[must_use]
    pub fn names(&self, room: &RoomName) -> bool {
        let mut parts = self.0.split('*');
        let first = parts.next().unwrap_or_default();
        let Some(mut rest) = room.as_str().strip_prefix(first) else {
            return false;
        };
        let Some(last) = parts.next_back() else {
            return rest.is_empty();
        };
        for part in parts {
            match rest.find(part) {
                Some(at) => rest = &rest[at + part.len()..],
                None => return false,
            }
        }
        rest.ends_with(last)
    }

    /// How much of a name it fixes: of two patterns that name a room, the one that fixes more counts, and a whole name
    /// before any pattern.
    fn weight(&self) -> (bool, usize) {
        let fixed = self.0.bytes().filter(|b| *b != b'*').count();
        (fixed == self.0.len(), fixed)
    }

    /// The pattern as it is written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for RoomPattern {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let good = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'*';
        if text.is_empty() || text.len() > ROOM_NAME_MAX || !text.bytes().all(good) {
            return Err("must be 1 to 32 of a-z, 0-9, - and *, as in \"exam-*\"".to_owned());
        }
        Ok(Self(text.to_owned()))
    }
}

impl TryFrom<String> for RoomPattern {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<RoomPattern> for String {
    fn from(pattern: RoomPattern) -> Self {
        pattern.0
    }
}

/// Who has which role.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RoleSettings {
    /// Admins, of every room. Root and the agent's own user are admins whatever stands here.
    pub admin: Vec<Member>,
    /// Proctors.
    pub proctor: Vec<Member>,
    /// Viewers.
    pub viewer: Vec<Member>,
    /// The gateway's user: it serves students, and no person.
    pub gateway: Vec<Member>,
    /// Rooms where other people have the roles.
    pub rooms: Vec<Narrowed>,
}

impl Default for RoleSettings {
    fn default() -> Self {
        let group = |name: &str| Member::Group(name.to_owned());
        Self {
            admin: vec![Member::User("root".to_owned()), group("labtop-admin")],
            proctor: vec![group("labtop-proctor")],
            viewer: vec![group("labtop-view")],
            gateway: vec![Member::User("labtop-gateway".to_owned())],
            rooms: Vec::new(),
        }
    }
}

/// Who has which role in some rooms, in place of those who have it elsewhere.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Narrowed {
    /// Which rooms.
    pub rooms: RoomPattern,
    /// Their proctors; none when they are those of all rooms.
    pub proctor: Option<Vec<Member>>,
    /// Their viewers besides their proctors; none when they are the viewers and proctors of all rooms.
    pub viewer: Option<Vec<Member>>,
}

/// A user as the system knows them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Person {
    /// Login name.
    pub name: String,
    /// Names of all their groups.
    pub groups: Vec<String>,
}

impl Person {
    fn is_in(&self, members: &[Member]) -> bool {
        members.iter().any(|member| match member {
            Member::User(name) => *name == self.name,
            Member::Group(name) => self.groups.contains(name),
        })
    }
}

impl RoleSettings {
    /// What a person may do.
    #[must_use]
    pub fn rights(&self, person: &Person) -> Rights {
        if person.is_in(&self.admin) {
            return Rights::of(Role::Admin);
        }
        let proctor = person.is_in(&self.proctor);
        let mut rooms: Vec<&Narrowed> = self.rooms.iter().collect();
        rooms.sort_by_key(|narrowed| std::cmp::Reverse(narrowed.rooms.weight()));
        let is_in = |list: &Option<Vec<Member>>| list.as_deref().map(|list| person.is_in(list));
        let narrowed = rooms.into_iter().map(|narrowed| Elsewhere {
            rooms: narrowed.rooms.clone(),
            proctor: is_in(&narrowed.proctor),
            viewer: is_in(&narrowed.viewer),
        });
        Rights {
            admin: false,
            proctor,
            viewer: proctor || person.is_in(&self.viewer),
            rooms: narrowed.collect(),
            gateway: person.is_in(&self.gateway),
        }
    }
}

/// What a person may do, and where.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each says whether the person is in one list of the configuration"
)]
pub struct Rights {
    admin: bool,
    /// Whether they are a proctor of the rooms that nothing else is said of.
    proctor: bool,
    /// The same for looking.
    viewer: bool,
    /// Rooms of which something else is said, the closest pattern first.
    rooms: Vec<Elsewhere>,
    /// Whether it is the gateway.
    gateway: bool,
}

/// Whether a person is in the lists of some rooms; none for a list that these rooms do not have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Elsewhere {
    rooms: RoomPattern,
    proctor: Option<bool>,
    viewer: Option<bool>,
}

impl Rights {
    /// One role everywhere.
    #[must_use]
    pub fn of(role: Role) -> Self {
        Self {
            admin: role == Role::Admin,
            proctor: role >= Role::Proctor,
            viewer: true,
            rooms: Vec::new(),
            gateway: false,
        }
    }

    /// The role in a room; where no room is meant, the role everywhere. Of several patterns that name the room, the
    /// closest one that has a list counts for that list: a line that says who may look gives nobody else a room to run.
    #[must_use]
    pub fn role(&self, room: Option<&RoomName>) -> Option<Role> {
        if self.admin {
            return Some(Role::Admin);
        }
        let here = |list: fn(&Elsewhere) -> Option<bool>, else_: bool| {
            let mut named = self
                .rooms
                .iter()
                .filter(|there| room.is_some_and(|room| there.rooms.names(room)));
            named.find_map(list).unwrap_or(else_)
        };
        if here(|there| there.proctor, self.proctor) {
            return Some(Role::Proctor);
        }
        here(|there| there.viewer, self.viewer).then_some(Role::Viewer)
    }

    /// The highest role that the person has anywhere.
    #[must_use]
    pub fn best(&self) -> Option<Role> {
        let anywhere = |list: fn(&Elsewhere) -> Option<bool>| self.rooms.iter().any(|there| list(there) == Some(true));
        let proctor = anywhere(|there| there.proctor).then_some(Role::Proctor);
        let viewer = anywhere(|there| there.viewer).then_some(Role::Viewer);
        self.role(None).max(proctor).max(viewer)
    }

    /// Whether the person may look at that room.
    #[must_use]
    pub fn sees(&self, room: &RoomName) -> bool {
        self.role(Some(room)).is_some()
    }

    /// Whether the person may look at every room.
    #[must_use]
    pub fn sees_all(&self) -> bool {
        self.admin || self.viewer && self.rooms.iter().all(|there| there.viewer != Some(false))
    }

    /// Whether it is the gateway.
    #[must_use]
    pub fn is_gateway(&self) -> bool {
        self.gateway
    }
}

/// The person behind a connection, as the kernel tells it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Actor {
    /// User id of the peer.
    pub uid: u32,
    /// Login name, for people.
    pub name: String,
    /// Where they came from over SSH, if that is known.
    #[serde(default)]
    pub origin: Option<String>,
    /// What they may do.
    pub rights: Rights,
}

impl Actor {
    /// Whether they have at least this role in that room, or everywhere when none is meant.
    #[must_use]
    pub fn may(&self, needs: Role, room: Option<&RoomName>) -> bool {
        self.rights.role(room) >= Some(needs)
    }

    /// The same, or why not.
    ///
    /// # Errors
    /// When the role does not permit the verb.
    pub fn must(&self, needs: Role, room: Option<&RoomName>, verb: &str) -> Result<(), Refusal> {
        if self.may(needs, room) {
            return Ok(());
        }
        Err(Refusal::role(self, verb, needs, room))
    }

    /// Whether it is the gateway, or an admin in its place; or why not.
    ///
    /// # Errors
    /// For everybody else.
    pub fn must_keep_doors(&self) -> Result<(), Refusal> {
        if self.rights.is_gateway() || self.may(Role::Admin, None) {
            return Ok(());
        }
        let text = format!(
            "{} may not keep the students' door: [roles] gateway names who may",
            self.name
        );
        Err(Refusal::new(RefusalCode::Role, text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn members(names: &[&str]) -> Vec<Member> {
        names.iter().map(|name| name.parse().unwrap()).collect()
    }

    fn settings() -> RoleSettings {
        let narrowed = |rooms: &str, proctor: Option<&[&str]>, viewer: Option<&[&str]>| Narrowed {
            rooms: rooms.parse().unwrap(),
            proctor: proctor.map(members),
            viewer: viewer.map(members),
        };
        RoleSettings {
            admin: members(&["root", "@admins"]),
            proctor: members(&["@proctors"]),
            viewer: members(&["@viewers"]),
            gateway: members(&["door"]),
            rooms: vec![
                narrowed("exam-*", Some(&["@invigilators"]), None),
                narrowed("exam-secret", Some(&["dean"]), Some(&[])),
            ],
        }
    }

    fn rights(name: &str, groups: &[&str]) -> Rights {
        let person = Person {
            name: name.to_owned(),
            groups: groups.iter().map(ToString::to_string).collect(),
        };
        settings().rights(&person)
    }

    /// The roles in an ordinary room, an exam, and the secret one.
    fn roles(name: &str, groups: &[&str]) -> [Option<Role>; 3] {
        let rights = rights(name, groups);
        ["class", "exam-1", "exam-secret"].map(|room| rights.role(Some(&room.parse().unwrap())))
    }

    #[test]
    fn rooms_narrow_the_roles_and_the_closer_pattern_counts() {
        use Role::{Admin, Proctor, Viewer};
        assert_eq!(roles("root", &[]), [Some(Admin); 3]);
        assert_eq!(roles("eve", &["admins"]), [Some(Admin); 3]);
        assert_eq!(roles("ann", &["proctors"]), [Some(Proctor), Some(Viewer), None]);
        assert_eq!(roles("ian", &["invigilators"]), [None, Some(Proctor), None]);
        assert_eq!(roles("vic", &["viewers"]), [Some(Viewer), Some(Viewer), None]);
        assert_eq!(roles("dean", &[]), [None, None, Some(Proctor)]);
        assert_eq!(roles("nobody", &["users", "proctor"]), [None; 3]);
    }

    #[test]
    fn a_line_about_viewers_does_not_make_proctors() {
        let mut settings = settings();
        settings.rooms.push(Narrowed {
            rooms: "exam-board".parse().unwrap(),
            proctor: None,
            viewer: Some(members(&["dean"])),
        });
        let person = |name: &str, group: &str| Person {
            name: name.to_owned(),
            groups: vec![group.to_owned()],
        };
        let board: RoomName = "exam-board".parse().unwrap();
        let role = |name, group| settings.rights(&person(name, group)).role(Some(&board));
        assert_eq!(
            role("ann", "proctors"),
            None,
            "the closer line keeps the wider one's proctors"
        );
        assert_eq!(role("ian", "invigilators"), Some(Role::Proctor));
        assert_eq!(role("dean", "x"), Some(Role::Viewer));
    }

    #[test]
    fn a_whole_name_counts_before_a_pattern() {
        let weight = |pattern: &str| pattern.parse::<RoomPattern>().unwrap().weight();
        assert!(weight("exam") > weight("exam*") && weight("exam-1*") > weight("exam-*"));
    }

    #[test]
    fn who_has_a_role_somewhere_may_enter_and_sees_that_much() {
        assert_eq!(rights("ian", &["invigilators"]).best(), Some(Role::Proctor));
        assert_eq!(rights("nobody", &[]).best(), None);
        assert!(rights("root", &[]).sees_all() && !rights("ann", &["proctors"]).sees_all());
        assert_eq!(rights("ian", &["invigilators"]).role(None), None);
        assert!(rights("door", &[]).is_gateway() && rights("door", &[]).best().is_none());
    }

    #[test]
    fn patterns_name_what_they_say() {
        let names = |pattern: &str, room: &str| {
            let pattern: RoomPattern = pattern.parse().unwrap();
            pattern.names(&room.parse().unwrap())
        };
        for (pattern, room, expected) in [
            ("exam-*", "exam-1", true),
            ("exam-*", "exam", false),
            ("exam-*", "my-exam-1", false),
            ("*", "a", true),
            ("a*a", "a", false),
            ("a*a", "aa", true),
            ("a*b*c", "a1b2c", true),
            ("a*b*c", "acb", false),
            ("a*bb*b", "abb", false),
            ("exam", "exam", true),
            ("exam", "exam-1", false),
            ("*-x", "a-x-x", true),
        ] {
            assert_eq!(names(pattern, room), expected, "{pattern} {room}");
        }
        for bad in ["", "Exam*", "a b", "a/b", &"x".repeat(33)] {
            assert!(bad.parse::<RoomPattern>().is_err(), "{bad}");
        }
    }

    #[test]
    fn members_are_users_or_groups() {
        assert_eq!("anna".parse(), Ok(Member::User("anna".into())));
        assert_eq!("@domain users".parse(), Ok(Member::Group("domain users".into())));
        for bad in ["", "@", " anna", "a:b", "a,b", "a\n", "@@x", &"x".repeat(129)] {
            assert!(bad.parse::<Member>().is_err(), "{bad:?}");
        }
    }
}
