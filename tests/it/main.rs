//! What the crate promises, seen from outside: one binary, a file for each kind of promise.

mod support;

mod blocking;
mod configuration;
mod connections;
mod decisions;
mod errors;
mod http2;
mod proxies;
mod retries;
mod secrets;
mod tls;
mod wire;
