//! Who may do what. One gate asks here before any command runs.
//!
//! Only the agent's owner may connect for now, and the owner is an admin; the table is here so that every command
//! has to name what it needs.

use serde::{Deserialize, Serialize};

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

/// The person behind a connection, as the kernel tells it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Actor {
    /// User id of the peer.
    pub uid: u32,
    /// Login name, for people.
    pub name: String,
    /// What they may do.
    pub role: Role,
}
