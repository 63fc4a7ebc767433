//! Deadlines that may be as far away as one likes.

use std::time::Duration;

use tokio::time::Instant;

/// The instant that is this much later, or one that is as good as never.
pub(crate) fn saturating_add(now: Instant, time: Duration) -> Instant {
    now + time.min(FAR)
}

/// The milliseconds of a time. The log gets no number of more bits than these: one such is a text in
/// JSON.
pub(crate) fn in_millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// Long enough for "no limit", and short enough to be added to an instant.
pub(crate) const FAR: Duration = Duration::from_secs(30 * 365 * 24 * 60 * 60);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_time_is_too_long_to_be_added() {
        let now = Instant::now();
        assert_eq!(saturating_add(now, Duration::from_secs(1)), now + Duration::from_secs(1));
        assert_eq!(saturating_add(now, Duration::MAX), now + FAR);
    }

    #[test]
    fn no_time_has_too_many_milliseconds() {
        assert_eq!(in_millis(Duration::from_micros(1_999)), 1);
        assert_eq!(in_millis(Duration::MAX), u64::MAX);
    }
}
