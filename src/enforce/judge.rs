//! From a request to what is done about it.

use std::borrow::Cow;
use std::pin::pin;
use std::time::SystemTime;

use bytes::Bytes;
use http::Response;
use http::request::Parts;
use tracing::{Instrument, debug, debug_span, field};

use super::answers::answer::redirect_to;
use super::answers::audience::Audience;
use super::redemption::decoded;
use super::request::client_ip::{ClientIp, MissingAddress};
use super::request::facts::RequestFacts;
use super::request::visit::{Visit, original};
use super::rule::{Mode, Rule};
use super::shared::Shared;
use crate::metrics::Stopwatch;
use crate::{Decision, DecisionSource, FallbackReason, Guard, MitigationAction, OnFailure};

/// What is done about a request.
pub(super) struct Judged<'a> {
    pub(super) decision: Decision,
    pub(super) course: Course<'a>,
}

/// How a request goes on.
pub(super) enum Course<'a> {
    /// To the application.
    On,
    /// With an answer in place of the application's.
    Answered(Response<Bytes>),
    /// It brings the proof of a managed challenge. Whatever comes of that, it does not go on.
    Returned(Cow<'a, str>),
}

impl Shared {
    /// The rule of the application, or else that of the path.
    pub(super) fn rule_of(&self, parts: &Parts) -> Rule {
        if let Some(rule) = self.rule.as_ref().and_then(|rule| rule(parts)) {
            return rule;
        }
        let of_guard = self.guard.failure_policy();
        let join = |one: Rule, other| one.joined(other, of_guard);
        self.paths.strictest(original(parts).path(), join)
    }

    /// What is asked about a request, unless it is exempt or its client has no address.
    pub(super) fn facts(
        &self,
        parts: &Parts,
        client: &ClientIp,
        rule: Rule,
    ) -> Option<RequestFacts> {
        let address = client.address().filter(|_| rule.mode != Mode::Exempt)?;
        Some(RequestFacts::of(parts, address, &self.disclosure))
    }

    /// Decides about a request, and about the answer in place of the application's.
    pub(super) async fn judge<'a>(
        &self,
        visit: Visit<'a>,
        facts: Option<&RequestFacts>,
        rule: Rule,
    ) -> Judged<'a> {
        let Some(facts) = facts else { return self.judge_unasked(visit, rule) };
        let span = debug_span!(
            "esper.enforce",
            mode = rule.mode.as_str(),
            action = field::Empty,
            source = field::Empty
        );
        // Pinned here, it is not moved into the span: it is large.
        let judged = pin!(self.judge_asked(visit, facts, rule)).instrument(span.clone()).await;
        // Not in the current span, which is somebody else's where this one is switched off.
        span.record("action", field::display(judged.decision.action))
            .record("source", judged.decision.source.as_str());
        judged
    }

    /// Judges a request about which Esper is asked.
    async fn judge_asked<'a>(
        &self,
        visit: Visit<'a>,
        facts: &RequestFacts,
        rule: Rule,
    ) -> Judged<'a> {
        let decision = self.decide(visit, facts, rule).await;
        let cleared = decision.action == MitigationAction::Challenge && self.is_cleared(visit);
        let decision = if cleared { decision.cleared() } else { decision };
        if rule.mode == Mode::Monitor && !decision.is_allowed() {
            debug!(action = %decision.action, source = decision.source.as_str(), "only monitored");
        }
        let course = match (rule.mode, decision.action) {
            (Mode::Monitor | Mode::Exempt, _) => Course::On,
            (Mode::Enforce, MitigationAction::Allow) => without_proof(visit),
            (Mode::Enforce, MitigationAction::Block) => {
                Course::Answered(self.blocked(&decision, visit))
            }
            (Mode::Enforce, MitigationAction::Challenge) if visit.is_preflight => Course::On,
            (Mode::Enforce, MitigationAction::Challenge) => match visit.proof().and_then(decoded) {
                Some(proof) => Course::Returned(proof),
                None => Course::Answered(self.challenged(&decision, visit)),
            },
        };
        Judged { decision, course }
    }

    /// Judges a request that is exempt, or whose client has no address.
    fn judge_unasked<'a>(&self, visit: Visit<'a>, rule: Rule) -> Judged<'a> {
        let policy = rule.failure_policy.unwrap_or_else(|| self.guard.failure_policy());
        let refuses = self.client_ip.missing_address() == MissingAddress::Refuse
            || policy.on(FallbackReason::InvalidRequest) == OnFailure::Closed;
        let decision = match rule.mode {
            Mode::Monitor | Mode::Enforce if refuses => Decision::fallback(
                MitigationAction::Block,
                FallbackReason::InvalidRequest,
                None,
                None,
            ),
            Mode::Monitor | Mode::Enforce => Decision::passed(DecisionSource::NoAddress),
            Mode::Exempt => Decision::passed(DecisionSource::Exempt),
        };
        let course = if rule.mode == Mode::Enforce && !decision.is_allowed() {
            Course::Answered(self.blocked(&decision, visit))
        } else {
            Course::On
        };
        Judged { decision, course }
    }

    async fn decide(&self, visit: Visit<'_>, facts: &RequestFacts, rule: Rule) -> Decision {
        let stricter = rule.failure_policy.map(|policy| {
            let guard = self.guard.clone();
            guard.with_failure_policy(policy)
        });
        let guard = stricter.as_ref().unwrap_or(&self.guard);
        match &self.cache {
            Some(cache) => {
                let stopwatch = Stopwatch::start();
                let ask = || self.ask(guard, visit, facts);
                let shared = |decision: &Decision| guard.note_shared(decision, stopwatch);
                let made =
                    cache.or(facts, rule.failure_policy, guard.deadline(), ask, shared).await;
                made.unwrap_or_else(|| guard.decide_too_late(&facts.request()))
            }
            None => self.ask(guard, visit, facts).await,
        }
    }

    async fn ask(&self, guard: &Guard, visit: Visit<'_>, facts: &RequestFacts) -> Decision {
        let mut request = facts.request();
        if let Some(origin) = visit.origin
            && visit.audience() == Audience::Page
        {
            let return_to = visit.return_to();
            // A query may hold a secret here as well as in the path.
            let told = if self.disclosure.query { return_to } else { return_to.without_query() };
            request.return_url = Some(origin.join(&told));
        }
        guard.decide(&request).await
    }

    /// Whether the visitor solved a challenge lately.
    fn is_cleared(&self, visit: Visit<'_>) -> bool {
        let signers = self.secrets.signers();
        signers.is_some_and(|signers| {
            signers.clearances.holds(&visit.parts.headers, &visit.identity(), SystemTime::now())
        })
    }
}

/// Lets a request on, save for a browser that needed no proof, which is sent to the URL without it.
fn without_proof(visit: Visit<'_>) -> Course<'_> {
    let returns = visit.proof().is_some() && visit.audience() == Audience::Page;
    if returns { Course::Answered(redirect_to(&visit.return_to())) } else { Course::On }
}
