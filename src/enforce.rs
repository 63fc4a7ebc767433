//! Acts on decisions in front of a tower service.
//!
//! **Feature:** `tower`.
//!
#![doc = include_str!("enforce/guide.md")]
#![doc = include_str!("enforce/promises.md")]

mod answer;
mod audience;
mod binding;
mod body;
mod cache;
mod clearance;
mod client_ip;
mod cookies;
mod deny;
mod endpoint;
mod envelope;
mod extract;
#[cfg(test)]
mod fixtures;
#[cfg(fuzzing)]
pub mod fuzzed;
mod judge;
mod keys;
mod layer;
mod pages;
mod path;
mod public_origin;
mod question;
mod recent;
mod redemption;
mod refusal;
mod return_to;
mod rule;
mod seal;
mod secrets;
mod service;
mod session;
mod settings;
mod telemetry;
mod validity;
mod visit;

pub use answer::Denial;
pub use audience::Audience;
pub use binding::ClearanceBinding;
pub use body::EnforceBody;
pub use cache::CacheOptions;
pub use clearance::ClearanceOptions;
pub use client_ip::{
    ClientIp, ClientIpRules, ClientIpSource, ClientIpStats, ForwardingHeader, MissingAddress,
};
pub use keys::{ClearanceKey, ClearanceKeys};
pub use layer::EnforceLayer;
pub use public_origin::PublicOrigin;
pub(crate) use refusal::Refusal;
pub(crate) use rule::Mode;
pub use rule::Rule;
pub use service::Enforce;
