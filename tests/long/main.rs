//! What takes minutes, most of them spent waiting: side by side, in one program.

#[path = "../engine/mod.rs"]
mod engine;
mod engine_restart;
#[path = "../homework/mod.rs"]
mod homework;
#[path = "../lab/mod.rs"]
mod lab;
mod many_rooms;
mod soak;
