//! What the service last said against a visitor, for when it cannot be asked.

use std::hash::{BuildHasher, RandomState};
use std::io;
use std::net::IpAddr;
use std::num::NonZeroUsize;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use lru::LruCache;
use serde_json::json;
use tokio::time::Instant;

use crate::{MitigationAction, MitigationRequest, MitigationResponse};

/// Blocks and challenges by visitor, for a while, and for a bounded number of visitors.
///
/// Only what the service said comes in here. The least recently used entry is evicted first.
pub(super) struct LastVerdicts {
    entries: Mutex<LruCache<Visitor, Entry>>,
    /// An entry is equally small whatever user agent a visitor sends. The address is compared as it
    /// is, so that a hash under a key of its own is enough to tell those behind one address apart.
    agents: RandomState,
}

/// Whom the service means by a verdict: an address with a user agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Visitor {
    ip: IpAddr,
    agent: u64,
}

struct Entry {
    verdict: MitigationResponse,
    said: Instant,
}

impl LastVerdicts {
    pub(super) fn new(visitors: NonZeroUsize) -> Self {
        // A cache that is bounded from the beginning takes its memory from the beginning.
        let mut entries = LruCache::unbounded();
        entries.resize(visitors);
        Self { entries: Mutex::new(entries), agents: RandomState::new() }
    }

    /// Whom a request comes from, unless its address is none.
    pub(super) fn visitor(&self, request: &MitigationRequest) -> Option<Visitor> {
        let ip = request.ip.parse::<IpAddr>().ok()?.to_canonical();
        Some(Visitor { ip, agent: self.agents.hash_one(&request.user_agent) })
    }

    /// Whether nothing is known against anybody.
    pub(super) fn is_empty(&self) -> bool {
        self.lock().is_empty()
    }

    /// Takes note of what the service says now: a block or a challenge, or an allow, which ends
    /// what held.
    pub(super) fn note(
        &self,
        visitor: Visitor,
        response: &mut MitigationResponse,
        now: impl FnOnce() -> Instant,
    ) {
        match response.action {
            MitigationAction::Allow => {
                self.lock().pop(&visitor);
            }
            MitigationAction::Challenge | MitigationAction::Block => {
                let held = Entry { verdict: abridged(response), said: now() };
                self.lock().put(visitor, held);
            }
        }
    }

    /// What was said against a visitor within this lifetime, which is the asking guard's: it stays
    /// for those whose lifetime is longer.
    pub(super) fn recall(
        &self,
        visitor: &Visitor,
        now: Instant,
        lifetime: Duration,
    ) -> Option<MitigationResponse> {
        let mut entries = self.lock();
        let held = entries.get(visitor)?;
        let holds = now.saturating_duration_since(held.said) < lifetime;
        holds.then(|| held.verdict.clone())
    }

    /// Forgets a challenge, and no block.
    pub(super) fn forget_challenge(&self, visitor: &Visitor) {
        let mut entries = self.lock();
        let held = entries.peek(visitor);
        if held.is_some_and(|held| held.verdict.action == MitigationAction::Challenge) {
            entries.pop(visitor);
        }
    }

    /// Nothing panics under the lock; if it did, a cache in any state is better than none.
    fn lock(&self) -> MutexGuard<'_, LruCache<Visitor, Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The part of a verdict that is worth keeping. Of one that is too large, that is its action.
fn abridged(response: &mut MitigationResponse) -> MitigationResponse {
    // It can be large, and is not copied only to be thrown away.
    let metadata = std::mem::take(&mut response.metadata);
    let short = response.clone();
    response.metadata = metadata;
    if serde_json::to_writer(SizeLimit(LARGEST), &short).is_ok() {
        return short;
    }
    // Through JSON, so that a new member of the spec need not be named here.
    serde_json::from_value(json!({ "action": response.action })).unwrap_or(short)
}

/// Takes so many bytes and no more, and keeps none.
struct SizeLimit(usize);

impl io::Write for SizeLimit {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self.0.checked_sub(bytes.len()) {
            Some(left) => self.0 = left,
            None => return Err(io::ErrorKind::FileTooLarge.into()),
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The largest verdict that is kept whole, in bytes of JSON. A usual one has some hundred.
const LARGEST: usize = 8 * 1024;

#[cfg(test)]
mod tests;
