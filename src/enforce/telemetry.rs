//! Tells Esper what became of a request, once it is over.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use http::StatusCode;

use super::request::facts::RequestFacts;
use super::rule::Mode;
use crate::{Beacons, Decision, DecisionSource, MitigationAction};

/// Sends an event for a share of the requests.
#[derive(Debug)]
pub(super) struct Telemetry {
    beacons: Beacons,
    /// How many of a million requests are told of.
    share: u64,
    seen: AtomicU64,
}

/// The event that tells of a request about which Esper is asked.
///
/// It is sent when this is dropped, so also where the client went away, before or after the
/// decision, or the inner service failed: nobody stays unknown by ending early.
#[derive(Debug)]
pub(super) struct PendingEvent<'a> {
    /// Nothing, where it is not this request's turn.
    beacons: Option<&'a Beacons>,
    started: Instant,
    mode: Mode,
    /// Nothing, where Esper is not asked.
    facts: Option<RequestFacts>,
    decided: Option<(MitigationAction, DecisionSource)>,
    status: Option<StatusCode>,
}

impl Telemetry {
    /// Of a share between 0 and 1; beyond, it is the nearer of both.
    pub(super) fn new(beacons: Beacons, share: f64) -> Self {
        let share = (share.clamp(0.0, 1.0) * WHOLE as f64).round() as u64;
        Self { beacons, share, seen: AtomicU64::new(0) }
    }

    /// Whether it is the next request's turn: evenly spread, and exact in the long run.
    fn is_told(&self) -> bool {
        let before = self.seen.fetch_add(1, Ordering::Relaxed) % WHOLE * self.share;
        before / WHOLE < (before + self.share) / WHOLE
    }
}

impl<'a> PendingEvent<'a> {
    /// Begins to tell of a request about which Esper is asked, if it is its turn.
    pub(super) fn of(
        telemetry: Option<&'a Telemetry>,
        facts: Option<RequestFacts>,
        mode: Mode,
        started: Instant,
    ) -> Self {
        let telemetry = telemetry.filter(|telemetry| facts.is_some() && telemetry.is_told());
        let beacons = telemetry.map(|telemetry| &telemetry.beacons);
        Self { beacons, started, mode, facts, decided: None, status: None }
    }

    pub(super) fn facts(&self) -> Option<&RequestFacts> {
        self.facts.as_ref()
    }

    /// Tells what was decided.
    pub(super) fn note(&mut self, decision: &Decision) {
        self.decided = Some((decision.action, decision.source));
    }

    /// Tells how it ended; without a status, the inner service failed.
    pub(super) fn end(mut self, status: Option<StatusCode>) {
        self.status = status;
    }
}

impl Drop for PendingEvent<'_> {
    fn drop(&mut self) {
        let (Some(beacons), Some(facts)) = (self.beacons, self.facts.take()) else { return };
        let mut event = facts.event().with_data("enforced", self.mode == Mode::Enforce);
        if let Some((action, source)) = self.decided {
            event =
                event.with_data("action", action.to_string()).with_data("source", source.as_str());
            if let DecisionSource::Fallback { reason, .. } = source {
                event = event.with_data("fallback", reason.as_str());
            }
        }
        if let Some(status) = self.status {
            event = event.with_data("status", status.as_u16());
        }
        let duration = self.started.elapsed().as_secs_f64() * 1e3;
        beacons.send(event.with_data("duration_ms", duration));
    }
}

const WHOLE: u64 = 1_000_000;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{AsyncEsperClient, EsperConfig};

    fn told(share: f64, requests: u64) -> u64 {
        let client = AsyncEsperClient::new(EsperConfig::new("a-key")).unwrap();
        let telemetry = Telemetry::new(client.beacons(), share);
        (0..requests).filter(|_| telemetry.is_told()).count() as u64
    }

    #[test]
    fn a_share_of_the_requests_is_told_of_exactly() {
        for (share, of_thousand) in
            [(0.0, 0), (0.001, 1), (0.25, 250), (1.0 / 3.0, 333), (0.999, 999), (1.0, 1000)]
        {
            assert_eq!(told(share, 1_000), of_thousand, "{share}");
        }
        assert_eq!((told(-0.5, 1_000), told(1.5, 1_000), told(f64::NAN, 1_000)), (0, 1_000, 0));
        assert_eq!(told(0.000_001, 2 * WHOLE), 2, "over more than one round");
        assert_eq!(told(0.3, 2 * WHOLE), 600_000);
    }

    #[test]
    fn the_requests_that_are_told_of_are_spread_evenly() {
        for requests in [4, 8, 100] {
            assert_eq!(told(0.25, requests), requests / 4);
        }
    }
}
