//! What a queue of events counts, told from time to time.

use std::process;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};

use super::catalogue;
use super::family::{Family, Lazy};
use crate::beacons::{BeaconStats, DropReason};

/// What was told of a queue so far.
#[derive(Debug)]
pub(crate) struct Published {
    told: Option<BeaconStats>,
    /// What all queues hold together.
    queued: &'static AllQueued,
}

/// What all queues of this process hold together: the number of the process, and that of events.
///
/// Without a lock, because one that is held at the moment of a fork is held for ever in the copy.
#[derive(Debug)]
struct AllQueued(AtomicU64);

impl AllQueued {
    const fn none() -> Self {
        Self(AtomicU64::new(0))
    }

    /// Takes note that a queue holds so many more, or fewer.
    fn change(&self, before: u64, now: u64) {
        let process = u64::from(process::id()) << 32;
        let changed = |all: u64| {
            // What was queued before a fork is queued in the other process.
            let of_process = if all >> 32 == process >> 32 { all & EVENTS_OF_ALL } else { 0 };
            let events = (of_process + now).saturating_sub(before);
            Some(process | events.min(EVENTS_OF_ALL))
        };
        // It cannot fail, for there is always a number.
        let _ = self.0.fetch_update(Ordering::AcqRel, Ordering::Acquire, changed);
    }

    /// Tells how many there are, until the last word is the newest.
    fn tell(&self, tell: impl Fn(u64)) {
        loop {
            let all = self.0.load(Ordering::Acquire);
            tell(all & EVENTS_OF_ALL);
            if self.0.load(Ordering::Acquire) == all {
                return;
            }
        }
    }
}

impl Published {
    /// Nothing so far.
    pub(crate) fn none() -> Self {
        static ALL: AllQueued = AllQueued::none();
        Self { told: None, queued: &ALL }
    }

    /// Tells what was counted since the last time.
    pub(crate) fn update(&mut self, stats: impl FnOnce() -> BeaconStats) {
        let now = stats();
        if self.told == Some(now) {
            return;
        }
        let before = self.told;
        let before_of = |count: fn(&BeaconStats) -> u64| before.as_ref().map_or(0, count);
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
        self.queued.change(before_of(|stats| stats.queued), now.queued);
        self.told = Some(now);
        // Set and not added to: a recorder that was installed meanwhile knows of nothing before.
        self.queued.tell(|events| QUEUED.gauge([]).set(events as f64));
    }
}

pub(super) static EVENTS: Lazy<1> =
    LazyLock::new(|| Family::new(&catalogue::EVENTS, [vec![ACCEPTED, DELIVERED, DROPPED_FOR_ANY]]));
pub(super) static DROPPED: Lazy<1> = LazyLock::new(|| {
    let reasons = DropReason::ALL.iter().map(|reason| reason.as_str()).collect();
    Family::new(&catalogue::DROPPED, [reasons])
});
pub(super) static QUEUED: Lazy<0> = LazyLock::new(|| Family::new(&catalogue::QUEUED, []));

/// The part of the sum that counts events; the rest is the process.
const EVENTS_OF_ALL: u64 = u32::MAX as u64;
const ACCEPTED: &str = "accepted";
const DELIVERED: &str = "delivered";
const DROPPED_FOR_ANY: &str = "dropped";

#[cfg(test)]
mod tests {
    use metrics::with_local_recorder;
    use metrics_exporter_prometheus::PrometheusBuilder;

    use super::*;
    use crate::{AsyncEsperClient, BeaconEvent, EsperConfig};

    /// Apart from the queues of other tests.
    fn none(queued: &'static AllQueued) -> Published {
        Published { queued, ..Published::none() }
    }

    #[test]
    fn a_recorder_that_comes_late_is_told_what_is_queued_by_all() {
        static ALL: AllQueued = AllQueued::none();
        let mut published = [none(&ALL), none(&ALL)];
        let client = AsyncEsperClient::new(EsperConfig::new("a-key")).unwrap();
        let stats = client.beacons().stats();
        let queued = |queued| BeaconStats { accepted: queued, queued, ..stats };
        published[0].update(|| queued(5));
        published[1].update(|| queued(2));
        let recorder = PrometheusBuilder::new().build_recorder();
        with_local_recorder(&recorder, || published[0].update(|| queued(3)));
        let text = recorder.handle().render();
        assert!(text.lines().any(|line| line == "esper_events_queued 5"), "{text}");
    }

    #[test]
    fn what_was_queued_before_a_fork_is_the_other_processs() {
        let other = u64::from(process::id() + 1) << 32;
        let all = AllQueued(AtomicU64::new(other | 500));
        let told = |all: &AllQueued| {
            let told = std::cell::Cell::new(None);
            all.tell(|events| told.set(Some(events)));
            told.get()
        };
        all.change(0, 3);
        assert_eq!(told(&all), Some(3));
        all.change(3, 1);
        assert_eq!(told(&all), Some(1));
    }

    #[test]
    fn the_last_word_about_what_is_queued_is_the_newest() {
        let all = AllQueued::none();
        let told = std::cell::RefCell::new(Vec::new());
        all.tell(|events| {
            if told.borrow().is_empty() {
                // Another queue changes meanwhile.
                all.change(0, 7);
            }
            told.borrow_mut().push(events);
        });
        assert_eq!(told.into_inner(), [0, 7]);
    }

    #[test]
    fn what_was_counted_since_the_last_time_is_told_and_what_is_queued_now() {
        static ALL: AllQueued = AllQueued::none();
        let recorder = PrometheusBuilder::new().build_recorder();
        let client = AsyncEsperClient::new(EsperConfig::new("a-key")).unwrap();
        let beacons = client.beacons();
        beacons.shutdown_blocking(std::time::Duration::from_secs(5));
        let mut published = [none(&ALL), none(&ALL)];
        let queued = |queued| BeaconStats { accepted: queued, queued, ..beacons.stats() };
        with_local_recorder(&recorder, || {
            published[0].update(|| queued(5));
            published[1].update(|| queued(2));
            published[0].update(|| queued(3));
            // After the end of its queue it is dropped.
            beacons.send(BeaconEvent::new("http_request"));
            published[1].update(|| beacons.stats());
            published[1].update(|| beacons.stats());
        });
        let text = recorder.handle().render();
        for line in [
            "esper_events_queued 3",
            "esper_events_total{outcome=\"accepted\"} 7",
            "esper_events_total{outcome=\"dropped\"} 1",
            "esper_events_dropped_total{reason=\"closed\"} 1",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} in\n{text}");
        }
    }
}
