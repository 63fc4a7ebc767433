//! What a queue of events counts, told from time to time.

use std::panic::catch_unwind;
use std::process;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use super::catalogue;
use super::family::{Family, Lazy};
use crate::beacons::{BeaconStats, DropReason};

/// What was told of a queue so far.
#[derive(Debug)]
pub(crate) struct Published {
    told: Option<BeaconStats>,
    all_queued: &'static AllQueued,
}

/// What all queues of a process hold together. The process is in the upper half, and the events are in
/// the lower one: a fork copies both, and begins anew, without the queues.
#[derive(Debug)]
struct AllQueued(AtomicU64);

impl Published {
    /// Nothing so far.
    pub(crate) fn none() -> Self {
        static ALL: AllQueued = AllQueued::new();
        Self { told: None, all_queued: &ALL }
    }

    /// Tells what was counted since the last time.
    pub(crate) fn update(&mut self, stats: impl FnOnce() -> BeaconStats) {
        let now = stats();
        if self.told == Some(now) {
            return;
        }
        // Noted first: where the recorder panics, nothing is told twice, and no events are lost.
        let before = self.told.replace(now);
        let all_queued = self.all_queued;
        all_queued.change(before.map_or(0, |before| before.queued), now.queued);
        let _: thread::Result<()> = catch_unwind(|| tell(before.as_ref(), &now, all_queued));
    }
}

impl AllQueued {
    const fn new() -> Self {
        Self(AtomicU64::new(0))
    }

    fn change(&self, before: u64, now: u64) {
        let process = u64::from(process::id());
        let changed = |old: u64| {
            let all = if old >> u32::BITS == process { old as u32 } else { 0 };
            let all = all.wrapping_sub(before as u32).wrapping_add(now as u32);
            Some(process << u32::BITS | u64::from(all))
        };
        let _ = self.0.fetch_update(Ordering::SeqCst, Ordering::SeqCst, changed);
    }

    fn get(&self) -> u32 {
        self.0.load(Ordering::SeqCst) as u32
    }
}

fn tell(before: Option<&BeaconStats>, now: &BeaconStats, all_queued: &AllQueued) {
    let before_of = |count: fn(&BeaconStats) -> u64| before.map_or(0, count);
    for (outcome, events, before) in [
        (ACCEPTED, now.accepted, before_of(|stats| stats.accepted)),
        (DELIVERED, now.delivered, before_of(|stats| stats.delivered)),
        (DROPPED_FOR_ANY, now.dropped.total(), before_of(|stats| stats.dropped.total())),
    ] {
        EVENTS.counter([outcome]).increment(events.saturating_sub(before));
    }
    for (reason, events) in now.dropped.iter() {
        let before = before.map_or(0, |before| before.dropped.of(reason));
        DROPPED.counter([reason.as_str()]).increment(events - before);
    }
    // Set and not added to: a recorder may have come, or forgotten it, meanwhile.
    let gauge = QUEUED.gauge([]);
    loop {
        let all = all_queued.get();
        gauge.set(all);
        // Another queue may have set it meanwhile, to what is true and was now overwritten.
        if all_queued.get() == all {
            break;
        }
    }
}

pub(super) static EVENTS: Lazy<1> =
    LazyLock::new(|| Family::new(&catalogue::EVENTS, [vec![ACCEPTED, DELIVERED, DROPPED_FOR_ANY]]));
pub(super) static DROPPED: Lazy<1> = LazyLock::new(|| {
    let reasons = DropReason::ALL.iter().map(|reason| reason.as_str()).collect();
    Family::new(&catalogue::DROPPED, [reasons])
});
pub(super) static QUEUED: Lazy<0> = LazyLock::new(|| Family::new(&catalogue::QUEUED, []));

const ACCEPTED: &str = "accepted";
const DELIVERED: &str = "delivered";
const DROPPED_FOR_ANY: &str = "dropped";

#[cfg(test)]
mod tests;
