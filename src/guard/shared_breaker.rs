//! The breaker that the clones of a guard share, and the calls that it has let through.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use tracing::{debug, field, info, warn};

use super::FallbackReason;
use super::breaker::{Admission, Breaker, Change};
use crate::EsperError;
use crate::deadline::{in_millis, saturating_add};
use crate::metrics;
use crate::transport::Backoff;

/// A breaker with a lock, a clock and a log.
#[derive(Debug)]
pub(super) struct SharedBreaker {
    breaker: Mutex<Breaker>,
    waits: Backoff,
    longest_wait: Duration,
}

/// A call that was let through. Dropped before it was settled, it is a call that was cancelled.
#[derive(Debug)]
#[must_use = "the call is over when this is dropped"]
pub(super) struct CallPermit<'a> {
    breaker: &'a SharedBreaker,
    admission: Admission,
    /// When a call without an answer is a failed one, even if nobody waits for it any more.
    failed_at: Instant,
    settled: bool,
}

/// What is known of a call before it begins.
#[derive(Clone, Copy)]
pub(super) struct CallTimes {
    /// The longest that it may take.
    pub(super) longest: Duration,
    /// A call that is dropped says nothing of the service, unless it had waited for so long.
    pub(super) failed_after: Duration,
}

impl SharedBreaker {
    /// Opens after so many failures in a row: at first for `wait`, then for ever longer.
    pub(super) fn new(failures: u32, wait: Duration) -> Self {
        let longest_wait = wait.saturating_mul(LONGEST_WAIT);
        let waits = Backoff::new(wait, longest_wait, u32::MAX);
        Self { breaker: Mutex::new(Breaker::new(failures)), waits, longest_wait }
    }

    /// Lets a call through that begins now, or none while the breaker is open.
    pub(super) fn admit(&self, now: Instant, times: CallTimes) -> Option<CallPermit<'_>> {
        let admission = self.lock().admit(now, times.longest)?;
        let failed_at = saturating_add(now, times.failed_after);
        Some(CallPermit { breaker: self, admission, failed_at, settled: false })
    }

    fn answered(&self, admission: &Admission) {
        let closed = self.lock().answered(admission);
        if closed {
            metrics::breaker_closed();
            info!("the circuit breaker closed: esper answers again");
        }
    }

    /// Takes note of a failure, with what the log says of it.
    fn failed(
        &self,
        admission: &Admission,
        now: Instant,
        reason: FallbackReason,
        error: Option<&EsperError>,
    ) {
        let wait = |reopened| self.waits.wait(reopened).unwrap_or(self.longest_wait);
        let change = self.lock().failed(admission, now, wait);
        let error = error.map(field::display);
        match change {
            Some(Change::Opened { wait }) => {
                metrics::breaker_opened();
                warn!(
                    %reason,
                    error,
                    wait_ms = in_millis(wait),
                    "the circuit breaker opened: decisions fall back without asking esper"
                );
            }
            Some(Change::ProbeFailed { wait }) => debug!(
                %reason,
                error,
                wait_ms = in_millis(wait),
                "the circuit breaker stays open"
            ),
            None => {}
        }
    }

    /// Nothing panics under the lock; if it did, a breaker in any state is better than none.
    fn lock(&self) -> MutexGuard<'_, Breaker> {
        self.breaker.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl CallPermit<'_> {
    /// Whether this call alone finds out whether the service answers again.
    pub(super) fn is_probe(&self) -> bool {
        self.admission.probe
    }

    /// Ends a call that the service answered in time, even if it refused.
    pub(super) fn answered(mut self) {
        self.settled = true;
        self.breaker.answered(&self.admission);
    }

    /// Ends a call on which the service failed, or which it did not answer in time.
    pub(super) fn failed(mut self, reason: FallbackReason, error: Option<&EsperError>) {
        self.settled = true;
        self.breaker.failed(&self.admission, Instant::now(), reason, error);
    }
}

impl Drop for CallPermit<'_> {
    fn drop(&mut self) {
        if self.settled {
            return;
        }
        let now = Instant::now();
        if now >= self.failed_at {
            self.breaker.failed(&self.admission, now, FallbackReason::Timeout, None)
        } else {
            self.breaker.lock().cancelled(&self.admission, now)
        }
    }
}

/// The longest wait, in first waits.
const LONGEST_WAIT: u32 = 30;

#[cfg(test)]
mod tests {
    use std::iter;
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::thread;

    use tokio::sync::Semaphore;

    use super::*;

    const TIMES: CallTimes =
        CallTimes { longest: Duration::from_millis(300), failed_after: Duration::from_millis(180) };

    fn admit(breaker: &SharedBreaker, times: CallTimes) -> Option<CallPermit<'_>> {
        breaker.admit(Instant::now(), times)
    }

    fn open(breaker: &SharedBreaker) {
        for _ in 0..5 {
            admit(breaker, TIMES).unwrap().failed(FallbackReason::Timeout, None);
        }
        assert!(admit(breaker, TIMES).is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn a_cancelled_call_counts_as_failed_when_it_had_waited_for_long() {
        let breaker = SharedBreaker::new(5, Duration::from_secs(1));
        for _ in 0..20 {
            let permit = admit(&breaker, TIMES).expect("nothing is known against the service");
            tokio::time::advance(TIMES.failed_after - Duration::from_millis(1)).await;
            drop(permit);
        }
        for _ in 0..5 {
            let permit = admit(&breaker, TIMES).expect("four failures are not five");
            tokio::time::advance(TIMES.failed_after).await;
            drop(permit);
        }
        assert!(admit(&breaker, TIMES).is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn a_cancelled_probe_gives_its_place_back() {
        let breaker = SharedBreaker::new(5, Duration::from_secs(1));
        open(&breaker);
        tokio::time::advance(Duration::from_secs(2)).await;
        for _ in 0..3 {
            let probe = admit(&breaker, TIMES).expect("the place is free");
            assert!(admit(&breaker, TIMES).is_none());
            drop(probe);
        }
        admit(&breaker, TIMES).unwrap().answered();
        assert!(admit(&breaker, TIMES).is_some() && admit(&breaker, TIMES).is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn the_waits_grow_to_thirty_times_the_first_and_are_never_none() {
        let breaker = SharedBreaker::new(5, Duration::from_secs(1));
        open(&breaker);
        for _ in 0..100 {
            tokio::time::advance(Duration::from_millis(490)).await;
            assert!(admit(&breaker, TIMES).is_none(), "a wait has a floor");
            tokio::time::advance(Duration::from_secs(31)).await;
            admit(&breaker, TIMES).expect("a wait has a cap").failed(FallbackReason::Timeout, None);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_wait_can_be_as_long_as_one_likes() {
        let breaker = SharedBreaker::new(1, Duration::MAX);
        for _ in 0..3 {
            admit(&breaker, TIMES).expect("a wait is over").failed(FallbackReason::Timeout, None);
            tokio::time::advance(Duration::from_secs(24 * 60 * 60)).await;
            assert!(admit(&breaker, TIMES).is_none(), "a day is not for ever");
            tokio::time::advance(Duration::from_secs(2 * 365 * 24 * 60 * 60)).await;
        }
    }

    /// Calls of many threads that succeed, fail and vanish; the service is down for the first half.
    #[test]
    fn under_load_there_is_one_probe_at_a_time_and_every_place_comes_back() {
        const THREADS: u32 = 8;
        const ROUNDS: u32 = 4_000;
        let breaker = SharedBreaker::new(5, Duration::from_micros(50));
        // So long that none is given up because its thread was away.
        let times = CallTimes { longest: Duration::from_secs(3_600), ..TIMES };
        let slots = Semaphore::new(3);
        let probes = AtomicU32::new(0);
        let down = |round| round < ROUNDS / 2;
        thread::scope(|scope| {
            for thread in 0..THREADS {
                let (breaker, slots, probes) = (&breaker, &slots, &probes);
                scope.spawn(move || {
                    for round in 0..ROUNDS {
                        let Some(permit) = admit(breaker, times) else { continue };
                        let probing = permit.is_probe();
                        if probing {
                            assert_eq!(probes.fetch_add(1, Ordering::SeqCst), 0);
                        }
                        let slot = slots.try_acquire();
                        if round % 7 == thread % 7 {
                            thread::yield_now();
                        }
                        if probing {
                            // Before the place is given back, or the next one comes too soon.
                            probes.fetch_sub(1, Ordering::SeqCst);
                        }
                        match slot {
                            Ok(_) if round % 5 == 0 => drop(permit),
                            Ok(_) if down(round) => permit.failed(FallbackReason::Timeout, None),
                            Ok(_) => permit.answered(),
                            Err(_) => drop(permit),
                        }
                    }
                });
            }
        });
        assert_eq!((slots.available_permits(), probes.into_inner()), (3, 0));
        // Whatever the state was, it can be left: a wait is 1.5 ms at most.
        let waited = Instant::now() + Duration::from_secs(60);
        let permit = iter::repeat_with(|| admit(&breaker, times));
        let permit = permit.take_while(|_| Instant::now() < waited).flatten().next();
        permit.expect("a wait is over").answered();
        assert!(admit(&breaker, times).is_some() && admit(&breaker, times).is_some());
    }
}
