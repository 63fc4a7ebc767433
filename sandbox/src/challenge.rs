//! Issue challenges, and accept one correct answer to each.

use std::io;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::clock::Moment;
use crate::entity::Entity;
use crate::proof_of_work::{is_answer, new_salt};
use crate::signature::Signer;
use crate::ticket::{Spent, Ticket};

/// Proofs of work: those issued live in their signed tokens, those answered are remembered here.
#[derive(Debug)]
pub(crate) struct Challenges {
    signer: Signer,
    difficulty: u8,
    lifetime: Duration,
    /// The challenges that were answered.
    answered: Spent,
}

/// A challenge as its entity receives it.
#[derive(Debug)]
pub(crate) struct Challenge {
    pub(crate) token: String,
    pub(crate) salt: String,
    /// Leading zero bits of the hash over `salt:nonce`.
    pub(crate) difficulty: u8,
}

/// What a token says. Whatever an answer is judged by comes from here.
#[derive(Debug, Serialize, Deserialize)]
struct Claims {
    v: u8,
    ticket: Ticket,
    entity: String,
    salt: String,
    difficulty: u8,
}

impl Challenges {
    pub(crate) fn new(difficulty: u8, lifetime: Duration) -> io::Result<Self> {
        if difficulty > HARDEST {
            let why =
                format!("a challenge of {difficulty} bits takes too long; use {HARDEST} at most");
            return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
        }
        if lifetime.is_zero() {
            let why =
                "a challenge that expires at once cannot be passed; give it a longer lifetime";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
        }
        Ok(Self { signer: Signer::new()?, difficulty, lifetime, answered: Spent::default() })
    }

    pub(crate) fn issue(&self, entity: Entity, now: Moment) -> io::Result<Challenge> {
        let claims = Claims {
            v: VERSION,
            ticket: Ticket::until(now.after(self.lifetime))?,
            entity: entity.to_string(),
            salt: new_salt()?,
            difficulty: self.difficulty,
        };
        let token = self.signer.sign(PURPOSE, &claims)?;
        Ok(Challenge { token, salt: claims.salt, difficulty: claims.difficulty })
    }

    /// Accepts a correct answer once, and tells whose challenge it solved.
    ///
    /// Takes the challenges for itself, so that of many answers at once one is accepted.
    pub(crate) fn redeem(&mut self, token: &str, response: &str, now: Moment) -> Option<Entity> {
        let claims: Claims = self.signer.open(PURPOSE, token)?;
        let entity = Entity::parse(&claims.entity)?;
        let answers = is_answer(&claims.salt, claims.difficulty, response);
        let good = claims.v == VERSION && answers && self.answered.spend(claims.ticket, now);
        good.then_some(entity)
    }
}

/// The difficulty of a sandbox that was not told another: some 65,000 hashes.
pub(crate) const DIFFICULTY: u8 = 16;

/// The most that a sandbox may ask for: minutes of work for a browser.
const HARDEST: u8 = 32;

const VERSION: u8 = 1;
const PURPOSE: &str = "proof_of_work";

/// How long a challenge of a sandbox that was not told otherwise can be answered.
pub(crate) const LIFETIME: Duration = Duration::from_secs(300);

#[cfg(test)]
mod tests {
    use sha2::{Digest, Sha256};

    use super::*;

    const NOW: Moment = Moment::START;

    fn entity() -> Entity {
        Entity::new("203.0.113.7".parse().expect("an address"), Some("curl"))
    }

    fn challenges() -> Challenges {
        Challenges::new(8, LIFETIME).expect("challenges")
    }

    /// The first nonce that the predicate wants, of those that solve a challenge or do not.
    fn nonce(challenge: &Challenge, solving: bool) -> String {
        (0_u32..)
            .map(|nonce| nonce.to_string())
            .find(|nonce| {
                let hash = Sha256::digest(format!("{}:{nonce}", challenge.salt));
                (hash[0] == 0) == solving
            })
            .expect("some nonce")
    }

    #[test]
    fn a_correct_answer_is_accepted_once_and_names_the_entity() {
        let mut challenges = challenges();
        let challenge = challenges.issue(entity(), NOW).expect("a challenge");
        let answer = nonce(&challenge, true);
        assert_eq!(challenges.redeem(&challenge.token, &answer, NOW), Some(entity()));
        assert_eq!(challenges.redeem(&challenge.token, &answer, NOW), None);
    }

    #[test]
    fn a_wrong_answer_leaves_the_challenge_to_be_solved() {
        let mut challenges = challenges();
        let challenge = challenges.issue(entity(), NOW).expect("a challenge");
        let wrong = nonce(&challenge, false);
        for wrong in [&wrong, "", "-1", "+1", "0x10", "1e3", "१", &"1".repeat(1 << 20)] {
            assert_eq!(challenges.redeem(&challenge.token, wrong, NOW), None, "{wrong}");
        }
        let answer = nonce(&challenge, true);
        assert_eq!(challenges.redeem(&challenge.token, &answer, NOW), Some(entity()));
    }

    #[test]
    fn a_challenge_can_be_answered_for_five_minutes() {
        let mut challenges = challenges();
        let challenge = challenges.issue(entity(), NOW).expect("a challenge");
        let answer = nonce(&challenge, true);
        let end = NOW.after(LIFETIME);
        assert_eq!(challenges.redeem(&challenge.token, &answer, end), None);
        let last = NOW.after(LIFETIME - Duration::from_nanos(1));
        assert_eq!(challenges.redeem(&challenge.token, &answer, last), Some(entity()));
    }

    #[test]
    fn an_answer_counts_for_its_own_challenge_alone() {
        let mut challenges = challenges();
        let one = challenges.issue(entity(), NOW).expect("a challenge");
        let other = challenges.issue(entity(), NOW).expect("a challenge");
        assert_ne!(one.salt, other.salt);
        for challenge in [one, other] {
            let answer = nonce(&challenge, true);
            assert_eq!(challenges.redeem(&challenge.token, &answer, NOW), Some(entity()));
        }
    }

    #[test]
    fn a_difficulty_that_nobody_solves_is_refused() {
        assert!(Challenges::new(HARDEST, LIFETIME).is_ok());
        let error = Challenges::new(HARDEST + 1, LIFETIME).expect_err("too hard");
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
    }
}
