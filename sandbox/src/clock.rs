//! Tell the time, in the one place that asks the operating system for it.
//!
//! Everything that waits, counts or expires takes a [`Moment`] as an argument and can therefore
//! be tested without waiting.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};

/// The time since the sandbox started, and what it was moved on by.
#[derive(Debug)]
pub(crate) struct Clock {
    started: Instant,
    ahead: AtomicU64,
}

impl Clock {
    pub(crate) fn start() -> Self {
        Self { started: Instant::now(), ahead: AtomicU64::new(0) }
    }

    /// The present, which never goes back.
    pub(crate) fn now(&self) -> Moment {
        Moment::START.after(self.started.elapsed()).after(self.ahead())
    }

    /// Moves the present on.
    pub(crate) fn advance(&self, span: Duration) {
        let moved = |ahead| Some(Moment(ahead).after(span).0);
        // The closure always gives a new value.
        let _ = self.ahead.fetch_update(Ordering::Relaxed, Ordering::Relaxed, moved);
    }

    /// The calendar month in UTC, such as `2026-11`, by which usage is counted.
    pub(crate) fn month(&self) -> String {
        let ahead = SignedDuration::try_from(self.ahead()).unwrap_or(SignedDuration::MAX);
        // Beyond the last month that there is a name for, it stays that month.
        let now = Timestamp::now().saturating_add(ahead).unwrap_or(Timestamp::MAX);
        now.strftime("%Y-%m").to_string()
    }

    fn ahead(&self) -> Duration {
        Duration::from_nanos(self.ahead.load(Ordering::Relaxed))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_never_goes_back() {
        let clock = Clock::start();
        let first = clock.now();
        assert!(clock.now() >= first);
    }

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
        let month = Clock::start().month();
        let (year, number) = month.split_once('-').expect("a hyphen");
        assert!(year.len() == 4 && year.parse::<u16>().is_ok(), "{month}");
        assert!(number.len() == 2 && (1..=12).contains(&number.parse().unwrap_or(0)), "{month}");
    }
}
