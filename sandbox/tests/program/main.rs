//! The program: what it prints, how it ends, and how it refuses.
#![cfg(unix)]

mod bounds;
mod log;
mod policies;
mod program;
mod start;
