//! Count what happens in each second of the last minutes.

use std::collections::VecDeque;

use crate::clock::Moment;

/// The seconds of late in which anything happened, oldest first.
#[derive(Debug, Default)]
pub(crate) struct Rates(VecDeque<(u64, TrafficCounts)>);

/// What happened in a time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct TrafficCounts {
    pub(crate) events: u64,
    pub(crate) allowed: u64,
    pub(crate) challenged: u64,
    pub(crate) blocked: u64,
}

impl Rates {
    /// The counts of the present second.
    pub(crate) fn at(&mut self, now: Moment) -> &mut TrafficCounts {
        let second = second(now);
        // Whoever read the clock first may come second; then it counts a moment later.
        if self.0.back().is_none_or(|(newest, _)| *newest < second) {
            while self.0.front().is_some_and(|(oldest, _)| oldest + SECONDS < second) {
                self.0.pop_front();
            }
            self.0.push_back((second, TrafficCounts::default()));
        }
        let newest = self.0.len() - 1;
        &mut self.0[newest].1
    }

    /// Whether nothing happened in all of the time that is told.
    pub(crate) fn is_quiet(&self, now: Moment) -> bool {
        self.since(now).next().is_none()
    }

    /// The seconds in which anything happened, with how many seconds ago they were: 0 is the
    /// present one, [`SECONDS`] the oldest.
    pub(crate) fn since(&self, now: Moment) -> impl Iterator<Item = (u64, TrafficCounts)> {
        let present = second(now);
        self.0.iter().filter_map(move |(second, counts)| {
            let ago = present.saturating_sub(*second);
            (ago <= SECONDS).then_some((ago, *counts))
        })
    }
}

impl TrafficCounts {
    pub(crate) fn add(&mut self, other: Self) {
        self.events += other.events;
        self.allowed += other.allowed;
        self.challenged += other.challenged;
        self.blocked += other.blocked;
    }

    pub(crate) fn decisions(self) -> u64 {
        self.allowed + self.challenged + self.blocked
    }
}

/// Which second of the sandbox's life it is.
pub(crate) fn second(now: Moment) -> u64 {
    now.since(Moment::START).as_secs()
}

/// How many full seconds are remembered, besides the present one.
pub(crate) const SECONDS: u64 = 300;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn at(seconds: u64) -> Moment {
        Moment::START.after(Duration::from_secs(seconds))
    }

    fn events(rates: &Rates, now: Moment) -> Vec<(u64, u64)> {
        rates.since(now).map(|(ago, counts)| (ago, counts.events)).collect()
    }

    #[test]
    fn each_second_has_its_count_for_five_minutes() {
        let mut rates = Rates::default();
        rates.at(at(0)).events += 1;
        rates.at(at(0)).events += 1;
        rates.at(at(2)).events += 1;
        assert_eq!(events(&rates, at(2)), [(2, 2), (0, 1)]);
        assert_eq!(events(&rates, at(300)), [(300, 2), (298, 1)]);
        assert_eq!(events(&rates, at(301)), [(299, 1)]);
        assert!(!rates.is_quiet(at(302)));
        assert!(rates.is_quiet(at(303)));
    }

    #[test]
    fn no_more_seconds_are_kept_than_are_told() {
        let mut rates = Rates::default();
        for second in 0..10_000 {
            rates.at(at(second)).events += 1;
        }
        assert_eq!(rates.0.len() as u64, SECONDS + 1);
    }

    #[test]
    fn a_late_comer_counts_in_the_newest_second() {
        let mut rates = Rates::default();
        rates.at(at(7)).events += 1;
        rates.at(at(6)).events += 1;
        assert_eq!(events(&rates, at(7)), [(0, 2)]);
    }
}
