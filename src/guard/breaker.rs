//! When the service is not asked, because it did not answer: a state machine that is told the time.
//!
//! The breaker protects the visitors from the wait, not the service from the load. An answer that
//! comes in time, whatever it says, is therefore no reason to open it.

use std::time::Duration;

use tokio::time::Instant;

use crate::deadline::saturating_add;

/// Opens after failures in a row, and lets one call at a time find out whether it may close.
#[derive(Debug)]
pub(super) struct Breaker {
    threshold: u32,
    state: State,
    /// Changes with the state, so that a call which began before is known as such.
    generation: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Closed {
        /// How many calls in a row have failed.
        failures: u32,
    },
    Open {
        until: Instant,
        /// How often it has opened since it was closed, beyond the first time.
        reopened: u32,
    },
    /// A probe is under way.
    HalfOpen {
        /// When a probe that was not heard of again is given up.
        lost: Instant,
        reopened: u32,
    },
}

/// The right of one call to ask the service.
#[derive(Debug, PartialEq, Eq)]
#[must_use = "a probe has to be settled"]
pub(super) struct Admission {
    generation: u64,
    /// Whether this call alone finds out whether the service answers again.
    pub(super) probe: bool,
}

/// What a failure leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    Opened {
        wait: Duration,
    },
    /// It stays open: the service failed on the probe.
    ProbeFailed {
        wait: Duration,
    },
}

impl Breaker {
    /// Begins closed; opens after `threshold` failures in a row, which is at least one.
    pub(super) fn new(threshold: u32) -> Self {
        Self { threshold: threshold.max(1), state: State::Closed { failures: 0 }, generation: 0 }
    }

    /// Admits a call, or none while it is open. A call takes at most `longest`.
    pub(super) fn admit(&mut self, now: Instant, longest: Duration) -> Option<Admission> {
        let probe = match self.state {
            State::Closed { .. } => false,
            State::Open { until: due, reopened } | State::HalfOpen { lost: due, reopened } => {
                if now < due {
                    return None;
                }
                // A future that is neither polled nor dropped must not keep the place for ever.
                let lost = saturating_add(now, longest.saturating_mul(2));
                self.enter(State::HalfOpen { lost, reopened });
                true
            }
        };
        Some(Admission { generation: self.generation, probe })
    }

    /// Learns that the service answered a call in time, even if it refused. Returns true if that
    /// closes the breaker.
    pub(super) fn answered(&mut self, admission: &Admission) -> bool {
        match self.state_of(admission) {
            Some(State::Closed { .. }) => {
                self.state = State::Closed { failures: 0 };
                false
            }
            Some(State::HalfOpen { .. }) => {
                self.enter(State::Closed { failures: 0 });
                true
            }
            Some(State::Open { .. }) | None => false,
        }
    }

    /// Learns that the service failed on a call, or did not answer it in time; `wait` says for how
    /// long to open for the nth time.
    pub(super) fn failed(
        &mut self,
        admission: &Admission,
        now: Instant,
        wait: impl FnOnce(u32) -> Duration,
    ) -> Option<Change> {
        match self.state_of(admission)? {
            State::Closed { failures } if failures + 1 < self.threshold => {
                self.state = State::Closed { failures: failures + 1 };
                None
            }
            State::Closed { .. } => Some(Change::Opened { wait: self.open(0, now, wait) }),
            State::HalfOpen { reopened, .. } => {
                let wait = self.open(reopened.saturating_add(1), now, wait);
                Some(Change::ProbeFailed { wait })
            }
            State::Open { .. } => None,
        }
    }

    /// Learns that a call ended before there was anything to learn from it.
    pub(super) fn cancelled(&mut self, admission: &Admission, now: Instant) {
        if let Some(State::HalfOpen { reopened, .. }) = self.state_of(admission) {
            self.enter(State::Open { until: now, reopened });
        }
    }

    /// The state, unless the call began before it: then it tells of another time.
    fn state_of(&self, admission: &Admission) -> Option<State> {
        (admission.generation == self.generation).then_some(self.state)
    }

    /// Opens, and returns for how long.
    fn open(
        &mut self,
        reopened: u32,
        now: Instant,
        wait: impl FnOnce(u32) -> Duration,
    ) -> Duration {
        let wait = wait(reopened);
        self.enter(State::Open { until: saturating_add(now, wait), reopened });
        wait
    }

    fn enter(&mut self, state: State) {
        self.state = state;
        self.generation += 1;
    }
}

#[cfg(test)]
mod tests;
