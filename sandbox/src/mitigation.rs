//! What is in force against an entity, and how it is told.

use std::time::Duration;

use crate::clock::Moment;
use crate::policy::{Effect, Policy, most_events};

/// A challenge or a block that a policy put on an entity.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Mitigation {
    pub(crate) policy: &'static Policy,
    /// The most events that were in the window since the mitigation began.
    pub(crate) count: usize,
    until: Moment,
}

impl Mitigation {
    pub(crate) fn begin(policy: &'static Policy, count: usize, now: Moment) -> Self {
        Self { policy, count, until: now.after(policy.hold) }
    }

    /// Holds the mitigation for longer, after a further event in excess.
    pub(crate) fn renew(&mut self, count: usize, now: Moment) {
        self.count = self.count.max(count);
        self.until = now.after(self.policy.hold);
    }

    pub(crate) fn is_in_force(&self, now: Moment) -> bool {
        now < self.until
    }

    /// How long the mitigation is still in force.
    pub(crate) fn remaining(&self, now: Moment) -> Duration {
        self.until.since(now)
    }

    /// Why, such as `burst: 72 events in 10 s`.
    pub(crate) fn reason(&self) -> String {
        let Policy { name, window, .. } = self.policy;
        let seconds = window.as_secs();
        // No more events are remembered than the policies need, so the highest count is a bound.
        match most_events() {
            most if self.count >= most => {
                format!("{name}: more than {} events in {seconds} s", most - 1)
            }
            _ => format!("{name}: {} events in {seconds} s", self.count),
        }
    }
}

/// How an entity stands at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Standing {
    /// Events that count against the entity right now.
    pub(crate) count: usize,
    /// The strongest mitigation in force.
    pub(crate) mitigation: Option<Mitigation>,
}

impl Standing {
    /// How likely a bot is at work, from 0 to 100; never less for more events.
    pub(crate) fn score(&self) -> f64 {
        match self.mitigation {
            None => points(self.count) / 2.0,
            Some(Mitigation { policy, count, .. }) => match policy.effect {
                Effect::Challenge => 40.0 + points(count) / 5.0,
                Effect::Block => 95.0,
            },
        }
    }
}

/// A count as a number of points, bounded so that a score stays within its range.
fn points(count: usize) -> f64 {
    u8::try_from(count).map_or(200.0, f64::from).min(200.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::POLICIES;

    fn standing(count: usize) -> Standing {
        let mitigation = POLICIES
            .iter()
            .filter(|policy| count > policy.limit)
            .max_by_key(|policy| policy.effect)
            .map(|policy| Mitigation::begin(policy, count, Moment::START));
        Standing { count, mitigation }
    }

    #[test]
    fn a_reason_names_the_policy_and_the_count() {
        let reason = |count| standing(count).mitigation.expect("a mitigation").reason();
        assert_eq!(reason(72), "burst: 72 events in 10 s");
        assert_eq!(reason(200), "burst: 200 events in 10 s");
        assert_eq!(reason(201), "flood: more than 200 events in 10 s");
    }

    #[test]
    fn a_score_grows_with_the_count_and_stays_within_its_range() {
        let scores: Vec<f64> = (0..=201).map(|count| standing(count).score()).collect();
        assert!(scores.is_sorted(), "{scores:?}");
        assert!(scores.iter().all(|score| (0.0..=100.0).contains(score)), "{scores:?}");
        assert!(scores[60] <= 30.0 && scores[61] >= 50.0 && scores[201] >= 90.0, "{scores:?}");
    }
}
