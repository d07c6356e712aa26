//! The board: the terminal interface.
//!
//! Model · update · view. Keys become intents; everything that happens is one closed event enum; `update` alone
//! changes the model and never waits; `view` alone draws and changes nothing; layers lie in a stack.
//! Knows: `domain` and the messages of [`port`]. Must not know: sockets, Docker, the ledger, the wall clock.

mod act;
mod archives;
mod ask;
mod browse;
mod field;
mod form;
mod human;
mod job;
pub mod keys;
mod layer;
mod list;
mod listing;
mod lists;
mod log;
pub mod model;
mod peek;
pub mod port;
mod rights;
mod ring;
mod run;
mod sessions;
mod shelf;
mod still;
mod terminal;
pub mod text;
pub mod theme;
pub mod tree;
pub mod update;
pub mod view;

pub use run::{BoardError, Exit, ORDERS_WAITING, run};
pub use still::draw_text;
pub use terminal::install_panic_hook;
