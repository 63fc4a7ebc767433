//! The sandbox's own time, which can be moved on.
//!
//! Everything that counts or expires takes a [`Moment`] as an argument and can therefore be tested
//! without waiting. Time limits of connections are tokio's.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use jiff::tz::Offset;

/// The time since the sandbox started, and what it was moved on by.
#[derive(Debug)]
pub(crate) struct Clock {
    started: Instant,
    /// The time of day at [`Moment::START`].
    time_of_start: Timestamp,
    ahead: AtomicU64,
}

impl Clock {
    pub(crate) fn start() -> Self {
        Self { started: Instant::now(), time_of_start: Timestamp::now(), ahead: AtomicU64::new(0) }
    }

    /// The present, which never goes back.
    pub(crate) fn now(&self) -> Moment {
        let ahead = Duration::from_nanos(self.ahead.load(Ordering::Relaxed));
        Moment::START.after(self.started.elapsed()).after(ahead)
    }

    /// Moves the present on.
    pub(crate) fn advance(&self, span: Duration) {
        let moved = |ahead| Some(Moment(ahead).after(span).0);
        // The closure always gives a new value.
        let _ = self.ahead.fetch_update(Ordering::Relaxed, Ordering::Relaxed, moved);
    }

    /// The time of day at a moment.
    pub(crate) fn time_of(&self, moment: Moment) -> Timestamp {
        let since_start = moment.since(Moment::START);
        self.time_of_start.saturating_add(since_start).unwrap_or(self.time_of_start)
    }

    /// The month of the present.
    pub(crate) fn month(&self) -> Month {
        let date = Offset::UTC.to_datetime(self.time_of(self.now()));
        Month { year: date.year(), month: date.month() }
    }
}

/// A calendar month in UTC, by which usage is counted. It reads `2026-11`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Month {
    pub(crate) year: i16,
    pub(crate) month: i8,
}

impl fmt::Display for Month {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}", self.year, self.month)
    }
}

/// A point in the life of one sandbox, to the nanosecond.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Moment(u64);

impl Moment {
    pub(crate) const START: Self = Self(0);

    pub(crate) fn after(self, span: Duration) -> Self {
        let nanos = u64::try_from(span.as_nanos()).unwrap_or(u64::MAX);
        Self(self.0.saturating_add(nanos))
    }

    /// How long ago `earlier` was; zero for what is yet to come.
    pub(crate) fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }

    pub(crate) fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    pub(crate) fn as_nanos(self) -> u64 {
        self.0
    }
}

/// A time in seconds, rounded up: whoever waits for so long is not early.
pub(crate) fn whole_seconds(span: Duration) -> u64 {
    span.as_secs().saturating_add(u64::from(span.subsec_nanos() > 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_is_moved_on_and_never_overflows() {
        let clock = Clock::start();
        let hour = Duration::from_secs(3600);
        clock.advance(hour);
        clock.advance(hour);
        assert!(clock.now() >= Moment::START.after(hour * 2));
        let month = clock.month();
        clock.advance(hour * 24 * 31);
        assert_ne!(clock.month(), month);
        clock.advance(Duration::MAX);
        assert_eq!(clock.now(), Moment(u64::MAX));
        assert!(clock.month() > month);
    }

    #[test]
    fn a_month_is_named_by_year_and_number() {
        assert_eq!(Month { year: 2026, month: 3 }.to_string(), "2026-03");
        let now = Timestamp::now().strftime("%Y-%m").to_string();
        assert!(Clock::start().month().to_string() >= now);
    }
}
