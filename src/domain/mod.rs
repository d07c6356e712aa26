//! The pure heart: what rooms and seats are, and what is to be done next.
//!
//! Knows: words, rules and decisions. Must not know: clocks, sockets, Docker, disks. Everything here is plain
//! data and functions over it, so that it can be simulated with seeded faults.

#[macro_use]
mod text_id;

pub mod command;
pub mod control;
pub mod door;
pub mod effect;
pub mod fault;
pub mod harmless;
pub mod hex;
pub mod ids;
pub mod isolation;
pub mod names;
pub mod notice;
pub mod pace;
pub mod plan;
pub mod policy;
pub mod proof;
pub mod record;
pub mod relics;
pub mod role;
pub mod roster;
pub mod routes;
pub mod seen;
pub mod settings;
pub mod snapshot;
pub mod template;
