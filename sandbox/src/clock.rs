//! Tell the time, in the one place that asks the operating system for it.
//!
//! Everything that waits, counts or expires takes a [`Moment`] as an argument and can therefore
//! be tested without waiting.

use std::time::{Duration, Instant};

use jiff::Timestamp;

/// The time since the sandbox started.
#[derive(Debug)]
pub(crate) struct Clock {
    started: Instant,
}

impl Clock {
    pub(crate) fn start() -> Self {
        Self { started: Instant::now() }
    }

    /// The present, which never goes back.
    pub(crate) fn now(&self) -> Moment {
        Moment::START.after(self.started.elapsed())
    }

    /// The calendar month in UTC, such as `2026-11`, by which usage is counted.
    pub(crate) fn month(&self) -> String {
        Timestamp::now().strftime("%Y-%m").to_string()
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
    fn a_month_is_named_by_year_and_number() {
        let month = Clock::start().month();
        let (year, number) = month.split_once('-').expect("a hyphen");
        assert!(year.len() == 4 && year.parse::<u16>().is_ok(), "{month}");
        assert!(number.len() == 2 && (1..=12).contains(&number.parse().unwrap_or(0)), "{month}");
    }
}
