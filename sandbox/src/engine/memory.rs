//! Keep the histories of all entities within bounds: the one not seen for longest gives way.

use std::num::NonZeroUsize;

use lru::LruCache;

use crate::clock::Moment;
use crate::engine::entity::Entity;
use crate::engine::history::History;
use crate::engine::policy::{Counted, Track};

/// The histories of each track, by the place of the track; the entity seen last comes first.
#[derive(Debug)]
pub(super) struct Memory {
    tracks: Vec<LruCache<Entity, History>>,
    capacity: NonZeroUsize,
    /// What the arrivals of all histories take, beside the histories themselves.
    spilled: usize,
}

impl Memory {
    pub(super) fn new(tracks: &[Track]) -> Self {
        Self::with_capacity(tracks, CAPACITY)
    }

    pub(super) fn with_capacity(tracks: &[Track], capacity: NonZeroUsize) -> Self {
        let tracks = tracks.iter().map(|_| LruCache::unbounded()).collect();
        Self { tracks, capacity, spilled: 0 }
    }

    /// Goes on with the tracks of other policies. Those that count alike keep what they know.
    pub(super) fn carry_over(&mut self, old: &[Track], new: &[Track]) {
        let mut known: Vec<_> = std::mem::take(&mut self.tracks).into_iter().map(Some).collect();
        let place = |track: &Track| old.iter().position(|o| o.definition == track.definition);
        self.tracks = new
            .iter()
            .map(|track| {
                let same = place(track).and_then(|place| known[place].take());
                same.unwrap_or_else(LruCache::unbounded)
            })
            .collect();
        let histories = self.tracks.iter().flat_map(|track| track.iter());
        self.spilled = histories.map(|(_, history)| history.spilled()).sum();
    }

    pub(super) fn get(&self, track: usize, entity: Entity) -> Option<&History> {
        self.tracks[track].peek(&entity)
    }

    /// Notes an event of an entity on a track.
    pub(super) fn record(
        &mut self,
        place: usize,
        track: &Track,
        entity: Entity,
        counted: Counted,
        now: Moment,
    ) {
        let history = self.tracks[place].get_or_insert_mut(entity, History::default);
        self.spilled -= history.spilled();
        history.record(track, counted, now);
        self.spilled += history.spilled();
        self.make_room();
    }

    /// Counts anew for the challenges of an entity.
    pub(super) fn forgive(&mut self, track: usize, entity: Entity) {
        if let Some(history) = self.tracks[track].peek_mut(&entity) {
            history.forgive();
        }
    }

    /// Forgets what a track counted of an entity.
    pub(super) fn forget(&mut self, track: usize, entity: Entity) {
        if let Some(history) = self.tracks[track].pop(&entity) {
            self.spilled -= history.spilled();
        }
    }

    /// Looks at the few entities of each track that were not seen for longest. Every event adds one
    /// at most to a track, so a few for each event keep pace.
    pub(super) fn forget_what_is_over(&mut self, tracks: &[Track], now: Moment) {
        for (place, track) in tracks.iter().enumerate() {
            for _ in 0..FORGOTTEN_AT_ONCE {
                match self.tracks[place].peek_lru() {
                    Some((_, history)) if is_over(history, track, now) => self.pop(place),
                    _ => break,
                }
            }
        }
    }

    fn make_room(&mut self) {
        while self.len() > self.capacity.get() || self.spilled > MOST_SPILLED {
            let seen_last = |track: &LruCache<Entity, History>| {
                track.peek_lru().and_then(|(_, history)| history.last())
            };
            let places = self.tracks.iter().enumerate();
            let last = places.filter_map(|(place, track)| Some((seen_last(track)?, place))).min();
            let Some((_, place)) = last else { return };
            self.pop(place);
        }
    }

    /// How many histories there are.
    pub(super) fn len(&self) -> usize {
        self.tracks.iter().map(LruCache::len).sum()
    }

    fn pop(&mut self, place: usize) {
        if let Some((_, history)) = self.tracks[place].pop_lru() {
            self.spilled -= history.spilled();
        }
    }
}

/// Whether nothing in a history can matter any more.
fn is_over(history: &History, track: &Track, now: Moment) -> bool {
    history.last().is_none_or(|last| now.since(last) >= track.longest)
}

/// The most histories that are remembered, of all tracks together: one for each entity that a
/// track counts. With few arrivals each they take some 150 MiB.
const CAPACITY: NonZeroUsize = NonZeroUsize::new(1_000_000).unwrap();

/// The most bytes for the arrivals of entities with more than a few.
const MOST_SPILLED: usize = 128 * 1024 * 1024;

const FORGOTTEN_AT_ONCE: usize = 4;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn track(definition: &str, seconds: u32, most: usize) -> Track {
        Track {
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

    fn record(memory: &mut Memory, tracks: &[Track], place: usize, number: u8, now: Moment) {
        memory.forget_what_is_over(tracks, now);
        memory.record(place, &tracks[place], entity(number), Counted::Event, now);
    }

    #[test]
    fn the_entity_not_seen_for_longest_gives_way_on_whatever_track() {
        let tracks = [track("a", 60, 10), track("b", 60, 10)];
        let mut memory = Memory::with_capacity(&tracks, NonZeroUsize::new(2).expect("not zero"));
        record(&mut memory, &tracks, 0, 1, at(0));
        record(&mut memory, &tracks, 1, 2, at(1));
        record(&mut memory, &tracks, 0, 1, at(2));
        record(&mut memory, &tracks, 0, 3, at(3));
        assert_eq!(memory.len(), 2);
        assert!(memory.get(0, entity(1)).is_some() && memory.get(0, entity(3)).is_some());
        assert!(memory.get(1, entity(2)).is_none());
    }

    #[test]
    fn arrivals_take_no_more_than_their_share() {
        let tracks = [track("a", 86_400, 10_001)];
        let mut memory = Memory::new(&tracks);
        for _ in 0..10_001 {
            record(&mut memory, &tracks, 0, 1, at(0));
        }
        assert!((10_001 * 16..=MOST_SPILLED).contains(&memory.spilled), "{}", memory.spilled);
        record(&mut memory, &tracks, 0, 2, at(1));
        assert_eq!(memory.len(), 2);
        // As if there were many like the first.
        memory.spilled += MOST_SPILLED;
        record(&mut memory, &tracks, 0, 3, at(2));
        assert!(memory.get(0, entity(1)).is_none());
    }

    #[test]
    fn what_is_over_is_forgotten_while_others_come() {
        let tracks = [track("a", 10, 10)];
        let mut memory = Memory::new(&tracks);
        for number in 0..200 {
            record(&mut memory, &tracks, 0, number, at(0));
        }
        for _ in 0..49 {
            record(&mut memory, &tracks, 0, 255, at(9));
        }
        assert_eq!(memory.len(), 201);
        for _ in 0..50 {
            record(&mut memory, &tracks, 0, 255, at(10));
        }
        assert_eq!(memory.len(), 1);
        assert_eq!(memory.spilled, memory.get(0, entity(255)).expect("it").spilled());
    }

    #[test]
    fn a_track_that_counts_the_same_goes_on_with_what_it_knows() {
        let old = [track("a", 10, 10), track("b", 10, 10)];
        let mut memory = Memory::new(&old);
        for _ in 0..9 {
            record(&mut memory, &old, 0, 1, at(0));
            record(&mut memory, &old, 1, 2, at(0));
        }
        let new = [track("c", 10, 10), track("b", 10, 2)];
        memory.carry_over(&old, &new);
        assert_eq!(memory.len(), 1);
        assert_eq!(memory.spilled, memory.get(1, entity(2)).expect("it").spilled());
        record(&mut memory, &new, 1, 2, at(0));
        record(&mut memory, &new, 0, 1, at(0));
        assert_eq!(memory.len(), 2);
    }
}
