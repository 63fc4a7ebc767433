//! What became of the events, in numbers.

use std::fmt;

/// Why an event was given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DropReason {
    /// The queue was full, and this was the oldest event in it. Also an event that is larger than
    /// the whole queue may be.
    Full,
    /// It has a member that does not fit, or data that is nested more than 125 levels deep; it was
    /// never sent.
    Invalid,
    /// The service does not want it (400, 413 and most other 4xx).
    Refused,
    /// The service failed on it ten times while it took others.
    Failed,
    /// It came after [`Beacons::shutdown`](super::Beacons::shutdown).
    Closed,
    /// The time of a shutdown was over, or all handles were gone and the service took nothing for
    /// 60 s; or its delivery panicked, which is a mistake of this crate's.
    Abandoned,
    /// The thread of the queue could not be started, or broke, or is another process's (a fork).
    NoWorker,
}

impl DropReason {
    /// Every reason that this version knows, in the order of [`BeaconDrops::iter`].
    pub const ALL: &'static [Self] = &[
        Self::Full,
        Self::Invalid,
        Self::Refused,
        Self::Failed,
        Self::Closed,
        Self::Abandoned,
        Self::NoWorker,
    ];

    /// Returns the name for logs and metrics: `full`, `invalid`, `refused`, `failed`, `closed`,
    /// `abandoned` or `no_worker`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Invalid => "invalid",
            Self::Refused => "refused",
            Self::Failed => "failed",
            Self::Closed => "closed",
            Self::Abandoned => "abandoned",
            Self::NoWorker => "no_worker",
        }
    }
}

impl fmt::Display for DropReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A count of the events of a queue since it began, all taken at one instant.
///
/// `accepted == delivered + dropped.total() + queued`, always.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct BeaconStats {
    /// Events handed to [`Beacons::send`](super::Beacons::send), whatever became of them.
    pub accepted: u64,
    /// Events that the service took.
    pub delivered: u64,
    /// Events that were given up, by reason.
    pub dropped: BeaconDrops,
    /// Events that wait or are on their way.
    pub queued: u64,
    /// How often the callback for losses panicked.
    pub callback_panics: u64,
}

/// A count of dropped events by reason.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct BeaconDrops([u64; DropReason::ALL.len()]);

impl BeaconDrops {
    /// Returns the number of events that were dropped for a reason.
    #[must_use]
    pub fn of(&self, reason: DropReason) -> u64 {
        self.0[reason as usize]
    }

    /// Returns the number of events that were dropped for any reason.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.0.iter().sum()
    }

    /// Iterates over every reason with its count, zeros included.
    pub fn iter(&self) -> impl Iterator<Item = (DropReason, u64)> + use<> {
        DropReason::ALL.iter().copied().zip(self.0)
    }

    pub(super) fn add(&mut self, reason: DropReason, events: u64) {
        self.0[reason as usize] += events;
    }
}

impl fmt::Debug for BeaconDrops {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map()
            .entries(self.iter().map(|(reason, events)| (reason.as_str(), events)))
            .finish()
    }
}

/// What a flush or a shutdown achieved in its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct BeaconReport {
    /// Events that the service took meanwhile.
    pub delivered: u64,
    /// Events that were dropped meanwhile, those included that were sent after the call; after a
    /// shutdown, also those that it gave up.
    pub dropped: u64,
    /// Events sent before the call that are still queued; none after a shutdown.
    pub left: u64,
}

impl BeaconReport {
    /// Returns true if nothing is left and nothing was dropped meanwhile.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.left == 0 && self.dropped == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_has_a_count_of_its_own() {
        let mut drops = BeaconDrops::default();
        for (index, reason) in DropReason::ALL.iter().enumerate() {
            assert_eq!(*reason as usize, index);
            drops.add(*reason, index as u64 + 1);
        }
        for (number, (reason, events)) in (1..).zip(drops.iter()) {
            assert_eq!((events, drops.of(reason)), (number, number), "{reason}");
        }
        assert_eq!(drops.total(), 28);
    }

    #[test]
    fn a_report_is_complete_where_nothing_is_left_and_nothing_was_dropped() {
        for (left, dropped, complete) in [(0, 0, true), (1, 0, false), (0, 1, false)] {
            let report = BeaconReport { delivered: 1, dropped, left };
            assert_eq!(report.is_complete(), complete, "{report:?}");
        }
    }
}
