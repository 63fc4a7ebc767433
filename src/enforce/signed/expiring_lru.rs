//! A bounded LRU map of notes about tokens, each until the token expires.

use std::num::NonZeroUsize;
use std::sync::{Mutex, PoisonError};

use lru::LruCache;

/// Notes by an id, each until its time ends, and for a bounded number of ids.
///
/// What was not looked at for the longest time is forgotten first. The lock is held for the time
/// of a look-up.
pub(in crate::enforce) struct ExpiringLru<V> {
    notes: Mutex<LruCache<[u8; 16], Note<V>>>,
}

struct Note<V> {
    value: V,
    until: u64,
}

impl<V: Default> ExpiringLru<V> {
    pub(in crate::enforce) fn new(capacity: NonZeroUsize) -> Self {
        // A cache that is bounded from the beginning takes its memory from the beginning.
        let mut notes = LruCache::unbounded();
        notes.resize(capacity);
        Self { notes: Mutex::new(notes) }
    }

    /// Looks at the note about an id, and may change it. Times are the milliseconds of one clock.
    pub(in crate::enforce) fn with<R>(
        &self,
        id: [u8; 16],
        until: u64,
        now: u64,
        look: impl FnOnce(&mut V) -> R,
    ) -> R {
        // What the closures do cannot panic; if it did, any notes are better than none.
        let mut notes = self.notes.lock().unwrap_or_else(PoisonError::into_inner);
        // Two for each that may come keep notes that ended from piling up.
        for _ in 0..2 {
            if notes.peek_lru().is_some_and(|(_, note)| note.until <= now) {
                notes.pop_lru();
            }
        }
        let note = notes.get_or_insert_mut(id, || Note { value: V::default(), until });
        if note.until <= now {
            *note = Note { value: V::default(), until };
        }
        look(&mut note.value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: u32) -> [u8; 16] {
        u128::from(number).to_be_bytes()
    }

    #[test]
    fn notes_are_bounded_in_number_and_the_latest_are_kept() {
        let lru = ExpiringLru::<u32>::new(NonZeroUsize::new(100).unwrap());
        for number in 0..1_000 {
            lru.with(id(number), 10, 0, |value| *value = number);
            assert!(lru.notes.lock().unwrap().len() <= 100);
        }
        for number in (900..1_000).rev() {
            assert_eq!(lru.with(id(number), 10, 0, |value| *value), number);
        }
        assert_eq!(lru.with(id(899), 10, 0, |value| *value), 0, "forgotten");
    }

    #[test]
    fn notes_that_ended_make_room() {
        let lru = ExpiringLru::<()>::new(NonZeroUsize::new(1_000).unwrap());
        (0..100).for_each(|number| lru.with(id(number), 10, 0, |()| ()));
        (100..200).for_each(|number| lru.with(id(number), 30, 10, |()| ()));
        assert_eq!(lru.notes.lock().unwrap().len(), 100);
    }
}
