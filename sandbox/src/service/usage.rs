//! Count the decisions of each key, month by month.

use crate::clock::Month;
use crate::engine::Action;
use crate::service::keys::KeyId;

/// The decisions of the current period.
#[derive(Debug)]
pub(crate) struct Usage {
    period: Month,
    counts: Vec<DecisionCounts>,
}

/// The decisions of one key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct DecisionCounts {
    pub(crate) allowed: u64,
    pub(crate) challenged: u64,
    pub(crate) blocked: u64,
}

impl DecisionCounts {
    pub(crate) fn requests(self) -> u64 {
        self.allowed + self.challenged + self.blocked
    }
}

impl Usage {
    pub(crate) fn new(keys: usize, period: Month) -> Self {
        Self { period, counts: vec![DecisionCounts::default(); keys] }
    }

    /// Counts a decision.
    pub(crate) fn record(&mut self, key: KeyId, action: Action, period: Month) {
        let counts = self.of(key, period);
        match action {
            Action::Allow => counts.allowed += 1,
            Action::Challenge => counts.challenged += 1,
            Action::Block => counts.blocked += 1,
        }
    }

    /// The counts of a key, from zero on when a period begins.
    pub(crate) fn of(&mut self, key: KeyId, period: Month) -> &mut DecisionCounts {
        if self.period != period {
            *self = Self::new(self.counts.len(), period);
        }
        &mut self.counts[key.index()]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_key_has_its_own_counts_and_each_period_starts_from_zero() {
        let november = Month { year: 2026, month: 11 };
        let mut usage = Usage::new(2, november);
        usage.record(KeyId::FIRST, Action::Allow, november);
        usage.record(KeyId::FIRST, Action::Challenge, november);
        usage.record(KeyId::SECOND, Action::Block, november);

        let first = *usage.of(KeyId::FIRST, november);
        assert_eq!(first, DecisionCounts { allowed: 1, challenged: 1, blocked: 0 });
        assert_eq!(first.requests(), 2);
        assert_eq!(usage.of(KeyId::SECOND, november).blocked, 1);
        assert_eq!(
            *usage.of(KeyId::FIRST, Month { year: 2026, month: 12 }),
            DecisionCounts::default()
        );
    }
}
