//! From a request to what is done about it.

use std::net::IpAddr;
use std::time::SystemTime;

use bytes::Bytes;
use http::Response;
use http::header::{HeaderValue, SET_COOKIE};
use http::request::Parts;
use tracing::{Instrument, Span, debug_span, field};

use super::answer::redirect;
use super::audience::Audience;
use super::client_ip::{ClientIp, MissingAddress};
use super::question::Question;
use super::return_to::ReturnTo;
use super::rule::{Mode, Rule, is_preflight};
use super::settings::Settings;
use super::visit::{Visit, original};
use crate::{Decision, FallbackReason, Guard, MitigationAction};

/// What is done about a request.
pub(super) struct Judged {
    pub(super) decision: Decision,
    pub(super) mode: Mode,
    /// What was asked, if anything was.
    pub(super) question: Option<Question>,
    /// The answer in place of the application's.
    pub(super) answer: Option<Response<Bytes>>,
}

impl Settings {
    /// Decides about a request, and about the answer in place of the application's.
    pub(super) async fn judge(
        &self,
        parts: &Parts,
        body_is_empty: bool,
        client: &ClientIp,
    ) -> Judged {
        let rule = self.rule_of(parts, body_is_empty);
        let mode = rule.mode;
        if mode == Mode::Exempt {
            return Judged { decision: Decision::exempt(), mode, question: None, answer: None };
        }
        let Some(address) = client.address() else { return self.judge_unknown(parts, mode) };
        let span = debug_span!(
            "esper.enforce",
            mode = mode.as_str(),
            action = field::Empty,
            source = field::Empty
        );
        self.judge_known(parts, address, rule).instrument(span).await
    }

    /// A request whose client has an address.
    async fn judge_known(&self, parts: &Parts, address: IpAddr, rule: Rule) -> Judged {
        let question = Question::of(parts, address, &self.disclosure);
        let decision = self.decide(parts, &question, rule).await;
        let visit = Visit::of(parts, Some(address), self.origin.as_ref());
        let cleared =
            decision.action == MitigationAction::Challenge && self.is_cleared(parts, &visit);
        let decision = if cleared { decision.cleared() } else { decision };
        let answer = match (rule.mode, decision.action) {
            (Mode::Monitor | Mode::Exempt, _) => None,
            (Mode::Enforce, MitigationAction::Allow) => self.without_proof(&visit),
            (Mode::Enforce, MitigationAction::Block) => {
                Some(self.blocked(&decision, visit.audience))
            }
            (Mode::Enforce, MitigationAction::Challenge) => Some(match &visit.proof {
                // Without an origin there is no managed challenge to come back from.
                Some(proof) if visit.safe && self.origin.is_some() => {
                    self.returned(proof, &question, &visit).await
                }
                _ => self.challenged(&decision, &visit),
            }),
        };
        Span::current()
            .record("action", field::display(decision.action))
            .record("source", decision.source.as_str());
        Judged { decision, mode: rule.mode, question: Some(question), answer }
    }

    /// A request whose client has none.
    fn judge_unknown(&self, parts: &Parts, mode: Mode) -> Judged {
        let decision = match self.client_ip.missing_address() {
            MissingAddress::Refuse => {
                Decision::unasked(MitigationAction::Block, FallbackReason::InvalidRequest)
            }
            MissingAddress::Pass | MissingAddress::StandIn(_) => Decision::exempt(),
        };
        let refused = mode == Mode::Enforce && !decision.is_allowed();
        let answer = refused.then(|| self.blocked(&decision, Audience::of(parts)));
        Judged { decision, mode, question: None, answer }
    }

    /// The rule of the application, or else that of the path.
    fn rule_of(&self, parts: &Parts, body_is_empty: bool) -> Rule {
        if let Some(rule) = self.rule.as_ref().and_then(|rule| rule(parts)) {
            rule
        } else if is_preflight(parts, body_is_empty) {
            Rule::exempt()
        } else {
            let of_guard = self.guard.failure_policy();
            let join = |one: Rule, other| one.joined(other, of_guard);
            self.paths.strictest(original(parts).path(), join)
        }
    }

    async fn decide(&self, parts: &Parts, question: &Question, rule: Rule) -> Decision {
        let stricter = rule.failure_policy.map(|policy| {
            let guard = self.guard.clone();
            guard.with_failure_policy(policy)
        });
        let guard = stricter.as_ref().unwrap_or(&self.guard);
        match &self.cache {
            Some(cache) => {
                let ask = || self.ask(guard, parts, question);
                let made = cache.or(question, rule.failure_policy, guard.deadline(), ask).await;
                made.unwrap_or_else(|| guard.decide_too_late(&question.request()))
            }
            None => self.ask(guard, parts, question).await,
        }
    }

    async fn ask(&self, guard: &Guard, parts: &Parts, question: &Question) -> Decision {
        let mut request = question.request();
        if let Some(origin) = &self.origin
            && Audience::of(parts) == Audience::Page
        {
            let way_back = ReturnTo::of(original(parts));
            // A query may hold a secret here as well as in the path.
            let told = if self.disclosure.query { way_back } else { way_back.without_query() };
            request.return_url = Some(origin.join(&told));
        }
        guard.decide(&request).await
    }

    /// Whether the visitor solved a challenge lately.
    fn is_cleared(&self, parts: &Parts, visit: &Visit<'_>) -> bool {
        let signers = self.secrets.signers();
        signers.is_some_and(|signers| {
            signers.clearances.holds(&parts.headers, &visit.binding, SystemTime::now())
        })
    }

    /// Sends a browser that needed no proof to the URL without it.
    fn without_proof(&self, visit: &Visit<'_>) -> Option<Response<Bytes>> {
        let returns = visit.safe && visit.audience == Audience::Page && visit.proof.is_some();
        (returns && self.origin.is_some()).then(|| redirect_to(&visit.return_to))
    }
}

/// Sends a browser to a path of this site.
pub(super) fn redirect_to(place: &ReturnTo) -> Response<Bytes> {
    let root = HeaderValue::from_static("/");
    redirect(HeaderValue::from_str(place.as_str()).unwrap_or(root))
}

/// Sets the cookie of a clearance.
pub(super) fn with_cookie(mut response: Response<Bytes>, cookie: HeaderValue) -> Response<Bytes> {
    response.headers_mut().append(SET_COOKIE, cookie);
    response
}
