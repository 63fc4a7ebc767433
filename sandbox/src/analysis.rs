//! Learn from events: keep a history for each entity and forget those that no longer matter.
//!
//! A state machine without a clock. Whoever calls it says what time it is.

use std::num::NonZeroUsize;

use lru::LruCache;

use crate::clock::Moment;
use crate::entity::Entity;
use crate::history::History;
use crate::mitigation::{Mitigation, Standing};

/// What was learnt of all entities, the one seen last first.
#[derive(Debug)]
pub(crate) struct Analysis {
    histories: LruCache<Entity, History>,
}

impl Analysis {
    pub(crate) fn new() -> Self {
        Self::with_capacity(CAPACITY)
    }

    fn with_capacity(capacity: NonZeroUsize) -> Self {
        Self { histories: LruCache::new(capacity) }
    }

    /// Notes an event of an entity and tells the mitigations that begin with it.
    pub(crate) fn observe(&mut self, entity: Entity, now: Moment) -> Vec<Mitigation> {
        self.forget_what_is_over(now);
        self.histories.get_or_insert_mut(entity, History::new).record(now)
    }

    /// Tells how an entity stands. Asking leaves no trace, not even in the order of forgetting.
    pub(crate) fn standing(&self, entity: Entity, now: Moment) -> Standing {
        self.histories.peek(&entity).map(|history| history.standing(now)).unwrap_or_default()
    }

    /// Lifts the challenges of an entity that solved one.
    pub(crate) fn lift_challenges(&mut self, entity: Entity) {
        if let Some(history) = self.histories.peek_mut(&entity) {
            history.lift_challenges();
        }
    }

    /// The mitigations in force against an entity.
    pub(crate) fn in_force(&self, entity: Entity, now: Moment) -> Vec<Mitigation> {
        let history = self.histories.peek(&entity);
        history.map(|history| history.in_force(now).collect()).unwrap_or_default()
    }

    /// Lifts what a policy holds against an entity.
    pub(crate) fn lift(&mut self, entity: Entity, policy: &str) {
        if let Some(history) = self.histories.peek_mut(&entity) {
            history.lift(policy);
        }
    }

    /// Looks at the few entities that were not seen for longest. Every event adds one at most,
    /// so a few for each event keep pace.
    fn forget_what_is_over(&mut self, now: Moment) {
        for _ in 0..FORGOTTEN_AT_ONCE {
            match self.histories.peek_lru() {
                Some((_, history)) if history.is_over(now) => drop(self.histories.pop_lru()),
                _ => break,
            }
        }
    }
}

/// The most entities that are remembered: with full histories some 200 MB.
const CAPACITY: NonZeroUsize = NonZeroUsize::new(100_000).unwrap();

const FORGOTTEN_AT_ONCE: usize = 8;

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;
    use std::time::Duration;

    use super::*;

    fn entity(number: u32) -> Entity {
        Entity::new(Ipv4Addr::from_bits(number).into(), None)
    }

    fn observe(analysis: &mut Analysis, entity: Entity, events: usize, now: Moment) {
        for _ in 0..events {
            analysis.observe(entity, now);
        }
    }

    fn at(seconds: u64) -> Moment {
        Moment::START.after(Duration::from_secs(seconds))
    }

    #[test]
    fn entities_do_not_share_their_counts() {
        let mut analysis = Analysis::new();
        observe(&mut analysis, entity(1), 61, at(0));
        observe(&mut analysis, entity(2), 60, at(0));
        assert!(analysis.standing(entity(1), at(0)).mitigation.is_some());
        assert!(analysis.standing(entity(2), at(0)).mitigation.is_none());
    }

    #[test]
    fn a_decision_remembers_nobody() {
        let analysis = Analysis::new();
        assert_eq!(analysis.standing(entity(1), at(0)), Standing::default());
        assert!(analysis.histories.is_empty());
    }

    #[test]
    fn a_passed_challenge_is_lifted_for_its_entity_alone() {
        let mut analysis = Analysis::new();
        observe(&mut analysis, entity(1), 61, at(0));
        observe(&mut analysis, entity(2), 61, at(0));
        analysis.lift_challenges(entity(1));
        analysis.lift_challenges(entity(3));
        assert!(analysis.standing(entity(1), at(0)).mitigation.is_none());
        assert!(analysis.standing(entity(2), at(0)).mitigation.is_some());
    }

    #[test]
    fn a_mitigation_is_lifted_by_hand_for_its_policy_alone() {
        let mut analysis = Analysis::new();
        observe(&mut analysis, entity(1), 201, at(0));
        let policies = |analysis: &Analysis| {
            let held = analysis.in_force(entity(1), at(1)).into_iter();
            held.map(|held| held.policy.name).collect::<Vec<_>>()
        };
        assert_eq!(policies(&analysis), ["burst", "flood"]);
        analysis.lift(entity(1), "flood");
        assert_eq!(policies(&analysis), ["burst"]);
        analysis.lift(entity(2), "burst");
        analysis.lift(entity(1), "burst");
        observe(&mut analysis, entity(1), 1, at(1));
        assert_eq!(policies(&analysis), [""; 0], "what was lifted is counted anew");
    }

    #[test]
    fn the_entity_not_seen_for_longest_gives_way() {
        let mut analysis = Analysis::with_capacity(NonZeroUsize::new(2).expect("not zero"));
        observe(&mut analysis, entity(1), 61, at(0));
        observe(&mut analysis, entity(2), 61, at(0));
        observe(&mut analysis, entity(1), 1, at(0));
        observe(&mut analysis, entity(3), 1, at(0));
        assert_eq!(analysis.histories.len(), 2);
        assert!(analysis.standing(entity(1), at(0)).mitigation.is_some());
        assert!(analysis.standing(entity(2), at(0)).mitigation.is_none());
    }

    #[test]
    fn idle_entities_are_forgotten_and_mitigated_ones_are_not() {
        let mut analysis = Analysis::new();
        for number in 0..1000 {
            observe(&mut analysis, entity(number), 1, at(0));
        }
        for _ in 0..1000 {
            observe(&mut analysis, entity(5000), 1, at(10));
        }
        assert_eq!(analysis.histories.len(), 1);

        observe(&mut analysis, entity(1), 1, at(69));
        assert!(analysis.standing(entity(5000), at(69)).mitigation.is_some());
        observe(&mut analysis, entity(1), 1, at(70));
        assert_eq!(analysis.histories.len(), 1, "the block was over and its entity forgotten");
    }
}
