//! Challenge a browser on a page, and prove to the application that its visitor passed.
//!
//! A page's token and a proof say all that is needed. What is remembered is what was used.

mod page;
mod return_url;

use std::io;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use url::Url;

pub(crate) use self::page::{asset, challenge_page, closed_page};
pub(crate) use self::return_url::{NotAllowed, ReturnHosts};
use crate::challenge::proof_of_work::{is_answer, new_salt};
use crate::challenge::signature::Signer;
use crate::challenge::single_use::{Full, SingleUse, UsedTokens};
use crate::clock::Moment;
use crate::engine::entity::Entity;

/// The challenges that are solved on a page of the sandbox.
#[derive(Debug)]
pub(crate) struct ManagedChallenges {
    signer: Signer,
    return_hosts: ReturnHosts,
    /// How long a page can be solved, and a proof be presented.
    lifetime: Duration,
    /// The challenges that were solved.
    solved: UsedTokens,
    /// The proofs that were presented.
    presented: UsedTokens,
}

/// What a page has to solve, and where its visitor wants to go.
#[derive(Debug)]
pub(crate) struct PageTask {
    pub(crate) salt: String,
    /// Leading zero bits of the hash over `salt:nonce`.
    pub(crate) difficulty: u8,
    pub(crate) return_url: Url,
}

/// Why a token opens no task.
#[derive(Debug, PartialEq)]
pub(crate) enum Closed {
    /// Not written by this sandbox.
    Unknown,
    Expired(Url),
    Solved(Url),
}

/// Why an answer brings no proof.
#[derive(Debug, PartialEq)]
pub(crate) enum Unproven {
    Closed(Closed),
    WrongAnswer,
    Full,
    /// The sandbox itself failed.
    Failed,
}

/// What a page's token says.
#[derive(Debug, Serialize, Deserialize)]
struct PageClaims {
    token_use: SingleUse,
    visitor: String,
    entity: String,
    salt: String,
    difficulty: u8,
    return_url: String,
}

/// What a proof says.
#[derive(Debug, Serialize, Deserialize)]
struct ProofClaims {
    token_use: SingleUse,
    visitor: String,
    entity: String,
}

/// Whom a page is for: the visitor alone can present its proof, which lifts the challenges of the
/// entity that holds them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Addressee {
    pub(crate) visitor: Entity,
    pub(crate) entity: Entity,
}

impl ManagedChallenges {
    pub(crate) fn new(return_hosts: ReturnHosts, lifetime: Duration) -> io::Result<Self> {
        Ok(Self {
            signer: Signer::new()?,
            return_hosts,
            lifetime,
            solved: UsedTokens::default(),
            presented: UsedTokens::default(),
        })
    }

    /// Whether a visitor may be sent back there.
    pub(crate) fn check(&self, return_url: &Url) -> Result<(), NotAllowed> {
        self.return_hosts.check(return_url)
    }

    /// Writes the token of a page to solve, with `difficulty` leading zero bits.
    pub(crate) fn issue(
        &self,
        addressee: Addressee,
        difficulty: u8,
        return_url: &Url,
        now: Moment,
    ) -> io::Result<String> {
        let claims = PageClaims {
            token_use: SingleUse::until(now.after(self.lifetime))?,
            visitor: addressee.visitor.to_string(),
            entity: addressee.entity.to_string(),
            salt: new_salt()?,
            difficulty,
            return_url: return_url.to_string(),
        };
        Ok(self.signer.sign(PAGE, &claims)?)
    }

    /// Tells what the page of a token has to solve. Asking uses nothing up.
    pub(crate) fn task(&self, token: &str, now: Moment) -> Result<PageTask, Closed> {
        let (claims, return_url) = self.open(token, now)?;
        Ok(PageTask { salt: claims.salt, difficulty: claims.difficulty, return_url })
    }

    /// Accepts a correct answer once, and tells where its visitor goes on, with a proof.
    pub(crate) fn answer(
        &mut self,
        token: &str,
        response: &str,
        now: Moment,
    ) -> Result<Url, Unproven> {
        let (claims, return_url) = self.open(token, now).map_err(Unproven::Closed)?;
        if !is_answer(&claims.salt, claims.difficulty, response) {
            return Err(Unproven::WrongAnswer);
        }
        // Signed before the challenge is used up, so that a failure leaves it to be solved.
        let proof = self.prove(claims.visitor, claims.entity, now);
        let proof = proof.map_err(|_| Unproven::Failed)?;
        match self.solved.spend(claims.token_use, now) {
            Ok(true) => Ok(return_url::with_proof(return_url, &proof)),
            Ok(false) => Err(Unproven::Closed(Closed::Solved(return_url))),
            Err(Full) => Err(Unproven::Full),
        }
    }

    /// Accepts a proof once, from the visitor that it was issued to, and tells whose challenge was
    /// solved.
    pub(crate) fn redeem(
        &mut self,
        proof: &str,
        presenter: Entity,
        now: Moment,
    ) -> Result<Option<Entity>, Full> {
        let Some(claims) = self.signer.open::<ProofClaims>(PROOF, proof) else { return Ok(None) };
        let good = Entity::parse(&claims.visitor) == Some(presenter)
            && self.presented.spend(claims.token_use, now)?;
        Ok(Entity::parse(&claims.entity).filter(|_| good))
    }

    fn open(&self, token: &str, now: Moment) -> Result<(PageClaims, Url), Closed> {
        let claims: PageClaims = self.signer.open(PAGE, token).ok_or(Closed::Unknown)?;
        let return_url = Url::parse(&claims.return_url).map_err(|_| Closed::Unknown)?;
        if claims.token_use.has_expired(now) {
            return Err(Closed::Expired(return_url));
        }
        if self.solved.contains(&claims.token_use) {
            return Err(Closed::Solved(return_url));
        }
        Ok((claims, return_url))
    }

    fn prove(&self, visitor: String, entity: String, now: Moment) -> io::Result<String> {
        let token_use = SingleUse::until(now.after(self.lifetime))?;
        let claims = ProofClaims { token_use, visitor, entity };
        Ok(self.signer.sign(PROOF, &claims)?)
    }
}

/// What the tokens are for. One for a page is no proof.
const PAGE: &str = "managed_challenge";
const PROOF: &str = "challenge_proof";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::challenge::LIFETIME;
    use crate::challenge::proof_of_work::solve_proof_of_work;

    const NOW: Moment = Moment::START;

    fn visitor(user_agent: &str) -> Entity {
        Entity::visitor("203.0.113.7".parse().expect("an address"), Some(user_agent))
    }

    /// Whoever is at the visitor's address.
    fn address() -> Entity {
        Entity::address("203.0.113.7".parse().expect("an address"))
    }

    fn addressee() -> Addressee {
        Addressee { visitor: visitor("firefox"), entity: address() }
    }

    fn managed() -> ManagedChallenges {
        ManagedChallenges::new(ReturnHosts::default(), LIFETIME).expect("managed challenges")
    }

    fn here() -> Url {
        "http://localhost:8080/cart?x=1#top".parse().expect("a URL")
    }

    fn issue(managed: &ManagedChallenges) -> String {
        managed.issue(addressee(), 8, &here(), NOW).expect("a token")
    }

    fn solution(managed: &ManagedChallenges, token: &str) -> String {
        let task = managed.task(token, NOW).expect("a task");
        solve_proof_of_work(&task.salt, task.difficulty)
    }

    /// The proof of a page that was solved.
    fn proof(managed: &mut ManagedChallenges) -> String {
        let token = issue(managed);
        let answer = solution(managed, &token);
        let location = managed.answer(&token, &answer, NOW).expect("a location");
        let proofs = location.query_pairs().filter(|(name, _)| name == "esper_challenge_proof");
        proofs.map(|(_, proof)| proof.into_owned()).next().expect("a proof")
    }

    #[test]
    fn a_proof_is_good_once_for_its_visitor() {
        let mut managed = managed();
        let proof = proof(&mut managed);
        assert_eq!(managed.redeem(&proof, visitor("curl"), NOW), Ok(None), "another visitor");
        assert_eq!(managed.redeem(&proof, address(), NOW), Ok(None), "whoever holds the challenge");
        assert_eq!(managed.redeem(&proof, visitor("firefox"), NOW), Ok(Some(address())));
        assert_eq!(managed.redeem(&proof, visitor("firefox"), NOW), Ok(None));
    }

    #[test]
    fn a_proof_is_good_for_five_minutes() {
        let mut managed = managed();
        let end = NOW.after(LIFETIME);
        let (one, other) = (proof(&mut managed), proof(&mut managed));
        assert_eq!(managed.redeem(&one, visitor("firefox"), end), Ok(None));
        let last = NOW.after(LIFETIME - Duration::from_nanos(1));
        assert_eq!(managed.redeem(&other, visitor("firefox"), last), Ok(Some(address())));
    }

    #[test]
    fn what_cannot_be_remembered_is_refused_rather_than_called_wrong() {
        let mut managed = managed();
        let (token, proof) = (issue(&managed), proof(&mut managed));
        let answer = solution(&managed, &token);
        managed.solved.fill(NOW.after(LIFETIME));
        managed.presented.fill(NOW.after(LIFETIME));
        assert_eq!(managed.answer(&token, &answer, NOW), Err(Unproven::Full));
        assert_eq!(managed.redeem(&proof, visitor("firefox"), NOW), Err(Full));
        assert_eq!(managed.redeem(&proof, visitor("curl"), NOW), Ok(None), "another visitor");
    }

    #[test]
    fn a_page_is_solved_once() {
        let mut managed = managed();
        let token = issue(&managed);
        let answer = solution(&managed, &token);
        assert!(managed.answer(&token, &answer, NOW).is_ok());
        let again = managed.answer(&token, &answer, NOW);
        assert_eq!(again, Err(Unproven::Closed(Closed::Solved(here()))));
        assert_eq!(managed.task(&token, NOW).err(), Some(Closed::Solved(here())));
    }

    #[test]
    fn a_wrong_answer_leaves_the_page_to_be_solved() {
        let mut managed = managed();
        let token = issue(&managed);
        let answer = solution(&managed, &token);
        for wrong in ["", "x", "-1", &"1".repeat(1 << 20)] {
            assert_eq!(managed.answer(&token, wrong, NOW), Err(Unproven::WrongAnswer));
        }
        assert!(managed.answer(&token, &answer, NOW).is_ok());
    }

    #[test]
    fn a_page_can_be_solved_for_five_minutes_and_then_tells_the_way_back() {
        let mut managed = managed();
        let token = issue(&managed);
        let answer = solution(&managed, &token);
        let end = NOW.after(LIFETIME);
        let expired = Closed::Expired(here());
        assert_eq!(managed.answer(&token, &answer, end), Err(Unproven::Closed(expired)));
        assert_eq!(managed.task(&token, end).err(), Some(Closed::Expired(here())));
        let last = NOW.after(LIFETIME - Duration::from_nanos(1));
        assert!(managed.answer(&token, &answer, last).is_ok());
    }

    #[test]
    fn the_tokens_cannot_stand_in_for_each_other() {
        let mut managed = managed();
        let (page, proof) = (issue(&managed), proof(&mut managed));
        assert_eq!(managed.redeem(&page, visitor("firefox"), NOW), Ok(None));
        assert_eq!(managed.task(&proof, NOW).err(), Some(Closed::Unknown));
        let elsewhere = issue(&super::tests::managed());
        assert_eq!(managed.task(&elsewhere, NOW).err(), Some(Closed::Unknown));
    }

    #[test]
    fn the_longest_url_that_is_allowed_comes_back() {
        let mut managed = managed();
        let start = "http://localhost/";
        let path = "x".repeat(return_url::LONGEST - start.len());
        let url = Url::parse(&format!("{start}{path}")).expect("a URL");
        assert_eq!(managed.check(&url), Ok(()));
        let token = managed.issue(addressee(), 0, &url, NOW).expect("a token");
        let location = managed.answer(&token, "1", NOW).expect("a location");
        assert!(location.as_str().starts_with(url.as_str()));
    }
}
