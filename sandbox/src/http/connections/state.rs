//! Activity of one connection: who waits for whom, and when it has to end.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard};

use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use crate::lock::lock;

/// What is known of a connection, shared by all who have a part in it.
#[derive(Debug)]
pub(super) struct ConnectionState {
    pub(super) id: u64,
    activity: Mutex<Activity>,
    evicted: Notify,
    /// Whether it ends with a reset.
    resets: AtomicBool,
    /// Told whenever something was sent.
    sent: watch::Sender<()>,
}

#[derive(Debug)]
struct Activity {
    /// Requests that are not answered in whole.
    open: usize,
    /// Those among them that have arrived in whole and wait for the sandbox.
    received: usize,
    /// When a request last began or ended, or else the connection.
    since: Instant,
}

impl ConnectionState {
    pub(super) fn new(id: u64) -> Self {
        Self {
            id,
            activity: Mutex::new(Activity { open: 0, received: 0, since: Instant::now() }),
            evicted: Notify::new(),
            resets: AtomicBool::new(false),
            sent: watch::Sender::new(()),
        }
    }

    /// A request has begun.
    pub(super) fn begin(&self) {
        let mut activity = self.activity();
        activity.open += 1;
        activity.since = Instant::now();
    }

    /// A request has arrived in whole.
    pub(super) fn received(&self) {
        self.activity().received += 1;
    }

    /// An answer is over, whether or not its request had arrived in whole.
    pub(super) fn end(&self, received: bool) {
        let mut activity = self.activity();
        activity.open -= 1;
        activity.received -= usize::from(received);
        activity.since = Instant::now();
    }

    /// Since when there is no request at all.
    pub(super) fn idle_since(&self) -> Option<Instant> {
        let activity = self.activity();
        (activity.open == 0).then_some(activity.since)
    }

    /// Since when its client has kept the sandbox waiting; nothing if the client waits itself.
    pub(super) fn waits_since(&self) -> Option<Instant> {
        let activity = self.activity();
        (activity.received == 0).then_some(activity.since)
    }

    /// When something last began or ended on it.
    pub(super) fn since(&self) -> Instant {
        self.activity().since
    }

    pub(super) fn evict(&self) {
        self.evicted.notify_one();
    }

    /// Waits until the connection has to end for the sake of others.
    pub(super) async fn evicted(&self) {
        self.evicted.notified().await;
    }

    /// Lets the connection end with a reset, whenever it ends.
    pub(super) fn reset(&self) {
        self.resets.store(true, Ordering::Relaxed);
    }

    pub(super) fn resets(&self) -> bool {
        self.resets.load(Ordering::Relaxed)
    }

    pub(super) fn has_sent(&self) {
        self.sent.send_replace(());
    }

    /// Waits until something is sent that was not yet when this was called.
    pub(super) fn next_sent(&self) -> impl Future<Output = ()> + Send + use<> {
        let mut sent = self.sent.subscribe();
        async move {
            // The sender lives as long as the connection, and so do those who wait here.
            let _ = sent.changed().await;
        }
    }

    fn activity(&self) -> MutexGuard<'_, Activity> {
        lock(&self.activity)
    }
}
