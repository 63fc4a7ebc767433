//! When the queue may try: freely, with one probe at a time, or not before some instant.
//!
//! A state machine that is told the time; only the length of a wait is drawn.

use std::time::{Duration, Instant};

use crate::transport::Backoff;

/// What the outcomes so far allow.
#[derive(Debug)]
pub(super) struct Schedule {
    /// The waits between probes of a service that is down.
    outage: Backoff,
    /// The waits between probes of a service that rejects the key.
    rejection: Backoff,
    state: State,
    /// Answers without success since the last success.
    bad_answers: u32,
    /// What was reported since the queue last ran freely.
    reported: Vec<Cause>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// The queue delivers freely.
    Closed,
    /// Nothing is tried before this instant, and then one probe.
    Open { until: Instant, step: u32, cause: Cause },
    /// The probe is under way.
    HalfOpen { step: u32, cause: Cause },
}

/// What keeps the queue from running freely.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cause {
    /// The service cannot be reached, fails, or wants to be left alone.
    Outage,
    /// The service does not take the key.
    Rejection,
}

/// What may be done now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Permit {
    /// Deliver, as many at once as the options say.
    Free,
    /// Deliver one.
    Probe,
    /// Deliver nothing until then.
    NotBefore(Instant),
    /// Deliver nothing until the probe has ended.
    AfterProbe,
}

/// What kept an event from arriving.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// There was no answer, or one that is not Esper's.
    Unreachable,
    /// The service failed; perhaps on this event alone.
    BadAnswer,
    /// The service asks everyone to wait, perhaps for this long.
    Busy(Option<Duration>),
    /// The service does not take the key.
    KeyRejected,
}

impl Schedule {
    /// With `delay` as the base of its waits.
    pub(super) fn new(delay: Duration) -> Self {
        let delay = delay.max(SHORTEST_DELAY);
        let rejection = delay.saturating_mul(REJECTION_FACTOR).min(LONGEST_PAUSE);
        Self {
            outage: Backoff::new(delay, LONGEST_DELAY, u32::MAX),
            rejection: Backoff::new(rejection, LONGEST_PAUSE, u32::MAX),
            state: State::Closed,
            bad_answers: 0,
            reported: Vec::new(),
        }
    }

    pub(super) fn permit(&self, now: Instant) -> Permit {
        match self.state {
            State::Closed => Permit::Free,
            State::Open { until, .. } if until <= now => Permit::Probe,
            State::Open { until, .. } => Permit::NotBefore(until),
            State::HalfOpen { .. } => Permit::AfterProbe,
        }
    }

    /// Notes that the probe is on its way.
    pub(super) fn probe(&mut self) {
        if let State::Open { step, cause, .. } = self.state {
            self.state = State::HalfOpen { step, cause };
        }
    }

    /// How long one event waits for its next attempt after so many failures of its own.
    pub(super) fn wait_of(&self, failures: u32) -> Duration {
        self.outage.wait(failures.saturating_sub(1)).unwrap_or(LONGEST_DELAY)
    }

    /// Notes that the service dealt with an event; returns true if that ends a pause.
    ///
    /// Only a probe can tell that one is over: the others were sent before it.
    pub(super) fn worked(&mut self, probe: bool) -> bool {
        let ends = probe && matches!(self.state, State::HalfOpen { .. });
        if ends {
            self.state = State::Closed;
            self.reported.clear();
        }
        if self.state == State::Closed {
            self.bad_answers = 0;
        }
        ends
    }

    /// Notes a failure; returns what is to be reported, once.
    pub(super) fn failed(&mut self, now: Instant, failure: Failure, probe: bool) -> Option<Cause> {
        match self.state {
            State::Closed if failure == Failure::BadAnswer => {
                self.bad_answers += 1;
                if self.bad_answers >= TOLERATED {
                    self.pause(now, failure, 0);
                }
            }
            State::Closed => self.pause(now, failure, 0),
            State::HalfOpen { step, cause } if probe => {
                let same = cause == Cause::of(failure);
                self.pause(now, failure, if same { step.saturating_add(1) } else { 0 });
            }
            // What was sent before the pause makes it no worse, unless the service says more.
            State::Open { until, cause, .. } => match failure {
                Failure::Busy(Some(asked)) => self.prolong(now + asked.min(LONGEST_PAUSE)),
                Failure::KeyRejected if cause == Cause::Outage => {
                    self.pause(now, failure, 0);
                    self.prolong(until);
                }
                _ => {}
            },
            State::HalfOpen { .. } => {}
        }
        let cause = Cause::of(failure);
        let news = self.state != State::Closed && !self.reported.contains(&cause);
        news.then(|| {
            self.reported.push(cause);
            cause
        })
    }

    fn pause(&mut self, now: Instant, failure: Failure, step: u32) {
        let cause = Cause::of(failure);
        let backoff = match cause {
            Cause::Outage => &self.outage,
            Cause::Rejection => &self.rejection,
        };
        let mut wait = backoff.wait(step).unwrap_or(LONGEST_PAUSE);
        if let Failure::Busy(Some(asked)) = failure {
            wait = wait.max(asked.min(LONGEST_PAUSE));
        }
        self.state = State::Open { until: now + wait, step, cause };
    }

    /// Lets a pause last until then at least.
    fn prolong(&mut self, instant: Instant) {
        if let State::Open { until, .. } = &mut self.state {
            *until = instant.max(*until);
        }
    }
}

impl Cause {
    fn of(failure: Failure) -> Self {
        match failure {
            Failure::KeyRejected => Self::Rejection,
            Failure::Unreachable | Failure::BadAnswer | Failure::Busy(_) => Self::Outage,
        }
    }
}

/// Bad answers in a row that are not yet an outage: one event's trouble does not stop the rest.
const TOLERATED: u32 = 5;
/// No configuration makes the queue try without a pause.
const SHORTEST_DELAY: Duration = Duration::from_millis(10);
const LONGEST_DELAY: Duration = Duration::from_secs(60);
/// The longest that a service can ask for, and the longest before a rejected key is tried again.
const LONGEST_PAUSE: Duration = Duration::from_secs(5 * 60);
/// How much rarer a rejected key is tried than a service that is down.
const REJECTION_FACTOR: u32 = 30;

#[cfg(test)]
mod tests;
