//! Mitigations by their numbers and by their ends, so that nobody has to look at all of them.

use std::collections::{BTreeMap, BTreeSet};

use super::Mitigation;
use crate::clock::Moment;
use crate::engine::entity::Entity;

/// Who has which mitigation, and which ends next.
#[derive(Debug, Default)]
pub(super) struct Index {
    /// A later one has a higher number.
    by_id: BTreeMap<u64, Entity>,
    by_end: BTreeSet<(Moment, u64)>,
}

impl Index {
    pub(super) fn insert(&mut self, mitigation: &Mitigation) {
        self.by_id.insert(mitigation.id, mitigation.entity);
        if let Some(until) = mitigation.until {
            self.by_end.insert((until, mitigation.id));
        }
    }

    pub(super) fn remove(&mut self, mitigation: &Mitigation) {
        self.by_id.remove(&mitigation.id);
        if let Some(until) = mitigation.until {
            self.by_end.remove(&(until, mitigation.id));
        }
    }

    pub(super) fn entity(&self, id: u64) -> Option<Entity> {
        self.by_id.get(&id).copied()
    }

    /// The next that is over by now.
    pub(super) fn next_over(&self, now: Moment) -> Option<(u64, Entity)> {
        let (_, id) = self.by_end.first().filter(|(until, _)| *until <= now)?;
        Some((*id, self.entity(*id)?))
    }

    /// All of them, the newest first.
    pub(super) fn newest(&self) -> impl Iterator<Item = (u64, Entity)> {
        self.by_id.iter().rev().map(|(id, entity)| (*id, *entity))
    }

    pub(super) fn len(&self) -> usize {
        self.by_id.len()
    }
}
