//! Who is at the other end, as the kernel tells it.
//!
//! Knows: user ids and login names. For now an agent serves its own user and root; both are admins.

use crate::domain::role::{Actor, Role};

/// What another user is told.
pub const REFUSAL: &str = "this agent serves only the user who runs it: run labtop as that user (`sudo -u USER labtop`), \
     or set LABTOP_STATE to a directory of your own to run another agent";

const ROOT: u32 = 0;

/// Whether this user may connect.
pub fn may_enter(uid: u32) -> bool {
    uid == ROOT || uid == rustix::process::geteuid().as_raw()
}

/// The person behind a user id that may enter.
pub async fn actor(uid: u32) -> Actor {
    let users = tokio::fs::read("/etc/passwd").await.unwrap_or_default();
    Actor {
        uid,
        name: login_name(&String::from_utf8_lossy(&users), uid).unwrap_or_else(|| format!("uid {uid}")),
        role: Role::Admin,
    }
}

fn login_name(users: &str, uid: u32) -> Option<String> {
    users.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)?.parse() == Ok(uid)).then(|| name.to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_from_the_user_table() {
        let users = "root:x:0:0:root:/root:/bin/sh\nbad line\nann:x:1000:1000::/home/ann:/bin/sh\n";
        assert_eq!(login_name(users, 1000).as_deref(), Some("ann"));
        assert_eq!(login_name(users, 7), None);
    }

    #[test]
    fn the_owner_and_root_enter() {
        let own = rustix::process::geteuid().as_raw();
        assert!(may_enter(own) && may_enter(ROOT));
        assert!(!may_enter(own + 1));
    }
}
