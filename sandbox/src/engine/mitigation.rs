//! What is in force against an entity, how it is told, and for how long.

mod index;
mod store;

use std::sync::Arc;
use std::time::Duration;

pub(crate) use self::store::Mitigations;
use crate::clock::Moment;
use crate::engine::entity::Entity;
use crate::engine::policy::{ActionKind, MitigationAction, Policy, Trigger, Window};
use crate::engine::visitor::Scope;

/// A mitigation that was put on an entity.
#[derive(Clone, Debug)]
pub(crate) struct Mitigation {
    /// A number that no other mitigation of the sandbox has.
    pub(crate) id: u64,
    pub(crate) entity: Entity,
    /// The entity, for people.
    pub(crate) label: Box<str>,
    pub(crate) origin: Origin,
    /// When it ends; without an end it stays until it is lifted.
    until: Option<Moment>,
    /// The most events, or values, that were in the window since it began.
    count: usize,
    /// Whether there may have been more, as no more is remembered than the policies need.
    is_bound: bool,
    /// Whom it is about, as far as its entity says.
    scope: Option<Scope>,
}

/// A mitigation that is over.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) mitigation: Mitigation,
    pub(crate) how: Ending,
}

/// Why a mitigation is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Ending {
    /// Its challenge was passed.
    Passed,
    /// By hand.
    Lifted,
    Expired,
    /// Its policy is in force no more.
    Withdrawn,
    /// There were too many.
    GaveWay,
}

/// Who put a mitigation.
#[derive(Clone, Debug)]
pub(crate) enum Origin {
    Policy(Arc<Policy>),
    /// A person or a test.
    Hand(MitigationAction),
}

impl Mitigation {
    /// Holds the mitigation for longer, after a further event in excess.
    fn renew(&mut self, policy: &Policy, count: usize, until: Moment) {
        self.count = self.count.max(count);
        // Noted as it is counted: after a reload there may be other bounds.
        self.is_bound |= policy.counts_no_further_than(count);
        self.until = Some(until);
    }

    pub(crate) fn is_in_force(&self, now: Moment) -> bool {
        self.until.is_none_or(|until| now < until)
    }

    /// How long it is in force still; without an end until it is lifted.
    pub(crate) fn remaining(&self, now: Moment) -> Option<Duration> {
        self.until.map(|until| until.since(now))
    }

    pub(crate) fn action(&self) -> &MitigationAction {
        match &self.origin {
            Origin::Policy(policy) => &policy.action,
            Origin::Hand(action) => action,
        }
    }

    pub(crate) fn kind(&self) -> ActionKind {
        self.action().kind()
    }

    /// The policy that put it, if one did.
    pub(crate) fn policy(&self) -> Option<&str> {
        match &self.origin {
            Origin::Policy(policy) => Some(&policy.name),
            Origin::Hand(_) => None,
        }
    }

    /// Its policy's place in the file. What was put by hand comes first.
    pub(crate) fn order(&self) -> Option<usize> {
        match &self.origin {
            Origin::Policy(policy) => Some(policy.order),
            Origin::Hand(_) => None,
        }
    }

    /// Why, such as `burst: 72 events in 10 s`.
    pub(crate) fn reason(&self) -> String {
        let Origin::Policy(policy) = &self.origin else { return "put by hand".to_owned() };
        let name = &policy.name;
        let Trigger::Window(window) = &policy.trigger else {
            return format!("{name}: an event matched");
        };
        let count = if self.is_bound {
            format!("more than {}", self.count - 1)
        } else {
            self.count.to_string()
        };
        let counted = match &window.distinct {
            Some(field) => format!("values of {field}"),
            // They are more than one, as a threshold is one at least.
            None => "events".to_owned(),
        };
        format!("{name}: {count} {counted} in {} s", window.length.as_secs())
    }

    /// How likely a bot is at work, from 0 to 100; never less for more events.
    pub(crate) fn score(&self) -> f64 {
        match self.kind() {
            ActionKind::Block => 95.0,
            ActionKind::Challenge => {
                40.0 + (12.0 * self.count as f64 / self.over() as f64).min(40.0)
            }
            ActionKind::Monitor => 0.0,
        }
    }

    /// Whether a request of a visitor may meet it, as far as its entity says whom it is about.
    pub(crate) fn concerns(&self, visitor: Scope) -> bool {
        self.scope.is_some_and(|scope| scope.overlaps(visitor))
    }

    fn over(&self) -> usize {
        match &self.origin {
            Origin::Policy(policy) => match policy.trigger {
                Trigger::Window(Window { over, .. }) => over,
                Trigger::Event(_) => 1,
            },
            Origin::Hand(_) => 1,
        }
    }
}
