//! Count an event once, however often it is delivered.

use std::num::NonZeroUsize;
use std::time::Duration;

use lru::LruCache;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::clock::Moment;
use crate::service::keys::KeyId;

/// The names of recent events, with the moment of their first delivery.
#[derive(Debug)]
pub(crate) struct IdempotencyStore {
    first: LruCache<(KeyId, IdempotencyKey), Moment>,
}

/// A name under which an event may be delivered more than once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum IdempotencyKey {
    /// Its `Idempotency-Key`.
    Header(Uuid),
    /// A digest of its `id`.
    EventId(u128),
}

impl IdempotencyKey {
    pub(crate) fn of_event_id(id: &str) -> Self {
        let mut half = [0; 16];
        half.copy_from_slice(&Sha256::digest(id)[..16]);
        Self::EventId(u128::from_be_bytes(half))
    }
}

impl IdempotencyStore {
    pub(crate) fn new() -> Self {
        Self { first: LruCache::new(CAPACITY) }
    }

    /// Whether this is the first delivery of an event under any of its names, as far back as is
    /// remembered. An event without a name is always the first.
    pub(crate) fn is_first(&mut self, key: KeyId, names: &[IdempotencyKey], now: Moment) -> bool {
        // Entries are never promoted, so the last one is the oldest.
        while let Some((_, first)) = self.first.peek_lru()
            && now.since(*first) >= RETENTION
        {
            self.first.pop_lru();
        }
        let mut is_first = true;
        for name in names {
            if self.first.contains(&(key, *name)) {
                is_first = false;
            } else {
                self.first.push((key, *name), now);
            }
        }
        is_first
    }
}

/// The most deliveries that are remembered.
const CAPACITY: NonZeroUsize = NonZeroUsize::new(100_000).unwrap();

/// How long a delivery is remembered.
const RETENTION: Duration = Duration::from_secs(3600);

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: KeyId = KeyId::FIRST;

    fn event(number: u128) -> [IdempotencyKey; 1] {
        [IdempotencyKey::Header(Uuid::from_u128(number))]
    }

    #[test]
    fn an_event_is_first_once() {
        let mut store = IdempotencyStore::new();
        assert!(store.is_first(KEY, &event(1), Moment::START));
        assert!(!store.is_first(KEY, &event(1), Moment::START));
        assert!(store.is_first(KEY, &event(2), Moment::START));
    }

    #[test]
    fn a_delivery_is_remembered_for_an_hour_after_the_first() {
        let mut store = IdempotencyStore::new();
        assert!(store.is_first(KEY, &event(1), Moment::START));
        let almost = Moment::START.after(RETENTION - Duration::from_nanos(1));
        assert!(!store.is_first(KEY, &event(1), almost));
        assert!(store.is_first(KEY, &event(1), Moment::START.after(RETENTION)));
    }

    #[test]
    fn an_event_is_known_by_any_of_its_names() {
        let mut store = IdempotencyStore::new();
        let (key, id) = (event(1)[0], IdempotencyKey::of_event_id("1"));
        assert!(store.is_first(KEY, &[key, id], Moment::START));
        assert!(!store.is_first(KEY, &[key], Moment::START));
        assert!(!store.is_first(KEY, &[id, event(2)[0]], Moment::START));
        assert!(!store.is_first(KEY, &event(2), Moment::START), "learnt with the other name");
        assert!(store.is_first(KEY, &[], Moment::START));
        assert!(store.is_first(KEY, &[], Moment::START));
    }

    #[test]
    fn the_oldest_delivery_is_forgotten_when_there_are_too_many() {
        let mut store = IdempotencyStore::new();
        for number in 0..=CAPACITY.get() as u128 {
            assert!(store.is_first(KEY, &event(number), Moment::START));
        }
        assert_eq!(store.first.len(), CAPACITY.get());
        assert!(!store.is_first(KEY, &event(1), Moment::START));
        assert!(store.is_first(KEY, &event(0), Moment::START));
    }
}
