//! How a request stands: what is in force, what is monitored, and how likely a bot is at work.

use std::cmp::Reverse;

use crate::engine::entity::Entity;
use crate::engine::facts::Facts;
use crate::engine::mitigation::Mitigation;
use crate::engine::policy::{Effect, Remedy, RequestPolicy};

/// How a request stands at one moment.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Standing {
    /// The strongest challenge or block in force.
    pub(crate) held: Option<Held>,
    /// The first policy that only monitors, of those that have something to say.
    pub(crate) monitored: Option<Monitored>,
    /// How likely a bot is at work, from 0 to 100.
    pub(crate) score: f64,
}

/// A challenge or a block, as a decision carries it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Held {
    /// Whom it was put on. A success lifts the challenges of this entity.
    pub(crate) entity: Entity,
    /// The policy that put it; none put it if it was put by hand.
    pub(crate) policy: Option<String>,
    pub(crate) remedy: Remedy,
    pub(crate) reason: String,
}

/// What a policy that only monitors has to say.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Monitored {
    pub(crate) policy: String,
    /// The word of a list that was found in the request.
    pub(crate) word: Option<String>,
    /// Why its entity is monitored; of a policy on events.
    pub(crate) reason: Option<String>,
}

impl Standing {
    pub(super) fn of(
        in_force: &[&Mitigation],
        on_requests: Option<&RequestPolicy>,
        facts: &Facts<'_>,
        suspicion: f64,
    ) -> Self {
        let rank = |held: &&&Mitigation| (held.effect(), Reverse(held.order()));
        let strongest = in_force.iter().filter(|held| held.effect() != Effect::Monitor);
        let strongest = strongest.max_by_key(rank);
        let monitors = in_force.iter().filter(|held| held.effect() == Effect::Monitor);
        let monitors = monitors.map(|held| (held.order(), Monitored::by_events(held)));
        let on_requests =
            on_requests.map(|policy| (Some(policy.order), Monitored::by_request(policy, facts)));
        let first = monitors.chain(on_requests).min_by_key(|(order, _)| *order);
        Self {
            held: strongest.map(|held| Held::from(*held)),
            monitored: first.map(|(_, monitored)| monitored),
            score: strongest.map_or(suspicion, |held| held.score()),
        }
    }
}

impl Monitored {
    fn by_events(held: &Mitigation) -> Self {
        let policy = held.policy().unwrap_or_default().to_owned();
        Self { policy, word: None, reason: Some(held.reason()) }
    }

    fn by_request(policy: &RequestPolicy, facts: &Facts<'_>) -> Self {
        let word = policy.matcher.as_ref().and_then(|matcher| matcher.word(facts));
        Self { policy: policy.name.clone(), word: word.map(str::to_owned), reason: None }
    }
}

impl From<&Mitigation> for Held {
    fn from(held: &Mitigation) -> Self {
        Self {
            entity: held.entity,
            policy: held.policy().map(str::to_owned),
            remedy: held.remedy().clone(),
            reason: held.reason(),
        }
    }
}

/// The score of a request against which nothing is in force: so much of so many events that are no
/// excess.
pub(super) fn suspicion(count: usize, over: usize) -> f64 {
    (30.0 * count as f64 / over as f64).min(30.0)
}
