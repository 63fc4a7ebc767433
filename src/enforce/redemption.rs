//! What visitors hand in for a challenge: Esper verifies it, and it gives a clearance.

use std::borrow::Cow;
use std::future::Future;
use std::time::{Duration, Instant, SystemTime};

use http::{HeaderValue, StatusCode};
use percent_encoding::percent_decode_str;
use serde::Deserialize;
use tokio::time::timeout;
use tracing::debug;

use super::refusal::Refusal;
use super::request::facts::RequestFacts;
use super::request::return_to::ReturnTo;
use super::request::visit::Visit;
use super::shared::Shared;
use super::signed::secrets::Signers;
use crate::metrics::{self, Stage};
use crate::{ChallengeProof, EsperError};

/// The answer to a challenge of the layer's own, as a page or a program hands it in.
#[derive(Deserialize)]
pub(super) struct Solution {
    envelope: String,
    response: String,
}

/// What an accepted answer gives.
pub(super) struct Redeemed {
    pub(super) clearance: HeaderValue,
    pub(super) return_to: ReturnTo,
}

impl Shared {
    /// Has the answer to a challenge verified.
    pub(super) async fn redeem(
        &self,
        visit: Visit<'_>,
        solution: &Solution,
    ) -> Result<Redeemed, Refusal> {
        // Before it is opened, which counts as an attempt.
        let _place = self.verifications.answers.take(visit.address)?;
        let signers = self.secrets.signers().ok_or(Refusal::Unavailable)?;
        let now = SystemTime::now();
        let content = signers.envelopes.open(&solution.envelope, &visit.identity(), now)?;
        metrics::stage(Stage::Submitted);
        let call = self.guard.client().verify_challenge(&content.token, &solution.response);
        self.verification(call).await.or(Refusal::Wrong)?;
        signers.envelopes.spend(&content, now);
        let clearance = self.clearance(signers, visit, self.facts_of(visit).as_ref());
        Ok(Redeemed { clearance, return_to: content.return_to })
    }

    /// Has the proof of a managed challenge verified: the clearance for it.
    pub(super) async fn redeem_proof(
        &self,
        visit: Visit<'_>,
        proof: &str,
    ) -> Result<HeaderValue, Refusal> {
        // Nobody without an address is challenged.
        let facts = self.facts_of(visit).ok_or(Refusal::Unavailable)?;
        let signers = self.secrets.signers().ok_or(Refusal::Unavailable)?;
        let _place = self.verifications.proofs.take(Some(facts.address))?;
        self.verifications.admit_proof(facts.address, Instant::now())?;
        metrics::stage(Stage::Submitted);
        let mut claim = ChallengeProof::new(proof, facts.address.to_string());
        claim.user_agent.clone_from(&facts.user_agent);
        let call = self.guard.client().verify_challenge_proof(&claim);
        let outcome = self.verification(call).await;
        if matches!(outcome, Verification::Right | Verification::Unanswered) {
            self.verifications.forget_proof(facts.address, Instant::now());
        }
        outcome.or(Refusal::Unproven)?;
        Ok(self.clearance(signers, visit, Some(&facts)))
    }

    /// What is asked about a visitor who has an address.
    fn facts_of(&self, visit: Visit<'_>) -> Option<RequestFacts> {
        visit.address.map(|address| RequestFacts::of(visit.parts, address, &self.disclosure))
    }

    /// Waits for the outcome of a verification, for a while.
    async fn verification(
        &self,
        call: impl Future<Output = Result<bool, EsperError>>,
    ) -> Verification {
        let Ok(outcome) = timeout(PATIENCE, call).await else {
            self.guard.note_verification(Some(&"there was no answer in time"));
            return Verification::Unanswered;
        };
        match outcome {
            Ok(valid) => {
                self.guard.note_verification(None);
                if valid { Verification::Right } else { Verification::Wrong }
            }
            // What cannot be asked about cannot be right, and will not be later on.
            Err(EsperError::Validation { .. }) => Verification::Wrong,
            Err(error) => {
                debug!(%error, "esper did not verify an answer");
                let status = error.status();
                if !status.is_some_and(is_about_the_answer) {
                    self.guard.note_verification(Some(&error));
                }
                if status.is_some_and(|status| status.is_client_error()) {
                    Verification::Refused
                } else {
                    Verification::Unanswered
                }
            }
        }
    }

    /// The cookie for a visitor whom Esper accepts. What the guard knows of them is found by facts.
    fn clearance(
        &self,
        signers: &Signers,
        visit: Visit<'_>,
        facts: Option<&RequestFacts>,
    ) -> HeaderValue {
        metrics::stage(Stage::Redeemed);
        if let Some(facts) = facts {
            self.guard.forget_challenge(&facts.request());
        }
        // Its time begins now: the verification may have taken a while.
        signers.clearances.issue(&visit.identity(), SystemTime::now())
    }
}

/// A proof as it was before it was put into a URL, unless Esper cannot have made it.
pub(super) fn decoded(proof: &str) -> Option<Cow<'_, str>> {
    let is_one = !proof.is_empty() && proof.len() <= LONGEST_PROOF;
    is_one.then(|| percent_decode_str(proof).decode_utf8().ok()).flatten()
}

/// What Esper says of something that was handed in.
#[derive(Clone, Copy, Debug)]
enum Verification {
    Right,
    Wrong,
    /// It does not want to say, be it because of what was handed in or because of how much.
    Refused,
    /// It was not reached, or failed.
    Unanswered,
}

impl Verification {
    /// Nothing where it is right; where it is wrong, this.
    fn or(self, wrong: Refusal) -> Result<(), Refusal> {
        match self {
            Self::Right => Ok(()),
            Self::Wrong => Err(wrong),
            Self::Refused | Self::Unanswered => Err(Refusal::Unavailable),
        }
    }
}

/// Whether Esper may answer so because of what was handed in. With 404, a wrong URL answers whatever
/// it was.
fn is_about_the_answer(status: StatusCode) -> bool {
    use StatusCode as S;
    matches!(status, S::BAD_REQUEST | S::PAYLOAD_TOO_LARGE | S::UNPROCESSABLE_ENTITY)
}

/// How long Esper may take to verify something.
const PATIENCE: Duration = Duration::from_secs(10);
/// In bytes; what is longer is none of Esper's, and costs no call.
const LONGEST_PROOF: usize = 4096;
