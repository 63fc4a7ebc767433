//! The way of one decision.

use std::pin::pin;
use std::time::Duration;

use tokio::time::{Instant, timeout_at};
use tracing::{Instrument, Span, debug, debug_span, field};

#[cfg(feature = "tower")]
use super::FailurePolicy;
use super::shared_breaker::CallTimes;
use super::stats::Deciding;
use super::{Decision, DecisionSource, FallbackReason, Guard, OnFailure};
use crate::deadline::saturating_add;
use crate::generated::options;
use crate::metrics::Stopwatch;
use crate::transport::{Backoff, CallLimits};
use crate::{EsperError, MitigationAction, MitigationRequest, MitigationResponse};

/// Why there is no decision of the service.
struct Unanswered {
    reason: FallbackReason,
    error: Option<EsperError>,
}

impl Guard {
    /// Decides about a request, within the deadline.
    ///
    /// The time begins when the future is polled for the first time.
    pub async fn decide(&self, request: &MitigationRequest) -> Decision {
        let span = debug_span!(
            "esper.decide",
            action = field::Empty,
            fallback = field::Empty,
            held = field::Empty
        );
        // Pinned here, it is not moved into the span: it is large.
        let decision = pin!(self.decide_and_count(request)).instrument(span.clone()).await;
        // Not in the current span, which is the caller's where this one is not enabled.
        record(&span, &decision);
        decision
    }

    async fn decide_and_count(&self, request: &MitigationRequest) -> Decision {
        let deciding = Deciding::begin(&self.common.counters, Stopwatch::start());
        let answer = self.ask(request).await;
        self.conclude(request, answer, deciding)
    }

    /// The decision that an answer, or none, leads to; it is counted.
    fn conclude(
        &self,
        request: &MitigationRequest,
        answer: Result<MitigationResponse, Unanswered>,
        deciding: Deciding<'_>,
    ) -> Decision {
        let decision = match answer {
            Ok(response) => self.follow(response, request),
            Err(unanswered) => self.fall_back(unanswered, request),
        };
        deciding.end(&decision);
        if let DecisionSource::Fallback { reason, held } = decision.source {
            debug!(%reason, held, error = decision.error().map(field::display), "a fallback");
        }
        decision
    }

    /// Asks the service, if it is to be asked now.
    async fn ask(&self, request: &MitigationRequest) -> Result<MitigationResponse, Unanswered> {
        let started = Instant::now();
        request.check()?;
        let failed_after = self.deadline.mul_f32(SHARE);
        let times = CallTimes { longest: self.deadline, failed_after };
        let permit = self.breaker.admit(started, times).ok_or(FallbackReason::BreakerOpen)?;
        let _slot = self.in_flight.try_acquire().map_err(|_| FallbackReason::Overload)?;

        // The call ends a moment before the decision has to be there, so that it can say itself
        // what became of it. The rest is for what does not keep its time.
        let retries = if permit.is_probe() { 0 } else { 1 };
        let limits = self.limits(self.deadline - self.deadline / 32, retries);
        // Pinned here, it is not moved into the timeout: it is large.
        let call = pin!(self.client.check_mitigation_within(limits, request));
        let answer = match timeout_at(saturating_add(started, self.deadline), call).await {
            Ok(Ok(response)) => Ok(response),
            Ok(Err(error)) => Err(Unanswered { reason: self.classify(&error), error: Some(error) }),
            Err(_) => Err(FallbackReason::Timeout.into()),
        };
        match &answer {
            Err(Unanswered { reason, error }) if reason.trips_breaker() => {
                permit.failed(*reason, error.as_ref());
            }
            _ => permit.answered(),
        }
        answer
    }

    /// The decision that the service made.
    fn follow(&self, mut response: MitigationResponse, request: &MitigationRequest) -> Decision {
        self.common.alarm.lower();
        let verdicts = &self.common.last_verdicts;
        // An allow ends what held. Mostly nothing does, and nobody need know whose it would be.
        let ends_nothing = response.action == MitigationAction::Allow && verdicts.is_empty();
        if !ends_nothing && let Some(visitor) = verdicts.visitor(request) {
            verdicts.note(visitor, &mut response, Instant::now);
        }
        response.into()
    }

    /// The decision where there is none of the service.
    fn fall_back(&self, unanswered: Unanswered, request: &MitigationRequest) -> Decision {
        let Unanswered { reason, error } = unanswered;
        let verdicts = &self.common.last_verdicts;
        let held = verdicts
            .visitor(request)
            .and_then(|visitor| verdicts.recall(&visitor, Instant::now(), self.verdict_lifetime));
        let closed = self.policy.on(reason) == OnFailure::Closed;
        match held {
            // Whoever fails closed lets nobody off with a challenge.
            Some(held) if !(closed && held.action == MitigationAction::Challenge) => {
                Decision::fallback(held.action, reason, Some(held), error)
            }
            _ => Decision::fallback(self.policy.on(reason).action(), reason, None, error),
        }
    }

    /// Classifies an error, and raises the alarm for what somebody has to mend.
    pub(super) fn classify(&self, error: &EsperError) -> FallbackReason {
        let reason = FallbackReason::of(error);
        self.common.alarm.raise(reason, error);
        reason
    }

    pub(super) fn limits(&self, timeout: Duration, retries: u32) -> CallLimits {
        CallLimits {
            timeout,
            attempt_timeout: self.client.limits().attempt_timeout,
            share: SHARE,
            backoff: Backoff::new(RETRY_DELAY, MAX_RETRY_DELAY, retries),
            longest_retry_after: options::MAX_RETRY_DELAY,
        }
    }
}

/// What the enforcement layer needs.
#[cfg(feature = "tower")]
impl Guard {
    pub(crate) fn deadline(&self) -> Duration {
        self.deadline
    }

    pub(crate) fn failure_policy(&self) -> FailurePolicy {
        self.policy
    }

    /// The decision about a request that waited for another one's answer until the deadline.
    pub(crate) fn decide_too_late(&self, request: &MitigationRequest) -> Decision {
        let deciding = Deciding::begin(&self.common.counters, Stopwatch::start());
        self.conclude(request, Err(FallbackReason::Timeout.into()), deciding)
    }
}

impl From<FallbackReason> for Unanswered {
    fn from(reason: FallbackReason) -> Self {
        Self { reason, error: None }
    }
}

/// A request that does not fit.
impl From<EsperError> for Unanswered {
    fn from(error: EsperError) -> Self {
        Self { reason: FallbackReason::of(&error), error: Some(error) }
    }
}

/// Records a decision in its span. There is nothing of the visitor in it.
fn record(span: &Span, decision: &Decision) {
    span.record("action", field::display(decision.action));
    if let DecisionSource::Fallback { reason, held } = decision.source {
        span.record("fallback", reason.as_str()).record("held", held);
    }
}

/// The part of a deadline that the first attempt gets.
const SHARE: f32 = 0.6;
const RETRY_DELAY: Duration = Duration::from_millis(25);
const MAX_RETRY_DELAY: Duration = Duration::from_millis(100);
