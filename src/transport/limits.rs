//! How long a call goes on, and how often it tries.

use std::time::Duration;

use tokio::time::Instant;

use super::backoff::Backoff;
use crate::deadline::{FAR, saturating_add};
use crate::generated::options;
use crate::{EsperConfig, EsperError};

/// The limits of one kind of call.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CallLimits {
    /// The longest that a call may take, with its attempts and waits.
    pub(crate) timeout: Duration,
    /// The longest that an attempt may take.
    pub(crate) attempt_timeout: Duration,
    /// The part of the time left that an attempt may take while there is a retry after it.
    pub(crate) share: f32,
    /// The waits between attempts, and so the number of them.
    pub(crate) backoff: Backoff,
    /// The longest `Retry-After` that is waited for.
    pub(crate) longest_retry_after: Duration,
}

impl CallLimits {
    /// What a configuration asks for.
    pub(crate) fn new(config: &EsperConfig) -> Result<Self, EsperError> {
        for (field, time) in
            [("timeout", config.timeout), ("attempt_timeout", config.attempt_timeout)]
        {
            if time.is_zero() {
                let message = format!("{field} is zero, which leaves no time for an answer");
                return Err(EsperError::validation(field, message));
            }
        }
        Ok(Self {
            timeout: config.timeout,
            attempt_timeout: config.attempt_timeout,
            share: 1.0,
            backoff: Backoff::new(config.retry_delay, options::MAX_RETRY_DELAY, config.max_retries),
            longest_retry_after: options::MAX_RETRY_DELAY,
        })
    }

    /// When a call that starts now is over.
    pub(crate) fn deadline(&self, started: Instant) -> Instant {
        saturating_add(started, self.timeout)
    }

    /// The time of an attempt that starts with this much left of its call, after some retries.
    pub(super) fn attempt(&self, left: Duration, past: u32) -> Duration {
        let share = if past < self.backoff.retries() { self.share } else { 1.0 };
        // A product of floats can be a little more than its factors: 5 ms in a day.
        self.attempt_timeout.min(left.mul_f32(share)).min(left)
    }

    /// An attempt with less time than this is not worth its wait.
    pub(super) fn shortest_attempt(&self) -> Duration {
        // Of the time until the deadline, which is not for ever.
        self.attempt_timeout.min(self.timeout.min(FAR) / 10)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timeout_of_zero_is_refused() {
        for config in [
            EsperConfig::new("key").with_timeout(Duration::ZERO),
            EsperConfig::new("key").with_attempt_timeout(Duration::ZERO),
        ] {
            assert!(CallLimits::new(&config).unwrap_err().to_string().contains("timeout is zero"));
        }
    }

    #[test]
    fn an_attempt_has_no_more_than_is_left() {
        let limits = CallLimits::new(&EsperConfig::new("key")).unwrap();
        assert_eq!(limits.attempt(Duration::from_secs(30), 0), Duration::from_secs(10));
        assert_eq!(limits.attempt(Duration::from_secs(3), 0), Duration::from_secs(3));
        let limits = CallLimits { attempt_timeout: Duration::MAX, ..limits };
        for hours in 1..100 {
            let left = Duration::from_secs(hours * 60 * 60) - Duration::from_nanos(1);
            assert!(limits.attempt(left, 0) <= left, "{hours}");
        }
    }

    #[test]
    fn an_attempt_leaves_room_for_the_retry_after_it() {
        let config = EsperConfig::new("key").with_max_retries(1);
        let limits = CallLimits { share: 0.5, ..CallLimits::new(&config).unwrap() };
        assert_eq!(limits.attempt(Duration::from_secs(2), 0), Duration::from_secs(1));
        assert_eq!(limits.attempt(Duration::from_secs(2), 1), Duration::from_secs(2));
    }
}
