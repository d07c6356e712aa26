//! The form of an archive: tar entries, their manifest, compression, and the way back into files.
//!
//! Knows: bytes, entries, digests, files. Must not know: stores, engines, rooms' lives, or what a student's file means.
//! Everything here blocks and takes constant memory, whatever it is fed.

pub mod belt;
pub mod check;
pub mod digest;
pub mod entry;
pub mod manifest;
pub mod packer;
pub mod pieces;
pub mod reader;
pub mod rules;
pub mod squeeze;
pub mod sum;
pub mod tree;
pub mod unpack;
pub mod writer;
