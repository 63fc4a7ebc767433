//! Those who follow the console: a bounded number, and none longer than the sandbox lives.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::{Interval, MissedTickBehavior, interval};

/// Those who follow the console, and how many more may.
#[derive(Debug)]
pub(crate) struct Viewers {
    places: Arc<Semaphore>,
    closing: watch::Receiver<()>,
}

/// Ends what all viewers follow when it is dropped, so that a stop need not wait for them.
#[derive(Debug)]
pub(crate) struct ShutdownSignal {
    _open: watch::Sender<()>,
}

/// One who follows, until this is dropped.
#[derive(Debug)]
pub(crate) struct Viewer {
    _place: OwnedSemaphorePermit,
    closing: watch::Receiver<()>,
    updates: Interval,
}

impl Viewers {
    pub(crate) fn new() -> (Self, ShutdownSignal) {
        let (open, closing) = watch::channel(());
        (
            Self { places: Arc::new(Semaphore::new(VIEWER_LIMIT)), closing },
            ShutdownSignal { _open: open },
        )
    }

    /// Admits one more, if there is a place.
    pub(crate) fn admit(&self) -> Option<Viewer> {
        let place = Arc::clone(&self.places).try_acquire_owned().ok()?;
        let mut updates = interval(UPDATE_INTERVAL);
        // Whoever was slow gets the next look later, not several at once.
        updates.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Some(Viewer { _place: place, closing: self.closing.clone(), updates })
    }
}

impl Viewer {
    /// Waits until it is time to look again; false means that the sandbox stops.
    pub(crate) async fn next_update(&mut self) -> bool {
        tokio::select! {
            biased;
            // Nothing is ever sent, so any news is the end.
            _ = self.closing.changed() => false,
            _ = self.updates.tick() => true,
        }
    }
}

/// The most viewers at once.
pub(crate) const VIEWER_LIMIT: usize = 16;

/// The least time between two updates of a viewer.
const UPDATE_INTERVAL: Duration = Duration::from_millis(500);

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;

    #[tokio::test]
    async fn a_place_is_free_again_when_its_viewer_leaves() {
        let (viewers, _shutdown) = Viewers::new();
        let mut admitted: Vec<_> =
            (0..VIEWER_LIMIT).map(|_| viewers.admit().expect("a place")).collect();
        assert!(viewers.admit().is_none());
        admitted.pop();
        assert!(viewers.admit().is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn a_viewer_has_two_updates_a_second_at_most() {
        let (viewers, _shutdown) = Viewers::new();
        let mut viewer = viewers.admit().expect("a place");
        assert!(viewer.next_update().await);
        for passed in [0, 100, 499, 2000] {
            let start = Instant::now();
            tokio::time::advance(Duration::from_millis(passed)).await;
            assert!(viewer.next_update().await);
            assert_eq!(start.elapsed().as_millis(), passed.max(500).into(), "{passed} ms");
        }
    }

    #[tokio::test]
    async fn the_first_look_is_at_once_and_the_shutdown_ends_them_all() {
        let (viewers, shutdown) = Viewers::new();
        let mut viewer = viewers.admit().expect("a place");
        assert!(viewer.next_update().await);
        drop(shutdown);
        assert!(!viewer.next_update().await);
    }
}
