//! The managed challenge among what the service does.

use std::net::IpAddr;

use tracing::error;
use url::Url;

use super::{Decision, Service};
use crate::challenge::Puzzle;
use crate::challenge::managed::{Closed, NotAllowed, PageTask, Unproven};
use crate::challenge::single_use::Full;
use crate::engine::entity::Entity;
use crate::lock::lock;

/// Why a challenge has no page.
#[derive(Debug)]
pub(crate) enum NoPage {
    NotAllowed(NotAllowed),
    /// The sandbox itself failed.
    Failed,
}

impl Service {
    /// Tells the page on which a browser solves the challenge of a decision, if it has one.
    pub(crate) fn page(
        &self,
        decision: &Decision,
        return_url: &Url,
    ) -> Result<Option<String>, NoPage> {
        // A page solves proofs of work alone.
        let Some((challenge, addressee)) = &decision.challenge else { return Ok(None) };
        let Puzzle::ProofOfWork { difficulty, .. } = &challenge.puzzle else { return Ok(None) };
        let managed = lock(&self.managed);
        managed.check(return_url).map_err(NoPage::NotAllowed)?;
        let token = managed.issue(*addressee, *difficulty, return_url, self.clock.now());
        let token = token.map_err(|error| {
            error!(%error, "no page can be issued");
            NoPage::Failed
        })?;
        Ok(self.public_url.with_path(&format!("/challenge/{token}")))
    }

    /// Tells what the page of a token has to solve.
    pub(crate) fn task(&self, token: &str) -> Result<PageTask, Closed> {
        lock(&self.managed).task(token, self.clock.now())
    }

    /// Accepts the answer of a page, and tells where its visitor goes on.
    pub(crate) fn answer(&self, token: &str, response: &str) -> Result<Url, Unproven> {
        let mut managed = lock(&self.managed);
        // The time is read under the lock: an answer that was forgotten has expired for all.
        managed.answer(token, response, self.clock.now())
    }

    /// Accepts the proof of a managed challenge, which lifts the challenges of the entity that held
    /// it.
    pub(crate) fn redeem_proof(
        &self,
        proof: &str,
        ip: IpAddr,
        user_agent: Option<&str>,
    ) -> Result<bool, Full> {
        let visitor = Entity::visitor(ip, user_agent);
        let mut managed = lock(&self.managed);
        let solved = managed.redeem(proof, visitor, self.clock.now())?;
        drop(managed);
        Ok(self.lift_solved(solved, "a managed challenge"))
    }
}
