//! A queue that sends events in the background, for where there is no time to wait.
//!
//! **Feature:** `beacons` (*enabled by default*).
//!
//! [`queue`] holds and counts, [`schedule`] says when to try, [`worker`] does both at their time.

use std::fmt;
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use crate::deadline::saturating_add;
use crate::{BeaconEvent, EsperConfig};

mod delivery;
mod loss;
mod options;
mod queue;
mod schedule;
mod shared;
mod slot;
mod stats;
mod weight;
mod worker;

pub use options::{BeaconLoss, BeaconOptions};
pub(crate) use slot::Slot;
pub use stats::{BeaconDrops, BeaconReport, BeaconStats, DropReason};

use shared::{Before, Goal, Reply, Shared};

/// Sends events in the background; from [`AsyncEsperClient::beacons`] or [`EsperClient::beacons`].
///
/// A clone is cheap, and shares the queue of its original and of the client.
///
/// ```no_run
/// use std::time::Duration;
/// use esper_rs_client::{AsyncEsperClient, BeaconEvent, EsperConfig};
///
/// # async fn run() -> Result<(), esper_rs_client::EsperError> {
/// let client = AsyncEsperClient::new(EsperConfig::new("your-api-key"))?;
/// let beacons = client.beacons();
///
/// // On the hot path:
/// beacons.send(BeaconEvent::new("http_request").with_ip("203.0.113.7").with_path("/login"));
///
/// // Before the process ends:
/// let report = beacons.shutdown(Duration::from_secs(5)).await;
/// if !report.is_complete() {
///     eprintln!("{} of the last events were lost: {:?}", report.dropped, beacons.stats());
/// }
/// # Ok(())
/// # }
/// ```
///
/// # What is promised
///
/// - **The caller never waits.** [`send`](Self::send) takes a lock for some nanoseconds, and wakes
///   the queue only after a second without events; a thread of the queue's own, with a runtime of
///   its own, finds the event within milliseconds. It works in any runtime or none, and goes on
///   when the runtime ends.
/// - **Memory is bounded.** The queue holds 10,000 events and 8 MiB, what is on its way included.
///   When it is full, the oldest event gives way to the new one.
/// - **Nothing is lost in silence.** [`stats`](Self::stats) counts every event, by
///   [`DropReason`] if it was dropped; [`BeaconOptions::with_on_loss`] calls back until the queue
///   ends, and at most one log line a minute for each reason has the sum.
/// - **An event is delivered at least once, or counted as dropped.** All of its attempts carry one
///   timestamp and one `Idempotency-Key`, so that the service counts it once. Events may arrive
///   in another order than they were sent.
/// - **One bad event costs one event.** An event with a member that does not fit is dropped as
///   [`Invalid`](DropReason::Invalid) without being sent, one that the service does not want (400,
///   413) as [`Refused`](DropReason::Refused), and one that it failed on ten times while it took
///   others as [`Failed`](DropReason::Failed).
/// - **A service in trouble is left alone.** Without a connection or an answer, or after five
///   answers like 500 in a row, the queue pauses and sends one event as a probe: after at most 1 s
///   ([`EsperConfig::with_retry_delay`], which says how it is drawn), then after at most twice as
///   long, up to 60 s. So it does after a 429; a `Retry-After` makes the pause as long as it asks,
///   up to 5 minutes. A rejected key (401, 403) is said once in the log, and pauses the queue for
///   30 times as long: with a delay of 1 s, for 15 to 30 s at first, and up to 5 minutes.
///
/// # The end of a process
///
/// Only [`flush`](Self::flush) and [`shutdown`](Self::shutdown) guarantee anything, and both end
/// within the time that they are given. When the last handle and the last client are dropped
/// without them, the drop waits for the rest of the events for at most 100 ms; then the thread
/// goes on by itself, as long as the process lives, until the queue is empty or the service has
/// taken nothing for 60 s. A queue does not survive `fork`: make the client after it. The copy that
/// the forked process has delivers nothing; its first flush or shutdown counts what is in it as
/// [`NoWorker`](DropReason::NoWorker), also what the original is about to deliver. Where another
/// thread was using the queue at the moment of the fork, every method of the copy may wait for ever;
/// only its drop never does.
///
/// [`AsyncEsperClient::beacons`]: crate::AsyncEsperClient::beacons
#[cfg_attr(feature = "blocking", doc = "[`EsperClient::beacons`]: crate::EsperClient::beacons")]
#[cfg_attr(not(feature = "blocking"), doc = "[`EsperClient::beacons`]: crate#features")]
#[derive(Clone)]
pub struct Beacons {
    handle: Arc<Handle>,
}

impl Beacons {
    /// Starts a queue. Where the system gives no thread, it drops and counts every event.
    fn start(config: &EsperConfig) -> Self {
        let shared = Arc::new(Shared::new(&config.beacons));
        worker::start(config, &shared);
        Self { handle: Arc::new(Handle { shared }) }
    }

    /// Queues an event, and returns at once.
    ///
    /// It never waits for the service, never fails and allocates no more than the event takes. An
    /// event without a timestamp gets the present one. What cannot be delivered is counted in
    /// [`stats`](Self::stats): an event with a member that does not fit as
    /// [`DropReason::Invalid`], one after a shutdown as [`DropReason::Closed`].
    pub fn send(&self, event: BeaconEvent) {
        self.shared().send(event);
    }

    /// Counts what became of the events so far.
    #[must_use]
    pub fn stats(&self) -> BeaconStats {
        self.shared().stats()
    }

    /// Waits until the events sent so far are delivered or dropped, for at most this long.
    ///
    /// It returns early where the queue pauses for longer than that. It needs no runtime around
    /// it, and dropping the future changes nothing for the queue.
    pub async fn flush(&self, timeout: Duration) -> BeaconReport {
        let before = self.shared().now();
        self.reached(Goal::Flushed { by: deadline(timeout) }, before).await
    }

    /// Does what [`flush`](Self::flush) does, and blocks the calling thread.
    pub fn flush_blocking(&self, timeout: Duration) -> BeaconReport {
        let before = self.shared().now();
        self.reached_blocking(Goal::Flushed { by: deadline(timeout) }, before, timeout)
    }

    /// Takes no more events, and waits until those sent so far are delivered or dropped, for at
    /// most this long. Then it drops the rest, and the queue ends for all of its handles. What was
    /// lost is in the log and the metrics by then; the callback for losses may still be busy with it.
    /// Where there is no worker, as in a forked process, `stats` alone has it.
    ///
    /// It returns early where the queue pauses for longer than that. Dropping the future does not
    /// take the shutdown back.
    pub async fn shutdown(&self, timeout: Duration) -> BeaconReport {
        let before = self.shared().close(deadline(timeout));
        self.reached(Goal::Ended, before).await
    }

    /// Does what [`shutdown`](Self::shutdown) does, and blocks the calling thread.
    pub fn shutdown_blocking(&self, timeout: Duration) -> BeaconReport {
        let before = self.shared().close(deadline(timeout));
        self.reached_blocking(Goal::Ended, before, timeout)
    }

    async fn reached(&self, goal: Goal, before: Before) -> BeaconReport {
        let (sender, answer) = oneshot::channel();
        self.shared().when(goal, before, Reply::Future(sender));
        answer.await.unwrap_or_else(|_| self.shared().report(before))
    }

    fn reached_blocking(&self, goal: Goal, before: Before, timeout: Duration) -> BeaconReport {
        let (sender, answer) = mpsc::channel();
        self.shared().when(goal, before, Reply::Thread(sender));
        let answer = answer.recv_timeout(timeout.saturating_add(GRACE));
        answer.unwrap_or_else(|_| self.shared().report(before))
    }

    fn shared(&self) -> &Shared {
        &self.handle.shared
    }
}

impl fmt::Debug for Beacons {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Beacons").field("stats", &self.stats()).finish_non_exhaustive()
    }
}

/// What all handles hold together; its drop is that of the last one.
struct Handle {
    shared: Arc<Shared>,
}

impl Drop for Handle {
    fn drop(&mut self) {
        if self.shared.is_copy() {
            // A process that does not know of the queue must not hang at its end.
            return;
        }
        let empty = self.shared.orphan(Instant::now());
        let (sender, ended) = mpsc::channel();
        self.shared.when(Goal::Ended, self.shared.now(), Reply::Thread(sender));
        if !empty {
            // Whether the queue has ended by then or not: what is left goes on without us.
            let _ = ended.recv_timeout(LAST_MOMENT);
        }
    }
}

fn deadline(timeout: Duration) -> Instant {
    let now = Instant::now();
    saturating_add(now.into(), timeout).into_std()
}

/// How long the drop of the last handle may take.
const LAST_MOMENT: Duration = Duration::from_millis(100);
/// What the worker may take to give up the rest when the time is over: on a busy machine, until its
/// turn comes. Who stopped waiting before would report as left what is about to be dropped.
const GRACE: Duration = Duration::from_secs(1);
