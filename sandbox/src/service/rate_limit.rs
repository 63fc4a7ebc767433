//! The rate limit of each key, where one was asked for: requests in a minute.

use std::time::Duration;

use crate::clock::Moment;
use crate::service::keys::KeyId;

/// A fixed window for each key, which opens with the key's first request after the last one.
#[derive(Debug)]
pub(crate) struct RateLimit {
    per_minute: u32,
    windows: Vec<FixedWindow>,
}

/// The limit of a key is used up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RateLimited {
    pub(crate) per_minute: u32,
    /// How long until the key's next window.
    pub(crate) wait: Duration,
}

#[derive(Clone, Debug)]
struct FixedWindow {
    opened: Option<Moment>,
    admitted: u32,
}

impl RateLimit {
    pub(crate) fn new(per_minute: u32, keys: usize) -> Self {
        Self { per_minute, windows: vec![FixedWindow { opened: None, admitted: 0 }; keys] }
    }

    /// Admits a request of a key, or tells how long the key must wait.
    pub(crate) fn admit(&mut self, key: KeyId, now: Moment) -> Result<(), RateLimited> {
        let window = &mut self.windows[key.index()];
        let opened = match window.opened {
            Some(opened) if now.since(opened) < MINUTE => opened,
            _ => {
                *window = FixedWindow { opened: Some(now), admitted: 0 };
                now
            }
        };
        if window.admitted == self.per_minute {
            let wait = MINUTE - now.since(opened);
            return Err(RateLimited { per_minute: self.per_minute, wait });
        }
        window.admitted += 1;
        Ok(())
    }
}

const MINUTE: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_key_waits_for_the_end_of_its_window() {
        let mut limit = RateLimit::new(2, 1);
        let later = |span| Moment::START.after(span);
        let used_up = |wait| Err(RateLimited { per_minute: 2, wait });
        assert_eq!(limit.admit(KeyId::FIRST, later(SECOND * 5)), Ok(()));
        assert_eq!(limit.admit(KeyId::FIRST, later(SECOND * 6)), Ok(()));
        assert_eq!(limit.admit(KeyId::FIRST, later(SECOND * 7)), used_up(SECOND * 58));
        let last = SECOND * 65 - Duration::from_nanos(1);
        assert_eq!(limit.admit(KeyId::FIRST, later(last)), used_up(Duration::from_nanos(1)));
        assert_eq!(limit.admit(KeyId::FIRST, later(SECOND * 65)), Ok(()));
    }

    #[test]
    fn keys_have_independent_limits() {
        let mut limit = RateLimit::new(1, 2);
        assert!(limit.admit(KeyId::FIRST, Moment::START).is_ok());
        assert!(limit.admit(KeyId::FIRST, Moment::START).is_err());
        assert!(limit.admit(KeyId::SECOND, Moment::START).is_ok());
    }
}
