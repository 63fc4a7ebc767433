//! Say what is looked for, whom it counts, and what follows.

use std::time::Duration;

use crate::engine::entity::short_digest;
use crate::engine::facts::Facts;
use crate::engine::{Field, Matcher};

/// A policy on events: those that match bring a mitigation of their entity.
#[derive(Debug)]
pub(crate) struct Policy {
    pub(crate) name: String,
    /// Its place in the file. Of those that match an event, the first applies.
    pub(crate) order: usize,
    /// The entity definition that it counts and mitigates, by its place.
    pub(crate) entity: usize,
    pub(crate) trigger: Trigger,
    pub(crate) remedy: Remedy,
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
    /// More than so many that count on a track, within a rolling window.
    Window(Window),
}

/// A rolling window over what a track counts.
#[derive(Debug)]
pub(crate) struct Window {
    /// The track, by its place.
    pub(crate) track: usize,
    /// An event as old as this has left the window.
    pub(crate) length: Duration,
    /// The most that is no excess.
    pub(crate) over: usize,
    /// The most that the track counts.
    pub(crate) most: usize,
    /// The field whose distinct values count, instead of events.
    pub(crate) distinct: Option<Field>,
}

/// What is counted of each entity. Policies that count the same share it.
#[derive(Debug)]
pub(crate) struct Track {
    /// Says what is counted; a track that reads the same after a reload goes on.
    pub(crate) definition: String,
    pub(crate) entity: usize,
    pub(crate) matcher: Option<Matcher>,
    pub(crate) distinct: Option<Field>,
    /// The longest of its policies' windows.
    pub(crate) longest: Duration,
    /// The most that any of its policies must see to find an excess.
    pub(crate) most: usize,
}

/// What an event adds to a track.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Counted {
    Event,
    /// A value, as a number that is good for its distinctness alone.
    Value(u64),
}

impl Track {
    /// What an event adds, if it counts.
    pub(crate) fn counts(&self, facts: &Facts<'_>) -> Option<Counted> {
        if self.matcher.as_ref().is_some_and(|matcher| !matcher.matches(facts)) {
            return None;
        }
        match &self.distinct {
            Some(field) => facts.text(field).map(|value| Counted::Value(short_digest(&value))),
            None => Some(Counted::Event),
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
pub(crate) enum Effect {
    Monitor,
    Challenge,
    Block,
}

/// A mitigation with what it needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Remedy {
    Monitor,
    Challenge(Task),
    Block,
}

/// What a challenged visitor has to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Task {
    /// A proof of work with so many leading zero bits, or as many as the sandbox usually asks for.
    ProofOfWork(Option<u8>),
    /// Turnstile, with this site key.
    Turnstile(String),
}

impl Remedy {
    pub(crate) fn effect(&self) -> Effect {
        match self {
            Self::Monitor => Effect::Monitor,
            Self::Challenge(_) => Effect::Challenge,
            Self::Block => Effect::Block,
        }
    }
}
