//! What a queue of events counts, told from time to time.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};

use super::catalogue;
use super::family::{Family, Lazy};
use crate::beacons::{BeaconStats, DropReason};

/// What was told of a queue so far.
#[derive(Debug)]
pub(crate) struct Published {
    told: Option<BeaconStats>,
    /// What all queues of this process hold together.
    all_queued: &'static AtomicU64,
}

impl Published {
    /// Nothing so far.
    pub(crate) fn none() -> Self {
        static ALL: AtomicU64 = AtomicU64::new(0);
        Self { told: None, all_queued: &ALL }
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
        let more = now.queued.wrapping_sub(before_of(|stats| stats.queued));
        let all = self.all_queued.fetch_add(more, Ordering::Relaxed).wrapping_add(more);
        // Set and not added to: a recorder may have come, or forgotten it, meanwhile.
        QUEUED.gauge([]).set(all as f64);
        self.told = Some(now);
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
mod tests {
    use metrics::with_local_recorder;
    use metrics_exporter_prometheus::PrometheusBuilder;

    use super::*;
    use crate::{AsyncEsperClient, BeaconEvent, EsperConfig};

    /// Two queues, apart from those of other tests.
    fn two(all_queued: &'static AtomicU64) -> [Published; 2] {
        [(); 2].map(|()| Published { all_queued, ..Published::none() })
    }

    #[test]
    fn a_recorder_that_comes_late_is_told_what_is_queued_by_all() {
        static ALL: AtomicU64 = AtomicU64::new(0);
        let client = AsyncEsperClient::new(EsperConfig::new("a-key")).unwrap();
        let stats = client.beacons().stats();
        let queued = |queued| BeaconStats { accepted: queued, queued, ..stats };
        let mut published = two(&ALL);
        published[0].update(|| queued(5));
        published[1].update(|| queued(2));
        let recorder = PrometheusBuilder::new().build_recorder();
        with_local_recorder(&recorder, || published[0].update(|| queued(3)));
        let text = recorder.handle().render();
        assert!(text.lines().any(|line| line == "esper_events_queued 5"), "{text}");
    }

    #[test]
    fn what_was_counted_since_the_last_time_is_told_and_what_is_queued_now() {
        let recorder = PrometheusBuilder::new().build_recorder();
        let client = AsyncEsperClient::new(EsperConfig::new("a-key")).unwrap();
        let beacons = client.beacons();
        beacons.shutdown_blocking(std::time::Duration::from_secs(5));
        static ALL: AtomicU64 = AtomicU64::new(0);
        let mut published = two(&ALL);
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
