//! What stands in for the queue where the feature `beacons` is off: nothing.

use crate::{EsperConfig, EsperError};

/// Where a client would keep its queue.
#[derive(Clone, Debug)]
pub(crate) struct Slot;

/// The options of no queue.
#[derive(Clone, Debug, Default)]
pub(crate) struct BeaconOptions {}

impl Slot {
    #[expect(clippy::unnecessary_wraps, reason = "the queue's own has something to refuse")]
    pub(crate) fn new(_config: EsperConfig) -> Result<Self, EsperError> {
        Ok(Self)
    }
}
