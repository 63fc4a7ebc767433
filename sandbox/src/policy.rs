//! Say how many events are too many, and what follows.

use std::time::Duration;

/// A rule: more than so many events of an entity within a rolling window bring a mitigation.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Policy {
    pub(crate) name: &'static str,
    /// The most events that are no excess.
    pub(crate) limit: usize,
    /// The rolling window. An event as old as this has left it.
    pub(crate) window: Duration,
    pub(crate) effect: Effect,
    /// How long the mitigation outlives the last event in excess.
    pub(crate) hold: Duration,
}

/// What a mitigation does to its entity; a later one outranks the earlier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Effect {
    Challenge,
    Block,
}

/// The policies that the sandbox applies.
pub(crate) const POLICIES: &[Policy] = &[
    Policy {
        name: "burst",
        limit: 60,
        window: Duration::from_secs(10),
        effect: Effect::Challenge,
        hold: Duration::from_secs(60),
    },
    Policy {
        name: "flood",
        limit: 200,
        window: Duration::from_secs(10),
        effect: Effect::Block,
        hold: Duration::from_secs(60),
    },
];

/// The most events that any policy must see to find an excess.
pub(crate) fn most_events() -> usize {
    POLICIES.iter().map(|policy| policy.limit + 1).max().unwrap_or(0)
}

/// The longest time for which any policy looks back.
pub(crate) fn longest_window() -> Duration {
    POLICIES.iter().map(|policy| policy.window).max().unwrap_or(Duration::ZERO)
}
