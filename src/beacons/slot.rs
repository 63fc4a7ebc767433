//! Where a client and its clones keep their queue.

use std::sync::{Arc, OnceLock};

use super::Beacons;
use crate::{EsperConfig, EsperError};

/// Empty until somebody asks for the queue.
#[derive(Clone, Debug)]
pub(crate) struct Slot(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    config: EsperConfig,
    beacons: OnceLock<Beacons>,
}

impl Slot {
    /// Checks the options that the queue will have.
    pub(crate) fn new(config: EsperConfig) -> Result<Self, EsperError> {
        config.beacons.check()?;
        Ok(Self(Arc::new(Inner { config, beacons: OnceLock::new() })))
    }

    pub(crate) fn beacons(&self) -> Beacons {
        self.0.beacons.get_or_init(|| Beacons::start(&self.0.config)).clone()
    }
}
