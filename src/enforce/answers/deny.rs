//! The layer's own answers to those who do not get through.

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::header::RETRY_AFTER;
use http::{HeaderValue, Response, StatusCode};
use reqwest::Url;
use tracing::{debug, warn};

use super::answer::{
    Denial, plain_problem, redirect, redirect_to, unstored_unless_said, with_cookie,
};
use super::audience::Audience;
use super::pages::{self, Challenge, Task};
use crate::enforce::refusal::Refusal;
use crate::enforce::request::facts::{LONGEST_HEADER, cut};
use crate::enforce::request::visit::Visit;
use crate::enforce::shared::Shared;
use crate::metrics::{self, Stage};
use crate::{ChallengeData, Decision, DecisionSource, FallbackReason};

impl Shared {
    /// The answer to a block.
    pub(in crate::enforce) fn blocked(
        &self,
        decision: &Decision,
        visit: Visit<'_>,
    ) -> Response<Bytes> {
        let denial = self.denial(decision, None, visit);
        if let Some(own) = self.own(&denial) {
            return own;
        }
        let mut response = match denial.audience {
            Audience::Page if denial.is_unchecked() => pages::unchecked(),
            Audience::Page => pages::blocked(denial.request_id()),
            Audience::Machine => denial.problem(),
            Audience::Grpc => denial.grpc(),
        };
        if denial.is_unchecked() {
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static(RETRY_SOON));
        }
        response
    }

    /// The answer to a challenge. It sends a browser to a managed one where there is one.
    pub(in crate::enforce) fn challenged(
        &self,
        decision: &Decision,
        visit: Visit<'_>,
    ) -> Response<Bytes> {
        self.challenged_by(decision, managed_page(decision).filter(|_| visit.is_safe()), visit)
    }

    /// The answer to a challenge, which is the layer's own unless there is a managed one.
    fn challenged_by(
        &self,
        decision: &Decision,
        managed: Option<HeaderValue>,
        visit: Visit<'_>,
    ) -> Response<Bytes> {
        metrics::stage(Stage::Issued);
        let challenge = decision.open_challenge().and_then(|open| self.wrapped(open, visit));
        let denial = self.denial(decision, challenge, visit);
        if let Some(own) = self.own(&denial) {
            return own;
        }
        match denial.audience {
            Audience::Page => managed.map_or_else(|| self.page(&denial, visit), redirect),
            Audience::Machine => denial.problem(),
            Audience::Grpc => denial.grpc(),
        }
    }

    /// The answer to a browser that comes back from a managed challenge.
    pub(in crate::enforce) async fn returned(
        &self,
        decision: &Decision,
        proof: &str,
        visit: Visit<'_>,
    ) -> Response<Bytes> {
        let refusal = match self.redeem_proof(visit, proof).await {
            Ok(clearance) => return with_cookie(redirect_to(&visit.return_to()), clearance),
            Err(refusal) => refusal,
        };
        metrics::refusal(refusal);
        let is_page = visit.audience() == Audience::Page;
        match refusal {
            // Neighbours may have used up what their network has; the layer's own challenge does
            // not count there.
            Refusal::TooManyAttempts if is_page && decision.open_challenge().is_some() => {
                self.challenged_by(decision, None, visit)
            }
            // The proof may be as good as any.
            Refusal::Unavailable | Refusal::TooManyAttempts if is_page => pages::unverified(),
            Refusal::Unavailable | Refusal::TooManyAttempts => {
                let detail = "the proof cannot be verified now; send the request again";
                plain_problem(StatusCode::SERVICE_UNAVAILABLE, "unavailable", detail)
            }
            _ if is_page => pages::unproven(visit.return_to().as_str()),
            _ => plain_problem(StatusCode::FORBIDDEN, "unproven", "the proof is not valid"),
        }
    }

    fn denial<'a>(
        &'a self,
        decision: &'a Decision,
        challenge: Option<ChallengeData>,
        visit: Visit<'a>,
    ) -> Denial<'a> {
        let (audience, endpoint) = (visit.audience(), self.endpoint.as_str());
        let denial = Denial { decision, request: visit.parts, audience, challenge, endpoint };
        let reason = decision.response().and_then(|response| response.reason.as_deref());
        debug!(
            action = %decision.action,
            source = decision.source.as_str(),
            fallback = decision.fallback_reason().map(FallbackReason::as_str),
            reason = reason.map(|reason| cut(reason, LONGEST_HEADER)),
            request_id = denial.request_id().filter(is_plain),
            "a request is refused"
        );
        denial
    }

    /// The page that has a challenge solved, or says why it cannot.
    fn page(&self, denial: &Denial<'_>, visit: Visit<'_>) -> Response<Bytes> {
        let challenge = denial.challenge.as_ref();
        let hardest = hardest(self.secrets.challenge_lifetime());
        pages::challenge(&Challenge {
            task: challenge
                .map_or(Task::Unsupported { name: "none" }, |challenge| task(challenge, hardest)),
            envelope: challenge.map_or("", |challenge| &challenge.token),
            endpoint: &self.endpoint,
            return_to: visit.return_to().as_str(),
            posted: !visit.is_safe(),
        })
    }

    /// The challenge with the layer's own token in place of Esper's.
    fn wrapped(&self, open: &ChallengeData, visit: Visit<'_>) -> Option<ChallengeData> {
        let envelopes = &self.secrets.signers()?.envelopes;
        let (return_to, visitor) = (visit.return_to(), visit.identity());
        let token = envelopes.wrap(&open.token, &return_to, &visitor, SystemTime::now());
        if token.is_none() {
            warn!("a challenge cannot be offered, as esper's token is too long");
        }
        Some(ChallengeData { token: token?, ..open.clone() })
    }

    /// The answer of the application's own function.
    fn own(&self, denial: &Denial<'_>) -> Option<Response<Bytes>> {
        let response = self.response.as_ref().and_then(|response| response(denial));
        response.map(unstored_unless_said)
    }
}

/// Whether an id is no text, which a visitor could put into the log in its place.
fn is_plain(id: &&str) -> bool {
    id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
}

/// What a page has to do for a challenge. Of an unknown kind, or without what it needs, it never
/// passes.
fn task(challenge: &ChallengeData, hardest: u32) -> Task<'_> {
    let text = |name| challenge.params.get(name).and_then(serde_json::Value::as_str);
    let number = |name| challenge.params.get(name).and_then(serde_json::Value::as_u64);
    match challenge.type_.as_str() {
        "proof_of_work" if text("algorithm") == Some("sha256") => {
            let difficulty = number("difficulty").and_then(|bits| u32::try_from(bits).ok());
            match (text("salt"), difficulty.filter(|bits| *bits <= hardest)) {
                (Some(salt), Some(difficulty)) => Task::ProofOfWork { salt, difficulty },
                _ => Task::Unsupported { name: "proof_of_work" },
            }
        }
        "turnstile" => match text("site_key") {
            Some(site_key) => Task::Turnstile { site_key },
            None => Task::Unsupported { name: "turnstile" },
        },
        name => Task::Unsupported { name },
    }
}

/// How many leading zero bits a browser finds in an eighth of a time on average, so that hardly
/// anybody's luck is too bad for all of it.
fn hardest(lifetime: Duration) -> u32 {
    (lifetime.as_secs().saturating_mul(HASHES_A_SECOND) / 8).max(1).ilog2()
}

/// Where a managed challenge is, if it is a page of the web.
///
/// That of an earlier decision leads back to where the visitor was then, or to where somebody with
/// the same address was.
fn managed_page(decision: &Decision) -> Option<HeaderValue> {
    if decision.source != DecisionSource::Service {
        return None;
    }
    let url = decision.response()?.redirect_url.as_deref()?;
    let url = Url::parse(url).ok().filter(|url| matches!(url.scheme(), "http" | "https"))?;
    HeaderValue::try_from(url.as_str()).ok()
}

/// What the worker of the page manages on a usual machine.
const HASHES_A_SECOND: u64 = 1_000_000;
/// When a visitor who cannot be checked may try again, in seconds. Esper may be away for longer; a
/// client that is told to wait for long stays away for long.
const RETRY_SOON: &str = "5";

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_calculation_by_another_algorithm_is_not_begun() {
        for algorithm in [json!("sha512"), json!(null)] {
            let challenge = json!({ "type": "proof_of_work", "token": "t", "params":
                { "algorithm": algorithm, "salt": "s", "difficulty": 1 } });
            let challenge = serde_json::from_value(challenge).unwrap();
            assert!(matches!(task(&challenge, 20), Task::Unsupported { name: "proof_of_work" }));
        }
    }

    #[test]
    fn a_calculation_that_takes_longer_than_its_challenge_lasts_is_not_begun() {
        let of = |difficulty: u32, lifetime| {
            let challenge = json!({ "type": "proof_of_work", "token": "t", "params":
                { "algorithm": "sha256", "salt": "s", "difficulty": difficulty } });
            let challenge = serde_json::from_value(challenge).unwrap();
            matches!(task(&challenge, hardest(lifetime)), Task::ProofOfWork { .. })
        };
        let (second, ten_minutes) = (Duration::from_secs(1), Duration::from_secs(600));
        for (difficulty, of_a_second, of_ten_minutes) in [
            (0, true, true),
            (16, true, true),
            (26, false, true),
            (27, false, false),
            (256, false, false),
        ] {
            assert_eq!(of(difficulty, second), of_a_second, "{difficulty}");
            assert_eq!(of(difficulty, ten_minutes), of_ten_minutes, "{difficulty}");
        }
    }
}
