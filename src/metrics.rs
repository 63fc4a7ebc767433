//! What this crate tells the [`metrics`](https://docs.rs/metrics) facade.
//!
//! Install a recorder, such as that of `metrics-exporter-prometheus`, and these are in it:
//!
#![doc = include_str!("metrics/table.md")]
//!
//! The values of every label are a closed set. Nothing that a visitor sends becomes a label, so
//! that the number of series does not grow with the traffic. All clients, guards and layers of a
//! process count together.
//!
//! ```
//! // Once a recorder is installed, so that it knows units and descriptions too.
//! esper_rs_client::metrics::describe();
//! ```
//!
//! Install it before the first client is made: what was counted before is in no series.
//!
//! The counts of events are brought up to date by the queue's own thread every few milliseconds,
//! so that `Beacons::send` stays as fast as it is. An event that comes after the end of its queue
//! is in `Beacons::stats` alone.
//!
//! Without a recorder, all of it costs almost nothing. Without the feature `metrics`, it is not
//! compiled.

use std::sync::LazyLock;
use std::time::{Duration, Instant};

use crate::operation::OPERATIONS;
use crate::{Decision, DecisionSource, EsperError, FallbackReason, MitigationAction};

mod catalogue;
mod family;
#[cfg(feature = "tower")]
mod layer;
#[cfg(feature = "beacons")]
mod queue;
#[cfg(feature = "tower")]
mod stage;

pub use catalogue::describe;
#[cfg(feature = "tower")]
pub(crate) use layer::{refusal, request, stage};
#[cfg(feature = "beacons")]
pub(crate) use queue::Published;
#[cfg(feature = "tower")]
pub(crate) use stage::Stage;

use family::{Family, Lazy};

/// Measures how long something takes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stopwatch(Instant);

impl Stopwatch {
    pub(crate) fn start() -> Self {
        Self(Instant::now())
    }
}

/// A call has ended, with or without an error.
pub(crate) fn call(
    operation: &'static str,
    error: Option<&EsperError>,
    attempts: u32,
    elapsed: impl FnOnce() -> Duration,
) {
    ended(operation, error.map_or(NONE, kind), attempts);
    CALL_DURATION.histogram([operation]).record(elapsed());
}

/// A call was dropped before its end.
pub(crate) fn cancelled_call(operation: &'static str, attempts: u32) {
    ended(operation, CANCELLED, attempts);
}

/// A guard has decided.
pub(crate) fn decision(decision: &Decision, stopwatch: Stopwatch) {
    let source = decision.source.as_str();
    let failure = decision.fallback_reason().map_or(NONE, FallbackReason::as_str);
    DECISIONS.counter([verdict(decision), source, failure]).increment(1);
    DECISION_DURATION.histogram([source]).record(stopwatch.0.elapsed());
}

/// A breaker has opened.
pub(crate) fn breaker_opened() {
    BREAKER.counter([OPENED]).increment(1);
}

/// A breaker has closed again.
pub(crate) fn breaker_closed() {
    BREAKER.counter([CLOSED]).increment(1);
}

fn ended(operation: &'static str, failure: &'static str, attempts: u32) {
    CALLS.counter([operation, failure]).increment(1);
    ATTEMPTS.counter([operation]).increment(attempts.into());
}

fn verdict(decision: &Decision) -> &'static str {
    decision.action.as_str()
}

fn kind(error: &EsperError) -> &'static str {
    match error {
        EsperError::Api { .. } => "api",
        EsperError::Connection { .. } => "connection",
        EsperError::Timeout { .. } => "timeout",
        EsperError::Validation { .. } => "validation",
        EsperError::Decode { .. } => "decode",
    }
}

static CALLS: Lazy<2> =
    LazyLock::new(|| Family::new(&catalogue::CALLS, [operations(), KINDS.to_vec()]));
static ATTEMPTS: Lazy<1> = LazyLock::new(|| Family::new(&catalogue::ATTEMPTS, [operations()]));
static CALL_DURATION: Lazy<1> =
    LazyLock::new(|| Family::new(&catalogue::CALL_DURATION, [operations()]));
static DECISIONS: Lazy<3> = LazyLock::new(|| {
    let reasons = FallbackReason::ALL.iter().map(|reason| reason.as_str());
    let failures = [NONE].into_iter().chain(reasons).collect();
    Family::new(&catalogue::DECISIONS, [VERDICTS.to_vec(), guard_sources(), failures])
});
static DECISION_DURATION: Lazy<1> =
    LazyLock::new(|| Family::new(&catalogue::DECISION_DURATION, [guard_sources()]));
static BREAKER: Lazy<1> =
    LazyLock::new(|| Family::new(&catalogue::BREAKER, [vec![OPENED, CLOSED]]));

fn operations() -> Vec<&'static str> {
    OPERATIONS.iter().map(|operation| operation.id).collect()
}

/// Those of a guard; the others are the layer's.
fn guard_sources() -> Vec<&'static str> {
    let fallback = DecisionSource::Fallback { reason: FallbackReason::Timeout, held: false };
    vec![DecisionSource::Service.as_str(), fallback.as_str()]
}

const NONE: &str = "none";
const CANCELLED: &str = "cancelled";
const OPENED: &str = "opened";
const CLOSED: &str = "closed";
const KINDS: [&str; 7] = [NONE, "api", "connection", "timeout", "validation", "decode", CANCELLED];
const VERDICTS: [&str; 3] = {
    use MitigationAction::{Allow, Block, Challenge};
    // A new action does not compile here, so that it is listed too.
    match Allow {
        Allow | Challenge | Block => [Allow.as_str(), Challenge.as_str(), Block.as_str()],
    }
};
