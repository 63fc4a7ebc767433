//! The layer's own answers to those who do not get through.

use std::time::SystemTime;

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode};
use reqwest::Url;
use tracing::warn;

use super::answer::{Denial, plain_problem, redirect, unstored_unless_said, varying};
use super::audience::Audience;
use super::envelope::WrapError;
use super::judge::{redirect_to, with_cookie};
use super::pages::{self, Challenge, Task};
use super::question::Question;
use super::settings::Settings;
use super::visit::Visit;
use crate::metrics::{self, Stage};
use crate::{ChallengeData, ChallengeProof, Decision, DecisionSource};

impl Settings {
    /// The answer to a block.
    pub(super) fn blocked(&self, decision: &Decision, audience: Audience) -> Response<Bytes> {
        let denial = Denial { decision, audience, challenge: None, endpoint: &self.endpoint };
        self.own(&denial).unwrap_or_else(|| match audience {
            Audience::Page => varying(pages::blocked(None)),
            Audience::Machine => denial.problem(),
            Audience::Grpc => denial.grpc(),
        })
    }

    /// The answer to a challenge.
    pub(super) fn challenged(&self, decision: &Decision, visit: &Visit<'_>) -> Response<Bytes> {
        metrics::stage(Stage::Issued);
        let challenge = decision.open_challenge().and_then(|open| self.wrapped(open, visit));
        let denial =
            Denial { decision, audience: visit.audience, challenge, endpoint: &self.endpoint };
        if let Some(own) = self.own(&denial) {
            return own;
        }
        match visit.audience {
            Audience::Page => {
                let managed = managed_page(decision).filter(|_| visit.safe);
                managed.map_or_else(|| varying(self.page(&denial, visit)), redirect)
            }
            Audience::Machine => denial.problem(),
            Audience::Grpc => denial.grpc(),
        }
    }

    /// The answer to a browser that comes back from a managed challenge.
    pub(super) async fn returned(
        &self,
        proof: &str,
        question: &Question,
        visit: &Visit<'_>,
    ) -> Response<Bytes> {
        let mut claim = ChallengeProof::new(proof, question.address.to_string());
        claim.user_agent.clone_from(&question.user_agent);
        let valid = self.verify(self.guard.client().verify_challenge_proof(&claim)).await;
        match (valid, self.secrets.signers()) {
            (Ok(true), Some(signers)) => {
                metrics::stage(Stage::Redeemed);
                self.guard.forget_challenge(&question.request());
                let cookie = signers.clearances.issue(&visit.binding, SystemTime::now());
                with_cookie(redirect_to(&visit.return_to), cookie)
            }
            // Whatever went wrong, it passes nobody.
            _ => {
                metrics::refusal("unproven");
                match visit.audience {
                    Audience::Page => varying(pages::unproven(visit.return_to.as_str())),
                    Audience::Machine | Audience::Grpc => {
                        plain_problem(StatusCode::FORBIDDEN, "unproven", "the proof is not valid")
                    }
                }
            }
        }
    }

    /// The page that has a challenge solved, or says why it cannot.
    fn page(&self, denial: &Denial<'_>, visit: &Visit<'_>) -> Response<Bytes> {
        let challenge = denial.challenge.as_ref();
        pages::challenge(&Challenge {
            task: challenge.map_or(Task::Unsupported { name: "none" }, task),
            envelope: challenge.map_or("", |challenge| &challenge.token),
            endpoint: &self.endpoint,
            return_to: visit.return_to.as_str(),
            posted: !visit.safe,
        })
    }

    /// The challenge with the layer's own token in place of Esper's.
    fn wrapped(&self, open: &ChallengeData, visit: &Visit<'_>) -> Option<ChallengeData> {
        let envelopes = &self.secrets.signers()?.envelopes;
        let wrap =
            |return_to| envelopes.wrap(&open.token, return_to, &visit.binding, SystemTime::now());
        let wrapped = match wrap(visit.return_to.as_str()) {
            Err(WrapError::ReturnToTooLong) => wrap("/"),
            wrapped => wrapped,
        };
        let failed = |error: &WrapError| {
            warn!(reason = error.as_str(), "a challenge cannot be offered");
        };
        let token = wrapped.inspect_err(failed).ok()?;
        Some(ChallengeData { token, ..open.clone() })
    }

    /// The answer of the application's own function.
    fn own(&self, denial: &Denial<'_>) -> Option<Response<Bytes>> {
        let response = self.response.as_ref().and_then(|response| response(denial));
        response.map(unstored_unless_said)
    }
}

/// What a page has to do for a challenge. Of an unknown kind, or without what it needs, it never
/// passes.
fn task(challenge: &ChallengeData) -> Task<'_> {
    let text = |name| challenge.params.get(name).and_then(serde_json::Value::as_str);
    let number = |name| challenge.params.get(name).and_then(serde_json::Value::as_u64);
    match challenge.type_.as_str() {
        "proof_of_work" if text("algorithm") == Some("sha256") => {
            let difficulty = number("difficulty").and_then(|bits| u32::try_from(bits).ok());
            match (text("salt"), difficulty.filter(|bits| *bits <= HARDEST)) {
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

/// No browser finds more leading zero bits in any reasonable time.
const HARDEST: u32 = 32;
