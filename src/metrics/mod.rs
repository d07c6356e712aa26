//! The agent's figures for Prometheus: counts of what happened, and how it stands, on a Unix socket of their own.
//!
//! Knows: snapshots, its own counts, what the kernel says of this process, HTTP. Must not know: the engine's loop. Nothing
//! here waits for it: it is read from the newest snapshot and from counts that anybody may look at.

mod counts;
mod page;
mod place;
mod serve;

pub use counts::{Counts, Kind, Stage, Turned};
pub use page::Page;
pub use place::{bind, unbind};
pub use serve::serve;
