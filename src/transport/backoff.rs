//! How long to wait before the next attempt.

use std::time::Duration;

/// Doubling waits between a base and a cap, jittered, for a number of retries.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Backoff {
    base: Duration,
    cap: Duration,
    retries: u32,
}

impl Backoff {
    pub(crate) fn new(base: Duration, cap: Duration, retries: u32) -> Self {
        let cap = cap.min(LONGEST);
        Self { base: base.min(cap), cap, retries }
    }

    /// How many waits there are in all.
    pub(crate) fn retries(&self) -> u32 {
        self.retries
    }

    /// The wait before retry number `past + 1`, or nothing where there is no further one.
    ///
    /// It is drawn evenly between half of the base and the longest: callers who failed at once
    /// come back one by one, and none at once.
    pub(crate) fn wait(&self, past: u32) -> Option<Duration> {
        let longest = self.base.saturating_mul(2_u32.saturating_pow(past)).min(self.cap);
        let shortest = self.base / 2;
        let drawn = || shortest + (longest - shortest).mul_f64(fastrand::f64());
        (past < self.retries).then(drawn)
    }
}

/// As good as for ever, and short enough to be multiplied and added to a clock's time.
const LONGEST: Duration = Duration::from_secs(365 * 24 * 60 * 60);

#[cfg(test)]
mod tests {
    use super::*;

    const CAP: Duration = Duration::from_secs(60);

    #[test]
    fn a_wait_doubles_has_a_floor_and_ends_at_the_cap() {
        let backoff = Backoff::new(Duration::from_secs(1), CAP, u32::MAX);
        for past in [0, 1, 2, 5, 6, 31, 32, 1000] {
            let longest = Duration::from_secs(2_u64.saturating_pow(past)).min(CAP);
            for _ in 0..200 {
                let wait = backoff.wait(past).unwrap();
                assert!(wait >= Duration::from_millis(500) && wait <= longest, "{past}: {wait:?}");
            }
        }
    }

    #[test]
    fn waits_are_drawn_evenly_over_their_whole_width() {
        let backoff = Backoff::new(Duration::from_secs(1), CAP, 3);
        let mut quarters = [0; 4];
        for _ in 0..4_000 {
            // From half a second to two.
            let place = (backoff.wait(1).unwrap().as_secs_f64() - 0.5) / 1.5;
            quarters[((place * 4.0) as usize).min(3)] += 1;
        }
        assert!(quarters.iter().all(|drawn| (800..1_200).contains(drawn)), "{quarters:?}");
    }

    #[test]
    fn retries_end_after_their_number() {
        let backoff = Backoff::new(Duration::ZERO, CAP, 2);
        assert!(backoff.wait(0).is_some() && backoff.wait(1).is_some());
        assert_eq!(backoff.wait(2), None);
    }

    #[test]
    fn a_delay_beyond_the_cap_is_the_cap() {
        assert!(Backoff::new(Duration::MAX, CAP, 3).wait(2).unwrap() <= CAP);
        let wait = Backoff::new(Duration::MAX, Duration::MAX, u32::MAX).wait(1_000).unwrap();
        assert!(wait >= LONGEST / 2 - CAP && wait <= LONGEST, "{wait:?}");
    }
}
