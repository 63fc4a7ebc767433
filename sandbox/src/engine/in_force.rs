//! What is in force as a person sees it, and what a person does about it.

use std::time::Duration;

use super::Analysis;
use crate::clock::Moment;
use crate::engine::mitigation::{Ended, Ending, Mitigation, Origin};
use crate::engine::policy::{ActionKind, MitigationAction, Trigger};
use crate::engine::visitor::Target;

/// A mitigation in force, for people.
#[derive(Debug)]
pub(crate) struct MitigationSummary {
    /// The number by which it is lifted.
    pub(crate) id: u64,
    /// The entity, such as `client_ip 203.0.113.7, user_agent curl/8.5.0`. It came with traffic.
    pub(crate) entity: String,
    /// The policy that put it; none put it if it was put by hand.
    pub(crate) policy: Option<String>,
    pub(crate) kind: ActionKind,
    pub(crate) reason: String,
    /// How long it is in force still; without an end until it is lifted.
    pub(crate) remaining: Option<Duration>,
}

/// A policy in force, for people.
#[derive(Debug)]
pub(crate) struct PolicySummary {
    pub(crate) name: String,
    pub(crate) kind: ActionKind,
    /// A policy file with nothing but this policy, and its entity.
    pub(crate) definition: String,
}

impl Analysis {
    /// The policies in force, in the order in which they are applied.
    pub(crate) fn policies(&self) -> Vec<PolicySummary> {
        let on_events = self.policies.policies.iter().map(|policy| {
            let policy = policy.as_ref();
            (policy.order, &policy.name, policy.action.kind(), &policy.definition)
        });
        let on_requests = self.policies.on_requests.iter();
        let on_requests = on_requests
            .map(|policy| (policy.order, &policy.name, ActionKind::Monitor, &policy.definition));
        let mut all: Vec<_> = on_events.chain(on_requests).collect();
        all.sort_by_key(|(order, ..)| *order);
        let all = all.into_iter().map(|(_, name, kind, definition)| PolicySummary {
            name: name.clone(),
            kind,
            definition: definition.clone(),
        });
        all.collect()
    }

    /// The newest of what is in force, the newest first, and how many there are in all.
    pub(crate) fn in_force(&mut self, most: usize, now: Moment) -> (Vec<MitigationSummary>, usize) {
        self.mitigations.settle(now);
        let newest = self.mitigations.newest(now).take(most);
        (
            newest.map(|mitigation| MitigationSummary::at(mitigation, now)).collect(),
            self.mitigations.len(),
        )
    }

    /// What has ended since this was last asked.
    pub(crate) fn take_ended(&mut self) -> Vec<Ended> {
        self.mitigations.take_ended()
    }

    /// Puts a mitigation on a visitor by hand, until it is lifted.
    pub(crate) fn put(&mut self, target: &Target, action: MitigationAction) -> Mitigation {
        self.mitigations.put(target.entity(), action, target.label(), target.scope())
    }

    /// Lifts one mitigation, and tells whether it was in force.
    pub(crate) fn lift(&mut self, id: u64, now: Moment) -> bool {
        let Some(mitigation) = self.mitigations.get(id, now).cloned() else { return false };
        self.take_away(&mitigation);
        true
    }

    /// Lifts all that a visitor may meet: what was put by hand, and what policies put on entities
    /// whose key has the address.
    pub(crate) fn lift_all(&mut self, target: &Target, now: Moment) {
        let scope = target.scope();
        let all = self.mitigations.all(now).filter(|mitigation| mitigation.concerns(scope));
        let all: Vec<_> = all.cloned().collect();
        all.iter().for_each(|mitigation| self.take_away(mitigation));
    }

    /// Lifts a mitigation and forgets what was counted for it, so that it does not come again with
    /// the next event.
    fn take_away(&mut self, lifted: &Mitigation) {
        self.mitigations
            .remove(lifted.entity, Ending::Lifted, |mitigation| mitigation.id == lifted.id);
        if let Origin::Policy(policy) = &lifted.origin
            && let Trigger::Window(window) = &policy.trigger
        {
            self.store.forget(window.counter, lifted.entity);
        }
    }
}

impl MitigationSummary {
    fn at(mitigation: &Mitigation, now: Moment) -> Self {
        Self {
            id: mitigation.id,
            entity: mitigation.label.to_string(),
            policy: mitigation.policy().map(str::to_owned),
            kind: mitigation.kind(),
            reason: mitigation.reason(),
            remaining: mitigation.remaining(now),
        }
    }
}
