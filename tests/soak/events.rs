//! Events through the queue: what is accepted is delivered, dropped for a reason, or still there.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use esper_rs_client::{
    AsyncEsperClient, BeaconEvent, BeaconOptions, BeaconStats, Beacons, DropReason, EsperConfig,
};
use serde_json::json;

use crate::arguments::Arguments;
use crate::chance::draw;
use crate::endpoint::Endpoint;
use crate::watch::Watch;

/// Who sends, and what they have sent so far.
struct Senders<'a> {
    beacons: Beacons,
    endpoint: &'a Endpoint,
    seed: u64,
    sent: u64,
    invalid: u64,
}

/// What the queue said it lost.
type ReportedLosses = Arc<Mutex<HashMap<DropReason, u64>>>;

pub(crate) fn soak(arguments: &Arguments, endpoint: &Endpoint) {
    let losses = ReportedLosses::default();
    let beacons = queue(endpoint, &losses);
    let (watch, rounds) = (Watch::default(), arguments.events.div_ceil(ROUND));
    let life = rounds.div_ceil(RESTARTS).max(SHORTEST_LIFE);
    let mut senders =
        Senders { beacons: beacons.clone(), endpoint, seed: arguments.seed, sent: 0, invalid: 0 };
    watch.during(
        || {
            let stats = stats(&beacons);
            (stats.accepted, format!("{stats:?}"))
        },
        || {
            for round in 0..rounds {
                senders.throttled(ROUND - FLOOD, round % life == life / 2);
                senders.flood(FLOOD);
                if round >= rounds / 5 {
                    watch.warmed_up();
                }
            }
        },
    );
    watch.is_flat();
    let report = beacons.shutdown_blocking(A_WHILE);
    assert_eq!(report.left, 0, "{report:?}");
    settle(&senders, endpoint, &losses);
}

fn queue(endpoint: &Endpoint, losses: &ReportedLosses) -> Beacons {
    let losses = Arc::clone(losses);
    let options = BeaconOptions::new()
        .with_capacity(CAPACITY)
        .with_deliveries_in_flight(IN_FLIGHT as usize)
        .with_on_loss(move |loss| {
            *losses.lock().expect("no panic").entry(loss.reason).or_default() += loss.events;
        });
    let config = EsperConfig::new("sk_soak_0123456789")
        .with_api_url(endpoint.url())
        .with_beacon_url(endpoint.url())
        .with_attempt_timeout(ATTEMPT)
        .with_retry_delay(Duration::from_millis(10))
        .with_beacons(options);
    AsyncEsperClient::new(config).expect("a client").beacons()
}

impl Senders<'_> {
    /// Sends as fast as the queue has room, from two threads, and waits for the end of all.
    fn throttled(&mut self, events: u64, restarts: bool) {
        let before = stats(&self.beacons).dropped;
        let (first, half) = (self.sent, events / 2);
        thread::scope(|scope| {
            scope.spawn(|| self.send(first..first + half));
            scope.spawn(|| {
                if restarts {
                    self.endpoint.restart();
                }
                self.send(first + half..first + events);
            });
        });
        self.sent += events;
        self.invalid += (first..first + events).filter(|number| is_invalid(*number)).count() as u64;
        while self.beacons.flush_blocking(A_WHILE).left > 0 {}

        let after = stats(&self.beacons).dropped;
        assert_eq!(after.of(DropReason::Full), before.of(DropReason::Full), "there was room");
        assert_eq!(after.of(DropReason::Invalid), self.invalid);
    }

    /// Sends more at once than the queue holds.
    fn flood(&mut self, events: u64) {
        let before = stats(&self.beacons).dropped.of(DropReason::Full);
        for number in self.sent..self.sent + events {
            self.beacons.send(valid(self.seed, number));
        }
        self.sent += events;
        let lost = stats(&self.beacons).dropped.of(DropReason::Full) - before;
        assert!(lost <= events, "{lost} of {events} were lost");
    }

    fn send(&self, numbers: std::ops::Range<u64>) {
        for number in numbers {
            if number % 50 == 0 {
                while self.beacons.stats().queued > CAPACITY as u64 / 2 {
                    thread::sleep(Duration::from_millis(1));
                }
            }
            let event = valid(self.seed, number);
            self.beacons.send(if is_invalid(number) { event.with_ip("nowhere") } else { event });
        }
    }
}

/// Compares the last counts with what was sent, what was reported, and what the endpoint noted.
fn settle(senders: &Senders<'_>, endpoint: &Endpoint, losses: &ReportedLosses) {
    let stats = stats(&senders.beacons);
    let (sums, restarts) = (endpoint.ledger.sums(), endpoint.restarts());
    println!("{stats:?}\n{sums:?}, {restarts} restarts");
    assert_eq!((stats.accepted, stats.queued), (senders.sent, 0));
    let dropped = |reason| stats.dropped.of(reason);
    assert!(dropped(DropReason::Full) > 0 && restarts > 0, "nothing was tried");
    assert!(stats.delivered > stats.accepted / 2, "most are delivered");
    assert_eq!(dropped(DropReason::Abandoned) + dropped(DropReason::NoWorker), 0);

    // An answer on its way when the endpoint is killed may be lost; no other is.
    let cut_off = IN_FLIGHT * restarts;
    assert!(stats.delivered <= sums.answered, "delivered is what was answered so");
    assert!(sums.answered <= stats.delivered + cut_off, "an answer was not counted");
    assert!(sums.again <= cut_off, "taken twice, although it was answered");
    assert!(dropped(DropReason::Refused) <= sums.refused, "refused is what was answered so");
    assert!(sums.refused <= dropped(DropReason::Refused) + cut_off, "a refusal was not counted");
    let unsent = dropped(DropReason::Full) + dropped(DropReason::Invalid);
    assert!(sums.seen + unsent >= stats.accepted, "an event was neither sent nor dropped");
    assert!(sums.seen <= stats.accepted - dropped(DropReason::Invalid), "an event came of nowhere");

    // The callback has a thread of its own, which is told the rest in the end.
    while losses.lock().expect("no panic").values().sum::<u64>() < stats.dropped.total() {
        thread::sleep(Duration::from_millis(1));
    }
    let losses = losses.lock().expect("no panic");
    for (reason, events) in stats.dropped.iter() {
        assert_eq!(losses.get(&reason).copied().unwrap_or(0), events, "{reason}");
    }
}

/// The counts, which add up.
fn stats(beacons: &Beacons) -> BeaconStats {
    let stats = beacons.stats();
    let sum = stats.delivered + stats.dropped.total() + stats.queued;
    assert_eq!(stats.accepted, sum, "{stats:?}");
    assert!(stats.queued <= CAPACITY as u64, "{stats:?}");
    stats
}

fn valid(seed: u64, number: u64) -> BeaconEvent {
    let chance = draw(seed, "event", number);
    let [a, b, size, ..] = chance.to_be_bytes();
    BeaconEvent::new("http_request")
        .with_ip(format!("203.0.{a}.{b}"))
        .with_path(format!("/{number}"))
        .with_data("text", json!("x".repeat(usize::from(size) * 4)))
}

fn is_invalid(number: u64) -> bool {
    number % 5_000 == 77
}

/// Each round ends with a flood.
const ROUND: u64 = 10_000;
const FLOOD: u64 = 2_000;
const CAPACITY: usize = 1_000;
const IN_FLIGHT: u64 = 16;
/// How often the endpoint is killed in a long run.
const RESTARTS: u64 = 4;
/// How many rounds it lives at least, so that a short run is short.
const SHORTEST_LIFE: u64 = 5;
/// Long enough that only an endpoint that says nothing exceeds it.
const ATTEMPT: Duration = Duration::from_secs(2);
const A_WHILE: Duration = Duration::from_secs(60);
