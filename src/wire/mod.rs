//! The wire between an agent and its clients: one Unix socket, one request a connection.
//!
//! Knows: frames, the handshake, what may be asked and answered. Must not know: how the engine decides, how a
//! screen looks. The server side sees the engine's handle only; the client side sees nothing but the domain.

pub mod client;
pub mod codec;
pub mod message;
pub mod server;
mod stream;
