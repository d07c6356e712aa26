//! The agent's side: who may connect, the greeting, and one served request a connection.
//!
//! Knows: the engine's handle, frames, bounds. Must not know: Docker, the ledger, how anything is decided. A slow or
//! dead client costs a task and a bounded buffer, never the engine's time.

mod doors;
mod listen;
mod origin;
mod peer;
mod requests;
mod shell;
mod talk;
mod watch;

pub use listen::{BindError, CONNECTIONS_MAX, EACH_MAX, bind, serve, unbind};
pub use peer::{Peers, own};
pub use talk::{Host, talk};
