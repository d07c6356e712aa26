//! Who may do what: `[roles]`, and `[rooms."exam-*"]` where other people have the roles.
//!
//! Knows: names of users and groups as they are written. Must not know: whether there are such.

use crate::domain::role::{Member, Narrowed, RoleSettings, RoomPattern};

use super::raw::Section;

/// Reads both tables.
pub(super) fn read(root: &Section<'_>) -> RoleSettings {
    let section = root.table("roles");
    let built_in = RoleSettings::default();
    let list = |key, else_| members(&section, key).unwrap_or(else_);
    let mut settings = RoleSettings {
        admin: list("admin", built_in.admin),
        proctor: list("proctor", built_in.proctor),
        viewer: list("viewer", built_in.viewer),
        gateway: list("gateway", built_in.gateway),
        rooms: Vec::new(),
    };
    section.end(&[]);
    let rooms = root.table("rooms");
    for pattern in rooms.keys() {
        settings.rooms.extend(narrowed(&rooms, &pattern));
    }
    rooms.end(&[]);
    settings
}

fn narrowed(rooms: &Section<'_>, pattern: &str) -> Option<Narrowed> {
    let section = rooms.table(pattern);
    let named = pattern.parse::<RoomPattern>();
    let proctor = members(&section, "proctor");
    let viewer = members(&section, "viewer");
    section.end(&[]);
    match named {
        Ok(rooms) => Some(Narrowed { rooms, proctor, viewer }),
        Err(rule) => {
            rooms.wrong(pattern, rule);
            None
        }
    }
}

fn members(section: &Section<'_>, key: &str) -> Option<Vec<Member>> {
    section.read(key, |names: Vec<String>| {
        names.iter().map(|name| name.parse()).collect()
    })
}
