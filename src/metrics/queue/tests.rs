use std::sync::{Arc, Mutex};

use metrics::{
    Counter, Gauge, GaugeFn, Histogram, Key, KeyName, Metadata, Recorder, SharedString, Unit,
    with_local_recorder,
};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusRecorder};

use super::*;
use crate::{AsyncEsperClient, BeaconEvent, EsperConfig};

/// Two queues, apart from those of other tests.
fn two(all_queued: &'static AllQueued) -> [Published; 2] {
    [(); 2].map(|()| Published { all_queued, ..Published::none() })
}

#[test]
fn a_recorder_that_comes_late_is_told_what_is_queued_by_all() {
    static ALL: AllQueued = AllQueued::new();
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
    static ALL: AllQueued = AllQueued::new();
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

/// Does something else before it sets a gauge for the first time.
struct Interrupted(PrometheusRecorder, Interruption);

type Interruption = Arc<Mutex<Option<Box<dyn FnOnce() + Send>>>>;

impl Interrupted {
    fn by(interruption: impl FnOnce() + Send + 'static) -> Self {
        let interruption: Box<dyn FnOnce() + Send> = Box::new(interruption);
        Self(PrometheusBuilder::new().build_recorder(), Arc::new(Mutex::new(Some(interruption))))
    }
}

impl Recorder for Interrupted {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, key: &Key, metadata: &Metadata<'_>) -> Counter {
        self.0.register_counter(key, metadata)
    }

    fn register_gauge(&self, key: &Key, metadata: &Metadata<'_>) -> Gauge {
        let gauge = self.0.register_gauge(key, metadata);
        Gauge::from_arc(Arc::new(InterruptedGauge(gauge, Arc::clone(&self.1))))
    }

    fn register_histogram(&self, key: &Key, metadata: &Metadata<'_>) -> Histogram {
        self.0.register_histogram(key, metadata)
    }
}

struct InterruptedGauge(Gauge, Interruption);

impl GaugeFn for InterruptedGauge {
    fn increment(&self, value: f64) {
        self.0.increment(value);
    }

    fn decrement(&self, value: f64) {
        self.0.decrement(value);
    }

    fn set(&self, value: f64) {
        let interruption = self.1.lock().unwrap().take();
        interruption.into_iter().for_each(|interruption| interruption());
        self.0.set(value);
    }
}

#[test]
fn a_recorder_that_panics_harms_nobody_and_is_told_nothing_twice() {
    let recorder = Interrupted::by(|| panic!("on purpose"));
    let client = AsyncEsperClient::new(EsperConfig::new("a-key")).unwrap();
    let accepted = |accepted| BeaconStats { accepted, ..client.beacons().stats() };
    static ALL: AllQueued = AllQueued::new();
    let [mut published, _] = two(&ALL);
    with_local_recorder(&recorder, || {
        for number in [5, 5, 7] {
            published.update(|| accepted(number));
        }
    });
    let text = recorder.0.handle().render();
    assert!(text.contains("esper_events_total{outcome=\"accepted\"} 7"), "{text}");
}

#[test]
fn of_two_queues_that_end_at_once_nothing_is_said_to_be_left() {
    static ALL: AllQueued = AllQueued::new();
    let client = AsyncEsperClient::new(EsperConfig::new("a-key")).unwrap();
    let stats = client.beacons().stats();
    let queued = move |queued| BeaconStats { accepted: 1, queued, ..stats };
    let [mut one, mut other] = two(&ALL);
    one.update(|| queued(1));
    other.update(|| queued(1));
    let recorder = Interrupted::by(move || other.update(|| queued(0)));
    with_local_recorder(&recorder, || one.update(|| queued(0)));
    let text = recorder.0.handle().render();
    assert!(text.lines().any(|line| line == "esper_events_queued 0"), "{text}");
}
