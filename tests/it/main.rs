//! What the crate promises, seen from outside: one binary, a file for each kind of promise.

mod support;

mod beacons;
mod blocking;
mod configuration;
mod connections;
mod contract;
mod deadlines;
mod decisions;
#[cfg(feature = "tower")]
mod enforce;
mod errors;
mod faults;
mod figures;
#[cfg(unix)]
mod forks;
mod guard;
mod http2;
#[cfg(all(feature = "metrics", feature = "tower"))]
mod metrics;
mod pictures;
mod proxies;
mod refusals;
mod retries;
#[cfg(unix)]
mod scarcity;
mod schemas;
mod secrets;
mod seeds;
mod spec_edit;
mod surface;
mod tls;
#[cfg(feature = "tower")]
mod traces;
mod versions;
mod wire;
