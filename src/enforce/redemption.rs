//! What visitors hand in for a challenge: Esper verifies it, and it gives a clearance.

use std::borrow::Cow;
use std::future::Future;
use std::net::IpAddr;
use std::num::NonZeroUsize;
use std::time::{Duration, SystemTime};

use http::HeaderValue;
use percent_encoding::percent_decode_str;
use serde::Deserialize;
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tracing::debug;

use super::refusal::Refusal;
use super::request::facts::RequestFacts;
use super::request::return_to::ReturnTo;
use super::request::visit::Visit;
use super::shared::Shared;
use super::signed::expiring_lru::ExpiringLru;
use super::signed::secrets::Signers;
use super::signed::validity::{Validity, millis};
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

/// What keeps visitors from piling up verifications. Proofs, which cost nothing to make up, cannot
/// crowd answers out.
pub(super) struct Verifications {
    answers: Semaphore,
    proofs: Semaphore,
    /// How many proofs came from a network lately that were not found right.
    unproven: ExpiringLru<u32>,
}

impl Shared {
    /// Has the answer to a challenge verified.
    pub(super) async fn redeem(
        &self,
        visit: Visit<'_>,
        solution: &Solution,
    ) -> Result<Redeemed, Refusal> {
        // Before it is opened, which counts as an attempt.
        let _permit = self.verifications.answers.try_acquire().map_err(|_| Refusal::Unavailable)?;
        let signers = self.secrets.signers().ok_or(Refusal::Unavailable)?;
        let now = SystemTime::now();
        let content = signers.envelopes.open(&solution.envelope, &visit.identity(), now)?;
        metrics::stage(Stage::Submitted);
        let call = self.guard.client().verify_challenge(&content.token, &solution.response);
        if !verified(call).await? {
            return Err(Refusal::Wrong);
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
        let _permit = self.verifications.proofs.try_acquire().map_err(|_| Refusal::Unavailable)?;
        self.verifications.admit_proof(facts.address, SystemTime::now())?;
        metrics::stage(Stage::Submitted);
        let mut claim = ChallengeProof::new(proof, facts.address.to_string());
        claim.user_agent.clone_from(&facts.user_agent);
        if !verified(self.guard.client().verify_challenge_proof(&claim)).await? {
            return Err(Refusal::Unproven);
        }
        self.verifications.forget_proof(facts.address, SystemTime::now());
        Ok(self.clearance(signers, visit, Some(facts)))
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

impl Verifications {
    pub(super) fn new() -> Self {
        Self {
            answers: Semaphore::new(AT_ONCE),
            proofs: Semaphore::new(AT_ONCE),
            unproven: ExpiringLru::new(REMEMBERED),
        }
    }

    /// Counts a proof, and refuses it from a network that has handed in too many lately. Counted
    /// before it is verified, it costs those their share too who do not wait for the outcome.
    fn admit_proof(&self, address: IpAddr, now: SystemTime) -> Result<(), Refusal> {
        self.unproven_of(address, now, |proofs| match *proofs {
            ..UNPROVEN_A_MINUTE => {
                *proofs += 1;
                Ok(())
            }
            _ => Err(Refusal::TooManyAttempts),
        })
    }

    /// Takes a proof that was right out of the count: all customers of a mobile network may share a
    /// few addresses.
    fn forget_proof(&self, address: IpAddr, now: SystemTime) {
        self.unproven_of(address, now, |proofs| *proofs = proofs.saturating_sub(1));
    }

    fn unproven_of<R>(
        &self,
        address: IpAddr,
        now: SystemTime,
        look: impl FnOnce(&mut u32) -> R,
    ) -> R {
        // A /24 of IPv4, a /48 of IPv6.
        let network = match address.to_canonical() {
            IpAddr::V4(v4) => u128::from(v4.to_ipv6_mapped()) >> 8,
            IpAddr::V6(v6) => u128::from(v6) >> 80,
        };
        let until = Validity::new(now, MINUTE).expires();
        self.unproven.with(network.to_be_bytes(), until, millis(now), look)
    }
}

/// A proof as it was before it was put into a URL, unless Esper cannot have made it.
pub(super) fn decoded(proof: &str) -> Option<Cow<'_, str>> {
    let is_one = !proof.is_empty() && proof.len() <= LONGEST_PROOF;
    is_one.then(|| percent_decode_str(proof).decode_utf8().ok()).flatten()
}

/// Waits for the outcome of a verification, for a while.
async fn verified(call: impl Future<Output = Result<bool, EsperError>>) -> Result<bool, Refusal> {
    match timeout(PATIENCE, call).await {
        Ok(Ok(valid)) => Ok(valid),
        // What cannot be asked about cannot be right, and will not be later on.
        Ok(Err(EsperError::Validation { .. })) => Ok(false),
        Ok(Err(error)) => {
            debug!(%error, "esper did not verify an answer");
            Err(Refusal::Unavailable)
        }
        Err(_) => Err(Refusal::Unavailable),
    }
}

/// Verifications of a kind under way at once.
const AT_ONCE: usize = 64;
/// How long Esper may take to verify something.
const PATIENCE: Duration = Duration::from_secs(10);
const MINUTE: Duration = Duration::from_secs(60);
/// How many proofs of a network are verified that are not found right.
const UNPROVEN_A_MINUTE: u32 = 60;
/// Networks; about 1 MiB when it is full.
const REMEMBERED: NonZeroUsize = NonZeroUsize::new(8 * 1024).unwrap();
/// In bytes; what is longer is none of Esper's, and costs no call.
const LONGEST_PROOF: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::enforce::fixtures::now;

    #[test]
    fn wrong_proofs_of_a_network_are_bounded_in_a_minute_and_spend_nobody_elses() {
        let verifications = Verifications::new();
        let admits =
            |address: &str, now| verifications.admit_proof(address.parse().unwrap(), now).is_ok();
        for (flood, same, other) in [
            ("192.0.2.1", "::ffff:192.0.2.255", "192.0.3.1"),
            ("2001:db8:1::1", "2001:db8:1:ffff::2", "2001:db8:2::1"),
        ] {
            assert!((0..UNPROVEN_A_MINUTE).all(|_| admits(flood, now())));
            assert!(!admits(flood, now()) && !admits(same, now() + MINUTE / 2));
            assert!(admits(other, now()));
            assert!(admits(same, now() + MINUTE), "another minute");
        }
        let shared = "198.51.100.1";
        for _ in 0..1_000 {
            assert!(admits(shared, now()), "right ones do not count");
            verifications.forget_proof(shared.parse().unwrap(), now());
        }
    }
}
