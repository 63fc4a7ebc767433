//! A bounded queue that drops the oldest and counts everything. No I/O, no clock, no lock.

use std::collections::VecDeque;
use std::time::Instant;

use uuid::Uuid;

use super::stats::{BeaconDrops, DropReason};
use crate::BeaconEvent;

/// Events that wait, and a note of those that are on their way.
#[derive(Debug)]
pub(super) struct Queue {
    limits: Limits,
    /// Events that were never tried, oldest first.
    pending: VecDeque<Entry>,
    /// Events that failed before, in the order of their failures; older than all pending ones.
    retrying: VecDeque<Entry>,
    /// The numbers of the events on their way.
    in_flight: Vec<u64>,
    bytes: usize,
    closed: Option<DropReason>,
    accepted: u64,
    delivered: u64,
    dropped: BeaconDrops,
}

/// How much a queue holds, what is on its way included.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    pub(super) events: usize,
    pub(super) bytes: usize,
}

/// An event in the queue, or on its way with the one who took it.
///
/// What the queue itself looks at is here, and the rest behind a pointer: senders hold up each
/// other for as long as an entry takes to be moved, and what gives way to a new one was last
/// touched long ago, perhaps by another core.
#[derive(Debug)]
pub(super) struct Entry {
    number: u64,
    weight: usize,
    /// When it may be tried again.
    due: Option<Instant>,
    pub(super) job: Box<Job>,
}

/// An event with what belongs to it.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) event: BeaconEvent,
    /// Its `Idempotency-Key`, from the first attempt on.
    pub(super) id: Option<Uuid>,
    /// How often the service failed on it while it took others.
    pub(super) failures: u32,
}

/// What gave way to an event; dropped by the caller, who holds no lock then.
#[must_use = "drop it where no lock is held"]
#[derive(Debug, Default)]
pub(super) struct Evicted {
    /// One is the usual case, and costs no allocation.
    first: Option<Entry>,
    more: Vec<Entry>,
}

impl Queue {
    pub(super) fn new(limits: Limits) -> Self {
        Self {
            limits,
            // All at once, so that no sender pays for the growth; pages are touched when used.
            pending: VecDeque::with_capacity(limits.events.min(PREPARED)),
            retrying: VecDeque::new(),
            in_flight: Vec::new(),
            bytes: 0,
            closed: None,
            accepted: 0,
            delivered: 0,
            dropped: BeaconDrops::default(),
        }
    }

    /// Takes an event, and makes room for it. One without a weight cannot be sent.
    pub(super) fn accept(&mut self, job: Box<Job>, weight: Option<usize>) -> Evicted {
        let number = self.accepted;
        self.accepted += 1;
        let entry = Entry { number, weight: weight.unwrap_or_default(), due: None, job };
        let mut evicted = Evicted::default();
        let unfit = match weight {
            None => Some(DropReason::Invalid),
            Some(weight) if weight > self.limits.bytes => Some(DropReason::Full),
            Some(_) => None,
        };
        if let Some(reason) = self.closed.or(unfit) {
            self.dropped.add(reason, 1);
            evicted.add(entry);
            return evicted;
        }
        self.bytes += entry.weight;
        self.pending.push_back(entry);
        while self.queued() > self.limits.events || self.bytes > self.limits.bytes {
            // At the latest the new event itself, where everything else is on its way.
            let Some(oldest) = self.pop_oldest() else { break };
            self.bytes -= oldest.weight;
            self.dropped.add(DropReason::Full, 1);
            evicted.add(oldest);
        }
        evicted
    }

    /// Takes out the oldest event that may be tried now. It still counts as queued.
    pub(super) fn take(&mut self, now: Instant) -> Option<Entry> {
        // They failed in another order than they are due in.
        let due = self.retrying.iter().position(|entry| entry.due <= Some(now));
        let entry = match due {
            Some(place) => self.retrying.remove(place),
            None => self.pending.pop_front(),
        };
        self.depart(entry)
    }

    /// Takes out an event to try a service with that may be down. It still counts as queued.
    ///
    /// Rather one that was never tried, so that it is not always the same: the trouble may be
    /// the event's.
    pub(super) fn take_probe(&mut self) -> Option<Entry> {
        let entry = self.pending.pop_front().or_else(|| self.retrying.pop_front());
        self.depart(entry)
    }

    /// Counts an event that arrived.
    pub(super) fn delivered(&mut self, entry: &Entry) {
        self.arrive(entry);
        self.bytes -= entry.weight;
        self.delivered += 1;
    }

    /// Counts an event that was on its way and is given up.
    pub(super) fn dropped(&mut self, entry: &Entry, reason: DropReason) {
        self.arrive(entry);
        self.bytes -= entry.weight;
        self.dropped.add(reason, 1);
    }

    /// Takes back an event that did not arrive.
    pub(super) fn put_back(&mut self, mut entry: Entry, due: Instant) {
        self.arrive(&entry);
        entry.due = Some(due);
        self.retrying.push_back(entry);
    }

    /// Counts what is sent from now on as dropped; the first reason stays.
    pub(super) fn close(&mut self, reason: DropReason) {
        self.closed.get_or_insert(reason);
    }

    /// Gives up all that waits; the caller drops it.
    pub(super) fn clear(&mut self, reason: DropReason) -> [VecDeque<Entry>; 2] {
        let cleared = [std::mem::take(&mut self.pending), std::mem::take(&mut self.retrying)];
        for entry in cleared.iter().flatten() {
            self.bytes -= entry.weight;
            self.dropped.add(reason, 1);
        }
        cleared
    }

    /// Gives up what is on its way, where nobody is left who would give it back.
    pub(super) fn clear_in_flight(&mut self, reason: DropReason) {
        let lost = std::mem::take(&mut self.in_flight);
        self.dropped.add(reason, lost.len() as u64);
    }

    pub(super) fn accepted(&self) -> u64 {
        self.accepted
    }

    pub(super) fn delivered_so_far(&self) -> u64 {
        self.delivered
    }

    pub(super) fn dropped_so_far(&self) -> BeaconDrops {
        self.dropped
    }

    /// Events that wait or are on their way.
    pub(super) fn queued(&self) -> usize {
        self.waiting() + self.in_flight.len()
    }

    pub(super) fn waiting(&self) -> usize {
        self.pending.len() + self.retrying.len()
    }

    /// Of the first so many events that were accepted, those that are still queued.
    pub(super) fn left_of(&self, accepted: u64) -> usize {
        self.pending.partition_point(|entry| entry.number < accepted)
            + self.retrying.iter().filter(|entry| entry.number < accepted).count()
            + self.in_flight.iter().filter(|number| **number < accepted).count()
    }

    fn pop_oldest(&mut self) -> Option<Entry> {
        self.retrying.pop_front().or_else(|| self.pending.pop_front())
    }

    fn depart(&mut self, entry: Option<Entry>) -> Option<Entry> {
        self.in_flight.extend(entry.as_ref().map(|entry| entry.number));
        entry
    }

    fn arrive(&mut self, entry: &Entry) {
        // An entry is taken once and given back once, so it is there.
        if let Some(place) = self.in_flight.iter().position(|number| *number == entry.number) {
            self.in_flight.swap_remove(place);
        }
    }
}

impl Job {
    pub(super) fn new(event: BeaconEvent) -> Box<Self> {
        Box::new(Self { event, id: None, failures: 0 })
    }
}

impl Evicted {
    fn add(&mut self, entry: Entry) {
        match self.first {
            None => self.first = Some(entry),
            Some(_) => self.more.push(entry),
        }
    }
}

/// The most events for which a queue sets memory aside at once.
const PREPARED: usize = 1 << 16;

#[cfg(test)]
mod tests;
