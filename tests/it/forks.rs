//! A client in a process that was forked from the one which made it.
//!
//! A fork copies one thread, that of the test; so each runs in a process of its own.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process;
use std::thread;
use std::time::Duration;

use esper_rs_client::{AsyncEsperClient, EsperClient, EsperError, MitigationRequest};
use fork::Fork;

use crate::beacons::gated;
use crate::support::{Answer, RawServer, child, config};

/// Runs something in a forked process, and returns whether it did not panic.
fn forked(action: impl FnOnce()) -> bool {
    match fork::fork().expect("a process") {
        Fork::Child => {
            // Whoever waits in vain must not keep the parent waiting.
            thread::spawn(|| {
                thread::sleep(Duration::from_secs(60));
                process::abort();
            });
            let result = catch_unwind(AssertUnwindSafe(action));
            // Not by returning: what comes after the test is the parent's to do.
            process::exit(i32::from(result.is_err()));
        }
        Fork::Parent(pid) => fork::waitpid(pid).expect("an end") == 0,
    }
}

#[test]
fn a_client_from_before_a_fork_says_so_and_that_of_the_parent_goes_on() {
    if child::is_one() {
        let server = RawServer::always(Answer::allow);
        let client = EsperClient::new(config(&server.url())).unwrap();
        let request = MitigationRequest::new("192.168.1.1");
        client.check_mitigation(&request).unwrap();
        let told = forked(|| {
            let error = client.check_mitigation(&request).unwrap_err();
            assert!(matches!(error, EsperError::Connection { permanent: true, .. }), "{error:?}");
            assert!(error.to_string().contains("before this process was forked"), "{error}");
            assert!(error.to_string().contains("make one after the fork"), "{error}");
        });
        assert!(told);
        let url = server.url();
        let answered = forked(|| {
            let client = EsperClient::new(config(&url)).unwrap();
            assert!(client.check_mitigation(&request).unwrap().is_allowed());
        });
        assert!(answered);
        client.check_mitigation(&request).unwrap();
        assert_eq!(server.count(), 3);
        return;
    }
    child::run("forks::a_client_from_before_a_fork_says_so_and_that_of_the_parent_goes_on", &[]);
}

#[test]
fn a_queue_from_before_a_fork_counts_what_it_cannot_deliver_and_ends_in_time() {
    use std::time::Instant;

    use esper_rs_client::{BeaconEvent, DropReason};

    const LONG: Duration = Duration::from_secs(20);
    if child::is_one() {
        let server = RawServer::always(|| Answer::status(202));
        let beacons = crate::support::client(&server.url()).beacons();
        beacons.send(BeaconEvent::new("before"));
        assert!(beacons.flush_blocking(LONG).is_complete());
        let counted = forked(|| {
            let started = Instant::now();
            beacons.send(BeaconEvent::new("after"));
            let report = pollster::block_on(beacons.flush(LONG));
            assert_eq!(report.left, 0, "{report:?}");
            beacons.send(BeaconEvent::new("later"));
            let stats = beacons.stats();
            assert_eq!(stats.dropped.of(DropReason::NoWorker), 2, "{stats:?}");
            assert_eq!(stats.accepted, stats.delivered + stats.dropped.total(), "{stats:?}");
            drop(beacons.clone());
            assert!(started.elapsed() < LONG / 2, "{:?}", started.elapsed());
        });
        assert!(counted);
        beacons.send(BeaconEvent::new("in the parent"));
        assert!(beacons.flush_blocking(LONG).is_complete());
        assert_eq!(server.count(), 2);
        return;
    }
    child::run(
        "forks::a_queue_from_before_a_fork_counts_what_it_cannot_deliver_and_ends_in_time",
        &[],
    );
}

#[test]
fn a_queue_that_is_forked_while_it_delivers_leaves_nothing_in_its_copy() {
    use esper_rs_client::{BeaconEvent, BeaconOptions, DropReason};

    use crate::support::Gate;

    const LONG: Duration = Duration::from_secs(20);
    if child::is_one() {
        let gate = Gate::default();
        let server = gated(&gate);
        let options = BeaconOptions::new().with_deliveries_in_flight(1);
        let client = AsyncEsperClient::new(config(&server.url()).with_beacons(options)).unwrap();
        let beacons = client.beacons();
        for _ in 0..3 {
            beacons.send(BeaconEvent::new("http_request"));
        }
        while server.count() == 0 {
            thread::yield_now();
        }
        let counted = forked(|| {
            let report = beacons.shutdown_blocking(LONG);
            assert_eq!((report.dropped, report.left), (3, 0), "{report:?}");
            let stats = beacons.stats();
            assert_eq!((stats.queued, stats.dropped.of(DropReason::NoWorker)), (0, 3), "{stats:?}");
        });
        assert!(counted);
        gate.open();
        assert!(beacons.shutdown_blocking(LONG).is_complete());
        assert_eq!(server.count(), 3);
        return;
    }
    child::run("forks::a_queue_that_is_forked_while_it_delivers_leaves_nothing_in_its_copy", &[]);
}

#[cfg(feature = "metrics")]
#[test]
fn what_a_queue_holds_at_a_fork_is_not_counted_as_that_of_the_copy() {
    use esper_rs_client::BeaconEvent;
    use metrics_exporter_prometheus::PrometheusBuilder;

    use crate::support::{Gate, client};

    const LONG: Duration = Duration::from_secs(20);
    if child::is_one() {
        let gate = Gate::default();
        let slow = gated(&gate);
        let quick = RawServer::always(|| Answer::status(202));
        let beacons = client(&slow.url()).beacons();
        beacons.send(BeaconEvent::new("before"));
        while slow.count() == 0 {
            thread::yield_now();
        }
        let url = quick.url();
        let counted = forked(|| {
            let recorder = PrometheusBuilder::new().build_recorder();
            let handle = recorder.handle();
            metrics::set_global_recorder(recorder).unwrap();
            let beacons = client(&url).beacons();
            beacons.send(BeaconEvent::new("after"));
            assert!(beacons.shutdown_blocking(LONG).is_complete());
            let text = handle.render();
            assert!(text.lines().any(|line| line == "esper_events_queued 0"), "{text}");
        });
        gate.open();
        assert!(counted);
        assert!(beacons.shutdown_blocking(LONG).is_complete());
        return;
    }
    child::run("forks::what_a_queue_holds_at_a_fork_is_not_counted_as_that_of_the_copy", &[]);
}
