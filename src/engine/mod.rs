//! The agent's engine: one loop that decides, tasks that act, and handles for those who ask.
//!
//! The loop feeds commands and facts to [`crate::domain::control::Control`] and runs the effects that come out as
//! tasks. It never awaits the world: a Docker that hangs holds up nobody but its own task.

pub mod archive;
mod backup;
pub mod clock;
mod doctor;
mod door;
pub mod handle;
mod isolation;
mod leases;
mod meter;
mod news;
mod perform;
mod probe;
mod queries;
mod routes;
mod run;
mod snapshot;
mod stored;
mod tasks;
mod watch;
mod world;
mod writes;

pub use run::{Ending, Engine, start};
pub use world::World;
