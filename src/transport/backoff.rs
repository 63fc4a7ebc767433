//! How long to wait before the next attempt.

use std::time::{Duration, SystemTime};

use reqwest_retry::policies::ExponentialBackoff;
use reqwest_retry::{Jitter, RetryDecision, RetryPolicy};

/// Doubling waits between a base and a cap, jittered, for a number of retries.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Backoff {
    policy: ExponentialBackoff,
    retries: u32,
}

impl Backoff {
    pub(crate) fn new(base: Duration, cap: Duration, retries: u32) -> Self {
        let cap = cap.min(LONGEST);
        // Bounded jitter draws between half of the base and the whole wait: it has a floor.
        let policy = ExponentialBackoff::builder()
            .retry_bounds(base.min(cap), cap)
            .jitter(Jitter::Bounded)
            .base(2)
            .build_with_max_retries(retries);
        Self { policy, retries }
    }

    /// How many waits there are in all.
    pub(crate) fn retries(&self) -> u32 {
        self.retries
    }

    /// The wait before retry number `past + 1`, or nothing where there is no further one.
    pub(crate) fn wait(&self, past: u32) -> Option<Duration> {
        // The policy thinks in wall-clock times, but only of the present: the difference to now
        // is the wait, whatever the clock says.
        let now = SystemTime::now();
        match self.policy.should_retry(now, past) {
            RetryDecision::DoNotRetry => None,
            RetryDecision::Retry { execute_after } => Some(self.between(now, execute_after)),
        }
    }

    /// The time between two readings of a clock that may have been set meanwhile.
    fn between(&self, now: SystemTime, then: SystemTime) -> Duration {
        let wait = then.duration_since(now).unwrap_or(self.policy.min_retry_interval);
        wait.min(self.policy.max_retry_interval)
    }
}

/// As good as for ever, and short enough to be multiplied and added to a clock's time.
const LONGEST: Duration = Duration::from_secs(365 * 24 * 60 * 60);

#[cfg(test)]
mod tests {
    use super::*;

    const CAP: Duration = Duration::from_secs(60);

    #[test]
    fn a_wait_doubles_has_a_floor_and_ends_at_the_cap() {
        let backoff = Backoff::new(Duration::from_secs(1), CAP, u32::MAX);
        for past in [0, 1, 2, 5, 6, 31, 32, 1000] {
            let longest = Duration::from_secs(2_u64.saturating_pow(past)).min(CAP);
            for _ in 0..200 {
                let wait = backoff.wait(past).unwrap();
                // The clock moves on between the two readings of it.
                let slack = Duration::from_millis(500);
                assert!(wait >= Duration::from_millis(499), "{past}: {wait:?}");
                assert!(wait <= longest + slack, "{past}: {wait:?}");
            }
        }
    }

    #[test]
    fn a_clock_that_jumps_neither_shortens_nor_stretches_a_wait_beyond_its_bounds() {
        let backoff = Backoff::new(Duration::from_secs(1), CAP, 3);
        let (now, hour) = (SystemTime::now(), Duration::from_secs(3600));
        assert_eq!(backoff.between(now, now + hour), CAP);
        assert_eq!(backoff.between(now, now - hour), Duration::from_secs(1));
        assert_eq!(backoff.between(now, now + Duration::from_secs(2)), Duration::from_secs(2));
    }

    #[test]
    fn retries_end_after_their_number() {
        let backoff = Backoff::new(Duration::ZERO, CAP, 2);
        assert!(backoff.wait(0).is_some() && backoff.wait(1).is_some());
        assert_eq!(backoff.wait(2), None);
    }

    #[test]
    fn a_delay_beyond_the_cap_is_the_cap() {
        assert!(Backoff::new(Duration::MAX, CAP, 3).wait(2).unwrap() <= CAP);
        let wait = Backoff::new(Duration::MAX, Duration::MAX, u32::MAX).wait(1_000).unwrap();
        assert!(wait >= LONGEST / 2 - CAP && wait <= LONGEST, "{wait:?}");
    }
}
