//! What the crate promises, seen from outside: one binary, a file for each kind of promise.

mod support;

mod blocking;
mod configuration;
mod decisions;
mod errors;
mod retries;
mod tls;
mod wire;
