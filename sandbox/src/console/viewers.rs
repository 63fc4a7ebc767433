//! Seat those who follow the console: a bounded number, and none longer than the sandbox lives.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::{Interval, MissedTickBehavior, interval};

/// The seats.
#[derive(Debug)]
pub(crate) struct Viewers {
    seats: Arc<Semaphore>,
    closing: watch::Receiver<()>,
}

/// Sends all viewers home when it is dropped, so that a stop need not wait for them.
#[derive(Debug)]
pub(crate) struct Curtain {
    _open: watch::Sender<()>,
}

/// One who follows, until this is dropped.
#[derive(Debug)]
pub(crate) struct Viewer {
    _seat: OwnedSemaphorePermit,
    closing: watch::Receiver<()>,
    looks: Interval,
}

impl Viewers {
    pub(crate) fn new() -> (Self, Curtain) {
        let (open, closing) = watch::channel(());
        (Self { seats: Arc::new(Semaphore::new(SEATS)), closing }, Curtain { _open: open })
    }

    /// Seats one more, if there is a seat.
    pub(crate) fn seat(&self) -> Option<Viewer> {
        let seat = Arc::clone(&self.seats).try_acquire_owned().ok()?;
        let mut looks = interval(PACE);
        // Whoever was slow gets the next look later, not several at once.
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Some(Viewer { _seat: seat, closing: self.closing.clone(), looks })
    }
}

impl Viewer {
    /// Waits until it is time to look again; false means that the curtain fell.
    pub(crate) async fn may_look(&mut self) -> bool {
        tokio::select! {
            biased;
            // Nothing is ever sent, so any news is the end.
            _ = self.closing.changed() => false,
            _ = self.looks.tick() => true,
        }
    }
}

/// The most viewers at once.
pub(crate) const SEATS: usize = 16;

/// The least time between two looks of a viewer.
const PACE: Duration = Duration::from_millis(500);

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_seat_is_free_again_when_its_viewer_leaves() {
        let (viewers, _curtain) = Viewers::new();
        let mut seated: Vec<_> = (0..SEATS).map(|_| viewers.seat().expect("a seat")).collect();
        assert!(viewers.seat().is_none());
        seated.pop();
        assert!(viewers.seat().is_some());
    }

    #[tokio::test]
    async fn the_first_look_is_at_once_and_the_curtain_ends_them_all() {
        let (viewers, curtain) = Viewers::new();
        let mut viewer = viewers.seat().expect("a seat");
        assert!(viewer.may_look().await);
        drop(curtain);
        assert!(!viewer.may_look().await);
    }
}
