//! Acts on decisions in front of a tower service.
//!
//! **Feature:** `tower`.
//!
#![doc = include_str!("enforce/guide.md")]
#![doc = include_str!("enforce/promises.md")]

mod answers;
mod cache;
mod endpoint;
mod extract;
#[cfg(test)]
mod fixtures;
#[cfg(any(fuzzing, test))]
pub mod fuzzed;
mod judge;
mod layer;
mod path;
mod public_origin;
mod redemption;
mod refusal;
mod request;
mod rule;
mod service;
mod shared;
mod signed;
mod telemetry;
mod verifications;

pub use answers::answer::Denial;
pub use answers::audience::Audience;
pub use answers::body::EnforceBody;
pub use cache::CacheOptions;
pub use layer::EnforceLayer;
pub use public_origin::PublicOrigin;
pub(crate) use refusal::Refusal;
pub use request::client_ip::{
    ClientIp, ClientIpRules, ClientIpSource, ClientIpStats, ForwardingHeader, MissingAddress,
};
pub(crate) use rule::Mode;
pub use rule::Rule;
pub use service::Enforce;
pub use signed::clearance::ClearanceOptions;
pub use signed::identity::ClearanceBinding;
pub use signed::keys::{ClearanceKey, ClearanceKeys};
