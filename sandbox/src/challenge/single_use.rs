//! Tokens that are good for one use, and only until they expire.

use std::collections::BTreeSet;
use std::io;

use serde::{Deserialize, Serialize};
use tracing::warn;

use crate::clock::Moment;

/// What makes a signed token good for one use. It lives in the token's claims.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct SingleUse {
    id: [u64; 2],
    expires: u64,
}

impl SingleUse {
    pub(crate) fn until(expires: Moment) -> io::Result<Self> {
        let id = [getrandom::u64()?, getrandom::u64()?];
        Ok(Self { id, expires: expires.as_nanos() })
    }

    pub(crate) fn has_expired(&self, now: Moment) -> bool {
        now >= self.expires()
    }

    fn expires(&self) -> Moment {
        Moment::from_nanos(self.expires)
    }
}

/// The tokens that were used, until they expire and could not be used anyway.
#[derive(Debug, Default)]
pub(crate) struct UsedTokens {
    by_expiry: BTreeSet<(Moment, [u64; 2])>,
    /// Whether the log has said that it was full; once is enough.
    warned: bool,
}

/// As many uses are remembered as there is room for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Full;

impl UsedTokens {
    /// Uses a token, and tells whether it was good for that: not used before, and not expired.
    pub(crate) fn spend(&mut self, token_use: SingleUse, now: Moment) -> Result<bool, Full> {
        self.forget_what_expired(now);
        if token_use.has_expired(now) || self.contains(&token_use) {
            return Ok(false);
        }
        // To forget a use that could come again would be worse than to refuse a new one.
        if self.by_expiry.len() >= CAPACITY {
            if !self.warned {
                warn!(
                    "{CAPACITY} challenges were answered and have not expired; no more are taken"
                );
            }
            self.warned = true;
            return Err(Full);
        }
        Ok(self.by_expiry.insert((token_use.expires(), token_use.id)))
    }

    /// Takes all of the room until a moment.
    #[cfg(test)]
    pub(crate) fn fill(&mut self, until: Moment) {
        let ids = (0..CAPACITY as u64).map(|id| (until, [id, 0]));
        self.by_expiry.extend(ids);
    }

    pub(crate) fn contains(&self, token_use: &SingleUse) -> bool {
        self.by_expiry.contains(&(token_use.expires(), token_use.id))
    }

    fn forget_what_expired(&mut self, now: Moment) {
        while self.by_expiry.first().is_some_and(|(expires, _)| *expires <= now) {
            self.by_expiry.pop_first();
        }
    }
}

/// The most uses that are remembered at a time.
const CAPACITY: usize = 100_000;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const NOW: Moment = Moment::START;
    const SECOND: Duration = Duration::from_secs(1);

    fn token_use(expires: Moment) -> SingleUse {
        SingleUse::until(expires).expect("a use")
    }

    #[test]
    fn a_token_is_good_once_and_until_it_expires() {
        let end = NOW.after(SECOND);
        let (mut used_tokens, used) = (UsedTokens::default(), token_use(end));
        assert!(!used_tokens.contains(&used));
        assert_eq!(used_tokens.spend(used, NOW), Ok(true));
        assert!(used_tokens.contains(&used));
        assert_eq!(used_tokens.spend(used, NOW), Ok(false));
        assert_eq!(used_tokens.spend(used, end), Ok(false));
        assert_eq!(used_tokens.spend(token_use(end), end), Ok(false));
        let last = NOW.after(SECOND - Duration::from_nanos(1));
        assert_eq!(used_tokens.spend(token_use(end), last), Ok(true));
    }

    #[test]
    fn a_use_is_forgotten_when_it_could_not_come_again() {
        let mut used_tokens = UsedTokens::default();
        for round in 0..10 {
            let now = NOW.after(SECOND * round);
            assert_eq!(used_tokens.spend(token_use(now.after(SECOND)), now), Ok(true));
            assert_eq!(used_tokens.by_expiry.len(), 1);
        }
    }

    #[test]
    fn nothing_is_used_that_cannot_be_remembered() {
        let (mut used_tokens, end) = (UsedTokens::default(), NOW.after(SECOND));
        let used = token_use(end);
        assert_eq!(used_tokens.spend(used, NOW), Ok(true));
        used_tokens.fill(end);
        let late = token_use(end.after(SECOND));
        assert_eq!(used_tokens.spend(late, NOW), Err(Full));
        assert_eq!(used_tokens.spend(used, NOW), Ok(false), "it was used");
        assert_eq!(used_tokens.spend(token_use(NOW), NOW), Ok(false), "it has expired");
        assert_eq!(used_tokens.spend(late, end), Ok(true));
    }
}
