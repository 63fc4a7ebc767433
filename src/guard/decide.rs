//! The way of one decision.

use std::pin::pin;
use std::time::Duration;

use tokio::time::{Instant, timeout_at};
use tracing::{Instrument, Span, debug, debug_span, field};

#[cfg(feature = "tower")]
use super::FailurePolicy;
use super::breaker::Outcome;
use super::memory::Visitor;
use super::stats::Deciding;
use super::{Decision, DecisionSource, FallbackReason, Guard, OnFailure};
use crate::generated::options;
use crate::metrics::{self, Stopwatch};
use crate::transport::{Backoff, Patience, later};
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
        self.decide_and_count(request).instrument(span).await
    }

    async fn decide_and_count(&self, request: &MitigationRequest) -> Decision {
        let stopwatch = Stopwatch::start();
        let deciding = Deciding::begin(&self.common.counters);
        let answer = self.ask(request).await;
        let visitor = self.common.memory.visitor(request);
        let decision = match answer {
            Ok(response) => self.follow(response, visitor),
            Err(unanswered) => self.fall_back(unanswered, visitor),
        };
        deciding.end(&decision);
        metrics::decision(&decision, stopwatch);
        note(&decision);
        decision
    }

    /// Asks the service, if it is to be asked now.
    async fn ask(&self, request: &MitigationRequest) -> Result<MitigationResponse, Unanswered> {
        let started = Instant::now();
        request.check()?;
        let patient = self.deadline.mul_f32(SHARE);
        let pass = self.circuit.admit(self.deadline, patient).ok_or(FallbackReason::BreakerOpen)?;
        let _permit = self.in_flight.try_acquire().map_err(|_| FallbackReason::Overload)?;

        // The call ends a moment before the decision has to be there, so that it can say itself
        // what became of it. The rest is for what does not keep its time.
        let retries = if pass.is_probe() { 0 } else { 1 };
        let patience = self.patience(self.deadline - self.deadline / 32, retries);
        // Pinned here, it is not moved into the timeout: it is large.
        let call = pin!(self.client.check_mitigation_within(patience, request));
        let answer = match timeout_at(later(started, self.deadline), call).await {
            Ok(Ok(response)) => Ok(response),
            Ok(Err(error)) => Err(Unanswered { reason: self.learn(&error), error: Some(error) }),
            Err(_) => Err(FallbackReason::Timeout.into()),
        };
        let failed = answer.as_ref().is_err_and(|unanswered| unanswered.reason.trips_breaker());
        pass.settle(if failed { Outcome::Failed } else { Outcome::Answered });
        answer
    }

    /// The decision that the service made.
    fn follow(&self, response: MitigationResponse, visitor: Option<Visitor>) -> Decision {
        self.common.alarm.lower();
        if let Some(visitor) = visitor {
            let until = later(Instant::now(), self.verdict_lifetime);
            self.common.memory.note(visitor, &response, until);
        }
        Decision::of_service(response)
    }

    /// The decision where there is none of the service.
    fn fall_back(&self, unanswered: Unanswered, visitor: Option<Visitor>) -> Decision {
        let Unanswered { reason, error } = unanswered;
        let held = visitor.and_then(|visitor| self.common.memory.recall(&visitor, Instant::now()));
        let closed = self.policy.on(reason) == OnFailure::Closed;
        match held {
            // Whoever fails closed lets nobody off with a challenge.
            Some(held) if !(closed && held.action == MitigationAction::Challenge) => {
                Decision::fallback(held.action, reason, Some(held), error)
            }
            _ => Decision::fallback(self.policy.on(reason).action(), reason, None, error),
        }
    }

    /// The reason that an error is; a refused key is made known.
    pub(super) fn learn(&self, error: &EsperError) -> FallbackReason {
        let reason = FallbackReason::of(error);
        if reason == FallbackReason::Unauthorized {
            self.common.alarm.raise(error);
        }
        reason
    }

    pub(super) fn patience(&self, timeout: Duration, retries: u32) -> Patience {
        Patience {
            timeout,
            attempt_timeout: self.client.patience().attempt_timeout,
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
        let stopwatch = Stopwatch::start();
        let deciding = Deciding::begin(&self.common.counters);
        let visitor = self.common.memory.visitor(request);
        let decision = self.fall_back(FallbackReason::Timeout.into(), visitor);
        deciding.end(&decision);
        metrics::decision(&decision, stopwatch);
        decision
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
fn note(decision: &Decision) {
    let span = Span::current();
    span.record("action", field::display(decision.action));
    if let DecisionSource::Fallback { reason, held } = decision.source {
        span.record("fallback", reason.as_str()).record("held", held);
        debug!(%reason, held, "a decision without the service");
    }
}

/// The part of a deadline that the first attempt gets.
const SHARE: f32 = 0.6;
const RETRY_DELAY: Duration = Duration::from_millis(25);
const MAX_RETRY_DELAY: Duration = Duration::from_millis(100);
