//! What goes wrong, and how often.

use std::time::Duration;

use crate::chance::draw;

/// What the endpoint does with a request instead of what it should.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Answers with 500.
    Failed,
    /// Answers with 503 and a page.
    Unavailable,
    /// Answers with 429 and this `Retry-After`, in seconds.
    Busy(u8),
    /// Answers with 400.
    Refused,
    /// Does what it should, and resets the connection without an answer.
    Reset,
    /// Does what it should, and resets the connection within the answer.
    ResetWithin,
    /// Does what it should, and closes the connection without an answer.
    Closed,
    /// Does what it should, and closes the connection within the answer.
    Truncated,
    /// Does what it should, and never answers.
    Silent,
    /// Does what it should, this much later.
    Slow(Duration),
}

impl Fault {
    /// The fault of a request, by its number since the endpoint was started.
    pub(crate) fn of(seed: u64, number: u64) -> Option<Self> {
        match number {
            // What takes long is rare, so even a short run has to meet it.
            1_000 => return Some(Self::Busy(1)),
            2_000 => return Some(Self::Silent),
            _ if number % STORMS >= STORMS - STORM => return Some(Self::Failed),
            _ => {}
        }
        let chance = draw(seed, "fault", number);
        let mut left = chance % 1_000_000;
        let slow = Duration::from_millis(20 + (chance >> 32) % 100);
        for (fault, per_million) in [
            (Self::Failed, 5_000),
            (Self::Unavailable, 2_000),
            (Self::Busy(0), 300),
            (Self::Busy(1), 4),
            (Self::Refused, 300),
            (Self::Reset, 200),
            (Self::ResetWithin, 200),
            (Self::Closed, 200),
            (Self::Truncated, 300),
            (Self::Silent, 2),
            (Self::Slow(slow), 300),
        ] {
            match left.checked_sub(per_million) {
                Some(rest) => left = rest,
                None => return Some(fault),
            }
        }
        None
    }
}

/// Every so many requests, nothing works for a few.
const STORMS: u64 = 5_000;
const STORM: u64 = 10;
