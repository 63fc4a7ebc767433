//! Count an event once, however often it is delivered.

use std::num::NonZeroUsize;
use std::time::Duration;

use lru::LruCache;
use uuid::Uuid;

use crate::clock::Moment;
use crate::keys::KeyId;

/// The `Idempotency-Key`s of recent events, with the moment of their first delivery.
#[derive(Debug)]
pub(crate) struct Deliveries {
    first: LruCache<(KeyId, Uuid), Moment>,
}

impl Deliveries {
    pub(crate) fn new() -> Self {
        Self { first: LruCache::new(CAPACITY) }
    }

    /// Whether this is the first delivery of an event, as far back as is remembered.
    pub(crate) fn is_first(&mut self, key: KeyId, event: Uuid, now: Moment) -> bool {
        // Entries are never promoted, so the last one is the oldest.
        while let Some((_, first)) = self.first.peek_lru()
            && now.since(*first) >= MEMORY
        {
            self.first.pop_lru();
        }
        if self.first.contains(&(key, event)) {
            return false;
        }
        self.first.push((key, event), now);
        true
    }
}

/// The most deliveries that are remembered.
const CAPACITY: NonZeroUsize = NonZeroUsize::new(100_000).unwrap();

/// How long a delivery is remembered.
const MEMORY: Duration = Duration::from_secs(3600);

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: KeyId = KeyId::FIRST;

    fn event(number: u128) -> Uuid {
        Uuid::from_u128(number)
    }

    #[test]
    fn an_event_is_first_once() {
        let mut deliveries = Deliveries::new();
        assert!(deliveries.is_first(KEY, event(1), Moment::START));
        assert!(!deliveries.is_first(KEY, event(1), Moment::START));
        assert!(deliveries.is_first(KEY, event(2), Moment::START));
    }

    #[test]
    fn a_delivery_is_remembered_for_an_hour_after_the_first() {
        let mut deliveries = Deliveries::new();
        assert!(deliveries.is_first(KEY, event(1), Moment::START));
        let almost = Moment::START.after(MEMORY - Duration::from_nanos(1));
        assert!(!deliveries.is_first(KEY, event(1), almost));
        assert!(deliveries.is_first(KEY, event(1), Moment::START.after(MEMORY)));
    }

    #[test]
    fn the_oldest_delivery_is_forgotten_when_there_are_too_many() {
        let mut deliveries = Deliveries::new();
        for number in 0..=CAPACITY.get() as u128 {
            assert!(deliveries.is_first(KEY, event(number), Moment::START));
        }
        assert_eq!(deliveries.first.len(), CAPACITY.get());
        assert!(!deliveries.is_first(KEY, event(1), Moment::START));
        assert!(deliveries.is_first(KEY, event(0), Moment::START));
    }
}
