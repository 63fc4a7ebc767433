//! How long to wait before the next attempt.

use std::time::{Duration, SystemTime};

use reqwest_retry::policies::ExponentialBackoff;
use reqwest_retry::{Jitter, RetryDecision, RetryPolicy};

use crate::generated::options;
use crate::{EsperConfig, EsperError};

/// Doubling waits between a base and a cap, jittered, for a number of retries.
#[derive(Clone, Copy, Debug)]
pub(super) struct Backoff(ExponentialBackoff);

impl Backoff {
    pub(super) fn new(config: &EsperConfig) -> Result<Self, EsperError> {
        for (field, time) in
            [("timeout", config.timeout), ("attempt_timeout", config.attempt_timeout)]
        {
            if time.is_zero() {
                let message = format!("{field} is zero, which leaves no time for an answer");
                return Err(EsperError::validation(field, message));
            }
        }
        let base = config.retry_delay.min(CAP);
        // Bounded jitter draws between half of the base and the whole wait: it has a floor.
        let policy = ExponentialBackoff::builder()
            .retry_bounds(base, CAP)
            .jitter(Jitter::Bounded)
            .base(2)
            .build_with_max_retries(config.max_retries);
        Ok(Self(policy))
    }

    /// The wait before retry number `past + 1`, or nothing where there is no further one.
    pub(super) fn wait(&self, past: u32) -> Option<Duration> {
        // The policy thinks in wall-clock times, but only of the present: the difference to now
        // is the wait, whatever the clock says.
        let now = SystemTime::now();
        match self.0.should_retry(now, past) {
            RetryDecision::DoNotRetry => None,
            RetryDecision::Retry { execute_after } => {
                let wait = execute_after.duration_since(now).unwrap_or(self.0.min_retry_interval);
                Some(wait.min(CAP))
            }
        }
    }
}

/// The longest wait, whether computed or asked for by the server.
pub(super) const CAP: Duration = options::MAX_RETRY_DELAY;

#[cfg(test)]
mod tests {
    use super::*;

    fn backoff(retries: u32, delay: Duration) -> Backoff {
        Backoff::new(&EsperConfig::new("key").with_max_retries(retries).with_retry_delay(delay))
            .unwrap()
    }

    #[test]
    fn a_wait_doubles_has_a_floor_and_ends_at_the_cap() {
        let backoff = backoff(u32::MAX, Duration::from_secs(1));
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
    fn retries_end_after_their_number() {
        let backoff = backoff(2, Duration::ZERO);
        assert!(backoff.wait(0).is_some() && backoff.wait(1).is_some());
        assert_eq!(backoff.wait(2), None);
    }

    #[test]
    fn a_delay_beyond_the_cap_is_the_cap() {
        assert!(backoff(3, Duration::MAX).wait(2).unwrap() <= CAP);
    }

    #[test]
    fn a_timeout_of_zero_is_refused() {
        for config in [
            EsperConfig::new("key").with_timeout(Duration::ZERO),
            EsperConfig::new("key").with_attempt_timeout(Duration::ZERO),
        ] {
            assert!(Backoff::new(&config).unwrap_err().to_string().contains("timeout is zero"));
        }
    }
}
