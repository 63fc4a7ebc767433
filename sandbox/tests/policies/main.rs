//! Policies on their own: what a file may say, and what follows from it.

mod files;
mod matching;
mod mistakes;
mod model;
mod order;
mod scenarios;
mod stage;
mod windows;
