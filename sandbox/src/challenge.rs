//! Issue challenges, and accept one correct answer to each.

use std::collections::BTreeSet;
use std::io;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::clock::Moment;
use crate::entity::Entity;
use crate::proof_of_work::is_solved;
use crate::signature::Signer;

/// Proofs of work: those issued live in their signed tokens, those answered are remembered here.
#[derive(Debug)]
pub(crate) struct Challenges {
    signer: Signer,
    difficulty: u8,
    /// The challenges that were answered, by expiry, until they expire.
    answered: BTreeSet<(Moment, u128)>,
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
    id: String,
    entity: String,
    salt: String,
    difficulty: u8,
    expires: u64,
}

impl Challenges {
    pub(crate) fn new(difficulty: u8) -> io::Result<Self> {
        if difficulty > HARDEST {
            let why =
                format!("a challenge of {difficulty} bits takes too long; use {HARDEST} at most");
            return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
        }
        Ok(Self { signer: Signer::new()?, difficulty, answered: BTreeSet::new() })
    }

    pub(crate) fn issue(&self, entity: Entity, now: Moment) -> io::Result<Challenge> {
        let claims = Claims {
            v: VERSION,
            id: format!("{:016x}{:016x}", getrandom::u64()?, getrandom::u64()?),
            entity: entity.to_string(),
            salt: format!("{:016x}", getrandom::u64()?),
            difficulty: self.difficulty,
            expires: now.after(LIFETIME).as_nanos(),
        };
        let token = self.signer.sign(PURPOSE, &claims)?;
        Ok(Challenge { token, salt: claims.salt, difficulty: claims.difficulty })
    }

    /// Accepts a correct answer once, and tells whose challenge it solved.
    ///
    /// Takes the challenges for itself, so that of many answers at once one is accepted.
    pub(crate) fn redeem(&mut self, token: &str, response: &str, now: Moment) -> Option<Entity> {
        let claims: Claims = self.signer.open(PURPOSE, token)?;
        let expires = Moment::from_nanos(claims.expires);
        let id = u128::from_str_radix(&claims.id, 16).ok()?;
        let entity = Entity::parse(&claims.entity)?;
        if claims.v != VERSION || now >= expires || !solves(response, &claims) {
            return None;
        }
        self.forget_what_expired(now);
        // To forget an answer that could come again would be worse than to refuse a new one.
        let remembered = self.answered.len() < CAPACITY && self.answered.insert((expires, id));
        remembered.then_some(entity)
    }

    fn forget_what_expired(&mut self, now: Moment) {
        while self.answered.first().is_some_and(|(expires, _)| *expires <= now) {
            self.answered.pop_first();
        }
    }
}

/// Whether a response is a decimal nonce whose hash begins with enough zero bits.
fn solves(response: &str, claims: &Claims) -> bool {
    let decimal = response.len() <= LONGEST_NONCE && response.bytes().all(|b| b.is_ascii_digit());
    decimal && !response.is_empty() && is_solved(&claims.salt, claims.difficulty, response)
}

/// The difficulty of a sandbox that was not told another: some 65,000 hashes.
pub(crate) const DIFFICULTY: u8 = 16;

/// The most that a sandbox may ask for: minutes of work for a browser.
const HARDEST: u8 = 32;

const VERSION: u8 = 1;
const PURPOSE: &str = "proof_of_work";

/// How long a challenge can be answered.
const LIFETIME: Duration = Duration::from_secs(300);

/// The most answers within a lifetime.
const CAPACITY: usize = 100_000;

/// The digits of the largest 64-bit number.
const LONGEST_NONCE: usize = 20;

#[cfg(test)]
mod tests {
    use sha2::{Digest, Sha256};

    use super::*;

    const NOW: Moment = Moment::START;

    fn entity() -> Entity {
        Entity::new("203.0.113.7".parse().expect("an address"), Some("curl"))
    }

    fn challenges() -> Challenges {
        Challenges::new(8).expect("challenges")
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
    fn answers_are_forgotten_when_they_could_not_come_again() {
        let mut challenges = challenges();
        for round in 0..10 {
            let now = NOW.after(LIFETIME * round);
            let challenge = challenges.issue(entity(), now).expect("a challenge");
            let answer = nonce(&challenge, true);
            assert!(challenges.redeem(&challenge.token, &answer, now).is_some());
            assert_eq!(challenges.answered.len(), 1);
        }
    }

    #[test]
    fn no_answer_is_accepted_that_cannot_be_remembered() {
        let mut challenges = challenges();
        let soon = NOW.after(Duration::from_secs(1));
        challenges.answered = (0..CAPACITY as u128).map(|id| (soon, id)).collect();
        let challenge = challenges.issue(entity(), NOW).expect("a challenge");
        let answer = nonce(&challenge, true);
        assert_eq!(challenges.redeem(&challenge.token, &answer, NOW), None);
        assert_eq!(challenges.redeem(&challenge.token, &answer, soon), Some(entity()));
    }

    #[test]
    fn a_difficulty_that_nobody_solves_is_refused() {
        assert!(Challenges::new(HARDEST).is_ok());
        let error = Challenges::new(HARDEST + 1).expect_err("too hard");
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
    }
}
