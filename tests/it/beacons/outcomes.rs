//! What becomes of an event, by what the service does.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use esper_rs_client::{AsyncEsperClient, BeaconEvent, BeaconOptions, DropReason};

use super::{LONG, accept, beacons, event, eventually, flush_around, gated, paths, send, stats};
use crate::support::{Answer, ClosedPort, Gate, KEY, RawServer, client, config, logs};

#[test]
fn an_event_is_kept_while_there_is_no_connection() {
    let nobody = ClosedPort::new();
    let beacons = client(&nobody.url()).beacons();
    send(&beacons, 5);
    let report = beacons.flush_blocking(Duration::from_millis(200));
    assert_eq!((report.delivered, report.dropped, report.left), (0, 0, 5));
    assert_eq!(stats(&beacons).queued, 5);
}

#[test]
fn an_event_whose_answer_was_lost_is_sent_again_as_the_same() {
    let broken: [fn() -> Answer; 3] =
        [|| Answer::Close, || Answer::status(500), || Answer::status(503)];
    for broken in broken {
        let server = RawServer::start(move |number, _| match number {
            0 => broken(),
            _ => accept(),
        });
        let beacons = beacons(&server);
        beacons.send(event("/"));
        assert!(beacons.flush_blocking(LONG).is_complete());
        let [first, second] = server.received().try_into().unwrap();
        assert_eq!(first.header("idempotency-key"), second.header("idempotency-key"));
        assert_eq!(first.body, second.body);
        assert!(first.json()["timestamp"].as_i64() > Some(1_700_000_000_000));
        assert_eq!(first.header("x-esper-key"), KEY);
        assert_eq!(stats(&beacons).delivered, 1);
    }
}

#[test]
fn a_hanging_service_costs_an_attempt_and_not_the_event() {
    let server = RawServer::start(|number, _| match number {
        0 => Answer::Silence,
        _ => accept(),
    });
    let config = config(&server.url()).with_attempt_timeout(Duration::from_millis(100));
    let beacons = AsyncEsperClient::new(config).unwrap().beacons();
    beacons.send(event("/"));
    assert!(beacons.flush_blocking(LONG).is_complete());
    // On a busy machine, further attempts can be too late as well.
    assert!(server.count() >= 2, "{}", server.count());
    assert_eq!(stats(&beacons).delivered, 1);
}

#[test]
fn every_event_has_a_key_of_its_own() {
    let server = RawServer::always(accept);
    let beacons = beacons(&server);
    let same = event("/").with_timestamp(7);
    beacons.send(same.clone());
    beacons.send(same);
    assert!(beacons.flush_blocking(LONG).is_complete());
    let [first, second] = server.received().try_into().unwrap();
    assert_eq!((&first.body, &first.json()["timestamp"]), (&second.body, &7.into()));
    assert_ne!(first.header("idempotency-key"), second.header("idempotency-key"));
}

#[test]
fn a_poison_event_is_dropped_and_the_next_goes_on() {
    for status in [400, 404, 413, 422] {
        let gate = Gate::default();
        let held = gate.clone();
        let server = RawServer::start(move |_, request| {
            let poison = request.json()["path"] == "/1";
            held.wait();
            if poison { Answer::json(status, r#"{"message":"no"}"#) } else { accept() }
        });
        let beacons = beacons(&server);
        send(&beacons, 3);
        let report = flush_around(&beacons, || gate.open());
        assert_eq!((report.delivered, report.dropped, report.left), (2, 1, 0));
        assert_eq!(stats(&beacons).dropped.of(DropReason::Refused), 1);
        assert_eq!(server.count(), 3);
    }
}

#[test]
fn an_event_that_the_service_fails_on_does_not_stop_the_rest() {
    let server = RawServer::start(|_, request| {
        let poison = request.json()["path"] == "/0";
        if poison { Answer::status(500) } else { accept() }
    });
    let beacons = beacons(&server);
    send(&beacons, 50);
    eventually("the rest", || stats(&beacons).delivered == 49);
    eventually("given up", || {
        // The service has to take others: only then is it the event's fault.
        beacons.send(event("/more"));
        stats(&beacons).dropped.of(DropReason::Failed) == 1
    });
    assert_eq!(paths(&server).iter().filter(|path| *path == "/0").count(), 10);
}

#[test]
fn an_event_that_does_not_fit_is_dropped_before_it_is_sent() {
    let gate = Gate::default();
    let server = gated(&gate);
    let options = BeaconOptions::new().with_deliveries_in_flight(1);
    let config = config(&server.url()).with_beacons(options);
    let beacons = AsyncEsperClient::new(config).unwrap().beacons();
    // Only after it is it looked at what follows.
    beacons.send(event("/"));
    for invalid in [
        event("/").with_ip("nowhere"),
        BeaconEvent::new(" "),
        BeaconEvent::new("").with_ip("192.168.1.1"),
        event("/").with_timestamp(-1),
    ] {
        beacons.send(invalid);
    }
    let report = flush_around(&beacons, || gate.open());
    assert_eq!((report.delivered, report.dropped, report.left), (1, 4, 0));
    assert_eq!((stats(&beacons).dropped.of(DropReason::Invalid), server.count()), (4, 1));
}

#[test]
fn a_rejected_key_pauses_the_queue_is_said_once_and_may_be_repaired() {
    logs::watch();
    let repaired = Arc::new(AtomicBool::new(false));
    let gate = Gate::default();
    let (works, held) = (Arc::clone(&repaired), gate.clone());
    let server = RawServer::start(move |_, _| {
        held.wait();
        if works.load(Ordering::SeqCst) {
            accept()
        } else {
            Answer::json(401, r#"{"message":"the API key is wrong"}"#)
        }
    });
    let beacons = beacons(&server);
    send(&beacons, 50);
    // So many are on their way before the first answer; what comes later is a probe.
    eventually("sixteen", || server.count() == 16);
    gate.open();
    let url = server.url();
    let said = || logs::lines_with(&["ERROR", "rejects the api key", &url]);
    eventually("said", || said().len() == 1);
    // Two probes later it is still not said again.
    eventually("probes", || server.count() >= 18);
    assert_eq!((stats(&beacons).queued, said().len()), (50, 1));
    assert!(!said()[0].contains(KEY), "{:?}", said());
    repaired.store(true, Ordering::SeqCst);
    assert!(beacons.flush_blocking(LONG).is_complete());
    assert_eq!(stats(&beacons).delivered, 50);
    eventually("said", || logs::lines_with(&["INFO", "delivered again", &url]).len() == 1);
}

#[test]
fn a_service_that_asks_to_wait_pauses_the_whole_queue() {
    for (status, asked) in [(429, "60"), (503, "60"), (429, "999999999")] {
        let server =
            RawServer::always(move || Answer::status(status).with_header("retry-after", asked));
        let options = BeaconOptions::new().with_deliveries_in_flight(1);
        let config = config(&server.url()).with_beacons(options);
        let beacons = AsyncEsperClient::new(config).unwrap().beacons();
        send(&beacons, 10);
        let started = Instant::now();
        // There is no use in waiting for the end of the time, so it is not waited for.
        let report = beacons.flush_blocking(Duration::from_secs(30));
        assert!(started.elapsed() < LONG, "{:?}", started.elapsed());
        assert_eq!((report.delivered, report.dropped, report.left), (0, 0, 10));
        assert_eq!(server.count(), 1);
    }
}

#[test]
fn a_service_that_is_down_gets_one_probe_at_a_time() {
    let (gate, probing) = (Gate::default(), Arc::new(AtomicBool::new(false)));
    let (held, up) = (gate.clone(), Arc::clone(&probing));
    let server = RawServer::start(move |_, _| {
        if up.load(Ordering::SeqCst) {
            held.wait();
            accept()
        } else {
            Answer::Close
        }
    });
    let config = config(&server.url()).with_retry_delay(Duration::from_secs(2));
    let beacons = AsyncEsperClient::new(config).unwrap().beacons();
    send(&beacons, 500);
    // Sixteen were on their way before the first failure; then comes a pause of a second at least.
    let report = beacons.flush_blocking(Duration::from_millis(500));
    assert_eq!((report.dropped, report.left), (0, 500));
    let before = server.count();
    assert!(before <= 16, "{before}");

    probing.store(true, Ordering::SeqCst);
    eventually("a probe", || server.count() > before);
    // While it is under way, nothing else is.
    assert_eq!(beacons.flush_blocking(Duration::from_millis(300)).left, 500);
    assert_eq!(server.count(), before + 1);
    gate.open();
    assert!(beacons.flush_blocking(LONG).is_complete());
    assert_eq!(stats(&beacons).delivered, 500);
}
