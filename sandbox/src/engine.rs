//! Learn from events by the policies, and tell what is in force against whom.
//!
//! A state machine without a clock. Whoever calls it says what time it is.

mod assessment;
pub(crate) mod attributes;
mod counter_store;
pub(crate) mod entity;
mod field;
mod in_force;
mod matcher;
pub(crate) mod mitigation;
pub(crate) mod policy;
#[cfg(test)]
mod tests;
pub(crate) mod visitor;
mod window_state;

use std::sync::Arc;

use self::assessment::suspicion;
pub(crate) use self::assessment::{Action, ActiveMitigation, Assessment, Monitored};
use self::counter_store::CounterStore;
pub(crate) use self::field::Field;
pub(crate) use self::in_force::{MitigationSummary, PolicySummary};
pub(crate) use self::matcher::{Matcher, Test, is_of_word};
use crate::clock::Moment;
use crate::engine::attributes::Attributes;
use crate::engine::entity::Entity;
use crate::engine::mitigation::{Ending, Mitigation, Mitigations};
use crate::engine::policy::{ActionKind, PolicySet, Trigger, Window};

/// What was learnt of all entities, and the policies by which it was.
#[derive(Debug)]
pub(crate) struct Analysis {
    policies: Arc<PolicySet>,
    store: CounterStore,
    mitigations: Mitigations,
}

impl Analysis {
    pub(crate) fn new(policies: PolicySet) -> Self {
        let store = CounterStore::new(&policies.counters);
        Self { policies: Arc::new(policies), store, mitigations: Mitigations::default() }
    }

    /// Applies other policies from now on. What is counted alike goes on, and so do mitigations of
    /// policies that read the same, and those put by hand.
    pub(crate) fn replace(&mut self, policies: PolicySet) {
        self.store.carry_over(&self.policies.counters, &policies.counters);
        self.mitigations.carry_over(&policies.policies);
        self.policies = Arc::new(policies);
    }

    /// Learns from an event, and tells the mitigation that begins with it, if one does.
    pub(crate) fn observe(
        &mut self,
        attributes: &Attributes<'_>,
        now: Moment,
    ) -> Option<Mitigation> {
        let policies = Arc::clone(&self.policies);
        let entities = entities(&policies, attributes);
        self.store.forget_what_is_over(&policies.counters, now);
        let counted: Vec<_> = policies
            .counters
            .iter()
            .enumerate()
            .map(|(place, counter)| {
                let entity = entities[counter.entity]?;
                self.store.record(place, counter, entity, counter.counts(attributes)?, now);
                Some(entity)
            })
            .collect();
        for policy in &policies.policies {
            let count = match &policy.trigger {
                Trigger::Event(matcher) => {
                    let matches =
                        matcher.as_ref().is_none_or(|matcher| matcher.matches(attributes));
                    matches.then_some(1)
                }
                Trigger::Window(window) => counted[window.counter]
                    .map(|entity| self.count(window, entity, policy.action.kind(), now))
                    .filter(|count| *count > window.over),
            };
            if let (Some(count), Some(entity)) = (count, entities[policy.entity]) {
                let definition = &policies.entities[policy.entity];
                return self
                    .mitigations
                    .apply_or_renew(entity, policy, count, definition, attributes, now);
            }
        }
        None
    }

    /// Tells how a request stands. Asking leaves no trace, not even in the order of forgetting.
    pub(crate) fn assess(&self, attributes: &Attributes<'_>, now: Moment) -> Assessment {
        let entities = entities(&self.policies, attributes);
        let by_hand = attributes
            .ip
            .filter(|_| self.mitigations.any_by_hand())
            .into_iter()
            .flat_map(|ip| [Entity::visitor(ip, attributes.user_agent), Entity::address(ip)]);
        let of_request = entities.iter().flatten().copied().chain(by_hand);
        let in_force: Vec<_> =
            of_request.flat_map(|entity| self.mitigations.of(entity, now)).collect();
        let suspicions = self.policies.policies.iter().filter_map(|policy| {
            let Trigger::Window(window) = &policy.trigger else { return None };
            // Whoever passed a challenge is not suspected for what was before it.
            let count = self.count(window, entities[policy.entity]?, ActionKind::Challenge, now);
            Some(suspicion(count, window.over))
        });
        let suspicion = suspicions.fold(0.0, f64::max);
        let on_requests = self.policies.on_requests.iter().find(|policy| {
            policy.matcher.as_ref().is_none_or(|matcher| matcher.matches(attributes))
        });
        Assessment::of(&in_force, on_requests, attributes, suspicion)
    }

    /// Lifts the challenges of an entity that solved one, and counts anew for further ones.
    pub(crate) fn lift_challenges(&mut self, entity: Entity) {
        let is_challenge = |mitigation: &Mitigation| mitigation.kind() == ActionKind::Challenge;
        self.mitigations.remove(entity, Ending::Passed, is_challenge);
        for policy in &self.policies.policies {
            if let (Trigger::Window(window), ActionKind::Challenge) =
                (&policy.trigger, policy.action.kind())
            {
                self.store.forgive(window.counter, entity);
            }
        }
    }

    fn count(&self, window: &Window, entity: Entity, kind: ActionKind, now: Moment) -> usize {
        let state = self.store.get(window.counter, entity);
        state.map_or(0, |state| state.count(window, kind, now))
    }
}

/// The entity of each definition.
fn entities(policies: &PolicySet, attributes: &Attributes<'_>) -> Vec<Option<Entity>> {
    policies.entities.iter().map(|definition| definition.entity(attributes)).collect()
}
