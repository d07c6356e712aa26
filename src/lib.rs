//! labtop: *top* for computer labs.
//!
//! See `ARCHITECTURE.md` for the map.

// A test that panics has failed; an agent that panics has lost its rooms.
#![cfg_attr(not(test), warn(clippy::expect_used, clippy::panic, clippy::unwrap_used))]

pub mod agent;
pub mod board;
pub mod cli;
pub mod codes;
pub mod config;
pub mod demo;
pub mod domain;
pub mod engine;
pub mod firewall;
pub mod gateway;
pub mod log;
pub mod metrics;
pub mod pack;
pub mod paths;
pub mod rebuild;
pub mod service;
pub mod signals;
pub mod tui;
pub mod wire;
pub mod world;
