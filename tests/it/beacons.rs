//! Events in the background: what is promised of the queue, against real sockets.

use std::pin::pin;
use std::task::{Context, Waker};
use std::time::{Duration, Instant};

use esper_rs_client::{AsyncEsperClient, BeaconEvent, BeaconReport, BeaconStats, Beacons};

use crate::support::{Answer, Gate, RawServer, config};

mod ends;
mod losses;
mod outcomes;
mod places;

/// Long enough for whatever is going to happen.
const LONG: Duration = Duration::from_secs(20);

/// Waits for a condition.
fn eventually(what: &str, condition: impl Fn() -> bool) {
    let started = Instant::now();
    while !condition() {
        assert!(started.elapsed() < LONG, "never: {what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn event(path: &str) -> BeaconEvent {
    BeaconEvent::new("http_request").with_ip("192.168.1.1").with_path(path)
}

/// Sends events with the paths `/0`, `/1`, …
fn send(beacons: &Beacons, events: usize) {
    for number in 0..events {
        beacons.send(event(&format!("/{number}")));
    }
}

fn beacons(server: &RawServer) -> Beacons {
    AsyncEsperClient::new(config(&server.url())).unwrap().beacons()
}

/// Flushes, and releases what holds the events up once the flush has begun to count.
fn flush_around(beacons: &Beacons, release: impl FnOnce()) -> BeaconReport {
    let mut flush = pin!(beacons.flush(LONG));
    let begun = flush.as_mut().poll(&mut Context::from_waker(Waker::noop()));
    assert!(begun.is_pending(), "nothing holds the events up");
    release();
    pollster::block_on(flush)
}

/// The counts, which add up.
fn stats(beacons: &Beacons) -> BeaconStats {
    let stats = beacons.stats();
    let sum = stats.delivered + stats.dropped.total() + stats.queued;
    assert_eq!(stats.accepted, sum, "{stats:?}");
    stats
}

fn accept() -> Answer {
    Answer::status(202)
}

fn paths(server: &RawServer) -> Vec<String> {
    let received = server.received();
    received.iter().map(|request| request.json()["path"].as_str().unwrap().to_owned()).collect()
}

/// Takes every event, but none before the gate is open.
pub(crate) fn gated(gate: &Gate) -> RawServer {
    let gate = gate.clone();
    RawServer::always(move || {
        gate.wait();
        accept()
    })
}
