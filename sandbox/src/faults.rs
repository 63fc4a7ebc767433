//! Faults on demand: which of them are on, and which hits a call.

mod error;
mod fault;
mod inject;
mod kind;
mod members;
mod status;

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard};

use axum::http::HeaderMap;
use serde::Serialize;

pub use self::error::FaultError;
pub use self::fault::Fault;
pub(crate) use self::inject::inject;
use self::kind::Kind;
pub(crate) use self::members::FaultMembers;
pub use self::status::FaultStatus;
use crate::lock::lock;
use crate::operation::Operation;

/// The faults of a sandbox.
///
/// Clones are handles to the same faults. The first fault, in the order in which they were added,
/// that is about a call and whose turn it is hits the call; the others do not see it.
#[derive(Clone, Debug, Default)]
pub struct Faults(Arc<Mutex<List>>);

/// The number of a fault in its sandbox, never given again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(transparent)]
pub struct FaultId(u64);

/// A fault that was selected for a call.
#[derive(Debug)]
struct Injection {
    fault: Fault,
    headers: HeaderMap,
}

#[derive(Debug, Default)]
struct List {
    last_id: u64,
    /// Increases with every change.
    version: u64,
    faults: Vec<Listed>,
}

#[derive(Debug)]
struct Listed {
    id: FaultId,
    fault: Fault,
    headers: HeaderMap,
    /// The calls that it was asked about.
    calls: u64,
    hits: u64,
}

impl Faults {
    /// Adds a fault behind those that are there.
    ///
    /// # Panics
    ///
    /// Panics if the fault is refused; see [`try_add`](Self::try_add).
    #[track_caller]
    #[expect(clippy::must_use_candidate, reason = "few who add a fault ask for its number")]
    pub fn add(&self, fault: Fault) -> FaultId {
        self.try_add(fault).unwrap_or_else(|error| panic!("the fault is not added: {error}"))
    }

    /// Adds a fault behind those that are there.
    ///
    /// # Errors
    ///
    /// Fails when a status, a header or a share is outside of its range, when headers are too many
    /// or given to a fault that sends none, and when there are a thousand faults already.
    pub fn try_add(&self, fault: Fault) -> Result<FaultId, FaultError> {
        let headers = fault.check()?;
        let mut list = self.lock();
        // What is used up is kept to be looked at, but for no longer than there is room.
        if list.faults.len() == CAPACITY {
            list.faults.retain(|listed| listed.left() != Some(0));
        }
        if list.faults.len() == CAPACITY {
            return Err(FaultError::TooMany);
        }
        list.last_id += 1;
        list.version += 1;
        let id = FaultId(list.last_id);
        list.faults.push(Listed { id, fault, headers, calls: 0, hits: 0 });
        Ok(id)
    }

    /// Tells all faults in their order, those that are used up among them.
    #[must_use]
    pub fn list(&self) -> Vec<FaultStatus> {
        self.lock().faults.iter().map(FaultStatus::from).collect()
    }

    /// Removes a fault, and tells whether it was there.
    #[expect(clippy::must_use_candidate, reason = "it is removed either way")]
    pub fn remove(&self, id: FaultId) -> bool {
        let mut list = self.lock();
        let before = list.faults.len();
        list.faults.retain(|listed| listed.id != id);
        let removed = list.faults.len() < before;
        list.version += u64::from(removed);
        removed
    }

    /// Removes all faults. Calls that were hit already stay so.
    pub fn clear(&self) {
        let mut list = self.lock();
        list.faults.clear();
        list.version += 1;
    }

    /// Increases with every change, a hit among them.
    pub(crate) fn version(&self) -> u64 {
        self.lock().version
    }

    /// Finds what hits a call, and counts it.
    fn select(&self, operation: Operation) -> Option<Injection> {
        let List { faults, version, .. } = &mut *self.lock();
        let listed = faults.iter_mut().find_map(|listed| {
            let hit = listed.is_about(operation) && listed.takes_its_turn();
            hit.then_some(listed)
        })?;
        *version += 1;
        Some(Injection { fault: listed.fault.clone(), headers: listed.headers.clone() })
    }

    fn lock(&self) -> MutexGuard<'_, List> {
        lock(&self.0)
    }
}

impl Listed {
    fn is_about(&self, operation: Operation) -> bool {
        self.fault.operation.is_none_or(|own| own == operation) && self.left() != Some(0)
    }

    fn takes_its_turn(&mut self) -> bool {
        let turns = |calls: u64| {
            u128::from(calls) * u128::from(self.fault.share_in_millionths()) / 1_000_000
        };
        let hit = turns(self.calls + 1) > turns(self.calls);
        self.calls += 1;
        self.hits += u64::from(hit);
        hit
    }

    fn left(&self) -> Option<u64> {
        self.fault.times.map(|times| times.saturating_sub(self.hits))
    }
}

impl From<&Listed> for FaultStatus {
    fn from(listed: &Listed) -> Self {
        Self {
            id: listed.id,
            fault: listed.fault.clone(),
            does: listed.fault.to_string(),
            hits: listed.hits,
            left: listed.left(),
        }
    }
}

impl FaultId {
    pub(crate) fn parse(text: &str) -> Option<Self> {
        text.parse().ok().map(Self)
    }
}

impl fmt::Display for FaultId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The most faults that are remembered.
const CAPACITY: usize = 1000;

#[cfg(test)]
mod tests {
    use super::*;

    const CHECK: Operation = Operation::CheckMitigation;

    fn hit(faults: &Faults, operation: Operation, calls: u64) -> Vec<u64> {
        (1..=calls).filter(|_| faults.select(operation).is_some()).collect()
    }

    #[test]
    fn a_share_of_the_calls_is_spread_evenly_among_them() {
        for (share, expected) in [
            (0.25, &[4, 8, 12][..]),
            (0.3, &[4, 7, 10]),
            (0.5, &[2, 4, 6, 8, 10, 12]),
            (1.0, &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]),
            (0.0, &[]),
        ] {
            let faults = Faults::default();
            faults.add(Fault::silence().share(share));
            assert_eq!(hit(&faults, CHECK, 12), expected, "{share}");
        }
        let faults = Faults::default();
        faults.add(Fault::silence().share(0.29));
        assert_eq!(hit(&faults, CHECK, 10_000).len(), 2900);
    }

    #[test]
    fn the_next_calls_are_hit_and_no_more() {
        let faults = Faults::default();
        faults.add(Fault::silence().times(2));
        faults.add(Fault::reset().share(0.5).times(1));
        assert_eq!(hit(&faults, CHECK, 9), [1, 2, 4]);
        let list = faults.list();
        assert_eq!(list.iter().map(|fault| fault.hits).collect::<Vec<_>>(), [2, 1]);
        assert_eq!(list.iter().map(|fault| fault.left).collect::<Vec<_>>(), [Some(0), Some(0)]);
    }

    #[test]
    fn a_call_is_hit_once_by_the_first_fault_that_is_about_it() {
        let faults = Faults::default();
        let usage = faults.add(Fault::silence().on(Operation::GetUsage));
        let all = faults.add(Fault::reset());
        for operation in Operation::ALL {
            let injection = faults.select(operation).expect("an injection");
            let expected = if operation == Operation::GetUsage { "silence" } else { "a reset" };
            assert!(
                injection.fault.to_string().starts_with(expected),
                "{operation}: {}",
                injection.fault
            );
        }
        let hits = faults.list().into_iter().map(|fault| (fault.id, fault.hits));
        assert_eq!(hits.collect::<Vec<_>>(), [(usage, 1), (all, 4)]);
    }

    #[test]
    fn what_was_removed_hits_no_more() {
        let faults = Faults::default();
        let first = faults.add(Fault::silence());
        assert!(faults.remove(first) && !faults.remove(first));
        assert!(faults.select(CHECK).is_none());
        let second = faults.add(Fault::silence());
        assert_ne!(first, second);
        faults.clear();
        assert!(faults.select(CHECK).is_none() && faults.list().is_empty());
    }

    #[test]
    fn used_up_faults_make_room_and_others_do_not() {
        let faults = Faults::default();
        for _ in 0..CAPACITY {
            faults.add(Fault::silence());
        }
        assert_eq!(faults.try_add(Fault::silence()), Err(FaultError::TooMany));
        faults.clear();
        for _ in 0..=CAPACITY {
            faults.add(Fault::silence().times(0));
        }
        assert_eq!(faults.list().len(), 1);
    }
}
