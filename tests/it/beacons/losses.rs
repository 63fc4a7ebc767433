//! The queue is bounded, and says what it loses.

use std::sync::mpsc;
use std::sync::{Arc, Mutex, OnceLock};

use esper_rs_client::{
    AsyncEsperClient, BeaconLoss, BeaconOptions, Beacons, DropReason, EsperError,
};
use serde_json::{Value, json};

use super::{LONG, accept, event, eventually, gated, paths, send, stats};
use crate::support::{Gate, RawServer, config, logs};

fn beacons_with(server: &RawServer, options: BeaconOptions) -> Beacons {
    AsyncEsperClient::new(config(&server.url()).with_beacons(options)).unwrap().beacons()
}

#[test]
fn a_full_queue_keeps_the_newest_and_counts_the_rest() {
    let gate = Gate::default();
    let server = gated(&gate);
    let options = BeaconOptions::new().with_capacity(20).with_deliveries_in_flight(1);
    let beacons = beacons_with(&server, options);
    send(&beacons, 1);
    eventually("on its way", || server.count() == 1);
    for number in 1..1000 {
        beacons.send(event(&format!("/{number}")));
        assert!(stats(&beacons).queued <= 20);
    }
    gate.open();
    assert_eq!(beacons.flush_blocking(LONG).left, 0);
    let stats = stats(&beacons);
    assert_eq!((stats.delivered, stats.dropped.of(DropReason::Full)), (20, 980));
    let newest = (981..1000).map(|number| format!("/{number}"));
    let kept: Vec<_> = ["/0".to_owned()].into_iter().chain(newest).collect();
    assert_eq!(paths(&server), kept);
}

#[test]
fn memory_is_a_bound_as_well() {
    let gate = Gate::default();
    let server = gated(&gate);
    let beacons = beacons_with(&server, BeaconOptions::new().with_memory(100_000));
    for _ in 0..100 {
        beacons.send(event(&"x".repeat(10_000)));
        assert!(stats(&beacons).queued <= 9);
    }
    // Larger than all of it: it must not drive out the others.
    let queued = stats(&beacons).queued;
    beacons.send(event(&"x".repeat(100_000)));
    assert_eq!(stats(&beacons).queued, queued);
    gate.open();
    assert_eq!(beacons.flush_blocking(LONG).left, 0);
}

#[test]
fn an_event_that_is_nested_too_deep_costs_itself_alone() {
    let server = RawServer::always(accept);
    let beacons = beacons_with(&server, BeaconOptions::new());
    // To write it would take more stack than a thread has.
    let deep = (0..3_000).fold(json!(0), |value, _| Value::Array(vec![value]));
    beacons.send(event("/deep").with_data("deep", deep));
    send(&beacons, 1);
    assert_eq!(beacons.flush_blocking(LONG).left, 0);
    let stats = stats(&beacons);
    assert_eq!((stats.delivered, stats.dropped.of(DropReason::Invalid)), (1, 1));
}

#[test]
fn the_callback_hears_of_every_loss_until_the_end_of_the_queue() {
    let gate = Gate::default();
    let server = gated(&gate);
    let heard = Arc::new(Mutex::new(Vec::<BeaconLoss>::new()));
    let ears = Arc::clone(&heard);
    let options = BeaconOptions::new()
        .with_capacity(10)
        .with_on_loss(move |loss| ears.lock().unwrap().push(*loss));
    let beacons = beacons_with(&server, options);
    send(&beacons, 100);
    beacons.send(event("/").with_ip("nowhere"));
    gate.open();
    assert_eq!(beacons.shutdown_blocking(LONG).left, 0);
    beacons.send(event("/late"));

    let dropped = stats(&beacons).dropped;
    for (reason, events) in dropped.iter().filter(|(reason, _)| *reason != DropReason::Closed) {
        eventually(reason.as_str(), || {
            let heard = heard.lock().unwrap();
            let heard = heard.iter().filter(|loss| loss.reason == reason);
            heard.map(|loss| loss.events).sum::<u64>() == events
        });
    }
    assert!(dropped.of(DropReason::Full) >= 90, "{dropped:?}");
}

#[test]
fn a_callback_that_panics_is_counted_and_called_again() {
    let server = RawServer::always(accept);
    let (sender, calls) = mpsc::channel();
    let options = BeaconOptions::new().with_on_loss(move |loss| {
        sender.send(*loss).unwrap();
        panic!("on purpose");
    });
    let beacons = beacons_with(&server, options);
    for number in 1..=3 {
        beacons.send(event("/").with_ip("nowhere"));
        let loss = calls.recv_timeout(LONG).unwrap();
        assert_eq!((loss.reason, loss.events), (DropReason::Invalid, 1));
        eventually("counted", || stats(&beacons).callback_panics == number);
    }
    send(&beacons, 5);
    assert_eq!(beacons.flush_blocking(LONG).delivered, 5);
}

#[test]
fn a_callback_that_never_returns_holds_up_nothing() {
    let server = RawServer::always(accept);
    let (hold, held) = mpsc::channel::<()>();
    let held = Mutex::new(held);
    let options = BeaconOptions::new().with_on_loss(move |_| {
        let _ = held.lock().unwrap().recv();
    });
    let beacons = beacons_with(&server, options);
    for _ in 0..10 {
        beacons.send(event("/").with_ip("nowhere"));
        send(&beacons, 5);
        assert_eq!(beacons.flush_blocking(LONG).left, 0);
    }
    assert_eq!(beacons.shutdown_blocking(LONG).left, 0);
    assert_eq!(stats(&beacons).delivered, 50);
    drop(hold);
}

#[test]
fn a_callback_may_send_events_itself() {
    let server = RawServer::always(accept);
    let handle = Arc::new(OnceLock::<Beacons>::new());
    let inner = Arc::clone(&handle);
    let options = BeaconOptions::new().with_on_loss(move |loss| {
        let beacons = inner.get().unwrap();
        beacons.send(event(&format!("/lost/{}", loss.events)));
        assert!(beacons.flush_blocking(LONG).is_complete());
    });
    let beacons = beacons_with(&server, options);
    handle.set(beacons.clone()).unwrap();
    beacons.send(event("/").with_ip("nowhere"));
    eventually("reported", || paths(&server) == ["/lost/1"]);
}

#[test]
fn the_first_loss_of_a_kind_is_logged_with_its_cause() {
    logs::watch();
    let server = RawServer::start(|_, request| {
        let port = request.header("host").rsplit(':').next().unwrap().to_owned();
        crate::support::Answer::json(400, &format!(r#"{{"message":"port {port} says no"}}"#))
    });
    let beacons = beacons_with(&server, BeaconOptions::new());
    send(&beacons, 20);
    assert_eq!(beacons.flush_blocking(LONG).dropped, 20);
    let port = server.url().rsplit(':').next().unwrap().to_owned();
    let said = || logs::lines_with(&["WARN", "refused", &format!("port {port} says no")]);
    eventually("logged", || said().len() == 1);
    assert!(beacons.shutdown_blocking(LONG).is_complete());
    // What the first line did not count is in the last.
    let events = |line: &String| {
        let (_, rest) = line.split_once("events=").unwrap();
        rest.split_whitespace().next().unwrap().parse::<u32>().unwrap()
    };
    assert!(said().len() <= 2, "{:?}", said());
    assert_eq!(said().iter().map(events).sum::<u32>(), 20, "{:?}", said());
}

#[test]
fn an_option_that_cannot_work_is_refused() {
    for options in [
        BeaconOptions::new().with_capacity(0),
        BeaconOptions::new().with_memory(0),
        BeaconOptions::new().with_deliveries_in_flight(0),
    ] {
        let config = config("http://127.0.0.1:1").with_beacons(options);
        let error = AsyncEsperClient::new(config).unwrap_err();
        assert!(matches!(error, EsperError::Validation { field: "beacons", .. }), "{error:?}");
    }
}
