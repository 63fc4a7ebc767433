//! Decisions that are kept for a moment, so that a visitor's next request need not wait for one.

use std::fmt;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use moka::Expiry;
use moka::future::Cache;
use tokio::time::timeout;

use super::request::facts::{CacheKey, CacheKeyHasher, RequestFacts};
use crate::{Decision, DecisionSource, FailurePolicy, MitigationAction};

/// How long decisions are kept, and how many; off unless a layer is given one.
///
/// A kept decision is that of the service about a request that was equal in all that it is told
/// (address, user agent, method, path, headers, session). Challenges and fallbacks are never kept.
/// Requests that are equal and come at once wait for one call; if that brings a challenge, each of
/// the others asks for one of its own. Each has its decision within the guard's deadline all the
/// same.
///
/// ```
/// use std::time::Duration;
/// use esper_rs_client::enforce::CacheOptions;
///
/// let cache = CacheOptions::new()
///     .with_allow_lifetime(Duration::from_secs(2))
///     .with_block_lifetime(Duration::from_secs(30));
/// # let _ = cache;
/// ```
#[derive(Clone, Copy, Debug)]
#[must_use = "options do nothing until a layer has them"]
pub struct CacheOptions {
    allow: Duration,
    block: Duration,
    capacity: u64,
}

/// The decisions themselves.
#[derive(Clone)]
pub(super) struct DecisionCache {
    actions: Cache<CacheKey, MitigationAction>,
    hasher: CacheKeyHasher,
}

impl CacheOptions {
    /// Begins with the defaults.
    pub fn new() -> Self {
        Self { allow: ALLOW, block: BLOCK, capacity: CAPACITY }
    }

    /// Sets how long an allow is kept; 5 s unless set, and not at all if it is zero.
    ///
    /// Each decision is kept for up to a fifth less, so that not all of them end at once.
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

impl Default for CacheOptions {
    fn default() -> Self {
        Self::new()
    }
}

impl DecisionCache {
    pub(super) fn new(options: CacheOptions) -> Self {
        let lifetimes = Lifetimes { allow: options.allow, block: options.block };
        let actions =
            Cache::builder().max_capacity(options.capacity).expire_after(lifetimes).build();
        Self { actions, hasher: CacheKeyHasher::new() }
    }

    /// The decision about a request: one that was kept, or else one that is made now, under a
    /// policy for failures. There is none where others were waited for until the deadline. `shared`
    /// is told of a fallback of another request, which is this one's too.
    pub(super) async fn or<F: Future<Output = Decision>>(
        &self,
        facts: &RequestFacts,
        policy: Option<FailurePolicy>,
        deadline: Duration,
        ask: impl Fn() -> F,
        shared: impl Fn(&Decision),
    ) -> Option<Decision> {
        let key = self.hasher.key(facts, policy);
        match self.actions.get(&key).await {
            Some(action) => Some(Decision::kept(action)),
            None => timeout(deadline, pin!(self.made(key, ask, shared))).await.ok(),
        }
    }

    /// The decision of one who asks now: this request, or an equal one.
    async fn made<F: Future<Output = Decision>>(
        &self,
        key: CacheKey,
        ask: impl Fn() -> F,
        shared: impl Fn(&Decision),
    ) -> Decision {
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
            (None, Err(other)) => {
                shared(&other);
                Arc::unwrap_or_clone(other)
            }
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
}

impl Lifetimes {
    fn of(&self, action: MitigationAction) -> Duration {
        let longest = match action {
            MitigationAction::Allow => self.allow,
            MitigationAction::Block | MitigationAction::Challenge => self.block,
        };
        // Shorter by up to a fifth, so that what was kept at once does not end at once.
        longest - (longest / 5).mul_f64(fastrand::f64())
    }
}

impl Expiry<CacheKey, MitigationAction> for Lifetimes {
    fn expire_after_create(
        &self,
        _: &CacheKey,
        action: &MitigationAction,
        _: Instant,
    ) -> Option<Duration> {
        Some(self.of(*action))
    }

    /// What ended and was not cleaned up yet is updated and not created, and by itself that would
    /// keep the time that is over, or have none at all.
    fn expire_after_update(
        &self,
        _: &CacheKey,
        action: &MitigationAction,
        _: Instant,
        _: Option<Duration>,
    ) -> Option<Duration> {
        Some(self.of(*action))
    }
}

impl fmt::Debug for DecisionCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DecisionCache").field("decisions", &self.actions.entry_count()).finish()
    }
}

const ALLOW: Duration = Duration::from_secs(5);
const BLOCK: Duration = Duration::from_secs(30);
const CAPACITY: u64 = 100_000;

#[cfg(test)]
mod tests;
