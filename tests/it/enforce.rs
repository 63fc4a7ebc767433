//! The layer in front of a real site, decided about by a sandbox that really learns.

mod addresses;
mod answers;
mod bodies;
mod cache;
mod challenges;
mod clearances;
mod coverage;
mod disclosure;
pub(crate) mod echo;
mod endpoint;
mod events;
mod failures;
mod frames;
mod fuzzed;
mod managed;
mod methods;
mod monitor;
mod paths;
pub(crate) mod site;
pub(crate) mod solving;
mod submissions;
