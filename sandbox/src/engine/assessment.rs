//! How a request stands: what is in force, what is monitored, and how likely a bot is at work.

use std::cmp::Reverse;

use serde::Serialize;

use crate::engine::attributes::Attributes;
use crate::engine::entity::Entity;
use crate::engine::mitigation::Mitigation;
use crate::engine::policy::{ActionKind, MitigationAction, RequestPolicy};

/// What is to be done with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Action {
    Allow,
    Challenge,
    Block,
}

/// How a request stands at one moment.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Assessment {
    /// The strongest challenge or block in force.
    pub(crate) mitigation: Option<ActiveMitigation>,
    /// The first policy that only monitors, of those that have something to say.
    pub(crate) monitored: Option<Monitored>,
    /// How likely a bot is at work, from 0 to 100.
    pub(crate) score: f64,
}

/// A challenge or a block, as a decision carries it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ActiveMitigation {
    /// Whom it was put on. A success lifts the challenges of this entity.
    pub(crate) entity: Entity,
    /// The policy that put it; none put it if it was put by hand.
    pub(crate) policy: Option<String>,
    pub(crate) action: MitigationAction,
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

impl Assessment {
    pub(super) fn of(
        in_force: &[&Mitigation],
        on_requests: Option<&RequestPolicy>,
        attributes: &Attributes<'_>,
        suspicion: f64,
    ) -> Self {
        let rank = |mitigation: &&&Mitigation| (mitigation.kind(), Reverse(mitigation.order()));
        let strongest =
            in_force.iter().filter(|mitigation| mitigation.kind() != ActionKind::Monitor);
        let strongest = strongest.max_by_key(rank);
        let monitors =
            in_force.iter().filter(|mitigation| mitigation.kind() == ActionKind::Monitor);
        let monitors =
            monitors.map(|mitigation| (mitigation.order(), Monitored::by_events(mitigation)));
        let on_requests = on_requests
            .map(|policy| (Some(policy.order), Monitored::by_request(policy, attributes)));
        let first = monitors.chain(on_requests).min_by_key(|(order, _)| *order);
        Self {
            mitigation: strongest.map(|mitigation| ActiveMitigation::from(*mitigation)),
            monitored: first.map(|(_, monitored)| monitored),
            score: strongest.map_or(suspicion, |mitigation| mitigation.score()),
        }
    }

    /// What is to be done. Without a mitigation, or with one that only monitors, it is to allow.
    pub(crate) fn action(&self) -> Action {
        match self.mitigation.as_ref().map(|mitigation| mitigation.action.kind()) {
            None | Some(ActionKind::Monitor) => Action::Allow,
            Some(ActionKind::Challenge) => Action::Challenge,
            Some(ActionKind::Block) => Action::Block,
        }
    }
}

impl Monitored {
    fn by_events(mitigation: &Mitigation) -> Self {
        let policy = mitigation.policy().unwrap_or_default().to_owned();
        Self { policy, word: None, reason: Some(mitigation.reason()) }
    }

    fn by_request(policy: &RequestPolicy, attributes: &Attributes<'_>) -> Self {
        let word = policy.matcher.as_ref().and_then(|matcher| matcher.word(attributes));
        Self { policy: policy.name.clone(), word: word.map(str::to_owned), reason: None }
    }
}

impl From<&Mitigation> for ActiveMitigation {
    fn from(mitigation: &Mitigation) -> Self {
        Self {
            entity: mitigation.entity,
            policy: mitigation.policy().map(str::to_owned),
            action: mitigation.action().clone(),
            reason: mitigation.reason(),
        }
    }
}

/// The score of a request against which nothing is in force, by the share of a threshold that was
/// reached.
pub(super) fn suspicion(count: usize, over: usize) -> f64 {
    (30.0 * count as f64 / over as f64).min(30.0)
}
