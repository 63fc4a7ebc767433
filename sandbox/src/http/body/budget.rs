//! The budget of all bodies: when it is used up, the one under way for longest is evicted.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use tokio::sync::Notify;

use crate::limits::Limits;
use crate::lock::lock;

/// The bodies that are kept. Clones share them.
#[derive(Clone, Debug)]
pub(crate) struct BodyBudget {
    most: usize,
    /// How long a body may take to arrive.
    pub(crate) time: Duration,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    last_id: u64,
    /// Bytes of bodies that are kept, in all.
    kept: usize,
    /// Those that are under way, in the order in which they began.
    under_way: BTreeMap<u64, Part>,
}

#[derive(Debug)]
struct Part {
    bytes: usize,
    evicted: Arc<Notify>,
}

/// The room that one body takes. It is given back when this is dropped.
#[derive(Debug)]
pub(crate) struct BodyReservation {
    id: u64,
    /// Bytes of a body that has arrived in whole.
    whole: usize,
    evicted: Arc<Notify>,
    budget: BodyBudget,
}

impl BodyBudget {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self { most: limits.bodies, time: limits.body_time, state: Arc::default() }
    }

    /// A body begins to arrive.
    pub(crate) fn reserve(&self) -> BodyReservation {
        let evicted = Arc::new(Notify::new());
        let mut state = self.state();
        state.last_id += 1;
        let id = state.last_id;
        state.under_way.insert(id, Part { bytes: 0, evicted: Arc::clone(&evicted) });
        BodyReservation { id, whole: 0, evicted, budget: self.clone() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

impl BodyReservation {
    /// Takes room for `bytes` more, and tells whether the body may stay. Another one may have
    /// to go for it.
    pub(crate) fn grow(&mut self, bytes: usize) -> bool {
        let mut state = self.budget.state();
        let Some(part) = state.under_way.get_mut(&self.id) else { return false };
        part.bytes += bytes;
        state.kept += bytes;
        while state.kept > self.budget.most
            && let Some((_, oldest)) = state.under_way.pop_first()
        {
            state.kept -= oldest.bytes;
            oldest.evicted.notify_one();
        }
        state.under_way.contains_key(&self.id)
    }

    /// The body has arrived in whole; it stays until this is dropped. Tells whether it had room.
    pub(crate) fn complete(&mut self) -> bool {
        let part = self.budget.state().under_way.remove(&self.id);
        self.whole = part.as_ref().map_or(0, |part| part.bytes);
        part.is_some()
    }

    /// Waits until the body has to go.
    pub(crate) async fn evicted(&self) {
        self.evicted.notified().await;
    }
}

impl Drop for BodyReservation {
    fn drop(&mut self) {
        let mut state = self.budget.state();
        let part = state.under_way.remove(&self.id);
        state.kept -= self.whole + part.map_or(0, |part| part.bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn budget() -> BodyBudget {
        BodyBudget::new(&Limits::default().bodies(100))
    }

    #[test]
    fn the_body_that_is_under_way_for_longest_gives_way() {
        let budget = budget();
        let [mut first, mut second, mut third] = [(); 3].map(|()| budget.reserve());
        assert!(third.grow(40) && first.grow(40) && second.grow(20));
        assert!(third.grow(1), "another gives way");
        assert!(!first.grow(1) && !first.complete());
        assert!(second.complete() && third.complete());
        assert_eq!(budget.state().kept, 61);
    }

    #[test]
    fn what_has_arrived_stays_until_it_is_dropped() {
        let budget = budget();
        let mut whole = budget.reserve();
        assert!(whole.grow(90) && whole.complete());
        let mut late = budget.reserve();
        assert!(!late.grow(11), "nobody else is left to give way");
        drop((whole, late));
        assert_eq!(budget.state().kept, 0);
        assert!(budget.reserve().grow(100));
        assert_eq!(budget.state().kept, 0);
    }
}
