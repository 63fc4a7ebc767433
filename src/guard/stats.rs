//! What a guard has done so far, in numbers.

use std::fmt;

use super::reason::{FallbackReason, REASONS};
use super::{Decision, DecisionSource};
use crate::metrics::{self, Stopwatch};
use crate::stats::Counter;

/// A count of the decisions of a guard and all of its clones, since it was made.
///
/// In every snapshot, those that have ended (`by_service`, the fallbacks and `cancelled`) are at
/// most as many as the `decisions` that have begun; the difference is under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct GuardStats {
    /// Decisions that have begun.
    pub decisions: u64,
    /// Decisions of the service.
    pub by_service: u64,
    /// Fallbacks in which a visitor's last block or challenge held; the others followed the
    /// failure policy.
    pub held: u64,
    /// Decisions whose future was dropped before its end.
    pub cancelled: u64,
    /// Calls under way, as [`Guard::with_max_in_flight`](crate::Guard::with_max_in_flight) limits
    /// them.
    pub in_flight: usize,
    /// Decisions that are not the service's, by reason.
    pub fallbacks: Fallbacks,
}

/// A count of fallbacks by reason. Printed, it names those that there were.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Fallbacks([u64; REASONS]);

impl Fallbacks {
    /// Returns the number of fallbacks for a reason.
    #[must_use]
    pub fn of(&self, reason: FallbackReason) -> u64 {
        self.0[reason as usize]
    }

    /// Returns the number of fallbacks for any reason.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.0.iter().sum()
    }

    /// Iterates over every reason with its count, zeros included.
    pub fn iter(&self) -> impl Iterator<Item = (FallbackReason, u64)> + use<> {
        FallbackReason::ALL.iter().copied().zip(self.0)
    }
}

impl fmt::Debug for Fallbacks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let named = self.iter().filter(|(_, count)| *count > 0);
        f.debug_map().entries(named.map(|(reason, count)| (reason.as_str(), count))).finish()
    }
}

/// The numbers behind [`GuardStats`].
#[derive(Debug, Default)]
pub(super) struct Counters {
    decisions: Counter,
    by_service: Counter,
    held: Counter,
    cancelled: Counter,
    fallbacks: [Counter; REASONS],
}

/// A decision under way. Dropped before its end, it counts as cancelled.
#[derive(Debug)]
pub(super) struct Deciding<'a> {
    counters: &'a Counters,
    stopwatch: Stopwatch,
    ended: bool,
}

impl Counters {
    pub(super) fn snapshot(&self, in_flight: usize) -> GuardStats {
        // The ends are read before the beginnings, so that none seems to have no beginning; and
        // what is a part of another number before that number.
        let held = self.held.get();
        let fallbacks = Fallbacks(self.fallbacks.each_ref().map(Counter::get));
        let (by_service, cancelled) = (self.by_service.get(), self.cancelled.get());
        let decisions = self.decisions.get();
        GuardStats { decisions, by_service, held, cancelled, in_flight, fallbacks }
    }
}

impl<'a> Deciding<'a> {
    pub(super) fn begin(counters: &'a Counters, stopwatch: Stopwatch) -> Self {
        counters.decisions.add_one();
        Self { counters, stopwatch, ended: false }
    }

    pub(super) fn end(mut self, decision: &Decision) {
        self.ended = true;
        match decision.source {
            DecisionSource::Service => self.counters.by_service.add_one(),
            DecisionSource::Fallback { reason, held } => {
                self.counters.fallbacks[reason as usize].add_one();
                if held {
                    self.counters.held.add_one();
                }
            }
            // The enforcement layer says so, and counts for itself.
            DecisionSource::Cache
            | DecisionSource::Clearance
            | DecisionSource::Exempt
            | DecisionSource::NoAddress => {}
        }
        metrics::decision(decision, self.stopwatch);
    }
}

impl Drop for Deciding<'_> {
    fn drop(&mut self) {
        if !self.ended {
            self.counters.cancelled.add_one();
        }
    }
}
