//! Tells about losses: a log line a minute, and the callback, on a thread of its own.

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
    reported: BeaconDrops,
    logged: BeaconDrops,
    last: [Option<Instant>; REASONS],
    /// An example of why, for the next line of a reason.
    example: [Option<String>; REASONS],
    callback: Option<SyncSender<BeaconLoss>>,
    /// The place of the reason that the callback hears of first: behind the one that it heard of last.
    turn: usize,
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
        Self {
            shared,
            reported: none,
            logged: none,
            last: [None; REASONS],
            example: [const { None }; REASONS],
            callback,
            turn: 0,
        }
    }

    /// Notes why an event is about to be lost.
    pub(super) fn because(&mut self, reason: DropReason, error: &EsperError) {
        self.example[reason as usize].get_or_insert_with(|| error.to_string());
    }

    /// Tells what was lost since the last time; never waits. Returns when to tell what has to wait.
    pub(super) fn tell(&mut self, now: Instant) -> Option<Instant> {
        let dropped = self.shared.lock().queue.dropped_so_far();
        let next_line = if self.logged == dropped { None } else { self.log(&dropped, now) };
        let next_call = self.call(&dropped).then(|| now + BUSY);
        next_line.into_iter().chain(next_call).min()
    }

    /// Calls back, and returns true if the callback is too busy for all of it.
    fn call(&mut self, dropped: &BeaconDrops) -> bool {
        let Some(callback) = &self.callback else { return false };
        // A slow callback hears of one reason at a time, and of each in its turn.
        for reason in DropReason::ALL.iter().copied().cycle().skip(self.turn).take(REASONS) {
            let events = dropped.of(reason) - self.reported.of(reason);
            if events == 0 {
                continue;
            }
            match callback.try_send(BeaconLoss { reason, events }) {
                Ok(()) => {
                    self.reported.add(reason, events);
                    self.turn = reason as usize + 1;
                }
                // The sum waits for the next time.
                Err(TrySendError::Full(_)) => return true,
                Err(TrySendError::Disconnected(_)) => return false,
            }
        }
        false
    }

    /// Tells what can be told without waiting, for the last time.
    pub(super) fn tell_at_last(&mut self) {
        // There is no later line in which it would be counted.
        self.last = [None; REASONS];
        self.tell(Instant::now());
    }

    /// Tells the callback the rest, however long it takes.
    pub(super) fn tell_the_rest(self) {
        let Some(callback) = self.callback else { return };
        let dropped = self.shared.lock().queue.dropped_so_far();
        for (reason, total) in dropped.iter() {
            let events = total - self.reported.of(reason);
            if events > 0 && callback.send(BeaconLoss { reason, events }).is_err() {
                return;
            }
        }
    }

    /// A line for each reason, at most once a minute, with the sum since the last. Returns when the
    /// next one is due.
    fn log(&mut self, dropped: &BeaconDrops, now: Instant) -> Option<Instant> {
        let mut next = None;
        for (reason, total) in dropped.iter() {
            let events = total - self.logged.of(reason);
            if events == 0 {
                continue;
            }
            let last = &mut self.last[reason as usize];
            if let Some(due) = last.map(|last| last + PAUSE).filter(|due| *due > now) {
                next = Some(next.map_or(due, |next: Instant| next.min(due)));
                continue;
            }
            *last = Some(now);
            self.logged.add(reason, events);
            let example = self.example[reason as usize].take();
            let reason = reason.as_str();
            warn!(reason, events, example, "beacon events are being lost; see Beacons::stats");
        }
        next
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
/// The shortest time between two lines for the same reason.
const PAUSE: Duration = Duration::from_secs(60);
/// How soon a callback that is busy is told the rest.
const BUSY: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use std::sync::{Mutex, mpsc};

    use super::*;
    use crate::test_log::TestLog;
    use crate::{BeaconEvent, BeaconOptions};

    #[test]
    fn a_line_a_minute_has_the_sum_since_the_last_and_a_cause_of_its_own() {
        let (log, _guard) = TestLog::start();
        let shared = Arc::new(Shared::new(&BeaconOptions::new()));
        let mut losses = Losses::new(Arc::clone(&shared), None);
        let start = Instant::now();
        let mut lose = |seconds, cause: &str| {
            shared.send(BeaconEvent::new("x"));
            let entry = shared.lock().queue.take(start).unwrap();
            losses.because(DropReason::Refused, &EsperError::validation("x", cause));
            shared.lock().queue.dropped(&entry, DropReason::Refused);
            losses.tell(start + Duration::from_secs(seconds));
        };
        for (seconds, cause) in [(0, "first"), (1, "second"), (59, "third"), (60, "fourth")] {
            lose(seconds, cause);
        }
        lose(3_600, "an hour later");
        lose(3_601, "at the end");
        losses.tell_at_last();

        let text = log.text();
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines.len(), 4, "{text}");
        for (line, (events, cause)) in
            lines.iter().zip([(1, "first"), (3, "second"), (1, "an hour later"), (1, "at the end")])
        {
            assert!(line.contains(&format!("events={events} example=\"{cause}\"")), "{text}");
        }
    }

    #[test]
    fn a_slow_callback_hears_of_each_reason_in_its_turn_and_of_all_losses_in_the_end() {
        let _log = TestLog::start();
        let (say, heard) = mpsc::channel();
        let (go_on, wait) = mpsc::channel::<()>();
        let wait = Mutex::new(wait);
        let on_loss: OnLoss = Arc::new(move |loss| {
            let _ = say.send((loss.reason, loss.events));
            let _ = wait.lock().unwrap().recv();
        });
        let shared = Arc::new(Shared::new(&BeaconOptions::new()));
        let mut losses = Losses::new(Arc::clone(&shared), Some(on_loss));
        let mut lose = |reasons: &[DropReason]| {
            let now = Instant::now();
            for reason in reasons {
                shared.send(BeaconEvent::new("x"));
                let entry = shared.lock().queue.take(now).unwrap();
                shared.lock().queue.dropped(&entry, *reason);
            }
            losses.tell(now).map(|next| next - now)
        };
        assert_eq!(lose(&[DropReason::Full]), None);
        assert_eq!(heard.recv(), Ok((DropReason::Full, 1)));
        // From now on it is always busy, and there is room for one further loss.
        for told in [(DropReason::Refused, 1), (DropReason::Full, 2), (DropReason::Refused, 2)] {
            let next = lose(&[DropReason::Full, DropReason::Refused]);
            assert_eq!(next, Some(BUSY), "the rest is told soon, also where no event comes");
            go_on.send(()).unwrap();
            assert_eq!(heard.recv(), Ok(told));
        }
        drop(go_on);
        losses.tell_the_rest();
        let rest: Vec<_> = heard.iter().collect();
        assert_eq!(rest, [(DropReason::Full, 1)]);
    }
}
