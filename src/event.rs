//! Events from which Esper learns.

use std::time::{SystemTime, UNIX_EPOCH};

pub use crate::generated::types::BeaconEvent;

impl BeaconEvent {
    /// Fills in the present as the time of an event that has none.
    pub(crate) fn stamped(mut self) -> Self {
        self.timestamp.get_or_insert_with(|| {
            let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
        });
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_keeps_the_time_that_it_has() {
        assert_eq!(BeaconEvent::new("x").with_timestamp(7).stamped().timestamp, Some(7));
        assert!(BeaconEvent::new("x").stamped().timestamp > Some(1_700_000_000_000));
    }
}
