//! What a client has done so far, in numbers.

use std::sync::atomic::{AtomicU64, Ordering};

/// A count of the calls of a client and all of its clones, since it was made.
///
/// At every moment, the calls that have ended (`succeeded`, `failed` and `cancelled`) are at most
/// as many as the `calls` that have begun; the difference is under way. Input that is refused
/// before anything is sent is no call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ClientStats {
    /// Calls that have begun.
    pub calls: u64,
    /// Calls that ended with a value.
    pub succeeded: u64,
    /// Calls that ended with an error.
    pub failed: u64,
    /// Calls whose future was dropped before their end.
    pub cancelled: u64,
    /// Requests that the calls handed to the network; what is beyond `calls` are retries.
    pub attempts: u64,
}

/// The numbers behind [`ClientStats`].
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) calls: Counter,
    pub(crate) succeeded: Counter,
    pub(crate) failed: Counter,
    pub(crate) cancelled: Counter,
    pub(crate) attempts: Counter,
}

#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counters {
    pub(crate) fn snapshot(&self) -> ClientStats {
        // The ends are read before the beginnings, so that none seems to have no beginning.
        let (succeeded, failed) = (self.succeeded.get(), self.failed.get());
        let (cancelled, attempts) = (self.cancelled.get(), self.attempts.get());
        ClientStats { calls: self.calls.get(), succeeded, failed, cancelled, attempts }
    }
}

impl Counter {
    pub(crate) fn add_one(&self) {
        self.0.fetch_add(1, Ordering::AcqRel);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Acquire)
    }
}
