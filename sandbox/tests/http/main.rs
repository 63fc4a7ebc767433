//! The sandbox over real HTTP, as a client sees it.

mod admin;
mod bodies;
mod bounds;
mod caller;
mod challenges;
mod console;
mod console_access;
mod console_stream;
mod desk;
mod faults;
mod keys;
mod learning;
mod lifecycle;
mod managed;
mod operations;
mod policies;
mod raw;
mod recording;
mod visit;
