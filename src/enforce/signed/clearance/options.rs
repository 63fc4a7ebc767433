//! How long a clearance lasts, and whom it lets pass.

use std::time::Duration;

use crate::EsperError;
use crate::enforce::ClearanceBinding;

/// What a visitor gets for solving a challenge, and how long there is time for that.
///
/// ```
/// use std::time::Duration;
/// use esper_rs_client::enforce::{ClearanceBinding, ClearanceOptions};
///
/// let strict = ClearanceOptions::new()
///     .with_lifetime(Duration::from_secs(15 * 60))
///     .with_binding(ClearanceBinding::Address);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "options do nothing until a layer has them"]
pub struct ClearanceOptions {
    pub(in crate::enforce) lifetime: Duration,
    pub(in crate::enforce) challenge_lifetime: Duration,
    pub(in crate::enforce) binding: ClearanceBinding,
}

impl ClearanceOptions {
    /// Begins with the defaults.
    pub fn new() -> Self {
        Self {
            lifetime: Duration::from_secs(60 * 60),
            challenge_lifetime: Duration::from_secs(10 * 60),
            binding: ClearanceBinding::default(),
        }
    }

    /// Sets how long a solved challenge counts, from 1 s to 30 days; 1 h unless set.
    ///
    /// Those that were issued before keep the time that they were issued with.
    pub fn with_lifetime(mut self, lifetime: Duration) -> Self {
        self.lifetime = lifetime;
        self
    }

    /// Sets how long there is time to solve a challenge, from 1 s to 1 day; 10 min unless set.
    ///
    /// Esper may end it earlier.
    pub fn with_challenge_lifetime(mut self, lifetime: Duration) -> Self {
        self.challenge_lifetime = lifetime;
        self
    }

    /// Sets how closely a clearance is bound to its visitor's address;
    /// [`ClearanceBinding::Network`] unless set.
    ///
    /// Clearances that were issued with another binding count no more.
    pub fn with_binding(mut self, binding: ClearanceBinding) -> Self {
        self.binding = binding;
        self
    }

    /// Fails if a lifetime is out of its range.
    pub(in crate::enforce) fn check(&self) -> Result<(), EsperError> {
        for (option, value, longest, said) in [
            ("clearance_lifetime", self.lifetime, LONGEST, "30 days"),
            ("challenge_lifetime", self.challenge_lifetime, LONGEST_CHALLENGE, "1 day"),
        ] {
            if value < SHORTEST || value > longest {
                let message = format!("{option} is {value:?}; set one from 1 s to {said}");
                return Err(EsperError::validation(option, message));
            }
        }
        Ok(())
    }
}

impl Default for ClearanceOptions {
    fn default() -> Self {
        Self::new()
    }
}

const SHORTEST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(30 * 24 * 60 * 60);
const LONGEST_CHALLENGE: Duration = Duration::from_secs(24 * 60 * 60);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clearance_lasts_an_hour_and_a_challenge_ten_minutes_unless_set() {
        let options = ClearanceOptions::default();
        assert_eq!(options.lifetime, Duration::from_secs(3_600));
        assert_eq!(options.challenge_lifetime, Duration::from_secs(600));
        assert_eq!(options.binding, ClearanceBinding::Network);
        assert!(options.check().is_ok());
    }

    #[test]
    fn a_lifetime_that_lets_nobody_or_everybody_pass_is_refused() {
        let day = Duration::from_secs(24 * 60 * 60);
        for (lifetime, clearance, challenge) in [
            (Duration::ZERO, false, false),
            (SHORTEST - Duration::from_nanos(1), false, false),
            (SHORTEST, true, true),
            (day, true, true),
            (day + SHORTEST, true, false),
            (30 * day, true, false),
            (30 * day + SHORTEST, false, false),
            (Duration::MAX, false, false),
        ] {
            let options = ClearanceOptions::new();
            assert_eq!(options.with_lifetime(lifetime).check().is_ok(), clearance);
            assert_eq!(options.with_challenge_lifetime(lifetime).check().is_ok(), challenge);
        }
    }
}
