//! What a store is made of: objects that are written whole or not at all, read back, listed and removed.
//!
//! Knows: keys and bytes. Must not know: what an object holds.

use std::io;

use crate::domain::fault::Fault;

/// An object of a store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Object {
    /// Its key, with `/` between the parts.
    pub key: String,
    /// Its length.
    pub bytes: u64,
}

/// Why work on an object's bytes ended early.
#[derive(Debug)]
pub enum Stop {
    /// The object could not be read or written. A store that has a better word for it says that instead.
    Io(io::Error),
    /// Something that has nothing to do with the store.
    Fault(Fault),
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<Fault> for Stop {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}
