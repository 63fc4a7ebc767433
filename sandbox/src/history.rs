//! Remember one entity: when its events arrived and what is in force against it.

use std::collections::VecDeque;

use crate::clock::Moment;
use crate::mitigation::{Mitigation, Standing};
use crate::policy::{Effect, POLICIES, Policy, longest_window, most_events};

/// What is known of one entity, in no more memory than the policies need.
#[derive(Debug)]
pub(crate) struct History {
    /// The newest arrivals, oldest first.
    arrivals: VecDeque<Moment>,
    /// How many events there ever were.
    seen: u64,
    ledgers: Vec<Ledger>,
}

/// What one policy holds against the entity.
#[derive(Debug)]
struct Ledger {
    policy: &'static Policy,
    /// How many of the events ever seen no longer count, because a challenge was passed since.
    forgiven: u64,
    mitigation: Option<Mitigation>,
}

impl History {
    pub(crate) fn new() -> Self {
        let ledger = |policy| Ledger { policy, forgiven: 0, mitigation: None };
        Self { arrivals: VecDeque::new(), seen: 0, ledgers: POLICIES.iter().map(ledger).collect() }
    }

    /// Notes an event and tells the mitigations that begin with it.
    pub(crate) fn record(&mut self, now: Moment) -> Vec<Mitigation> {
        self.seen += 1;
        self.arrivals.push_back(now);
        if self.arrivals.len() > most_events() {
            self.arrivals.pop_front();
        }
        let (arrivals, seen) = (&self.arrivals, self.seen);
        self.ledgers
            .iter_mut()
            .filter_map(|ledger| {
                let count = ledger.count(arrivals, seen, now);
                if count > ledger.policy.limit { ledger.charge(count, now) } else { None }
            })
            .collect()
    }

    pub(crate) fn standing(&self, now: Moment) -> Standing {
        Standing {
            count: self
                .ledgers
                .iter()
                .map(|ledger| ledger.count(&self.arrivals, self.seen, now))
                .min()
                .unwrap_or(0),
            mitigation: self.in_force(now).max_by_key(|held| held.policy.effect),
        }
    }

    /// The mitigations in force, at most one of each policy.
    pub(crate) fn in_force(&self, now: Moment) -> impl Iterator<Item = Mitigation> {
        let held = self.ledgers.iter().filter_map(|ledger| ledger.mitigation);
        held.filter(move |held| held.is_in_force(now))
    }

    /// Lifts the challenges and counts anew for them; blocks and their counts stay.
    pub(crate) fn lift_challenges(&mut self) {
        for ledger in &mut self.ledgers {
            if ledger.policy.effect == Effect::Challenge {
                ledger.lift(self.seen);
            }
        }
    }

    /// Lifts what a policy holds, whatever it is, and counts anew for it.
    pub(crate) fn lift(&mut self, policy: &str) {
        let ledgers = self.ledgers.iter_mut().filter(|ledger| ledger.policy.name == policy);
        ledgers.for_each(|ledger| ledger.lift(self.seen));
    }

    /// Whether nothing here can matter any more.
    pub(crate) fn is_over(&self, now: Moment) -> bool {
        let quiet = self.arrivals.back().is_none_or(|last| now.since(*last) >= longest_window());
        quiet && self.standing(now).mitigation.is_none()
    }
}

impl Ledger {
    /// Forgets the mitigation and the events seen so far.
    fn lift(&mut self, seen: u64) {
        self.forgiven = seen;
        self.mitigation = None;
    }

    /// How many events are in the policy's window and not forgiven.
    fn count(&self, arrivals: &VecDeque<Moment>, seen: u64, now: Moment) -> usize {
        let left = arrivals.partition_point(|arrival| now.since(*arrival) >= self.policy.window);
        let unforgiven = usize::try_from(seen - self.forgiven).unwrap_or(usize::MAX);
        (arrivals.len() - left).min(unforgiven)
    }

    /// Puts the mitigation into force or holds it for longer; tells it if it begins.
    fn charge(&mut self, count: usize, now: Moment) -> Option<Mitigation> {
        match &mut self.mitigation {
            Some(held) if held.is_in_force(now) => {
                held.renew(count, now);
                None
            }
            _ => {
                self.mitigation = Some(Mitigation::begin(self.policy, count, now));
                self.mitigation
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const INSTANT: Duration = Duration::from_nanos(1);

    fn at(span: Duration) -> Moment {
        Moment::START.after(span)
    }

    /// So many events at one moment.
    fn burst(history: &mut History, events: usize, now: Moment) {
        for _ in 0..events {
            history.record(now);
        }
    }

    fn effect(history: &History, now: Moment) -> Option<Effect> {
        history.standing(now).mitigation.map(|held| held.policy.effect)
    }

    fn after(events: usize) -> History {
        let mut history = History::new();
        burst(&mut history, events, Moment::START);
        history
    }

    #[test]
    fn a_page_with_forty_assets_is_never_hit() {
        let mut history = History::new();
        for visit in 0..100 {
            // A page every ten seconds, for as long as anyone cares to read.
            burst(&mut history, 40, at(SECOND * 10 * visit));
            assert_eq!(effect(&history, at(SECOND * 10 * visit)), None, "visit {visit}");
        }
    }

    #[test]
    fn sixty_events_are_allowed_and_one_more_is_challenged() {
        assert_eq!(effect(&after(60), Moment::START), None);
        assert_eq!(effect(&after(61), Moment::START), Some(Effect::Challenge));
    }

    #[test]
    fn two_hundred_events_are_challenged_and_one_more_is_blocked() {
        assert_eq!(effect(&after(200), Moment::START), Some(Effect::Challenge));
        assert_eq!(effect(&after(201), Moment::START), Some(Effect::Block));
    }

    #[test]
    fn an_event_as_old_as_the_window_no_longer_counts() {
        let mut history = after(60);
        burst(&mut history, 1, at(SECOND * 10));
        assert_eq!(effect(&history, at(SECOND * 10)), None);

        let mut history = after(60);
        burst(&mut history, 1, at(SECOND * 10 - INSTANT));
        assert_eq!(effect(&history, at(SECOND * 10 - INSTANT)), Some(Effect::Challenge));
    }

    #[test]
    fn the_window_slides_rather_than_starts_anew() {
        let mut history = History::new();
        burst(&mut history, 30, at(SECOND * 9));
        burst(&mut history, 31, at(SECOND * 11));
        assert_eq!(effect(&history, at(SECOND * 11)), Some(Effect::Challenge));
    }

    #[test]
    fn a_mitigation_ends_sixty_seconds_after_the_last_excess() {
        for (events, expected) in [(61, Effect::Challenge), (201, Effect::Block)] {
            let history = after(events);
            assert_eq!(effect(&history, at(SECOND * 60 - INSTANT)), Some(expected));
            assert_eq!(effect(&history, at(SECOND * 60)), None);
        }
    }

    #[test]
    fn every_event_in_excess_renews_the_mitigation() {
        let mut history = after(61);
        burst(&mut history, 1, at(SECOND * 5));
        assert_eq!(effect(&history, at(SECOND * 65 - INSTANT)), Some(Effect::Challenge));
        assert_eq!(effect(&history, at(SECOND * 65)), None);
    }

    #[test]
    fn an_event_that_is_no_excess_renews_nothing() {
        let mut history = after(61);
        burst(&mut history, 1, at(SECOND * 30));
        assert_eq!(effect(&history, at(SECOND * 60)), None);
    }

    #[test]
    fn a_challenge_that_outlives_a_block_takes_over() {
        let mut history = after(201);
        // 101 events in the window: an excess for the challenge, none for the block.
        burst(&mut history, 101, at(SECOND * 10));
        assert_eq!(effect(&history, at(SECOND * 60 - INSTANT)), Some(Effect::Block));
        assert_eq!(effect(&history, at(SECOND * 60)), Some(Effect::Challenge));
    }

    #[test]
    fn a_mitigation_tells_the_highest_count_since_it_began() {
        let mut history = after(72);
        burst(&mut history, 61, at(SECOND * 10));
        let count = |history: &History, now| history.standing(now).mitigation.map(|m| m.count);
        assert_eq!(count(&history, at(SECOND * 10)), Some(72));

        burst(&mut history, 61, at(SECOND * 70));
        assert_eq!(count(&history, at(SECOND * 70)), Some(61), "a new one, a new count");
    }

    #[test]
    fn a_mitigation_is_told_once_when_it_begins() {
        let mut history = History::new();
        let begun = (0..300).flat_map(|_| history.record(Moment::START));
        let begun: Vec<_> = begun.map(|mitigation| mitigation.policy.name).collect();
        assert_eq!(begun, ["burst", "flood"]);
    }

    #[test]
    fn a_passed_challenge_counts_anew() {
        let mut history = after(150);
        history.lift_challenges();
        assert_eq!(history.standing(Moment::START), Standing::default());

        burst(&mut history, 50, Moment::START);
        assert_eq!(effect(&history, Moment::START), None, "old events do not count");
    }

    #[test]
    fn a_passed_challenge_can_be_followed_by_another() {
        let mut history = after(100);
        history.lift_challenges();
        burst(&mut history, 61, Moment::START);
        assert_eq!(effect(&history, Moment::START), Some(Effect::Challenge));
    }

    #[test]
    fn a_passed_challenge_lifts_no_block_and_buys_none_off() {
        let mut history = after(201);
        history.lift_challenges();
        assert_eq!(effect(&history, Moment::START), Some(Effect::Block));

        let mut history = after(150);
        history.lift_challenges();
        burst(&mut history, 51, Moment::START);
        assert_eq!(effect(&history, Moment::START), Some(Effect::Block), "201 events in 10 s");
    }

    #[test]
    fn asking_changes_nothing() {
        let history = after(60);
        for _ in 0..1000 {
            assert_eq!(effect(&history, Moment::START), None);
        }
    }

    #[test]
    fn no_more_arrivals_are_kept_than_the_policies_need() {
        assert_eq!(after(10_000).arrivals.len(), 201);
    }

    #[test]
    fn a_history_is_over_when_neither_events_nor_mitigations_matter() {
        assert!(!after(1).is_over(at(SECOND * 10 - INSTANT)));
        assert!(after(1).is_over(at(SECOND * 10)));
        assert!(!after(61).is_over(at(SECOND * 60 - INSTANT)));
        assert!(after(61).is_over(at(SECOND * 60)));
    }
}
