//! Who is at the other end: the kernel tells the user id, the system's tables tell name and groups, the configuration
//! what they may do.
//!
//! Knows: users and groups as the system looks them up (files, LDAP, …). Must not know: what is asked for.

use std::collections::HashMap;
use std::ffi::CString;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use nix::unistd::{Gid, Group, Uid, User, getgrouplist};
use tokio::net::unix::UCred;
use tokio::sync::Semaphore;
use tokio::time::Instant;

use super::origin;
use crate::domain::role::{Actor, Person, Rights, Role, RoleSettings};

/// How long a look-up counts: somebody who is put into a group need not wait, nor is a directory asked for every verb.
const KNOWN_FOR: Duration = Duration::from_secs(10);
/// How long the system's tables may take; a directory on the network may be away.
const LOOK_UP_LIMIT: Duration = Duration::from_secs(5);
/// Look-ups at once.
const LOOK_UPS_MAX: usize = 8;
const ROOT: u32 = 0;

/// Why somebody is not let in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stranger {
    /// They have no role.
    NoRole(String),
    /// Nobody knows who they are at the moment.
    Unknown(String),
}

/// Those who may come in.
#[derive(Debug)]
pub struct Peers {
    settings: RoleSettings,
    known: Mutex<HashMap<u32, (Instant, Person)>>,
    looking: Arc<Semaphore>,
}

impl Peers {
    /// Lets in whom the settings give a role.
    #[must_use]
    pub fn new(settings: RoleSettings) -> Self {
        Self {
            settings,
            known: Mutex::default(),
            looking: Arc::new(Semaphore::new(LOOK_UPS_MAX)),
        }
    }

    /// The person behind a connection.
    pub(super) async fn actor(&self, credentials: UCred) -> Result<Actor, Stranger> {
        let uid = credentials.uid();
        let found = self.person(uid).await;
        let person = match found {
            Ok(person) => person,
            // The agent's own user needs no table.
            Err(_) if is_owner(uid) => nameless(uid),
            Err(text) => return Err(Stranger::Unknown(text)),
        };
        let rights = if is_owner(uid) {
            Rights::of(Role::Admin)
        } else {
            self.settings.rights(&person)
        };
        if rights.best().is_none() && !rights.is_gateway() {
            return Err(Stranger::NoRole(no_role(&person.name)));
        }
        Ok(Actor {
            uid,
            name: person.name,
            origin: came_from(credentials).await,
            rights,
        })
    }

    async fn person(&self, uid: u32) -> Result<Person, String> {
        let known = || self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((since, person)) = known().get(&uid)
            && since.elapsed() < KNOWN_FOR
        {
            return Ok(person.clone());
        }
        // The thread holds its place, not whoever waits for it: a directory that hangs holds up so many and no more.
        let Ok(place) = Arc::clone(&self.looking).try_acquire_owned() else {
            return Err(format!(
                "the system does not say who user {uid} is: too many are asked about"
            ));
        };
        let looked = tokio::task::spawn_blocking(move || {
            let _place = place;
            look_up(uid)
        });
        let person = tokio::time::timeout(LOOK_UP_LIMIT, looked)
            .await
            .map_err(|_| format!("the system does not say who user {uid} is: its directory does not answer"))?
            .map_err(|error| error.to_string())?
            .map_err(|error| format!("the system does not say who user {uid} is: {error}"))?;
        let mut known = known();
        known.retain(|_, (since, _)| since.elapsed() < KNOWN_FOR);
        known.insert(uid, (Instant::now(), person.clone()));
        Ok(person)
    }
}

/// Where somebody came from, if that is found out soon.
async fn came_from(credentials: UCred) -> Option<String> {
    let looked = tokio::task::spawn_blocking(move || origin::of(credentials.pid(), credentials.uid()));
    tokio::time::timeout(LOOK_UP_LIMIT, looked).await.ok()?.ok()?
}

/// Whether it is root or the agent's own user: they could do everything without the agent, too.
pub(super) fn is_owner(uid: u32) -> bool {
    uid == ROOT || uid == rustix::process::geteuid().as_raw()
}

/// This process's own user, as an admin.
#[must_use]
pub fn own() -> Actor {
    let uid = rustix::process::geteuid().as_raw();
    Actor {
        uid,
        name: look_up(uid).unwrap_or_else(|_| nameless(uid)).name,
        origin: origin::of(rustix::process::getpid().as_raw_pid().into(), uid),
        rights: Rights::of(Role::Admin),
    }
}

fn no_role(name: &str) -> String {
    format!(
        "{name} has no role here: an admin gives one with [roles] in the agent's configuration, or by a group that \
         stands there; LABTOP_STATE=DIR runs an agent of your own"
    )
}

fn nameless(uid: u32) -> Person {
    Person {
        name: format!("uid {uid}"),
        groups: Vec::new(),
    }
}

/// Somebody without an entry has a number for a name, which no configuration names.
fn look_up(uid: u32) -> nix::Result<Person> {
    let Some(user) = User::from_uid(Uid::from_raw(uid))? else {
        return Ok(nameless(uid));
    };
    let Ok(name) = CString::new(user.name.as_bytes()) else {
        return Ok(nameless(uid));
    };
    let groups = getgrouplist(&name, user.gid)?;
    let named = groups.into_iter().filter_map(group_name).collect();
    Ok(Person {
        name: user.name,
        groups: named,
    })
}

/// A group without a name cannot be in the configuration.
fn group_name(gid: Gid) -> Option<String> {
    Group::from_gid(gid).ok().flatten().map(|group| group.name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_is_in_its_group_and_a_number_without_an_entry_is_nobody() {
        let root = look_up(ROOT).unwrap();
        assert_eq!(root.name, "root");
        assert!(root.groups.contains(&"root".to_owned()), "{root:?}");
        assert_eq!(look_up(3_999_999_999).unwrap(), nameless(3_999_999_999));
    }

    #[test]
    fn the_owner_and_root_are_admins() {
        let own = rustix::process::geteuid().as_raw();
        assert!(is_owner(own) && is_owner(ROOT) && !is_owner(own + 1));
        assert_eq!(super::own().rights.best(), Some(Role::Admin));
    }
}
