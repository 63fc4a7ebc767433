//! From when until when something signed is believed.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::deadline::in_millis;
use crate::enforce::refusal::Refusal;

/// A span of time, in milliseconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::enforce) struct Validity {
    issued: u64,
    expires: u64,
}

impl Validity {
    pub(in crate::enforce) fn new(now: SystemTime, lifetime: Duration) -> Self {
        let issued = millis(now);
        Self { issued, expires: issued.saturating_add(in_millis(lifetime)) }
    }

    /// Refuses what is over, at the very moment of its end too, and what was issued later than
    /// [`CLOCK_SKEW`] from now.
    pub(in crate::enforce) fn check(self, now: SystemTime) -> Result<(), Refusal> {
        let now = millis(now);
        if self.issued > now.saturating_add(in_millis(CLOCK_SKEW)) {
            Err(Refusal::FromTheFuture)
        } else if now >= self.expires {
            Err(Refusal::Expired)
        } else {
            Ok(())
        }
    }

    /// When it ends, in milliseconds since 1970.
    pub(in crate::enforce) fn expires(self) -> u64 {
        self.expires
    }

    pub(in crate::enforce) fn to_bytes(self) -> [u8; 16] {
        (u128::from(self.issued) << 64 | u128::from(self.expires)).to_be_bytes()
    }

    pub(in crate::enforce) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (issued, rest) = bytes.split_first_chunk::<8>()?;
        let expires = rest.try_into().ok()?;
        Some(Self { issued: u64::from_be_bytes(*issued), expires: u64::from_be_bytes(expires) })
    }
}

/// The milliseconds since 1970; a clock before that shows none.
pub(in crate::enforce) fn millis(time: SystemTime) -> u64 {
    in_millis(time.duration_since(UNIX_EPOCH).unwrap_or_default())
}

/// How far the clock of a replica may be ahead of another's, without the other refusing what it
/// issues.
///
/// An end gets no such allowance: what one replica issues ends by the clock of whoever looks.
pub(in crate::enforce) const CLOCK_SKEW: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);
    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn what_expired_and_what_is_from_the_future_is_refused_to_the_millisecond() {
        let issued = UNIX_EPOCH + Duration::from_secs(1_800_000_000);
        let validity = Validity::new(issued, HOUR);
        for (now, expected) in [
            (issued, Ok(())),
            (issued + HOUR - MS, Ok(())),
            (issued + HOUR, Err(Refusal::Expired)),
            (issued + HOUR + MS, Err(Refusal::Expired)),
            (issued + 1000 * HOUR, Err(Refusal::Expired)),
            (issued - CLOCK_SKEW, Ok(())),
            (issued - CLOCK_SKEW - MS, Err(Refusal::FromTheFuture)),
            (UNIX_EPOCH, Err(Refusal::FromTheFuture)),
            (UNIX_EPOCH - HOUR, Err(Refusal::FromTheFuture)),
        ] {
            assert_eq!(validity.check(now), expected, "{now:?}");
        }
    }

    #[test]
    fn a_clock_that_shows_nonsense_makes_nothing_valid_and_does_not_panic() {
        let early = UNIX_EPOCH - HOUR;
        assert_eq!(Validity::new(early, HOUR).check(UNIX_EPOCH), Ok(()));
        assert_eq!(Validity::new(early, Duration::ZERO).check(early), Err(Refusal::Expired));
        let endless = Validity::new(UNIX_EPOCH, Duration::MAX);
        assert_eq!(endless.expires(), u64::MAX);
        let backwards = Validity { issued: 2_000, expires: 1_000 };
        assert_eq!(backwards.check(UNIX_EPOCH + 2 * Duration::from_secs(1)), Err(Refusal::Expired));
    }

    #[test]
    fn a_validity_is_read_as_it_was_written() {
        let validity = Validity { issued: 1, expires: u64::MAX - 1 };
        assert_eq!(Validity::from_bytes(&validity.to_bytes()), Some(validity));
        for length in (0..40).filter(|length| *length != 16) {
            assert_eq!(Validity::from_bytes(&vec![1; length]), None);
        }
    }
}
