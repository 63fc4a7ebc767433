//! Raised once when the key is rejected, not for every request.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use tracing::{error, info};

use crate::EsperError;

/// Whether the key is rejected, and when that was last said.
#[derive(Debug, Default)]
pub(super) struct Alarm {
    raised: AtomicBool,
    last_line: Mutex<Option<Instant>>,
}

impl Alarm {
    /// Says that the key is rejected, unless that is known.
    pub(super) fn raise(&self, refusal: &EsperError) {
        if self.raised.load(Ordering::Relaxed) || !self.is_due(Instant::now()) {
            return;
        }
        self.raised.store(true, Ordering::Relaxed);
        let status = refusal.status().map(|status| status.as_u16());
        error!(
            status,
            "esper rejects the api key: every decision falls back; set a valid ESPER_API_KEY"
        );
    }

    /// Learns that the key is accepted.
    pub(super) fn lower(&self) {
        // Nearly every time, this is all.
        if self.raised.load(Ordering::Relaxed) && self.raised.swap(false, Ordering::Relaxed) {
            info!("esper accepts the api key again");
        }
    }

    /// A key that is rejected now and then must not fill the log either.
    fn is_due(&self, now: Instant) -> bool {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn an_alarm_that_flaps_is_raised_once_a_minute() {
        let alarm = Alarm::default();
        let refusal = EsperError::validation("x", String::new());
        let mut raised = 0;
        for _ in 0..180 {
            alarm.raise(&refusal);
            raised += u32::from(alarm.raised.load(Ordering::Relaxed));
            alarm.lower();
            tokio::time::advance(Duration::from_secs(1)).await;
        }
        assert_eq!(raised, 3);
    }
}
