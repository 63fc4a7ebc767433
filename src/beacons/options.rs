//! How much a queue holds, and whom it tells about losses.

use std::fmt;
use std::sync::Arc;

use super::queue::Limits;
use super::stats::DropReason;
use crate::{EsperConfig, EsperError};

/// The options of [`Beacons`](super::Beacons), part of an [`EsperConfig`]. A number of zero is refused
/// when a client is made.
///
/// ```
/// use esper_rs_client::{BeaconOptions, EsperConfig};
///
/// let options = BeaconOptions::new()
///     .with_capacity(50_000)
///     .with_memory(64 * 1024 * 1024)
///     .with_on_loss(|loss| eprintln!("{} events lost: {}", loss.events, loss.reason));
/// let config = EsperConfig::new("your-api-key").with_beacons(options);
/// ```
#[derive(Clone)]
#[must_use = "options do nothing until a configuration has them"]
pub struct BeaconOptions {
    pub(super) limits: Limits,
    pub(super) in_flight: usize,
    pub(super) on_loss: Option<OnLoss>,
}

/// Events that were dropped for the same reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct BeaconLoss {
    /// Why.
    pub reason: DropReason,
    /// How many, since the last such call.
    pub events: u64,
}

pub(super) type OnLoss = Arc<dyn Fn(&BeaconLoss) + Send + Sync>;

impl BeaconOptions {
    /// Begins with the defaults.
    pub fn new() -> Self {
        let limits = Limits { events: CAPACITY, bytes: MEMORY };
        Self { limits, in_flight: IN_FLIGHT, on_loss: None }
    }

    /// Sets how many events a queue holds at most, those on their way included; 10,000 unless set.
    pub fn with_capacity(mut self, events: usize) -> Self {
        self.limits.events = events;
        self
    }

    /// Sets how many bytes the events of a queue may hold; 8 MiB unless set.
    ///
    /// An event counts with its text, its fixed size of about 250 bytes, about 60 bytes for each JSON
    /// value, and about 600 more for each object within its data. The slack of containers and of the
    /// allocator comes on top of it.
    pub fn with_memory(mut self, bytes: usize) -> Self {
        self.limits.bytes = bytes;
        self
    }

    /// Sets how many events are on their way at once at most; 16 unless set.
    ///
    /// Over HTTP/1 each has a connection of its own, which is kept for the next.
    pub fn with_deliveries_in_flight(mut self, deliveries: usize) -> Self {
        self.in_flight = deliveries;
        self
    }

    /// Sets a function that is told about lost events, soon after they are.
    ///
    /// It is called on a thread of its own, one call at a time and with the sum of the losses
    /// since the last, so it may block, panic (which is counted) and send events. A
    /// [`Beacons`](super::Beacons) or a client that it holds keeps the queue open for ever. Where
    /// the system gives no thread, it is not called; nor is it for events that come after the end
    /// of the queue, which are in [`stats`](super::Beacons::stats) alone.
    pub fn with_on_loss(mut self, tell: impl Fn(&BeaconLoss) + Send + Sync + 'static) -> Self {
        self.on_loss = Some(Arc::new(tell));
        self
    }

    pub(super) fn check(&self) -> Result<(), EsperError> {
        for (option, value) in [
            ("capacity", self.limits.events),
            ("memory", self.limits.bytes),
            ("deliveries_in_flight", self.in_flight),
        ] {
            if value == 0 {
                let message = format!("the beacons' {option} is zero, so none could be sent");
                return Err(EsperError::validation("beacons", message));
            }
        }
        Ok(())
    }
}

impl Default for BeaconOptions {
    fn default() -> Self {
        Self::new()
    }
}

impl EsperConfig {
    /// Sets the options of the queue behind `beacons()` of the client.
    pub fn with_beacons(mut self, options: BeaconOptions) -> Self {
        self.beacons = options;
        self
    }
}

impl fmt::Debug for BeaconOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BeaconOptions")
            .field("capacity", &self.limits.events)
            .field("memory", &self.limits.bytes)
            .field("deliveries_in_flight", &self.in_flight)
            .field("on_loss", &self.on_loss.as_ref().map(|_| "set"))
            .finish()
    }
}

const CAPACITY: usize = 10_000;
const MEMORY: usize = 8 * 1024 * 1024;
const IN_FLIGHT: usize = 16;
