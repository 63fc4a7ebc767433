//! Issue challenges, and accept one correct answer to each.

pub(crate) mod managed;
pub(crate) mod proof_of_work;
mod signature;
pub(crate) mod single_use;

use std::io;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tracing::warn;

use crate::challenge::proof_of_work::{is_answer, new_salt};
use crate::challenge::signature::Signer;
use crate::challenge::single_use::{Full, SingleUse, UsedTokens};
use crate::clock::Moment;
use crate::engine::entity::Entity;
use crate::engine::policy::Task;

/// Challenges: those issued live in their signed tokens, those answered are remembered here.
#[derive(Debug)]
pub(crate) struct Challenges {
    signer: Signer,
    difficulty: u8,
    lifetime: Duration,
    /// The challenges that were answered.
    answered: UsedTokens,
}

/// A challenge as its entity receives it.
#[derive(Debug)]
pub(crate) struct Challenge {
    pub(crate) token: String,
    pub(crate) puzzle: Puzzle,
}

/// What there is to solve.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Puzzle {
    ProofOfWork {
        salt: String,
        /// Leading zero bits of the hash over `salt:nonce`.
        difficulty: u8,
    },
    Turnstile {
        site_key: String,
    },
}

/// What a token says. Whatever an answer is judged by comes from here.
#[derive(Debug, Serialize, Deserialize)]
struct Claims {
    token_use: SingleUse,
    entity: String,
    puzzle: Puzzle,
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
        if expected_time(difficulty) > lifetime {
            warn!(
                difficulty,
                ?lifetime,
                "a browser may not solve a challenge before it expires; lower the difficulty, or \
                 give it a longer lifetime"
            );
        }
        Ok(Self { signer: Signer::new()?, difficulty, lifetime, answered: UsedTokens::default() })
    }

    /// Gives an entity a task. One that asks for no difficulty of its own has the usual one.
    pub(crate) fn issue(&self, entity: Entity, task: &Task, now: Moment) -> io::Result<Challenge> {
        let puzzle = match task {
            Task::ProofOfWork(difficulty) => Puzzle::ProofOfWork {
                salt: new_salt()?,
                difficulty: difficulty.unwrap_or(self.difficulty),
            },
            Task::Turnstile(site_key) => Puzzle::Turnstile { site_key: site_key.clone() },
        };
        let claims = Claims {
            token_use: SingleUse::until(now.after(self.lifetime))?,
            entity: entity.to_string(),
            puzzle,
        };
        let token = self.signer.sign(PURPOSE, &claims)?;
        Ok(Challenge { token, puzzle: claims.puzzle })
    }

    /// Accepts a correct answer once, and tells whose challenge it solved.
    ///
    /// Takes the challenges for itself, so that of many answers at once one is accepted.
    pub(crate) fn redeem(
        &mut self,
        token: &str,
        response: &str,
        now: Moment,
    ) -> Result<Option<Entity>, Full> {
        let Some(claims) = self.signer.open::<Claims>(PURPOSE, token) else { return Ok(None) };
        let solved = claims.puzzle.is_solved_by(response);
        let good = solved && self.answered.spend(claims.token_use, now)?;
        Ok(Entity::parse(&claims.entity).filter(|_| good))
    }
}

impl Puzzle {
    fn is_solved_by(&self, response: &str) -> bool {
        match self {
            Self::ProofOfWork { salt, difficulty } => is_answer(salt, *difficulty, response),
            // There is nobody to ask, so that the answer of Turnstile's test keys has to do.
            Self::Turnstile { .. } => response == TURNSTILE_DUMMY,
        }
    }
}

/// What a browser takes for a proof of work on average, at some million hashes a second.
fn expected_time(difficulty: u8) -> Duration {
    Duration::from_micros(1 << difficulty)
}

/// What Turnstile's widget answers for the site keys that are meant for tests.
const TURNSTILE_DUMMY: &str = "XXXX.DUMMY.TOKEN.XXXX";

/// The difficulty of a sandbox that was not told another: some 65,000 hashes.
pub(crate) const DIFFICULTY: u8 = 16;

/// The most that a sandbox may ask for: more than an hour of work for a browser.
pub(crate) const HARDEST: u8 = 32;

const PURPOSE: &str = "challenge";

/// How long a challenge of a sandbox that was not told otherwise can be answered.
pub(crate) const LIFETIME: Duration = Duration::from_secs(300);

#[cfg(test)]
mod tests {
    use sha2::{Digest, Sha256};

    use super::*;

    const NOW: Moment = Moment::START;

    fn entity() -> Entity {
        Entity::visitor("203.0.113.7".parse().expect("an address"), Some("curl"))
    }

    fn challenges() -> Challenges {
        Challenges::new(8, LIFETIME).expect("challenges")
    }

    /// Whose challenge an answer solves.
    fn redeem(
        challenges: &mut Challenges,
        token: &str,
        answer: &str,
        now: Moment,
    ) -> Option<Entity> {
        challenges.redeem(token, answer, now).expect("room")
    }

    fn issue(challenges: &Challenges) -> Challenge {
        challenges.issue(entity(), &Task::ProofOfWork(None), NOW).expect("a challenge")
    }

    fn salt(challenge: &Challenge) -> &str {
        let Puzzle::ProofOfWork { salt, .. } = &challenge.puzzle else {
            panic!("no proof of work")
        };
        salt
    }

    /// The first nonce that the predicate wants, of those that solve a challenge or do not.
    fn nonce(challenge: &Challenge, solving: bool) -> String {
        (0_u32..)
            .map(|nonce| nonce.to_string())
            .find(|nonce| {
                let hash = Sha256::digest(format!("{}:{nonce}", salt(challenge)));
                (hash[0] == 0) == solving
            })
            .expect("some nonce")
    }

    #[test]
    fn a_correct_answer_is_accepted_once_and_names_the_entity() {
        let mut challenges = challenges();
        let challenge = issue(&challenges);
        let answer = nonce(&challenge, true);
        assert_eq!(redeem(&mut challenges, &challenge.token, &answer, NOW), Some(entity()));
        assert_eq!(redeem(&mut challenges, &challenge.token, &answer, NOW), None);
    }

    #[test]
    fn a_wrong_answer_leaves_the_challenge_to_be_solved() {
        let mut challenges = challenges();
        let challenge = issue(&challenges);
        let wrong = nonce(&challenge, false);
        for wrong in [&wrong, "", "-1", "+1", "0x10", "1e3", "१", &"1".repeat(1 << 20)] {
            assert_eq!(redeem(&mut challenges, &challenge.token, wrong, NOW), None, "{wrong}");
        }
        let answer = nonce(&challenge, true);
        assert_eq!(redeem(&mut challenges, &challenge.token, &answer, NOW), Some(entity()));
    }

    #[test]
    fn a_challenge_can_be_answered_for_five_minutes() {
        let mut challenges = challenges();
        let challenge = issue(&challenges);
        let answer = nonce(&challenge, true);
        let end = NOW.after(LIFETIME);
        assert_eq!(redeem(&mut challenges, &challenge.token, &answer, end), None);
        let last = NOW.after(LIFETIME - Duration::from_nanos(1));
        assert_eq!(redeem(&mut challenges, &challenge.token, &answer, last), Some(entity()));
    }

    #[test]
    fn an_answer_counts_for_its_own_challenge_alone() {
        let mut challenges = challenges();
        let one = issue(&challenges);
        let other = issue(&challenges);
        assert_ne!(salt(&one), salt(&other));
        for challenge in [one, other] {
            let answer = nonce(&challenge, true);
            assert_eq!(redeem(&mut challenges, &challenge.token, &answer, NOW), Some(entity()));
        }
    }

    #[test]
    fn a_task_may_ask_for_a_difficulty_of_its_own() {
        let challenge = challenges().issue(entity(), &Task::ProofOfWork(Some(3)), NOW);
        let puzzle = challenge.expect("a challenge").puzzle;
        assert!(matches!(puzzle, Puzzle::ProofOfWork { difficulty: 3, .. }), "{puzzle:?}");
    }

    #[test]
    fn turnstile_is_passed_once_with_the_answer_of_its_test_keys() {
        let mut challenges = challenges();
        let task = Task::Turnstile("1x00000000000000000000AA".to_owned());
        let challenge = challenges.issue(entity(), &task, NOW).expect("a challenge");
        for wrong in ["", "1", "XXXX.DUMMY.TOKEN.XXX"] {
            assert_eq!(redeem(&mut challenges, &challenge.token, wrong, NOW), None, "{wrong}");
        }
        let answer = "XXXX.DUMMY.TOKEN.XXXX";
        assert_eq!(redeem(&mut challenges, &challenge.token, answer, NOW), Some(entity()));
        assert_eq!(redeem(&mut challenges, &challenge.token, answer, NOW), None);
        let proof_of_work = issue(&challenges);
        assert_eq!(redeem(&mut challenges, &proof_of_work.token, answer, NOW), None);
    }

    #[test]
    fn a_correct_answer_that_cannot_be_remembered_is_refused_rather_than_called_wrong() {
        let mut challenges = challenges();
        let challenge = issue(&challenges);
        let end = NOW.after(Duration::from_secs(1));
        challenges.answered.fill(end);
        let (answer, wrong) = (nonce(&challenge, true), nonce(&challenge, false));
        assert_eq!(challenges.redeem(&challenge.token, &answer, NOW), Err(Full));
        assert_eq!(challenges.redeem(&challenge.token, &wrong, NOW), Ok(None));
        assert_eq!(challenges.redeem(&challenge.token, &answer, end), Ok(Some(entity())));
    }

    #[test]
    fn a_difficulty_that_nobody_solves_is_refused() {
        assert!(Challenges::new(HARDEST, LIFETIME).is_ok());
        let error = Challenges::new(HARDEST + 1, LIFETIME).expect_err("too hard");
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
    }
}
