//! What one counter counts of one entity: when it arrived.

use smallvec::SmallVec;

use crate::clock::Moment;
use crate::engine::policy::{ActionKind, Counter, Increment, Window};

/// What is known of one entity on one counter, in no more memory than its policies need.
#[derive(Debug, Default)]
pub(crate) struct WindowState {
    /// The newest arrivals, oldest first. Most entities have few, which take no place of their own.
    arrivals: SmallVec<[Arrival; 3]>,
    /// How many of the arrivals no longer count for challenges, because one was passed since.
    forgiven: u32,
}

/// One event; of a counter of distinct values the last one with its value.
#[derive(Clone, Copy, Debug)]
struct Arrival {
    at: Moment,
    /// A digest of the value; zero where events are counted.
    value: u64,
}

impl WindowState {
    /// Notes what an event adds to the counter.
    pub(crate) fn record(&mut self, counter: &Counter, increment: Increment, now: Moment) {
        let left =
            self.arrivals.partition_point(|arrival| now.since(arrival.at) >= counter.longest);
        self.forget(left);
        let value = match increment {
            Increment::Event => 0,
            Increment::Value(value) => {
                self.forget_value(value);
                value
            }
        };
        self.forget((self.arrivals.len() + 1).saturating_sub(counter.most));
        self.arrivals.push(Arrival { at: now, value });
    }

    /// How much is in a window. What was forgiven counts for no challenge.
    pub(crate) fn count(&self, window: &Window, kind: ActionKind, now: Moment) -> usize {
        let left = self.arrivals.partition_point(|arrival| now.since(arrival.at) >= window.length);
        let forgiven = match kind {
            ActionKind::Challenge => self.forgiven as usize,
            ActionKind::Monitor | ActionKind::Block => 0,
        };
        self.arrivals.len() - left.max(forgiven)
    }

    /// Counts anew for challenges; for blocks all that arrived still counts.
    pub(crate) fn forgive(&mut self) {
        // No counter counts more than its bound, which is far below.
        self.forgiven = u32::try_from(self.arrivals.len()).unwrap_or(u32::MAX);
    }

    /// When the entity was last seen on the counter.
    pub(crate) fn last(&self) -> Option<Moment> {
        self.arrivals.last().map(|arrival| arrival.at)
    }

    /// The bytes that the arrivals take outside of the state.
    pub(crate) fn spilled(&self) -> usize {
        if self.arrivals.spilled() { self.arrivals.capacity() * size_of::<Arrival>() } else { 0 }
    }

    /// Drops the arrival of a value that comes again.
    fn forget_value(&mut self, value: u64) {
        if let Some(place) = self.arrivals.iter().position(|arrival| arrival.value == value) {
            self.arrivals.remove(place);
            if place < self.forgiven as usize {
                self.forgiven -= 1;
            }
        }
    }

    /// Drops the oldest arrivals.
    fn forget(&mut self, oldest: usize) {
        self.arrivals.drain(..oldest);
        self.forgiven = self.forgiven.saturating_sub(u32::try_from(oldest).unwrap_or(u32::MAX));
    }
}
