//! What stands in for the metrics where the feature `metrics` is off: nothing.

#![allow(dead_code, reason = "which of it is called depends on the other features")]

use std::time::Duration;

use crate::{Decision, EsperError};

#[cfg(feature = "tower")]
mod stage;

#[cfg(feature = "tower")]
pub(crate) use stage::Stage;

#[derive(Clone, Copy, Debug)]
pub(crate) struct Stopwatch;

impl Stopwatch {
    pub(crate) fn start() -> Self {
        Self
    }
}

pub(crate) fn call(
    _operation: &'static str,
    _error: Option<&EsperError>,
    _attempts: u32,
    _elapsed: impl FnOnce() -> Duration,
) {
}

pub(crate) fn cancelled_call(_operation: &'static str, _attempts: u32) {}

pub(crate) fn decision(_decision: &Decision, _stopwatch: Stopwatch) {}

pub(crate) fn breaker_opened() {}

pub(crate) fn breaker_closed() {}

#[cfg(feature = "tower")]
pub(crate) fn request(_decision: &Decision, _mode: crate::enforce::Mode) {}

#[cfg(feature = "tower")]
pub(crate) fn stage(_stage: Stage) {}

#[cfg(feature = "tower")]
pub(crate) fn refusal(_reason: crate::enforce::Refusal) {}

/// What was told of a queue so far.
#[cfg(feature = "beacons")]
#[derive(Debug)]
pub(crate) struct Published;

#[cfg(feature = "beacons")]
impl Published {
    pub(crate) fn none() -> Self {
        Self
    }

    pub(crate) fn update(&mut self, _stats: impl FnOnce() -> crate::BeaconStats) {}
}
