//! The sandbox over real HTTP, as a client sees it.

mod bodies;
mod caller;
mod challenges;
mod keys;
mod learning;
mod lifecycle;
mod managed;
mod operations;
mod policies;
