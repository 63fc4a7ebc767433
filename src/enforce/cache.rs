//! Decisions that are kept for a moment, so that a visitor's next request need not wait for one.

use std::fmt;
use std::future::Future;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::{Duration, Instant};

use moka::Expiry;
use moka::future::Cache;

use super::question::{Key, Likeness, Question};
use crate::{Decision, DecisionSource, FailurePolicy, MitigationAction};

/// How long decisions are kept, and how many; off unless a layer is given one.
///
/// A kept decision is that of the service about a request that was equal in all that it is told
/// (address, user agent, method, path, headers, session). Challenges and fallbacks are never kept.
/// Requests that are equal and come at once wait for one call; if that brings a challenge, each of
/// the others asks for one of its own.
///
/// ```
/// use std::time::Duration;
/// use esper_rs_client::enforce::DecisionCache;
///
/// let cache = DecisionCache::new()
///     .with_allow_lifetime(Duration::from_secs(2))
///     .with_block_lifetime(Duration::from_secs(30));
/// # let _ = cache;
/// ```
#[derive(Clone, Debug)]
#[must_use = "a cache does nothing until a layer has it"]
pub struct DecisionCache {
    allow: Duration,
    block: Duration,
    capacity: u64,
}

/// The decisions themselves.
#[derive(Clone)]
pub(super) struct Kept {
    actions: Cache<Key, MitigationAction>,
    likeness: Likeness,
}

impl DecisionCache {
    /// Begins with the defaults.
    pub fn new() -> Self {
        Self { allow: ALLOW, block: BLOCK, capacity: CAPACITY }
    }

    /// Sets how long an allow is kept; 5 s unless set, and not at all if it is zero.
    ///
    /// For so long a visitor who turns out to be a bot goes on as before.
    pub fn with_allow_lifetime(mut self, lifetime: Duration) -> Self {
        self.allow = lifetime;
        self
    }

    /// Sets how long a block is kept; 30 s unless set, and not at all if it is zero.
    pub fn with_block_lifetime(mut self, lifetime: Duration) -> Self {
        self.block = lifetime;
        self
    }

    /// Sets how many decisions are kept at most; 100,000 unless set, in some 20 MiB.
    pub fn with_capacity(mut self, decisions: u64) -> Self {
        self.capacity = decisions;
        self
    }
}

impl Default for DecisionCache {
    fn default() -> Self {
        Self::new()
    }
}

impl Kept {
    pub(super) fn new(options: &DecisionCache) -> Self {
        let lifetimes =
            Lifetimes { allow: options.allow, block: options.block, chance: RandomState::new() };
        let actions =
            Cache::builder().max_capacity(options.capacity).expire_after(lifetimes).build();
        Self { actions, likeness: Likeness::new() }
    }

    /// The decision about a question: one that was kept, or else one that is made now, under a
    /// policy for failures.
    pub(super) async fn or<F: Future<Output = Decision>>(
        &self,
        question: &Question,
        policy: Option<FailurePolicy>,
        ask: impl Fn() -> F,
    ) -> Decision {
        let key = self.likeness.key(question, policy);
        if let Some(action) = self.actions.get(&key).await {
            return Decision::kept(action);
        }
        let mut asked = None;
        let made = self.actions.try_get_with(key, async {
            let decision = ask().await;
            let kept = keepable(&decision).ok_or_else(|| decision.clone());
            asked = Some(decision);
            kept
        });
        let made = made.await;
        match (asked, made) {
            (Some(own), _) => own,
            // Those who waited have what is kept of it.
            (None, Ok(action)) => Decision::kept(action),
            // A challenge is good for one answer, and leads back to where one visitor came from.
            (None, Err(other)) if other.action == MitigationAction::Challenge => ask().await,
            (None, Err(other)) => Arc::unwrap_or_clone(other),
        }
    }
}

/// What is worth keeping of a decision: that it is an allow or a block of the service.
fn keepable(decision: &Decision) -> Option<MitigationAction> {
    let lasting = match decision.action {
        MitigationAction::Allow | MitigationAction::Block => true,
        MitigationAction::Challenge => false,
    };
    (lasting && decision.source == DecisionSource::Service).then_some(decision.action)
}

/// How long each decision is kept.
struct Lifetimes {
    allow: Duration,
    block: Duration,
    chance: RandomState,
}

impl Expiry<Key, MitigationAction> for Lifetimes {
    fn expire_after_create(
        &self,
        key: &Key,
        action: &MitigationAction,
        _: Instant,
    ) -> Option<Duration> {
        let longest = match action {
            MitigationAction::Allow => self.allow,
            MitigationAction::Block | MitigationAction::Challenge => self.block,
        };
        // Shorter by up to a fifth, so that what was kept at once does not end at once.
        let part = self.chance.hash_one(key) % u64::from(JITTER);
        Some(longest - longest / 5 / JITTER * u32::try_from(part).unwrap_or_default())
    }
}

impl fmt::Debug for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Kept").field("decisions", &self.actions.entry_count()).finish()
    }
}

const ALLOW: Duration = Duration::from_secs(5);
const BLOCK: Duration = Duration::from_secs(30);
const CAPACITY: u64 = 100_000;
const JITTER: u32 = 1000;

#[cfg(test)]
mod tests;
