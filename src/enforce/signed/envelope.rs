//! The token of a challenge, wrapped so that its return path cannot be forged.
//!
//! Esper's token stays as it is: it is neither read nor changed. What is wrong with an envelope is
//! found out here, so that a forged one costs no call.

use std::fmt;
use std::num::NonZeroUsize;
use std::time::SystemTime;

use super::expiring_lru::ExpiringLru;
use super::identity::{NetworkRelation, NetworkScope, VisitorIdentity};
use super::keys::ClearanceKeys;
use super::token::{Domain, Verified};
use super::validity::{Validity, millis};
use crate::enforce::ClearanceOptions;
use crate::enforce::refusal::Refusal;
use crate::enforce::request::return_to::ReturnTo;

/// Wraps the tokens of challenges, and opens what comes back with a solution.
pub(in crate::enforce) struct Envelopes {
    keys: ClearanceKeys,
    options: ClearanceOptions,
    attempts: ExpiringLru<Attempts>,
}

/// What an envelope holds.
pub(in crate::enforce) struct Content {
    /// Esper's, byte for byte.
    pub(in crate::enforce) token: String,
    /// As it was when the envelope was made.
    pub(in crate::enforce) return_to: ReturnTo,
    id: [u8; 16],
    validity: Validity,
}

#[derive(Default)]
struct Attempts {
    made: u32,
    spent: bool,
}

impl Envelopes {
    pub(in crate::enforce) fn new(keys: ClearanceKeys, options: ClearanceOptions) -> Self {
        Self { keys, options, attempts: ExpiringLru::new(REMEMBERED) }
    }

    /// Wraps the token of a challenge for one visitor, if it has at most [`LONGEST_TOKEN`] bytes.
    ///
    /// No two tokens give the same envelope.
    pub(in crate::enforce) fn wrap(
        &self,
        token: &str,
        return_to: &ReturnTo,
        visitor: &VisitorIdentity<'_>,
        now: SystemTime,
    ) -> Option<String> {
        if token.len() > LONGEST_TOKEN {
            return None;
        }
        let validity = Validity::new(now, self.options.challenge_lifetime);
        let scope = visitor.scope(self.options.binding).to_text();
        let fields: [&[u8]; 5] = [
            &validity.to_bytes(),
            &visitor.digest(),
            scope.as_bytes(),
            token.as_bytes(),
            return_to.as_str().as_bytes(),
        ];
        Some(self.keys.sign(Domain::Challenge, fields))
    }

    /// Opens what came back with a solution, for one attempt to redeem it. Of an envelope that
    /// was redeemed, or tried [`MOST_ATTEMPTS`] times, nothing comes out.
    ///
    /// That is only to save calls: it is forgotten under load and unknown to other replicas. Esper
    /// redeems a token once, whatever is remembered here.
    pub(in crate::enforce) fn open(
        &self,
        envelope: &str,
        visitor: &VisitorIdentity<'_>,
        now: SystemTime,
    ) -> Result<Content, Refusal> {
        let Authentic { digest, scope, content } = self.authentic(envelope)?;
        content.validity.check(now)?;
        let relation = scope.relation_to(visitor.scope(self.options.binding));
        if digest != visitor.digest() || relation == NetworkRelation::Elsewhere {
            return Err(Refusal::OtherVisitor);
        }
        self.note(&content, now, |attempts| match attempts {
            Attempts { spent: true, .. } => Err(Refusal::Spent),
            Attempts { made, .. } if *made >= MOST_ATTEMPTS => Err(Refusal::TooManyAttempts),
            Attempts { made, .. } => {
                *made += 1;
                Ok(())
            }
        })?;
        Ok(content)
    }

    /// Takes note that Esper accepted the solution.
    pub(in crate::enforce) fn spend(&self, content: &Content, now: SystemTime) {
        self.note(content, now, |attempts| attempts.spent = true);
    }

    fn authentic(&self, envelope: &str) -> Result<Authentic, Refusal> {
        let Verified { fields: [validity, digest, scope, token, return_to], id } =
            self.keys.verify(Domain::Challenge, envelope.as_bytes())?;
        let read = || {
            let validity = Validity::from_bytes(&validity)?;
            let return_to = ReturnTo::parse(std::str::from_utf8(&return_to).ok()?)?;
            let token = String::from_utf8(token).ok()?;
            let content = Content { token, return_to, id, validity };
            Some(Authentic { digest, scope: NetworkScope::from_text(&scope)?, content })
        };
        read().ok_or(Refusal::Malformed)
    }

    fn note<R>(
        &self,
        content: &Content,
        now: SystemTime,
        look: impl FnOnce(&mut Attempts) -> R,
    ) -> R {
        self.attempts.with(content.id, content.validity.expires(), millis(now), look)
    }
}

struct Authentic {
    digest: Vec<u8>,
    scope: NetworkScope,
    content: Content,
}

/// A token lets whoever has it redeem it, and a return path can hold what is nobody's business.
impl fmt::Debug for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Content").field("validity", &self.validity).finish_non_exhaustive()
    }
}

/// The longest token that is wrapped, in bytes.
pub(in crate::enforce) const LONGEST_TOKEN: usize = 4 * 1024;
/// How often one envelope may be sent to Esper, so that one challenge does not pay for any number
/// of calls. A visitor has one solution, which a browser may send again.
const MOST_ATTEMPTS: u32 = 5;
/// About 2 MiB when it is full.
const REMEMBERED: NonZeroUsize = NonZeroUsize::new(16 * 1024).unwrap();

#[cfg(test)]
mod tests;
