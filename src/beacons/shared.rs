//! What the handles and the worker share: the queue behind its lock, and who waits for what.

use std::collections::VecDeque;
use std::hint;
use std::process;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError, TryLockError, mpsc};
use std::time::Instant;

use tokio::sync::{Notify, oneshot};

use super::queue::{Entry, Job, Queue};
use super::stats::{BeaconReport, BeaconStats, DropReason};
use super::{BeaconOptions, weight};
use crate::BeaconEvent;

#[derive(Debug)]
pub(super) struct Shared {
    state: Mutex<State>,
    /// Wakes the worker.
    pub(super) wake: Notify,
    pub(super) callback_panics: AtomicU64,
    /// Where the worker is. A fork copies the queue and not the worker.
    process: u32,
}

#[derive(Debug)]
pub(super) struct State {
    pub(super) queue: Queue,
    waiters: Vec<Waiter>,
    /// When a shutdown is over at the latest.
    pub(super) shutdown: Option<Instant>,
    /// When the last handle went.
    pub(super) orphaned: Option<Instant>,
    /// The worker sleeps until it is woken; otherwise it looks by itself every few milliseconds.
    pub(super) parked: bool,
    /// There is no worker, or no longer.
    ended: bool,
}

/// Somebody who waits for the queue.
#[derive(Debug)]
struct Waiter {
    goal: Goal,
    before: Before,
    reply: Reply,
}

/// What somebody waits for.
#[derive(Clone, Copy, Debug)]
pub(super) enum Goal {
    /// That nothing is left of what was accepted before, or that the time is over.
    Flushed { by: Instant },
    /// That the worker has ended.
    Ended,
}

/// The counts when the waiting began.
#[derive(Clone, Copy, Debug)]
pub(super) struct Before {
    accepted: u64,
    delivered: u64,
    dropped: u64,
}

/// Whom to tell.
#[derive(Debug)]
pub(super) enum Reply {
    Future(oneshot::Sender<BeaconReport>),
    Thread(mpsc::Sender<BeaconReport>),
}

impl Shared {
    pub(super) fn new(options: &BeaconOptions) -> Self {
        let state = State {
            queue: Queue::new(options.limits),
            waiters: Vec::new(),
            shutdown: None,
            orphaned: None,
            parked: false,
            ended: false,
        };
        let callback_panics = AtomicU64::new(0);
        let process = process::id();
        Self { state: Mutex::new(state), wake: Notify::new(), callback_panics, process }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        // The state is whole at every point where something could panic.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Locks without the system's help where it can: another sender is done in less time than it
    /// takes to fall asleep and be woken.
    fn lock_soon(&self) -> MutexGuard<'_, State> {
        for _ in 0..SPINS {
            match self.state.try_lock() {
                Ok(state) => return state,
                Err(TryLockError::Poisoned(_)) => break,
                Err(TryLockError::WouldBlock) => hint::spin_loop(),
            }
        }
        self.lock()
    }

    pub(super) fn send(&self, event: BeaconEvent) {
        let job = Job::new(event.stamped());
        let weight = weight::of(&job.event);
        let mut state = self.lock_soon();
        let evicted = state.queue.accept(job, weight);
        let parked = std::mem::take(&mut state.parked);
        drop(state);
        if parked {
            self.wake.notify_one();
        }
        drop(evicted);
    }

    pub(super) fn stats(&self) -> BeaconStats {
        let state = self.lock();
        BeaconStats {
            accepted: state.queue.accepted(),
            delivered: state.queue.delivered_so_far(),
            dropped: state.queue.dropped_so_far(),
            queued: state.queue.queued() as u64,
            callback_panics: self.callback_panics.load(Ordering::Relaxed),
        }
    }

    /// Takes no more events, and gives the worker until then for the rest.
    pub(super) fn close(&self, deadline: Instant) -> Before {
        let mut state = self.lock();
        state.queue.close(DropReason::Closed);
        // The most impatient of several decides.
        state.shutdown = Some(state.shutdown.map_or(deadline, |other| other.min(deadline)));
        // Counted now: the worker may have given up the rest by the time that somebody waits for it.
        state.now()
    }

    /// The counts so far.
    pub(super) fn now(&self) -> Before {
        self.lock().now()
    }

    /// Notes that the last handle is gone; returns true if nothing is queued.
    pub(super) fn orphan(&self, now: Instant) -> bool {
        let mut state = self.lock();
        state.orphaned = Some(now);
        state.queue.queued() == 0
    }

    /// Replies with what was achieved since `before`, when the goal is reached. At once, where there is
    /// no worker.
    pub(super) fn when(&self, goal: Goal, before: Before, reply: Reply) {
        if self.is_copy() {
            // What was on its way is so in the other process alone.
            self.lock().queue.clear_in_flight(DropReason::NoWorker);
            self.give_up(DropReason::NoWorker);
            self.end();
        }
        let mut state = self.lock();
        if state.ended {
            let report = state.report(before);
            drop(state);
            reply.send(report);
        } else {
            state.waiters.push(Waiter { goal, before, reply });
            state.parked = false;
            drop(state);
            self.wake.notify_one();
        }
    }

    /// Answers those whose goal is reached or whose time is over.
    ///
    /// Where nothing can happen before some instant, a deadline before it is as good as over:
    /// waiting for it would only delay the bad news.
    pub(super) fn answer_waiters(&self, now: Instant, nothing_before: Option<Instant>) {
        let mut state = self.lock();
        let mut answers = Vec::new();
        let mut at = 0;
        while at < state.waiters.len() {
            let waiter = &state.waiters[at];
            // A future that was dropped must not be looked after until its time is over.
            let done = waiter.reply.is_in_vain()
                || match waiter.goal {
                    Goal::Flushed { by } => {
                        let over = by <= now || Some(by) < nothing_before;
                        over || state.queue.left_of(waiter.before.accepted) == 0
                    }
                    Goal::Ended => false,
                };
            if done {
                let report = state.report(waiter.before);
                answers.push((state.waiters.swap_remove(at).reply, report));
            } else {
                at += 1;
            }
        }
        drop(state);
        answers.into_iter().for_each(|(reply, report)| reply.send(report));
    }

    /// Closes the queue, and gives up what waits. Nobody hears of it before the end.
    pub(super) fn give_up(&self, reason: DropReason) {
        let mut state = self.lock();
        state.queue.close(if reason == DropReason::NoWorker { reason } else { DropReason::Closed });
        let cleared: [VecDeque<Entry>; 2] = state.queue.clear(reason);
        drop(state);
        drop(cleared);
    }

    /// Notes that there is no worker any longer, and answers everybody.
    pub(super) fn end(&self) {
        let mut state = self.lock();
        state.ended = true;
        let waiters = std::mem::take(&mut state.waiters);
        let reports: Vec<_> = waiters.iter().map(|waiter| state.report(waiter.before)).collect();
        drop(state);
        waiters.into_iter().zip(reports).for_each(|(waiter, report)| waiter.reply.send(report));
    }

    /// Whether this is a fork's copy, which has no worker. Another thread may have held the lock
    /// when it was made, and nobody will release it.
    pub(super) fn is_copy(&self) -> bool {
        self.process != process::id()
    }

    /// What was achieved since the waiting began.
    pub(super) fn report(&self, before: Before) -> BeaconReport {
        self.lock().report(before)
    }
}

impl State {
    fn now(&self) -> Before {
        Before {
            accepted: self.queue.accepted(),
            delivered: self.queue.delivered_so_far(),
            dropped: self.queue.dropped_so_far().total(),
        }
    }

    fn report(&self, before: Before) -> BeaconReport {
        let now = self.now();
        BeaconReport {
            delivered: now.delivered - before.delivered,
            dropped: now.dropped - before.dropped,
            left: self.queue.left_of(before.accepted) as u64,
        }
    }
}

impl Reply {
    fn send(self, report: BeaconReport) {
        // Whoever does not wait any longer does not hear of it.
        match self {
            Self::Future(sender) => _ = sender.send(report),
            Self::Thread(sender) => _ = sender.send(report),
        }
    }

    /// Whether nobody waits for it any longer. A thread waits until its time is over.
    fn is_in_vain(&self) -> bool {
        matches!(self, Self::Future(sender) if sender.is_closed())
    }
}

/// Looks at the lock before a sender sleeps: a microsecond or two.
const SPINS: u32 = 64;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_flush_that_nobody_waits_for_any_longer_is_forgotten() {
        let shared = Shared::new(&BeaconOptions::new());
        shared.send(BeaconEvent::new("http_request"));
        let now = Instant::now();
        let flush = Goal::Flushed { by: now + Duration::from_secs(3600) };
        let (sender, waiting) = oneshot::channel();
        shared.when(flush, shared.now(), Reply::Future(sender));
        shared.when(flush, shared.now(), Reply::Future(oneshot::channel().0));
        shared.answer_waiters(now, None);
        assert_eq!(shared.lock().waiters.len(), 1);
        shared.give_up(DropReason::Abandoned);
        shared.end();
        assert_eq!(waiting.blocking_recv().unwrap().dropped, 1);
    }

    #[test]
    fn a_shutdown_counts_what_was_given_up_before_anybody_waited_for_it() {
        let shared = Shared::new(&BeaconOptions::new());
        shared.send(BeaconEvent::new("http_request"));
        let lost = shared.lock().queue.take(Instant::now()).unwrap();
        shared.lock().queue.dropped(&lost, DropReason::Refused);
        shared.send(BeaconEvent::new("http_request"));
        let before = shared.close(Instant::now());
        shared.give_up(DropReason::Abandoned);
        shared.end();
        let (sender, waiting) = oneshot::channel();
        shared.when(Goal::Ended, before, Reply::Future(sender));
        assert_eq!(waiting.blocking_recv().unwrap().dropped, 1);
    }
}
