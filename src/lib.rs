// The README's pictures, where no file stands beside it; see tests/it/pictures.rs.
#![doc = include_str!("guide/pictures.md")]
// The README's links to the guides, where those are modules.
#![cfg_attr(all(feature = "blocking", feature = "tower"), doc = include_str!("guide/links.md"))]
// And where they are not.
#![cfg_attr(
    not(all(feature = "blocking", feature = "tower")),
    doc = include_str!("guide/links_online.md")
)]
// Its examples are of all features, so they are tested where those are on.
#![cfg_attr(any(not(doctest), feature = "tower"), doc = include_str!("../README.md"))]
// Shows on docs.rs which feature an item needs; only a nightly compiler can.
#![cfg_attr(docsrs, feature(doc_cfg))]

mod answer;
#[cfg(feature = "beacons")]
mod beacons;
#[cfg(not(feature = "beacons"))]
#[path = "beacons/absent.rs"]
mod beacons;
#[cfg(feature = "blocking")]
mod blocking;
mod call;
mod check;
mod client;
mod config;
mod deadline;
#[cfg(feature = "tower")]
pub mod enforce;
mod error;
mod event;
mod generated;
mod guard;
// It leads to what all features have, and is nothing but text.
#[cfg(all(feature = "blocking", feature = "tower"))]
pub mod guide;
mod key;
#[cfg(feature = "metrics")]
pub mod metrics;
#[cfg(not(feature = "metrics"))]
#[path = "metrics/absent.rs"]
mod metrics;
mod mitigation;
mod operation;
mod server_url;
mod stats;
#[cfg(all(test, feature = "beacons"))]
mod test_log;
mod trace_context;
mod transport;

#[cfg(feature = "beacons")]
pub use beacons::{
    BeaconDrops, BeaconLoss, BeaconOptions, BeaconReport, BeaconStats, Beacons, DropReason,
};
#[cfg(feature = "blocking")]
pub use blocking::EsperClient;
pub use client::AsyncEsperClient;
pub use config::EsperConfig;
pub use error::EsperError;
pub use event::BeaconEvent;
pub use generated::types::{ChallengeData, ChallengeProof, UsageStats};
pub use guard::{
    Decision, DecisionSource, FailurePolicy, FallbackReason, Fallbacks, Guard, GuardStats,
    OnFailure,
};
pub use mitigation::{MitigationAction, MitigationRequest, MitigationResponse};
pub use reqwest::StatusCode;
pub use stats::ClientStats;
pub use trace_context::TraceContext;
