//! The sandbox over real HTTP, as a client sees it.

mod bodies;
mod caller;
mod challenges;
mod console;
mod keys;
mod learning;
mod lifecycle;
mod managed;
mod operations;
