//! Say what is looked for, whom it counts, and what follows.

use std::sync::Arc;
use std::time::Duration;

use crate::engine::attributes::Attributes;
use crate::engine::entity::{EntityDefinition, short_digest};
use crate::engine::{Field, Matcher};

/// The policies that are in force together.
#[derive(Debug)]
pub(crate) struct PolicySet {
    pub(crate) entities: Vec<EntityDefinition>,
    pub(crate) counters: Vec<Counter>,
    /// Those on events, in the order of the file.
    pub(crate) policies: Vec<Arc<Policy>>,
    /// Those on requests, in the order of the file.
    pub(crate) on_requests: Vec<RequestPolicy>,
}

/// A policy on events: those that match bring a mitigation of their entity.
#[derive(Debug)]
pub(crate) struct Policy {
    pub(crate) name: String,
    /// Its place in the file. Of those that match an event, the first applies.
    pub(crate) order: usize,
    /// The entity definition that it counts and mitigates, by its place.
    pub(crate) entity: usize,
    pub(crate) trigger: Trigger,
    pub(crate) action: MitigationAction,
    /// How long the mitigation outlives the last event in excess.
    pub(crate) ttl: Duration,
    /// A file with nothing but this policy and its entity. One that reads the same is the same.
    pub(crate) definition: String,
}

/// What it takes for a policy to apply.
#[derive(Debug)]
pub(crate) enum Trigger {
    /// One event that matches; without a condition any does.
    Event(Option<Matcher>),
    /// More than a threshold of what a counter counts, within a rolling window.
    Window(Window),
}

/// A rolling window of a counter.
#[derive(Debug)]
pub(crate) struct Window {
    /// The counter, by its place.
    pub(crate) counter: usize,
    /// An event as old as this has left the window.
    pub(crate) length: Duration,
    /// The most that is no excess.
    pub(crate) over: usize,
    /// The most that the counter counts.
    pub(crate) most: usize,
    /// The field whose distinct values count, instead of events.
    pub(crate) distinct: Option<Field>,
}

/// What is counted of each entity. Policies that count the same share it.
#[derive(Debug)]
pub(crate) struct Counter {
    /// Says what is counted; a counter that reads the same after a reload goes on.
    pub(crate) definition: String,
    pub(crate) entity: usize,
    pub(crate) matcher: Option<Matcher>,
    pub(crate) distinct: Option<Field>,
    /// The longest of its policies' windows.
    pub(crate) longest: Duration,
    /// The most that any of its policies must see to find an excess.
    pub(crate) most: usize,
}

/// What an event adds to a counter.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Increment {
    Event,
    /// A value, as a number that is good for its distinctness alone.
    Value(u64),
}

impl Policy {
    /// Whether a count is the highest that there is, so that it stands for higher ones as well.
    pub(crate) fn counts_no_further_than(&self, count: usize) -> bool {
        matches!(&self.trigger, Trigger::Window(window) if count >= window.most)
    }
}

impl Counter {
    /// What an event adds, if it counts.
    pub(crate) fn counts(&self, attributes: &Attributes<'_>) -> Option<Increment> {
        if self.matcher.as_ref().is_some_and(|matcher| !matcher.matches(attributes)) {
            return None;
        }
        match &self.distinct {
            Some(field) => {
                attributes.text(field).map(|value| Increment::Value(short_digest(&value)))
            }
            None => Some(Increment::Event),
        }
    }
}

/// A policy on requests. It only monitors: what it reports changes no decision.
#[derive(Debug)]
pub(crate) struct RequestPolicy {
    pub(crate) name: String,
    pub(crate) order: usize,
    pub(crate) matcher: Option<Matcher>,
    /// A file with nothing but this policy.
    pub(crate) definition: String,
}

/// What a mitigation does to its entity; a later one outranks the earlier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum ActionKind {
    Monitor,
    Challenge,
    Block,
}

/// A mitigation with what it needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum MitigationAction {
    Monitor,
    Challenge(Task),
    Block,
}

/// What a challenged visitor has to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Task {
    /// A proof of work with this many leading zero bits; without a number, the sandbox's own.
    ProofOfWork(Option<u8>),
    /// Turnstile, with this site key.
    Turnstile(String),
}

impl MitigationAction {
    pub(crate) fn kind(&self) -> ActionKind {
        match self {
            Self::Monitor => ActionKind::Monitor,
            Self::Challenge(_) => ActionKind::Challenge,
            Self::Block => ActionKind::Block,
        }
    }
}
