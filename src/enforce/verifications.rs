//! What keeps visitors from piling up verifications.

use std::collections::HashMap;
use std::net::IpAddr;
use std::num::NonZeroUsize;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use ipnet::IpNet;

use super::refusal::Refusal;
use super::signed::expiring_lru::ExpiringLru;
use super::signed::identity::network_of;
use crate::deadline::in_millis;

/// The verifications that are under way, and proofs that were not found right.
///
/// Answers and proofs each have places of their own. Both cost nothing to make up, so that no
/// network gets all of them.
pub(super) struct Verifications {
    pub(super) answers: Places,
    pub(super) proofs: Places,
    /// How many proofs came from a network lately that were not found right.
    unproven: ExpiringLru<u32>,
    /// From when on their time is counted.
    begun: Instant,
}

/// Places for verifications of a kind, by the network of the visitor; at most [`AT_ONCE`] networks.
#[derive(Default)]
pub(super) struct Places(Mutex<HashMap<Option<IpNet>, usize>>);

/// A place that is taken. It is free again when this is dropped.
#[must_use = "a place is free again when this is dropped"]
pub(super) struct Place<'a> {
    places: &'a Places,
    network: Option<IpNet>,
}

impl Verifications {
    pub(super) fn new() -> Self {
        Self {
            answers: Places::default(),
            proofs: Places::default(),
            unproven: ExpiringLru::new(REMEMBERED),
            begun: Instant::now(),
        }
    }

    /// Counts a proof, and refuses it from a network that has handed in too many lately. Counted
    /// before it is verified, it costs those their share too who do not wait for the outcome.
    pub(super) fn admit_proof(&self, address: IpAddr, now: Instant) -> Result<(), Refusal> {
        self.unproven_of(address, now, |proofs| match *proofs {
            ..UNPROVEN_A_MINUTE => {
                *proofs += 1;
                Ok(())
            }
            _ => Err(Refusal::TooManyAttempts),
        })
    }

    /// Takes a proof out of the count that was right, or that nobody said anything about: all
    /// customers of a mobile network may share a few addresses.
    pub(super) fn forget_proof(&self, address: IpAddr, now: Instant) {
        self.unproven_of(address, now, |proofs| *proofs = proofs.saturating_sub(1));
    }

    fn unproven_of<R>(&self, address: IpAddr, now: Instant, look: impl FnOnce(&mut u32) -> R) -> R {
        let id = match network_of(address).network() {
            IpAddr::V4(v4) => v4.to_ipv6_mapped(),
            IpAddr::V6(v6) => v6,
        };
        // By the wall clock, a minute could last an hour: until a clock that was set back is there again.
        let now = now.saturating_duration_since(self.begun);
        self.unproven.with(id.octets(), in_millis(now + MINUTE), in_millis(now), look)
    }
}

impl Places {
    /// Takes a place for a visitor, if there is one.
    pub(super) fn take(&self, address: Option<IpAddr>) -> Result<Place<'_>, Refusal> {
        let network = address.map(network_of);
        let mut taken = self.lock();
        let of_network = taken.get(&network).copied().unwrap_or_default();
        if of_network >= OF_A_NETWORK || taken.values().sum::<usize>() >= AT_ONCE {
            return Err(Refusal::Unavailable);
        }
        taken.insert(network, of_network + 1);
        Ok(Place { places: self, network })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Option<IpNet>, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut taken = self.places.lock();
        match taken.get_mut(&self.network) {
            Some(more @ 2..) => *more -= 1,
            _ => drop(taken.remove(&self.network)),
        }
    }
}

/// Verifications of a kind under way at once.
const AT_ONCE: usize = 64;
/// Of these, those of the visitors of one network.
const OF_A_NETWORK: usize = 8;
const MINUTE: Duration = Duration::from_secs(60);
/// How many proofs of a network are verified that are not found right.
const UNPROVEN_A_MINUTE: u32 = 60;
/// Networks; about 1 MiB when it is full.
const REMEMBERED: NonZeroUsize = NonZeroUsize::new(8 * 1024).unwrap();

#[cfg(test)]
mod tests;
