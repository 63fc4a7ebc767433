//! What visitors hand in for a challenge: Esper verifies it, and it gives a clearance.

use std::borrow::Cow;
use std::future::Future;
use std::time::{Duration, SystemTime};

use http::HeaderValue;
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
        match verification(call).await {
            Verification::Right => {}
            Verification::Wrong => return Err(Refusal::Wrong),
            Verification::Refused | Verification::Unanswered => return Err(Refusal::Unavailable),
        }
        signers.envelopes.spend(&content, now);
        let facts =
            visit.address.map(|address| RequestFacts::of(visit.parts, address, &self.disclosure));
        let clearance = self.clearance(signers, visit, facts.as_ref());
        Ok(Redeemed { clearance, return_to: content.return_to })
    }

    /// Has the proof of a managed challenge verified: the clearance for it.
    pub(super) async fn redeem_proof(
        &self,
        visit: Visit<'_>,
        proof: &str,
        facts: &RequestFacts,
    ) -> Result<HeaderValue, Refusal> {
        let signers = self.secrets.signers().ok_or(Refusal::Unavailable)?;
        let _place = self.verifications.proofs.take(Some(facts.address))?;
        self.verifications.admit_proof(facts.address, SystemTime::now())?;
        metrics::stage(Stage::Submitted);
        let mut claim = ChallengeProof::new(proof, facts.address.to_string());
        claim.user_agent.clone_from(&facts.user_agent);
        let outcome = verification(self.guard.client().verify_challenge_proof(&claim)).await;
        if matches!(outcome, Verification::Right | Verification::Unanswered) {
            self.verifications.forget_proof(facts.address, SystemTime::now());
        }
        match outcome {
            Verification::Right => Ok(self.clearance(signers, visit, Some(facts))),
            Verification::Wrong => Err(Refusal::Unproven),
            Verification::Refused | Verification::Unanswered => Err(Refusal::Unavailable),
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

/// Waits for the outcome of a verification, for a while.
async fn verification(call: impl Future<Output = Result<bool, EsperError>>) -> Verification {
    match timeout(PATIENCE, call).await {
        Ok(Ok(true)) => Verification::Right,
        // What cannot be asked about cannot be right, and will not be later on.
        Ok(Ok(false) | Err(EsperError::Validation { .. })) => Verification::Wrong,
        Ok(Err(error)) => {
            debug!(%error, "esper did not verify an answer");
            match error {
                EsperError::Api { status, .. } if status.is_client_error() => Verification::Refused,
                _ => Verification::Unanswered,
            }
        }
        Err(_) => Verification::Unanswered,
    }
}

/// How long Esper may take to verify something.
const PATIENCE: Duration = Duration::from_secs(10);
/// In bytes; what is longer is none of Esper's, and costs no call.
const LONGEST_PROOF: usize = 4096;
