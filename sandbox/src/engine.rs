//! Learn from events by the policies, and tell what is in force against whom.
//!
//! A state machine without a clock. Whoever calls it says what time it is.

pub(crate) mod entity;
pub(crate) mod facts;
mod field;
mod history;
mod in_force;
mod matcher;
mod memory;
pub(crate) mod mitigation;
pub(crate) mod policy;
mod standing;
#[cfg(test)]
mod tests;
pub(crate) mod visitor;

use std::sync::Arc;

pub(crate) use self::field::Field;
pub(crate) use self::in_force::{InForce, PolicyInForce};
pub(crate) use self::matcher::{Matcher, Test, is_of_word};
use self::memory::Memory;
use self::standing::suspicion;
pub(crate) use self::standing::{Held, Monitored, Standing};
use crate::clock::Moment;
use crate::engine::entity::Entity;
use crate::engine::facts::Facts;
use crate::engine::mitigation::{Ending, Mitigation, Mitigations};
use crate::engine::policy::{Effect, Trigger, Window};
use crate::policy_file::PolicySet;

/// What was learnt of all entities, and the policies by which it was.
#[derive(Debug)]
pub(crate) struct Analysis {
    policies: Arc<PolicySet>,
    memory: Memory,
    mitigations: Mitigations,
}

impl Analysis {
    pub(crate) fn new(policies: PolicySet) -> Self {
        let memory = Memory::new(&policies.tracks);
        Self { policies: Arc::new(policies), memory, mitigations: Mitigations::default() }
    }

    /// Applies other policies from now on. What is counted alike goes on, and so do mitigations of
    /// policies that read the same, and those put by hand.
    pub(crate) fn replace(&mut self, policies: PolicySet) {
        self.memory.carry_over(&self.policies.tracks, &policies.tracks);
        self.mitigations.carry_over(&policies.policies);
        self.policies = Arc::new(policies);
    }

    /// Learns from an event, and tells the mitigation that begins with it, if one does.
    pub(crate) fn observe(&mut self, facts: &Facts<'_>, now: Moment) -> Option<Mitigation> {
        let policies = Arc::clone(&self.policies);
        let entities = entities(&policies, facts);
        self.memory.forget_what_is_over(&policies.tracks, now);
        let counted: Vec<_> = policies
            .tracks
            .iter()
            .enumerate()
            .map(|(place, track)| {
                let entity = entities[track.entity]?;
                self.memory.record(place, track, entity, track.counts(facts)?, now);
                Some(entity)
            })
            .collect();
        for policy in &policies.policies {
            let count = match &policy.trigger {
                Trigger::Event(matcher) => {
                    let matches = matcher.as_ref().is_none_or(|matcher| matcher.matches(facts));
                    matches.then_some(1)
                }
                Trigger::Window(window) => counted[window.track]
                    .map(|entity| {
                        let of_challenge = policy.remedy.effect() == Effect::Challenge;
                        self.count(window, entity, of_challenge, now)
                    })
                    .filter(|count| *count > window.over),
            };
            if let (Some(count), Some(entity)) = (count, entities[policy.entity]) {
                let definition = &policies.entities[policy.entity];
                return self.mitigations.charge(entity, policy, count, definition, facts, now);
            }
        }
        None
    }

    /// Tells how a request stands. Asking leaves no trace, not even in the order of forgetting.
    pub(crate) fn standing(&self, facts: &Facts<'_>, now: Moment) -> Standing {
        let entities = entities(&self.policies, facts);
        let by_hand = facts
            .ip
            .filter(|_| self.mitigations.any_by_hand())
            .into_iter()
            .flat_map(|ip| [Entity::visitor(ip, facts.user_agent), Entity::address(ip)]);
        let of_request = entities.iter().flatten().copied().chain(by_hand);
        let in_force: Vec<_> =
            of_request.flat_map(|entity| self.mitigations.of(entity, now)).collect();
        let suspicions = self.policies.policies.iter().filter_map(|policy| {
            let Trigger::Window(window) = &policy.trigger else { return None };
            // Whoever passed a challenge is not suspected for what was before it.
            let count = self.count(window, entities[policy.entity]?, true, now);
            Some(suspicion(count, window.over))
        });
        let suspicion = suspicions.fold(0.0, f64::max);
        let on_requests =
            self.policies.on_requests.iter().find(|policy| {
                policy.matcher.as_ref().is_none_or(|matcher| matcher.matches(facts))
            });
        Standing::of(&in_force, on_requests, facts, suspicion)
    }

    /// Lifts the challenges of an entity that solved one, and counts anew for further ones.
    pub(crate) fn lift_challenges(&mut self, entity: Entity) {
        let is_challenge = |held: &Mitigation| held.effect() == Effect::Challenge;
        self.mitigations.remove(entity, Ending::Passed, is_challenge);
        for policy in &self.policies.policies {
            if let (Trigger::Window(window), Effect::Challenge) =
                (&policy.trigger, policy.remedy.effect())
            {
                self.memory.forgive(window.track, entity);
            }
        }
    }

    fn count(&self, window: &Window, entity: Entity, of_challenge: bool, now: Moment) -> usize {
        let history = self.memory.get(window.track, entity);
        history.map_or(0, |history| history.count(window, of_challenge, now))
    }
}

/// The entity of each definition.
fn entities(policies: &PolicySet, facts: &Facts<'_>) -> Vec<Option<Entity>> {
    policies.entities.iter().map(|definition| definition.entity(facts)).collect()
}
