//! Tells about losses: a log line an episode, and the callback, on a thread of its own.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use tracing::warn;

use super::options::{BeaconLoss, OnLoss};
use super::shared::Shared;
use super::stats::{BeaconDrops, DropReason};
use crate::EsperError;

/// What the worker knows of the losses that were told.
#[derive(Debug)]
pub(super) struct Losses {
    shared: Arc<Shared>,
    told: BeaconDrops,
    logged: BeaconDrops,
    last: [Option<Instant>; REASONS],
    /// An example of why, for the next line of a reason.
    example: [Option<String>; REASONS],
    callback: Option<SyncSender<BeaconLoss>>,
}

impl Losses {
    pub(super) fn new(shared: Arc<Shared>, on_loss: Option<OnLoss>) -> Self {
        let callback = on_loss.and_then(|on_loss| {
            // A callback that is slow gets sums, not a backlog.
            let (sender, losses) = sync_channel(1);
            let counter = Arc::clone(&shared);
            let started = thread::Builder::new()
                .name("esper-loss".to_owned())
                .spawn(move || call(&on_loss, &losses, &counter));
            if let Err(error) = &started {
                warn!(%error, "no thread for the callback about lost beacon events");
            }
            started.ok().map(|_| sender)
        });
        let none = BeaconDrops::default();
        let example = [const { None }; REASONS];
        Self { shared, told: none, logged: none, last: [None; REASONS], example, callback }
    }

    /// Notes why an event is about to be lost.
    pub(super) fn because(&mut self, reason: DropReason, error: &EsperError) {
        self.example[reason as usize].get_or_insert_with(|| error.to_string());
    }

    /// Tells what was lost since the last time; never waits.
    pub(super) fn tell(&mut self, now: Instant) {
        let dropped = self.shared.lock().queue.dropped_so_far();
        if self.logged != dropped {
            self.log(&dropped, now);
        }
        let Some(callback) = &self.callback else { return };
        for (reason, total) in dropped.iter() {
            let events = total - self.told.of(reason);
            if events == 0 {
                continue;
            }
            match callback.try_send(BeaconLoss { reason, events }) {
                Ok(()) => self.told.add(reason, events),
                // The sum waits for the next time.
                Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => return,
            }
        }
    }

    /// Tells the rest, however long the callback takes.
    pub(super) fn tell_the_rest(mut self) {
        self.tell(Instant::now());
        let Some(callback) = self.callback else { return };
        let dropped = self.shared.lock().queue.dropped_so_far();
        for (reason, total) in dropped.iter() {
            let events = total - self.told.of(reason);
            if events > 0 && callback.send(BeaconLoss { reason, events }).is_err() {
                return;
            }
        }
    }

    /// One line for each reason that was quiet for a while.
    fn log(&mut self, dropped: &BeaconDrops, now: Instant) {
        for (reason, total) in dropped.iter() {
            let events = total - self.logged.of(reason);
            if events == 0 {
                continue;
            }
            let last = self.last[reason as usize].replace(now);
            if last.is_none_or(|last| now.duration_since(last) > EPISODE) {
                let example = self.example[reason as usize].take().unwrap_or_default();
                let reason = reason.as_str();
                warn!(reason, events, example, "beacon events are being lost; see Beacons::stats");
            }
        }
        self.logged = *dropped;
    }
}

fn call(on_loss: &OnLoss, losses: &Receiver<BeaconLoss>, shared: &Shared) {
    for loss in losses {
        if catch_unwind(AssertUnwindSafe(|| on_loss(&loss))).is_err() {
            shared.callback_panics.fetch_add(1, Ordering::Relaxed);
        }
    }
}

const REASONS: usize = DropReason::ALL.len();
/// How long it must be quiet before the next loss is logged again.
const EPISODE: Duration = Duration::from_secs(60);
