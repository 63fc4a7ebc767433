//! The counts of all entities, within bounds: the one not seen for longest gives way.

use std::num::NonZeroUsize;

use lru::LruCache;

use crate::clock::Moment;
use crate::engine::entity::Entity;
use crate::engine::policy::{Counter, Increment};
use crate::engine::window_state::WindowState;

/// The states of each counter, by the place of the counter; the entity seen last comes first.
#[derive(Debug)]
pub(super) struct CounterStore {
    counters: Vec<LruCache<Entity, WindowState>>,
    capacity: NonZeroUsize,
    /// Bytes that the arrivals of all states take, besides the states themselves.
    spilled: usize,
}

impl CounterStore {
    pub(super) fn new(counters: &[Counter]) -> Self {
        Self::with_capacity(counters, CAPACITY)
    }

    pub(super) fn with_capacity(counters: &[Counter], capacity: NonZeroUsize) -> Self {
        let counters = counters.iter().map(|_| LruCache::unbounded()).collect();
        Self { counters, capacity, spilled: 0 }
    }

    /// Goes on with the counters of other policies. Those that count alike keep what they know.
    pub(super) fn carry_over(&mut self, old: &[Counter], new: &[Counter]) {
        let mut known: Vec<_> = std::mem::take(&mut self.counters).into_iter().map(Some).collect();
        let place = |counter: &Counter| old.iter().position(|o| o.definition == counter.definition);
        self.counters = new
            .iter()
            .map(|counter| {
                let same = place(counter).and_then(|place| known[place].take());
                same.unwrap_or_else(LruCache::unbounded)
            })
            .collect();
        let states = self.counters.iter().flat_map(|counter| counter.iter());
        self.spilled = states.map(|(_, state)| state.spilled()).sum();
    }

    pub(super) fn get(&self, counter: usize, entity: Entity) -> Option<&WindowState> {
        self.counters[counter].peek(&entity)
    }

    /// Notes an event of an entity on a counter.
    pub(super) fn record(
        &mut self,
        place: usize,
        counter: &Counter,
        entity: Entity,
        increment: Increment,
        now: Moment,
    ) {
        let state = self.counters[place].get_or_insert_mut(entity, WindowState::default);
        self.spilled -= state.spilled();
        state.record(counter, increment, now);
        self.spilled += state.spilled();
        self.make_room();
    }

    /// Counts anew for the challenges of an entity.
    pub(super) fn forgive(&mut self, counter: usize, entity: Entity) {
        if let Some(state) = self.counters[counter].peek_mut(&entity) {
            state.forgive();
        }
    }

    /// Forgets what a counter has of an entity.
    pub(super) fn forget(&mut self, counter: usize, entity: Entity) {
        if let Some(state) = self.counters[counter].pop(&entity) {
            self.spilled -= state.spilled();
        }
    }

    /// Looks at the few entities of each counter that were not seen for longest. Every event adds one
    /// at most to a counter, so a few for each event keep pace.
    pub(super) fn forget_what_is_over(&mut self, counters: &[Counter], now: Moment) {
        for (place, counter) in counters.iter().enumerate() {
            for _ in 0..FORGOTTEN_AT_ONCE {
                match self.counters[place].peek_lru() {
                    Some((_, state)) if is_over(state, counter, now) => self.pop(place),
                    _ => break,
                }
            }
        }
    }

    fn make_room(&mut self) {
        while self.len() > self.capacity.get() || self.spilled > MOST_SPILLED {
            let seen_last = |counter: &LruCache<Entity, WindowState>| {
                counter.peek_lru().and_then(|(_, state)| state.last())
            };
            let places = self.counters.iter().enumerate();
            let last =
                places.filter_map(|(place, counter)| Some((seen_last(counter)?, place))).min();
            let Some((_, place)) = last else { return };
            self.pop(place);
        }
    }

    /// How many states there are.
    pub(super) fn len(&self) -> usize {
        self.counters.iter().map(LruCache::len).sum()
    }

    fn pop(&mut self, place: usize) {
        if let Some((_, state)) = self.counters[place].pop_lru() {
            self.spilled -= state.spilled();
        }
    }
}

/// Whether nothing in a state can matter any more.
fn is_over(state: &WindowState, counter: &Counter, now: Moment) -> bool {
    state.last().is_none_or(|last| now.since(last) >= counter.longest)
}

/// The most states that are remembered, of all counters together: one for each entity that a
/// counter counts. With few arrivals each they take some 150 MiB.
const CAPACITY: NonZeroUsize = NonZeroUsize::new(1_000_000).unwrap();

/// The most bytes for the arrivals of entities with more than a few.
const MOST_SPILLED: usize = 128 * 1024 * 1024;

const FORGOTTEN_AT_ONCE: usize = 4;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn counter(definition: &str, seconds: u32, most: usize) -> Counter {
        Counter {
            definition: definition.to_owned(),
            entity: 0,
            matcher: None,
            distinct: None,
            longest: SECOND * seconds,
            most,
        }
    }

    fn entity(number: u8) -> Entity {
        Entity::address([203, 0, 113, number].into())
    }

    fn at(seconds: u32) -> Moment {
        Moment::START.after(SECOND * seconds)
    }

    fn record(
        store: &mut CounterStore,
        counters: &[Counter],
        place: usize,
        number: u8,
        now: Moment,
    ) {
        store.forget_what_is_over(counters, now);
        store.record(place, &counters[place], entity(number), Increment::Event, now);
    }

    #[test]
    fn the_entity_not_seen_for_longest_gives_way_of_whatever_counter() {
        let counters = [counter("a", 60, 10), counter("b", 60, 10)];
        let mut store =
            CounterStore::with_capacity(&counters, NonZeroUsize::new(2).expect("not zero"));
        record(&mut store, &counters, 0, 1, at(0));
        record(&mut store, &counters, 1, 2, at(1));
        record(&mut store, &counters, 0, 1, at(2));
        record(&mut store, &counters, 0, 3, at(3));
        assert_eq!(store.len(), 2);
        assert!(store.get(0, entity(1)).is_some() && store.get(0, entity(3)).is_some());
        assert!(store.get(1, entity(2)).is_none());
    }

    #[test]
    fn arrivals_take_no_more_than_their_share() {
        let counters = [counter("a", 86_400, 10_001)];
        let mut store = CounterStore::new(&counters);
        for _ in 0..10_001 {
            record(&mut store, &counters, 0, 1, at(0));
        }
        assert!((10_001 * 16..=MOST_SPILLED).contains(&store.spilled), "{}", store.spilled);
        record(&mut store, &counters, 0, 2, at(1));
        assert_eq!(store.len(), 2);
        // As if there were many like the first.
        store.spilled += MOST_SPILLED;
        record(&mut store, &counters, 0, 3, at(2));
        assert!(store.get(0, entity(1)).is_none());
    }

    #[test]
    fn what_is_over_is_forgotten_while_others_come() {
        let counters = [counter("a", 10, 10)];
        let mut store = CounterStore::new(&counters);
        for number in 0..200 {
            record(&mut store, &counters, 0, number, at(0));
        }
        for _ in 0..49 {
            record(&mut store, &counters, 0, 255, at(9));
        }
        assert_eq!(store.len(), 201);
        for _ in 0..50 {
            record(&mut store, &counters, 0, 255, at(10));
        }
        assert_eq!(store.len(), 1);
        assert_eq!(store.spilled, store.get(0, entity(255)).expect("it").spilled());
    }

    #[test]
    fn the_bytes_of_what_is_forgotten_are_given_back() {
        let counters = [counter("a", 10, 100)];
        let mut store = CounterStore::new(&counters);
        for number in [1, 2] {
            for _ in 0..50 {
                record(&mut store, &counters, 0, number, at(0));
            }
        }
        let of_one = store.get(0, entity(2)).expect("it").spilled();
        assert_eq!((of_one > 0, store.spilled), (true, 2 * of_one));
        store.forget(0, entity(1));
        assert_eq!(store.spilled, of_one);
        store.forget_what_is_over(&counters, at(10));
        assert_eq!((store.len(), store.spilled), (0, 0));
    }

    #[test]
    fn a_counter_that_counts_the_same_goes_on_with_what_it_knows() {
        let old = [counter("a", 10, 10), counter("b", 10, 10)];
        let mut store = CounterStore::new(&old);
        for _ in 0..9 {
            record(&mut store, &old, 0, 1, at(0));
            record(&mut store, &old, 1, 2, at(0));
        }
        let new = [counter("c", 10, 10), counter("b", 10, 2)];
        store.carry_over(&old, &new);
        assert_eq!(store.len(), 1);
        assert_eq!(store.spilled, store.get(1, entity(2)).expect("it").spilled());
        record(&mut store, &new, 1, 2, at(0));
        record(&mut store, &new, 0, 1, at(0));
        assert_eq!(store.len(), 2);
    }
}
