//! Raised once for what somebody has to mend, not for every request.

#[cfg(feature = "tower")]
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use tracing::{error, info, warn};

use super::FallbackReason;
use crate::EsperError;

/// What keeps all decisions from being the service's, for reasons that waiting does not mend.
#[derive(Debug, Default)]
pub(super) struct Alarm {
    rejected_key: Condition,
    /// Answers that are neither decisions nor failures, as those of a wrong URL are, or of a key
    /// whose rate limit is too low.
    undecided: InARow,
    /// Verifications that Esper did not answer, so that nobody passes a challenge.
    #[cfg(feature = "tower")]
    unverified: InARow,
}

/// A condition that several in a row make, for a single one may be a visitor's doing.
#[derive(Debug, Default)]
struct InARow {
    count: AtomicU32,
    condition: Condition,
}

/// Whether something is the matter, and when that was last said.
#[derive(Debug, Default)]
struct Condition {
    raised: AtomicBool,
    last_line: Mutex<Option<Instant>>,
}

impl Alarm {
    /// Says that the key is rejected or that the answers are no decisions, unless that is known.
    pub(super) fn raise(&self, reason: FallbackReason, error: &EsperError) {
        match reason {
            FallbackReason::Unauthorized if self.rejected_key.raise() => {
                let status = error.status().map(|status| status.as_u16());
                error!(
                    status,
                    "esper rejects the api key: every decision falls back; set a valid ESPER_API_KEY"
                );
            }
            FallbackReason::Refused | FallbackReason::Undecodable | FallbackReason::RateLimited
                if self.undecided.raise() =>
            {
                warn!(
                    %reason, %error,
                    "esper answers and does not decide: every decision falls back; check \
                     ESPER_API_URL, or the key's rate limit"
                );
            }
            _ => {}
        }
    }

    /// Learns that the service decides.
    pub(super) fn lower(&self) {
        self.accept_key();
        if self.undecided.lower() {
            info!("esper decides again");
        }
    }

    /// Learns that the key is accepted, if only by an operation that decides nothing.
    pub(super) fn accept_key(&self) {
        if self.rejected_key.lower() {
            info!("esper accepts the api key again");
        }
    }
}

#[cfg(feature = "tower")]
impl Alarm {
    /// Says that no answer to a challenge is verified, unless that is known.
    pub(super) fn raise_for_verification(&self, error: &dyn fmt::Display) {
        if self.unverified.raise() {
            warn!(%error, "esper verifies no answers to challenges: visitors cannot pass them");
        }
    }

    /// Learns that Esper verifies, whether the answer was right or not.
    pub(super) fn lower_for_verification(&self) {
        if self.unverified.lower() {
            info!("esper verifies answers to challenges again");
        }
    }
}

impl InARow {
    /// Counts another one. Returns whether it is to be said, and from now on is known.
    fn raise(&self) -> bool {
        let before = self.count.fetch_add(1, Ordering::Relaxed);
        before >= ALARMING - 1 && self.condition.raise()
    }

    /// Begins anew. Returns whether it was known until now.
    fn lower(&self) -> bool {
        // Nearly every time, nothing is written.
        if self.count.load(Ordering::Relaxed) > 0 {
            self.count.store(0, Ordering::Relaxed);
        }
        self.condition.lower()
    }
}

impl Condition {
    /// Returns whether it is to be said, and from now on is known.
    fn raise(&self) -> bool {
        let new = !self.raised.load(Ordering::Relaxed) && self.takes_turn(Instant::now());
        if new {
            self.raised.store(true, Ordering::Relaxed);
        }
        new
    }

    /// Returns whether it was known until now.
    fn lower(&self) -> bool {
        self.raised.load(Ordering::Relaxed) && self.raised.swap(false, Ordering::Relaxed)
    }

    /// Takes the turn to say something, if it has come: what comes and goes must not fill the log either.
    fn takes_turn(&self, now: Instant) -> bool {
        let mut last = self.last_line.lock().unwrap_or_else(PoisonError::into_inner);
        let due = last.is_none_or(|last| now.duration_since(last) >= PAUSE);
        if due {
            *last = Some(now);
        }
        due
    }
}

/// The shortest time between two alarms.
const PAUSE: Duration = Duration::from_secs(60);
/// How many in a row are an alarm.
const ALARMING: u32 = 5;

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(feature = "tower")]
    #[test]
    fn five_verifications_in_a_row_that_fail_are_an_alarm_until_one_does_not() {
        let alarm = Alarm::default();
        let refusal = EsperError::validation("x", String::new());
        let is_raised = || alarm.unverified.condition.raised.load(Ordering::Relaxed);
        for _ in 0..3 {
            (1..ALARMING).for_each(|_| alarm.raise_for_verification(&refusal));
            assert!(!is_raised());
            alarm.lower_for_verification();
        }
        (0..ALARMING).for_each(|_| alarm.raise_for_verification(&refusal));
        assert!(is_raised());
        alarm.lower_for_verification();
        assert!(!is_raised());
    }

    #[tokio::test(start_paused = true)]
    async fn an_alarm_that_flaps_is_raised_once_a_minute() {
        let alarm = Alarm::default();
        let refusal = EsperError::validation("x", String::new());
        let mut raised = 0;
        for _ in 0..180 {
            alarm.raise(FallbackReason::Unauthorized, &refusal);
            raised += u32::from(alarm.rejected_key.raised.load(Ordering::Relaxed));
            alarm.lower();
            tokio::time::advance(Duration::from_secs(1)).await;
        }
        assert_eq!(raised, 3);
    }
}
