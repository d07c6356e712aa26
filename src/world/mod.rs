//! Adapters to the outside: each knows one part of the world and the domain, none knows the engine or a screen.

pub mod archive;
pub mod cut;
pub mod docker;
pub mod isolation;
pub mod leases;
pub mod ledger;
pub mod meter;
pub mod proxy;
