//! The thread that delivers: what is waiting goes out, as far as the schedule allows.

use std::future::{Future, poll_fn};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::thread;
use std::time::{Duration, Instant};

use tokio::runtime::{Builder, Runtime};
use tokio::task::{JoinError, JoinSet};
use tokio::time::timeout_at;
use tracing::{error, info, warn};

use super::delivery::{Delivery, Fault, Finished, Sender};
use super::loss::Losses;
use super::schedule::{Cause, Failure, Permit, Schedule};
use super::shared::Shared;
use super::stats::DropReason;
use crate::metrics::Published;
use crate::{EsperConfig, EsperError};

/// What the thread owns.
struct Worker<'a> {
    shared: Arc<Shared>,
    sender: Arc<Sender>,
    losses: &'a mut Losses,
    published: &'a mut Published,
    schedule: Schedule,
    deliveries: JoinSet<Finished>,
    in_flight: usize,
    /// For the log: whose trouble it is.
    beacon_url: String,
    /// When there last was something to do.
    busy: Instant,
    /// When the service last dealt with an event.
    progress: Option<Instant>,
}

/// What to do when nothing more can begin now.
enum Next {
    Until(Option<Instant>),
    End,
}

/// Starts the thread. Where that fails, events count as dropped.
pub(super) fn start(config: &EsperConfig, shared: &Arc<Shared>) {
    let (config, theirs) = (config.clone(), Arc::clone(shared));
    let started = thread::Builder::new()
        .name("esper-beacons".to_owned())
        .spawn(|| work(config, theirs, runtime().build()));
    if let Err(error) = started {
        error!(%error, "no thread for beacon events; all of them will be dropped");
        shared.give_up(DropReason::NoWorker);
        shared.end();
    }
}

/// What the thread runs on.
fn runtime() -> Builder {
    let mut builder = Builder::new_current_thread();
    builder.enable_all();
    builder
}

fn work(config: EsperConfig, shared: Arc<Shared>, runtime: io::Result<Runtime>) {
    let mut losses = Losses::new(Arc::clone(&shared), config.beacons.on_loss.clone());
    let mut published = Published::none();
    // A panic here is a mistake of ours; it must cost events at most, and not in silence.
    let result = catch_unwind(AssertUnwindSafe(|| {
        let runtime = runtime.as_ref().map_err(|error| error.to_string())?;
        let worker = Worker::new(&config, &shared, &mut losses, &mut published);
        let worker = worker.map_err(|error| error.to_string())?;
        runtime.block_on(worker.run());
        Ok(())
    }));
    let ended = matches!(result, Ok(Ok(())));
    let reason = if ended { DropReason::Abandoned } else { DropReason::NoWorker };
    // The name of a host may still be looked up on a further thread; nobody waits for that.
    let _: io::Result<()> = runtime.map(Runtime::shutdown_background);
    shared.give_up(reason);
    // Whoever waits for the end may end the process, so all that can be told is told before.
    survive(|| match result {
        Ok(Ok(())) => {}
        Ok(Err::<(), String>(error)) => {
            error!(%error, "the queue for beacon events cannot start; all of them will be dropped");
        }
        Err(_) => error!("the queue for beacon events broke; all of them will be dropped"),
    });
    survive(|| losses.tell_at_last());
    published.update(|| shared.stats());
    shared.end();
    losses.tell_the_rest();
}

/// Tells something. A log that panics must not keep those waiting who wait for the end.
fn survive(tell: impl FnOnce()) {
    let _: thread::Result<()> = catch_unwind(AssertUnwindSafe(tell));
}

impl<'a> Worker<'a> {
    fn new(
        config: &EsperConfig,
        shared: &Arc<Shared>,
        losses: &'a mut Losses,
        published: &'a mut Published,
    ) -> Result<Self, EsperError> {
        Ok(Self {
            shared: Arc::clone(shared),
            sender: Arc::new(Sender::new(config)?),
            losses,
            published,
            schedule: Schedule::new(config.retry_delay),
            deliveries: JoinSet::new(),
            in_flight: config.beacons.in_flight,
            beacon_url: config.key.redacted(&config.beacon_url).into_owned(),
            busy: now(),
            progress: None,
        })
    }

    async fn run(mut self) {
        loop {
            let now = now();
            let pause = self.deliver(now);
            let pause = pause.filter(|_| self.deliveries.is_empty());
            let untold = self.losses.tell(now);
            self.published.update(|| self.shared.stats());
            self.shared.answer_waiters(now, pause);
            match self.next(now, pause, untold) {
                Next::Until(until) => {
                    for finished in self.wait(until).await {
                        self.settle(finished);
                    }
                }
                Next::End => break,
            }
        }
        while let Some(finished) = self.deliveries.try_join_next() {
            self.settle(finished);
        }
        self.deliveries.shutdown().await;
    }

    /// Begins what may begin now. Returns the end of a pause.
    fn deliver(&mut self, now: Instant) -> Option<Instant> {
        loop {
            let probe = match self.schedule.permit(now) {
                Permit::Free if self.deliveries.len() < self.in_flight => false,
                Permit::Probe => true,
                Permit::NotBefore(instant) => return Some(instant),
                Permit::Free | Permit::AfterProbe => return None,
            };
            let mut state = self.shared.lock();
            let entry = if probe { state.queue.take_probe() } else { state.queue.take(now) };
            drop(state);
            // Nothing waits that may be tried now.
            let entry = entry?;
            let mut delivery = Delivery::new(&self.shared, entry, probe);
            if let Err(error) = delivery.prepare() {
                self.drop_event(delivery, DropReason::Invalid, &error);
                continue;
            }
            if probe {
                self.schedule.probe();
            }
            self.deliveries.spawn(Arc::clone(&self.sender).send(delivery));
        }
    }

    /// What to do until something happens. Losses that are `untold` wait until then.
    fn next(&mut self, now: Instant, pause: Option<Instant>, untold: Option<Instant>) -> Next {
        let mut state = self.shared.lock();
        let queued = state.queue.queued();
        if let Some(orphaned) = state.orphaned {
            let since = self.progress.map_or(orphaned, |progress| progress.max(orphaned));
            if queued == 0 || now.saturating_duration_since(since) >= ORPHAN_TIMEOUT {
                return Next::End;
            }
        }
        if let Some(deadline) = state.shutdown
            && (queued == 0 || deadline <= now || Some(deadline) < pause)
        {
            return Next::End;
        }
        if queued > 0 {
            self.busy = now;
        } else if now.saturating_duration_since(self.busy) >= IDLE {
            state.parked = true;
            return Next::Until(untold);
        }
        // Senders wake nobody, so that they are fast: what they left is found by looking. So are waiters
        // whose time is over, unless a pause goes on for longer: they are answered before it.
        Next::Until(Some(pause.map_or(now + TICK, |end| end.min(now + PAUSED_TICK))))
    }

    /// Waits until deliveries have ended, somebody wakes the worker, or the time is over.
    async fn wait(&mut self, until: Option<Instant>) -> Vec<Result<Finished, JoinError>> {
        let mut ended = Vec::new();
        let deliveries = &mut self.deliveries;
        let mut woken = pin!(self.shared.wake.notified());
        let something = poll_fn(|context| {
            while let Poll::Ready(Some(finished)) = deliveries.poll_join_next(context) {
                ended.push(finished);
            }
            let woken = woken.as_mut().poll(context).is_ready();
            if woken || !ended.is_empty() { Poll::Ready(()) } else { Poll::Pending }
        });
        match until {
            Some(until) => timeout_at(until.into(), something).await.unwrap_or_default(),
            None => something.await,
        }
        ended
    }

    fn settle(&mut self, finished: Result<Finished, JoinError>) {
        let now = now();
        let Ok(Finished { delivery, result }) = finished else {
            // It panicked, which counted its event as dropped. It may have been the probe.
            self.schedule.failed(now, Failure::Unreachable, true);
            return;
        };
        let Err(error) = result else {
            self.worked(now, &delivery);
            return delivery.delivered();
        };
        match Fault::of(&error) {
            Fault::Event(reason) => {
                self.worked(now, &delivery);
                self.drop_event(delivery, reason, &error);
            }
            Fault::Service(failure) => self.postpone(now, delivery, failure, &error),
        }
    }

    fn worked(&mut self, now: Instant, delivery: &Delivery) {
        self.progress = Some(now);
        if self.schedule.worked(delivery.probe) {
            info!(beacon_url = self.beacon_url, "beacon events are delivered again");
        }
    }

    fn postpone(
        &mut self,
        now: Instant,
        mut delivery: Delivery,
        failure: Failure,
        error: &EsperError,
    ) {
        if let Some(cause) = self.schedule.failed(now, failure, delivery.probe) {
            self.log_pause(cause, error);
        }
        let failures = match (failure, delivery.probe) {
            // A rejection may be something's on the way that dislikes this event alone.
            (Failure::BadAnswer | Failure::Unreachable | Failure::KeyRejected, false) => {
                delivery.fail()
            }
            // The fault of everybody, not of this event.
            _ => delivery.failures(),
        };
        if failures >= MOST_FAILURES {
            self.drop_event(delivery, DropReason::Failed, error);
        } else {
            delivery.put_back(now + self.schedule.wait_of(failures));
        }
    }

    /// Says why the queue pauses, once for each pause.
    fn log_pause(&self, cause: Cause, error: &EsperError) {
        let beacon_url = &self.beacon_url;
        match cause {
            Cause::Rejection => error!(
                beacon_url,
                %error,
                "esper rejects the api key: beacon events wait, and the oldest will be lost; \
                 set a valid ESPER_API_KEY"
            ),
            Cause::Outage => warn!(beacon_url, %error, "beacon events wait for a pause to end"),
        }
    }

    fn drop_event(&mut self, delivery: Delivery, reason: DropReason, error: &EsperError) {
        self.losses.because(reason, error);
        delivery.dropped(reason);
    }
}

/// The runtime's time, which tests can pause.
fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

/// How soon a worker that delivers sees what was sent.
const TICK: Duration = Duration::from_millis(5);
/// How soon losses are told where nothing can be delivered.
const PAUSED_TICK: Duration = Duration::from_millis(100);
/// After so long without an event, the next one has to wake the worker.
const IDLE: Duration = Duration::from_secs(1);
/// How often the service may fail on an event while it takes others.
const MOST_FAILURES: u32 = 10;
/// How long a queue without handles goes on while the service takes nothing.
const ORPHAN_TIMEOUT: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests;
